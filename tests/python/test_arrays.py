"""attend() of arrays that are none of PyTorch's, held to NumPy in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest

import polariscope
from polariscope import attend


def softmax(q, k, v, causal=False, bias=0.0):
    """Output, entropy and largest weight, of [batch, heads, rows, width], each head with a key head of its own."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + bias
    if causal:
        z = np.where(np.tri(*z.shape[-2:], z.shape[-1] - z.shape[-2], dtype=bool), z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    return p @ v, -(p * logs).sum(-1), p.max(-1)


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(found, expected, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=tolerance, atol=tolerance)


TOLERANCES = {"float64": 1e-10, "float32": 2e-5, "float16": 4e-3}


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_random_shapes_agree_with_float64(dtype):
    chance = np.random.default_rng(7)
    for _ in range(40):
        batch, heads, queries, width, value_width = (int(chance.integers(1, top)) for top in (4, 5, 20, 40, 20))
        keys = queries + int(chance.integers(0, 20))
        causal = bool(chance.integers(2))
        q, k, v = (normal(batch, heads, rows, wide, dtype=dtype, seed=int(chance.integers(1000)))
                   for rows, wide in ((queries, width), (keys, width), (keys, value_width)))
        bias = normal(1, heads, 1, keys, dtype=dtype) if chance.integers(2) else None
        output, s = attend(q, k, v, causal=causal, bias=bias)
        expected, entropy, maximum = softmax(q, k, v, causal, 0.0 if bias is None else bias.astype(np.float64))
        assert type(output) is np.ndarray and output.dtype == dtype
        assert s.entropy.dtype == (np.float64 if dtype == "float64" else np.float32)
        assert (s.argmax.dtype, s.visible.dtype, s.non_finite.dtype) == (np.int32, np.int32, np.bool_)
        close(output, expected, TOLERANCES[dtype])
        close(s.entropy, entropy, max(TOLERANCES[dtype] / 10, 1e-10) * 10)
        close(s.maximum, maximum, TOLERANCES[dtype])


def test_strides_do_not_matter():
    packed = normal(2, 7, 3, 4, 5)  # [batch, rows, qkv, heads, width]
    q, k, v = packed.transpose(2, 0, 3, 1, 4)
    expected = attend(*(np.ascontiguousarray(x) for x in (q, k, v)))[0]
    odd = np.zeros(2 * 4 * 7 * 5 * 8 + 4, np.uint8)[4:].view(np.float64).reshape(q.shape)  # not aligned
    odd[...] = q
    for query in (q, odd, q[:, :, ::-1].copy()[:, :, ::-1], np.asfortranarray(q), q.astype(">f8")):
        np.testing.assert_array_equal(attend(query, k, v)[0], expected)
    for query in (np.broadcast_to(q[:1], q.shape), q[::-1], q[:, ::-1]):
        np.testing.assert_array_equal(attend(query, k, v)[0], attend(query.copy(), k, v)[0])
    output = attend(q, k, v)[0]
    assert output.transpose(0, 2, 1, 3).flags.c_contiguous  # laid out as the query is


def test_the_arrays_are_read_where_they_lie():
    q = normal(1, 2, 64, 16)
    q.flags.writeable = False
    attend(q, q, q)
    before = polariscope.arrays._readable
    copies = []
    polariscope.arrays._readable = lambda x: copies.append(before(x) is not x) or before(x)
    try:
        attend(q, q, q, bias=np.zeros((1, 1, 64, 64)))
    finally:
        polariscope.arrays._readable = before
    assert copies and not any(copies)


def test_every_form_and_statistic_is_there():
    q, k = normal(2, 4, 6, 5), normal(2, 2, 9, 5)
    for form in polariscope.forms():
        output, s = attend(q, k, k, form.name, columns=True, key_lengths=np.array([9, 4], np.int32))
        assert output.shape == (2, 4, 6, 5) and s.column_means.shape == (2, 4, 9)
        assert {name for name, x in s._asdict().items() if x is not None} == {*form.statistics, "column_means"}
    _, s = attend(q, k, k, statistics=["entropy"])
    assert [name for name, x in s._asdict().items() if x is not None] == ["entropy"]


def test_they_are_those_of_tensors():
    torch = pytest.importorskip("torch")
    q, k = normal(2, 4, 6, 5), normal(2, 2, 9, 5)
    more = {"bias": normal(1, 4, 1, 9), "slopes": np.linspace(0.1, 0.4, 4), "sink": normal(4),
            "key_lengths": np.array([9, 4])}
    output, s = attend(q, k, k, "sink", columns=True, window=5, **more)
    expected, t = attend(*map(torch.from_numpy, (q, k, k)), "sink", columns=True, window=5,
                         **{name: torch.from_numpy(x) for name, x in more.items()})
    np.testing.assert_array_equal(output, expected.numpy())
    for a, b in zip(s, t):
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b.numpy(), equal_nan=True)


