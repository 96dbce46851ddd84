"""What the forward and the backward kernels share: which keys a row sees, its logits, and the weights made of them.

Every function works on a tile of scores in either orientation: rows and keys come expanded, [M, 1] and [1, N] in the
forward pass and for the queries' gradient, [1, M] and [N, 1] for those of keys and values.

Logits are held in a unit of the kernel's choice, so that the plain softmax needs one fused product for each weight:
`to_log2` takes them to base-2 logarithms, `to_natural` to what the statistics report. With RAW a logit is the product
q·k itself (to_natural = scale); else it is natural.
"""

import triton
import triton.language as tl

# Transforms of a score.
NONE = tl.constexpr(0)
SOFT_CAP = tl.constexpr(1)  # z = c tanh(s/c)
LOG_COUNT = tl.constexpr(2)  # z = c s log n
MINUS_LOG_KEYS = tl.constexpr(3)  # z = s - log M

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
# An exponent whose power is 0, and whose product with 0 is 0 where minus infinity's would be NaN.
LOWEST = tl.constexpr(-1.0e6)
# Sizes that change from call to call, by one while a model decodes: one compiled kernel serves them all.
UNSPECIALISED = ["heads", "group", "queries", "keys", "all_rows", "window"]
BEYOND = tl.constexpr(2147483647)  # no key


@triton.jit
def load_tile(pointer, start, stride, end, WIDTH: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
              PARTIAL: tl.constexpr):
    """Rows [start, start + ROWS) of a matrix, [ROWS, BLOCK]; with PARTIAL those from `end` on are 0."""
    row = tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    at = pointer + tl.cast(start, tl.int64) * stride + (row[:, None] * stride + column[None, :])
    if PARTIAL:
        inside = (start + row < end)[:, None]
        if WIDTH != BLOCK:
            inside = inside & (column < WIDTH)[None, :]
        return tl.load(at, mask=inside, other=0.0)
    if WIDTH != BLOCK:
        return tl.load(at, mask=(column < WIDTH)[None, :], other=0.0)
    return tl.load(at)


