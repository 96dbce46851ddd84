"""The whole family in eager PyTorch, materialised, in the words of docs/attention.md: what the operator and its
gradients are held to. Autograd differentiates it, so every branch that is not taken is kept finite."""

import math

import torch

DIFFERENTIABLE = ("entropy", "sum_of_squares", "maximum", "first_key", "first_visible_key", "log_sum_exp",
                  "logit_mean", "logit_variance")


def elu1(x):
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


FEATURES = {"elu1_kernel": elu1, "elu1_kernel/sum": elu1, "relu_kernel/sum": lambda x: x.relu() + 0.01}
EXPONENTIAL = {"softmax", "softmax1", "sink", "softcap", "ssmax"}
WEIGHTS = {
    "sigmoid": torch.sigmoid, "sigmoid/sum": torch.sigmoid, "sigmoid_log": torch.sigmoid, "relu/sum": torch.relu,
    "relu/count": torch.relu, "elu1": elu1, "elu1/sum": elu1, "identity": lambda z: z, "identity/max1": lambda z: z,
    "elu1_kernel": lambda z: z, "elu1_kernel/sum": lambda z: z, "relu_kernel/sum": lambda z: z,
    "mlp": lambda z: z, "mlp/max1": lambda z: z, "abs/sum": torch.abs, "square/sum": torch.square,
}


def positions(queries, keys, key_lengths, batch):
    """Of each query among its sequence's keys, [batch, 1, queries, 1], and the lengths [batch, 1, 1, 1]."""
    lengths = torch.full((batch,), keys) if key_lengths is None else key_lengths
    lengths = lengths[:, None, None, None]
    return torch.arange(queries)[None, None, :, None] + lengths - queries, lengths


