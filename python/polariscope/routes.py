"""PyTorch's own attention functions, computed by attend().

Each takes the arguments of the function that it stands for. NotRouted says why a call cannot be expressed.
"""

import math

import torch
import torch.nn.functional as F

from .operator import attend


class NotRouted(Exception):
    """The reason, in words."""


def _additive(mask, dtype, hidden_where):
    """The mask as something to add to the scores; a bool mask hides where it equals `hidden_where`."""
    if mask.dtype == torch.uint8:
        mask = mask.to(torch.bool)
    if mask.dtype == torch.bool:
        hidden = mask if hidden_where else ~mask
        return torch.zeros(mask.shape, dtype=dtype).masked_fill(hidden, float("-inf"))
    if not mask.is_floating_point():
        raise NotRouted(f"a mask of type {mask.dtype}")
    # The least finite number is how some models write "hidden"; as a score it would drown the logits' statistics.
    # A row with nothing else keeps it: to PyTorch it is a uniform row.
    hidden = mask <= torch.finfo(mask.dtype).min / 2
    if hidden.any() and not hidden.all(-1).any():
        mask = mask.masked_fill(hidden, float("-inf"))
    return mask


def _check(query, key, value, dropout):
    if dropout > 0.0:
        raise NotRouted(f"dropout {dropout:g} of the weights")
    for tensor in (query, key, value):
        if tensor.device.type != "cpu":
            raise NotRouted(f"tensors on {tensor.device.type}")
        if tensor.is_nested:
            raise NotRouted("nested tensors")
        if not 2 <= tensor.dim() <= 4 or tensor.dim() != query.dim():
            raise NotRouted(f"tensors of {query.dim()}, {key.dim()} and {value.dim()} dimensions")


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None,
                                 enable_gqa=False):
    """As torch.nn.functional.scaled_dot_product_attention of PyTorch 2."""
    _check(query, key, value, dropout_p)
    dimensions = query.dim()
    # [queries, width] and [batch, queries, width] have one head.
    for _ in range(4 - dimensions):
        query, key, value = (tensor.unsqueeze(-3) for tensor in (query, key, value))
        attn_mask = attn_mask.unsqueeze(-3) if attn_mask is not None and attn_mask.dim() > 2 else attn_mask
    queries, keys = query.shape[2], key.shape[2]
    bias = None
    if attn_mask is not None:
        if attn_mask.dim() > 4 or is_causal:
            raise NotRouted("a mask of more than four dimensions" if attn_mask.dim() > 4 else "a mask beside is_causal")
        bias = _additive(attn_mask, query.dtype, hidden_where=False)
        bias = bias.reshape((1,) * (4 - bias.dim()) + tuple(bias.shape))
    elif is_causal and queries != keys:
        # PyTorch aligns the first query with the first key, attend() the last with the last.
        seen = torch.ones(queries, keys, dtype=torch.bool).tril()
        bias = _additive(seen, query.dtype, hidden_where=False)[None, None]
        is_causal = False
    output, _ = attend(query, key, value, scale=scale, causal=is_causal, bias=bias, statistics=None)
    for _ in range(4 - dimensions):
        output = output.squeeze(-3)
    return output


def old_scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, need_attn_weights=False,
                                     is_causal=False):
    """As torch.nn.functional._scaled_dot_product_attention of PyTorch 1.13: output and weights."""
    output = scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal)
    if not need_attn_weights:
        return output, None
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores + _additive(attn_mask, scores.dtype, hidden_where=False)
    return output, scores.softmax(-1)


def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias,
                                 bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias,
                                 training=True, key_padding_mask=None, need_weights=True, attn_mask=None,
                                 use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None,
                                 v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True,
                                 is_causal=False):
    """As torch.nn.functional.multi_head_attention_forward, which torch.nn.MultiheadAttention calls."""
    if static_k is not None or static_v is not None:
        raise NotRouted("static keys or values")
    if is_causal and attn_mask is None:
        raise NotRouted("is_causal without its mask")
    _check(query, key, value, dropout_p if training else 0.0)
    is_batched = query.dim() == 3
    if not is_batched:
        query, key, value = (tensor.unsqueeze(1) for tensor in (query, key, value))
        key_padding_mask = key_padding_mask.unsqueeze(0) if key_padding_mask is not None else None
    queries, batch, width = query.shape
    if width != embed_dim_to_check or width % num_heads != 0:
        raise NotRouted(f"a width of {width}")

    if use_separate_proj_weight:
        biases = in_proj_bias.chunk(3) if in_proj_bias is not None else (None, None, None)
        q, k, v = F._in_projection(query, key, value, q_proj_weight, k_proj_weight, v_proj_weight, *biases)
    else:
        q, k, v = F._in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)

    # One more key each, that no mask hides.
    more = 0
    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.repeat(1, batch, 1)])
        v = torch.cat([v, bias_v.repeat(1, batch, 1)])
        more += 1
    if add_zero_attn:
        zeros = torch.zeros(1, batch, width, dtype=k.dtype)
        k, v = torch.cat([k, zeros]), torch.cat([v, zeros])
        more += 1

    bias = None
    if attn_mask is not None:
        if tuple(attn_mask.shape) not in {(queries, key.shape[0]), (batch * num_heads, queries, key.shape[0])}:
            raise NotRouted(f"a mask of shape {tuple(attn_mask.shape)}")
        bias = F.pad(_additive(attn_mask, q.dtype, hidden_where=True), (0, more))
        bias = bias[None, None] if bias.dim() == 2 else bias.view(batch, num_heads, queries, -1)
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, key.shape[0]):
            raise NotRouted(f"a key padding mask of shape {tuple(key_padding_mask.shape)}")
        padding = F.pad(_additive(key_padding_mask, q.dtype, hidden_where=True), (0, more))[:, None, None]
        bias = padding if bias is None else bias + padding

    # [sequence, batch, width] to [batch, heads, sequence, head width], without a copy
    q, k, v = (x.unflatten(-1, (num_heads, width // num_heads)).permute(1, 2, 0, 3) for x in (q, k, v))
    output, _ = attend(q, k, v, bias=bias, statistics=None)
    output = output.permute(2, 0, 1, 3).reshape(queries * batch, width)
    output = F.linear(output, out_proj_weight, out_proj_bias).view(queries, batch, -1)
    weights = None
    if need_weights:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        weights = (scores if bias is None else scores + bias).softmax(-1)
        weights = weights.mean(dim=1) if average_attn_weights else weights
    if not is_batched:
        output = output.squeeze(1)
        weights = weights.squeeze(0) if weights is not None else None
    return output, weights