@triton.jit
def store_tile(pointer, tile, start, stride, end, WIDTH: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    at = pointer + tl.cast(start, tl.int64) * stride + (row[:, None] * stride + column[None, :])
    tl.store(at, tile.to(pointer.dtype.element_ty), mask=(start + row < end)[:, None] & (column < WIDTH)[None, :])


@triton.jit
def is_sound(tile):
    """Whether the numbers of each row of a tile are finite."""
    mark = tl.sum(tile.to(tl.float32) * 0.0, 1)
    return mark == mark


@triton.jit
def keep(tile, sound):
    """The tile, 0 in rows that are not sound: what is hidden may hold anything, and 0 · NaN is NaN."""
    return tl.where(sound[:, None], tile, tl.zeros_like(tile))


@triton.jit
def first_key_of(own, window, WINDOWED: tl.constexpr):
    """The first key that a row standing beside key `own` sees, lengths and bias aside."""
    if WINDOWED:
        return tl.maximum(own - window + 1, 0)
    else:
        return own * 0


@triton.jit
def end_key_of(own, length, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr):
    """One past the last key that it sees."""
    if CAUSAL:
        return tl.maximum(tl.minimum(own + 1, length), 0)
    elif WINDOWED:
        return tl.maximum(tl.minimum(own + window, length), 0)
    else:
        return own * 0 + length


@triton.jit
def key_ranges(first, last, length, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, BIASED: tl.constexpr,
               BLOCK: tl.constexpr):
    """For the rows beside keys first to last: tiles [begin, full) and [edge, end) hide keys from some row, tiles
    [full, edge) from none. The first range is empty unless WINDOWED."""
    begin = first_key_of(first, window, WINDOWED) // BLOCK * BLOCK
    end = end_key_of(last, length, window, CAUSAL, WINDOWED)
    full = (first_key_of(last, window, WINDOWED) + BLOCK - 1) // BLOCK * BLOCK
    edge = end_key_of(first, length, window, CAUSAL, WINDOWED) // BLOCK * BLOCK
    none = full >= edge
    if BIASED:
        none = full >= 0
    full = tl.where(none, begin, full)
    edge = tl.where(none, begin, edge)
    return begin, full, edge, end


@triton.jit
def row_ranges(first, last, queries, offset, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
               BIASED: tl.constexpr, BLOCK: tl.constexpr):
    """For keys first to last: rows [begin, full) and [edge, end) do not see all of them, rows [full, edge) do."""
    begin = first * 0
    full = first * 0
    if CAUSAL:
        begin = tl.maximum(first - offset, 0)
        full = tl.maximum(last - offset, 0)
    elif WINDOWED:
        begin = tl.maximum(first - window + 1 - offset, 0)
        full = tl.maximum(last - window + 1 - offset, 0)
    begin = begin // BLOCK * BLOCK
    full = (full + BLOCK - 1) // BLOCK * BLOCK
    end = first * 0 + queries
    edge = end
    if WINDOWED:
        end = tl.minimum(queries, last + window - offset)
        edge = tl.maximum(tl.minimum(queries, first + window - offset), 0) // BLOCK * BLOCK
    none = full >= edge
    if BIASED:
        none = full >= 0
    full = tl.where(none, end, full)
    edge = tl.where(none, end, edge)
    return begin, full, edge, end


@triton.jit
def sees(own, keys, length, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr):
    seen = keys < length
    if CAUSAL:
        seen = seen & (keys <= own)
    if WINDOWED:
        seen = seen & (own - keys < window)
        if not CAUSAL:
            seen = seen & (keys - own < window)
    return seen


@triton.jit
def load_bias(Bias, rows, keys, queries, length, bias_row, bias_key, BY_ROW: tl.constexpr):
    """Of a tile, in float32; minus infinity where there is no such key. Without BY_ROW it is the same for all rows."""
    at = keys.to(tl.int64) * bias_key
    inside = keys < length
    if BY_ROW:
        at = at + rows.to(tl.int64) * bias_row
        inside = inside & (rows < queries)
    return tl.load(Bias + at, mask=inside, other=float("-inf")).to(tl.float32)


@triton.jit
def tanh(x):
    # Beyond 0.4 by the exponential, whose 1 - e^-2x would cancel below, where a polynomial serves to 3e-7.
    power = tl.exp2(tl.abs(x) * -2.885390081777927)
    large = (1.0 - power) / (1.0 + power)
    square = x * x
    small = x * (1.0 + square * (-0.33333333 + square * (0.13333333 + square * (-0.053968254 + square * 0.02186949))))
    return tl.where(tl.abs(x) < 0.4, small, tl.where(x < 0, -large, large))


@triton.jit
def logits(products, own, keys, bias, slope, factor, scale, RAW: tl.constexpr, TRANSFORM: tl.constexpr,
           SLOPES: tl.constexpr, BIASED: tl.constexpr):
    """factor: c of a soft cap, c log n of each row, or log M."""
    if RAW:
        return products
    score = products * scale
    if SLOPES:
        score -= slope * tl.abs(own - keys).to(tl.float32)
    if BIASED:
        score += bias
    if TRANSFORM == SOFT_CAP:
        score = factor * tanh(score / factor)
    elif TRANSFORM == LOG_COUNT:
        score = score * factor
    elif TRANSFORM == MINUS_LOG_KEYS:
        score = score - factor
    return score


@triton.jit
def level_of(z, to_log2, BIASED: tl.constexpr):
    """What exponents() lowers by, for a row whose largest logit is z."""
    if BIASED:  # logits up to the largest number, whose product with to_log2 would be none
        return z
    else:
        return z * to_log2


@triton.jit
def exponents(z, level, to_log2, BIASED: tl.constexpr):
    """log2 of a weight that is lowered by the row's level. One fused product: its rounding is the row's, not the
    weight's."""
    if BIASED:
        return tl.maximum((z - level) * to_log2, LOWEST)
    else:
        return tl.fma(z, to_log2, -level)


@triton.jit
def lowering(level, raised, to_log2, BIASED: tl.constexpr):
    """log2 of what the row's sums are taken down by where its level is raised; the first level is minus infinity."""
    if BIASED:
        return tl.maximum((level - raised) * to_log2, LOWEST)
    else:
        return tl.maximum(level - raised, LOWEST)


@triton.jit
def natural_level(level, BIASED: tl.constexpr):
    if BIASED:
        return level
    else:
        return level * LN2


@triton.jit
def sigmoid(z, to_log2):
    return 1.0 / (1.0 + tl.exp2(-z * to_log2))


@triton.jit
def log2_of_weight(w):
    return tl.where(w > 0, tl.log2(tl.where(w > 0, w, 1.0)), 0.0)
