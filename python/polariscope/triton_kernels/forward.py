"""The forward kernel: output and statistics of a block of rows in one pass over its keys.

The recurrences are those of docs/numerics.md, section 1 and 2, in base-2 logarithms. A statistic whose slot is negative
is not computed; what only another one needs is not either.
"""

import triton
import triton.language as tl

from .parts import (BEYOND, LN2, LOG2E, LOG_COUNT, LOWEST, MINUS_LOG_KEYS, UNSPECIALISED, end_key_of, exponents,
                    first_key_of, is_sound, keep, key_ranges, level_of, load_bias, load_tile, log2_of_weight, logits,
                    lowering, natural_level, sees, sigmoid, store_tile)


@triton.jit
def merge_moments(count, mean, squares, cubes, n, tile_mean, tile_squares, tile_cubes, CUBES: tl.constexpr):
    """Central sums of two sets, of `count` and `n` numbers (docs/numerics.md, section 2)."""
    total = tl.maximum(count + n, 1.0)
    delta = tile_mean - mean
    part = n / total
    if CUBES:
        cubes += tile_cubes + delta * delta * delta * count * part * ((count - n) / total)
        cubes += 3.0 * delta * (count * tile_squares - n * squares) / total
    return mean + delta * part, squares + tile_squares + delta * delta * count * part, cubes


@triton.jit
def weight_of_one(query, Key, Bias, rows, own, at, there, length, queries, k_row, bias_row, bias_key, slope, factor,
                  scale, to_log2, level, inverse, RAW: tl.constexpr, TRANSFORM: tl.constexpr, SLOPES: tl.constexpr,
                  BIASED: tl.constexpr, BIAS_BY_ROW: tl.constexpr, SIGMOID: tl.constexpr, WIDTH: tl.constexpr,
                  BLOCK_D: tl.constexpr):
    """p of key at[i] for each row i; 0 where not `there`."""
    column = tl.arange(0, BLOCK_D)
    key = tl.load(Key + at.to(tl.int64)[:, None] * k_row + column[None, :],
                  mask=there[:, None] & (column < WIDTH)[None, :], other=0.0)
    product = tl.sum(query.to(tl.float32) * key.to(tl.float32), 1)
    bias = product * 0
    if BIASED:
        bias = load_bias(Bias, rows, at, queries, length, bias_row, bias_key, BIAS_BY_ROW)
        there = there & (bias != float("-inf"))
    z = logits(product, own, at, bias, slope, factor, scale, RAW, TRANSFORM, SLOPES, BIASED)
    if SIGMOID:
        w = sigmoid(z, to_log2)
    else:
        w = tl.exp2(exponents(z, level, to_log2, BIASED))
    return tl.where(there, w * inverse, 0.0)


