"""The C++ operator, libpolariscope_torch.so, through PyTorch's dispatcher against eager PyTorch: attend.py LIBRARY."""

import sys

import reference
import torch

torch.ops.load_library(sys.argv[1])
ops = torch.ops.polariscope
generator = torch.Generator().manual_seed(1)


def normal(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.double).requires_grad_()


def close(ours, theirs, what):
    same = (ours == theirs) | ((ours - theirs).abs() <= 1e-10 * (1 + theirs.abs()))
    assert bool(same.all()), f"{what}: {ours[~same][:4]} instead of {theirs[~same][:4]}"


for form in ("softmax", "sink", "sigmoid", "relu/sum", "elu1_kernel/sum", "identity/max1", "softpick", "entmax"):
    for causal, window in ((False, None), (True, None), (True, 3)):
        q, k, v = normal(2, 4, 6, 5), normal(2, 2, 9, 5), normal(2, 2, 9, 3)
        names = [name for name in ops.statistics_of(form) if name not in ("skewness", "non_finite")]
        output, *found = ops.attend(q, k, v, form, None, causal, window, None, None, None, None, "", [],
                                    ",".join(names))
        expected_output, expected = reference.attend(q, k, v, form, causal=causal, window=window)
        parts = [(output, expected_output, "output")] + [(x, expected[name], name) for x, name in zip(found, names)]
        for ours, theirs, what in parts:
            close(ours.detach().double(), theirs.detach().double(), f"{form}: {what}")
            if not theirs.requires_grad or what not in ("output", *reference.DIFFERENTIABLE):
                continue
            by = torch.randn(theirs.shape, generator=generator, dtype=torch.double)
            by = torch.where(torch.isfinite(theirs), by, torch.zeros_like(by))
            gradients = [torch.autograd.grad((torch.where(by == 0, by, x) * by).sum(), (q, k, v), retain_graph=True,
                                             allow_unused=True) for x in (ours, theirs)]
            for a, b in zip(*gradients):
                close(torch.zeros(()) if a is None else a, torch.zeros(()) if b is None else b, f"{form}: d {what}")
print("the operator agrees with eager PyTorch")
