"""PyTorch's scaled_dot_product_attention of few queries against a long cache.

Reads query, [heads, queries, D], key and value, [key heads, keys, D], one after another, from a file, writes the output
to another, and says so in a line of JSON. Then every line asks for the seconds of one call. With --bfloat16 it computes
on numbers of bfloat16, which those of the file are.
"""
import argparse
import json
import sys
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", help="heads,key heads,queries,keys,D")
    parser.add_argument("inputs")
    parser.add_argument("results")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    heads, key_heads, queries, keys, width = (int(size) for size in options.shape.split(","))
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    with open(options.inputs, "rb") as file:
        numbers = torch.frombuffer(bytearray(file.read()), dtype=torch.float32)
    if options.bfloat16:
        numbers = numbers.to(torch.bfloat16)
    sizes = [heads * queries * width, key_heads * keys * width, key_heads * keys * width]
    query, key, value = numbers.split(sizes)
    query = query.view(1, heads, queries, width).clone()
    key, value = (x.view(1, key_heads, keys, width).clone() for x in (key, value))
    mask = None
    if queries > 1:
        mask = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)

    def run():
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask,
                                                                enable_gqa=heads != key_heads)

    with open(options.results, "wb") as file:
        file.write(run().float().contiguous().numpy().tobytes())
    print(json.dumps({"torch": torch.__version__}), flush=True)
    # One thread's own time leaves out what others take of a shared machine; more are timed by the clock.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for _ in sys.stdin:
        start = clock()
        run()
        print(json.dumps({"seconds": clock() - start}), flush=True)


if __name__ == "__main__":
    main()
