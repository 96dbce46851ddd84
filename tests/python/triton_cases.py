"""polariscope.triton_kernels against plain PyTorch in float64 (triton_oracle.py). Run by test_triton.py, in a process
where TRITON_INTERPRET is 1: the kernels' Python runs on NumPy then, program by program."""

import math
import random

import pytest
import torch
import triton_oracle as oracle

import polariscope
from polariscope import triton_kernels
from polariscope.triton_kernels import blocks, function

torch.set_num_threads(1)
ALL = triton_kernels.STATISTICS
INF = math.inf


@pytest.fixture
def small_blocks(monkeypatch):
    """So that small shapes have several tiles."""
    monkeypatch.setattr(blocks, "_INTERPRETED", blocks.Blocks(16, 16, 4, 1))


def names_of(reweighting):
    return [name for name in ALL if name != "log_sum_exp" or not reweighting.startswith("sigmoid")]


def inputs(seed=0, batch=2, heads=2, key_heads=1, queries=21, keys=27, width=20, value_width=12, dtype=torch.float32,
           size=1.0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((batch, heads, queries, width), (batch, key_heads, keys, width), (batch, key_heads, keys, value_width))
    return [(size * torch.randn(shape, generator=generator)).to(dtype) for shape in shapes]


def attended(query, key, value, reweighting="softmax", statistics=None, **arguments):
    names = names_of(reweighting) if statistics is None else statistics
    assert triton_kernels.supports(query, key, value, reweighting, statistics=names, **arguments)
    output, *rows = triton_kernels.attend(query, key, value, reweighting, statistics=names, **arguments)
    return output, dict(zip(names, rows))


def close(name, found, expected, tolerance):
    if found.dtype in (torch.int32, torch.bool):
        assert torch.equal(found.long(), expected.long()), name
        return
    found, expected = found.detach().double(), expected.detach()
    same = found == expected  # infinities
    error = torch.where(same, 0.0, found - expected).abs() / expected.abs().masked_fill(same, 0).clamp(min=1)
    assert error.max() < tolerance, f"{name} is off by {error.max():.2g}"


def compare(tensors, reweighting, tolerance=5e-6, gradient_tolerance=2e-5, **arguments):
    """Forward and gradients of a random loss of the output and of every differentiable statistic."""
    ours = [x.detach().clone().requires_grad_() for x in tensors]
    theirs = [x.detach().double().requires_grad_() for x in tensors]
    reference = dict(arguments)
    if arguments.get("sink") is not None:
        ours.append(arguments["sink"].detach().clone().requires_grad_())
        theirs.append(arguments["sink"].detach().double().requires_grad_())
        arguments["sink"], reference["sink"] = ours[-1], theirs[-1]
    output, rows = attended(*ours[:3], reweighting, **arguments)
    expected, expected_rows = oracle.attend(*theirs[:3], reweighting, **reference)
    close("output", output, expected, tolerance)
    for name, x in rows.items():
        close(name, x, expected_rows[name], 20 * tolerance if name == "skewness" else tolerance)  # ill-conditioned

    def loss(out, found):
        generator = torch.Generator().manual_seed(5)
        total = (out * torch.randn(out.shape, generator=generator).to(out.dtype)).sum()
        for name in function.DIFFERENTIABLE:
            if name in found:
                x = found[name]
                height = torch.randn(x.shape, generator=generator).to(x.dtype)
                total = total + (torch.where(torch.isinf(x), 0.0, x) * height).sum().to(total.dtype)
        return total

    for name, x, y in zip(("query", "key", "value", "sink"), torch.autograd.grad(loss(output, rows), ours),
                          torch.autograd.grad(loss(expected, expected_rows), theirs)):
        close(f"gradient of {name}", x, y, gradient_tolerance)


def left_padding(batch, keys, padded):
    bias = torch.zeros(batch, 1, 1, keys)
    for sequence, count in enumerate(padded):
        bias[sequence, ..., :count] = -INF
    return bias


def hiding_bias(shape, seed=3):
    generator = torch.Generator().manual_seed(seed)
    bias = torch.randn(shape, generator=generator)
    return bias.masked_fill(torch.rand(shape, generator=generator) < 0.4, -INF)


@pytest.mark.parametrize("reweighting, arguments", [
    ("softmax", {}),
    ("softmax", {"causal": True}),
    ("softmax", {"causal": True, "window": 5}),
    ("softmax", {"window": 18}),
    ("softmax", {"causal": True, "key_lengths": torch.tensor([27, 11])}),
    ("softmax", {"causal": True, "slopes": torch.tensor([0.5, 0.02])}),
    ("softmax", {"causal": True, "bias": left_padding(2, 27, (3, 19))}),
    ("softmax", {"bias": hiding_bias((1, 2, 21, 27))}),
    ("softmax", {"scale": -0.3}),
    ("softmax1", {"causal": True}),
    ("sink", {"sink": torch.tensor([0.3, 2.0]), "key_lengths": torch.tensor([20, 0])}),
    ("sink", {"sink": torch.tensor([60.0, -90.0]), "causal": True}),
    ("softcap", {"transform_factor": 0.7, "causal": True, "window": 9}),
    ("softcap", {"bias": hiding_bias((2, 1, 1, 27)), "slopes": torch.tensor([0.5, 0.02])}),
    ("ssmax", {"transform_factor": 0.6, "causal": True, "window": 20}),
    ("sigmoid", {"causal": True}),
    ("sigmoid/sum", {"sum_offset": 0.5, "window": 9}),
    ("sigmoid_log", {"key_lengths": torch.tensor([27, 9])}),
    ("sigmoid", {"bias": hiding_bias((2, 1, 21, 27)), "causal": True}),
])
def test_output_statistics_and_gradients_are_those_of_plain_pytorch(reweighting, arguments):
    compare(inputs(), reweighting, **arguments)


@pytest.mark.parametrize("seed", range(10))
def test_they_are_for_random_shapes_and_masks(small_blocks, seed):
    random.seed(seed)
    batch, key_heads, group = random.randint(1, 2), random.randint(1, 2), random.randint(1, 2)
    heads, queries, keys = key_heads * group, random.choice([1, 2, 15, 17, 33]), random.choice([1, 3, 16, 31, 40])
    reweighting = random.choice(["softmax", "softmax1", "sink", "softcap", "ssmax", "sigmoid", "sigmoid/sum"])
    arguments = {"causal": random.random() < 0.6}
    if random.random() < 0.4:
        arguments["window"] = random.randint(1, 40)
    if random.random() < 0.4:
        arguments["key_lengths"] = torch.randint(0, keys + 1, (batch,), generator=torch.Generator().manual_seed(seed))
    if random.random() < 0.3:
        arguments["slopes"] = torch.rand(heads, generator=torch.Generator().manual_seed(seed))
    if reweighting != "ssmax" and random.random() < 0.3:
        whole = (batch, heads, queries, keys)
        arguments["bias"] = hiding_bias([random.choice([1, size]) for size in whole], seed)
    if reweighting == "sink":
        arguments["sink"] = torch.randn(heads, generator=torch.Generator().manual_seed(seed))
    print(seed, reweighting, batch, heads, key_heads, queries, keys, arguments)
    compare(inputs(seed, batch, heads, key_heads, queries, keys, random.choice([16, 24]), random.choice([5, 16])),
            reweighting, **arguments)


@pytest.mark.parametrize("name", function.DIFFERENTIABLE)
def test_a_statistic_alone_has_its_gradient(name):
    query, key, value = (x.requires_grad_() for x in inputs(queries=9, keys=19))
    doubles = [x.detach().double().requires_grad_() for x in (query, key)]
    found = attended(query, key, value, "softmax1", [name], causal=True)[1][name]
    expected = oracle.attend(*doubles, value, "softmax1", causal=True)[1][name]
    height = torch.linspace(-1, 1, found.numel()).reshape(found.shape)
    for x, y in zip(torch.autograd.grad((found * height).sum(), (query, key)),
                    torch.autograd.grad((expected * height).sum(), doubles)):
        close(name, x, y, 2e-6)


@pytest.mark.parametrize("reweighting", ["softmax", "sigmoid"])
def test_float16_is_computed_in_single_precision_but_for_the_weights_that_multiply(reweighting):
    compare(inputs(dtype=torch.float16), reweighting, tolerance=3e-3, gradient_tolerance=8e-3, causal=True)
    tensors = inputs(dtype=torch.float16)
    found, expected = (x[1] for x in (attended(*tensors, reweighting), oracle.attend(*tensors, reweighting)))
    close("entropy", found["entropy"], expected["entropy"], 3e-6)


def test_a_statistic_has_the_same_bits_asked_for_alone():
    tensors = inputs()
    output, rows = attended(*tensors, causal=True, window=9)
    for name, x in rows.items():
        alone = attended(*tensors, statistics=[name], causal=True, window=9)
        assert torch.equal(alone[0], output) and torch.equal(alone[1][name], x), name


def test_a_row_without_visible_keys_has_zeros():
    tensors = inputs(queries=27, keys=9)  # the first 18 queries come before the first key
    for reweighting, level in (("softmax", -INF), ("sink", 1.5)):
        arguments = {"sink": torch.tensor([1.5, 1.5])} if reweighting == "sink" else {}
        output, rows = attended(*tensors, reweighting, causal=True, **arguments)
        assert not output[:, :, :18].any()
        for name, x in rows.items():
            expected = {"argmax": -1, "log_sum_exp": level}.get(name, 0)
            assert (x[:, :, :18] == expected).all(), name


def test_hidden_keys_may_hold_anything_forward_and_backward():
    for arguments, hidden in (({"causal": True}, (20, 27)), ({"causal": True, "window": 4}, (20, 27)),
                              ({"key_lengths": torch.tensor([20, 20])}, (20, 27)),
                              ({"bias": left_padding(2, 27, (9, 9))}, (0, 9))):
        rows = slice(0, 13) if arguments.get("causal") else slice(0, 21)  # those that do not see the hidden keys
        found = []
        for spoilt in (0.0, math.nan, INF):
            query, key, value = inputs()
            key[:, :, hidden[0]:hidden[1]] = spoilt
            value[:, :, hidden[0]:hidden[1]] = spoilt
            query.requires_grad_()
            output, statistics = attended(query, key, value, **arguments)
            output, entropy = output[:, :, rows], statistics["entropy"][:, :, rows]
            (gradient,) = torch.autograd.grad(output.sum() + entropy.sum(), query)
            found.append((output, entropy, statistics["skewness"][:, :, rows], gradient[:, :, rows]))
        for other in found[1:]:
            assert all(torch.equal(x, y) for x, y in zip(found[0], other)), arguments


def test_queries_that_do_not_see_a_key_may_hold_anything():
    found = []
    for spoilt in (0.0, math.nan):
        query, key, value = inputs()
        query[:, :, :5] = spoilt
        key.requires_grad_()
        value.requires_grad_()
        output = attended(query, key, value, statistics=[], causal=True)[0]
        upstream = torch.ones_like(output)
        upstream[:, :, :5] = spoilt
        found.append([x[:, :, 11:] for x in torch.autograd.grad(output, (key, value), upstream)])
    assert all(torch.equal(x, y) for x, y in zip(*found))


@pytest.mark.parametrize("spoilt", [math.nan, INF, -INF])
@pytest.mark.parametrize("statistics", [ALL, ("maximum", "non_finite")])
def test_a_score_that_is_not_finite_makes_its_rows_nan_and_no_others(spoilt, statistics):
    for reweighting in ("softmax", "sigmoid"):
        names = [name for name in statistics if name in names_of(reweighting)]
        query, key, value = inputs(width=16)
        query[..., 0] = query[..., 0].abs() + 0.1
        clean_output, clean = attended(query, key, value, reweighting, names, causal=True)
        key[:, :, 9, 0] = spoilt  # seen from query 3 on
        output, rows = attended(query, key, value, reweighting, names, causal=True)
        assert rows["non_finite"][:, :, 3:].all() and not rows["non_finite"][:, :, :3].any()
        assert output[:, :, 3:].isnan().all() and torch.equal(output[:, :, :3], clean_output[:, :, :3])
        for name in names:
            if name not in ("argmax", "visible", "non_finite"):
                assert rows[name][:, :, 3:].isnan().all(), name
                assert torch.equal(rows[name][:, :, :3], clean[name][:, :, :3]), name


def test_the_gradient_of_a_row_that_is_not_finite_is_nan():
    query, key, value = inputs()
    query[0, 0, 20] = math.nan
    for x in (query, key, value):
        x.requires_grad_()
    output, rows = attended(query, key, value, causal=True)
    gradients = torch.autograd.grad(output.sum() + rows["entropy"].sum(), (query, key, value))
    assert gradients[0][0, 0, 20].isnan().all() and gradients[0][0, 0, :20].isfinite().all()
    assert gradients[0][0, 1].isfinite().all() and gradients[1][1].isfinite().all()
    assert gradients[1][0].isnan().all() and gradients[2][0].isnan().all()


def test_a_mask_of_the_least_finite_number_hides_and_a_row_of_it_is_uniform():
    tensors = inputs()
    bias = torch.zeros(1, 1, 21, 27)
    bias[..., 5:] = torch.finfo(torch.float32).min
    bias[..., 7, :] = torch.finfo(torch.float32).min
    output, rows = attended(*tensors, bias=bias)
    close("uniform", rows["entropy"][:, :, 7], torch.full((2, 2), math.log(27)).double(), 1e-6)
    hidden = torch.zeros(1, 1, 21, 27)
    hidden[..., 5:] = -INF
    expected, expected_rows = attended(*tensors, bias=hidden)
    others = [i for i in range(21) if i != 7]
    assert torch.equal(output[:, :, others], expected[:, :, others])
    assert torch.equal(rows["entropy"][:, :, others], expected_rows["entropy"][:, :, others])
    assert not rows["non_finite"].any()


def test_equal_keys_have_the_entropy_of_their_number_the_first_place_and_no_skewness():
    query, key, value = inputs()
    key = key[:, :, :1].expand(-1, -1, 27, -1)
    rows = attended(query, key, value, causal=True)[1]
    close("entropy", rows["entropy"], rows["visible"].double().log(), 1e-6)
    assert not rows["argmax"].any() and not rows["skewness"].any()


@pytest.mark.parametrize("bias", [None, torch.zeros(1, 1, 1, 1)])
def test_large_logits_keep_their_entropy(bias):
    """Logits of 10^4 that no product rounds: the level and 1/n are kept apart, and an exponent is rounded once."""
    query, key, value = inputs(heads=1, batch=1)
    query[...], key[...] = 0, 0
    query[..., 0] = 1
    key[..., 0] = 1e4 + torch.randint(0, 8, (27,), generator=torch.Generator().manual_seed(1)) / 4
    output, rows = attended(query, key, value, scale=1.0, bias=bias)
    expected, expected_rows = oracle.attend(query, key, value, scale=1.0, bias=bias)
    close("output", output, expected, 2e-6)
    for name in ("entropy", "sum_of_squares", "maximum", "log_sum_exp", "logit_mean"):
        close(name, rows[name], expected_rows[name], 2e-6)


def test_statistics_without_values_are_those_with_them():
    """As watch() asks for them."""
    query, key, value = inputs()
    query.requires_grad_()
    expected = attended(query, key, value, "sink", causal=True, sink=torch.ones(2))[1]
    found = attended(query, key, value[..., :0], "sink", causal=True, sink=torch.ones(2))[1]
    for name, x in expected.items():
        assert torch.equal(found[name], x), name
    gradients = [torch.autograd.grad(rows["entropy"].sum(), query)[0] for rows in (expected, found)]
    assert torch.equal(*gradients)


def test_heads_inside_rows_are_read_and_written_as_they_lie():
    expected = inputs(batch=1, heads=2, key_heads=2)
    output, rows = attended(*expected)
    views = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in expected]
    found, found_rows = attended(*views)
    assert torch.equal(found, output) and torch.equal(found_rows["entropy"], rows["entropy"])
    assert found.transpose(1, 2).is_contiguous()
    slanted = [x.transpose(2, 3).contiguous().transpose(2, 3) for x in expected]
    assert torch.equal(attended(*slanted)[0], output)


