"""Polariscope's Triton kernels against PyTorch's attention on a GPU: milliseconds, ratios, JSON.

    python bench/gpu/attention.py [--json results.json] [--tune]

For N = 4,096 to 32,768 tokens, widths 64 and 128, bfloat16, causal and not: a forward pass and a forward with backward
pass of scaled_dot_product_attention (its FlashAttention), of FlexAttention (compiled), and of polariscope without
statistics, with those that one watches, and with all. The goal: forward with statistics in at most 1.10 times
FlashAttention's time. --tune measures other blocks for the kernels first, prints the best as lines for
polariscope/triton_kernels/blocks.py, and goes on with them.

Exit code 2 where there is no GPU.
"""

import argparse
import itertools
import json
import statistics
import sys

GOAL = 1.10
TOKENS = 32768  # batch times length
WATCHED = ("entropy", "maximum", "first_visible_key", "logit_variance", "non_finite")


def milliseconds(torch, work, seconds=0.4):
    """Median time of one call."""
    work()
    torch.cuda.synchronize()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    times = []
    for _ in range(max(7, min(200, int(1000 * seconds / max(begin.elapsed_time(end), 0.01))))):
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


class Case:
    """Inputs of one size, and the implementations over them."""

    def __init__(self, torch, length, width, causal, dtype):
        self.torch, self.causal = torch, causal
        batch, heads = max(TOKENS // length, 1), 2048 // width
        self.length, self.compiled, self.mask = length, None, None
        self.query, self.key, self.value = (
            torch.randn(batch, heads, length, width, device="cuda", dtype=dtype, requires_grad=True) for _ in range(3))
        self.upstream = torch.randn_like(self.query)
        self.shape = [batch, heads, length, width]

    def implementations(self):
        yield "flash", self.flash
        yield "flex", self.flex
        for name, names in (("without", ()), ("watched", WATCHED), ("all", "all")):
            yield f"polariscope, {name}", lambda names=names: self.polariscope(names)

    def flash(self):
        from torch.nn import attention
        with attention.sdpa_kernel(attention.SDPBackend.FLASH_ATTENTION):
            return self.torch.nn.functional.scaled_dot_product_attention(self.query, self.key, self.value,
                                                                         is_causal=self.causal)

    def flex(self):
        from torch.nn.attention import flex_attention
        if self.compiled is None:
            self.compiled = self.torch.compile(flex_attention.flex_attention)
            if self.causal:
                self.mask = flex_attention.create_block_mask(lambda b, h, i, j: i >= j, None, None, self.length,
                                                             self.length, device="cuda")
        return self.compiled(self.query, self.key, self.value, block_mask=self.mask)

    def polariscope(self, names):
        from polariscope import triton_kernels
        names = triton_kernels.STATISTICS if names == "all" else names
        return triton_kernels.attend(self.query, self.key, self.value, causal=self.causal, statistics=names)[0]

    def step(self, forward):
        """Forward and backward."""
        self.torch.autograd.grad(forward(), (self.query, self.key, self.value), self.upstream)


def measure(torch, case):
    found = {}
    for name, forward in case.implementations():
        try:
            with torch.no_grad():
                once = milliseconds(torch, forward)
            found[name] = {"forward_ms": once, "step_ms": milliseconds(torch, lambda: case.step(forward))}
        except RuntimeError as error:  # out of memory, or a backend that is not built: the others go on
            print(f"  {name}: {str(error).splitlines()[0]}", file=sys.stderr)
    return found


def show(case, found):
    flash = found.get("flash")
    print(f"{case.shape}{' causal' if case.causal else ''}")
    for name, times in found.items():
        ratios = ""
        if flash is not None:
            ratios = "".join(f"   x {times[key] / flash[key]:5.2f}" for key in times)
        print(f"  {name:24} forward {times['forward_ms']:8.3f} ms   step {times['step_ms']:8.3f} ms{ratios}",
              flush=True)


def candidates(kernel, width):
    from polariscope.triton_kernels.blocks import Blocks
    rows, keys = ((64, 128), (32, 64, 128)) if kernel != "keys" else ((16, 32, 64, 128), (64, 128))
    for one in itertools.product(rows, keys, (4, 8), (1, 2, 3, 4)):
        if one[0] * one[1] * max(width, 64) <= 128 * 128 * 128:
            yield Blocks(*one)


def tune(torch, width, dtype):
    """The fastest blocks of each kernel for 8,192 causal tokens with the watched statistics, from here on."""
    from polariscope.triton_kernels import blocks
    case, best, choose = Case(torch, 8192, width, True, dtype), {}, blocks.choose
    blocks.choose = lambda kernel, *others: best.get(kernel) or choose(kernel, *others)

    def forward():
        return case.polariscope(WATCHED)

    for kernel in ("forward", "queries", "keys"):
        times = {}
        for one in candidates(kernel, width):
            best[kernel] = one
            try:
                times[one] = milliseconds(torch, forward if kernel == "forward" else lambda: case.step(forward), 0.1)
            except Exception as error:  # blocks that this GPU cannot hold: Triton has no one error for it
                print(f"  {kernel} {one}: {type(error).__name__}", file=sys.stderr)
        best[kernel] = min(times, key=times.get)
        print(f"width {width}, {kernel}: {best[kernel]} {times[best[kernel]]:.3f} ms", flush=True)
    return {kernel: list(one) for kernel, one in best.items()}, choose


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="where the numbers go")
    parser.add_argument("--tune", action="store_true", help="measure other blocks first")
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 8192, 16384, 32768])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128])
    options = parser.parse_args()
    try:
        import torch
        there = torch.cuda.is_available()
    except ImportError:
        there = False
    if not there:
        print("bench/gpu: no CUDA device is seen by PyTorch here: run this on a machine with a GPU", file=sys.stderr)
        return 2
    import triton
    from polariscope.triton_kernels import blocks

    device = torch.cuda.get_device_name()
    print(f"{device}, PyTorch {torch.__version__}, Triton {triton.__version__}, bfloat16; ratios to FlashAttention")
    results, worst = [], 0.0
    for width in options.widths:
        tuned, choose = tune(torch, width, torch.bfloat16) if options.tune else ({}, blocks.choose)
        for length, causal in itertools.product(options.lengths, (True, False)):
            case = Case(torch, length, width, causal, torch.bfloat16)
            found = measure(torch, case)
            show(case, found)
            results.append({"shape": case.shape, "causal": causal, "blocks": tuned, "times": found})
            if "flash" in found and "polariscope, watched" in found:
                ratio = found["polariscope, watched"]["forward_ms"] / found["flash"]["forward_ms"]
                worst = max(worst, ratio)
        blocks.choose = choose
    print(f"forward with statistics: at most {worst:.2f} x FlashAttention's time (goal {GOAL:.2f})")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"device": device, "torch": torch.__version__, "triton": triton.__version__, "goal": GOAL,
                       "worst_forward_ratio": worst, "results": results}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
