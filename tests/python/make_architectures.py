"""Tiny random checkpoints of architectures, and what transformers computes: make_architectures.py FOLDER [NAME...].
test_audit.py holds `polariscope audit` to them.

Each NAME becomes a folder with config.json, model.safetensors and reference.json: logits of the last token, norms of
hidden states, mean negative log-likelihood, and of every row of attention its entropy, its weight on the first key and
its largest weight, all of a float64 run with eager attention.
"""

import json
import math
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

SEQUENCES, TOKENS, VOCABULARY = 2, 24, 112

# Shared by the decoders that call their sizes as Llama does: 4 heads on 2 key heads, 3 layers.
LLAMA = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
NEOX = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
FALCON = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
              max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
BERT = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=64)

# name: (class of the model, keys of its config)
MODELS = {
    "gpt_neox": ("GPTNeoXForCausalLM", NEOX),
    "gpt_neox_sequential": ("GPTNeoXForCausalLM", NEOX | dict(
        use_parallel_residual=False, hidden_act="gelu_fast",
        rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5))),
    "gptj": ("GPTJForCausalLM", dict(vocab_size=VOCABULARY, n_positions=64, n_embd=64, n_layer=3, n_head=4,
                                     rotary_dim=8, bos_token_id=1, eos_token_id=2)),
    "gpt2_scaled": ("GPT2LMHeadModel", dict(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=3, n_head=4,
                                            n_inner=48, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False,
                                            bos_token_id=1, eos_token_id=2)),
    "opt_350m": ("OPTForCausalLM", dict(vocab_size=VOCABULARY, hidden_size=32, ffn_dim=64, num_hidden_layers=3,
                                        num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=24,
                                        do_layer_norm_before=False, pad_token_id=1, bos_token_id=2, eos_token_id=2)),
    "falcon_new": ("FalconForCausalLM", FALCON | dict(new_decoder_architecture=True, num_kv_heads=2)),
    "falcon_new_one_norm": ("FalconForCausalLM", FALCON | dict(new_decoder_architecture=True, num_kv_heads=2,
                                                               num_ln_in_parallel_attn=1, ffn_hidden_size=72)),
    "falcon_7b": ("FalconForCausalLM", FALCON),
    "falcon_all_heads": ("FalconForCausalLM", FALCON | dict(multi_query=False, bias=True)),
    "mpt": ("MptForCausalLM", dict(vocab_size=VOCABULARY, d_model=48, n_heads=6, n_layers=2, max_seq_len=64,
                                   attn_config=dict(clip_qkv=1.25, alibi_bias_max=4, softmax_scale=0.3))),
    "mpt_plain": ("MptForCausalLM", dict(vocab_size=VOCABULARY, d_model=32, n_heads=4, n_layers=2, max_seq_len=64)),
    "llama_linear": ("LlamaForCausalLM", LLAMA | dict(
        attention_bias=True, mlp_bias=True, head_dim=16,
        rope_parameters=dict(rope_type="linear", rope_theta=300.0, factor=4.0))),
    "llama_dynamic": ("LlamaForCausalLM", LLAMA | dict(
        max_position_embeddings=16, rope_parameters=dict(rope_type="dynamic", rope_theta=300.0, factor=2.0))),
    "mistral": ("MistralForCausalLM", LLAMA | dict(head_dim=16, sliding_window=8)),
    "qwen2": ("Qwen2ForCausalLM", LLAMA | dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)),
    "qwen3_moe": ("Qwen3MoeForCausalLM", LLAMA | dict(head_dim=16, num_experts=6, num_experts_per_tok=2,
                                                      moe_intermediate_size=24, decoder_sparse_step=2,
                                                      norm_topk_prob=True)),
    "qwen3_moe_window": ("Qwen3MoeForCausalLM", LLAMA | dict(head_dim=16, num_experts=6, num_experts_per_tok=3,
                                                             moe_intermediate_size=24, mlp_only_layers=[1],
                                                             use_sliding_window=True, sliding_window=8)),
    "gemma": ("GemmaForCausalLM", LLAMA | dict(head_dim=16)),
    "gemma3": ("Gemma3ForCausalLM", LLAMA | dict(
        head_dim=16, num_hidden_layers=4, query_pre_attn_scalar=24, sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
        rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=2000.0, factor=4.0),
                             sliding_attention=dict(rope_type="default", rope_theta=300.0)))),
    "cohere": ("CohereForCausalLM", LLAMA | dict(use_qk_norm=True, logit_scale=0.2)),
    "cohere2": ("Cohere2ForCausalLM", LLAMA | dict(
        num_hidden_layers=4, sliding_window=8, layer_types=["sliding_attention", "full_attention"] * 2)),
    "granite": ("GraniteForCausalLM", LLAMA | dict(embedding_multiplier=3.0, residual_multiplier=0.4,
                                                   attention_multiplier=0.3, logits_scaling=2.5)),
    "stablelm": ("StableLmForCausalLM", LLAMA | dict(hidden_size=64, qk_layernorm=True, use_qkv_bias=True)),
    "stablelm_parallel": ("StableLmForCausalLM", LLAMA | dict(hidden_size=64, use_parallel_residual=True)),
    "starcoder2": ("Starcoder2ForCausalLM", LLAMA | dict(sliding_window=8)),
    "smollm3": ("SmolLM3ForCausalLM", LLAMA | dict(num_hidden_layers=4, no_rope_layer_interval=2)),
    "smollm3_window": ("SmolLM3ForCausalLM", LLAMA | dict(
        num_hidden_layers=4, no_rope_layer_interval=2, sliding_window=8, use_sliding_window=True)),
    "phi3_short": ("Phi3ForCausalLM", LLAMA | dict(
        original_max_position_embeddings=32,
        rope_parameters=dict(rope_type="longrope", rope_theta=1000.0, short_factor=[1.0, 1.1, 1.3, 1.6],
                             long_factor=[1.2, 2.0, 4.5, 9.0], original_max_position_embeddings=32))),
    "phi3_partial": ("Phi3ForCausalLM", LLAMA | dict(
        rope_parameters=dict(rope_type="default", rope_theta=1000.0, partial_rotary_factor=0.5))),
    "deepseek_v3_plain": ("DeepseekV3ForCausalLM", LLAMA | dict(
        num_key_value_heads=4, q_lora_rank=None, kv_lora_rank=16, qk_nope_head_dim=10, qk_rope_head_dim=8,
        v_head_dim=12, n_routed_experts=8, num_experts_per_tok=3, n_group=2, topk_group=1, moe_intermediate_size=16,
        first_k_dense_replace=1, attention_bias=True, rope_interleave=False, norm_topk_prob=False)),
    "bert_gelu_new": ("BertForMaskedLM", BERT | dict(hidden_act="gelu_new", layer_norm_eps=1e-6)),
    "distilbert": ("DistilBertForMaskedLM", dict(vocab_size=VOCABULARY, max_position_embeddings=64, n_layers=3,
                                                 n_heads=4, dim=32, hidden_dim=64)),
    "roberta": ("RobertaForMaskedLM", BERT | dict(type_vocab_size=1, pad_token_id=1)),
}


