"""Attention of one head in PyTorch, single precision: softmax over all pairs, and the kernel elu + 1 without them.

Reads query, key and value, [N, D] each and one after another, from a file, writes the kernel's output to another, and
says so in a line of JSON. Then every line "NAME CALLS" runs NAME as often; the answer holds the seconds of one call.

sdpa: PyTorch's own scaled dot product attention, 1,024 queries at a time: the fastest of 16 to 4,096, and the matrix of
65,536 tokens, 17 GB, would not fit.
kernel: φ(q) (φ(k)ᵀ v) over φ(q)·Σ φ(k).
"""
import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

QUERIES = 1024
# Its name until PyTorch 2.
SDPA = getattr(F, "scaled_dot_product_attention", None) or (
    lambda q, k, v: F._scaled_dot_product_attention(q, k, v, None, 0.0, False, False)[0]
)


def sdpa(q, k, v):
    return torch.cat([SDPA(part, k, v) for part in q.split(QUERIES, dim=2)], dim=2)


def kernel(q, k, v):
    q, k = F.elu(q) + 1, F.elu(k) + 1
    return (q @ (k.transpose(-2, -1) @ v)) / (q @ k.sum(dim=-2).unsqueeze(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", help="N,D")
    parser.add_argument("inputs")
    parser.add_argument("results")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    shape = [1, 1, *(int(size) for size in options.shape.split(","))]
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    with open(options.inputs, "rb") as file:
        arrays = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).view(-1, *shape)
    with open(options.results, "wb") as file:
        file.write(kernel(*arrays).numpy().tobytes())
    print(json.dumps({"torch": torch.__version__}), flush=True)

    # One thread's own time leaves out what others take of a shared machine; more are timed by the clock.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for line in sys.stdin:
        name, calls = line.split()
        run = {"sdpa": sdpa, "kernel": kernel}[name]
        start = clock()
        for _ in range(int(calls)):
            run(*arrays)
        print(json.dumps({"seconds": (clock() - start) / int(calls)}), flush=True)


if __name__ == "__main__":
    main()
