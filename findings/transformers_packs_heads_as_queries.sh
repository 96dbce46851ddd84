#!/bin/sh
# transformers 5.24.0 with torch 2.15.0, CPU. A Llama with 4 query heads and 2 key heads, attention "sdpa", a batch with
# left padding (so that a mask is passed); what arrives at torch.nn.functional.scaled_dot_product_attention.
# A good guess: query [batch, heads, queries, width] in every call, so that axis 1 of a measured map is the head; while
# decoding [2, 4, 1, 8].
# Seen: the prefill has [2, 4, 10, 8] with keys repeated to 4 heads; decoding has query [2, 2, 2, 8] with keys of 2 heads
# and no enable_gqa: the heads that share a key lie on the axis of queries. Whoever measures there takes two heads for one
# with two queries.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 transformers==5.24.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
                                     num_key_value_heads=2, intermediate_size=64, pad_token_id=0)).eval()
tokens = torch.randint(1, 64, (2, 10))
mask = torch.ones_like(tokens)
mask[1, :3] = 0
shapes, original = [], F.scaled_dot_product_attention


def telling(query, key, *arguments, **named):
    shapes.append((tuple(query.shape), tuple(key.shape), named.get("enable_gqa", False)))
    return original(query, key, *arguments, **named)


F.scaled_dot_product_attention = telling
model.generate(tokens, attention_mask=mask, max_new_tokens=2, min_new_tokens=2, do_sample=False)
print(shapes)
if shapes != [((2, 4, 10, 8), (2, 4, 10, 8), False), ((2, 2, 2, 8), (2, 2, 11, 8), False)]:
    raise SystemExit("changed: the heads no longer arrive as queries")
PYTHON
