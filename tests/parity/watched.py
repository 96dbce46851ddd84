"""Models to be watched, and what every test of watch() holds to: after it PyTorch is as before."""

import unittest
from unittest import mock

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


REPLACED = [(F, "scaled_dot_product_attention"), (F, "_scaled_dot_product_attention"),
            (torch._C._nn, "scaled_dot_product_attention"), (torch._C._nn, "_scaled_dot_product_attention"),
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
        if not hasattr(F, "scaled_dot_product_attention"):
            patch = mock.patch.object(F, "scaled_dot_product_attention", eager_sdpa, create=True)
            patch.start()
            self.addCleanup(patch.stop)
        self.before = functions()

    def tearDown(self):
        self.assertEqual(functions(), self.before)

    def close(self, ours, theirs, tolerance=1e-5):
        self.assertLess((ours - theirs).abs().max().item(), tolerance)

    def same(self, ours, theirs):
        """To the bit; NaN is NaN."""
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
