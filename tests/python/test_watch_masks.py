"""What watch() makes of the numbers that models write into masks to hide a key."""

import math

import torch
from torch import nn
from watched import Attention, WatchTest

import polariscope

LEAST = torch.finfo(torch.float32).min


class WatchMasks(WatchTest):
    def watched(self, query, mask, model=None):
        model = Attention() if model is None else model
        expected = model(query, attn_mask=mask)
        with polariscope.watch(model) as record:
            output = model(query, attn_mask=mask)
        self.same(output, expected)
        (call,) = record.calls
        return call.statistics, [what for _, what in record.notes]

    def left_padded(self, fill, padded=2, keys=6, dtype=torch.float32):
        """[2, 1, keys, keys]: causal, the second sequence padded on the left."""
        hidden = torch.ones(keys, keys, dtype=torch.bool).triu(1).repeat(2, 1, 1, 1)
        hidden[1, ..., :padded] = True
        return torch.zeros(2, 1, keys, keys, dtype=dtype).masked_fill(hidden, fill), hidden

    def test_the_least_number_hides_row_by_row(self):
        query = torch.randn(2, 3, 6, 8)
        mask, hidden = self.left_padded(LEAST)
        rows, notes = self.watched(query, mask)
        exact, _ = self.watched(query, mask.masked_fill(hidden, float("-inf")))
        self.assertEqual(notes, [])
        for name, found in rows._asdict().items():
            self.assertTrue(torch.isfinite(found.double()).all() if found is not None else True, name)
        for name in ("entropy", "maximum", "logit_mean", "logit_variance", "visible", "log_sum_exp"):
            ours, theirs = getattr(rows, name), getattr(exact, name)
            self.close(ours[0], theirs[0])
            self.close(ours[1, :, 2:], theirs[1, :, 2:])
        self.assertEqual(rows.visible[0, 0].tolist(), [1, 2, 3, 4, 5, 6])
        self.assertEqual(rows.visible[1, 0].tolist(), [6, 6, 1, 2, 3, 4])
        # A row with nothing else is a uniform row to PyTorch.
        self.close(rows.entropy[1, :, :2], torch.tensor(math.log(6)))
        self.close(rows.logit_variance[1, :, :2], torch.tensor(0.0))

    def test_infinity_beside_the_least_number_hides_first(self):
        mask = torch.tensor([[LEAST, LEAST, float("-inf")], [0.0, LEAST, float("-inf")]])
        rows, _ = self.watched(torch.randn(1, 1, 2, 8), mask[:, :2])
        self.assertEqual(rows.visible.flatten().tolist(), [2, 1])
        query, key = torch.randn(1, 1, 2, 8), torch.randn(1, 1, 3, 8)
        with polariscope.watch(model := Attention()) as record:
            model(query, key, attn_mask=mask)
        self.assertEqual(record.calls[0].statistics.visible.flatten().tolist(), [2, 1])
        self.close(record.calls[0].statistics.entropy.flatten(), torch.tensor([math.log(2), 0.0]))

    def test_a_common_fill_hides_and_the_record_says_so(self):
        query = torch.randn(2, 3, 6, 8)
        for fill in (-1e4, -1e9, -1e30):
            for dtype in (torch.float32, torch.float64, torch.bfloat16):
                with self.subTest(fill=fill, dtype=dtype):
                    mask, hidden = self.left_padded(fill, dtype=dtype)
                    exact = mask.masked_fill(hidden, float("-inf"))
                    rows, notes = self.watched(query.to(dtype), mask)
                    right, _ = self.watched(query.to(dtype), exact)
                    self.assertEqual(notes, [f"its mask's fill {mask.min().item():g} counts as hidden"])
                    for name in ("entropy", "logit_mean", "logit_variance", "visible"):
                        ours, theirs = getattr(rows, name), getattr(right, name)
                        self.close(ours[0], theirs[0])
                        self.close(ours[1, :, 2:], theirs[1, :, 2:])
                    self.assertEqual(rows.visible[1, 0].tolist(), [6, 6, 1, 2, 3, 4])
                    self.assertLess(rows.logit_variance.max().item(), 100)

    def test_a_row_of_fill_alone_is_what_softmax_makes_of_it(self):
        query = torch.randn(1, 1, 5, 8)
        mask = torch.zeros(1, 1, 5, 5)
        mask[..., 3:] = -1e4
        mask[..., 1, :] = -1e4
        rows, _ = self.watched(query, mask)
        plain, _ = self.watched(query, None)
        self.close(rows.entropy[..., 1], plain.entropy[..., 1])  # -1e4 leaves the scores, nearly, as they are
        self.close(rows.logit_variance[..., 1], plain.logit_variance[..., 1])
        rows, _ = self.watched(query, 1e5 * mask)
        self.close(rows.entropy[..., 1], torch.tensor(math.log(5)))  # -1e9 swallows them
        self.assertEqual(rows.logit_variance[0, 0, 1].item(), 0)
        rows, _ = self.watched(query.double(), 1e5 * mask.double())
        self.close(rows.entropy[..., 1], plain.entropy[..., 1].double())

    def test_two_fills_that_were_added_are_one(self):
        causal, _ = self.left_padded(-1e4, padded=0)
        padding = torch.zeros(2, 1, 1, 6)
        padding[1, ..., :2] = -1e4
        rows, notes = self.watched(torch.randn(2, 3, 6, 8), causal + padding)
        self.assertEqual(notes, ["its mask's fill -10000 counts as hidden"])
        # The first query of the second sequence, which is padding: one key is hidden twice, five once.
        self.assertEqual(rows.visible[1, 0].tolist(), [5, 6, 1, 2, 3, 4])
        self.assertLess(rows.logit_variance.max().item(), 100)

    def test_a_steep_slope_is_no_fill(self):
        query = torch.randn(1, 1, 6, 8)
        place = torch.arange(6.0)
        distance = (place[:, None] - place).abs()
        causal = torch.zeros(6, 6).masked_fill(place > place[:, None], float("-inf"))
        for mask in (-1e4 * distance, -2e4 * distance + causal, -5e3 * distance, -1e4 * distance - torch.rand(6, 6)):
            rows, notes = self.watched(query, mask[None, None])
            self.assertEqual(notes, [])
            self.assertEqual(rows.visible.sum().item(), (mask > float("-inf")).sum().item())
            self.assertGreater(rows.logit_variance.max().item(), 1e6)

    def test_a_bias_that_learns_is_no_fill(self):
        mask = torch.zeros(1, 1, 4, 4)
        mask[..., 3] = -1e4
        rows, notes = self.watched(torch.randn(1, 1, 4, 8), nn.Parameter(mask))
        self.assertEqual((notes, rows.visible.min().item()), ([], 4))

    def test_the_least_number_beside_a_bias_hides(self):
        query = torch.randn(2, 3, 6, 8)
        mask, hidden = self.left_padded(LEAST)
        bias = torch.randn(1, 3, 6, 6)
        rows, _ = self.watched(query, mask + bias)
        right, _ = self.watched(query, bias.expand(2, -1, -1, -1).masked_fill(hidden, float("-inf")))
        self.close(rows.entropy[1, :, 2:], right.entropy[1, :, 2:])
        self.close(rows.logit_variance[1, :, 2:], right.logit_variance[1, :, 2:])
        self.assertEqual(rows.visible[1, 0].tolist()[2:], [1, 2, 3, 4])

    def test_masks_of_multi_head_attention_are_read_together(self):
        model = nn.MultiheadAttention(16, 4, batch_first=True)
        x = torch.randn(2, 6, 16)
        hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
        padding = torch.zeros(2, 6, dtype=torch.bool)
        padding[1, 4:] = True
        with polariscope.watch(model) as right:
            model(x, x, x, attn_mask=hidden, key_padding_mask=padding)
        for fill in (LEAST, -1e4, -1e9):
            mask = torch.zeros(6, 6).masked_fill(hidden, fill)
            with polariscope.watch(model) as record:
                model(x, x, x, attn_mask=mask, key_padding_mask=padding)
            self.assertEqual(len(record.notes), 0 if fill == LEAST else 1)
            for name in ("entropy", "visible", "logit_variance"):
                self.close(getattr(record.calls[0].statistics, name), getattr(right.calls[0].statistics, name))

    def test_rows_without_a_key_are_as_pytorch_has_them(self):
        model = nn.MultiheadAttention(16, 4, batch_first=True)
        padding = torch.zeros(2, 6, dtype=torch.bool)
        padding[1] = True
        x = torch.randn(2, 6, 16)
        expected, _ = model(x, x, x, key_padding_mask=padding)
        with polariscope.watch(model) as record:
            output, _ = model(x, x, x, key_padding_mask=padding)
        self.assertTrue(expected[1].isnan().all())
        self.same(output, expected)
        self.assertEqual(record.calls[0].statistics.visible[:, 0, 0].tolist(), [6, 0])
        self.assertEqual(record.calls[0].statistics.entropy[1].abs().max().item(), 0)
