"""watch() on PyTorch's own modules and on a hand-written block."""

import unittest
from unittest import mock

import reference
import torch
import torch.nn.functional as F
from torch import nn

import polariscope


def eager_sdpa(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """scaled_dot_product_attention as documented, for versions of PyTorch without it."""
    z = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(z.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        z = z.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else z + attn_mask
    return F.dropout(z.softmax(-1), dropout_p) @ value


class Block(nn.Module):
    """A GPT block as people write it."""

    def __init__(self, width=16, heads=4, dropout=0.0, direct=False):
        super().__init__()
        self.heads, self.dropout, self.direct = heads, dropout, direct
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(),
                                 nn.Linear(2 * width, width))

    def forward(self, x):
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv(self.norm(x)).chunk(3, -1))
        if self.direct:
            y, _ = polariscope.attend(q, k, v, causal=True, statistics=None)
        else:
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0,
                                               is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.mlp(x)


def patched_things():
    native = torch._C._nn
    names = ("scaled_dot_product_attention", "_scaled_dot_product_attention", "multi_head_attention_forward")
    return [getattr(owner, name, None) for owner in (F, native) for name in names] + [
        torch.overrides.has_torch_function, getattr(getattr(torch.backends, "mha", None), "get_fastpath_enabled",
                                                    lambda: None)()]


