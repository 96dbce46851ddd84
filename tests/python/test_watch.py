"""watch() on PyTorch's own modules and on a hand-written block."""

from types import SimpleNamespace
from unittest import mock

import reference
import torch
import torch.nn.functional as F
from torch import nn
from watched import Attention, Block, WatchTest, functions

import polariscope
from polariscope import calls, tensors


class Watch(WatchTest):
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
                    self.same(output, expected)
                    self.same(weights, expected_weights)
                    self.close(record.calls[0].statistics.entropy, self.entropy(module, inputs, arguments))

    def entropy(self, module, inputs, arguments):
        _, weights = module(*inputs, **{**arguments, "need_weights": True, "average_attn_weights": False})
        weights = weights if weights.dim() == 4 else weights[None]
        return -torch.xlogy(weights, weights).sum(-1)

    def test_the_fast_path_of_evaluation_is_seen_and_kept(self):
        # PyTorch then calls one function for a whole layer, and with padding it goes through nested tensors.
        x = torch.randn(3, 7, 16)
        padding = torch.zeros(3, 7, dtype=torch.bool)
        padding[:, 6:] = True
        padding[1, 5:] = True
        causal = torch.triu(torch.ones(7, 7, dtype=torch.bool), 1)
        for norm_first in (False, True):
            layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=norm_first)
            model = nn.TransformerEncoder(layer, 2).eval()
            for arguments in ({}, {"src_key_padding_mask": padding}, {"mask": causal},
                              {"mask": causal, "src_key_padding_mask": padding}):
                with self.subTest(norm_first=norm_first, arguments=list(arguments)):
                    with torch.no_grad():
                        expected = model(x, **arguments)
                        with polariscope.watch(model) as record:
                            output = model(x, **arguments)
                    with polariscope.watch(model) as slow:
                        model(x, **arguments)  # under grad
                    self.same(output, expected)
                    self.assertEqual(dict(record.notes), {})
                    self.assertEqual(list(record.layers()), ["layers.0.self_attn", "layers.1.self_attn"])
                    for fast, call in zip(record.calls, slow.calls):
                        real = ~padding[:, None].expand(-1, 4, -1)
                        for name in ("entropy", "visible", "logit_variance", "first_key"):
                            ours, theirs = getattr(fast.statistics, name), getattr(call.statistics, name)
                            real_too = real[..., :ours.shape[2]]  # nested tensors are as long as the longest
                            self.close(ours[real_too], theirs[..., :ours.shape[2]][real_too])

    def test_a_float_mask_in_the_fast_path_is_what_pytorch_makes_of_it(self):
        # Without gradients PyTorch takes each number but 0 for "hidden": another layer than with gradients.
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
        x, mask = torch.randn(2, 6, 16), torch.zeros(2, 6)
        mask[1, 4:] = -0.7
        with torch.no_grad():
            expected = layer(x, src_key_padding_mask=mask)
            self.same(layer(x, src_key_padding_mask=mask != 0), expected)
            with polariscope.watch(layer) as record:
                self.same(layer(x, src_key_padding_mask=mask), expected)
        self.assertEqual(record.calls[0].statistics.visible[:, 0, 0].tolist(), [6, 4])
        self.assertEqual(list(record.notes), [("self_attn", "PyTorch's fast path hides where its float mask is not 0")])
        with polariscope.watch(layer) as record:
            layer(x, src_key_padding_mask=mask)
        self.assertEqual(record.calls[0].statistics.visible[:, 0, 0].tolist(), [6, 6])

    def test_the_fast_path_of_one_module_is_seen(self):
        module = nn.MultiheadAttention(16, 4, batch_first=True).eval()
        x, padding = torch.randn(3, 7, 16), torch.zeros(3, 7, dtype=torch.bool)
        padding[1, 5:] = True
        for arguments in ({}, {"key_padding_mask": padding}, {"need_weights": False}):
            with torch.no_grad():
                expected = module(x, x, x, **arguments)
                with polariscope.watch(module) as record:
                    output = module(x, x, x, **arguments)
                self.same(output[0], expected[0])
                self.close(record.calls[0].statistics.entropy, self.entropy(module, (x, x, x), arguments))

    def test_a_gpt_block(self):
        for direct in (False, True):
            model = nn.Sequential(Block(direct=direct), Block(direct=direct))
            x = torch.randn(2, 9, 16)
            expected = model(x)
            with polariscope.watch(model) as record:
                output = model(x)
                model(x)
            self.same(output, expected)
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
            self.assertAlmostEqual(means["first_visible_key"], statistics["first_key"][:, 3].mean().item(), places=5)

    def test_masks_scales_and_shapes_of_scaled_dot_product_attention(self):
        q, k = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 8, 4)
        bool_mask = torch.rand(2, 1, 5, 8) > 0.3
        bool_mask[..., 0] = True
        float_mask = torch.randn(5, 8)
        least = torch.zeros(5, 8).masked_fill(~bool_mask[0, 0], torch.finfo(torch.float32).min)
        cases = [((q, k), {}), ((q, k), {"is_causal": True}), ((q, k), {"attn_mask": bool_mask}),
                 ((q, k), {"attn_mask": float_mask}), ((q, k), {"attn_mask": least}),
                 ((q[0], k[0]), {"attn_mask": bool_mask[0]}), ((q[0, 0], k[0, 0]), {"scale": 0.7}),
                 ((q, k[:1]), {}), ((q[:1], k), {})]
        model = Attention()
        for arguments, named in cases:
            with self.subTest(named=list(named), dimensions=arguments[0].dim()):
                expected = model(*arguments, **named)
                with polariscope.watch(model) as record:
                    output = model(*arguments, **named)
                self.same(output, expected)
                self.assertEqual((len(record.calls), dict(record.notes)), (1, {}))
                identity = torch.eye(8).expand(*arguments[1].shape[:-2], 8, 8)
                weights = F.scaled_dot_product_attention(*arguments, identity, **named)
                entropy = -torch.xlogy(weights, weights).sum(-1)
                self.close(record.calls[0].statistics.entropy.view_as(entropy), entropy)
                self.assertLess(record.calls[0].statistics.logit_variance.max().item(), 100)

    def test_dropout_is_pytorch_s_and_the_weights_before_it_are_seen(self):
        model = nn.Sequential(Block(dropout=0.5))
        x = torch.randn(1, 4, 16)
        torch.manual_seed(1)
        expected = model(x)
        with polariscope.watch(model) as record:
            torch.manual_seed(1)
            self.same(model(x), expected)
            model.eval()(x)
        self.assertEqual((len(record.calls), dict(record.notes)), (2, {("0", calls.DROPOUT): 1}))
        self.same(record.calls[0].statistics.entropy, record.calls[1].statistics.entropy)

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
            with mock.patch.object(tensors, "attend", side_effect=fault):
                with self.assertRaises(type(fault)) as raised, polariscope.watch(model) as record:
                    model(x, x, x)
            self.assertIs(raised.exception, fault)
            self.assertEqual(dict(record.notes), {})
        with mock.patch.object(tensors, "attend", side_effect=RuntimeError("attend: no")):
            with polariscope.watch(model) as record:
                model(x, x, x)
        self.assertEqual(list(record.notes), [
            ("MultiheadAttention", "not seen: arguments that attend() refuses (attend: no)")])
        self.assertIn("MultiheadAttention: not seen: arguments that attend() refuses (attend: no)",
                      record.summary())

    def test_everything_is_put_back_after_an_exception(self):
        model = nn.Sequential(Block(), nn.Linear(3, 3))  # the second does not fit
        with self.assertRaises(RuntimeError), polariscope.watch(model) as record:
            model(torch.randn(1, 4, 16))
        self.assertEqual(len(record.calls), 1)
        self.assertEqual(functions(), self.before)

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
        self.assertEqual([name for name, rows in some.calls[0].statistics._asdict().items() if rows is not None],
                         ["entropy", "visible"])
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

    def test_heads_that_are_packed_as_queries_are_heads(self):
        # As transformers 5 calls where there is one query and a key for several heads.
        class Decoding(nn.Module):
            num_key_value_groups, config = 3, SimpleNamespace(num_attention_heads=6)

            def forward(self, query, key, mask):
                mask = mask.reshape(2, 2, 3, 5) if mask is not None and mask.shape[1] == 6 else mask
                packed = F.scaled_dot_product_attention(query.reshape(2, 2, 3, 8), key, key, attn_mask=mask)
                return packed.reshape(2, 6, 1, 8)

        query, key = torch.randn(2, 6, 1, 8), torch.randn(2, 2, 5, 8)
        hidden = torch.ones(2, 1, 1, 5, dtype=torch.bool)
        hidden[1, ..., :2] = False
        for mask in (None, hidden, torch.randn(2, 6, 1, 5)):
            with polariscope.watch(model := Decoding()) as record:
                model(query, key, mask)
            with polariscope.watch(plain := Attention()) as right:
                plain(query, key.repeat_interleave(3, 1), attn_mask=mask)
            self.assertEqual(len(record.means()), 6)
            for name in ("entropy", "visible", "logit_variance", "first_key"):
                self.close(getattr(record.calls[0].statistics, name), getattr(right.calls[0].statistics, name))
        with polariscope.watch(model) as record:
            model.config, model.num_key_value_groups = SimpleNamespace(num_attention_heads=2), 1
            model(query, key, None)
        self.assertEqual(record.calls[0].statistics.entropy.shape, (2, 2, 3))

    def test_any_subset_has_the_means_of_all(self):
        # a row that sees no key is none of them
        model, padding = nn.MultiheadAttention(16, 4, batch_first=True), torch.zeros(2, 6, dtype=torch.bool)
        padding[1] = True
        x = torch.randn(2, 6, 16)

        def means(statistics):
            with polariscope.watch(model, statistics=statistics) as record:
                model(x, x, x, key_padding_mask=padding)
            return record.means()

        everything = means("all")
        self.assertGreater(everything["MultiheadAttention", 0]["entropy"], 1)
        names = ("entropy", "maximum", "first_visible_key", "first_key", "logit_variance")
        for subset in (*names, ["entropy"], names[:2], names[2:], ("skewness", "first_key"), ("visible", *names)):
            with self.subTest(subset=subset):
                wanted = [subset] if isinstance(subset, str) else subset
                self.assertEqual(means(subset), {head: {name: value for name, value in values.items() if name in wanted}
                                                 for head, values in everything.items()})

    def test_the_means_of_a_statistic_are_over_the_calls_that_have_it(self):
        class Two(nn.Module):
            def forward(self, x):
                for form in ("softmax", "entmax", "softmax"):
                    polariscope.attend(x, x, x, form)

        with polariscope.watch(model := Two()) as record:
            model(torch.randn(1, 1, 5, 4))
        for name in ("entropy", "maximum", "first_visible_key", "logit_variance"):
            rows = [getattr(call.statistics, name) for call in record.calls]
            rows = torch.cat([x.flatten() for x in rows if x is not None])
            self.assertAlmostEqual(record.means()["Two", 0][name], rows.mean().item(), places=5)

    def test_an_unknown_statistic_is_refused_at_once(self):
        with self.assertRaisesRegex(ValueError, "unknown statistic 'entrpy'"):
            with polariscope.watch(Block(), statistics=["entrpy"]):
                pass
        with self.assertRaisesRegex(TypeError, "expected a torch.nn.Module, found function"):
            with polariscope.watch(F.relu):
                pass

    def test_a_table_without_a_line_says_so(self):
        class Eager(nn.Module):
            def forward(self, x):
                return (x @ x.transpose(-1, -2)).softmax(-1) @ x

        with polariscope.watch(model := Eager()) as record:
            model(torch.randn(3, 4))
        self.assertIn("no attention was seen", record.summary())

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
