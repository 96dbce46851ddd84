#!/bin/sh
# torch 2.15.0, CPU. The gradient of torch.clamp for an element that equals the bound: log-sum-exp written as
# (z - z.max()).clamp(max=0).exp(), attention's usual guard against rounding, is such a place in every row.
# A good guess: 1, as in PyTorch 2.6 (the mask of the backward pass is x <= max); a tensor for the bound changes nothing.
# Seen: 0 where the bound is a number, 0.5 where it is a tensor. So the largest score of each row loses its gradient, without
# an error: at z = (0, -1, 1) the softmax so written has another Jacobian than torch.softmax.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch


def gradient(function):
    x = torch.tensor([0.0, -1.0, 1.0], dtype=torch.double, requires_grad=True)
    return torch.autograd.grad(function(x).sum(), x)[0].tolist()


def softmax(z):
    e = (z - z.detach().max()).clamp(max=0.0).exp()
    return e / e.sum()


number, tensor = gradient(lambda x: x.clamp(max=0.0)), gradient(lambda x: x.clamp(max=torch.zeros(()).double()))
z = torch.tensor([0.0, -1.0, 1.0], dtype=torch.double)
wrong = (torch.autograd.functional.jacobian(softmax, z) -
         torch.autograd.functional.jacobian(lambda z: z.softmax(0), z)).abs().max().item()
print(f"{torch.__version__}: at (0, -1, 1), bound 0: {number} for a number, {tensor} for a tensor; "
      f"Jacobian of the guarded softmax off by {wrong:.3f}")
if number != [0.0, 1.0, 0.0] or tensor != [0.5, 1.0, 0.0] or wrong < 0.1:
    raise SystemExit("changed")
PYTHON
