"""watch(): the statistics of a model's attention, without a change to the model."""

import functools
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import Dict, List, NamedTuple, Tuple

import torch
import torch.nn.functional as F

from . import operator, routes
from .operator import RowStatistics

_thread = threading.local()  # .inside: (record, layer) of the modules that run; .original: no call is routed
_watching = 0
_lock = threading.Lock()
_patches = ExitStack()


class Call(NamedTuple):
    layer: str  # name of the module that called
    index: int  # 0 for the first call of that layer
    reweighting: str
    statistics: RowStatistics  # [batch, heads, queries] each


class Record:
    """What was seen: calls in their order, and notes on those that PyTorch computed itself."""

    def __init__(self, statistics="all", detach=True):
        self.calls: List[Call] = []
        self.notes: Counter = Counter()  # (layer, reason): how often
        self._statistics = statistics
        self._detach = detach
        self._counts: Counter = Counter()

    def layers(self) -> Dict[str, List[Call]]:
        found: Dict[str, List[Call]] = {}
        for call in self.calls:
            found.setdefault(call.layer, []).append(call)
        return found

    def __getitem__(self, layer: str) -> List[Call]:
        return self.layers()[layer]

    def clear(self):
        self.calls.clear()
        self.notes.clear()
        self._counts.clear()

    def means(self) -> Dict[Tuple[str, int], Dict[str, float]]:
        """By layer and head, over the rows of all calls that see a key: the mean entropy, maximum, first_key and
        logit_variance, as far as recorded."""
        sums: Dict[Tuple[str, int], Counter] = {}
        for call in self.calls:
            s = call.statistics
            fields = {name: getattr(s, name) for name in ("entropy", "maximum", "first_key", "logit_variance")}
            fields = {name: rows.detach().double() for name, rows in fields.items() if rows is not None}
            if not fields:
                continue
            like = next(iter(fields.values()))
            seen = (s.visible > 0).double() if s.visible is not None else torch.ones_like(like)
            rows = seen.sum((0, 2)).tolist()
            totals = {name: torch.where(seen > 0, x, torch.zeros_like(x)).sum((0, 2)).tolist()
                      for name, x in fields.items()}
            for head, count in enumerate(rows):
                into = sums.setdefault((call.layer, head), Counter())
                into["rows"] += count
                for name, total in totals.items():
                    into[name] += total[head]
        return {place: {name: total / into["rows"] if into["rows"] > 0 else float("nan")
                        for name, total in into.items() if name != "rows"}
                for place, into in sums.items()}

    def summary(self) -> str:
        """A table: one line for each layer and head, then the notes."""
        columns = (("entropy", "entropy"), ("maximum", "maximum"), ("first_key", "sink mass"),
                   ("logit_variance", "logit variance"))
        means = self.means()
        wide = max([len("layer")] + [len(layer) for layer, _ in means])
        lines = [f"{'layer':<{wide}}  head" + "".join(f"  {title:>14}" for _, title in columns)]
        for (layer, head), values in means.items():
            cells = (f"  {values[name]:>14.4g}" if name in values else f"  {'-':>14}" for name, _ in columns)
            lines.append(f"{layer:<{wide}}  {head:>4}" + "".join(cells))
        for (layer, reason), count in self.notes.items():
            lines.append(f"not seen: {layer}, {count} calls with {reason}")
        return "\n".join(lines)

    def __str__(self):
        return self.summary()

    def _names(self, reweighting):
        has = operator._names(reweighting, "all", True)
        return [name for name in operator._names(reweighting, self._statistics, False) if name in has]

    def _add(self, layer, reweighting, statistics):
        if self._detach:
            statistics = RowStatistics(*(x.detach() if x is not None else None for x in statistics))
        self.calls.append(Call(layer, self._counts[layer], reweighting, statistics))
        self._counts[layer] += 1


def _places():
    """The innermost running module of each watch on this thread."""
    places = {}
    for record, layer in getattr(_thread, "inside", ()):
        places[id(record)] = (record, layer)
    return list(places.values())


class _Observer:
    """What attend() asks and tells."""

    @staticmethod
    def wanted(reweighting):
        return [name for record, _ in _places() for name in record._names(reweighting)]

    @staticmethod
    def see(reweighting, statistics):
        for record, layer in _places():
            names = record._names(reweighting)
            record._add(layer, reweighting, RowStatistics(**{name: getattr(statistics, name) for name in names}))