class Watch(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        if not hasattr(F, "scaled_dot_product_attention"):
            patch = mock.patch.object(F, "scaled_dot_product_attention", eager_sdpa, create=True)
            patch.start()
            self.addCleanup(patch.stop)
        self.before = patched_things()

    def tearDown(self):
        self.assertEqual(patched_things(), self.before)

    def close(self, ours, theirs, tolerance=1e-5):
        self.assertLess((ours - theirs).abs().max().item(), tolerance)

    def test_multi_head_attention(self):
        x, y = torch.randn(2, 7, 16), torch.randn(2, 5, 16)
        padding = torch.zeros(2, 5, dtype=torch.bool)
        padding[1, 3:] = True
        causal = torch.triu(torch.ones(7, 7, dtype=torch.bool), 1)
        added = torch.randn(2 * 4, 7, 5)
        cases = [
            ({"batch_first": True}, (x, x, x), {}),
            ({"batch_first": True}, (x, x, x), {"attn_mask": causal, "need_weights": False}),
            ({"batch_first": True}, (x, y, y), {"key_padding_mask": padding}),
            ({"batch_first": True}, (x, y, y), {"attn_mask": added, "average_attn_weights": False}),
            ({"batch_first": True}, (x, y, y), {"attn_mask": added.abs() > 1.5, "key_padding_mask": padding}),
            ({"add_bias_kv": True, "add_zero_attn": True, "batch_first": True}, (x, y, y), {"attn_mask": added}),
            ({"bias": False, "kdim": 8, "vdim": 16}, (x, x[..., :8], x), {}),
            ({}, (x[0], x[0], x[0]), {"attn_mask": causal}),
        ]
        for options, inputs, arguments in cases:
            for training in (False, True):
                with self.subTest(options=options, arguments=list(arguments), training=training):
                    module = nn.MultiheadAttention(16, 4, **options).train(training)
                    expected, expected_weights = module(*inputs, **arguments)
                    with polariscope.watch(module) as record:
                        output, weights = module(*inputs, **arguments)
                    self.assertEqual((len(record.calls), dict(record.notes)), (1, {}))
                    self.close(output, expected)
                    self.assertEqual(weights is None, expected_weights is None)
                    if weights is not None:
                        self.close(weights, expected_weights)
                    if not arguments.get("average_attn_weights", True):
                        entropy = -torch.xlogy(expected_weights, expected_weights).sum(-1)
                        self.close(record.calls[0].statistics.entropy, entropy)
                    ours, theirs = (torch.autograd.grad(o.square().sum(), list(module.parameters()), allow_unused=True)
                                    for o in (output, expected))
                    for mine, eager in zip(ours, theirs):
                        self.close(mine, eager, 1e-4)

    def test_the_fast_path_of_evaluation_is_seen_too(self):
        model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2).eval()
        x = torch.randn(3, 7, 16)
        padding = torch.zeros(3, 7, dtype=torch.bool)
        padding[1, 5:] = True
        for arguments in ({}, {"src_key_padding_mask": padding}):
            with torch.no_grad():
                expected = model(x, **arguments)
                with polariscope.watch(model) as record:
                    output = model(x, **arguments)
            self.close(output[~padding], expected[~padding])
            self.assertEqual(list(record.layers()), ["layers.0.self_attn", "layers.1.self_attn"])
            visible = record["layers.1.self_attn"][0].statistics.visible
            self.assertEqual(visible[1, 0, 0].item(), 5 if arguments else 7)

    def test_a_gpt_block(self):
        for direct in (False, True):
            model = nn.Sequential(Block(direct=direct), Block(direct=direct))
            x = torch.randn(2, 9, 16)
            expected = model(x)
            with polariscope.watch(model) as record:
                output = model(x)
                model(x)
            self.close(output, expected)
            self.assertEqual([(call.layer, call.index) for call in record.calls],
                             [("0", 0), ("1", 0), ("0", 1), ("1", 1)])
            q, k, v = (y.unflatten(-1, (4, -1)).transpose(1, 2)
                       for y in model[0].qkv(model[0].norm(x)).double().chunk(3, -1))
            _, statistics = reference.attend(q, k, v, causal=True)
            for name, rows in record.calls[0].statistics._asdict().items():
                if rows is not None:
                    self.assertFalse(rows.requires_grad)
                    self.close(rows.double(), statistics[name].double(), 1e-3 if name == "skewness" else 1e-5)
            means = record.means()["0", 3]
            self.assertAlmostEqual(means["entropy"], statistics["entropy"][:, 3].mean().item(), places=5)
            self.assertAlmostEqual(means["first_key"], statistics["first_key"][:, 3].mean().item(), places=5)

    def test_masks_scales_and_shapes_of_scaled_dot_product_attention(self):
        class Calls(nn.Module):
            def forward(self, *arguments, **named):
                return F.scaled_dot_product_attention(*arguments, **named)

        q, k = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 8, 4)
        bool_mask = torch.rand(2, 1, 5, 8) > 0.3
        bool_mask[..., 0] = True
        float_mask = torch.randn(5, 8)
        least = torch.zeros(5, 8).masked_fill(~bool_mask[0, 0], torch.finfo(torch.float32).min)
        cases = [((q, k, k), {}), ((q, k, k), {"is_causal": True}), ((q, k, k), {"attn_mask": bool_mask}),
                 ((q, k, k), {"attn_mask": float_mask}), ((q, k, k), {"attn_mask": least}),
                 ((q[0], k[0], k[0]), {"attn_mask": bool_mask[0]}), ((q[0, 0], k[0, 0], k[0, 0]), {"scale": 0.7})]
        model = Calls()
        for arguments, named in cases:
            with self.subTest(named=list(named), dimensions=arguments[0].dim()):
                if "scale" in named and F.scaled_dot_product_attention is not eager_sdpa:
                    expected = eager_sdpa(*arguments, **named)
                else:
                    expected = model(*arguments, **named)
                with polariscope.watch(model) as record:
                    output = model(*arguments, **named)
                self.close(output, expected)
                self.assertEqual(output.shape, expected.shape)
                self.assertEqual((len(record.calls), dict(record.notes)), (1, {}))
        self.assertLess(record.calls[0].statistics.logit_variance.max().item(), 100)
        with polariscope.watch(model) as record:
            model(q, k, k, attn_mask=least)
        self.assertLess(record.calls[0].statistics.logit_variance.max().item(), 100)

    def test_the_attention_of_1_13(self):
        if not hasattr(F, "_scaled_dot_product_attention"):
            self.skipTest("this PyTorch has another")

        class Calls(nn.Module):
            def forward(self, x, **named):
                return F._scaled_dot_product_attention(x, x, x, **named)

        x = torch.randn(2, 3, 5, 4)
        for named in ({"is_causal": True}, {"need_attn_weights": True},
                      {"need_attn_weights": True, "attn_mask": torch.ones(5, 5, dtype=torch.bool).tril()}):
            expected = Calls()(x, **named)
            with polariscope.watch(model := Calls()) as record:
                output = model(x, **named)
            self.assertEqual(len(record.calls), 1)
            self.close(output[0], expected[0])
            if "need_attn_weights" in named:
                self.close(output[1], expected[1])

    def test_dropout_is_left_to_pytorch_with_a_note(self):
        model = nn.Sequential(Block(dropout=0.5))
        x = torch.randn(1, 4, 16)
        torch.manual_seed(1)
        expected = model(x)
        with polariscope.watch(model) as record:
            torch.manual_seed(1)
            output = model(x)
            self.assertTrue(torch.equal(output, expected))
            model.eval()(x)
        self.assertEqual(dict(record.notes), {("0", "dropout 0.5 of the weights"): 1})
        self.assertEqual(len(record.calls), 1)
        self.assertIn("not seen: 0, 1 calls with dropout 0.5", record.summary())

    def test_a_mistake_of_the_model_raises_what_it_raises_without_watch(self):
        model = nn.MultiheadAttention(16, 4)
        x = torch.randn(3, 2, 16)
        with self.assertRaises(Exception) as without:
            model(x, x[:, :1], x)
        with self.assertRaises(type(without.exception)) as watched, polariscope.watch(model):
            model(x, x[:, :1], x)
        self.assertEqual(str(watched.exception), str(without.exception))

    def test_a_fault_that_is_no_refusal_is_raised(self):
        model = nn.MultiheadAttention(16, 4)
        x = torch.randn(3, 2, 16)
        for fault in (RuntimeError("not enough memory"), TypeError("a fault of ours")):
            with mock.patch.object(polariscope.routes, "attend", side_effect=fault):
                with self.assertRaises(type(fault)) as raised, polariscope.watch(model) as record:
                    model(x, x, x)
            self.assertIs(raised.exception, fault)
            self.assertEqual(dict(record.notes), {})
        with mock.patch.object(polariscope.routes, "attend", side_effect=RuntimeError("attend: no")):
            with polariscope.watch(model) as record:
                model(x, x, x)
        self.assertEqual(list(record.notes), [("MultiheadAttention", "arguments that attend() refuses (attend: no)")])

    def test_everything_is_put_back_after_an_exception(self):
        model = nn.Sequential(Block(), nn.Linear(3, 3))  # the second does not fit
        with self.assertRaises(RuntimeError), polariscope.watch(model) as record:
            model(torch.randn(1, 4, 16))
        self.assertEqual(len(record.calls), 1)
        self.assertFalse(any("forward" in module.__dict__ for module in model.modules()))
        self.assertEqual(patched_things(), self.before)

    def test_watches_nest(self):
        inner, outer = Block(), None
        outer = nn.Sequential(inner, Block())
        x = torch.randn(1, 4, 16)
        with polariscope.watch(outer) as all_calls:
            with polariscope.watch(inner, statistics=["entropy"]) as some, polariscope.watch(outer) as again:
                outer(x)
            outer(x)
        self.assertEqual([call.layer for call in all_calls.calls], ["0", "1", "0", "1"])
        self.assertEqual([call.layer for call in some.calls], ["Block"])
        self.assertEqual([call.layer for call in again.calls], ["0", "1"])
        self.assertIsNone(some.calls[0].statistics.maximum)
        self.assertIsNotNone(all_calls.calls[0].statistics.maximum)
        self.assertIn("Block", some.summary())

    def test_other_models_are_not_seen(self):
        seen, other = Block(), Block()
        with polariscope.watch(seen) as record:
            other(torch.randn(1, 4, 16))
        self.assertEqual((record.calls, dict(record.notes)), ([], {}))
        with polariscope.watch(seen) as record:
            seen(torch.randn(1, 4, 16))
            record.clear()
            seen(torch.randn(1, 4, 16))
        self.assertEqual([call.index for call in record.calls], [0])

    def test_what_is_seen_can_be_trained(self):
        model = Block()
        with polariscope.watch(model, detach=False) as record:
            model(torch.randn(2, 6, 16))
        record.calls[0].statistics.entropy.mean().backward()
        self.assertGreater(model.qkv.weight.grad.abs().max().item(), 0)

    def test_the_summary_has_a_line_for_each_head(self):
        model = nn.MultiheadAttention(16, 4)
        with polariscope.watch(model) as record:
            model(*[torch.randn(3, 2, 16)] * 3)
        lines = str(record).splitlines()
        self.assertEqual(lines[0].split(), "layer head entropy maximum sink mass logit variance".split())
        self.assertEqual([line.split()[:2] for line in lines[1:]],
                         [["MultiheadAttention", str(head)] for head in range(4)])


if __name__ == "__main__":
    unittest.main()