def scores(q, k, form, scale, causal, window, bias, slopes, key_lengths):
    """z before the transform, and what each query sees, [batch, heads, queries, keys]."""
    batch, heads, queries, width = q.shape
    k = k.repeat_interleave(heads // k.shape[1], dim=1)
    keys = k.shape[2]
    if form in FEATURES:
        q, k = FEATURES[form](q), FEATURES[form](k)
    if scale is None:
        scale = 1.0 if form in FEATURES else 1.0 / math.sqrt(width)
    z = scale * (q @ k.transpose(-1, -2))
    here, lengths = positions(queries, keys, key_lengths, batch)
    j = torch.arange(keys)[None, None, None, :]
    visible = (j < lengths).expand(z.shape)
    if causal:
        visible = visible & (j <= here)
    if window is not None:
        visible = visible & (here - j < window)
        if not causal:
            visible = visible & (j - here < window)
    if slopes is not None:
        z = z - slopes[None, :, None, None] * (here - j).abs()
    if bias is not None:
        visible = visible & (bias > float("-inf"))
        z = z + torch.where(bias > float("-inf"), bias, torch.zeros_like(bias))
    return z, visible, lengths


def sparse_row(z, alpha):
    """Sparsemax (alpha 2) or entmax (alpha 1.5) of a row: the threshold is differentiated on its support."""
    x = (alpha - 1) * z
    order = x.detach().sort(descending=True).values
    for size in range(1, len(order) + 1):  # the largest support whose threshold keeps all of its members
        head = order[:size]
        mean = head.mean()
        if alpha == 2:
            tau = (head.sum() - 1) / size
        else:
            spread = ((head - mean) ** 2).sum()
            if spread > 1:
                break
            tau = mean - ((1 - spread) / size).sqrt()
        if head[-1] > tau:
            best, threshold = size, tau
    support = x.detach() > threshold
    kept = x[support]
    if alpha == 2:
        tau = (kept.sum() - 1) / best
    else:
        tau = kept.mean() - ((1 - ((kept - kept.mean()) ** 2).sum()) / best).sqrt()
    p = torch.where(support, x - tau, torch.zeros_like(x))
    return p if alpha == 2 else p ** 2


def attend(q, k, v, form="softmax", *, scale=None, causal=False, window=None, bias=None, slopes=None, sink=None,
           key_lengths=None, **parameters):
    """Output and a dict of statistics, column_means among them."""
    z, visible, lengths = scores(q, k, form, scale, causal, window, bias, slopes, key_lengths)
    count = visible.sum(-1, keepdim=True)
    if form == "softcap":
        cap = parameters.get("transform_factor", 50.0)
        z = cap * torch.tanh(z / cap)
    elif form == "ssmax":
        z = parameters.get("transform_factor", 1.0) * z * count.clamp(min=1).to(z.dtype).log()
    elif form == "sigmoid_log":
        z = z - lengths.clamp(min=1).to(z.dtype).log()
    z = torch.where(visible, z, torch.zeros_like(z))
    zero = torch.zeros_like(z)
    top = torch.where(visible, z, zero - 1e300)
    some = count > 0
    has_sink = form in ("softmax1", "sink")
    found = {}

    if form in EXPONENTIAL or form in ("clipped",):
        sink_z = torch.zeros(q.shape[1], dtype=q.dtype) if sink is None else sink
        sink_column = sink_z[None, :, None, None].expand(*z.shape[:3], 1)
        all_z = torch.cat([top, sink_column], -1) if has_sink else top
        shift = all_z.detach().max(-1, keepdim=True).values
        log_sum_exp = shift + (all_z - shift).exp().sum(-1, keepdim=True).log()
        p = torch.where(visible, (z - log_sum_exp.clamp(min=-1e290)).clamp(max=0.0).exp(), zero)
        w = p
        if form == "clipped":
            gamma, zeta = parameters.get("gamma", -0.03), parameters.get("zeta", 1.03)
            p = torch.where(visible, ((zeta - gamma) * p + gamma).clamp(0, 1), zero)
            w = p
        else:
            nothing = torch.full_like(log_sum_exp, float("-inf"))
            found["log_sum_exp"] = torch.where(some | has_sink, log_sum_exp, nothing).squeeze(-1)
    elif form == "softpick":
        e = torch.where(visible, z.exp() - 1, zero)
        p = w = e.relu() / (e.abs().sum(-1, keepdim=True) + parameters.get("epsilon", 1e-8))
    elif form in ("sparsemax", "entmax"):
        alpha = 2 if form == "sparsemax" else parameters.get("alpha", 1.5)
        rows = []
        for row, seen in zip(z.reshape(-1, z.shape[-1]), visible.reshape(-1, z.shape[-1])):
            full = torch.zeros_like(row)
            if seen.any():
                full = full.masked_scatter(seen, sparse_row(row[seen], alpha))
            rows.append(full)
        p = w = torch.stack(rows).reshape(z.shape)
    else:
        w = torch.where(visible, WEIGHTS[form](z), zero)
        if form.endswith("/sum"):
            total = w.sum(-1, keepdim=True)
            p = w / torch.where(total == 0, torch.ones_like(total), total)
        elif form.endswith("/max1"):
            total = w.sum(-1, keepdim=True).abs()
            p = w / torch.where(total > 1, total, torch.ones_like(total))
        elif form.endswith("/count"):
            p = w / count.clamp(min=1).to(w.dtype) ** parameters.get("count_power", 1.0)
        else:
            p = w

    size = w.abs()
    mass = size.sum(-1)
    positive = size > 0
    w_log_w = torch.where(positive, size * torch.where(positive, size, zero + 1).log(), zero).sum(-1)
    heavy = mass > 0
    safe = torch.where(heavy, mass, torch.ones_like(mass))
    found["entropy"] = torch.where(heavy, safe.log() - w_log_w / safe, torch.zeros_like(mass))
    found["sum_of_squares"] = (p * p).sum(-1)
    magnitude = torch.where(visible, p.abs(), zero - 1).detach()
    largest = magnitude.max(-1, keepdim=True).values
    index = torch.arange(z.shape[-1]).expand(z.shape)
    argmax = torch.where(magnitude == largest, index, torch.full_like(index, z.shape[-1])).min(-1).values
    found["maximum"] = torch.where(some.squeeze(-1), p.abs().gather(-1, argmax[..., None]).squeeze(-1), mass * 0)
    found["argmax"] = torch.where(some.squeeze(-1), argmax, torch.full_like(argmax, -1))
    found["first_key"] = p[..., 0]
    found["first_visible_key"] = p.gather(-1, visible.to(torch.uint8).argmax(-1, keepdim=True)).squeeze(-1)
    found["row_sum"] = (p if form in EXPONENTIAL else w).sum(-1)
    n = count.squeeze(-1).clamp(min=1).to(z.dtype)
    mean = z.sum(-1) / n
    found["logit_mean"] = mean
    found["logit_variance"] = torch.where(visible, (z - mean[..., None]) ** 2, zero).sum(-1) / n
    found["logit_maximum"] = torch.where(some.squeeze(-1), top.max(-1).values, mass * 0)
    p_mean = p.sum(-1) / n
    centred = torch.where(visible, p - p_mean[..., None], zero).detach()
    second, third = (centred ** 2).sum(-1) / n, (centred ** 3).sum(-1) / n
    varied = second > 1e-30
    found["skewness"] = torch.where(varied, third / torch.where(varied, second, second + 1) ** 1.5, third * 0)
    found["visible"] = count.squeeze(-1)
    found["non_finite"] = torch.zeros_like(mass, dtype=torch.bool)
    seen_by = visible.sum(-2)
    found["column_means"] = p.sum(-2) / seen_by.clamp(min=1)
    output = p @ v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)
    return output, found