def draw(model, generator):
    """New weights: attention is far from uniform, no two norms are alike."""
    def normal(tensor, deviation, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.double) * deviation + mean)

    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if id(tensor) in embeddings:
                normal(tensor, 0.35)
            elif name.endswith("bias"):
                normal(tensor, 0.3)
            elif tensor.dim() == 1 or "norm" in name:
                normal(tensor, 0.25, mean=0.0 if "Gemma" in type(model).__name__ else 1.0)
            else:
                normal(tensor, 1.3 / math.sqrt(tensor.shape[-1]))
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                normal(buffer, 0.1)


def measure(attentions, hidden_norms, logits, ids, causal):
    """attentions: [layers] of [sequences, heads, tokens, tokens], hidden_norms: [layers + 1] of [sequences, tokens]."""
    rows = torch.stack([weights.double() for weights in attentions], dim=1)
    predicted = logits.double().log_softmax(-1)
    targets = ids[:, 1:] if causal else ids
    nll = -predicted[:, :targets.shape[1]].gather(-1, targets[..., None])[..., 0].mean(-1)
    return dict(attn_entropy=(-torch.xlogy(rows, rows).sum(-1)).tolist(), attn_first_key=rows[..., 0].tolist(),
                attn_max=rows.max(-1).values.tolist(), logits_last=logits[:, -1].tolist(),
                hidden_norm=torch.stack(list(hidden_norms), dim=1).tolist(), nll_per_sequence=nll.tolist())


def token_ids(generator):
    return torch.randint(4, VOCABULARY, (SEQUENCES, TOKENS), generator=generator)


def write_reference(folder, numbers, ids):
    (folder / "reference.json").write_text(json.dumps(numbers | dict(input_ids=ids.tolist())))


def write_legacy_config(folder):
    """The same model as 4.x describes it, where rotary positions are one object."""
    config = json.loads((folder / "config.json").read_text())
    positions = config.get("rope_parameters")
    if not positions or any(isinstance(value, dict) for value in positions.values()):
        return
    del config["rope_parameters"]
    theta, partial = positions.pop("rope_theta"), positions.pop("partial_rotary_factor", None)
    neox = config["model_type"] == "gpt_neox"
    config["rotary_emb_base" if neox else "rope_theta"] = theta
    if partial is not None:
        config["rotary_pct" if neox else "partial_rotary_factor"] = partial
    kind = positions.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else dict(positions, type=kind)
    config["torch_dtype"] = config.pop("dtype")
    (folder / "config_legacy.json").write_text(json.dumps(config, indent=1))


