#!/bin/sh
# triton 3.9.0 with torch 2.15.0, CPU. Two kernels, each run by Triton's interpreter (TRITON_INTERPRET=1) and compiled
# for an H100, which needs no GPU: triton.compile(ASTSource(...), target=GPUTarget("cuda", 90, 32)).
# A good guess: what runs in one compiles in the other.
# Seen: a global tl.constexpr written before a tensor, tl.exp2(TWO * x), compiles; the interpreter raises "cannot
# convert [...] of type <class 'triton.language.core.tensor'> to tensor", since the product is a constexpr that holds a
# tensor (x * TWO works in both). A tl.constexpr that is named inside tl.static_range runs in the interpreter; the
# compiler unrolls the loop and refuses the second turn: "FIRST is already defined. constexpr cannot be reassigned".
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 triton==3.9.0 numpy
cat >"$folder/kernels.py" <<'PYTHON'
import sys

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TWO = tl.constexpr(2.0)


@triton.jit
def product(X, Y, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(Y + i, tl.exp2(TWO * tl.load(X + i)))


@triton.jit
def unrolled(X, Y, N: tl.constexpr):
    i = tl.arange(0, N)
    for part in tl.static_range(2):
        FIRST: tl.constexpr = part == 0
        if FIRST:
            tl.store(Y + i, tl.load(X + i))


kernel = {"product": product, "unrolled": unrolled}[sys.argv[2]]
if sys.argv[1] == "interpret":
    kernel[(1,)](torch.arange(4.0), torch.zeros(4), 4)
else:
    source = ASTSource(kernel, {"X": "*fp32", "Y": "*fp32", "N": "constexpr"}, constexprs={"N": 4})
    triton.compile(source, target=GPUTarget("cuda", 90, 32))
PYTHON
status=0
# try KERNEL HOW WHAT IT IS TO SAY ("works", or a part of its error)
try() {
  interpret=0
  if [ "$2" = interpret ]; then interpret=1; fi
  if TRITON_CACHE_DIR="$folder/cache" TRITON_INTERPRET=$interpret \
    "$folder/venv/bin/python" -W ignore "$folder/kernels.py" "$2" "$1" >"$folder/said" 2>&1; then
    echo works >"$folder/said"
  fi
  echo "$1, $2: $(tail -n 1 "$folder/said" | cut -c 1-100)"
  if ! grep -q "$3" "$folder/said"; then
    echo "changed: expected \"$3\""
    status=1
  fi
}
try product compile works
try product interpret "core.tensor'> to tensor"
try unrolled compile "constexpr cannot be reassigned"
try unrolled interpret works
exit $status
