"""A scale, and parameters of forms, that are learned: tensors of one number or of one a head, with gradients."""

import unittest

import pytest

import polariscope

torch = pytest.importorskip("torch")

BATCH, HEADS, KEY_HEADS, QUERIES, KEYS, WIDTH = 2, 4, 2, 3, 4, 2
PARAMETERS = [("softcap", "transform_factor", 1.5), ("ssmax", "transform_factor", 0.4), ("clipped", "gamma", -0.05),
              ("clipped", "zeta", 1.1), ("softpick", "epsilon", 0.5), ("entmax", "alpha", 1.4),
              ("sigmoid/sum", "sum_offset", 0.3), ("relu/sum", "sum_offset", 0.3), ("relu/count", "count_power", 0.7),
              ("relu_kernel/sum", "feature_offset", 0.2), ("relu_kernel/sum", "sum_offset", 0.2)]
MASKS = {
    "none": {},
    "causal": {"causal": True},
    "window and lengths": {"window": 2, "key_lengths": torch.tensor([4, 2])},
    "bias and slopes": {"bias": torch.randn(BATCH, HEADS, QUERIES, KEYS, dtype=torch.double,
                                            generator=torch.Generator().manual_seed(5)).masked_fill(
                            torch.rand(BATCH, HEADS, QUERIES, KEYS, generator=torch.Generator().manual_seed(6)) < 0.3,
                            float("-inf")),
                        "slopes": torch.linspace(0.1, 0.7, HEADS, dtype=torch.double)},
}


def drawn(seed=0, dtype=torch.double):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, heads, rows, WIDTH, generator=generator, dtype=torch.double).to(dtype).requires_grad_()
            for heads, rows in ((HEADS, QUERIES), (KEY_HEADS, KEYS), (KEY_HEADS, KEYS))]


def differentiable(output, s):
    return [output] + [x for x in s if x is not None and x.requires_grad]


