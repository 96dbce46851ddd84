"""The implementation in PyTorch's operators, forced on the CPU: in blocks of rows it is the kernel's, to rounding."""

import random

import pytest

import polariscope
from polariscope import attend

torch = pytest.importorskip("torch")
from polariscope import chunked  # noqa: E402  needs PyTorch

FORMS = [form.name for form in polariscope.forms()]
STARRED = ("entropy", "sum_of_squares", "maximum", "first_key", "first_visible_key", "log_sum_exp", "logit_mean",
           "logit_variance")


@pytest.fixture(autouse=True)
def _blocks_of_few_rows(monkeypatch):
    monkeypatch.setattr(chunked, "_ELEMENTS", 64)


def normal(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def drawn(seed, form):
    """Leaves and the other arguments of a random call."""
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    batch, key_heads, share, queries = (chance.randint(1, most) for most in (3, 2, 3, 12))
    keys, width = chance.randint(1, 14), chance.randint(1, 6)
    heads = key_heads * share
    leaves = {"query": normal(generator, batch, heads, queries, width),
              "key": normal(generator, batch, key_heads, keys, width),
              "value": normal(generator, batch, key_heads, keys, chance.randint(1, 5))}
    given = {"causal": chance.random() < 0.5}
    if chance.random() < 0.4:
        given["window"] = chance.randint(1, keys + 2)
    if chance.random() < 0.4:
        given["key_lengths"] = torch.tensor([chance.randint(0, keys) for _ in range(batch)])
    if chance.random() < 0.4:
        given["slopes"] = torch.linspace(0.1, 0.7, heads, dtype=torch.double)
    if chance.random() < 0.5:
        bias = normal(generator, *(chance.choice((1, size)) for size in (batch, heads, queries, keys)))
        leaves["bias"] = bias.masked_fill(torch.rand(bias.shape, generator=generator) < 0.2, float("-inf"))
    if form in ("sink", "softmax1") and chance.random() < 0.7:
        leaves["sink"] = normal(generator, heads)
    if form == "softcap":
        given["transform_factor"] = 2.0
    return {name: x.requires_grad_() for name, x in leaves.items()}, given, generator


def close(found, expected, what, tolerance=1e-8):
    found, expected = found.detach(), expected.detach()
    assert found.dtype == expected.dtype and found.shape == expected.shape, what
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True,
                               msg=lambda m: f"{what}: {m}")


@pytest.mark.parametrize("form", FORMS)
def test_random_calls_are_those_of_the_kernel_with_their_gradients(form):
    for seed in range(6):
        leaves, given, generator = drawn(seed, form)
        results = [attend(**leaves, reweighting=form, columns=True, **given, implementation=implementation)
                   for implementation in ("pytorch", "kernel")]
        (output, s), (expected, t) = results
        close(output, expected, f"{form} {seed}: output")
        losses = [0.0, 0.0]
        by = normal(generator, *output.shape)
        for i, (x, _) in enumerate(results):
            losses[i] = losses[i] + (x * by).sum()
        for name, x in s._asdict().items():
            y = getattr(t, name)
            assert (x is None) == (y is None), name
            if x is None:
                continue
            close(x, y, f"{form} {seed}: {name}", 1e-6 if name == "skewness" else 1e-8)
            assert y.requires_grad == (name in STARRED) >= x.requires_grad, name
            assert x.requires_grad == y.requires_grad or form == "uniform", name
            if name in STARRED:
                by = normal(generator, *x.shape) * torch.isfinite(y)
                for i, z in enumerate((x, y)):
                    losses[i] = losses[i] + (torch.where(torch.isfinite(y), z, torch.zeros_like(z)) * by).sum()
        gradients = [torch.autograd.grad(loss, list(leaves.values()), allow_unused=True) for loss in losses]
        for name, x, y in zip(leaves, *gradients):
            close(torch.zeros_like(y) if x is None else x, y, f"{form} {seed}: gradient of {name}", 1e-7)


LEARNED = [("softmax", "scale", 0.3), ("softcap", "transform_factor", 1.5), ("ssmax", "transform_factor", 0.4),
           ("clipped", "gamma", -0.05), ("clipped", "zeta", 1.1), ("softpick", "epsilon", 0.5),
           ("entmax", "alpha", 1.4), ("sigmoid/sum", "sum_offset", 0.3), ("relu/count", "count_power", 0.7),
           ("relu_kernel/sum", "feature_offset", 0.2), ("elu1_kernel", "scale", 0.5)]


