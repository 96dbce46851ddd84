"""A scale, and parameters of a form, given as tensors: one number each, or one a head. They have gradients."""

from typing import Dict, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor

from ._library import ArgumentError

Number = Union[float, Tensor]


def elu1(x: Tensor) -> Tensor:
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


# Forms that map queries and keys: the same weights of mapped ones.
_MAPPED = {"elu1_kernel": ("identity", elu1), "linear_unnorm": ("identity", elu1),
           "elu1_kernel/sum": ("identity/sum", elu1), "linear": ("identity/sum", elu1),
           "relu_kernel/sum": ("identity/sum", torch.relu)}
RELU_OFFSET = 0.01
_HALF = (torch.bfloat16, torch.float16)


class Prepared(NamedTuple):
    """The arguments of a call whose scale is a number, and whose learned parameters are one tensor."""

    query: Tensor
    key: Tensor
    value: Tensor
    reweighting: str
    scale: Optional[float]
    parameters: str
    learned: Optional[Tensor]


def is_given(scale: Optional[Number], parameters: Dict[str, Number]) -> bool:
    return isinstance(scale, Tensor) or any(isinstance(x, Tensor) for x in parameters.values())


def is_of_heads(name: str, x: Tensor, heads: int) -> bool:
    """Whether a tensor holds a number for each head, rather than one."""
    if x.numel() == 1:
        return False
    if tuple(x.shape) != (heads,):
        raise ArgumentError(
            f"attend: {name} has shape {list(x.shape)}: expected one number, or [{heads}], one for each head")
    return True


def prepared(query: Tensor, key: Tensor, value: Tensor, reweighting: str, scale: Optional[Number],
             parameters: Dict[str, Number]) -> Prepared:
    """A scale multiplies the queries."""
    heads = query.shape[1] if query.dim() > 1 else 1
    if reweighting in _MAPPED and any(isinstance(x, Tensor) for x in (scale, parameters.get("feature_offset"))):
        query, key, value, reweighting, parameters = _mapped(query, key, value, reweighting, parameters)
        scale = 1.0 if scale is None else scale
    if isinstance(scale, Tensor):
        each = is_of_heads("scale", scale, heads)
        if query.dtype in _HALF:  # the products are not to be rounded
            query, key, value = query.float(), key.float(), value.float()
        query = query * scale.to(query.dtype).reshape((1, heads, 1, 1) if each else ())
        scale = 1.0
    tensor = None
    if any(isinstance(x, Tensor) for x in parameters.values()):
        each = any([isinstance(x, Tensor) and is_of_heads(name, x, heads) for name, x in parameters.items()])
        numbers = [torch.as_tensor(x, dtype=torch.double, device=query.device) for x in parameters.values()]
        tensor = torch.stack([x.reshape(-1).expand(heads) if each else x.reshape(()) for x in numbers])
        text = ",".join(parameters)
    else:
        text = text_of(parameters)
    return Prepared(query, key, value, reweighting, scale, text, tensor)


def text_of(parameters: Dict[str, float]) -> str:
    return ",".join([f"{name}={float(x)!r}" for name, x in parameters.items()])


def _mapped(query: Tensor, key: Tensor, value: Tensor, reweighting: str,
            parameters: Dict[str, Number]) -> Tuple[Tensor, Tensor, Tensor, str, Dict[str, Number]]:
    plain, feature = _MAPPED[reweighting]
    query, key = feature(query), feature(key)
    if feature is torch.relu:
        parameters = dict(parameters)
        offset = parameters.pop("feature_offset", RELU_OFFSET)
        if isinstance(offset, Tensor):
            each = is_of_heads("feature_offset", offset, query.shape[1])
            offset = offset.to(query.dtype).reshape((1, -1, 1, 1) if each else ())
            if each:  # a key that heads share has another offset in each
                share = query.shape[1] // key.shape[1]
                key, value = key.repeat_interleave(share, 1), value.repeat_interleave(share, 1)
        query, key = query + offset, key + offset
    return query, key, value, plain, parameters
