"""The command `polariscope`: the compiled program that the wheel brings, or that a clone has built."""

import os
import sys
from pathlib import Path


def program() -> Path:
    """Path of the compiled program; raises FileNotFoundError, saying how to get it, where there is none."""
    package = Path(__file__).resolve().parent
    places = [package / "bin" / "polariscope", package.parent.parent / "build" / "release" / "cli" / "polariscope"]
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"the program is not built (looked for {', '.join(map(str, places))}): pip install polariscope, or ./dev build "
        "in a clone")


def main() -> int:
    """Becomes the program, with the same arguments."""
    try:
        path = str(program())
        os.execv(path, [path, *sys.argv[1:]])
    except OSError as error:
        print(f"polariscope: {error}", file=sys.stderr)
        return 2
