"""A scale, and parameters of a form, given as tensors: one number each, or one a head. They have gradients."""

import torch
from torch import Tensor


def _elu1(x):
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


# Forms that map queries and keys: the same weights of mapped ones.
_MAPPED = {"elu1_kernel": ("identity", _elu1), "linear_unnorm": ("identity", _elu1),
           "elu1_kernel/sum": ("identity/sum", _elu1), "linear": ("identity/sum", _elu1),
           "relu_kernel/sum": ("identity/sum", torch.relu)}
_RELU_OFFSET = 0.01
_HALF = (torch.bfloat16, torch.float16)


def is_given(scale, parameters):
    return isinstance(scale, Tensor) or any(isinstance(x, Tensor) for x in parameters.values())


def _per_head(name, x, heads):
    """Whether a tensor holds a number for each head, rather than one."""
    if x.numel() == 1:
        return False
    if tuple(x.shape) != (heads,):
        raise ValueError(f"attend: {name} has shape {list(x.shape)}: expected one number, or [{heads}], one for each head")
    return True


def call(compute, query, key, value, reweighting, scale, by_head, parameters):
    """What compute(query, key, value, reweighting, scale, by_head, numbers, tensor) returns: tensors whose second
    dimension is that of the heads. by_head: tensors with the dimension of their heads."""
    heads, dtype = query.shape[1] if query.dim() > 1 else 1, query.dtype
    each = [name for name, x in parameters.items() if isinstance(x, Tensor) and _per_head(name, x, heads)]
    each_scale = isinstance(scale, Tensor) and _per_head("scale", scale, heads)
    if each and heads:
        rows = []
        for h in range(heads):
            k = h // max(heads // max(key.shape[1], 1), 1)
            rows.append(call(compute, query[:, h:h + 1], key[:, k:k + 1], value[:, k:k + 1], reweighting,
                             scale[h] if each_scale else scale, _of_head(h, by_head),
                             {name: x[h] if name in each else x for name, x in parameters.items()}))
        return tuple(torch.cat(parts, 1) for parts in zip(*rows))
    parameters = {name: x for name, x in parameters.items() if name not in each}
    if reweighting in _MAPPED and any(isinstance(x, Tensor) for x in (scale, parameters.get("feature_offset"))):
        query, key, reweighting, parameters = _mapped(query, key, reweighting, parameters)
        scale = 1.0 if scale is None else scale
    if isinstance(scale, Tensor):
        if dtype in _HALF:  # the products are not to be rounded
            query, key, value = query.float(), key.float(), value.float()
        query = query * scale.to(query.dtype).reshape((1, heads, 1, 1) if each_scale else ())
        scale = 1.0
    numbers = {name: float(x) for name, x in parameters.items()}
    tensor = None
    if any(isinstance(x, Tensor) for x in parameters.values()):
        tensor = torch.stack([torch.as_tensor(x, dtype=torch.double).reshape(()) for x in parameters.values()])
    output, *rows = compute(query, key, value, reweighting, scale, by_head, numbers, tensor)
    return (output.to(dtype), *rows)


def _mapped(query, key, reweighting, parameters):
    plain, feature = _MAPPED[reweighting]
    query, key = feature(query), feature(key)
    if feature is torch.relu:
        parameters = dict(parameters)
        offset = parameters.pop("feature_offset", _RELU_OFFSET)
        offset = offset.to(query.dtype).reshape(()) if isinstance(offset, Tensor) else offset
        query, key = query + offset, key + offset
    return query, key, plain, parameters


def _of_head(h, by_head):
    return {name: (x if x is None or x.shape[at] == 1 else x.narrow(at, h, 1), at) for name, (x, at) in by_head.items()}