@pytest.mark.parametrize("form,name,number", LEARNED)
def test_what_is_learned_is_learned_alike(form, name, number):
    for shape in ((), (4,)):
        generator = torch.Generator().manual_seed(3)
        q, k, v = (normal(generator, 2, heads, rows, 3).requires_grad_() for heads, rows in ((4, 5), (2, 7), (2, 7)))
        x = (torch.full(shape, number).double() * torch.linspace(1.0, 1.05, 4).double()[:max(1, sum(shape))]
             .reshape(shape)).requires_grad_()
        found = []
        for implementation in ("pytorch", "kernel"):
            output, s = attend(q, k, v, form, causal=True, **{name: x}, implementation=implementation)
            loss = output.square().sum() + s.entropy.sum() + s.sum_of_squares.sum()
            found.append((output, *torch.autograd.grad(loss, (q, k, v, x))))
        for a, b in zip(*found):
            close(a, b, f"{form} {name} {shape}", 1e-7)


@pytest.mark.parametrize("form", ["softmax", "sink", "sigmoid/sum", "identity/max1", "elu1_kernel/sum", "ssmax",
                                  "clipped", "softpick", "sparsemax", "entmax"])
def test_first_and_second_derivatives_are_slopes(form):
    generator = torch.Generator().manual_seed(11)
    q, k, v = (normal(generator, 1, 2, 3, 2).requires_grad_() for _ in range(3))

    def function(q, k, v):
        output, s = attend(q, k, v, form, causal=True, statistics=["entropy", "logit_variance"],
                           implementation="pytorch")
        return output, s.entropy, s.logit_variance

    assert torch.autograd.gradcheck(function, (q, k, v), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (q, k, v), fast_mode=True)


def test_forward_mode_and_hessians_are_computed():
    generator = torch.Generator().manual_seed(2)
    q, k, v, tangent = (normal(generator, 1, 2, 4, 3) for _ in range(4))

    def function(q):
        output, s = attend(q, k, v, causal=True)
        return output.square().sum() + s.entropy.sum()

    _, found = torch.func.jvp(function, (q,), (tangent,))
    close(found, (torch.func.grad(function)(q) * tangent).sum(), "jvp")
    with torch.autograd.forward_ad.dual_level():
        dual = function(torch.autograd.forward_ad.make_dual(q, tangent))
        close(torch.autograd.forward_ad.unpack_dual(dual).tangent, found, "dual")
    hessian = torch.func.hessian(function)(q)
    close(torch.func.vmap(lambda t: torch.func.jvp(torch.func.grad(function), (q,), (t,))[1])(tangent[None])[0],
          torch.einsum("abcdefgh,efgh->abcd", hessian, tangent), "Hessian")
    scaled = torch.func.jvp(lambda scale: attend(q, k, v, scale=scale)[0], (torch.tensor(0.5).double(),),
                            (torch.tensor(1.0).double(),))[1]
    step = [attend(q, k, v, scale=0.5 + way)[0] for way in (1e-6, -1e-6)]
    close(scaled, (step[0] - step[1]) / 2e-6, "jvp of a scale", 1e-6)
    with pytest.raises(RuntimeError, match="forward mode"):
        torch.func.jvp(lambda q: attend(q, k, v, implementation="kernel")[0], (q,), (tangent,))


def test_no_matrix_is_ever_whole(monkeypatch):
    monkeypatch.setattr(chunked, "_ELEMENTS", 2 * 32 * 8)
    from torch.utils._python_dispatch import TorchDispatchMode
    largest = [0]

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            several = found if isinstance(found, (tuple, list)) else [found]
            largest[0] = max([largest[0]] + [x.numel() for x in several if isinstance(x, torch.Tensor)])
            return found

    q = torch.randn(1, 2, 32, 4, requires_grad=True)
    with Sizes():
        output, s = attend(q, q, q, columns=True, implementation="pytorch")
        (output.sum() + s.entropy.sum()).backward()
    assert largest[0] <= 2 * 32 * 8


