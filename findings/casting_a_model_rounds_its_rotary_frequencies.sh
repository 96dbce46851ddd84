#!/bin/sh
# transformers 5.24.0 with torch 2.15.0, CPU. The rotary frequencies of a Llama are a buffer that no file holds.
# A good guess: model.to(bfloat16) makes the model that from_pretrained(dtype=bfloat16) reads back from what it saves.
# Seen: .to() rounds the frequencies to bfloat16 for good, from_pretrained computes them anew in float32. Two models whose
# parameters are the same bit for bit, both in float32, differ in their logits, the more the later the token: numbers quoted
# of a model that was cast before it was saved are not those of the file.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 transformers==5.24.0 numpy
"$folder/venv/bin/python" -W ignore - "$folder/model" <<'PYTHON'
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

transformers.utils.logging.disable_progress_bar()
torch.manual_seed(0)
config = LlamaConfig(vocab_size=48, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=4, max_position_embeddings=2048, initializer_range=0.2)
cast = LlamaForCausalLM(config).eval().to(torch.bfloat16)
cast.save_pretrained(sys.argv[1])
read = LlamaForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
cast = cast.to(torch.float32)
assert all(torch.equal(a, b) for a, b in zip(cast.parameters(), read.parameters(), strict=True))
ours, theirs = cast.model.rotary_emb.inv_freq, read.model.rotary_emb.inv_freq
rounding = ((ours - theirs).abs() / theirs).max().item()
with torch.no_grad():
    ids = torch.randint(48, (1, 2000))
    difference = (cast(ids).logits - read(ids).logits).abs()[0].amax(-1)
early, late = difference[:50].max().item(), difference[-50:].max().item()
print(f"transformers {transformers.__version__}: frequencies differ by {rounding:.1e} of themselves, logits of the first 50 "
      f"tokens by {early:.2g}, of the last 50 by {late:.2g}")
if not (rounding > 1e-3 and late > 10 * early):
    raise SystemExit("changed")
PYTHON
