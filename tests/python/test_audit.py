"""`polariscope audit` against transformers, on tiny random models of every architecture: safetensors and GGUF."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from make_architectures import LLAMA, VOCABULARY, make, make_one, names
from safetensors.torch import load_file

if int(transformers.__version__.split(".")[0]) < 5:
    pytest.skip("these models are those of transformers 5", allow_module_level=True)

# Ours runs in float32, the reference in float64 with transformers' own float32 steps. A wrong constant moves logits by
# 1e-2 and more.
TOLERANCE = 2e-4
ARRAYS = {"entropy": "attn_entropy", "first_key": "attn_first_key", "maximum": "attn_max", "logits_last": "logits_last",
          "hidden_norm": "hidden_norm", "nll": "nll_per_sequence"}


def check_audit(model, reference, scratch):
    """Of a model's file or folder, by what transformers computed of it."""
    reference = json.loads(reference.read_text())
    ids, arrays = scratch / "ids.json", scratch / "arrays.safetensors"
    ids.write_text(json.dumps(reference["input_ids"]))
    program = Path(sys.executable).parent / "polariscope"
    run = subprocess.run([program, "audit", model, "--ids", ids, "--arrays", arrays], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = load_file(arrays)
    for name, field in ARRAYS.items():
        wanted = torch.tensor(reference[field], dtype=torch.double)
        assert found[name].shape == wanted.shape, name
        scale = wanted.abs() + 1 if name == "hidden_norm" else 1
        assert ((found[name] - wanted).abs() / scale).max() <= TOLERANCE, name


@pytest.mark.parametrize("name", names())
def test_every_architecture_agrees_in_both_spellings_of_its_config(name, tmp_path):
    make_one(tmp_path, name)
    folder = tmp_path / name
    check_audit(folder, folder / "reference.json", tmp_path)
    legacy = folder / "config_legacy.json"
    if legacy.exists():
        legacy.replace(folder / "config.json")
        check_audit(folder, folder / "reference.json", tmp_path)


# GGUF carries no more of a config than this. name of the architecture there: (class of the model, keys of its config)
GGUF = {
    "qwen2": ("Qwen2ForCausalLM", LLAMA),
    "qwen3": ("Qwen3ForCausalLM", LLAMA | dict(head_dim=16)),
    "qwen3moe": ("Qwen3MoeForCausalLM", LLAMA | dict(head_dim=16, num_experts=6, num_experts_per_tok=2,
                                                     moe_intermediate_size=24, norm_topk_prob=True)),
    "phi3": ("Phi3ForCausalLM", LLAMA | dict(sliding_window=8)),
    "starcoder2": ("Starcoder2ForCausalLM", LLAMA),
    "gemma3": ("Gemma3ForCausalLM", LLAMA | dict(head_dim=16, query_pre_attn_scalar=16, num_hidden_layers=7,
                                                 sliding_window=8)),
    "bloom": ("BloomForCausalLM", dict(vocab_size=VOCABULARY, hidden_size=48, n_layer=3, n_head=6, bos_token_id=1,
                                       eos_token_id=2, pad_token_id=0)),
}


def as_llama_cpp_lays_it_out(architecture, name, tensor, config):
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return tensor + 1
    if architecture == "bloom" and "query_key_value" in name:  # by head, there by kind
        return tensor.reshape(config["n_head"], 3, -1, *tensor.shape[1:]).swapaxes(0, 1).reshape(tensor.shape)
    return tensor


def write_gguf(architecture, folder):
    gguf = pytest.importorskip("gguf")
    config = json.loads((folder / "config.json").read_text())
    layers, heads = (config.get(a, config.get(b)) for a, b in (("num_hidden_layers", "n_layer"),
                                                                ("num_attention_heads", "n_head")))
    writer = gguf.GGUFWriter(folder / "model.gguf", architecture)
    width = config["hidden_size"]
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config.get("intermediate_size", 4 * width))
    writer.add_context_length(config.get("max_position_embeddings", 64))
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_vocab_size(VOCABULARY)
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(config.get("norm_epsilon", config.get("layer_norm_epsilon")))
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    positions = config.get("rope_parameters")
    if positions:
        writer.add_rope_freq_base(positions.get("full_attention", positions)["rope_theta"])
    if "moe_intermediate_size" in config:
        writer.add_expert_count(config.get("num_experts", config.get("num_local_experts")))
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    there, experts = gguf.get_tensor_name_map(kind, layers), {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        tensor = tensor.numpy()
        before, found, behind = name.partition(".experts.")
        if found:
            number, part = behind.split(".", 1)
            experts.setdefault(f"{before}.experts.{part}", {})[int(number)] = tensor
            continue
        writer.add_tensor(there.get_name(name.removeprefix("transformer."), (".weight", ".bias")),
                          np.ascontiguousarray(as_llama_cpp_lays_it_out(architecture, name, tensor, config)))
    for name, tensors in experts.items():
        writer.add_tensor(there.get_name(name, (".weight", ".bias")),
                          np.stack([tensors[number] for number in sorted(tensors)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf"


@pytest.mark.parametrize("architecture", GGUF)
def test_gguf_files_agree_and_are_what_transformers_reads(architecture, tmp_path):
    folder = tmp_path / architecture
    make(folder, *GGUF[architecture])
    path = write_gguf(architecture, folder)

    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    read = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
    for name, tensor in model.state_dict().items():
        if name in read:
            assert torch.allclose(read[name].reshape(tensor.shape), tensor, rtol=0, atol=1e-6), name  # of 1 + w
    missing = set(model.state_dict()) - set(read) - {"lm_head.weight"}
    assert not missing, missing
    check_audit(path, folder / "reference.json", tmp_path)
