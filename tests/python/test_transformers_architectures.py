"""Unseen architectures against their float64 references: last logits and every row's entropy, with every implementation
that a model has, bare and padded on either side."""

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", "5.0")

import polariscope  # noqa: E402
import polariscope.transformers  # noqa: E402, F401

FOLDERS = ["bert", "bloom", "deepseek_v3", "falcon_old", "gemma2", "gpt2", "gpt_oss", "llama_llama3", "llama_yarn",
           "mixtral", "olmo2", "opt", "phi3", "qwen3"]
REFUSED = {("bloom", "polariscope"), ("falcon_old", "polariscope"), ("bloom", "sdpa"), ("gemma2", "sdpa"),
           ("gpt_oss", "sdpa")}
BY_HAND = {("bloom", "eager"), ("falcon_old", "eager")}  # their own code multiplies and takes softmax
PADDING, TOLERANCE = 3, 2e-4


def padded(ids, side):
    if side == "none":
        return {"input_ids": ids}, slice(0, ids.shape[1])
    filler = torch.full((len(ids), PADDING), 5)
    whole, hidden = torch.cat([filler, ids], 1), slice(0, PADDING)
    if side == "right":
        whole, hidden = torch.cat([ids, filler], 1), slice(ids.shape[1], None)
    mask = torch.ones_like(whole)
    mask[:, hidden] = 0
    arguments = {"input_ids": whole, "attention_mask": mask}
    if side == "left":
        arguments["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        return arguments, slice(PADDING, None)
    return arguments, slice(0, ids.shape[1])


def entropy(call, rows):
    found = call.statistics.entropy[:, :, rows].double()
    if call.reweighting != "sink":
        return found
    mass = call.statistics.row_sum[:, :, rows].double()  # the reference does not renormalise what the sink leaves
    return mass * (found - mass.log())


@pytest.mark.parametrize("implementation", ["polariscope", "eager", "sdpa"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_logits_and_every_row_s_entropy_are_the_reference_s(folder, implementation, data):
    place = data("architectures") / folder
    reference = json.loads((place / "reference.json").read_text())
    model_class = getattr(transformers, reference["model_class"])
    if (folder, implementation) in REFUSED:
        with pytest.raises(ValueError, match="computes attention in its own code|does not support an attention"):
            model_class.from_pretrained(place, attn_implementation=implementation)
        return
    model = model_class.from_pretrained(place, attn_implementation=implementation, dtype=torch.float32).eval()
    for side in ("none", "left", "right"):
        arguments, rows = padded(torch.tensor(reference["input_ids"]), side)
        with torch.no_grad():
            bare = model(**arguments).logits
            with polariscope.watch(model) as record:
                logits = model(**arguments).logits
        if implementation != "polariscope":
            assert torch.equal(logits, bare)
        expected = torch.tensor(reference["logits_last"], dtype=torch.float64)
        if (folder, implementation) != ("falcon_old", "eager"):  # which counts its ALiBi twice
            assert (logits[:, rows][:, -1].double() - expected).abs().max() < TOLERANCE
        if (folder, implementation) in BY_HAND:
            assert not record.calls
            assert len(record.notes) == model.config.num_hidden_layers
            continue
        assert not record.notes
        ours = torch.stack([entropy(call, rows) for call in record.calls], 1)
        assert (ours - torch.tensor(reference["attn_entropy"], dtype=torch.float64)).abs().max() < TOLERANCE
        real = arguments.get("attention_mask", torch.ones_like(arguments["input_ids"])).sum().item()
        assert all(call.rows()[:, 0].sum() == real for call in record.calls)
