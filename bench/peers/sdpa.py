"""PyTorch's scaled_dot_product_attention, which gives no statistics.

Reads query, [batch, heads, queries, D], key and value, [batch, key heads, keys, D], and with --backward the gradient of
the output, one after another, from a file; writes the output, or the gradients of the three, to another, and says so in
a line of JSON. Then every line "CALLS" runs it as often; the answer holds the seconds of one call. With --bfloat16 it
computes on numbers of bfloat16, which those of the file are.
"""
import argparse
import json

import answering
import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", help="batch,heads,key heads,queries,keys,D")
    parser.add_argument("inputs")
    parser.add_argument("results")
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--backward", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    batch, heads, key_heads, queries, keys, width = (int(size) for size in options.shape.split(","))
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(options.backward)
    with open(options.inputs, "rb") as file:
        numbers = torch.frombuffer(bytearray(file.read()), dtype=torch.float32)
    if options.bfloat16:
        numbers = numbers.to(torch.bfloat16)
    shapes = [(batch, heads, queries, width)] + 2 * [(batch, key_heads, keys, width)]
    if options.backward:
        shapes.append(shapes[0])
    parts = numbers.split([torch.Size(shape).numel() for shape in shapes])
    query, key, value, *upstream = (x.view(shape).clone() for x, shape in zip(parts, shapes))
    inputs = [x.requires_grad_(options.backward) for x in (query, key, value)]
    # is_causal would stand the first query beside the first key.
    causal, mask = options.causal and queries == keys, None
    if options.causal and 1 < queries < keys:
        mask = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)

    def run():
        output = torch.nn.functional.scaled_dot_product_attention(*inputs, attn_mask=mask, is_causal=causal,
                                                                  enable_gqa=heads != key_heads)
        return torch.autograd.grad(output, inputs, upstream) if options.backward else [output]

    with open(options.results, "wb") as file:
        for array in run():
            file.write(array.float().contiguous().numpy().tobytes())
    print(json.dumps({"torch": torch.__version__}), flush=True)
    answering.answer(run, options.threads)


if __name__ == "__main__":
    main()
