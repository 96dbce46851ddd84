"""watch() beside what PyTorch does to models: TorchScript, tracing, compilation, function transforms, autocast."""


import torch
import torch.nn.functional as F
from torch import nn
from watched import Attention, Block, WatchTest

import polariscope

try:
    from torch.func import grad, vmap
except ImportError:
    from functorch import grad, vmap



class Scripted(nn.Module):
    """What TorchScript can read."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


class WatchTransforms(WatchTest):
    def test_a_model_can_be_scripted_and_traced_inside(self):
        model, x = Scripted(), torch.randn(3, 5, 16)
        expected = model(x)
        with polariscope.watch(model) as record:
            scripted = torch.jit.script(model)
            traced = torch.jit.trace(model, x, check_trace=False)
            self.assertEqual(record.calls, [])
            self.assertEqual(list(record.notes), [("attention", "not seen: calls that are traced")])
        for made in (scripted, traced):
            self.assertNotIn("polariscope", str(made.inlined_graph))
            self.close(made(x), expected)

    def test_scaled_dot_product_attention_can_be_scripted_inside(self):
        class Plain(nn.Module):
            def forward(self, x):
                return F.scaled_dot_product_attention(x, x, x)

        model, x = Plain(), torch.randn(1, 2, 5, 8)
        with polariscope.watch(model):
            scripted = torch.jit.script(model)
        self.assertNotIn("polariscope", str(scripted.inlined_graph))
        self.close(scripted(x), model(x))

    def test_compiled_models_are_left_alone_with_a_note(self):
        x = torch.randn(2, 5, 16)
        for inside in (False, True):
            for fullgraph in (False, True):
                with self.subTest(inside=inside, fullgraph=fullgraph):
                    torch._dynamo.reset()
                    model = nn.Sequential(Block(), Block())
                    expected = model(x)
                    model[0].compile(backend="aot_eager", fullgraph=fullgraph)
                    if not inside:
                        model(x)
                    with polariscope.watch(model) as record:
                        self.close(model(x), expected)
                    self.close(model(x), expected)
                    self.assertEqual([call.layer for call in record.calls], ["1"])
                    self.assertEqual(record.notes[("0", "not seen: compiled")], 1)
                    # PyTorch 2.6 traces through what is watched, with tensors of its own.
                    self.assertEqual({layer for layer, _ in record.notes}, {"0"})

    def test_attend_compiles_inside_a_block(self):
        torch._dynamo.reset()
        model, x = Block(direct=True), torch.randn(2, 5, 16)
        expected = model(x)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        with polariscope.watch(compiled) as record:
            self.close(compiled(x), expected)
        self.assertEqual((record.calls, list(record.notes)), ([], [("OptimizedModule", "not seen: compiled")]))

    def test_function_transforms_run_and_what_they_hide_has_a_note(self):
        model, x = Block(), torch.randn(3, 1, 5, 16)
        expected = torch.stack([model(one) for one in x])
        with polariscope.watch(model) as record:
            self.close(vmap(model)(x), expected)
        self.assertEqual((record.calls, list(record.notes)), ([], [("Block", "not seen: tensors inside vmap")]))

        right = grad(lambda x: model(x).square().sum())(x[0])
        with polariscope.watch(model) as record, polariscope.watch(model, detach=False) as kept:
            self.same(grad(lambda x: model(x).square().sum())(x[0]), right)
        with polariscope.watch(model) as plain:
            model(x[0])
        for seen in (record, kept):
            self.assertEqual(dict(seen.notes), {})
            self.same(seen.calls[0].statistics.entropy.detach(), plain.calls[0].statistics.entropy)

    def test_another_default_device_is_not_felt(self):
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 1).eval()
        x, padding, causal = torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.bool), Attention()
        padding[1, 3:] = True
        self.addCleanup(torch.set_default_device, None)
        torch.set_default_device("meta")
        with polariscope.watch(encoder) as nested, torch.no_grad():
            encoder(x, src_key_padding_mask=padding)
        with polariscope.watch(causal) as rectangle:
            causal(x[:, None], x[:, None, :3], is_causal=True)
        self.assertEqual([len(record.calls) for record in (nested, rectangle)], [1, 1])

    def test_autocast_is_seen_with_the_types_that_it_leaves(self):
        model, q = Attention(), torch.randn(1, 2, 5, 8)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for key in (q, q.bfloat16()):
                expected = model(q, key)
                with polariscope.watch(model) as record:
                    self.same(model(q, key), expected)
                self.assertEqual((len(record.calls), dict(record.notes)), (1, {}))
                self.assertEqual(record.calls[0].statistics.entropy.dtype, torch.float32)
            block, x = nn.TransformerEncoderLayer(16, 4, 32, 0.0), torch.randn(5, 2, 16)
            expected = torch.autograd.grad(block(x).float().square().sum(), list(block.parameters()))
            with polariscope.watch(block) as record:
                found = torch.autograd.grad(block(x).float().square().sum(), list(block.parameters()))
            self.assertEqual((len(record.calls), dict(record.notes)), (1, {}))
            for ours, theirs in zip(found, expected):
                self.same(ours, theirs)
