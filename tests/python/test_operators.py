"""torch.ops.polariscope: what compilers, tracers, transforms and modes see of attend()."""

import pytest

from polariscope import attend

torch = pytest.importorskip("torch")
from torch.func import grad, jacrev, vmap  # noqa: E402  needs PyTorch

HEADS, KEYS = 4, 7


def operators():
    attend(*(torch.zeros(1, 1, 1, 1) for _ in range(3)))  # defines them
    return torch.ops.polariscope.attend.default, torch.ops.polariscope.attend_backward.default


def normal(*shape, seed=0, dtype=torch.double):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double).to(dtype)


def inputs(dtype=torch.double):
    return normal(2, HEADS, 5, 6, dtype=dtype), normal(2, 2, KEYS, 6, seed=1, dtype=dtype), normal(
        2, 2, KEYS, 3, seed=2, dtype=dtype)


def leaves(dtype=torch.double):
    return [x.requires_grad_() for x in inputs(dtype)]


def close(found, expected):
    for a, b in zip(found, expected):
        assert a.shape == b.shape and a.dtype == b.dtype
        torch.testing.assert_close(a, b, equal_nan=True)


def everything(q, k, v):
    output, s = attend(q, k, v, causal=True, columns=True)
    return output, s.entropy, s.maximum, s.argmax, s.column_means


def loss(*given):
    return sum((x * x).sum() for x in everything(*given) if x.is_floating_point() and x.requires_grad)


CALLS = {  # what follows query, key and value
    "plain": lambda dtype: ([None] * 5, ("softmax", None, True, None, "", "entropy,argmax,visible,column_means")),
    "nothing but the output": lambda dtype: ([None] * 5, ("softmax", None, False, None, "", "")),
    "window": lambda dtype: ([None] * 5, ("softmax", None, True, 3, "", "entropy,maximum,logit_variance")),
    "everything": lambda dtype: ([normal(1, HEADS, 1, KEYS, dtype=dtype).requires_grad_(),
                                  torch.linspace(0.1, 0.4, HEADS).to(dtype),
                                  normal(HEADS, dtype=dtype).requires_grad_(), torch.tensor([KEYS, 4]), None],
                                 ("sink", 0.3, False, None, "", "entropy")),
    "learned": lambda dtype: ([None] * 4 + [torch.tensor([1.3]).double().requires_grad_()],
                              ("entmax", None, False, None, "alpha", "entropy")),
    "learned of each head": lambda dtype: (
        [None] * 4 + [torch.linspace(0.4, 0.6, HEADS)[None].double().requires_grad_()],
        ("ssmax", None, True, None, "transform_factor", "entropy")),
    "number": lambda dtype: ([None] * 5, ("entmax", None, False, None, "alpha=1.3", "entropy,sum_of_squares")),
}


@pytest.mark.parametrize("dtype", [torch.double, torch.bfloat16], ids=str)
@pytest.mark.parametrize("call", CALLS)
def test_opcheck_passes_whole(call, dtype):
    tensors, rest = CALLS[call](dtype)
    by_rows = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs(dtype)]
    for first in (inputs(dtype), leaves(dtype), by_rows) if dtype == torch.double else (inputs(dtype), by_rows):
        torch.library.opcheck(operators()[0], (*first, *tensors, *rest))


def test_opcheck_passes_for_the_backward_operator():
    forward, backward = operators()
    call = (*inputs(), None, None, None, None, None, "softmax", None, True, None, "")
    output, *saved = forward(*call, "shift,inverse,entropy,mass")
    torch.library.opcheck(backward, (*call, output, [torch.ones_like(output), saved[2]], "output,entropy", saved,
                                     "shift,inverse,entropy,mass", "query,key,value"))


@pytest.mark.parametrize("backend,dynamic", [("aot_eager", False), ("inductor", False), ("aot_eager", True)])
def test_compiled_with_fullgraph_forward_and_backward(backend, dynamic):
    torch._dynamo.reset()
    compiled = torch.compile(everything, fullgraph=True, backend=backend, dynamic=dynamic)
    given = leaves()
    found, expected = compiled(*given), everything(*given)
    close(found, expected)

    def gradients(results):
        return torch.autograd.grad(sum((x * x).sum() for x in results if x.requires_grad), given)

    close(gradients(found), gradients(expected))


