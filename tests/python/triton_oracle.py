"""What polariscope.triton_kernels computes, in plain PyTorch and double precision, with the whole matrix of weights."""

import math

import torch

_SUMMED = {"softmax", "softmax1", "sink", "softcap", "ssmax", "sigmoid/sum"}
_DEFAULTS = {"softcap": 50.0, "ssmax": 1.0}


def visible_keys(batch, heads, queries, keys, causal, window, bias, key_lengths):
    """[batch, heads, queries, keys], and each row's own key [batch, 1, queries, 1]."""
    lengths = torch.full((batch,), keys) if key_lengths is None else key_lengths
    own = torch.arange(queries)[None, None, :, None] + (lengths - queries)[:, None, None, None]
    key = torch.arange(keys)[None, None, None, :]
    seen = (key < lengths[:, None, None, None]).expand(batch, heads, queries, keys).clone()
    if causal:
        seen &= key <= own
    if window is not None:
        seen &= own - key < window
        if not causal:
            seen &= key - own < window
    if bias is not None:
        seen &= bias.expand(batch, heads, queries, keys) != -math.inf
    return seen, own


def attend(query, key, value, reweighting="softmax", *, scale=None, causal=False, window=None, bias=None, slopes=None,
           sink=None, key_lengths=None, transform_factor=None, sum_offset=0.0):
    """Output and statistics by name. No visible score may be NaN or infinite."""
    query, key, value = query.double(), key.double(), value.double()
    batch, heads, queries, width = query.shape
    keys, group = key.shape[2], heads // key.shape[1]
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    seen, own = visible_keys(batch, heads, queries, keys, causal, window, bias, key_lengths)
    hidden_everywhere = ~seen.any(2)[..., None]
    key, value = key.masked_fill(hidden_everywhere, 0), value.masked_fill(hidden_everywhere, 0)
    count = seen.sum(-1)
    factor = _DEFAULTS.get(reweighting) if transform_factor is None else transform_factor
    z = query @ key.transpose(2, 3) * (1 / math.sqrt(width) if scale is None else scale)
    place = torch.arange(keys)
    if slopes is not None:
        z = z - slopes.double()[None, :, None, None] * (own - place).abs()
    if bias is not None:
        z = z + bias.double().masked_fill(bias == -math.inf, 0)
    if reweighting == "softcap":
        z = factor * torch.tanh(z / factor)
    elif reweighting == "ssmax":
        z = z * factor * count.clamp(min=1).double().log()[..., None]
    elif reweighting == "sigmoid_log":
        lengths = torch.full((batch,), keys) if key_lengths is None else key_lengths
        z = z - lengths.clamp(min=1).double().log()[:, None, None, None]
    low = z.masked_fill(~seen, -math.inf)
    some = count > 0
    top = torch.where(some, low.max(-1).values, 0.0).detach()
    exponential = not reweighting.startswith("sigmoid")
    if exponential:
        weights = torch.exp(z.masked_fill(~seen, -math.inf) - top[..., None])
        total = mass = weights.sum(-1)
        if reweighting in ("softmax1", "sink"):
            score = torch.zeros(heads).double() if sink is None else sink.double()
            total = mass + torch.exp(score[None, :, None] - top)
        inverse = torch.where(total > 0, 1 / torch.where(total > 0, total, 1.0), 0.0)
    else:
        weights = torch.sigmoid(z).masked_fill(~seen, 0)
        mass = weights.sum(-1)
        inverse = torch.ones_like(mass)
        if reweighting in _SUMMED:
            inverse = torch.where(mass > 0, 1 / torch.where(mass > 0, mass + sum_offset, 1.0), 0.0)
    p = weights * inverse[..., None]
    share = weights / torch.where(mass > 0, mass, 1.0)[..., None]
    n = count.clamp(min=1)
    mean = z.masked_fill(~seen, 0).sum(-1) / n
    apart = (z - mean[..., None]).masked_fill(~seen, 0)
    p_mean = p.sum(-1) / n
    p_apart = (p - p_mean[..., None]).masked_fill(~seen, 0)
    p_variance = (p_apart ** 2).sum(-1) / n
    varied = p_variance.sqrt() > 1e-6 * p_mean
    skewness = torch.where(varied, (p_apart ** 3).sum(-1) / n / torch.where(varied, p_variance, 1.0) ** 1.5, 0.0)
    first = torch.where(seen, place, keys).min(-1).values.clamp(max=keys - 1)
    rows = {
        "entropy": -torch.special.xlogy(share, share).sum(-1) if not share.requires_grad else
        -(share * torch.log(torch.where(share > 0, share, 1.0))).sum(-1),
        "sum_of_squares": (p ** 2).sum(-1),
        "maximum": p.max(-1).values,
        "argmax": torch.where(some, low.argmax(-1), -1),
        "first_key": p[..., 0],
        "first_visible_key": p.gather(-1, first[..., None])[..., 0],
        "row_sum": p.sum(-1) if exponential else mass,
        "logit_mean": mean,
        "logit_variance": (apart ** 2).sum(-1) / n,
        "logit_maximum": torch.where(some, low.max(-1).values, 0.0),
        "skewness": skewness,
        "visible": count,
        "non_finite": torch.zeros_like(some),
    }
    if exponential:
        rows["log_sum_exp"] = top + torch.where(some | (total > 0), total, 0.0).log()
    return p @ value, rows
