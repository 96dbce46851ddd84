"""Models to be watched, and what every test of watch() holds to: after it PyTorch is as before."""

import unittest

import torch
import torch.nn.functional as F
from torch import nn

import polariscope


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


REPLACED = [(F, "scaled_dot_product_attention"),
            (torch._C._nn, "scaled_dot_product_attention"),
            (F, "multi_head_attention_forward"), (torch, "_native_multi_head_attention"),
            (torch, "_transformer_encoder_layer_fwd"), (torch.overrides, "has_torch_function")]


def functions():
    return [getattr(owner, name, None) for owner, name in REPLACED]


class Attention(nn.Module):
    """scaled_dot_product_attention, and what becomes of its output."""

    def forward(self, query, key=None, *, then=lambda output: output, **arguments):
        key = query if key is None else key
        return then(F.scaled_dot_product_attention(query, key, key, **arguments))


class WatchTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.before = functions()

    def tearDown(self):
        self.assertEqual(functions(), self.before)

    def close(self, ours, theirs, tolerance=1e-5):
        self.assertLess((ours - theirs).abs().max().item(), tolerance)

    def same(self, ours, theirs):
        """To the bit; NaN is NaN."""
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
