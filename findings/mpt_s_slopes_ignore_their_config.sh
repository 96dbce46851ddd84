#!/bin/sh
# transformers 5.24.0 with torch 2.15.0, CPU. config.attn_config.alibi_bias_max of MPT, which scales ALiBi's slopes
# (llm-foundry, where MPT comes from, takes them from it).
# A good guess: a model whose config says 16 has other slopes, and other logits, than one whose config says 8.
# Seen: the same logits to the bit. The config keeps the value, but the model computes its slopes without it, from a default
# of 8. Two checkpoints that differ in it alone cannot be told apart; one trained with another value is wrong in silence.
# Exit code 1 if that changes. Takes about 5 GB in a temporary folder.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.15.0 transformers==5.24.0 numpy
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
import transformers
from transformers import MptConfig, MptForCausalLM


def logits(largest):
    torch.manual_seed(0)
    model = MptForCausalLM(MptConfig(d_model=32, n_heads=4, n_layers=2, vocab_size=48, max_seq_len=32,
                                     attn_config={"alibi": True, "alibi_bias_max": largest})).eval()
    assert model.config.attn_config.alibi_bias_max == largest and model.config.attn_config.alibi
    with torch.no_grad():
        return model(torch.arange(24)[None]).logits


difference = (logits(8) - logits(16)).abs().max().item()
print(f"transformers {transformers.__version__}: alibi_bias_max 8 against 16: logits differ by {difference}")
if difference != 0.0:
    raise SystemExit("changed")
PYTHON