class Lent:
    """An array of a library that speaks DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **more):
        return self.array.__dlpack__(**more)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array_namespace__(self):
        return Library


class Library:
    @staticmethod
    def from_dlpack(x):
        return Lent(np.from_dlpack(x))


def test_arrays_that_speak_dlpack_come_back_as_what_they_are():
    q, k = normal(1, 2, 6, 5), normal(1, 2, 6, 5, seed=1)
    output, s = attend(Lent(q), Lent(k), Lent(k), causal=True)
    expected, t = attend(q, k, k, causal=True)
    assert type(output) is Lent and type(s.entropy) is Lent and type(s.non_finite) is Lent
    np.testing.assert_array_equal(output.array, expected)
    np.testing.assert_array_equal(s.entropy.array, t.entropy)


def test_jax_arrays_come_back_as_jax_arrays():
    jax = pytest.importorskip("jax")
    for dtype in ("float32", "bfloat16", "float16"):
        q = jax.numpy.asarray(normal(1, 2, 6, 5)).astype(dtype)
        output, s = attend(q, q, q, causal=True)
        assert isinstance(output, jax.Array) and isinstance(s.argmax, jax.Array) and output.dtype == dtype
        close(output, softmax(*[np.asarray(q).astype(np.float64)] * 3, True)[0], 2e-2)


def test_a_mask_of_a_wider_type_hides_as_its_own():
    least = np.where(np.triu(np.ones((6, 6)), 1) > 0, np.finfo(np.float64).min, 0.0)[None, None]
    least[..., 2, :] = np.finfo(np.float64).min  # a row with nothing else is uniform
    least[..., 4, 0] = -np.inf
    q = np.random.default_rng(3).normal(size=(1, 2, 6, 4)).astype(np.float32)
    output, s = polariscope.attend(q, q, q, bias=least)
    np.testing.assert_allclose(output[:, :, 2], q.mean(2), rtol=1e-5, atol=1e-6)
    assert s.visible[0, 0].tolist() == [6, 6, 6, 6, 5, 6] and not s.non_finite.any()


def test_sizes_of_nothing():
    for shape in ((0, 2, 3, 4), (1, 2, 0, 4), (2, 0, 3, 4), (2, 0, 0, 4)):
        q = normal(*shape)
        output, s = attend(q, q, q, columns=True)
        assert output.shape == shape and s.entropy.shape == shape[:3]
    output, s = attend(normal(1, 2, 3, 4), normal(1, 2, 0, 4), normal(1, 2, 0, 4))
    assert not output.any() and not s.entropy.any()


def test_bad_input_is_answered_by_one_sentence():
    q = normal(2, 4, 6, 5)
    for call, sentence in (((q[0], q, q), r"query has shape \[4, 6, 5\]: expected \[batch, heads, queries, width\]"),
                           ((q, q.astype(np.float32), q), "key has type float32, query has float64"),
                           ((q.astype(np.int64),) * 3, "query has type int64: expected float32"),
                           ((q, q[:, :3], q[:, :3]), "4 heads over 3 key heads"),
                           ((q, q, q, "softmx"), 'did you mean "softmax"'),
                           ((np.ma.masked_array(q), q, q), "query is a masked array"),
                           (([[0.0]], q, q), "query is of type list: expected a tensor of PyTorch, a NumPy array")):
        with pytest.raises(polariscope.ArgumentError, match=sentence) as caught:
            attend(*call)
        assert "\n" not in str(caught.value)
    for given, sentence in (({"scale": float("nan")}, "the scale is nan"), ({"window": 0}, "the window is 0"),
                            ({"window": 1.5}, "the window is 1.5"), ({"alpha": 1.5}, "has no parameter alpha"),
                            ({"scale": np.ones(4)}, "scale is"), ({"statistics": ["entropie"]}, "unknown statistic"),
                            ({"implementation": "pytorch"}, 'arrays have "kernel" alone'),
                            ({"key_lengths": np.array([7, 2])}, "key length 7 of sequence 0"),
                            ({"key_lengths": np.array([1.0, 2])}, "key_lengths has type float64"),
                            ({"bias": np.zeros((1, 1, 6, 6), bool)}, "bias has type bool")):
        with pytest.raises(polariscope.ArgumentError, match=sentence):
            attend(q, q, q, **given)


def test_arrays_import_no_pytorch():
    program = ("import sys, numpy, polariscope; q = numpy.ones((1, 1, 2, 3)); polariscope.attend(q, q, q); "
               "print('torch' in sys.modules)")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=False)
    assert found.stdout == "False\n", found.stderr
