#!/bin/sh
# torch 2.15.0, CPU with AVX512_BF16 and without AMX (exit code 77 on another), one thread.
# A good guess: where products of matrices gain by bfloat16, scaled_dot_product_attention does, which is two of them and an
# exponential.
# Seen: on a Zen 5 a product of matrices takes 0.23 of float32's time, attention over [1, 8, 2048, 64] 1.05 of it. Who moves
# a CPU model to bfloat16 for speed gets none in its attention. With AMX (an Intel Xeon) it is 0.17 and 0.39.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
grep -qw avx512_bf16 /proc/cpuinfo || { echo "this processor has no AVX512_BF16"; exit 77; }
! grep -qw amx_bf16 /proc/cpuinfo || { echo "this processor has AMX"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import statistics
import time

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
single = torch.randn(1, 8, 2048, 64)
half = single.bfloat16()
square = torch.randn(1024, 1024)
attend = torch.nn.functional.scaled_dot_product_attention
calls = {"attention": (lambda: attend(single, single, single), lambda: attend(half, half, half)),
         "product": (lambda: square @ square, lambda: low @ low)}
low = square.bfloat16()


def seconds(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin


ratios = {}
for name, (float32, bfloat16) in calls.items():
    float32(), bfloat16()
    ratios[name] = statistics.median(seconds(bfloat16) / seconds(float32) for _ in range(15))
print(f"torch {torch.__version__}: bfloat16 takes {ratios['attention']:.2f} of float32's time in attention, "
      f"{ratios['product']:.2f} in a product of matrices")
if not (ratios["attention"] > 0.9 and ratios["product"] < 0.6):
    raise SystemExit("changed")
PYTHON
