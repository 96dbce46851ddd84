"""attend() of tensors against eager PyTorch: outputs, every statistic, every gradient, and how it fails."""

import itertools
import random
import sys
import unittest

import pytest

import polariscope

torch = pytest.importorskip("torch")
import reference  # noqa: E402  needs PyTorch

FORMS = ["softmax", "softmax1", "sink", "sigmoid", "sigmoid/sum", "relu/sum", "relu/count", "elu1", "elu1/sum",
         "elu1_kernel", "elu1_kernel/sum", "relu_kernel/sum", "identity", "identity/max1", "softcap", "ssmax",
         "sigmoid_log", "clipped", "softpick", "sparsemax", "entmax"]
BATCH, HEADS, KEY_HEADS, QUERIES, KEYS, WIDTH, VALUE_WIDTH = 2, 4, 4, 6, 9, 5, 3
STATISTICS = {form.name: form.statistics for form in polariscope.forms()}
SIGNED_SUM = {"identity", "identity/max1"}

SETTINGS = {
    "full": {},
    "causal": {"causal": True},
    "causal, more queries than keys": {"causal": True, "queries": 11},
    "window": {"window": 3},
    "causal window": {"causal": True, "window": 2},
    "ragged": {"key_lengths": torch.tensor([9, 4])},
    "ragged to nothing": {"key_lengths": torch.tensor([0, 7]), "causal": True},
    "bias of heads": {"bias": (1, HEADS, QUERIES, KEYS)},
    "bias of everything": {"bias": (BATCH, HEADS, QUERIES, KEYS), "causal": True},
    "bias of keys, one hidden": {"bias": (BATCH, 1, 1, KEYS), "hidden": True},
    "slopes": {"slopes": True, "causal": True},
    "grouped heads": {"key_heads": 2},
    "one key head and a scale": {"key_heads": 1, "scale": 0.3},
}


def case(form, setting, seed):
    """Leaf tensors and the arguments that go to the operator and to the reference."""
    generator = torch.Generator().manual_seed(seed)
    given = dict(SETTINGS[setting])

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.double).requires_grad_()

    queries, key_heads = given.pop("queries", QUERIES), given.pop("key_heads", KEY_HEADS)
    leaves = {"query": normal(BATCH, HEADS, queries, WIDTH), "key": normal(BATCH, key_heads, KEYS, WIDTH),
              "value": normal(BATCH, key_heads, KEYS, VALUE_WIDTH)}
    if "bias" in given:
        leaves["bias"] = normal(*given.pop("bias"))
        if given.pop("hidden", False):
            with torch.no_grad():
                leaves["bias"][:, :, :, 2] = float("-inf")
    if form in ("sink", "softmax1") and setting != "full":
        leaves["sink"] = normal(HEADS)
    if given.pop("slopes", False):
        given["slopes"] = torch.linspace(0.1, 0.7, HEADS, dtype=torch.double)
    if form == "softcap":
        given["transform_factor"] = 2.0
    extra = {name: leaf for name, leaf in leaves.items() if name not in ("query", "key", "value")}

    def ours(**more):
        return polariscope.attend(leaves["query"], leaves["key"], leaves["value"], form, **extra, **given, **more)

    def theirs():
        return reference.attend(leaves["query"], leaves["key"], leaves["value"], form, **extra, **given)

    return leaves, ours, theirs, generator


def gradients(loss, leaves):
    found = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, allow_unused=True)
    return {name: torch.zeros_like(leaf) if grad is None else grad
            for (name, leaf), grad in zip(leaves.items(), found)}


