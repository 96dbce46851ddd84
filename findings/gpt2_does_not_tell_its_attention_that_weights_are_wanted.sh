#!/bin/sh
# transformers 5.24.0 with torch 2.15.0, CPU. An attention function is registered in ALL_ATTENTION_FUNCTIONS that returns
# weights where it is asked for them; a Llama and a GPT-2 that use it are called with output_attentions=True.
# A good guess: both functions get the keyword output_attentions=True, since models hand their keywords on to the attention,
# and outputs.attentions has a map for each layer.
# Seen: Llama's gets it; GPT-2 takes the keyword out of what it hands on, its function hears nothing, and
# outputs.attentions is an empty tuple, without a word. What is wanted stands only in a context variable of
# transformers.utils.output_capturing.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 transformers==5.24.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

asked = []


def attention(module, query, key, value, attention_mask, **keywords):
    asked.append(keywords.get("output_attentions"))
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    causal = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    weights = (query @ key.mT * keywords["scaling"]).masked_fill(~causal, float("-inf")).softmax(-1)
    return (weights @ value).transpose(1, 2), weights if asked[-1] else None


ALL_ATTENTION_FUNCTIONS.register("own", attention)
ALL_MASK_ATTENTION_FUNCTIONS.register("own", sdpa_mask)
small = dict(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
models = {"Llama": LlamaForCausalLM._from_config(LlamaConfig(**small, num_key_value_heads=1), attn_implementation="own"),
          "GPT-2": GPT2LMHeadModel._from_config(GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, n_positions=32),
                                                attn_implementation="own")}
seen = {}
for name, model in models.items():
    asked.clear()
    maps = model.eval()(torch.arange(5)[None], output_attentions=True).attentions
    seen[name] = (asked[0], type(maps).__name__, len(maps))
print(seen)
if seen != {"Llama": (True, "tuple", 1), "GPT-2": (None, "tuple", 0)}:
    raise SystemExit("changed: GPT-2's attention is told, or Llama's is not")
PYTHON
