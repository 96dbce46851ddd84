"""How a record, or an audit, shows itself: as a map in a notebook, a figure, a table, and token by token."""

import html as escape

import numpy as np

from . import record as records

_MANY = 40  # cells are narrower beyond


def _colour(share: float) -> str:
    """From pale to dark blue; text on it stays legible in both halves."""
    red, green, blue = (round(light + (dark - light) * share) for light, dark in ((247, 8), (251, 48), (255, 107)))
    return f"background:rgb({red},{green},{blue});color:{'#fff' if share > 0.5 else '#111'}"


def _map(record, statistic: str) -> str:
    layers, values = record.table(statistic)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    lines = []
    for layer, row in zip(layers, values):
        cells = []
        for value in row:
            share = (value - low) / (high - low) if high > low else 0.0
            style = _colour(share) if np.isfinite(value) else ""
            shown = f"{value:.2f}" if np.isfinite(value) else ""
            cells.append(f'<td style="{style};padding:1px 4px;text-align:right">{shown}</td>')
        lines.append(f'<tr><th style="text-align:left;font-weight:normal">{escape.escape(layer)}</th>'
                     + "".join(cells) + "</tr>")
    heads = "".join(f"<th>{head}</th>" for head in range(values.shape[1]))
    title = records.COLUMNS.get(statistic, statistic)
    return (f'<table style="border-collapse:collapse;font:11px monospace"><caption>{title}, '
            f"layers and heads</caption><tr><th></th>{heads}</tr>{''.join(lines)}</table>")


def maps(record, statistics) -> str:
    return "".join(f'<div style="display:inline-block;margin-right:2em;vertical-align:top">{_map(record, name)}</div>'
                   for name in statistics)


def html(record) -> str:
    if not record.calls:
        body = "<p>no attention was seen</p>"
    else:
        shown = {name for call in record.calls for name, x in call.statistics._asdict().items() if x is not None}
        body = maps(record, [name for name in ("entropy", "first_visible_key") if name in shown])
    notes = "".join(f"<li>{escape.escape(line)}</li>" for line in record.said())
    return body + (f"<ul>{notes}</ul>" if notes else "")


def plot(record, statistic, ax):
    import matplotlib.pyplot as plt

    layers, values = record.table(statistic)
    if not layers:
        raise ValueError("record: nothing to plot: no attention was seen")
    if ax is None:
        _, ax = plt.subplots(figsize=(2.5 + 0.4 * values.shape[1], 1.5 + 0.2 * len(layers)), layout="constrained")
    image = ax.imshow(values, aspect="auto", cmap="Blues", origin="lower")
    ax.figure.colorbar(image, ax=ax, label=records.COLUMNS.get(statistic, statistic))
    ax.set_xlabel("head")
    ax.set_ylabel("layer")
    if len(layers) <= _MANY and max(map(len, layers)) <= 24:
        ax.set_yticks(range(len(layers)), layers, fontsize=7)
    return ax


def to_pandas(record, rows):
    import pandas

    if not rows:
        return pandas.DataFrame([{"layer": layer, "head": head, **values}
                                 for (layer, head), values in record.means().items()])
    parts = []
    for call in record.calls:
        counted = call.rows()
        batch, head, query = (axis.ravel() for axis in np.indices(counted.shape))
        part = {"layer": call.layer, "call": call.index, "sequence": batch, "head": head,
                "position": query + call.query_position, "real": counted.ravel()}
        for name, x in call.statistics._asdict().items():
            if x is not None and x.shape == counted.shape:
                part[name] = records.to_numpy(x).ravel()
        parts.append(pandas.DataFrame(part))
    return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame()


def _text(tokenizer, ids, position):
    if position < 0 or position >= len(ids):
        return ""
    return tokenizer.decode([ids[position]]) if tokenizer is not None else str(ids[position])


def tokens(record, ids, tokenizer, sequence):
    ids = records.to_numpy(ids)
    ids = [int(i) for i in (ids[sequence] if ids.ndim == 2 else ids)]
    entropies, looked = {}, {}  # by position: of all layers and heads; (key's position, weight)
    for call in record.calls:
        found = call.statistics
        if found.entropy is None or found.argmax is None or found.maximum is None:
            raise ValueError("record: tokens() needs the statistics entropy, argmax and maximum: watch with them")
        entropy, key, weight, counted = (records.to_numpy(x)[sequence]
                                         for x in (found.entropy, found.argmax, found.maximum, call.rows()))
        for query in range(entropy.shape[1]):
            here = counted[:, query]
            position = call.query_position + query
            entropies.setdefault(position, []).extend(entropy[here, query].tolist())
            looked.setdefault(position, []).extend(
                zip((key[here, query] + call.key_position).tolist(), weight[here, query].tolist()))
    lines = []
    for position in sorted(place for place, values in entropies.items() if values):
        keys = [key for key, _ in looked[position]]
        sink = max(set(keys), key=lambda key: (keys.count(key), -key))
        weights = [weight for key, weight in looked[position] if key == sink]
        lines.append({"position": position, "token": _text(tokenizer, ids, position),
                      "entropy": float(np.mean(entropies[position])), "sink_position": sink,
                      "sink": _text(tokenizer, ids, sink), "sink_mass": float(np.mean(weights)),
                      "sink_share": len(weights) / len(keys)})
    return lines