class Attend(unittest.TestCase):
    def close(self, ours, theirs, what, tolerance=1e-10):
        self.assertEqual(ours.shape, theirs.shape, what)
        ours, theirs = ours.detach().double(), theirs.detach().double()
        same = (ours == theirs) | ((ours - theirs).abs() <= tolerance * (1 + theirs.abs()))
        self.assertTrue(bool(same.all()), f"{what}: {ours[~same][:4]} instead of {theirs[~same][:4]}")

    def test_outputs_statistics_and_gradients_are_those_of_eager_pytorch(self):
        for seed, (form, setting) in enumerate(itertools.product(FORMS, SETTINGS)):
            with self.subTest(form=form, setting=setting, seed=seed):
                leaves, ours, theirs, generator = case(form, setting, seed)
                output, statistics = ours(columns=True)
                expected_output, expected = theirs()
                self.close(output, expected_output, "output")
                for name, rows in statistics._asdict().items():
                    if rows is None:
                        self.assertNotIn(name, STATISTICS[form])
                        continue
                    # Their skewness is of the third power of rounding where p is nearly constant.
                    self.close(rows, expected[name], name, 1e-7 if name == "skewness" else 1e-10)
                    self.assertEqual(rows.requires_grad, name in reference.DIFFERENTIABLE, name)

                def weigh(rows, expected_rows):
                    finite = torch.isfinite(expected_rows)
                    by = torch.randn(rows.shape, generator=generator, dtype=torch.double) * finite
                    return tuple((torch.where(finite, x, torch.zeros_like(x)) * by).sum() for x in
                                 (rows, expected_rows))

                parts = {"output": weigh(output, expected_output)}
                for name in reference.DIFFERENTIABLE:
                    if name in STATISTICS[form]:
                        parts[name] = weigh(getattr(statistics, name), expected[name])
                mixed = tuple(sum(part[i] for part in parts.values()) for i in (0, 1))
                for name, (mine, eager) in [*parts.items(), ("all together", mixed)]:
                    expected_gradients = gradients(eager, leaves)
                    for leaf, gradient in gradients(mine, leaves).items():
                        self.close(gradient, expected_gradients[leaf], f"gradient of {name} by {leaf}")

    def test_each_statistic_alone_is_as_among_all(self):
        leaves, ours, _, _ = case("softmax", "causal", 1)
        _, every = ours(columns=True)
        for name in (*STATISTICS["softmax"], "column_means"):
            rows = getattr(every, name)
            output, alone = ours(statistics=[name])
            self.assertTrue(torch.equal(getattr(alone, name), rows), name)
            self.assertEqual(sum(x is not None for x in alone), 1)
            if rows.requires_grad:
                self.close(gradients(getattr(alone, name).sum(), leaves)["key"],
                           gradients(rows.sum(), leaves)["key"], name, 1e-13)
        _, none = ours(statistics=None)
        self.assertTrue(all(rows is None for rows in none))

    def test_gradcheck(self):
        for form in ("softmax", "sink", "sigmoid", "elu1_kernel/sum", "entmax"):
            generator = torch.Generator().manual_seed(3)
            q, k, v = (torch.randn(1, 2, 4, 3, generator=generator, dtype=torch.double).requires_grad_()
                       for _ in range(3))

            def function(q, k, v):
                output, s = polariscope.attend(q, k, v, form, causal=True)
                return output, s.entropy, s.sum_of_squares, s.logit_variance

            self.assertTrue(torch.autograd.gradcheck(function, (q, k, v)), form)

    def test_without_a_gradient_to_come_nothing_is_recorded(self):
        q = torch.randn(1, 1, 3, 2)
        with torch.no_grad():
            output, s = polariscope.attend(q.requires_grad_(), q, q)
        self.assertFalse(output.requires_grad or s.entropy.requires_grad)
        with torch.inference_mode():
            polariscope.attend(q, q, q)

    def test_a_second_derivative_is_refused(self):
        q = torch.randn(1, 1, 3, 2, requires_grad=True)
        output, s = polariscope.attend(q, q, q)
        first, = torch.autograd.grad(output.sum() + s.entropy.sum(), q, create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "second derivatives are not computed by the kernel"):
            first.sum().backward()

    def test_bad_input_is_answered_by_one_sentence(self):
        q = torch.randn(2, 4, 6, 5)
        cases = [
            ((q[0], q, q), {}, r"query has shape \[4, 6, 5\]: expected \[batch, heads, queries, width\]"),
            ((q, q[:1], q), {}, "both must have the same batch"),
            ((q, q[..., :3], q), {}, "both must have the same width"),
            ((q, q, q[:, :, :2]), {}, "both must have the same keys"),
            ((q, q[:, :3], q[:, :3]), {}, "4 heads over 3 key heads"),
            ((q, q.double(), q), {}, "key has type float64, query has float32: they must be of one type"),
            ((q.long(), q, q), {}, "query has type int64: expected float32"),
            ((q, q.to("meta"), q), {}, "key is on meta, query on cpu: they must be on one device"),
            ((q.to_sparse(), q, q), {}, "query"),
            ((q, q.numpy(), q), {}, "key is of type ndarray, query is a tensor"),
            ((q, q, q), {"key_lengths": [6, 6]}, "key_lengths is of type list"),
            ((q, q, q, "softmx"), {}, 'unknown attention "softmx": did you mean "softmax"'),
            ((q, q, q), {"alpha": 1.5}, "attention softmax has no parameter alpha"),
            ((q, q, q), {"alfa": 1.5}, 'unknown parameter "alfa": did you mean "alpha"'),
            ((q, q, q, "entmax"), {"alpha": 1.0}, "alpha must be above 1"),
            ((q, q, q), {"window": 0}, "the window is 0: it must be positive"),
            ((q, q, q), {"scale": float("nan")}, "the scale is nan"),
            ((q, q, q), {"bias": torch.zeros(6, 6)}, r"bias has shape \[6, 6\]: expected \[2, 4, 6, 6\], or 1"),
            ((q, q, q), {"bias": torch.zeros(1, 1, 6, 6, dtype=torch.bool)}, "bias has type bool"),
            ((q, q, q), {"slopes": torch.zeros(3)}, r"slopes has shape \[3\]: expected \[4\], one for each head"),
            ((q, q, q), {"slopes": torch.zeros(4, requires_grad=True)}, "slopes have no gradient"),
            ((q, q, q), {"sink": torch.zeros(4)}, "attention softmax has no sink"),
            ((q, q, q), {"key_lengths": torch.zeros(2)}, "key_lengths has type float32: expected int64 or int32"),
            ((q, q, q), {"key_lengths": torch.tensor([7, 2])}, "key length 7 of sequence 0: expected 0 to 6"),
            ((q, q, q, "sigmoid"), {"statistics": ["log_sum_exp"]}, "attention sigmoid has no log_sum_exp"),
        ]
        for arguments, named, sentence in cases:
            with self.subTest(sentence):
                with self.assertRaisesRegex(RuntimeError, sentence) as caught:
                    polariscope.attend(*arguments, **named)
                self.assertNotIn("\n", str(caught.exception))
        with self.assertRaisesRegex(ValueError, "unknown statistic 'entropie'"):
            polariscope.attend(q, q, q, statistics=["entropie"])

    def test_strides_do_not_matter(self):
        packed = torch.randn(2, 7, 3, 4, 5, dtype=torch.double, requires_grad=True)  # [batch, n, qkv, heads, width]
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        odd = torch.randn(2, 4, 5, 7, dtype=torch.double).transpose(2, 3)  # its width is not contiguous
        for query in (q, odd):
            self.close(polariscope.attend(query, k, v)[0],
                       polariscope.attend(query.contiguous(), k.contiguous(), v.contiguous())[0], "output", 0.0)
        cotangent = torch.randn(2, 4, 5, 7, dtype=torch.double).transpose(2, 3)
        mine, = torch.autograd.grad((polariscope.attend(q, k, v)[0] * cotangent).sum(), packed)
        eager, = torch.autograd.grad((reference.attend(q, k, v)[0] * cotangent).sum(), packed)
        self.close(mine, eager, "gradient through a view")

    def test_the_least_number_as_a_mask_is_a_mask(self):
        for dtype in (torch.float32, torch.float64):
            q, k, v = (torch.randn(1, 2, 40, 8, dtype=dtype).requires_grad_() for _ in range(3))
            bias = torch.full((40, 40), torch.finfo(dtype).min, dtype=dtype).triu(1)[None, None]
            for statistics in (None, "all"):
                output, s = polariscope.attend(q, k, v, bias=bias, statistics=statistics)
                expected, _ = polariscope.attend(q, k, v, causal=True, statistics=None)
                self.close(output, expected, "output", 1e-6)
                for mine, eager in zip(torch.autograd.grad(output.square().sum(), (q, k, v), retain_graph=True),
                                       torch.autograd.grad(expected.square().sum(), (q, k, v))):
                    self.close(mine, eager, "gradient", 1e-5)
            self.assertFalse(s.non_finite.any())
            s.entropy.sum().backward()
            self.assertTrue(torch.isfinite(q.grad).all())
        # A row with nothing else is uniform, as in PyTorch.
        output, s = polariscope.attend(q, k, v, bias=torch.full((1, 1, 40, 40), torch.finfo(dtype).min, dtype=dtype))
        self.close(output, v.mean(2, keepdim=True).expand_as(output), "output")
        self.close(s.entropy, torch.full_like(s.entropy, 40.0).log(), "entropy")

    def test_whole_numbers_may_be_as_large_as_they_get(self):
        q = torch.randn(2, 1, 6, 4)
        for causal in (False, True):
            expected, _ = polariscope.attend(q, q, q, causal=causal)
            for window in (12, 2**31 - 1, 2**31, 2**62, sys.maxsize):
                output, s = polariscope.attend(q, q, q, causal=causal, window=window)
                self.assertTrue(torch.equal(output, expected), window)
        for window in (0, -1, -sys.maxsize - 1):
            with self.assertRaisesRegex(RuntimeError, "it must be positive"):
                polariscope.attend(q, q, q, window=window)
        for length in (7, -1, sys.maxsize, -sys.maxsize - 1):
            with self.assertRaisesRegex(RuntimeError, f"key length {length} of sequence 1"):
                polariscope.attend(q, q, q, key_lengths=torch.tensor([6, length]))

    def test_what_a_row_does_not_see_may_be_anything(self):
        hide = torch.zeros(1, 1, 6, 6).masked_fill(torch.ones(6, 6).triu(1).bool(), float("-inf"))
        for sequences in (1, 40):  # in blocks of queries, and as many short sequences
            for mask in ({"causal": True}, {"causal": True, "window": 2}, {"bias": hide}):
                for name in ("key", "value", "query"):
                    for bad in (float("nan"), float("inf")):
                        with self.subTest(sequences=sequences, mask=list(mask), name=name, bad=bad):
                            clean = {n: torch.randn(sequences, 1, 6, 16) for n in ("query", "key", "value")}
                            broken = {n: x.clone().requires_grad_() for n, x in clean.items()}
                            with torch.no_grad():
                                broken[name][0, 0, 5] = bad
                            clean = {n: x.requires_grad_() for n, x in clean.items()}
                            expected, _ = polariscope.attend(**clean, **mask)
                            output, s = polariscope.attend(**broken, **mask)
                            self.assertTrue(torch.equal(output[:, :, :5], expected[:, :, :5]))
                            self.assertFalse(s.non_finite[:, :, :5].any())
                            output[:, :, :5].sum().backward()
                            expected[:, :, :5].sum().backward()
                            self.assertTrue(torch.equal(broken["query"].grad[:, :, :5], clean["query"].grad[:, :, :5]))
                            if name != "query":
                                continue  # the sum over queries has a last row of 0 · NaN where it is seen
                            self.assertTrue(torch.isfinite(broken["query"].grad[1:]).all())

    def test_lengths_may_be_of_any_whole_type_and_lie_apart(self):
        q = torch.randn(3, 1, 6, 4)
        lengths = torch.tensor([6, 0, 2, 0, 3, 0])
        expected, _ = polariscope.attend(q, q, q, key_lengths=lengths[::2].clone())
        for dtype in (torch.int64, torch.int32, torch.int16, torch.uint8):
            self.assertTrue(torch.equal(polariscope.attend(q, q, q, key_lengths=lengths.to(dtype)[::2])[0], expected))

    def test_a_trace_computes_what_was_traced(self):
        for given in ({"causal": True}, {"reweighting": "entmax", "alpha": 1.3, "statistics": ["entropy", "maximum"]}):
            q, x = torch.randn(1, 2, 3, 4), torch.randn(2, 2, 5, 4)
            traced = torch.jit.trace(lambda q: polariscope.attend(q, q, q, **given)[0], (q,))
            self.assertTrue(torch.equal(traced(x), polariscope.attend(x, x, x, **given)[0]))

    def test_inputs_that_were_expanded_have_their_gradients(self):
        q = torch.randn(3, 4, 6, 8, dtype=torch.double, requires_grad=True)
        k = torch.randn(1, 1, 5, 8, dtype=torch.double, requires_grad=True)
        bias = torch.randn(1, 4, 1, 5, dtype=torch.double)
        bias[..., 2] = float("-inf")
        bias.requires_grad_()
        mine, _ = polariscope.attend(q, k.expand(3, 4, 5, 8), k.expand(3, 4, 5, 8), bias=bias)
        eager, _ = reference.attend(q, k.expand(3, 4, 5, 8), k.expand(3, 4, 5, 8), bias=bias)
        for a, b in zip(torch.autograd.grad(mine.sum(), (q, k, bias)), torch.autograd.grad(eager.sum(), (q, k, bias))):
            self.close(a, b, "gradient")

    def test_one_query_of_a_cache_is_the_last_row(self):
        q, k = torch.randn(2, 4, 9, 8), torch.randn(2, 4, 9, 8)
        for given in ({"causal": True}, {"causal": True, "window": 3},
                      {"causal": True, "slopes": torch.linspace(0.1, 0.5, 4)},
                      {"causal": True, "key_lengths": torch.tensor([9, 7])}):
            every, one = polariscope.attend(q, k, k, **given)[0], polariscope.attend(q[:, :, -1:], k, k, **given)[0]
            self.assertTrue(torch.equal(one, every[:, :, -1:]), given)

    def test_autocast_is_that_of_scaled_dot_product_attention(self):
        sdpa = torch.nn.functional.scaled_dot_product_attention
        q, k = torch.randn(1, 2, 4, 8, requires_grad=True), torch.randn(1, 2, 4, 8)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = torch.nn.functional.linear(q, torch.eye(8))
            self.assertEqual(half.dtype, torch.bfloat16)
            output, s = polariscope.attend(half, k, k)
            self.assertEqual((output.dtype, s.entropy.dtype), (torch.bfloat16, torch.float32))
            for call in ((q, k, k), (half, k, k), (q, half, k)):
                self.assertEqual(polariscope.attend(*call)[0].dtype, sdpa(*call).dtype)
                self.close(polariscope.attend(*call)[0], sdpa(*call), "output", 1e-2)
            self.assertEqual(polariscope.attend(*(x.double() for x in (q, k, k)))[0].dtype, torch.float64)
            with self.assertRaisesRegex(RuntimeError, "must be of one type"):
                polariscope.attend(q.double(), half, k)
        output.sum().backward()
        self.assertEqual(q.grad.dtype, torch.float32)
        self.assertTrue(torch.isfinite(q.grad).all())

    def test_sizes_of_nothing(self):
        for shape in ((0, 2, 3, 4), (1, 2, 0, 4), (2, 0, 3, 4), (2, 0, 0, 4), (0, 0, 0, 4)):
            q = torch.randn(*shape, requires_grad=True)
            output, s = polariscope.attend(q, q, q)
            self.assertEqual((output.shape, s.entropy.shape), (q.shape, q.shape[:3]))
            output.sum().backward()
        q, none = torch.randn(1, 2, 3, 4, requires_grad=True), torch.randn(1, 2, 0, 4)
        output, s = polariscope.attend(q, none, none)
        (output.sum() + s.entropy.sum()).backward()
        self.assertEqual(output.abs().sum().item() + q.grad.abs().sum().item(), 0.0)

    def test_half_precision_is_computed_in_single(self):
        for dtype in (torch.bfloat16, torch.float16):
            q, k, v = (torch.randn(2, 2, 8, 4).to(dtype).requires_grad_() for _ in range(3))
            output, s = polariscope.attend(q, k, v, causal=True, bias=torch.randn(1, 1, 8, 8).to(dtype))
            self.assertEqual((output.dtype, s.entropy.dtype), (dtype, torch.float32))
            (output.float().square().sum() + s.entropy.sum()).backward()
            self.assertEqual(q.grad.dtype, dtype)
        single = [x.detach().float().requires_grad_() for x in (q, k, v)]
        output, s = polariscope.attend(*(x.detach() for x in (q, k, v)))
        expected, expected_statistics = polariscope.attend(*single)
        self.assertTrue(torch.equal(output, expected.to(dtype)))
        self.assertTrue(torch.equal(s.entropy, expected_statistics.entropy))

    def test_single_precision(self):
        for form in FORMS:
            leaves, _, theirs, _ = case(form, "causal", 5)
            q, k, v = (leaves[name].float() for name in ("query", "key", "value"))
            sink = leaves["sink"].float() if "sink" in leaves else None
            more = {"transform_factor": 2.0} if form == "softcap" else {}
            output, _ = polariscope.attend(q, k, v, form, causal=True, sink=sink, **more)
            self.close(output, theirs()[0], form, 1e-4 if form in SIGNED_SUM else 1e-5)

    def test_random_shapes_in_every_type_and_layout_agree_with_double(self):
        chance, tolerances = random.Random(5), {torch.float32: 3e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
        for seed in range(40):
            generator = torch.Generator().manual_seed(seed)
            batch, heads, rows, width = (chance.randint(1, most) for most in (3, 4, 70, 40))
            dtype, form = chance.choice(list(tolerances)), chance.choice(["softmax", "sink", "sigmoid/sum", "ssmax"])
            packed = torch.randn(batch, rows, 3, heads, width, generator=generator).to(dtype)
            q, k, v = (x.requires_grad_() for x in packed.permute(2, 0, 3, 1, 4).unbind(0))
            doubled = [x.detach().double().contiguous().requires_grad_() for x in (q, k, v)]
            given = {"causal": chance.random() < 0.5, "window": chance.choice([None, 7])}
            by = torch.randn(batch, heads, rows, width, generator=generator)
            found = []
            for arguments in ((q, k, v), doubled):
                output, s = polariscope.attend(*arguments, form, **given)
                loss = (output * by.to(output.dtype)).sum() + s.entropy.sum()
                found.append((output, s.entropy, s.maximum, s.log_sum_exp, *torch.autograd.grad(loss, arguments)))
            for place, (ours, exact) in enumerate(zip(*found)):
                if ours is not None:
                    size = 1 + exact.abs().max().item()
                    self.close(ours / size, exact / size, f"{form} {dtype} {seed}: {place}", tolerances[dtype])

    def test_a_changed_input_is_noticed_by_the_backward_pass(self):
        q = torch.randn(1, 1, 3, 2, requires_grad=True)
        k = q.detach() * 2
        output, _ = polariscope.attend(q, k, k)
        k.zero_()
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            output.sum().backward()

    def test_an_entropy_floor_can_be_trained(self):
        torch.manual_seed(0)
        x = torch.randn(2, 1, 16, 8)
        weight = (3 * torch.randn(8, 8)).requires_grad_()
        optimiser = torch.optim.Adam([weight], 0.05)
        entropies = []
        for _ in range(60):
            _, s = polariscope.attend(x @ weight, x, x, statistics=["entropy"])
            entropies.append(s.entropy.mean().item())
            optimiser.zero_grad()
            (1.5 - s.entropy).relu().square().mean().backward()
            optimiser.step()
        self.assertLess(entropies[0], 0.5)
        self.assertGreater(entropies[-1], 1.0)

    def test_shapes_without_data(self):
        q = torch.empty(2, 4, 6, 5, device="meta", dtype=torch.bfloat16, requires_grad=True)
        output, s = polariscope.attend(q, q, q, columns=True)
        self.assertEqual((tuple(output.shape), output.dtype), ((2, 4, 6, 5), torch.bfloat16))
        self.assertEqual((tuple(s.entropy.shape), s.entropy.dtype, s.argmax.dtype),
                         ((2, 4, 6), torch.float32, torch.int32))

    def test_the_family_is_listed(self):
        names = [form.name for form in polariscope.forms()]
        self.assertEqual(names[0], "softmax")
        self.assertTrue(set(FORMS) <= set(names))
        self.assertTrue(all(form.formula for form in polariscope.forms()))

