"""PyTorch's attention functions in the words of attend(): what their statistics are computed from.

Each takes the arguments of the function that it is named after. NotSeen says why a call cannot be expressed.
"""

from typing import Dict, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from . import masks, tensors

_transforms = torch._C._functorch


DROPOUT = "dropout of weights: the statistics are of the weights before it"


class NotSeen(Exception):
    """The reason, in words."""


class Scores(NamedTuple):
    """Of a softmax attention: attend()'s arguments, without values."""

    query: Tensor  # [batch, heads, queries, width]
    key: Tensor
    scale: Optional[float] = None
    causal: bool = False
    bias: Optional[Tensor] = None
    key_lengths: Optional[Tensor] = None
    note: str = ""
    window: Optional[int] = None
    reweighting: str = "softmax"
    parameters: Dict[str, float] = {}
    sink: Optional[Tensor] = None
    real: Optional[Tensor] = None  # [batch, queries], False where a query is padding
    key_position: int = 0  # of the first key in its sequence
    query_position: int = 0


is_compiling = torch.compiler.is_compiling


def in_transform():
    """Whether vmap, grad or another of PyTorch's function transforms is running."""
    return _transforms.peek_interpreter_stack() is not None


def attend(scores, value, statistics):
    """polariscope.attend of what was read."""
    return tensors.attend(scores.query, scores.key, value, scores.reweighting, scale=scores.scale,
                          causal=scores.causal, window=scores.window, bias=scores.bias, sink=scores.sink,
                          key_lengths=scores.key_lengths, statistics=statistics, **scores.parameters)


def plain(tensor):
    """The tensor that attend() can read."""
    while _transforms.is_functorch_wrapped_tensor(tensor):
        if not _transforms.is_gradtrackingtensor(tensor):
            raise NotSeen("tensors inside vmap")
        tensor = _transforms.get_unwrapped(tensor)
    if type(tensor) not in (Tensor, torch.nn.Parameter):
        raise NotSeen(f"tensors of type {type(tensor).__name__}")
    if tensor.is_nested or tensor.layout != torch.strided:
        raise NotSeen("tensors that are not dense")
    if not tensor.is_floating_point() and tensor.dtype not in (torch.bool, torch.uint8):
        raise NotSeen(f"tensors of type {tensor.dtype}")
    return tensor


def _scores(query, key, mask, same=True, **others):
    """Scores under an additive mask of up to four dimensions. same: queries may be of the keys' own sequence."""
    if mask is None:
        return Scores(query, key, **others)
    computed = torch.float64 if query.dtype == torch.float64 else torch.float32
    bias, uniform, note = masks.read(mask, torch.finfo(computed).eps)
    padding = masks.hidden_columns(mask) if same and query.shape[2] == key.shape[2] else None
    if uniform is not None:
        query = query.masked_fill(uniform, 0.0)
    return Scores(query, key, bias=bias, note=note, real=None if padding is None else ~padding, **others)


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None,
                                 enable_gqa=False):
    query, key = plain(query), plain(key)
    if not 2 <= query.dim() <= 4 or key.dim() != query.dim():
        raise NotSeen(f"tensors of {query.dim()} and {key.dim()} dimensions")
    common = torch.promote_types(query.dtype, key.dtype)  # under autocast they differ
    query, key = query.to(common), key.to(common)
    mask = attn_mask
    if mask is not None:
        mask = masks.additive(plain(mask), common, hidden_where=False)
    # [queries, width] and [batch, queries, width] have one head.
    for _ in range(4 - query.dim()):
        query, key = query.unsqueeze(-3), key.unsqueeze(-3)
        mask = mask.unsqueeze(-3) if mask is not None and mask.dim() > 2 else mask
    batch = max(query.shape[0], key.shape[0])
    query, key = (x.expand(batch, -1, -1, -1) if x.shape[0] == 1 else x for x in (query, key))
    if is_causal and query.shape[2] != key.shape[2]:
        # PyTorch aligns the first query with the first key, attend() the last with the last.
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
        seen = masks.additive(seen, common, hidden_where=False)
        mask, is_causal = seen if mask is None else mask + seen, False
    if mask is not None:
        if mask.dim() > 4:
            raise NotSeen("a mask of more than four dimensions")
        mask = mask.reshape((1,) * (4 - mask.dim()) + tuple(mask.shape))
    found = _scores(query, key, mask, scale=scale, causal=is_causal)
    return found._replace(note=found.note or (DROPOUT if dropout_p else ""))


def unpacked(scores, module):
    """transformers 5 lays the query heads that share a key out as queries where there is one query, so that no key need
    be repeated: [batch, key heads, group, width]. The heads of `module`, which calls, as heads again."""
    group = getattr(module, "num_key_value_groups", 1)
    heads = getattr(getattr(module, "config", None), "num_attention_heads", None)
    batch, packed, queries, width = scores.query.shape
    if group == 1 or queries != group or packed != scores.key.shape[1] or packed * group != heads:
        return scores
    bias = scores.bias
    if bias is not None and max(bias.shape[1:3]) > 1:
        bias = bias.expand(-1, packed, group, -1).reshape(bias.shape[0], heads, 1, bias.shape[3])
    return scores._replace(query=scores.query.reshape(batch, heads, 1, width), bias=bias, real=None)


