"""GPT-2's tokenizer of Hugging Face's `tokenizers`, one thread: what `polariscope tokenize` is measured against.

Reads vocab.json and merges.txt of a folder and a text, writes the ids of the text to a file (uint16) and says in a line
of JSON which version is at work. Every line that it reads is one more run, answered with the processor time that it
took. The text is cut at ends of lines into groups of 30,000 characters, which go to `encode_batch_fast`: of `encode`
and `encode_batch_fast` with other sizes of groups the fastest.
"""

import array
import json
import os
import re
import sys
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

GROUP = 30_000


def groups_of(text):
    groups, held, characters = [], [], 0
    for line in re.split(r"(?<=\S)(?=\n)", text):
        held.append(line)
        characters += len(line)
        if characters >= GROUP:
            groups.append("".join(held))
            held, characters = [], 0
    return [*groups, "".join(held)]


def main():
    folder, text, ids = map(Path, sys.argv[1:])
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    groups = groups_of(text.read_bytes().decode("utf-8"))
    found = array.array("H", (token for group in tokenizer.encode_batch_fast(groups) for token in group.ids))
    ids.write_bytes(found.tobytes())
    print(json.dumps({"tokenizers": tokenizers.__version__}), flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        for group in tokenizer.encode_batch_fast(groups):
            group.ids  # noqa: B018
        print(json.dumps({"seconds": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main()
