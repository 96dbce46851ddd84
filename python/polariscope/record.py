"""What a watch saw."""

import threading
from collections import Counter
from typing import Dict, List, NamedTuple, Tuple

from . import operator
from .operator import RowStatistics

_lock = threading.Lock()  # calls come from several threads
_columns = (("entropy", "entropy"), ("maximum", "maximum"), ("first_key", "sink mass"),
            ("logit_variance", "logit variance"))


class Call(NamedTuple):
    layer: str  # name of the module that called
    index: int  # 0 for the first call of that layer
    reweighting: str
    statistics: RowStatistics  # [batch, heads, queries] each


class Record:
    """Calls in their order, and notes: what was not seen, or not seen as it is written."""

    def __init__(self, statistics="all", detach=True):
        self.calls: List[Call] = []
        self.notes: Counter = Counter()  # (layer, what is to be said): how often
        self._statistics = statistics
        self._detach = detach
        self._counts: Counter = Counter()
        self._names_of: Dict[str, List[str]] = {}
        operator._names("softmax", statistics, False)  # a wrong name raises here

    def layers(self) -> Dict[str, List[Call]]:
        found: Dict[str, List[Call]] = {}
        for call in self.calls:
            found.setdefault(call.layer, []).append(call)
        return found

    def __getitem__(self, layer: str) -> List[Call]:
        return self.layers()[layer]

    def clear(self):
        with _lock:
            self.calls.clear()
            self.notes.clear()
            self._counts.clear()

    def means(self) -> Dict[Tuple[str, int], Dict[str, float]]:
        """By layer and head, over the rows of all calls that see a key: the mean entropy, maximum, first_key and
        logit_variance, as far as recorded."""
        sums: Dict[Tuple[str, int], Counter] = {}
        counts: Dict[Tuple[str, int], Counter] = {}
        for call in list(self.calls):
            seen = call.statistics.visible > 0
            rows = seen.sum((0, 2)).tolist()
            for name, _ in _columns:
                values = getattr(call.statistics, name)
                if values is None:
                    continue
                totals = values.detach().double().masked_fill(~seen, 0.0).sum((0, 2)).tolist()
                for head, (total, count) in enumerate(zip(totals, rows)):
                    sums.setdefault((call.layer, head), Counter())[name] += total
                    counts.setdefault((call.layer, head), Counter())[name] += count
        return {place: {name: total / counts[place][name] if counts[place][name] else float("nan")
                        for name, total in of_place.items()}
                for place, of_place in sums.items()}

    def summary(self) -> str:
        """A table: one line for each layer and head, then the notes."""
        means = self.means()
        wide = max([len("layer")] + [len(layer) for layer, _ in means])
        lines = [f"{'layer':<{wide}}  head" + "".join(f"  {title:>14}" for _, title in _columns)]
        for (layer, head), values in means.items():
            cells = (f"  {values[name]:>14.4g}" if name in values else f"  {'-':>14}" for name, _ in _columns)
            lines.append(f"{layer:<{wide}}  {head:>4}" + "".join(cells))
        if not self.calls:
            lines.append("no attention was seen: docs/pytorch.md says what can be")
        lines += [f"{layer}: {what} ({count} calls)" for (layer, what), count in list(self.notes.items())]
        return "\n".join(lines)

    def __str__(self):
        return self.summary()

    def _names(self, reweighting):
        """`visible` is always there: it tells the rows without a key from those that see one alone."""
        if reweighting not in self._names_of:
            asked = operator._names(reweighting, self._statistics, False)
            self._names_of[reweighting] = [name for name in operator._names(reweighting, "all", True)
                                           if name == "visible" or name in asked]
        return self._names_of[reweighting]

    def _add(self, layer, reweighting, found):
        rows = {name: getattr(found, name) for name in self._names(reweighting)}
        if self._detach:
            rows = {name: x.detach().clone() for name, x in rows.items()}
        statistics = RowStatistics(**rows)
        with _lock:
            self.calls.append(Call(layer, self._counts[layer], reweighting, statistics))
            self._counts[layer] += 1

    def _note(self, layer, what):
        with _lock:
            self.notes[layer, what] += 1