def test_compiled_with_what_is_learned():
    torch._dynamo.reset()

    def function(q, k, v, scale, alpha):
        output, s = attend(q, k, v, "entmax", scale=scale, alpha=alpha)
        return output.sum() + s.entropy.sum()

    given = [*leaves(), torch.tensor(0.3).double().requires_grad_(),
             torch.linspace(1.2, 1.5, HEADS).double().requires_grad_()]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    close(torch.autograd.grad(compiled(*given), given), torch.autograd.grad(function(*given), given))
    with torch.no_grad():
        given[4] += 0.2  # its numbers are no constants of the graph
    close([compiled(*given)], [function(*given)])


class Projected(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        output, s = attend(q, k, v, causal=True)
        return output, s.entropy


@pytest.mark.parametrize("strict", [False, True])
def test_exported_with_dynamic_shapes(strict):
    model, batch, rows = Projected(), torch.export.Dim("batch"), torch.export.Dim("rows")
    exported = torch.export.export(model, (torch.randn(2, 5, 8),), strict=strict, dynamic_shapes=({0: batch, 1: rows},))
    assert any("polariscope.attend" in str(node.target) for node in exported.graph.nodes)
    x = torch.randn(3, 9, 8)
    close(exported.module()(x), model(x))


@pytest.mark.parametrize("dimensions", [(0, 0, 0), (0, None, None), (None, 0, 0), (None, None, 0), (2, 1, 0)])
def test_vmap_over_queries_keys_and_values(dimensions):
    samples = [torch.stack([x, x * 2, x - 1], d) if d is not None else x for x, d in zip(inputs(), dimensions)]
    found = vmap(everything, in_dims=dimensions)(*samples)
    for i in range(3):
        expected = everything(*(x if d is None else x.select(d, i) for x, d in zip(samples, dimensions)))
        close([x[i] for x in found], expected)


@pytest.mark.parametrize("name,shape,form", [
    ("bias", (1, HEADS, 1, KEYS), "softmax"), ("bias", (2, 1, 5, 1), "softmax"), ("sink", (HEADS,), "sink"),
    ("slopes", (HEADS,), "softmax"), ("key_lengths", (2,), "softmax"), ("alpha", (), "entmax"),
    ("scale", (HEADS,), "softmax")])
def test_vmap_over_the_other_arguments(name, shape, form):
    q, k, v = inputs()
    more = normal(3, *shape).abs() * 0.1 + 1.2
    if name == "key_lengths":
        more = torch.tensor([[7, 3], [2, 1], [0, 5]])
    for mapped, queries in ((0, torch.stack([q, q * 2, q - 1])), (None, q)):
        found = vmap(lambda q, x: attend(q, k, v, form, **{name: x})[0], in_dims=(mapped, 0))(queries, more)
        for i in range(3):
            close([found[i]], [attend(q if mapped is None else queries[i], k, v, form, **{name: more[i]})[0]])


def test_gradients_by_function_are_those_of_backward():
    given = leaves()
    close(grad(loss, (0, 1, 2))(*inputs()), torch.autograd.grad(loss(*given), given))
    assert jacrev(lambda q: attend(q, *inputs()[1:])[1].entropy)(inputs()[0]).shape == (2, HEADS, 5, 2, HEADS, 5, 6)


def test_gradients_of_each_sample():
    q, k, v = inputs()
    queries, alphas = torch.stack([q, q * 2, q - 1]), normal(3, HEADS).abs() * 0.1 + 1.2
    found = vmap(grad(loss, (0, 1, 2)), in_dims=(0, None, None))(queries, k, v)
    learned = grad(lambda q, alpha: attend(q, k, v, "entmax", alpha=alpha)[0].square().sum(), (0, 1))
    of_alpha = vmap(learned)(queries, alphas)
    for i in range(3):
        close([x[i] for x in found], grad(loss, (0, 1, 2))(queries[i], k, v))
        close([x[i] for x in of_alpha], learned(queries[i], alphas[i]))


def test_the_operator_itself_refuses_forward_mode():
    q, k, v = inputs()

    def called(q):
        return operators()[0](q, k, v, *[None] * 5, "softmax", None, True, None, "", "entropy")[0]

    with pytest.raises(RuntimeError, match="forward mode"):
        torch.func.jvp(called, (q,), (q,))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError, match="forward mode"):
        called(torch.autograd.forward_ad.make_dual(q, q))


