#!/bin/sh
# torch 2.15.0, CPU. torch.nn.TransformerEncoderLayer in evaluation mode with a float src_mask (ALiBi, 0 on the
# diagonal) or a float src_key_padding_mask.
# A good guess: a float mask is added to the scores, so the output is the same with and without torch.no_grad().
# Seen: with gradients enabled it is added; without, the layer's fast path converts the mask to bool, and every number
# but 0 hides. Largest difference of the outputs: 0.836 for the slopes, 0.201 for the padding; no error. It is exactly
# the output that the boolean mask (mask != 0) gives. torch.nn.MultiheadAttention alone does not do this.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
x = torch.randn(2, 6, 16)
place = torch.arange(6.0)
slopes = -0.5 * (place[:, None] - place).abs()
padding = torch.zeros(2, 6)
padding[1, 4:] = -0.7
for name, mask in (("src_mask", slopes), ("src_key_padding_mask", padding)):
    with_gradients = layer(x, **{name: mask})
    with torch.no_grad():
        without = layer(x, **{name: mask})
        as_boolean = layer(x, **{name: mask != 0})
    difference = (with_gradients - without).abs().max().item()
    print(f"{torch.__version__} {name}: differs by {difference:.3f} without gradients; "
          f"from the boolean mask's output by {(without - as_boolean).abs().max().item():.3g}")
    if difference < 0.1 or not torch.equal(without, as_boolean):
        raise SystemExit("changed: the float mask is no longer read as a boolean one")
PYTHON
