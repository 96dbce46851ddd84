"""attn_implementation="polariscope": the attention function and the mask function behind that name."""

import threading
from contextlib import contextmanager

import torch
from torch import Tensor

from .. import calls, interface, masks, watching

NAME = "polariscope"
_BLOCK = 1 << 22  # weights at a time, where they are asked for
_thread = threading.local()  # .calls: of attention(), while somebody counts


@contextmanager
def counting():
    """Yields a list that has a module for each call of attention() on this thread."""
    before, _thread.calls = getattr(_thread, "calls", None), []
    try:
        yield _thread.calls
    finally:
        _thread.calls = before


def mask(batch_size, q_length, kv_length, q_offset=0, kv_offset=0, local_size=None, **arguments):
    """transformers' own mask [batch, 1, queries, keys], boolean, or None where there is nothing to hide beyond what
    is causal. What it hides is found out once, so that attention need not read it."""
    from transformers.masking_utils import sdpa_mask

    found = sdpa_mask(batch_size=batch_size, q_length=q_length, kv_length=kv_length, q_offset=q_offset,
                      kv_offset=kv_offset, local_size=local_size, **arguments)
    if found is not None and found.dtype == torch.bool and not calls.is_compiling():
        masks.mark(found, int(q_offset) - int(kv_offset), local_size)
    return found


def _weights(scores, heads) -> Tensor:
    """p [batch, heads, queries, keys], a block of rows at a time."""
    query, key = scores.query, scores.key
    batch, _, queries, _ = query.shape
    keys, group = key.shape[2], heads // key.shape[1]
    scale = query.shape[-1] ** -0.5 if scores.scale is None else scores.scale
    step = max(1, _BLOCK // max(1, batch * heads * keys))
    at = torch.arange(keys, device=query.device)
    blocks = []
    for first in range(0, queries, step):
        rows = query[:, :, first:first + step]
        z = torch.matmul(rows.unflatten(1, (-1, group)), key.unsqueeze(2).transpose(-1, -2)).flatten(1, 2) * scale
        z = z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
        if scores.bias is not None:
            bias = scores.bias if scores.bias.shape[2] == 1 else scores.bias[:, :, first:first + step]
            z = z + bias
        if scores.reweighting == "softcap":
            cap = scores.parameters["transform_factor"]
            z = torch.where(z == float("-inf"), z, cap * torch.tanh(z / cap))
        own = torch.arange(first, first + rows.shape[2], device=query.device)[:, None] + keys - queries
        if scores.causal:
            z = z.masked_fill(at > own, float("-inf"))
        if scores.window is not None:
            z = z.masked_fill(at <= own - scores.window, float("-inf"))
        if scores.sink is not None:
            sink = scores.sink.to(z.dtype)[None, :, None, None].expand(*z.shape[:3], 1)
            p = torch.cat([z, sink], -1).softmax(-1)[..., :-1]
        else:
            p = z.softmax(-1).nan_to_num(0.0) if scores.bias is not None else z.softmax(-1)
        blocks.append(p.to(query.dtype))
    return torch.cat(blocks, 2) if len(blocks) > 1 else blocks[0]


def _with_dropout(module, query, key, value, attention_mask, keywords):
    """transformers' sdpa function, which knows dropout."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if keywords.get("softcap") is not None or keywords.get("s_aux") is not None:
        raise ValueError(f"polariscope: {interface.of_module(module)} has dropout of attention weights together with "
                         "softcap or s_aux: set the configuration's attention_dropout to 0")
    return sdpa_attention_forward(module, query, key, value, attention_mask, **keywords)[0]


def _saved_by_hooks() -> bool:
    """Whether what backward needs is being packed away, as checkpointing does: it counts what is saved."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def attention(module, query, key, value, attention_mask=None, **keywords):
    """What transformers calls: query [batch, heads, queries, width], key and value [batch, key heads, keys, width];
    returns [batch, queries, heads, width] and the weights where they are asked for, else None. An open
    polariscope.watch() sees each call's statistics, which the same pass computes. ValueError names a keyword that is
    not known."""
    if getattr(_thread, "calls", None) is not None:
        _thread.calls.append(module)
    try:
        scores = interface.read(NAME, module, query, key, value, attention_mask, **keywords)
    except calls.NotSeen as reason:
        raise ValueError(f"polariscope: {reason}: load the model with attn_implementation=\"sdpa\" or \"eager\" and "
                         "watch it with polariscope.watch(model)") from reason
    listener = watching.Listener(scores.reweighting)
    dropout, listened = bool(keywords.get("dropout")), listener.names is not None
    together = listened and not dropout and not _saved_by_hooks()
    with watching.inside():
        if dropout:
            output = _with_dropout(module, query, key, value, attention_mask, keywords)
        else:
            seen = value[:, :, :scores.key.shape[2]]
            output, rows = calls.attend(scores, seen, listener.names if together else None)
            output = output.transpose(1, 2).contiguous()
    if together:
        listener.tell(scores, rows)
    elif listened:
        listener.see(scores)
    weights = None
    if interface.asked_for_weights(module, keywords):
        weights = _weights(scores, query.shape[1])
        if weights.shape[3] < key.shape[2]:
            weights = torch.nn.functional.pad(weights, (0, key.shape[2] - weights.shape[3]))
    return output, weights


attention.tells_polariscope = True
