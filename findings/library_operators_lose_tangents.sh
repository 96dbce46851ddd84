#!/bin/sh
# torch 2.15.0, CPU. An operator of torch.library.custom_op with register_autograd, in torch.func's transforms.
# A good guess: torch.func.jvp raises, as for an autograd.Function without jvp; torch.func.grad works, as backward() does.
# Seen: torch.func.jvp returns a tangent of 0 without an error or a warning (for the operator alone; what follows it is
# differentiated as if it were constant), and so does forward_ad.dual_level, where the output has no tangent at all.
# torch.func.grad raises: "In order to use an autograd.Function with functorch transforms ... it must override the
# setup_context staticmethod".
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch.autograd import forward_ad


@torch.library.custom_op("findings::cube", mutates_args=())
def cube(x: torch.Tensor) -> torch.Tensor:
    return x * x * x


cube.register_fake(lambda x: torch.empty_like(x))
cube.register_autograd(lambda ctx, grad: 3 * ctx.saved_tensors[0] ** 2 * grad,
                       setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]))

x = torch.tensor([1.0, 2.0])
_, tangent = torch.func.jvp(lambda x: cube(x) + x, (x,), (torch.ones(2),))
print(f"{torch.__version__}: jvp of x^3 + x at (1, 2): {tangent.tolist()}, right is [4.0, 13.0]")
with forward_ad.dual_level():
    dual = forward_ad.unpack_dual(cube(forward_ad.make_dual(x, torch.ones(2)))).tangent
print("tangent of x^3 in dual_level:", dual)
leaf = x.clone().requires_grad_()
cube(leaf).sum().backward()
print("backward:", leaf.grad.tolist())
try:
    by_function = torch.func.grad(lambda x: cube(x).sum())(x).tolist()
except RuntimeError as error:
    by_function = str(error)
print("torch.func.grad:", by_function)
if tangent.tolist() != [1.0, 1.0] or dual is not None or leaf.grad.tolist() != [3.0, 12.0]:
    raise SystemExit("changed")
if "setup_context" not in by_function:
    raise SystemExit("changed: torch.func.grad works")
PYTHON