@triton.jit(do_not_specialize=UNSPECIALISED)
def attention_forward(
        Query, Key, Value, Output, Rows, Counts, Bias, Slopes, Sink, Lengths,
        q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, o_batch, o_head, o_row,
        bias_batch, bias_head, bias_row, bias_key,
        heads, group, queries, keys, all_rows, window, scale, to_log2, to_natural, parameter, sum_offset,
        SIGMOID: tl.constexpr, TRANSFORM: tl.constexpr, SUMMED: tl.constexpr, SINK: tl.constexpr, RAW: tl.constexpr,
        CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, BIAS_BY_ROW: tl.constexpr,
        SHIFT: tl.constexpr, INVERSE: tl.constexpr, MASS: tl.constexpr, ENTROPY: tl.constexpr,
        SUM_OF_SQUARES: tl.constexpr, MAXIMUM: tl.constexpr, FIRST_KEY: tl.constexpr, FIRST_VISIBLE_KEY: tl.constexpr,
        ROW_SUM: tl.constexpr, LOG_SUM_EXP: tl.constexpr, LOGIT_MEAN: tl.constexpr, LOGIT_VARIANCE: tl.constexpr,
        LOGIT_MAXIMUM: tl.constexpr, SKEWNESS: tl.constexpr,
        ARGMAX: tl.constexpr, VISIBLE: tl.constexpr, NON_FINITE: tl.constexpr, FIRST_VISIBLE: tl.constexpr,
        WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_V: tl.constexpr,
        BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, PRECISION: tl.constexpr):
    """Rows: float32 [slots, all_rows], Counts: int32 [slots, all_rows]; a row is (batch, head, query). The slots of
    Rows are SHIFT to SKEWNESS, those of Counts ARGMAX to FIRST_VISIBLE; a negative one is not wanted. SHIFT: the
    level that weights are lowered by; INVERSE: 1/n for weights so lowered, NaN for a row that is not finite;
    MASS: sum of the keys' weights so lowered. FIRST_VISIBLE: index of that key. Values of no width are not read."""
    BIASED: tl.constexpr = Bias is not None
    SLOPES: tl.constexpr = Slopes is not None
    TOP: tl.constexpr = (not SIGMOID) or MAXIMUM >= 0 or ARGMAX >= 0 or LOGIT_MAXIMUM >= 0
    MOMENTS: tl.constexpr = LOGIT_MEAN >= 0 or LOGIT_VARIANCE >= 0
    FIND_FIRST: tl.constexpr = BIASED and (FIRST_VISIBLE >= 0 or FIRST_VISIBLE_KEY >= 0)
    COUNTED: tl.constexpr = BIASED or MOMENTS or SKEWNESS >= 0

    blocks = tl.cdiv(queries, BLOCK_M)
    block = tl.program_id(0) % blocks
    batch_head = tl.program_id(0) // blocks
    if CAUSAL:  # the longest rows first: what is left at the end is short
        block = blocks - 1 - block
    batch = batch_head // heads
    head = batch_head % heads
    length = keys
    if Lengths is not None:
        length = tl.minimum(tl.maximum(tl.load(Lengths + batch).to(tl.int32), 0), keys)
    offset = length - queries
    start = block * BLOCK_M
    rows = start + tl.arange(0, BLOCK_M)
    own = rows + offset

    wide_batch = batch.to(tl.int64)
    wide_head = head.to(tl.int64)
    Key += wide_batch * k_batch + (wide_head // group) * k_head
    Value += wide_batch * v_batch + (wide_head // group) * v_head
    if BIASED:
        Bias += wide_batch * bias_batch + wide_head * bias_head
    slope = 0.0
    if SLOPES:
        slope = tl.load(Slopes + head).to(tl.float32)
    first_seen = first_key_of(own, window, WINDOWED)
    end_seen = end_key_of(own, length, window, CAUSAL, WINDOWED)
    visible = tl.maximum(end_seen - first_seen, 0)
    factor = own * 0.0 + parameter
    if TRANSFORM == LOG_COUNT:
        factor = parameter * (tl.log2(tl.maximum(visible, 1).to(tl.float32)) * LN2)
    elif TRANSFORM == MINUS_LOG_KEYS:
        factor = own * 0.0 + tl.log2(tl.maximum(length, 1).to(tl.float32)) * LN2

    query = load_tile(Query + wide_batch * q_batch + wide_head * q_head, start, q_row, queries, WIDTH, BLOCK_M, BLOCK_D,
                      True)
    accumulator = tl.zeros([BLOCK_M, BLOCK_V], tl.float32)
    zero = tl.zeros([BLOCK_M], tl.float32)
    top = zero + float("-inf")  # of the logits
    level = top
    mass = zero  # sum of w: of e^z lowered by the level, or of sigmoids
    tilted = zero  # sum of w log2 w
    squares = zero
    spoilt = zero  # NaN once a visible score is not finite
    count = zero
    z_mean = zero
    z_squares = zero
    w_mean = zero
    w_squares = zero
    w_cubes = zero
    place = tl.full([BLOCK_M], -1, tl.int32)
    first = tl.full([BLOCK_M], BEYOND, tl.int32)

    begin, full, edge, end = key_ranges(start + offset, tl.minimum(start + BLOCK_M, queries) - 1 + offset, length,
                                        window, CAUSAL, WINDOWED, BIASED, BLOCK_N)
    for part in tl.static_range(3):
        # The first part is empty but behind a window, the second one beside a bias.
        if (part == 2) or (part == 0 and WINDOWED) or (part == 1 and not BIASED):
            low = begin
            high = full
            if part == 1:
                low = full
                high = edge
            if part == 2:
                low = edge
                high = end
            for tile in range(low, high, BLOCK_N):
                columns = tile + tl.arange(0, BLOCK_N)
                key = load_tile(Key, tile, k_row, length, WIDTH, BLOCK_N, BLOCK_D, part != 1)
                z = tl.dot(query, tl.trans(key), input_precision=PRECISION)
                bias = 0.0
                if BIASED:
                    bias = load_bias(Bias, rows[:, None], columns[None, :], queries, length, bias_row, bias_key,
                                     BIAS_BY_ROW)
                z = logits(z, own[:, None], columns[None, :], bias, slope, factor[:, None], scale, RAW, TRANSFORM,
                           SLOPES, BIASED)
                n = zero + BLOCK_N
                if part != 1:
                    seen = sees(own[:, None], columns[None, :], length, window, CAUSAL, WINDOWED)
                    if BIASED:
                        seen = seen & (bias != float("-inf"))
                    spoilt += tl.sum(tl.where(seen, z * 0.0, 0.0), 1)
                    if COUNTED:
                        n = tl.sum(seen.to(tl.float32), 1)
                    if FIND_FIRST:
                        first = tl.minimum(first, tl.min(tl.where(seen, columns[None, :], BEYOND), 1))
                elif SIGMOID or ENTROPY < 0:  # else the sum of e log e is spoilt by what is not finite
                    spoilt += tl.sum(z * 0.0, 1)

                if MOMENTS:
                    if part != 1:
                        mean = tl.sum(tl.where(seen, z, 0.0), 1) / tl.maximum(n, 1.0)
                        apart = tl.where(seen, z - mean[:, None], 0.0)
                    else:
                        mean = tl.sum(z, 1) * (1.0 / BLOCK_N)
                        apart = z - mean[:, None]
                    z_mean, z_squares, _ = merge_moments(count, z_mean, z_squares, zero, n, mean,
                                                         tl.sum(apart * apart, 1), zero, False)
                if part != 1:
                    z = tl.where(seen, z, float("-inf"))
                if TOP:
                    highest = tl.max(z, 1)
                    if ARGMAX >= 0:
                        here = tl.min(tl.where(z == highest[:, None], columns[None, :], BEYOND), 1)
                        place = tl.where(highest > top, here, place)
                    top = tl.maximum(top, highest)

                if SIGMOID:
                    w = sigmoid(z, to_log2)
                    if ENTROPY >= 0:
                        tilted += tl.sum(w * log2_of_weight(w), 1)
                    mass += tl.sum(w, 1)
                    if SUM_OF_SQUARES >= 0:
                        squares += tl.sum(w * w, 1)
                else:
                    raised = tl.maximum(level, level_of(highest, to_log2, BIASED))
                    lowered = lowering(level, raised, to_log2, BIASED)
                    less = tl.exp2(lowered)
                    level = raised
                    if part != 1:  # a row that has seen no key: nothing is to be lowered by minus infinity
                        raised = tl.where(raised == float("-inf"), 0.0, raised)
                    x = exponents(z, raised[:, None], to_log2, BIASED)
                    if part != 1:
                        x = tl.maximum(x, LOWEST)
                    w = tl.exp2(x)
                    if ENTROPY >= 0:
                        tilted = less * (tilted + lowered * mass) + tl.sum(x * w, 1)
                    mass = less * mass + tl.sum(w, 1)
                    if SUM_OF_SQUARES >= 0:
                        squares = less * less * squares + tl.sum(w * w, 1)
                    accumulator = accumulator * less[:, None]
                    if SKEWNESS >= 0:
                        w_mean = w_mean * less
                        w_squares = w_squares * (less * less)
                        w_cubes = w_cubes * (less * less * less)
                if SKEWNESS >= 0:
                    if part != 1:
                        mean = tl.sum(tl.where(seen, w, 0.0), 1) / tl.maximum(n, 1.0)
                        apart = tl.where(seen, w - mean[:, None], 0.0)
                    else:
                        mean = tl.sum(w, 1) * (1.0 / BLOCK_N)
                        apart = w - mean[:, None]
                    w_mean, w_squares, w_cubes = merge_moments(
                        count, w_mean, w_squares, w_cubes, n, mean, tl.sum(apart * apart, 1),
                        tl.sum(apart * apart * apart, 1), True)
                if COUNTED:
                    count += n

                if VALUE_WIDTH > 0:
                    value = load_tile(Value, tile, v_row, length, VALUE_WIDTH, BLOCK_N, BLOCK_V, part != 1)
                    if part != 1:  # a hidden value may hold anything: only who sees it is to feel it
                        sound = is_sound(value)
                        value = keep(value, sound)
                        w = tl.where(seen & (~sound)[None, :], float("nan"), w)
                    accumulator = tl.dot(w.to(value.dtype), value, accumulator, input_precision=PRECISION)

    if BIASED:
        visible = count.to(tl.int32)
        first_seen = tl.where(first == BEYOND, 0, first)
    some = visible > 0
    if SIGMOID:
        level = zero
        inverse = zero + 1.0
        if SUMMED:
            total = mass + sum_offset
            inverse = tl.where(total > 0, 1.0 / total, 0.0)
        natural = zero
        row_sum = mass
        log_sum_exp = zero + float("nan")
    else:
        natural = tl.where(some, natural_level(level, BIASED), float("-inf"))
        level = tl.where(some, level, 0.0)
        row_sum = tl.where(some, 1.0, 0.0)
        inverse = tl.where(some, 1.0 / tl.where(some, mass, 1.0), 0.0)
        log_sum_exp = natural + tl.log2(tl.where(some, mass, 1.0)) * LN2
        if SINK:
            score = zero
            if Sink is not None:
                score = zero + tl.load(Sink + head).to(tl.float32)
            larger = tl.maximum(natural, score)
            less = tl.exp2(tl.maximum((natural - larger) * LOG2E, LOWEST))
            total = less * mass + tl.exp2(tl.maximum((score - larger) * LOG2E, LOWEST))
            inverse = tl.where(some, less / total, 0.0)
            row_sum = mass * inverse
            log_sum_exp = larger + tl.log2(total) * LN2
    nan = float("nan")
    bad = (spoilt != spoilt) | (mass != mass) | (tilted != tilted)
    inverse = tl.where(bad, nan, inverse)

    if VALUE_WIDTH > 0:
        store_tile(Output + wide_batch * o_batch + wide_head * o_head, accumulator * inverse[:, None], start, o_row,
                   queries, VALUE_WIDTH, BLOCK_M, BLOCK_V)

    inside = rows < queries
    at = batch_head.to(tl.int64) * queries + rows
    Rows += at
    Counts += at
    if SHIFT >= 0:
        tl.store(Rows + SHIFT * all_rows, level, mask=inside)
    if INVERSE >= 0:
        tl.store(Rows + INVERSE * all_rows, inverse, mask=inside)
    if MASS >= 0:
        tl.store(Rows + MASS * all_rows, mass, mask=inside)
    if ENTROPY >= 0:
        weighty = mass > 0
        entropy = (tl.log2(tl.where(weighty, mass, 1.0)) - tilted / tl.where(weighty, mass, 1.0)) * LN2
        entropy = tl.where(weighty, tl.maximum(entropy, 0.0), 0.0)
        tl.store(Rows + ENTROPY * all_rows, tl.where(bad, nan, entropy), mask=inside)
    if SUM_OF_SQUARES >= 0:
        tl.store(Rows + SUM_OF_SQUARES * all_rows, squares * inverse * inverse, mask=inside)
    if MAXIMUM >= 0:
        if SIGMOID:
            largest = sigmoid(top, to_log2)
        else:
            largest = tl.exp2(exponents(tl.where(some, top, 0.0), level, to_log2, BIASED))
        tl.store(Rows + MAXIMUM * all_rows, tl.where(bad, nan, tl.where(some, largest * inverse, 0.0)), mask=inside)
    if FIRST_KEY >= 0:
        there = inside & some & (first_key_of(own, window, WINDOWED) == 0)
        p = weight_of_one(query, Key, Bias, rows, own, rows * 0, there, length, queries, k_row, bias_row, bias_key,
                          slope, factor, scale, to_log2, level, inverse, RAW, TRANSFORM, SLOPES, BIASED, BIAS_BY_ROW,
                          SIGMOID, WIDTH, BLOCK_D)
        tl.store(Rows + FIRST_KEY * all_rows, tl.where(bad, nan, p), mask=inside)
    if FIRST_VISIBLE_KEY >= 0:
        p = weight_of_one(query, Key, Bias, rows, own, first_seen, inside & some, length, queries, k_row, bias_row,
                          bias_key, slope, factor, scale, to_log2, level, inverse, RAW, TRANSFORM, SLOPES, BIASED,
                          BIAS_BY_ROW, SIGMOID, WIDTH, BLOCK_D)
        tl.store(Rows + FIRST_VISIBLE_KEY * all_rows, tl.where(bad, nan, p), mask=inside)
    if ROW_SUM >= 0:
        tl.store(Rows + ROW_SUM * all_rows, tl.where(bad, nan, row_sum), mask=inside)
    if LOG_SUM_EXP >= 0:
        tl.store(Rows + LOG_SUM_EXP * all_rows, tl.where(bad, nan, log_sum_exp), mask=inside)
    if LOGIT_MEAN >= 0:
        tl.store(Rows + LOGIT_MEAN * all_rows, tl.where(bad, nan, z_mean * to_natural), mask=inside)
    if LOGIT_VARIANCE >= 0:
        variance = z_squares / tl.maximum(count, 1.0) * (to_natural * to_natural)
        tl.store(Rows + LOGIT_VARIANCE * all_rows, tl.where(bad, nan, variance), mask=inside)
    if LOGIT_MAXIMUM >= 0:
        highest = tl.where(some, top * to_natural, 0.0)
        tl.store(Rows + LOGIT_MAXIMUM * all_rows, tl.where(bad, nan, highest), mask=inside)
    if SKEWNESS >= 0:
        # What rounding leaves of weights that are all equal is no variance.
        n = tl.maximum(count, 1.0)
        variance = w_squares / n
        rounding = w_mean * (0.5 * BLOCK_N * 1.1920929e-07)
        varied = variance > rounding * rounding
        variance = tl.where(varied, variance, 1.0)
        skewness = tl.where(varied, w_cubes / n / (variance * tl.sqrt(variance)), 0.0)
        tl.store(Rows + SKEWNESS * all_rows, tl.where(bad, nan, skewness), mask=inside)
    if ARGMAX >= 0:
        tl.store(Counts + ARGMAX * all_rows, place, mask=inside)
    if VISIBLE >= 0:
        tl.store(Counts + VISIBLE * all_rows, visible, mask=inside)
    if NON_FINITE >= 0:
        tl.store(Counts + NON_FINITE * all_rows, bad.to(tl.int32), mask=inside)
    if FIRST_VISIBLE >= 0:
        tl.store(Counts + FIRST_VISIBLE * all_rows, tl.where(some, first_seen, -1), mask=inside)
