#!/bin/sh
# torch 2.15.0, CPU. A module calls torch.nn.functional.scaled_dot_product_attention. While that function is wrapped (as a
# mock or a profiler does), something compiles for the first time in the process; then the original is put back, and the
# module is compiled with fullgraph=True.
# A good guess: it compiles, as in a process where nothing was wrapped: the functions are the originals again, and
# torch._dynamo.reset() forgets what was compiled.
# Seen: Unsupported, "Dynamo does not know how to trace the builtin torch._C._nn.scaled_dot_product_attention", for the rest
# of the process, reset() or not: the table of functions by name is filled once, at the first compilation, with the
# wrapper in the original's place. Emptying that table (get_torch_obj_rule_map.cache_clear()) mends it.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import functools

import torch
import torch.nn.functional as F


class Attention(torch.nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


def compiles():
    torch._dynamo.reset()
    try:
        torch.compile(Attention(), backend="eager", fullgraph=True)(torch.randn(1, 1, 3, 4))
        return "compiles"
    except Exception as error:
        return type(error).__name__


original = F.scaled_dot_product_attention
owners = [F, torch._C._nn]
for owner in owners:
    owner.scaled_dot_product_attention = functools.wraps(original)(lambda *given, **named: original(*given, **named))
torch.compile(torch.nn.Linear(2, 2), backend="eager")(torch.randn(1, 2))
for owner in owners:
    owner.scaled_dot_product_attention = original
after = compiles()
torch._dynamo.trace_rules.get_torch_obj_rule_map.cache_clear()
print("put back:", after, " table emptied:", compiles())
if (after, compiles()) != ("Unsupported", "compiles"):
    raise SystemExit("changed: a function that was wrapped during the first compilation is known again")
PYTHON