def test_lengths_beyond_the_keys_are_their_number():
    tensors = inputs()
    expected = attended(*tensors, causal=True)[0]
    assert torch.equal(attended(*tensors, causal=True, key_lengths=torch.tensor([99, 27]))[0], expected)


def test_what_is_not_served_is_left_to_others():
    query, key, value = inputs()
    for changed in ({"reweighting": "entmax"}, {"statistics": ["column_means"]}, {"scale": torch.tensor(0.1)},
                    {"reweighting": "softcap", "transform_factor": torch.tensor(20.0)}, {"alpha": 1.2},
                    {"bias": torch.zeros(1, 1, 1, 27, requires_grad=True)}, {"sink": torch.zeros(2)},
                    {"slopes": torch.zeros(2, requires_grad=True)},
                    {"reweighting": "ssmax", "bias": torch.zeros(1, 1, 1, 27)},
                    {"reweighting": "sigmoid", "statistics": ["log_sum_exp"]}):
        assert not triton_kernels.supports(query, key, value, **changed), changed
    assert not triton_kernels.supports(query.double(), key.double(), value.double())
    assert not triton_kernels.supports(query[:, :, :0], key, value)
    wide = torch.zeros(1, 1, 2, 300)
    assert not triton_kernels.supports(wide, wide, wide)


def test_attend_takes_them_by_name_and_says_what_they_do_not_serve():
    query, key, value = inputs()
    output, rows = polariscope.attend(query, key, value, causal=True, implementation="triton")
    expected, expected_rows = attended(query, key, value, causal=True)
    assert torch.equal(output, expected) and rows.column_means is None
    for name, x in expected_rows.items():
        assert torch.equal(getattr(rows, name), x), name
    with pytest.raises(polariscope.ArgumentError, match="do not serve this call"):
        polariscope.attend(query, key, value, "entmax", implementation="triton")
    with pytest.raises(polariscope.ArgumentError, match="sink has shape"):
        polariscope.attend(query, key, value, "sink", sink=torch.zeros(3), implementation="triton")


def test_second_derivatives_are_refused():
    query, key, value = (x.requires_grad_() for x in inputs())
    output = attended(query, key, value, statistics=[])[0]
    (gradient,) = torch.autograd.grad(output.square().sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()
