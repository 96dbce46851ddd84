"""A call of transformers' attention interface in the words of attend(): function(module, query, key, value, mask, ...)
as ALL_ATTENTION_FUNCTIONS holds them. What each of its implementations makes of mask and keywords is told apart.
"""

import sys
from typing import Optional

import torch
from torch import Tensor

from . import callers, calls, masks
from .calls import NotSeen, Scores

# They say what a caller wants besides, or how its inputs lie, and change no number of an attention that has its mask.
_WITHOUT_EFFECT = {
    "position_ids", "use_cache", "cache_position", "past_key_values", "cache", "layer_idx", "return_dict", "labels",
    "output_attentions", "output_hidden_states", "output_router_logits", "num_items_in_batch", "logits_to_keep",
    "deterministic", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "encoder_hidden_states",
    "encoder_attention_mask", "token_type_ids", "input_shape", "inputs_embeds", "kernel_options", "return_loss",
    "is_cross_attention", "layer_type", "training", "synced_gpus", "max_seqlen", "seq_idx",
}


def of_module(module: torch.nn.Module) -> str:
    return type(module).__name__


def _refuse_unknown(module, others):
    for name, value in others.items():
        if name in _WITHOUT_EFFECT or value is None or value is False:
            continue
        raise NotSeen(f"{of_module(module)} gives the keyword {name}, whose effect is not known")
    lengths = others.get("cu_seq_lens_q")
    if lengths is not None and len(lengths) > 2:
        raise NotSeen(f"{of_module(module)} gives packed sequences by cu_seq_lens_q without a mask")


def _columns(mask: Optional[Tensor], keys: int) -> Optional[Tensor]:
    if mask is not None and mask.dim() != 4:
        raise NotSeen(f"a mask of {mask.dim()} dimensions")
    return mask if mask is None or mask.shape[-1] == keys else mask[..., :keys]


def _bias(mask: Optional[Tensor], dtype: torch.dtype):
    """An additive or boolean mask as a bias, rows that become uniform, and a note. Layers share a mask: what becomes of
    it is found once."""
    if mask is None:
        return masks.Bias(None)

    def read():
        additive = masks.additive(mask, dtype, hidden_where=False)
        return masks.Bias(additive) if additive is not mask else masks.read(mask, torch.finfo(torch.float32).eps)

    return read() if calls.is_compiling() else masks.remembered(mask, f"bias {dtype}", read)


def _lower(queries: int, keys: int, like: Tensor) -> Tensor:
    """The causal mask whose first query sees the first key alone, as a bias."""
    seen = torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril()
    return masks.additive(seen, like.dtype, hidden_where=False)[None, None]


def _form(softcap, sink, bias):
    """Name, parameters and sink of the re-weighting."""
    if softcap is not None and sink is not None:
        raise NotSeen("softcap and s_aux together")
    if softcap is not None:
        if bias is not None and bool(((bias != 0) & (bias > float("-inf"))).any()):
            raise NotSeen("softcap together with a bias that is added after it")
        return "softcap", {"transform_factor": float(softcap)}, None
    if sink is not None:
        return "sink", {}, sink.reshape(-1)
    return "softmax", {}, None


def read(implementation: str, module, query: Tensor, key: Tensor, value: Tensor, attention_mask=None, *,
         dropout: float = 0.0, scaling: Optional[float] = None, is_causal: Optional[bool] = None,
         softcap: Optional[float] = None, s_aux: Optional[Tensor] = None, sliding_window: Optional[int] = None,
         position_bias: Optional[Tensor] = None, **others) -> Scores:
    """Scores of the call, on any device. NotSeen says what of it is not known to change the result as expected.

    implementation: "polariscope" and "sdpa" are causal where they have no mask but module.is_causal or `is_causal`,
    with the first query at the first key; "eager" and "flex_attention" then see all keys.
    """
    _refuse_unknown(module, others)
    queries, keys = query.shape[2], key.shape[2]
    compiling = calls.is_compiling()  # then nobody listens
    where = callers.Positions(same=False) if compiling else callers.positions(module, queries, keys)
    note = calls.DROPOUT if dropout else ""
    causal, window, pattern, uniform = False, None, None, None
    if implementation == "flex_attention" and attention_mask is not None and not isinstance(attention_mask, Tensor):
        attention_mask = _dense(attention_mask, query, key)
    elif implementation == "eager" and attention_mask is not None and not attention_mask.is_floating_point():
        attention_mask = attention_mask.to(query.dtype)  # it is added, as 1 and 0
    elif implementation not in ("polariscope", "sdpa", "eager", "flex_attention"):
        raise NotSeen(f"attention implementation {implementation}")
    if implementation == "sdpa":
        s_aux = sliding_window = None  # it does not feel them
    if attention_mask is None and implementation in ("polariscope", "sdpa"):
        causal = queries > 1 and (getattr(module, "is_causal", True) if is_causal is None else bool(is_causal))
        if implementation == "polariscope" and sliding_window is not None and keys > sliding_window:
            if not causal and queries > 1:
                raise NotSeen("a sliding window without a mask where attention is not causal")
            causal, window = True, sliding_window
    elif implementation == "polariscope" and not compiling:
        pattern = masks.pattern(attention_mask)
    mask = _columns(attention_mask, keys)
    if position_bias is not None:
        position_bias = position_bias[..., :keys]

    if pattern is not None:
        bias, causal, window, seen = pattern.bias(query.dtype), pattern.causal, pattern.window, pattern.keys
        padding = pattern.padding
    else:
        bias, uniform, of_mask = _bias(mask, query.dtype)
        note, seen = note or of_mask, keys
        padding = None if mask is None or compiling else masks.remembered(
            mask, "hidden columns", lambda: masks.hidden_columns(mask))
        if causal and 1 < queries < keys:
            seen = queries  # after them is a cache's room
        elif causal and queries > keys:
            bias, causal = _lower(queries, keys, query), False
    if seen < keys:
        key = key[:, :, :seen]
        bias, position_bias = (x if x is None else x[..., :seen] for x in (bias, position_bias))
    reweighting, parameters, sink = _form(softcap, s_aux, bias if position_bias is None else position_bias)
    if position_bias is not None:
        bias = position_bias if bias is None else position_bias + bias
    if uniform is not None:
        query = query.masked_fill(uniform, 0.0)
    real = None
    if where.same and padding is not None:
        first = where.query - where.key
        if padding.shape[-1] >= first + queries:
            real = ~padding[:, first:first + queries]
    return Scores(query, key, scaling, causal, bias, None, note, window, reweighting, parameters, sink, real,
                  where.key, where.query)


def _dense(block_mask, query: Tensor, key: Tensor) -> Tensor:
    """A FlexAttention BlockMask as a boolean mask."""
    from torch.nn.attention.flex_attention import create_mask

    batch, heads = block_mask.shape[0], block_mask.shape[1]
    return create_mask(block_mask.mask_mod, batch, heads, query.shape[2], key.shape[2], device=query.device)


def asked_for_weights(module, keywords) -> bool:
    """Whether the model is to return its weights. Not every model tells its attention so: transformers collects them by
    hooks, while a variable of its own says what for."""
    if keywords.get("output_attentions"):
        return True
    capturing = sys.modules.get("transformers.utils.output_capturing")
    collector = getattr(capturing, "_active_collector", None)
    collected = collector.get() if collector is not None and not calls.is_compiling() else None
    if collected is not None:
        return any(str(name).endswith("attentions") for name in collected)
    return bool(getattr(getattr(module, "config", None), "output_attentions", False))