def test_the_operator_itself_has_gradients_whatever_it_was_asked_for():
    given = leaves()
    output, entropy = operators()[0](*given, *[None] * 5, "softmax", None, True, None, "", "entropy")
    expected, s = attend(*given, causal=True)
    first = torch.autograd.grad(output.sum() + entropy.sum(), given, create_graph=True)
    close(first, torch.autograd.grad(expected.sum() + s.entropy.sum(), given))
    with pytest.raises(RuntimeError, match="second derivatives"):
        first[0].sum().backward()


def test_the_operator_itself_checks_what_it_is_given():
    forward, backward = operators()
    q, k, v = inputs()
    rest = (*[None] * 5, "softmax", None, True, None, "")
    for call, sentence in ((lambda: forward(q, k[..., :2], v, *rest, ""), "same width"),
                           (lambda: forward(q, k, v, *rest, "entropie"), "unknown statistic"),
                           (lambda: forward(q, k, v, *rest[:-1], "alpha", ""), "have no numbers"),
                           (lambda: forward(q, k, v, *rest[:-2], 0, "", ""), "window is 0"),
                           (lambda: backward(q, k, v, *rest, q, [], "", [], "", "query"), "output has shape"),
                           (lambda: backward(q, k, v, *rest, q[..., :3], [q], "entropy", [], "", "query"),
                            "entropy has shape"),
                           (lambda: backward(q, k, v, *rest, q[..., :3], [q[..., :3]], "output", [], "", "query"),
                            "shift is missing"),
                           (lambda: backward(q, k, v, *rest, q[..., :3], [], "", [q[..., 0]] * 2, "shift,inverse",
                                             "bias"), "has no gradient")):
        with pytest.raises(RuntimeError, match=sentence):
            call()


def test_modes_and_subclasses_see_the_operator():
    from torch.utils._python_dispatch import TorchDispatchMode
    seen = []

    class Dispatched(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    class Function(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    class Own(torch.Tensor):
        pass

    q, k, v = inputs()
    expected = everything(q, k, v)
    for mode in (Dispatched, Function):
        seen.clear()
        with mode():
            close(everything(q, k, v), expected)
        assert "polariscope.attend.default" in seen
    given = leaves()
    output = attend(*given)[0]
    seen.clear()
    with Dispatched():
        output.sum().backward()
    assert "polariscope.attend_backward.default" in seen
    assert type(attend(q.as_subclass(Own), k, v)[0]) is Own
    assert torch.equal(attend(q.as_subclass(Own), k, v, causal=True)[0], expected[0])
    with torch._subclasses.FakeTensorMode():
        assert attend(*(torch.empty(1, 2, 3, 4) for _ in range(3)))[0].shape == (1, 2, 3, 4)


def test_a_negative_view_is_read_as_what_it_is():
    x = torch.view_as_complex(torch.randn(1, 2, 4, 8, 2)).conj().imag
    assert x.is_neg()
    assert torch.equal(attend(x, x, x)[0], attend(*[x.clone()] * 3)[0])


def test_threads_do_not_change_a_bit_and_are_pytorchs():
    given, threads = inputs(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        close(everything(*given), everything(*given))
        first = everything(*given)
        torch.set_num_threads(2)
        assert all(torch.equal(a, b) for a, b in zip(everything(*given), everything(*given)))
        close(first, everything(*given))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_computes_the_same_gradients(reentrant):
    from torch.utils.checkpoint import checkpoint

    def of_both(*given):
        output, entropy, *_ = everything(*given)
        return output.square().sum() + entropy.square().sum()

    expected = torch.autograd.grad(of_both(*(plain := leaves())), plain)
    given = leaves()
    checkpoint(of_both, *given, use_reentrant=reentrant).backward()
    close([x.grad for x in given], expected)
