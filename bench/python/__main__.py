"""The Python package's benchmarks: python bench/python [attend | smollm2] …"""

import runpy
import sys
from pathlib import Path

NAMES = ("attend", "smollm2")

chosen = NAMES
if len(sys.argv) > 1 and sys.argv[1] in NAMES:
    chosen = (sys.argv.pop(1),)
elif len(sys.argv) > 1:
    sys.exit(f'unknown benchmark "{sys.argv[1]}": choose {" or ".join(NAMES)}, or none for both')
for name in chosen:
    sys.argv[0] = str(Path(__file__).parent / f"{name}.py")
    runpy.run_path(sys.argv[0], run_name="__main__")
