"""watch() on transformers' attention interface, what it says of modules that it did not see, and padding."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", "5.0")

import polariscope  # noqa: E402
import polariscope.transformers  # noqa: E402, F401
from polariscope import calls  # noqa: E402

SMALL = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64, "pad_token_id": 0}


def llama(implementation, **options):
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM._from_config(transformers.LlamaConfig(**{**SMALL, **options}),
                                                       attn_implementation=implementation).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def padded(left=3, tokens=9):
    torch.manual_seed(1)
    ids, mask = torch.randint(1, 40, (2, tokens)), torch.ones(2, tokens, dtype=torch.long)
    mask[1, :left] = 0
    return ids, mask


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_implementation_is_seen_alike_and_padding_is_left_out_of_means(side):
    ids, mask = padded()
    mask = mask if side == "left" else mask.flip(1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    alone = [ids[:1], ids[1:, mask[1].bool()]]
    means = {}
    for implementation in ("eager", "sdpa", "polariscope"):
        model = llama(implementation)
        with torch.no_grad():
            bare = model(ids, attention_mask=mask, position_ids=positions).logits
            with polariscope.watch(model) as record:
                assert torch.equal(model(ids, attention_mask=mask, position_ids=positions).logits, bare)
            assert [call.layer for call in record.calls] == ["model.layers.0.self_attn", "model.layers.1.self_attn"]
            assert not record.notes
            means[implementation] = record.means()
            with polariscope.watch(model) as apart:
                for sequence in alone:
                    model(sequence)
        for place, values in apart.means().items():
            for name in ("entropy", "maximum", "first_visible_key", "logit_variance"):
                assert means[implementation][place][name] == pytest.approx(values[name], abs=1e-4)
        first = torch.stack([call.statistics.first_key for call in record.calls])
        if side == "left":
            assert first[:, 1].max() < 1e-3 or implementation == "eager"  # padding, which no real query sees


def test_flex_attention_is_seen():
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    from transformers.integrations.flex_attention import flex_attention_forward  # noqa: F401

    class Module(torch.nn.Module):
        is_causal = True

        def forward(self, query, key, mask, **keywords):
            function = transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS.get_interface("flex_attention", None)
            return function(self, query, key, key, mask, **keywords)

    def eager(module, query, key, value, attention_mask, **keywords):
        """What compile would make of it."""
        return flex.flex_attention(query, key, value, block_mask=attention_mask, enable_gqa=True,
                                   scale=keywords.get("scaling")).transpose(1, 2), None

    query, key = torch.randn(1, 4, 8, 8), torch.randn(1, 2, 8, 8)
    mask = flex.create_block_mask(lambda b, h, q, k: (k <= q) & (q - k < 3), 1, None, 8, 8, device="cpu")
    registry, model = transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS, Module()
    before = registry["flex_attention"]
    registry.register("flex_attention", eager)
    try:
        with torch.no_grad(), polariscope.watch(model) as record:
            model(query, key, mask, scaling=0.3)
    finally:
        registry.register("flex_attention", before)
    assert not record.notes
    _, expected = polariscope.attend(query, key, key, scale=0.3, causal=True, window=3)
    assert (record.calls[0].statistics.entropy - expected.entropy).abs().max() < 1e-6


def test_an_eager_function_that_does_not_do_what_its_arguments_say_is_not_seen():
    module = transformers.models.llama.modeling_llama

    def other(*arguments, real=module.eager_attention_forward, **keywords):
        return real(*arguments, **{**keywords, "scaling": 7.0})

    model, (ids, _) = llama("eager"), padded()
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(module, "eager_attention_forward", other)
        with polariscope.watch(model) as record:
            model(ids)
    assert not record.calls
    expected = "not seen: its eager attention is not what its arguments say"
    assert all(what.startswith(expected) for _, what in record.notes)
    assert len(record.notes) == 2


def test_modules_that_compute_attention_themselves_are_named():
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=40, hidden_size=32, n_layer=2, n_head=4)
    model = transformers.BloomForCausalLM(config).eval()
    with polariscope.watch(model) as record:
        model(padded()[0])
    what = "not seen: BloomAttention computes attention itself, or did not run"
    assert record.notes == {(f"transformer.h.{layer}.self_attention", what): 1 for layer in (0, 1)}
    assert what in record.summary()


def test_parts_and_wholes_of_what_was_seen_are_not_named():
    config = transformers.BertConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
                                     intermediate_size=32)
    with polariscope.watch(model := transformers.BertModel(config).eval()) as record:
        model(padded()[0])
    assert len(record.calls) == 1  # of BertSelfAttention, inside BertAttention
    assert not record.notes


def test_dropout_is_noted_and_seen_before_it():
    for implementation in ("eager", "sdpa"):
        model = llama(implementation, attention_dropout=0.5)
        ids, _ = padded()
        with polariscope.watch(model) as still:
            model(ids)
        with polariscope.watch(model.train()) as record:
            model(ids)
        assert [what for _, what in record.notes] == [calls.DROPOUT] * 2
        assert torch.equal(record.calls[0].statistics.entropy, still.calls[0].statistics.entropy)


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "polariscope"])
def test_keys_carry_their_positions_where_a_cache_has_dropped_some(implementation):
    torch.manual_seed(0)
    config = transformers.MistralConfig(**SMALL, sliding_window=4, head_dim=8)
    model = transformers.MistralForCausalLM._from_config(config, attn_implementation=implementation).eval()
    ids = padded()[0][:1]
    with torch.no_grad(), polariscope.watch(model) as record:
        whole = model.generate(ids, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    calls_of_one = record["model.layers.0.self_attn"]
    assert [(call.query_position, call.key_position) for call in calls_of_one] == [(0, 0), (9, 6), (10, 7)]
    lines = record.tokens(whole)
    assert [line["position"] for line in lines] == list(range(11))
    assert all(max(0, line["position"] - 3) <= line["sink_position"] <= line["position"] for line in lines)