def make(folder, kind, keys):
    generator = torch.Generator().manual_seed(sum(map(ord, folder.name)))
    model_class = getattr(transformers, kind)
    model = model_class(model_class.config_class(**keys))
    draw(model, generator)
    model.save_pretrained(folder)
    plain = dict(attn_implementation="eager", dtype=torch.float32)
    if "experts" in " ".join(keys):
        plain["experts_implementation"] = "eager"
    model = model_class.from_pretrained(folder, **plain).double().eval()
    ids = token_ids(generator)
    with torch.no_grad():
        out = model(input_ids=ids, output_attentions=True, output_hidden_states=True)
    norms = [state.norm(dim=-1) for state in out.hidden_states]
    write_reference(folder, measure(out.attentions, norms, out.logits, ids, "Masked" not in kind), ids)
    write_legacy_config(folder)


def make_hybrid_norm(folder, weights):
    """The polarisation paper's pair, small: x + N(f(N(x))), ALiBi, normed heads, softmax or sigmoid."""
    width, heads, units, layers, context = 32, 4, 56, 3, 64
    generator = torch.Generator().manual_seed(len(weights))

    def normal(*shape, deviation, mean=0.0):
        return (torch.randn(shape, generator=generator, dtype=torch.double) * deviation + mean).float()

    def matrix(out, into):
        return normal(out, into, deviation=1.3 / math.sqrt(into))

    tensors = {"model.embed_tokens.weight": normal(VOCABULARY, width, deviation=0.35),
               "model.norm.weight": normal(width, deviation=0.25, mean=1.0)}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                     "post_feedforward_layernorm"):
            tensors[f"{at}{norm}.weight"] = normal(width, deviation=0.25, mean=1.0)
        for projection in "qkvo":
            tensors[f"{at}self_attn.{projection}_proj.weight"] = matrix(width, width)
        for norm in "qk":
            tensors[f"{at}self_attn.{norm}_norm.weight"] = normal(width // heads, deviation=0.25, mean=1.0)
        for projection, shape in (("gate", (units, width)), ("up", (units, width)), ("down", (width, units))):
            tensors[f"{at}mlp.{projection}_proj.weight"] = matrix(*shape)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        model_type="hybrid_norm", vocab_size=VOCABULARY, hidden_size=width, intermediate_size=units,
        num_hidden_layers=layers, num_attention_heads=heads, max_position_embeddings=context, rms_norm_eps=1e-5,
        hidden_act="silu", tie_word_embeddings=True, attention_weights=weights), indent=1))

    tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def rms(x, name):
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * tensors[f"{name}.weight"]

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T

    ids = token_ids(generator)
    distance = torch.arange(TOKENS)[None, :] - torch.arange(TOKENS)[:, None]
    slopes = torch.tensor([2.0 ** (-8 * (h + 1) / heads) for h in range(heads)], dtype=torch.double)
    hidden = tensors["model.embed_tokens.weight"][ids]
    norms, attentions = [hidden.norm(dim=-1)], []
    for layer in range(layers):
        at = f"model.layers.{layer}."
        read = rms(hidden, at + "input_layernorm")
        split = {kind: linear(read, f"{at}self_attn.{kind}_proj").view(SEQUENCES, TOKENS, heads, -1).transpose(1, 2)
                 for kind in "qkv"}
        q, k = rms(split["q"], at + "self_attn.q_norm"), rms(split["k"], at + "self_attn.k_norm")
        logits = q @ k.transpose(-1, -2) / math.sqrt(width // heads) + slopes[:, None, None] * distance
        if weights == "sigmoid":
            rows = (logits - math.log(context)).sigmoid().masked_fill(distance > 0, 0.0)
        else:
            rows = logits.masked_fill(distance > 0, -math.inf).softmax(-1)
        attentions.append(rows)
        mixed = (rows @ split["v"]).transpose(1, 2).reshape(SEQUENCES, TOKENS, width)
        hidden = hidden + rms(linear(mixed, at + "self_attn.o_proj"), at + "post_attention_layernorm")
        read = rms(hidden, at + "pre_feedforward_layernorm")
        gated = torch.nn.functional.silu(linear(read, at + "mlp.gate_proj")) * linear(read, at + "mlp.up_proj")
        hidden = hidden + rms(linear(gated, at + "mlp.down_proj"), at + "post_feedforward_layernorm")
        if layer == layers - 1:
            hidden = rms(hidden, "model.norm")
        norms.append(hidden.norm(dim=-1))
    logits = hidden @ tensors["model.embed_tokens.weight"].T
    write_reference(folder, measure(attentions, norms, logits, ids, True), ids)


PAIR = ("hybrid_norm_softmax", "hybrid_norm_sigmoid")


def names():
    return [*MODELS, *PAIR]


def make_one(root, name):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    if name in PAIR:
        make_hybrid_norm(folder, name.rsplit("_", 1)[1])
    else:
        make(folder, *MODELS[name])


def main():
    transformers.logging.set_verbosity_error()
    for name in sys.argv[2:] or names():
        make_one(pathlib.Path(sys.argv[1]), name)
        print(name, flush=True)


if __name__ == "__main__":
    main()