def _heads(x, count):
    """[sequence, batch, width] to [batch, heads, sequence, head width], without a copy."""
    return x.unflatten(-1, (count, x.shape[-1] // count)).permute(1, 2, 0, 3)


def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias,
                                 bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias,
                                 training=True, key_padding_mask=None, need_weights=True, attn_mask=None,
                                 use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None,
                                 v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True,
                                 is_causal=False):
    """It does not always call scaled_dot_product_attention, so its first two projections are computed again."""
    if static_k is not None:
        raise NotSeen("static keys")
    own = query is key
    query, key = plain(query), plain(key)
    padding = key_padding_mask
    if query.dim() == 2:
        query, key = query.unsqueeze(1), key.unsqueeze(1)
        padding = padding.unsqueeze(0) if padding is not None else None
    if not use_separate_proj_weight:
        q_proj_weight, k_proj_weight, _ = in_proj_weight.chunk(3)
    q_bias, k_bias, _ = in_proj_bias.chunk(3) if in_proj_bias is not None else (None, None, None)
    q, k = F.linear(query, q_proj_weight, q_bias), F.linear(key, k_proj_weight, k_bias)

    # One more key each, that no mask hides.
    batch, more = query.shape[1], 0
    if bias_k is not None:
        k, more = torch.cat([k, bias_k.repeat(1, batch, 1)]), more + 1
    if add_zero_attn:
        k, more = torch.cat([k, k.new_zeros(1, batch, k.shape[-1])]), more + 1

    mask = None
    if attn_mask is not None:
        mask = F.pad(masks.additive(plain(attn_mask), q.dtype, hidden_where=True), (0, more))
        mask = mask[None, None] if mask.dim() == 2 else mask.unflatten(0, (batch, num_heads))
    if padding is not None:
        padding = F.pad(masks.additive(plain(padding), q.dtype, hidden_where=True), (0, more))[:, None, None]
        mask = padding if mask is None else mask + padding
    found = _scores(_heads(q, num_heads), _heads(k, num_heads), mask, same=own)
    return found._replace(note=found.note or (DROPOUT if dropout_p and training else ""))


def _native_multi_head_attention(query, key, value, embed_dim, num_head, qkv_weight, qkv_bias, proj_weight, proj_bias,
                                 mask=None, need_weights=True, average_attn_weights=True, mask_type=None):
    """What torch.nn.MultiheadAttention calls in evaluation: self-attention, of nested tensors too."""
    lengths = None
    if query.is_nested:
        lengths = torch.tensor([len(sequence) for sequence in query.unbind()], device=query.device)
        query = query.to_padded_tensor(0.0)
    query = plain(query)
    q_weight, k_weight, _ = qkv_weight.chunk(3)
    q_bias, k_bias, _ = qkv_bias.chunk(3)
    x = query.transpose(0, 1)
    q, k = _heads(F.linear(x, q_weight, q_bias), num_head), _heads(F.linear(x, k_weight, k_bias), num_head)
    if lengths is not None:
        # The padding's queries do not exist: no key for them.
        padding = torch.arange(q.shape[2], device=q.device) >= lengths[:, None]
        return Scores(q, k, bias=masks.additive(padding, q.dtype, hidden_where=True)[:, None, :, None],
                      key_lengths=lengths, real=~padding)
    if mask is None:
        return Scores(q, k)
    # [queries, keys], [batch, keys] or all four dimensions. Whatever is not zero hides, in a float mask too.
    hidden = plain(mask).to(torch.bool)
    graded = mask.is_floating_point() and (hidden & (mask > float("-inf"))).any()
    note = "PyTorch's fast path hides where its float mask is not 0" if graded else ""
    hidden = masks.additive(hidden, q.dtype, hidden_where=True)
    if mask.dim() == 2:
        hidden = hidden[:, None, None] if mask_type == 1 else hidden[None, None]
    padding = masks.hidden_columns(hidden)
    return Scores(q, k, bias=hidden, note=note, real=None if padding is None else ~padding)


def _transformer_encoder_layer_fwd(src, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, use_gelu,
                                   norm_first, eps, norm_weight_1, norm_bias_1, norm_weight_2, norm_bias_2,
                                   ffn_weight_1, ffn_bias_1, ffn_weight_2, ffn_bias_2, mask=None, mask_type=None):
    """What torch.nn.TransformerEncoderLayer calls in evaluation."""
    x = F.layer_norm(src, (embed_dim,), norm_weight_1, norm_bias_1, eps) if norm_first else src
    return _native_multi_head_attention(x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias,
                                        mask, mask_type=mask_type)
