"""What a watch saw."""

import threading
from collections import Counter
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from . import record_file, rows
from .rows import RowStatistics

_lock = threading.Lock()  # calls come from several threads
# The usual sink is the first key that a row sees: in a padded batch that of position 0 is padding.
COLUMNS = {"entropy": "entropy", "maximum": "maximum", "first_visible_key": "sink mass",
           "logit_variance": "logit variance"}
MEANS = (*COLUMNS, "first_key")


def to_numpy(x) -> np.ndarray:
    return x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)


class Call(NamedTuple):
    """One attention of a layer."""

    layer: str  # name of the module that called
    index: int  # 0 for the first call of that layer
    reweighting: str
    statistics: RowStatistics  # [batch, heads, queries] each
    real: Any = None  # [batch or 1, queries], False where a query is padding; None: all are real
    key_position: int = 0  # in the sequence, of key 0: not 0 where a cache has dropped keys
    query_position: int = 0  # of query 0: what a cache held before

    def rows(self) -> np.ndarray:
        """[batch, heads, queries]: those that are no padding and see a key."""
        seen = to_numpy(self.statistics.visible) > 0
        return seen if self.real is None else seen & to_numpy(self.real)[:, None]


class Record:
    """Calls in their order, and notes: what was not seen, or not seen as it is written. In a notebook it shows itself
    as a map of layers and heads."""

    def __init__(self, statistics="all", detach=True):
        self.calls: List[Call] = []
        self.notes: Counter = Counter()  # (layer, what is to be said): how often
        self._statistics = statistics
        self._detach = detach
        self._counts: Counter = Counter()
        self._seen: set = set()  # layers that were told of, noted ones too; clear() leaves it
        self._names_of: Dict[str, List[str]] = {}
        rows.names("softmax", statistics)  # a wrong name raises here

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
        """By layer and head, over the rows of all calls that see a key and are no padding: the mean entropy, maximum,
        first_visible_key (the sink), logit_variance and first_key (of position 0, seen or not), as far as recorded."""
        sums: Dict[Tuple[str, int], Counter] = {}
        counts: Dict[Tuple[str, int], Counter] = {}
        for call in list(self.calls):
            counted = call.rows()
            for name in MEANS:
                values = getattr(call.statistics, name)
                if values is None:
                    continue
                totals = np.where(counted, to_numpy(values).astype(np.float64), 0.0).sum((0, 2))
                for head, (total, count) in enumerate(zip(totals.tolist(), counted.sum((0, 2)).tolist())):
                    sums.setdefault((call.layer, head), Counter())[name] += total
                    counts.setdefault((call.layer, head), Counter())[name] += count
        return {place: {name: total / counts[place][name] if counts[place][name] else float("nan")
                        for name, total in of_place.items()}
                for place, of_place in sums.items()}

    def table(self, statistic: str = "entropy") -> Tuple[List[str], np.ndarray]:
        """Layers, and the means of one statistic of means() [layers, heads]; NaN where a layer has fewer heads."""
        if statistic not in MEANS:
            raise ValueError(f"record: statistic {statistic!r}: expected one of {', '.join(MEANS)}")
        means = self.means()
        layers = list(dict.fromkeys(layer for layer, _ in means))
        heads = 1 + max((head for _, head in means), default=-1)
        found = np.full((len(layers), heads), np.nan)
        for (layer, head), values in means.items():
            found[layers.index(layer), head] = values.get(statistic, np.nan)
        return layers, found

    def summary(self) -> str:
        """A table: one line for each layer and head, then the notes."""
        means = self.means()
        wide = max([len("layer")] + [len(layer) for layer, _ in means])
        lines = [f"{'layer':<{wide}}  head" + "".join(f"  {title:>14}" for title in COLUMNS.values())]
        for (layer, head), values in means.items():
            cells = (f"  {values[name]:>14.4g}" if name in values else f"  {'-':>14}" for name in COLUMNS)
            lines.append(f"{layer:<{wide}}  {head:>4}" + "".join(cells))
        if not self.calls:
            lines.append("no attention was seen: docs/pytorch.md says what can be")
        return "\n".join(lines + self.said())

    def said(self) -> List[str]:
        """The notes, a line each."""
        return [f"{layer}: {what}" + (f" ({count} calls)" if count > 1 else "")
                for (layer, what), count in list(self.notes.items())]

    def __str__(self):
        return self.summary()

    def _repr_html_(self):
        from . import record_views
        return record_views.html(self)

    def plot(self, statistic: str = "entropy", ax=None):
        """A map of layers and heads, of one statistic of means(), with matplotlib; returns its axes."""
        from . import record_views
        return record_views.plot(self, statistic, ax)

    def to_pandas(self, rows: bool = False):
        """The means as a table, a line for each layer and head; rows=True: a line for each row of each call."""
        from . import record_views
        return record_views.to_pandas(self, rows)

    def tokens(self, ids, tokenizer=None, sequence: int = 0) -> List[Dict[str, Any]]:
        """What each query's attention was, in the order of positions: of each that was recorded its position, token,
        mean entropy over layers and heads, the position and token of its sink (the key that most of them look at most)
        and the mean weight that it gets from those. ids: of the whole sequence, as generate() returns it."""
        from . import record_views
        return record_views.tokens(self, ids, tokenizer, sequence)

    def save(self, path) -> None:
        """Writes calls and notes: a safetensors file that docs/python.md describes."""
        record_file.save(self, path)

    @classmethod
    def load(cls, path) -> "Record":
        """What save() wrote; statistics are NumPy arrays."""
        found = cls()
        found.calls, found.notes = record_file.load(path, Call)
        return found

    def _names(self, reweighting):
        """`visible` is always there: it tells the rows without a key from those that see one alone."""
        if reweighting not in self._names_of:
            asked = rows.names(reweighting, self._statistics)
            self._names_of[reweighting] = [name for name in RowStatistics._fields if name == "visible" or name in asked]
        return self._names_of[reweighting]

    def _add(self, layer, scores, found):
        rows = {name: getattr(found, name) for name in self._names(scores.reweighting)}
        if self._detach:
            rows = {name: x.detach().clone() for name, x in rows.items()}
        with _lock:
            self.calls.append(Call(layer, self._counts[layer], scores.reweighting, RowStatistics(**rows), scores.real,
                                   scores.key_position, scores.query_position))
            self._counts[layer] += 1
            self._seen.add(layer)

    def _note(self, layer, what):
        with _lock:
            self.notes[layer, what] += 1
            self._seen.add(layer)

    def _told(self) -> set:
        return set(self._seen)
