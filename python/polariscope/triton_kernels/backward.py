"""The backward kernels: weights are computed anew, tile by tile, from each row's shift and inverse.

With w = f(z) lowered by the shift, p = w/n and dp = dO·v, a row owes

    dz = f'(z) [dp/n + a w + b log2 w + spikes - constant] + [c + d (z - mean)]

where f' is w, or w (1 - w) of a sigmoid. The numbers of a row beside dp, z and w are prepared by gradients.py from the
upstream gradients of its statistics: docs/attention.md, section 5. A spike is a gradient that comes to one key: the
largest, the first, the first visible one.
"""

import triton
import triton.language as tl

from .parts import (LN2, LOG_COUNT, LOWEST, MINUS_LOG_KEYS, SOFT_CAP, UNSPECIALISED, end_key_of, exponents,
                    first_key_of, is_sound, keep, key_ranges, load_bias, load_tile, log2_of_weight, logits, row_ranges,
                    sees, sigmoid, store_tile)


@triton.jit(do_not_specialize=UNSPECIALISED)
def row_products(Output, Gradient, Products, o_batch, o_head, o_row, g_batch, g_head, g_row, heads, queries,
                 WIDTH: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_M: tl.constexpr):
    """dO·O of each row."""
    blocks = tl.cdiv(queries, BLOCK_M)
    start = (tl.program_id(0) % blocks) * BLOCK_M
    batch_head = tl.program_id(0) // blocks
    batch = (batch_head // heads).to(tl.int64)
    head = (batch_head % heads).to(tl.int64)
    output = load_tile(Output + batch * o_batch + head * o_head, start, o_row, queries, WIDTH, BLOCK_M, BLOCK_V, True)
    gradient = load_tile(Gradient + batch * g_batch + head * g_head, start, g_row, queries, WIDTH, BLOCK_M, BLOCK_V,
                         True)
    rows = start + tl.arange(0, BLOCK_M)
    tl.store(Products + batch_head.to(tl.int64) * queries + rows,
             tl.sum(output.to(tl.float32) * gradient.to(tl.float32), 1), mask=rows < queries)


@triton.jit
def row_number(Numbers, SLOT: tl.constexpr, rows, queries, all_rows):
    """Numbers are [slots, all_rows]; 0 where there is no such slot or row."""
    if SLOT >= 0:
        return tl.load(Numbers + SLOT * all_rows + rows, mask=rows < queries, other=0.0)
    else:
        return rows * 0.0


@triton.jit
def row_place(Places, spike, SPIKES: tl.constexpr, rows, queries, all_rows):
    if spike < SPIKES:
        return tl.load(Places + spike * all_rows + rows, mask=rows < queries, other=-1)
    else:
        return rows * 0 - 1


@triton.jit
def row_numbers(Numbers, Places, rows, queries, all_rows, ENTROPY: tl.constexpr, SQUARES: tl.constexpr,
                MOMENTS: tl.constexpr, SPIKES: tl.constexpr, SPIKED: tl.constexpr):
    """All that the backward pass knows of a row."""
    shift = row_number(Numbers, 0, rows, queries, all_rows)
    inverse = row_number(Numbers, 1, rows, queries, all_rows)
    constant = row_number(Numbers, 2, rows, queries, all_rows)
    entropy = row_number(Numbers, ENTROPY, rows, queries, all_rows)
    squares = row_number(Numbers, SQUARES, rows, queries, all_rows)
    mean = row_number(Numbers, MOMENTS, rows, queries, all_rows)
    of_mean = row_number(Numbers, MOMENTS + 1 if MOMENTS >= 0 else -1, rows, queries, all_rows)
    of_variance = row_number(Numbers, MOMENTS + 2 if MOMENTS >= 0 else -1, rows, queries, all_rows)
    height0 = row_number(Numbers, SPIKED if SPIKES > 0 else -1, rows, queries, all_rows)
    height1 = row_number(Numbers, SPIKED + 1 if SPIKES > 1 else -1, rows, queries, all_rows)
    height2 = row_number(Numbers, SPIKED + 2 if SPIKES > 2 else -1, rows, queries, all_rows)
    place0 = row_place(Places, 0, SPIKES, rows, queries, all_rows)
    place1 = row_place(Places, 1, SPIKES, rows, queries, all_rows)
    place2 = row_place(Places, 2, SPIKES, rows, queries, all_rows)
    return (shift, inverse, constant, entropy, squares, mean, of_mean, of_variance, height0, height1, height2, place0,
            place1, place2)


@triton.jit
def along(x, ROWS_FIRST: tl.constexpr):
    if ROWS_FIRST:
        return x[:, None]
    else:
        return x[None, :]


@triton.jit
def weights_and_slopes(products, d_weights, rows, keys, own, numbers, Bias, queries, length, window, bias_row, bias_key,
                       slope, factor, scale, to_log2, to_natural,
                       SIGMOID: tl.constexpr, TRANSFORM: tl.constexpr, RAW: tl.constexpr, CAUSAL: tl.constexpr,
                       WINDOWED: tl.constexpr, SLOPES: tl.constexpr, BIASED: tl.constexpr, BIAS_BY_ROW: tl.constexpr,
                       ENTROPY: tl.constexpr, SQUARES: tl.constexpr, MOMENTS: tl.constexpr, SPIKES: tl.constexpr,
                       MASKED: tl.constexpr, ROWS_FIRST: tl.constexpr):
    """p and the gradient of the scores, of a tile of products q·k and dO·v. rows, keys, own and factor are expanded;
    numbers are those of row_numbers()."""
    inverse = along(numbers[1], ROWS_FIRST)
    bias = 0.0
    if BIASED:
        bias = load_bias(Bias, rows, keys, queries, length, bias_row, bias_key, BIAS_BY_ROW)
    z = logits(products, own, keys, bias, slope, factor, scale, RAW, TRANSFORM, SLOPES, BIASED)
    if SIGMOID:
        w = sigmoid(z, to_log2)
    else:
        x = exponents(z, along(numbers[0], ROWS_FIRST), to_log2, BIASED)
        if MASKED:
            x = tl.maximum(x, LOWEST)
        w = tl.exp2(x)
    ds = d_weights * inverse - along(numbers[2], ROWS_FIRST)
    if ENTROPY >= 0:
        if SIGMOID:
            x = log2_of_weight(w)
        ds += x * along(numbers[3], ROWS_FIRST)
    if SQUARES >= 0:
        ds += w * along(numbers[4], ROWS_FIRST)
    if SPIKES > 0:
        ds += tl.where(keys == along(numbers[11], ROWS_FIRST), along(numbers[8], ROWS_FIRST), 0.0)
    if SPIKES > 1:
        ds += tl.where(keys == along(numbers[12], ROWS_FIRST), along(numbers[9], ROWS_FIRST), 0.0)
    if SPIKES > 2:
        ds += tl.where(keys == along(numbers[13], ROWS_FIRST), along(numbers[10], ROWS_FIRST), 0.0)
    ds = ds * w
    if SIGMOID:
        ds = ds * (1.0 - w)
    if MOMENTS >= 0:
        ds += along(numbers[6], ROWS_FIRST) + along(numbers[7], ROWS_FIRST) * (
            z * to_natural - along(numbers[5], ROWS_FIRST))
    if TRANSFORM == SOFT_CAP:
        ds = ds * (1.0 - (z / factor) * (z / factor))
    elif TRANSFORM == LOG_COUNT:
        ds = ds * factor
    p = w * inverse
    if MASKED:
        seen = sees(own, keys, length, window, CAUSAL, WINDOWED)
        if BIASED:
            seen = seen & (bias != float("-inf"))
        p = tl.where(seen, p, 0.0)
        ds = tl.where(seen, ds, 0.0)
    return p, ds


@triton.jit
def row_factor(own, length, window, parameter, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, TRANSFORM: tl.constexpr):
    """What the transform of the scores needs of each row."""
    factor = own * 0.0 + parameter
    if TRANSFORM == LOG_COUNT:
        visible = end_key_of(own, length, window, CAUSAL, WINDOWED) - first_key_of(own, window, WINDOWED)
        factor = parameter * (tl.log2(tl.maximum(visible, 1).to(tl.float32)) * LN2)
    elif TRANSFORM == MINUS_LOG_KEYS:
        factor = own * 0.0 + tl.log2(tl.maximum(length, 1).to(tl.float32)) * LN2
    return factor


@triton.jit(do_not_specialize=UNSPECIALISED)
def queries_gradient(
        Query, Key, Value, Gradient, QueryGradient, Numbers, Places, Bias, Slopes, Lengths,
        q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, g_batch, g_head, g_row,
        dq_batch, dq_head, dq_row, bias_batch, bias_head, bias_row, bias_key,
        heads, group, queries, keys, all_rows, window, scale, to_log2, to_natural, parameter,
        SIGMOID: tl.constexpr, TRANSFORM: tl.constexpr, RAW: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
        BIAS_BY_ROW: tl.constexpr, ENTROPY: tl.constexpr, SQUARES: tl.constexpr, MOMENTS: tl.constexpr,
        SPIKES: tl.constexpr, SPIKED: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
        BLOCK_D: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
        PRECISION: tl.constexpr):
    """dq of a block of rows. Numbers: float32 [slots, all_rows], Places: int32 [spikes, all_rows]; Numbers begin with
    shift, inverse and constant; ENTROPY, SQUARES, MOMENTS (three) and SPIKED (SPIKES) are the slots of the others,
    negative where there is none."""
    BIASED: tl.constexpr = Bias is not None
    SLOPES: tl.constexpr = Slopes is not None
    blocks = tl.cdiv(queries, BLOCK_M)
    block = tl.program_id(0) % blocks
    batch_head = tl.program_id(0) // blocks
    if CAUSAL:
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
    factor = row_factor(own, length, window, parameter, CAUSAL, WINDOWED, TRANSFORM)
    at = batch_head.to(tl.int64) * queries
    numbers = row_numbers(Numbers + at, Places + at, rows, queries, all_rows, ENTROPY, SQUARES, MOMENTS, SPIKES, SPIKED)
    query = load_tile(Query + wide_batch * q_batch + wide_head * q_head, start, q_row, queries, WIDTH, BLOCK_M, BLOCK_D,
                      True)
    gradient = load_tile(Gradient + wide_batch * g_batch + wide_head * g_head, start, g_row, queries, VALUE_WIDTH,
                         BLOCK_M, BLOCK_V, True)
    accumulator = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    begin, full, edge, end = key_ranges(start + offset, tl.minimum(start + BLOCK_M, queries) - 1 + offset, length,
                                        window, CAUSAL, WINDOWED, BIASED, BLOCK_N)
    for part in tl.static_range(3):
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
                products = tl.dot(query, tl.trans(key), input_precision=PRECISION)
                if VALUE_WIDTH > 0:
                    value = load_tile(Value, tile, v_row, length, VALUE_WIDTH, BLOCK_N, BLOCK_V, part != 1)
                    d_weights = tl.dot(gradient, tl.trans(value), input_precision=PRECISION)
                else:
                    d_weights = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
                _, ds = weights_and_slopes(
                    products, d_weights, rows[:, None], columns[None, :], own[:, None], numbers, Bias, queries, length,
                    window, bias_row, bias_key, slope, factor[:, None], scale, to_log2, to_natural, SIGMOID, TRANSFORM,
                    RAW, CAUSAL, WINDOWED, SLOPES, BIASED, BIAS_BY_ROW, ENTROPY, SQUARES, MOMENTS, SPIKES, part != 1,
                    True)
                if part != 1:  # who sees a key that is not finite has a gradient that is not finite
                    key = keep(key, is_sound(key))
                accumulator = tl.dot(ds.to(key.dtype), key, accumulator, input_precision=PRECISION)
    store_tile(QueryGradient + wide_batch * dq_batch + wide_head * dq_head, accumulator * scale, start, dq_row, queries,
               WIDTH, BLOCK_M, BLOCK_D)


@triton.jit(do_not_specialize=UNSPECIALISED)
def keys_gradient(
        Query, Key, Value, Gradient, KeyGradient, ValueGradient, Numbers, Places, Bias, Slopes, Lengths,
        q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, g_batch, g_head, g_row,
        dk_batch, dk_head, dk_row, dv_batch, dv_head, dv_row, bias_batch, bias_head, bias_row, bias_key,
        heads, group, queries, keys, all_rows, window, scale, to_log2, to_natural, parameter,
        SIGMOID: tl.constexpr, TRANSFORM: tl.constexpr, RAW: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
        BIAS_BY_ROW: tl.constexpr, ENTROPY: tl.constexpr, SQUARES: tl.constexpr, MOMENTS: tl.constexpr,
        SPIKES: tl.constexpr, SPIKED: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
        BLOCK_D: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
        PRECISION: tl.constexpr):
    """dk and dv of a block of keys: sums over the rows that see it, of all heads that share it, in their order."""
    BIASED: tl.constexpr = Bias is not None
    SLOPES: tl.constexpr = Slopes is not None
    blocks = tl.cdiv(keys, BLOCK_N)
    start = (tl.program_id(0) % blocks) * BLOCK_N
    batch_head = tl.program_id(0) // blocks
    batch = batch_head // (heads // group)
    key_head = batch_head % (heads // group)
    length = keys
    if Lengths is not None:
        length = tl.minimum(tl.maximum(tl.load(Lengths + batch).to(tl.int32), 0), keys)
    offset = length - queries
    columns = start + tl.arange(0, BLOCK_N)
    wide_batch = batch.to(tl.int64)
    wide_head = key_head.to(tl.int64)
    key = load_tile(Key + wide_batch * k_batch + wide_head * k_head, start, k_row, length, WIDTH, BLOCK_N, BLOCK_D,
                    True)
    value = load_tile(Value + wide_batch * v_batch + wide_head * v_head, start, v_row, length, VALUE_WIDTH, BLOCK_N,
                      BLOCK_V, True)
    MASKED: tl.constexpr = CAUSAL or WINDOWED or BIASED
    d_key = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    d_value = tl.zeros([BLOCK_N, BLOCK_V], tl.float32)
    begin, full, edge, end = row_ranges(start, tl.minimum(start + BLOCK_N, length) - 1, queries, offset, window, CAUSAL,
                                        WINDOWED, BIASED, BLOCK_M)
    end = tl.where(start < length, end, 0)
    edge = tl.minimum(edge, end)
    full = tl.minimum(full, end)
    for member in range(group):
        head = key_head * group + member
        wide_row_head = tl.cast(head, tl.int64)
        query_head = Query + wide_batch * q_batch + wide_row_head * q_head
        gradient_head = Gradient + wide_batch * g_batch + wide_row_head * g_head
        bias_of_head = Bias
        if BIASED:
            bias_of_head = Bias + wide_batch * bias_batch + wide_row_head * bias_head
        slope = 0.0
        if SLOPES:
            slope = tl.load(Slopes + head).to(tl.float32)
        at = (wide_batch * heads + wide_row_head) * queries
        for part in tl.static_range(3):
            if (part == 0 and MASKED) or (part == 2 and WINDOWED) or (part == 1 and not BIASED):
                low = begin
                high = full
                if part == 1:
                    low = full
                    high = edge
                if part == 2:
                    low = edge
                    high = end
                for tile in range(low, high, BLOCK_M):
                    rows = tile + tl.arange(0, BLOCK_M)
                    own = rows + offset
                    query = load_tile(query_head, tile, q_row, queries, WIDTH, BLOCK_M, BLOCK_D, True)
                    gradient = load_tile(gradient_head, tile, g_row, queries, VALUE_WIDTH, BLOCK_M, BLOCK_V, True)
                    factor = row_factor(own, length, window, parameter, CAUSAL, WINDOWED, TRANSFORM)
                    numbers = row_numbers(Numbers + at, Places + at, rows, queries, all_rows, ENTROPY, SQUARES, MOMENTS,
                                          SPIKES, SPIKED)
                    products = tl.dot(key, tl.trans(query), input_precision=PRECISION)
                    if VALUE_WIDTH > 0:
                        d_weights = tl.dot(value, tl.trans(gradient), input_precision=PRECISION)
                    else:
                        d_weights = tl.zeros([BLOCK_N, BLOCK_M], tl.float32)
                    p, ds = weights_and_slopes(
                        products, d_weights, rows[None, :], columns[:, None], own[None, :], numbers, bias_of_head,
                        queries, length, window, bias_row, bias_key, slope, factor[None, :], scale, to_log2, to_natural,
                        SIGMOID, TRANSFORM, RAW, CAUSAL, WINDOWED, SLOPES, BIASED, BIAS_BY_ROW, ENTROPY, SQUARES,
                        MOMENTS, SPIKES, part != 1, False)
                    if part != 1:  # queries and gradients of rows that do not see a key may hold anything
                        sound = is_sound(gradient)
                        seen = sees(own[None, :], columns[:, None], length, window, CAUSAL, WINDOWED)
                        p = tl.where(seen & (~sound)[None, :], float("nan"), p)
                        gradient = keep(gradient, sound)
                        query = keep(query, is_sound(query))
                    d_value = tl.dot(p.to(gradient.dtype), gradient, d_value, input_precision=PRECISION)
                    d_key = tl.dot(ds.to(query.dtype), query, d_key, input_precision=PRECISION)
    # Keys past a sequence's length have met rows as zeros: what they owe is nothing.
    known = (columns < length)[:, None]
    d_key = tl.where(known, d_key * scale, 0.0)
    d_value = tl.where(known, d_value, 0.0)
    store_tile(KeyGradient + wide_batch * dk_batch + wide_head * dk_head, d_key, start, dk_row, keys, WIDTH, BLOCK_N,
               BLOCK_D)
    store_tile(ValueGradient + wide_batch * dv_batch + wide_head * dv_head, d_value, start, dv_row, keys, VALUE_WIDTH,
               BLOCK_N, BLOCK_V)
