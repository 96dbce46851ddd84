"""attend() of caches of keys and values: of bfloat16, which it reads where they lie, and in pages."""

import textwrap

import pytest

import polariscope
from polariscope import attend

torch = pytest.importorskip("torch")
from torch.func import grad, vmap  # noqa: E402  needs PyTorch

BATCH, HEADS, KEY_HEADS, WIDTH, VALUE_WIDTH, PAGE, PAGES = 2, 4, 2, 32, 24, 16, 9
KEYS = PAGE * PAGES
LENGTHS = torch.tensor([KEYS, 71])
REST = (None, None, None, LENGTHS, None, "softmax", None, True, None, "")  # of the operator, after query, key and value


def cache(queries=1, dtype=torch.float32, seed=0):
    """A query, and keys and values in one piece."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator).to(dtype) for shape in (
        (BATCH, HEADS, queries, WIDTH), (BATCH, KEY_HEADS, KEYS, WIDTH), (BATCH, KEY_HEADS, KEYS, VALUE_WIDTH))]


def in_pages(key, value, lengths=LENGTHS):
    """The same keys and values in pages that stand in any order, NaN where no sequence has a key; and their table."""
    table = torch.randperm(BATCH * PAGES + 1, generator=torch.Generator().manual_seed(1))[:-1].reshape(BATCH, PAGES)
    found = []
    for x in (key, value):
        pool = x.new_full((BATCH * PAGES + 1, KEY_HEADS, PAGE, x.shape[3]), float("nan"))
        for sequence, length in enumerate(lengths.tolist()):
            for j in range(length):
                pool[table[sequence, j // PAGE], :, j % PAGE] = x[sequence, :, j]
        found.append(pool)
    return [*found, table.to(torch.int32)]


def same(found, expected):
    """That outputs and statistics are the same to the bit."""
    assert torch.equal(found[0], expected[0])
    for name, a, b in zip(found[1]._fields, found[1], expected[1]):
        assert (a is None) == (b is None), name
        assert a is None or torch.equal(a.nan_to_num(-7.0), b.nan_to_num(-7.0)), name


def refused(sentence, *given, **named):
    with pytest.raises(polariscope.ArgumentError, match=sentence) as caught:
        attend(*given, **named)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["softmax", "sink", "sigmoid"])
@pytest.mark.parametrize("queries", [1, 5, 100])
def test_bfloat16_gives_what_the_numbers_that_it_holds_give(queries, form):
    q, k, v = cache(queries, torch.bfloat16)
    output, s = attend(q, k, v, form, causal=True, key_lengths=LENGTHS)
    wide = [x.float() for x in (q, k, v)]
    expected, t = attend(*wide, form, causal=True, key_lengths=LENGTHS)
    sizes = attend(*wide[:2], wide[2].abs(), form, causal=True, key_lengths=LENGTHS, statistics=None)[0]
    # Weights are rounded where they multiply values, and then the output.
    assert output.dtype == torch.bfloat16 and bool(((output - expected).abs() <= 2**-7 * sizes + 1e-6).all())
    for name in ("entropy", "sum_of_squares", "maximum", "logit_variance", "first_visible_key"):
        torch.testing.assert_close(getattr(s, name), getattr(t, name), rtol=2e-5, atol=2e-5, msg=name)
    assert torch.equal(s.visible, t.visible)


def test_bfloat16_is_read_where_it_lies(monkeypatch):
    q, k, v = cache(dtype=torch.bfloat16)
    packed = torch.stack([k, k], 3).transpose(1, 2)  # [batch, keys, heads, 2, width], as a projection leaves it
    before, read = polariscope.kernel._readable, []
    monkeypatch.setattr(polariscope.kernel, "_readable",
                        lambda x, dtype: read.append(before(x, dtype) is x) or before(x, dtype))
    for given in ((q, k, v), (q, packed[:, :, :, 1].transpose(1, 2), v)):
        read.clear()
        attend(*given)
        assert read == [False, True, True]  # the query is few numbers


def test_bfloat16_has_its_gradients():
    given = [x.requires_grad_() for x in cache(3, torch.bfloat16)]
    wide = [x.detach().float().requires_grad_() for x in given]
    found = []
    for arguments in (given, wide):
        output, s = attend(*arguments, causal=True)
        found.append(torch.autograd.grad(output.float().square().sum() + s.entropy.sum(), arguments))
    for mine, expected in zip(*found):
        assert mine.dtype == torch.bfloat16
        torch.testing.assert_close(mine.float(), expected, rtol=2e-2, atol=2e-2 * expected.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("queries", [1, 5, 100])
def test_pages_give_the_bits_of_one_piece(queries, dtype):
    q, k, v = cache(queries, dtype)
    *pools, table = in_pages(k, v)
    generator = torch.Generator().manual_seed(2)
    for more in ({}, {"causal": True, "window": 20}, {"bias": torch.randn(1, HEADS, 1, KEYS, generator=generator)},
                 {"columns": True}, {"reweighting": "entmax", "alpha": 1.3}, {"statistics": None},
                 {"reweighting": "ssmax", "transform_factor": torch.linspace(0.2, 0.4, HEADS)}):
        expected = attend(q, k, v, key_lengths=LENGTHS, **more)
        same(attend(q, *pools, pages=table, key_lengths=LENGTHS, **more), expected)


def test_pages_may_be_laid_out_in_any_order_and_all_be_full():
    q, k, v = cache()
    full = torch.tensor([KEYS, KEYS])
    *pools, table = in_pages(k, v, full)
    expected = attend(q, k, v)
    same(attend(q, *pools, pages=table), expected)
    by_rows = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in pools]  # [pages, keys of a page, heads, width]
    wider = torch.cat([table, torch.full_like(table, -1)], 1)
    same(attend(q, *by_rows, pages=wider[:, :PAGES]), expected)
    same(attend(q, *by_rows, pages=wider, key_lengths=full), attend(q, k, v))  # what is beyond a length is not read


def test_bad_pages_are_answered_by_one_sentence():
    q, k, v = cache()
    *pools, table = in_pages(k, v)
    outside = table.clone()
    outside[1, 2] = BATCH * PAGES + 1
    refused("entry 2 of sequence 1's page table is 19: expected 0 to 18", q, *pools, pages=outside, key_lengths=LENGTHS)
    refused("pages has type int64: expected int32", q, *pools, pages=table.long())
    refused(r"pages has shape \[9\]: expected \[2, pages of a sequence\]", q, *pools, pages=table[0])
    refused(r"pages has shape \[1, 9\]: expected \[2, pages of a sequence\]", q, *pools, pages=table[:1])
    refused("both must have the same pages", q, pools[0], pools[1][1:], pages=table)
    refused("pages is of type list", q, *pools, pages=table.tolist())
    refused("pages is on meta, query on cpu", q, *pools, pages=table.to("meta"))
    refused(f"key length {KEYS + 1} of sequence 0", q, *pools, pages=table, key_lengths=LENGTHS + 1)
    refused(r"bias has shape \[1, 1, 1, 16\]: expected \[2, 4, 1, 144\]", q, *pools, pages=table,
            bias=torch.zeros(1, 1, 1, PAGE))
    for implementation in ("pytorch", "triton"):
        refused("pages are read by the kernel alone", q, *pools, pages=table, implementation=implementation)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(q, q)
        refused("pages are read by the kernel alone", dual, *pools, pages=table)


def test_pages_have_no_gradients():
    q, k, v = cache()
    *pools, table = in_pages(k, v)
    expected = attend(q, *pools, pages=table, key_lengths=LENGTHS)
    for x in (q, *pools):
        x.requires_grad_()
        refused("with pages there are no gradients", q, *pools, pages=table, key_lengths=LENGTHS)
        with torch.no_grad():
            same(attend(q, *pools, pages=table, key_lengths=LENGTHS), expected)
        x.requires_grad_(False)
    scale = torch.tensor(0.3, requires_grad=True)
    refused("with pages there are no gradients", q, *pools, pages=table, key_lengths=LENGTHS, scale=scale)
    with pytest.raises(polariscope.ArgumentError, match="with pages there are no gradients"):
        grad(lambda q: attend(q, *pools, pages=table, key_lengths=LENGTHS)[0].sum())(q)
    with pytest.raises(polariscope.ArgumentError, match="with pages there are no gradients"):
        operator()(q.requires_grad_(), *pools, *REST, table, "")


def operator():
    attend(*(torch.zeros(1, 1, 1, 1) for _ in range(3)))  # defines it
    return torch.ops.polariscope.attend_pages.default


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck_passes_for_the_operator_of_pages(dtype):
    q, k, v = cache(3, dtype)
    *pools, table = in_pages(k, v)
    for statistics in ("", "entropy,argmax,column_means"):
        torch.library.opcheck(operator(), (q, *pools, *REST, table, statistics))


@pytest.mark.parametrize("dynamic", [False, True])
def test_pages_are_compiled_with_fullgraph(dynamic):
    torch._dynamo.reset()

    def function(q, k, v, table, lengths):
        output, s = attend(q, k, v, pages=table, key_lengths=lengths, columns=True)
        return output, s.entropy, s.column_means

    q, k, v = cache(3)
    given = (q, *in_pages(k, v), LENGTHS)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for found, expected in zip(compiled(*given), function(*given)):
        assert torch.equal(found, expected)


def test_vmap_over_queries_and_tables():
    q, k, v = cache()
    *pools, table = in_pages(k, v)
    queries, tables = torch.stack([q, 2 * q, -q]), torch.stack([table, table.flip(0), table])

    def function(q, table):
        return attend(q, *pools, pages=table, key_lengths=LENGTHS.new_full((BATCH,), 71))[0]

    found = vmap(function)(queries, tables)
    for i in range(3):
        assert torch.equal(found[i], function(queries[i], tables[i]))


def test_pages_have_shapes_without_data():
    q, k, v = (x.to("meta") for x in cache(3, torch.bfloat16))
    pools = [x.new_empty(BATCH * PAGES, KEY_HEADS, PAGE, x.shape[3]) for x in (k, v)]
    table = torch.empty(BATCH, PAGES, dtype=torch.int32, device="meta")
    output, s = attend(q, *pools, pages=table, columns=True)
    assert output.shape == (BATCH, HEADS, 3, VALUE_WIDTH) and output.dtype == torch.bfloat16
    assert s.entropy.shape == (BATCH, HEADS, 3) and s.column_means.shape == (BATCH, HEADS, KEYS)


def test_the_example_of_the_page_runs(sources):
    page = (sources / "docs" / "pytorch.md").read_text()
    program, = (block for block in page.split("\n\n") if "pages=table" in block and block.startswith("    "))
    names = {"polariscope": polariscope, "torch": torch, "key_heads": KEY_HEADS, "width": WIDTH,
             "query": cache(dtype=torch.bfloat16)[0]}
    exec(textwrap.dedent(program), names)
    assert names["rows"].visible[:, 0, 0].tolist() == [40, 17]


def test_arrays_in_pages_are_those_of_tensors():
    q, k, v = cache(3)
    *pools, table = in_pages(k, v)
    expected = attend(q, *pools, pages=table, key_lengths=LENGTHS, columns=True)
    given = [x.numpy() for x in (q, *pools)]
    output, s = attend(*given, pages=table.numpy(), key_lengths=LENGTHS.numpy(), columns=True)
    same((torch.from_numpy(output), type(s)(*(x if x is None else torch.from_numpy(x) for x in s))), expected)
    refused("pages has type int64: expected int32", *given, pages=table.long().numpy())
    refused("pages has shape", *given, pages=table[0].numpy())


def test_arrays_of_bfloat16_are_read_where_they_lie(monkeypatch):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    numpy = pytest.importorskip("numpy")
    given = cache(3, torch.bfloat16)
    arrays = [x.float().numpy().astype(bfloat16) for x in given]
    read, before = [], polariscope.arrays._readable
    monkeypatch.setattr(polariscope.arrays, "_readable", lambda x: read.append(x) or before(x))
    output, s = attend(*arrays)
    assert [numpy.shares_memory(x, y) for x, y in zip(read, arrays)] == [False, True, True]
    expected, t = attend(*given)
    assert output.dtype == bfloat16 and numpy.array_equal(output.astype(numpy.float32), expected.float().numpy())
    assert numpy.array_equal(s.entropy, t.entropy.numpy())
