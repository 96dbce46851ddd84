"""Models that polariscope trains and exports, in transformers: their validation loss is that of the run's record.

The program of the wheel trains no transformers: these take the one that ./dev build makes, and are skipped without it.
"""

import json
import subprocess
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", minversion="5")

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "build/release/cli/polariscope"
CONTEXT, SEQUENCES = 24, 6
LLAMA = {
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}
GPT2 = {"model_type": "gpt2", "vocab_size": 256, "n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 3}
GEMMA2 = {
    **LLAMA,
    "model_type": "gemma2",
    "head_dim": 8,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 8,
    "sliding_window": 9,
    "attn_logit_softcapping": 5.0,
    "final_logit_softcapping": 4.0,
}
MIXTRAL = {**LLAMA, "model_type": "mixtral", "num_local_experts": 3, "num_experts_per_tok": 2}


def run(folder, *words):
    return subprocess.run([PROGRAM, *words], cwd=folder, capture_output=True, text=True, timeout=120)


def trained(folder, config, *more):
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["--task", "language-model", "--data", "example", "--model", "config.json", "--context", str(CONTEXT)]
    words += ["--batch", "4", "--steps", "5", "--learning-rate", "1e-2", "--validation-sequences", str(SEQUENCES)]
    done = run(folder, "train", *words, *more, "--out", "run", "--quiet")
    if "needs LibTorch" in done.stderr:
        pytest.skip(f"{PROGRAM} trains no transformers")
    assert done.returncode == 0, done.stderr
    done = run(folder, "export", "run", "--out", "model")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "run/result.json").read_text(encoding="utf-8"))["validation_loss"]


def validation():
    """The stretches of src/polariscope/train/language_batches.cpp."""
    text = torch.tensor(list((ROOT / "data/example/pages.txt").read_bytes()))
    begin = len(text) - max(len(text) // 100, CONTEXT + 1)
    there = (len(text) - begin - 1) // CONTEXT
    places = [begin + i * there // SEQUENCES * CONTEXT for i in range(SEQUENCES)]
    return torch.stack([text[place : place + CONTEXT + 1] for place in places])


@pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")
@pytest.mark.parametrize(
    ("config", "more", "kind"),
    [
        (LLAMA, [], "llama"),
        (GPT2, [], "gpt2"),
        (LLAMA, ["--qk-norm", "rms"], "qwen3"),
        (GEMMA2, [], "gemma2"),
        (MIXTRAL, [], "mixtral"),
    ],
    ids=["llama", "gpt2", "qk-norm", "gemma2", "mixtral"],
)
def test_an_exported_model_predicts_there_as_it_was_trained(tmp_path, config, more, kind):
    loss = trained(tmp_path, config, *more)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", attn_implementation="eager", dtype=torch.float32
    ).eval()
    assert model.config.model_type == kind
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer("Täglich\n").input_ids == list("Täglich\n".encode())
    assert tokenizer.decode(list("Täglich\n".encode())) == "Täglich\n"
    stretches = validation()
    with torch.no_grad():
        logits = model(stretches[:, :-1]).logits
    found = torch.nn.functional.cross_entropy(logits.flatten(0, 1), stretches[:, 1:].flatten())
    assert found.item() == pytest.approx(loss, abs=2e-5)


@pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")
def test_attention_of_ones_own_is_refused_there(tmp_path):
    trained(tmp_path, LLAMA, "--attention", "sigmoid")
    with pytest.raises(ValueError, match="polariscope-llama"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
