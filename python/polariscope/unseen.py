"""What a watch could not see, or saw otherwise than it was computed."""

import re

import torch

from .calls import NotSeen

_ATTENTION = re.compile("attention|attn", re.IGNORECASE)
_TOLERANCE = {torch.bfloat16: 0.05, torch.float16: 0.02}


def note(record, names):
    """Notes those of the modules `names` that look like attention of which, or of whose parts or wholes, nothing was
    seen."""
    told = record._told()
    apart = []
    for module, name in names.items():
        if not _ATTENTION.search(type(module).__name__) or not any(True for _ in module.parameters()):
            continue
        if any(name == other or name.startswith(other + ".") or other.startswith(name + ".")
               for other in [*told, *apart]):
            continue
        apart.append(name)
        record._note(name, f"not seen: {type(module).__name__} computes attention itself, or did not run")


def compare(scores, rows, weights):
    """Raises NotSeen where weights [batch, heads, queries, keys] are not those of `scores`: the entropy of the first
    sequence's last real row is held to ours."""
    if rows.entropy is None or weights.dim() != 4:
        return
    last = -1 if scores.real is None else int(scores.real[0].nonzero()[-1]) if scores.real[0].any() else None
    if last is None:
        return
    p = weights[0, :, last].detach().double()
    theirs = -torch.xlogy(p, p).sum(-1)
    if scores.reweighting == "sink":  # their rows sum to less than one, entropy is of what they sum to
        mass = p.sum(-1).clamp(min=1e-300)
        theirs = theirs / mass + mass.log()
    ours = rows.entropy[0, :, last].detach().double()
    tolerance = _TOLERANCE.get(weights.dtype, 1e-3)
    if not torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True):
        raise NotSeen("its eager attention is not what its arguments say: entropy differs by "
                      f"{(ours - theirs).abs().max().item():.2g}")
