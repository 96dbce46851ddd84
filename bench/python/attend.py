"""attend() with all of its statistics against scaled_dot_product_attention without any, in one process."""

import argparse

import torch
from timing import alternate

import polariscope

SHAPES = {  # name: batch, heads, tokens, width, causal, type, with backward
    "long": (1, 8, 4096, 64, False, torch.float32, False),
    "medium": (1, 8, 1024, 64, False, torch.float32, False),
    "short": (8, 8, 256, 64, False, torch.float32, False),
    "model": (1, 32, 2048, 128, True, torch.float32, False),
    "regression": (4000, 1, 20, 3, False, torch.float32, False),
    "induction": (256, 4, 12, 32, False, torch.float32, False),
    "bfloat16": (1, 8, 4096, 64, False, torch.bfloat16, False),
    "medium, with backward": (1, 8, 1024, 64, False, torch.float32, True),
    "long, with backward": (1, 8, 4096, 64, False, torch.float32, True),
}


def calls(batch, heads, tokens, width, causal, dtype, backward):
    torch.manual_seed(0)
    q, k, v, by = (torch.randn(batch, heads, tokens, width).to(dtype) for _ in range(4))
    for x in (q, k, v):
        x.requires_grad_(backward)

    def differentiated(output):
        if backward:
            torch.autograd.grad(output, (q, k, v), by)

    return (lambda: differentiated(polariscope.attend(q, k, v, causal=causal)[0]),
            lambda: differentiated(torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)}; default: all")
    given = parser.parse_args()
    for name in given.shapes:
        if name not in SHAPES:
            parser.error(f'unknown shape "{name}": choose from {", ".join(SHAPES)}')
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print("| case | threads | attend, all statistics | SDPA, none | ratio |\n|---|---|---|---|---|")
    for threads in given.threads:
        torch.set_num_threads(threads)
        for name in given.shapes or SHAPES:
            shape = SHAPES[name]
            ours, theirs = alternate(calls(*shape), threads, given.rounds)
            cells = [f"{1e3 * one.seconds:.4g} ms (±{100 * one.spread:.0f} %){', void' if one.void else ''}"
                     for one in (ours, theirs)]
            print(f"| {name} {list(shape[:4])} | {threads} | {cells[0]} | {cells[1]} | "
                  f"{theirs.seconds / ours.seconds:.2f} × |", flush=True)


if __name__ == "__main__":
    main()
