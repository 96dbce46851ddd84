"""How many rows and keys a program takes, on how many warps and pipeline stages."""

from typing import NamedTuple


class Blocks(NamedTuple):
    rows: int
    keys: int
    warps: int
    stages: int


# For 16-bit inputs, by the larger of both widths and by the shared memory that one program may have. Chosen so that no
# register spills with the statistics that are asked for most (tests/python/triton_compiled.py).
_LARGE = 160 * 1024  # A100 (sm_80), H100 (sm_90), B200: 163 KiB or more; others have 99 KiB
_FORWARD = {
    True: {64: Blocks(128, 64, 8, 3), 128: Blocks(128, 64, 8, 3), 256: Blocks(64, 64, 8, 2)},
    False: {64: Blocks(128, 64, 8, 3), 128: Blocks(64, 64, 4, 2), 256: Blocks(64, 32, 4, 2)},
}
_QUERIES = {
    True: {64: Blocks(128, 64, 8, 3), 128: Blocks(64, 64, 8, 2), 256: Blocks(64, 32, 8, 1)},
    False: {64: Blocks(64, 64, 4, 2), 128: Blocks(64, 32, 4, 2), 256: Blocks(32, 32, 4, 1)},
}
_KEYS = {
    True: {64: Blocks(32, 128, 8, 3), 128: Blocks(32, 128, 8, 2), 256: Blocks(32, 64, 8, 1)},
    False: {64: Blocks(64, 64, 4, 2), 128: Blocks(32, 64, 4, 2), 256: Blocks(16, 32, 4, 1)},
}
_TABLES = {"forward": _FORWARD, "queries": _QUERIES, "keys": _KEYS}
_INTERPRETED = Blocks(32, 16, 4, 1)


def choose(kernel: str, width: int, bytes_each: int, shared_memory: int, interpreted: bool = False) -> Blocks:
    """For the kernel "forward", "queries" (their gradient) or "keys"."""
    if interpreted:
        return _INTERPRETED
    table = _TABLES[kernel][shared_memory >= _LARGE]
    blocks = table[next(limit for limit in sorted(table) if width <= limit)]
    if bytes_each == 4:  # products of single precision keep their operands in registers
        blocks = Blocks(max(blocks.rows // 4, 16), max(blocks.keys // 2, 16), 4, 1)
    return blocks
