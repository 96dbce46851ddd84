"""Softmax attention with the statistics of its rows in eager PyTorch, single precision.

Reads query, key and value, [batch, heads, N, D] each and one after another, from a file (with --backward also the
gradient of the output), writes output and entropies (or the gradients of query, key and value) to another, and says
so in a line of JSON with the memory it took at most. Then every line "CALLS" runs it as often; the answer holds the
seconds of one call.

typical: what one writes: the weights, then each statistic from them.
tuned: scores and weights are the only two matrices ever held; log-sum-exp comes from the maximum, entropy from
log-sum-exp, norms replace squares, and moments are raw. These are the fastest operations of their kind in PyTorch 1.13
on a processor (its var is slower than both products together).
"""
import argparse
import json

import answering
import torch


def typical(q, k, v, scale):
    z = (q @ k.transpose(-2, -1)) * scale
    p = torch.softmax(z, dim=-1)
    output = p @ v
    with torch.no_grad():
        entropy = -torch.xlogy(p, p).sum(dim=-1)
        squares = (p**2).sum(dim=-1)
        maximum, argmax = p.max(dim=-1)
        variance = z.var(dim=-1, unbiased=False)
        mean = z.mean(dim=-1)
        first = p[..., 0].clone()
    return output, (entropy, squares, maximum, argmax, variance, mean, first)


def tuned(q, k, v, scale):
    z = torch.matmul(q * scale, k.transpose(-2, -1))
    with torch.no_grad():
        mean = z.mean(dim=-1)
        variance = torch.linalg.vector_norm(z, dim=-1).square_().div_(z.shape[-1]).sub_(mean.square())
        highest, argmax = z.max(dim=-1)
    p = torch.softmax(z, dim=-1)
    output = p @ v
    with torch.no_grad():
        maximum = p.gather(-1, argmax.unsqueeze(-1)).squeeze(-1)
        lse = highest - maximum.log()
        entropy = lse - z.detach().mul_(p).sum(dim=-1)
        squares = torch.linalg.vector_norm(p, dim=-1).square_()
        first = p[..., 0].clone()
    return output, (entropy, squares, maximum, argmax, variance, mean, first)


def status_bytes(name):
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return 1024 * int(line.split()[1])
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", choices=["typical", "tuned"])
    parser.add_argument("shape", help="batch,heads,N,D")
    parser.add_argument("inputs")
    parser.add_argument("results")
    parser.add_argument("--backward", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    shape = [int(size) for size in options.shape.split(",")]
    scale = shape[-1] ** -0.5
    attention = typical if options.version == "typical" else tuned
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(options.backward)
    with open(options.inputs, "rb") as file:
        arrays = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).view(-1, *shape)
    q, k, v = (array.clone().requires_grad_(options.backward) for array in arrays[:3])

    def run():
        output, statistics = attention(q, k, v, scale)
        if not options.backward:
            return output, statistics[0]
        for array in (q, k, v):
            array.grad = None
        output.backward(arrays[3])
        return output, q.grad, k.grad, v.grad

    run_small = [torch.randn(1, 1, 8, shape[-1], requires_grad=options.backward) for _ in range(3)]
    small, _ = attention(*run_small, scale)  # code is read in before memory is measured
    if options.backward:
        small.sum().backward()
    before = status_bytes("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the high-water mark starts again
    results = run()
    peak = status_bytes("VmHWM") - before
    with open(options.results, "wb") as file:
        for array in results:
            file.write(array.detach().contiguous().numpy().tobytes())
    del results
    print(json.dumps({"torch": torch.__version__, "peak_bytes": peak}), flush=True)

    answering.answer(run, options.threads)


if __name__ == "__main__":
    main()
