"""How many rows and keys a program takes, on how many warps and pipeline stages."""

from typing import NamedTuple


class Blocks(NamedTuple):
    rows: int
    keys: int
    warps: int
    stages: int


# For 16-bit inputs, by the shared memory that one program may have and by the larger of both widths. Chosen by the
# instructions that the loop over tiles that hide nothing takes, compiled by Triton 3.9, and that it spills next to no
# register (tests/python/triton_compiled.py); no GPU was there to measure on. bench/gpu/attention.py --tune does.
_TABLES = {
    200 * 1024: {  # H100, B200: 227 KiB
        "forward": {64: Blocks(128, 128, 8, 2), 128: Blocks(128, 128, 8, 2), 256: Blocks(64, 64, 8, 2)},
        "queries": {64: Blocks(128, 64, 8, 3), 128: Blocks(128, 64, 8, 2), 256: Blocks(64, 32, 8, 1)},
        "keys": {64: Blocks(32, 128, 8, 3), 128: Blocks(32, 128, 8, 2), 256: Blocks(32, 32, 8, 1)},
    },
    160 * 1024: {  # A100: 163 KiB
        "forward": {64: Blocks(128, 128, 8, 2), 128: Blocks(128, 64, 8, 3), 256: Blocks(64, 64, 8, 2)},
        "queries": {64: Blocks(128, 64, 8, 3), 128: Blocks(64, 64, 8, 2), 256: Blocks(64, 32, 8, 1)},
        "keys": {64: Blocks(32, 128, 8, 3), 128: Blocks(32, 128, 8, 2), 256: Blocks(32, 32, 8, 1)},
    },
    0: {  # others: 99 KiB
        "forward": {64: Blocks(128, 64, 8, 3), 128: Blocks(64, 64, 4, 2), 256: Blocks(64, 32, 4, 2)},
        "queries": {64: Blocks(64, 64, 4, 2), 128: Blocks(64, 32, 4, 2), 256: Blocks(32, 32, 4, 1)},
        "keys": {64: Blocks(64, 64, 4, 2), 128: Blocks(32, 64, 4, 2), 256: Blocks(16, 32, 4, 1)},
    },
}
_INTERPRETED = Blocks(32, 16, 4, 1)


def choose(kernel: str, width: int, bytes_each: int, shared_memory: int, interpreted: bool = False) -> Blocks:
    """For the kernel "forward", "queries" (their gradient) or "keys"."""
    if interpreted:
        return _INTERPRETED
    table = _TABLES[next(memory for memory in sorted(_TABLES, reverse=True) if shared_memory >= memory)][kernel]
    blocks = table[next(limit for limit in sorted(table) if width <= limit)]
    if bytes_each == 4:  # products of single precision keep their operands in registers
        blocks = Blocks(max(blocks.rows // 4, 16), max(blocks.keys // 2, 16), 4, 1)
    return blocks