def _is_refusal(error):
    """Whether attend(), or the route's list of arguments, says no to the call."""
    if isinstance(error, TypeError):
        return error.__traceback__.tb_next is None  # raised by calling the route, not within it
    return str(error).startswith("attend: ")


def _routed(original, route):
    """`route` in place of `original` inside watched models; `original` where it cannot."""

    @functools.wraps(original)
    def call(*args, **kwargs):
        if not _places() or getattr(_thread, "original", False):
            return original(*args, **kwargs)
        why, fault = "", None
        try:
            return route(*args, **kwargs)
        except routes.NotRouted as reason:
            why = str(reason)
        except (RuntimeError, TypeError) as error:
            if _is_refusal(error):
                why = f"arguments that attend() refuses ({error})"
            else:
                fault = error
        _thread.original = True
        try:
            output = original(*args, **kwargs)  # of a mistake, its own words are the ones to raise
        finally:
            _thread.original = False
        if fault is not None:  # the original does it: out of memory, or a fault of ours
            raise fault
        for record, layer in _places():
            record.notes[layer, why] += 1
        return output

    return call


def _replace(stack, owner, name, value):
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _patch(stack):
    """Replaces PyTorch's attention functions until `stack` closes."""
    native = torch._C._nn
    for name, route in (("scaled_dot_product_attention", routes.scaled_dot_product_attention),
                        ("_scaled_dot_product_attention", routes.old_scaled_dot_product_attention)):
        if hasattr(F, name):
            replacement = _routed(getattr(F, name), route)
            for owner in (F, native):
                if hasattr(owner, name):
                    _replace(stack, owner, name, replacement)
    _replace(stack, F, "multi_head_attention_forward",
             _routed(F.multi_head_attention_forward, routes.multi_head_attention_forward))

    # In evaluation torch.nn's modules call one native function for the whole layer, unless told not to.
    mha = getattr(torch.backends, "mha", None)
    if hasattr(mha, "set_fastpath_enabled"):
        stack.callback(mha.set_fastpath_enabled, mha.get_fastpath_enabled())
        mha.set_fastpath_enabled(False)
    else:
        # Versions without the switch ask this, in those modules alone.
        original = torch.overrides.has_torch_function

        def has_torch_function(arguments):
            return bool(_places()) or original(arguments)

        _replace(stack, torch.overrides, "has_torch_function", has_torch_function)
    operator._observers.append(_Observer)
    stack.callback(operator._observers.remove, _Observer)


@contextmanager
def _patched():
    """Patches with the first watch, restores after the last."""
    global _watching
    with _lock:
        if _watching == 0:
            with ExitStack() as stack:
                _patch(stack)
                _patches.push(stack.pop_all())
        _watching += 1
    try:
        yield
    finally:
        with _lock:
            _watching -= 1
            if _watching == 0:
                _patches.close()


def _named_forward(module, record, name):
    original = module.forward

    @functools.wraps(original)
    def forward(*args, **kwargs):
        before = getattr(_thread, "inside", ())
        _thread.inside = before + ((record, name),)
        try:
            return original(*args, **kwargs)
        finally:
            _thread.inside = before

    return forward


def _restore(module, own):
    if own is None:
        del module.forward
    else:
        module.forward = own


@contextmanager
def watch(model: torch.nn.Module, *, statistics="all", detach: bool = True):
    """Records the statistics of every attention that `model` computes in this block.

        with polariscope.watch(model) as record:
            model(batch)
        print(record.summary())

    Seen are calls of torch.nn.functional.scaled_dot_product_attention, torch.nn.MultiheadAttention and
    polariscope.attend by the model or its submodules; a module that multiplies and takes softmax itself is not.
    What attend() cannot express is left to PyTorch, with a note in the record. Everything is put back at the end
    of the block, also after an exception. Blocks may be nested.

    statistics  names of RowStatistics' fields, or "all"
    detach      False keeps the graph, so that a loss can be made of what was seen
    """
    record = Record(statistics, detach)
    with _patched(), ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            own = module.__dict__.get("forward")
            module.forward = _named_forward(module, record, name or type(module).__name__)
            stack.callback(_restore, module, own)
        yield record
