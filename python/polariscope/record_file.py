"""A record as a file: safetensors, whose metadata says what each array is. docs/python.md describes it; version 1.

    metadata  "polariscope.record": "1"
              "calls": JSON, a list of objects with layer, index, reweighting, key_position, query_position
              "notes": JSON, a list of [layer, what, count]
    arrays    "CALL/NAME", CALL counting from 0, NAME a field of RowStatistics or "real"; little endian
"""

import json
from collections import Counter

import numpy as np

from .rows import RowStatistics

VERSION = "1"
_TYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "BOOL": "|b1"}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_KEPT = ("layer", "index", "reweighting", "key_position", "query_position")


def _arrays(record):
    for index, call in enumerate(record.calls):
        for name, x in [*call.statistics._asdict().items(), ("real", call.real)]:
            if x is not None:
                x = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
                yield f"{index}/{name}", np.ascontiguousarray(x)


def save(record, path) -> None:
    header = {"__metadata__": {
        "polariscope.record": VERSION,
        "calls": json.dumps([{name: getattr(call, name) for name in _KEPT} for call in record.calls]),
        "notes": json.dumps([[*place, count] for place, count in record.notes.items()])}}
    arrays, end = dict(_arrays(record)), 0
    for name, x in arrays.items():
        begin, end = end, end + x.nbytes
        header[name] = {"dtype": _NAMES[x.dtype.newbyteorder("<")], "shape": list(x.shape),
                        "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for x in arrays.values():
            file.write(x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes())


def _fail(path, what):
    raise ValueError(f"record: {path} is no record that this version reads: {what}")


def load(path, call_type):
    """Its calls and notes."""
    with open(path, "rb") as file:
        content = file.read()
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= size <= len(content) - 8:
        _fail(path, "it is no safetensors file")
    try:
        header = json.loads(content[8:8 + size])
        about = header.pop("__metadata__")
        version = about["polariscope.record"]
    except (ValueError, KeyError, TypeError, AttributeError):
        _fail(path, "it has no metadata polariscope.record")
    if version != VERSION:
        _fail(path, f"version {version}, expected {VERSION}")
    data = memoryview(content)[8 + size:]
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind, shape = np.dtype(_TYPES[entry["dtype"]]), entry["shape"]
        if not 0 <= begin <= end <= len(data) or end - begin != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
            _fail(path, f"array {name} lies outside of it")
        arrays[name] = np.frombuffer(data[begin:end], kind).reshape(shape)
    calls = []
    for index, entry in enumerate(json.loads(about["calls"])):
        own = {name: arrays.get(f"{index}/{name}") for name in RowStatistics._fields}
        calls.append(call_type(statistics=RowStatistics(**own), real=arrays.get(f"{index}/real"),
                               **{name: entry[name] for name in _KEPT}))
    return calls, Counter({(layer, what): count for layer, what, count in json.loads(about["notes"])})