def test_what_a_row_does_not_see_may_be_anything():
    clean = [torch.randn(2, 1, 6, 8) for _ in range(3)]
    for name in range(3):
        for bad in (float("nan"), float("inf")):
            broken = [x.clone() for x in clean]
            broken[name][0, 0, 5] = bad
            broken = [x.requires_grad_() for x in broken]
            expected, _ = attend(*clean, causal=True, implementation="pytorch")
            output, s = attend(*broken, causal=True, implementation="pytorch")
            assert torch.equal(output[:, :, :5], expected[:, :, :5]) and not s.non_finite[:, :, :5].any()
            assert output[0, 0, 5].isnan().all()
            assert bool(s.non_finite[0, 0, 5]) == (name != 2) and bool(s.entropy[0, 0, 5].isnan()) == (name != 2)
            output[:, :, :5].sum().backward()
            assert all(torch.isfinite(x.grad).all() for x in broken)


def test_the_least_number_as_a_mask_is_a_mask_and_half_precision_is_computed_in_single():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        q, k, v = (torch.randn(1, 2, 40, 8).to(dtype).requires_grad_() for _ in range(3))
        bias = torch.full((40, 40), torch.finfo(torch.float32).min).triu(1)[None, None]
        output, s = attend(q, k, v, bias=bias, implementation="pytorch")
        expected, t = attend(q, k, v, causal=True)
        assert (output.dtype, s.entropy.dtype) == (dtype, torch.float32)
        close(output, expected, "output", 1e-2 if dtype != torch.float32 else 1e-5)
        close(s.entropy, t.entropy, "entropy", 1e-5)
        (output.sum() + s.entropy.sum()).backward()
        assert q.grad.dtype == dtype and torch.isfinite(q.grad).all()
    least = torch.full((1, 1, 40, 40), torch.finfo(torch.float32).min)
    _, s = attend(q, k, v, bias=least, implementation="pytorch")
    close(s.entropy, torch.full_like(s.entropy, 40.0).log(), "entropy of a row with nothing else", 1e-5)


@pytest.mark.parametrize("form", [name for name in FORMS if name.endswith(("/sum", "/max1"))])
def test_weights_whose_sums_would_overflow_are_normalised_as_usual(form):
    generator = torch.Generator().manual_seed(7)
    for most in (1e37, 1.5e38):  # of the scores
        q = torch.full((1, 1, 2, 1), most).requires_grad_()
        k = torch.rand(1, 1, 40, 1, generator=generator).requires_grad_()
        v = torch.randn(1, 1, 40, 3, generator=generator).requires_grad_()
        output, s = attend(q, k, v, form, scale=1.0, implementation="pytorch")
        expected, t = attend(*(x.detach().double() for x in (q, k, v)), form, scale=1.0, implementation="pytorch")
        close(output, expected.float(), "output", 1e-5)
        for name in ("entropy", "sum_of_squares", "maximum", "first_key"):
            close(getattr(s, name), getattr(t, name).float(), name, 1e-4)
        assert not s.non_finite.any()
        (output.sum() + s.entropy.sum()).backward()
        assert all(x.grad is None or torch.isfinite(x.grad).all() for x in (q, k, v))
        # The least number as a mask: a weight like any other.
        bias = torch.full((40,), torch.finfo(torch.float32).min)[None, None, None].clone()
        bias[..., :3] = 0
        x = torch.randn(1, 1, 4, 2, generator=generator)
        keys, values = torch.randn(1, 1, 40, 2, generator=generator), torch.randn(1, 1, 40, 3, generator=generator)
        close(attend(x, keys, values, form, bias=bias, implementation="pytorch")[0],
              attend(x, keys, values, form, bias=bias, implementation="kernel")[0], "output under a mask", 1e-5)


