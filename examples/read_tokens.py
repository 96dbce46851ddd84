"""The shards that `polariscope tokenize` wrote, in NumPy, mapped into memory: python read_tokens.py FOLDER"""

import json
import sys
from pathlib import Path

import numpy

folder = Path(sys.argv[1])
index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
numbers = numpy.dtype(index["numbers"]).newbyteorder("<")  # uint16 or uint32, little-endian
shards = [numpy.memmap(folder / shard["file"], numbers, "r") for shard in index["shards"]]

assert sum(map(len, shards)) == index["tokens"]
print(f"{index['tokens']} tokens of {index['vocabulary']}, the first: {shards[0][:8].tolist()}")