class Learned(unittest.TestCase):
    def close(self, a, b, what, tolerance=1e-10):
        self.assertEqual(a.shape, b.shape, what)
        self.assertLess((a - b).abs().max().item(), tolerance * (1 + b.abs().max().item()), what)

    def gradients(self, results, leaves):
        generator = torch.Generator().manual_seed(9)
        loss = sum((x * torch.randn(x.shape, generator=generator, dtype=torch.double)).sum()
                   for x in results if torch.isfinite(x).all())
        return torch.autograd.grad(loss, leaves)

    def test_the_gradient_of_a_scale_is_that_of_queries_so_scaled(self):
        for form in polariscope.forms():
            for shape in ((), (1,), (HEADS,)):
                for mask, given in MASKS.items():
                    with self.subTest(form=form.name, shape=shape, mask=mask):
                        q, k, v = drawn()
                        t = torch.full(shape, 0.3, dtype=torch.double).add(
                            0.1 * torch.arange(max(1, sum(shape)), dtype=torch.double).reshape(shape)).requires_grad_()
                        mine = polariscope.attend(q, k, v, form.name, scale=t, **given)
                        if "kernel" in form.name or form.alias.startswith("linear"):
                            whole = polariscope.attend(q, k, v, form.name, scale=0.3, **given)
                            if shape != (HEADS,):
                                self.close(mine[0], whole[0], "output")
                            continue  # φ comes before the scale: gradcheck below
                        by = t.view(1, HEADS, 1, 1) if shape == (HEADS,) else t
                        eager = polariscope.attend(q * by, k, v, form.name, scale=1.0, **given)
                        self.close(mine[0], eager[0], "output")
                        for a, b in zip(self.gradients(differentiable(*mine), (q, k, v, t)),
                                        self.gradients(differentiable(*eager), (q, k, v, t))):
                            self.close(a, b, "gradient")

    def test_the_gradient_of_a_parameter_is_its_slope(self):
        for form, name, number in PARAMETERS:
            for shape in ((), (HEADS,)):
                for mask, given in MASKS.items():
                    with self.subTest(form=form, name=name, shape=shape, mask=mask):
                        q, k, v = drawn(3)
                        x = torch.full(shape, number, dtype=torch.double)
                        if shape:
                            x = x * torch.tensor([1.0, 1.02, 0.98, 1.01], dtype=torch.double)

                        def function(x):
                            found = differentiable(*polariscope.attend(q, k, v, form, **given, **{name: x}))
                            return tuple(y for y in found if torch.isfinite(y).all())

                        self.assertTrue(torch.autograd.gradcheck(function, (x.requires_grad_(),), fast_mode=True))

    def test_the_gradient_of_a_scale_after_a_feature_map_is_its_slope(self):
        for form in ("elu1_kernel", "elu1_kernel/sum", "relu_kernel/sum"):
            for shape in ((), (HEADS,)):
                q, k, v = drawn(4)
                t = torch.full(shape, 0.7, dtype=torch.double, requires_grad=True)

                def function(t):
                    return tuple(differentiable(*polariscope.attend(q, k, v, form, scale=t, causal=True)))

                self.assertTrue(torch.autograd.gradcheck(function, (t,)), form)

    def test_a_parameter_of_each_head_is_each_heads_own(self):
        for form, name, number in PARAMETERS:
            for mask, given in MASKS.items():
                with self.subTest(form=form, name=name, mask=mask):
                    q, k, v = (x.detach() for x in drawn(2))
                    x = number * torch.tensor([1.0, 1.1, 0.95, 1.05], dtype=torch.double)
                    x = x.clamp(min=1.0) if name == "zeta" else x
                    output, s = polariscope.attend(q, k, v, form, columns=True, **given, **{name: x})
                    for h in range(HEADS):
                        alone, one = polariscope.attend(q, k, v, form, columns=True, **given, **{name: float(x[h])})
                        self.close(output[:, h], alone[:, h], "output")
                        self.close(s.column_means[:, h], one.column_means[:, h], "columns")
                        self.assertTrue(torch.equal(s.argmax[:, h], one.argmax[:, h]))

    def test_scale_and_parameter_together_and_the_same_number_twice(self):
        q, k, v = drawn(5)
        t = torch.tensor(0.8, dtype=torch.double, requires_grad=True)

        def function(t):
            found = polariscope.attend(q, k, v, "clipped", scale=t, gamma=-t / 10, zeta=1 + t / 10)
            return tuple(differentiable(*found))

        self.assertTrue(torch.autograd.gradcheck(function, (t,)))

    def test_a_temperature_trains(self):
        torch.manual_seed(0)
        q, k = torch.randn(4, 2, 16, 8), torch.randn(4, 2, 16, 8)
        for form, given in (("softmax", "scale"), ("ssmax", "transform_factor")):
            for shape in ((), (2,)):
                t = torch.full(shape, 0.05, requires_grad=True)
                optimiser = torch.optim.Adam([t], 0.02)
                for _ in range(120):
                    _, s = polariscope.attend(q, k, k, form, **{given: t}, statistics=["entropy"])
                    optimiser.zero_grad()
                    (s.entropy.mean((0, 2)) - 1.5).square().sum().backward()
                    optimiser.step()
                self.assertLess((s.entropy.mean((0, 2)) - 1.5).abs().max().item(), 0.1, f"{form} {shape}")

    def test_half_precision_does_not_round_the_scaled_queries(self):
        q, k, v = (x.detach().bfloat16().requires_grad_() for x in drawn())
        t = torch.tensor(0.3, requires_grad=True)
        output, _ = polariscope.attend(q, k, v, scale=t)
        self.assertEqual(output.dtype, torch.bfloat16)
        single = polariscope.attend(q.float(), k.float(), v.float(), scale=t.item())[0]
        self.assertTrue(torch.equal(output, single.bfloat16()))
        output.float().sum().backward()
        self.assertEqual((q.grad.dtype, t.grad.dtype), (torch.bfloat16, torch.float32))

    def test_numbers_without_a_gradient_stay_what_they_were(self):
        q, k, v = (x.detach() for x in drawn())
        expected = polariscope.attend(q, k, v, "entmax", alpha=1.3, scale=0.25)
        found = polariscope.attend(q, k, v, "entmax", alpha=torch.tensor(1.3, dtype=torch.double),
                                   scale=torch.tensor(0.25))
        self.assertTrue(torch.equal(found[0], expected[0]))
        self.assertFalse(found[0].requires_grad)

    def test_what_cannot_be_is_said_in_words(self):
        q, k, v = (x.detach() for x in drawn())
        number = torch.tensor(0.5, requires_grad=True)
        for given, sentence in (({"scale": torch.ones(3)}, r"scale has shape \[3\]: expected one number, or \[4\]"),
                                ({"form": "entmax", "alpha": torch.ones(2, 2)}, r"alpha has shape \[2, 2\]"),
                                ({"alpha": number}, "attention softmax has no parameter alpha"),
                                ({"form": "entmax", "alpha": number}, "alpha must be above 1"),
                                ({"slopes": torch.ones(4, requires_grad=True)}, "slopes have no gradient")):
            form = given.pop("form", "softmax")
            with self.subTest(sentence), self.assertRaisesRegex((RuntimeError, ValueError), sentence):
                polariscope.attend(q, k, v, form, **given)
        zero = torch.tensor(0.0, dtype=torch.double, requires_grad=True)
        with self.assertRaisesRegex(RuntimeError, "a transform_factor of 0 has no gradient"):
            polariscope.attend(q, k, v, "ssmax", transform_factor=zero)[0].sum().backward()