def test_a_mask_of_a_wider_type_hides_as_its_own():
    least = torch.zeros(1, 1, 40, 40, dtype=torch.double).masked_fill(torch.ones(40, 40).triu(1).bool(),
                                                                       torch.finfo(torch.double).min)
    least[:, :, 5] = torch.finfo(torch.double).min  # a row with nothing else is uniform
    least[:, :, 6, 3] = float("-inf")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        q = torch.randn(1, 2, 40, 8).to(dtype)
        for implementation in ("pytorch", "kernel"):
            output, s = attend(q, q, q, bias=least, implementation=implementation)
            assert s.visible[0, 0, 4:7].tolist() == [40, 40, 39] and not s.non_finite.any()
            close(output[:, :, 5], q.float().mean(2).to(dtype), "uniform row", 1e-2)
            close(s.entropy[:, :, 5], torch.full((1, 2), 40.0).log(), "entropy of it", 1e-5)
            close(s.entropy[:, :, 8], attend(q[:, :, 8:9], q[:, :, :9], q[:, :, :9])[1].entropy[:, :, 0], "row", 1e-4)
    bias = least.clone().requires_grad_()
    q = torch.randn(1, 2, 40, 8)
    found = [torch.autograd.grad(attend(q, q, q, bias=bias, implementation=implementation)[0].square().sum(), bias)[0]
             for implementation in ("pytorch", "kernel")]
    for g in found:
        g[:, :, 5] = 0  # a number that is cut off has no gradient where PyTorch computes
    close(found[0], found[1], "gradient of the mask", 1e-5)


def test_sizes_of_nothing():
    for shape in ((0, 2, 3, 4), (1, 2, 0, 4), (2, 0, 3, 4), (2, 0, 0, 4)):
        q = torch.randn(*shape, requires_grad=True)
        output, s = attend(q, q, q, columns=True, implementation="pytorch")
        assert output.shape == q.shape and s.entropy.shape == q.shape[:3] and s.column_means.shape == q.shape[:3]
        output.sum().backward()
    output, s = attend(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 0, 4), torch.randn(1, 2, 0, 4), columns=True,
                       implementation="pytorch")
    assert not output.any() and not s.entropy.any() and s.argmax.eq(-1).all() and s.column_means.shape == (1, 2, 0)


def test_mistakes_are_answered_as_the_kernel_answers_them():
    q = torch.randn(2, 4, 6, 5)
    for call, given in (((q, q[:1], q), {}), ((q, q.double(), q), {}), ((q, q, q, "softmx"), {}),
                        ((q, q, q), {"alpha": 1.5}), ((q, q, q, "entmax"), {"alpha": 1.0}),
                        ((q, q, q), {"scale": float("nan")}), ((q, q, q), {"sink": torch.zeros(4)}),
                        ((q, q, q), {"slopes": torch.zeros(4, requires_grad=True)}),
                        ((q, q, q, "sigmoid"), {"statistics": ["log_sum_exp"]}),
                        ((q, q, q, "softcap"), {"transform_factor": 0.0})):
        said = []
        for implementation in ("pytorch", "kernel"):
            with pytest.raises(polariscope.ArgumentError) as caught:
                attend(*call, **given, implementation=implementation)
            said.append(str(caught.value))
        assert said[0].split(",")[0] == said[1].split(",")[0]
    with pytest.raises(polariscope.ArgumentError, match="implementation is 'torch'"):
        attend(q, q, q, implementation="torch")
    for implementation in ("pytorch", "kernel"):
        for length in (7, -1, 2**63 - 1, -2**63):
            with pytest.raises(polariscope.ArgumentError, match=f"key length {length} of sequence 1: expected 0 to 6"):
                attend(q, q, q, key_lengths=torch.tensor([6, length]), implementation=implementation)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_computed_stays_on_the_device(form):
    def empty(*shape, **more):
        return torch.empty(*shape, device="meta", **more)

    q, k = empty(2, 4, 6, 5).requires_grad_(), empty(2, 2, 9, 5).requires_grad_()
    given = {"sink": empty(4)} if form in ("sink", "softmax1") else {"alpha": empty(4)} if form == "entmax" else {}
    output, s = attend(q, k, k, form, causal=True, window=4, columns=True, bias=empty(1, 4, 1, 9), slopes=empty(4),
                       key_lengths=empty(2, dtype=torch.int64), scale=empty(4), **given, implementation="pytorch")
    assert all(x is None or x.is_meta for x in (output, *s))
    (output.sum() + s.sum_of_squares.sum()).backward()
    if form == "uniform":  # whose weights hang on neither
        assert q.grad is None
    else:
        assert q.grad.is_meta and k.grad.is_meta
