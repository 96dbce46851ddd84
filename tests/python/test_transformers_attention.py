"""attn_implementation="polariscope" computes what "eager" does, whatever a model asks of it."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", "5.0")

import polariscope  # noqa: E402
import polariscope.transformers  # noqa: E402, F401
from polariscope import masks  # noqa: E402
from polariscope.transformers import attention  # noqa: E402

SMALL = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64, "pad_token_id": 0}
MODELS = {
    "grouped heads": ("Llama", SMALL),
    "a window": ("Mistral", {**SMALL, "sliding_window": 4, "head_dim": 8}),
    "alternating windows and a soft cap": ("Gemma2", {**SMALL, "sliding_window": 4, "head_dim": 8,
                                                      "attn_logit_softcapping": 2.0}),
    "sinks": ("GptOss", {**SMALL, "sliding_window": 4, "head_dim": 8, "num_local_experts": 2,
                         "num_experts_per_tok": 1}),
    "learned positions": ("GPT2", {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}


def built(name, implementation="polariscope", kind="ForCausalLM", **options):
    family, values = MODELS.get(name, (name, SMALL))
    torch.manual_seed(0)
    kind = "LMHeadModel" if family == "GPT2" else kind
    config = getattr(transformers, family + "Config")(**{**values, **options})
    model = getattr(transformers, family + kind)._from_config(config, attn_implementation=implementation).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)  # attention far from uniform
    return model


def pair(name, **options):
    return built(name, **options), built(name, "eager", **options)


def padded(left=3, tokens=11):
    torch.manual_seed(1)
    ids, mask = torch.randint(1, 40, (2, tokens)), torch.ones(2, tokens, dtype=torch.long)
    mask[1, :left] = 0
    return ids, mask


def close(ours, theirs, tolerance=2e-4):
    assert torch.isfinite(ours).all()
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max().clamp(min=1)


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_weights_are_eager_s(name):
    ours, eager = pair(name)
    ids, mask = padded()
    for arguments in ({}, {"attention_mask": mask}, {"attention_mask": mask.flip(1)}):
        real = arguments.get("attention_mask", torch.ones_like(ids)).bool()
        with torch.no_grad():
            found, expected = (model(ids, output_attentions=True, **arguments) for model in (ours, eager))
        close(found.logits[real], expected.logits[real])
        assert len(found.attentions) == len(expected.attentions) == 2
        for p, q in zip(found.attentions, expected.attentions):
            assert p.shape == q.shape
            close(p.transpose(1, 2)[real], q.transpose(1, 2)[real])


def test_weights_are_computed_only_where_they_are_asked_for(monkeypatch):
    model, (ids, _) = built("grouped heads"), padded()
    model(ids)
    computed = []
    module = attention.__globals__
    monkeypatch.setitem(module, "_weights", lambda *given, real=module["_weights"]: computed.append(1) or real(*given))
    with torch.no_grad():
        assert not model(ids).attentions
        assert not computed
        assert len(model(ids, output_attentions=True).attentions) == len(computed) == 2


@pytest.mark.parametrize("cache", [None, "static"])
@pytest.mark.parametrize("name", MODELS)
def test_generation_with_a_cache_is_eager_s(name, cache):
    ours, eager = pair(name)
    ids, mask = padded()
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "output_logits": True,
               "return_dict_in_generate": True, "pad_token_id": 0, "cache_implementation": cache}
    with torch.no_grad():
        found, expected = (model.generate(ids, attention_mask=mask, **options) for model in (ours, eager))
    close(torch.stack(found.logits), torch.stack(expected.logits), 1e-3)
    assert torch.equal(found.sequences, expected.sequences)


@pytest.mark.parametrize("name", ["grouped heads", "a window"])
def test_a_prefill_in_chunks_is_that_of_the_whole(name):
    model, (ids, _) = built(name), padded()
    with torch.no_grad():
        expected = model(ids).logits
        first = model(ids[:, :6], use_cache=True)
        close(first.logits, expected[:, :6])
        close(model(ids[:, 6:], past_key_values=first.past_key_values).logits, expected[:, 6:])


def test_packed_sequences_do_not_see_each_other():
    model, (ids, _) = built("grouped heads"), padded()
    positions = torch.tensor([[*range(5), *range(6)]])
    with torch.no_grad():
        packed = model(ids[:1], position_ids=positions, use_cache=False).logits
        close(packed[:, :5], model(ids[:1, :5]).logits)
        close(packed[:, 5:], model(ids[:1, 5:]).logits)


@pytest.mark.parametrize("family, options", [
    ("T5", {"vocab_size": 40, "d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4,
            "decoder_start_token_id": 0}),
    ("Bart", {"vocab_size": 40, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
              "decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32})])
def test_cross_attention_and_relative_biases_are_eager_s(family, options):
    MODELS[family] = (family, options)
    ours, eager = pair(family, kind="ForConditionalGeneration")
    ids, mask = padded()
    arguments = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": ids[:, :7]}
    with torch.no_grad(), polariscope.watch(ours) as record:
        found = ours(**arguments, output_attentions=True)
    with torch.no_grad():
        expected = eager(**arguments, output_attentions=True)
    close(found.logits, expected.logits)
    for name in ("decoder_attentions", "cross_attentions"):
        for p, q in zip(found[name], expected[name], strict=True):
            close(p, q)
    assert len(record.calls) == 6
    assert not record.notes
    visible = {layer: calls[0].statistics.visible[1, 0].tolist() for layer, calls in record.layers().items()}
    crossed = [seen for layer, seen in visible.items() if len(seen) == 7 and len(set(seen)) == 1]
    assert crossed == [[8] * 7] * 2  # each query sees the encoder's eight real tokens
    generated = [model.generate(ids, attention_mask=mask, max_new_tokens=4, do_sample=False) for model in (ours, eager)]
    assert torch.equal(*generated)


def test_an_encoder_without_a_mask_sees_both_ways():
    options = {name: value for name, value in SMALL.items() if name != "num_key_value_heads"}
    MODELS["Bert"] = ("Bert", options)
    ours, eager = pair("Bert", kind="Model")
    ids, mask = padded()
    for arguments in ({}, {"attention_mask": mask}):
        real = arguments.get("attention_mask", torch.ones_like(ids)).bool()
        with torch.no_grad():
            close(ours(ids, **arguments)[0][real], eager(ids, **arguments)[0][real])


def test_gradients_are_eager_s_and_checkpointing_changes_none():
    ours, eager = pair("grouped heads")
    ids, mask = padded()
    labels = ids.masked_fill(mask == 0, -100)
    labels[1, 3] = -100  # it is foretold by padding, of which eager makes something else
    eager(ids, attention_mask=mask, labels=labels).loss.backward()
    for checkpointing in (False, True):
        ours.train(checkpointing)
        if checkpointing:
            ours.gradient_checkpointing_enable()
        ours.zero_grad()
        with polariscope.watch(ours) as record:
            ours(ids, attention_mask=mask, labels=labels).loss.backward()
        assert [call.index for call in record.calls] == [0, 0]
        assert any("checkpointing" in what for _, what in record.notes) == checkpointing
        for p, q in zip(ours.parameters(), eager.parameters()):
            close(p.grad, q.grad, 1e-3)


def test_dropout_of_weights_is_that_of_sdpa_and_noted():
    model = built("grouped heads", attention_dropout=0.5)
    other = built("grouped heads", "sdpa", attention_dropout=0.5)
    ids, _ = padded()
    model(ids)
    model.train(), other.train()
    torch.manual_seed(2)
    expected = other(ids).logits
    torch.manual_seed(2)
    with polariscope.watch(model) as record:
        assert torch.equal(model(ids).logits, expected)
    assert [call.index for call in record.calls] == [0, 0]
    assert len(record.notes) == 2 and all("dropout of weights" in what for _, what in record.notes)
    with polariscope.watch(model.eval()) as still:
        model(ids)
    close(record.calls[0].statistics.entropy, still.calls[0].statistics.entropy)


def test_masks_are_read_as_patterns_so_that_attention_reads_no_array_of_queries_and_keys():
    _, padding = padded()
    arguments = {"batch_size": 2, "q_length": 11, "kv_length": 11, "attention_mask": padding.bool()}
    found = masks.pattern(polariscope.transformers.mask(**arguments))
    assert (found.causal, found.window, found.keys) == (True, None, 11)
    assert found.padding.sum(1).tolist() == [0, 3]
    from transformers.masking_utils import bidirectional_mask_function, sliding_window_causal_mask_function
    window = polariscope.transformers.mask(**arguments, local_size=4,
                                           mask_function=sliding_window_causal_mask_function(4))
    assert masks.pattern(window).window == 4
    both = polariscope.transformers.mask(**arguments, mask_function=bidirectional_mask_function,
                                         allow_is_causal_skip=False)
    assert not masks.pattern(both).causal
    window[0, 0, 5, 0] = True
    assert masks.pattern(window) is None  # it was changed
    holes = polariscope.transformers.mask(**arguments, allow_is_causal_skip=False)
    holes = holes.clone()
    holes[0, 0, 5, 2] = False
    masks.mark(holes, 0, None)
    assert masks.pattern(holes) is None


def test_half_precision_is_near_float32():
    model, half = built("grouped heads"), built("grouped heads").to(torch.bfloat16)
    ids, mask = padded()
    with torch.no_grad():
        close(half(ids, attention_mask=mask).logits[0].float(), model(ids, attention_mask=mask).logits[0], 0.1)


def test_a_compiled_model_is_the_same():
    model, (ids, mask) = built("grouped heads"), padded()
    with torch.no_grad():
        for arguments in ({}, {"attention_mask": mask}):
            expected = model(ids, **arguments).logits
            torch._dynamo.reset()
            compiled = torch.compile(model, backend="eager", fullgraph=True)
            close(compiled(ids, **arguments).logits, expected)
