"""Models that would take the name "polariscope" and lose their masks by it are refused, by name and in our words."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", "5.0")

import polariscope.transformers  # noqa: E402, F401
from polariscope.transformers import refusals  # noqa: E402

SMALL = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
REFUSED = [
    ("BloomForCausalLM", "BloomConfig", {"vocab_size": 32, "hidden_size": 16, "n_layer": 1, "n_head": 2}),
    ("XGLMForCausalLM", "XGLMConfig", {"vocab_size": 32, "d_model": 16, "num_layers": 1, "attention_heads": 2,
                                       "ffn_dim": 16}),
    ("GPTNeoXJapaneseForCausalLM", "GPTNeoXJapaneseConfig", {**SMALL, "intermediate_multiple_size": 1}),
    ("TrOCRForCausalLM", "TrOCRConfig", {"vocab_size": 32, "d_model": 16, "decoder_layers": 1,
                                         "decoder_attention_heads": 2, "decoder_ffn_dim": 16}),
    ("RemBertForCausalLM", "RemBertConfig", {**SMALL, "input_embedding_size": 8, "output_embedding_size": 8,
                                             "is_decoder": True}),
    ("MegatronBertForCausalLM", "MegatronBertConfig", {**SMALL, "is_decoder": True}),
    ("RoFormerForCausalLM", "RoFormerConfig", {**SMALL, "is_decoder": True}),
    ("OpenAIGPTLMHeadModel", "OpenAIGPTConfig", {"vocab_size": 32, "n_embd": 16, "n_layer": 1, "n_head": 2}),
    ("XLNetLMHeadModel", "XLNetConfig", {"vocab_size": 32, "d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16}),
    ("ProphetNetForConditionalGeneration", "ProphetNetConfig",
     {"vocab_size": 32, "hidden_size": 16, "num_encoder_layers": 1, "num_decoder_layers": 1,
      "num_encoder_attention_heads": 2, "num_decoder_attention_heads": 2, "encoder_ffn_dim": 16,
      "decoder_ffn_dim": 16}),
    ("CpmAntForCausalLM", "CpmAntConfig", {"vocab_size": 32, "hidden_size": 16, "num_attention_heads": 2,
                                           "dim_head": 8, "dim_ff": 16, "num_hidden_layers": 1}),
    ("FalconForCausalLM", "FalconConfig", {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1,
                                           "num_attention_heads": 2}),
    ("MptForCausalLM", "MptConfig", {"vocab_size": 32, "d_model": 16, "n_layers": 1, "n_heads": 2}),
    ("GPTNeoForCausalLM", "GPTNeoConfig", {"vocab_size": 32, "hidden_size": 16, "num_layers": 1, "num_heads": 2,
                                           "attention_types": [[["global"], 1]]}),
]


@pytest.mark.parametrize("name, config, options", REFUSED, ids=[name for name, *_ in REFUSED])
def test_a_model_that_never_calls_is_refused_when_built_and_when_switched(name, config, options):
    model_class, config = getattr(transformers, name), getattr(transformers, config)
    words = f"{name} computes attention in its own code .* attn_implementation=\"eager\""
    with pytest.raises(ValueError, match=words):
        model_class._from_config(config(**options), attn_implementation="polariscope")
    model = model_class._from_config(config(**options), attn_implementation="eager")
    with pytest.raises(ValueError, match=words):
        model.set_attn_implementation("polariscope")
    assert model.config._attn_implementation == "eager"


def llama(**options):
    config = transformers.LlamaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                      num_key_value_heads=1, intermediate_size=16, pad_token_id=0)
    return transformers.LlamaForCausalLM._from_config(config, attn_implementation="polariscope", **options).eval()


def test_a_model_that_comes_past_the_refusal_is_caught_at_its_first_call(monkeypatch):
    monkeypatch.setattr(refusals, "refuse", lambda model: None)
    config = transformers.RemBertConfig(**dict(REFUSED[4][2]))
    model = transformers.RemBertForCausalLM._from_config(config, attn_implementation="polariscope").eval()
    with pytest.raises(RuntimeError, match="RemBertForCausalLM has attn_implementation=.* and never calls"):
        model(torch.arange(6)[None])


def test_a_model_that_computes_otherwise_with_ours_is_caught_at_its_first_call(monkeypatch):
    model = llama()
    monkeypatch.setattr(model.model.layers[0].self_attn, "is_causal", False)
    with pytest.raises(RuntimeError, match="differs from its own \"eager\" by"):
        model(torch.arange(1, 7)[None])


def test_the_check_leaves_no_trace():
    model, other = llama().train(), llama()
    other.load_state_dict(model.state_dict())
    ids = torch.arange(1, 9)[None]
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    model(ids)
    assert torch.equal(torch.rand(1), expected)
    assert model.training and all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model.eval()(ids).logits, other(ids).logits)


@pytest.mark.parametrize("keyword", [{"indices": torch.zeros(1)}, {"a_keyword_of_tomorrow": 3}])
def test_a_keyword_that_is_not_known_is_an_error(keyword):
    model = llama()
    model(torch.arange(1, 7)[None])
    with pytest.raises(ValueError, match=f"LlamaAttention gives the keyword {next(iter(keyword))}"):
        model(torch.arange(1, 7)[None], **keyword)


def test_a_model_that_needs_more_than_tokens_runs_and_says_that_it_was_not_checked():
    text = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "eos_token_id": 2}
    image = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
             "image_size": 8, "patch_size": 4}
    config = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=8)
    torch.manual_seed(0)
    model = transformers.CLIPModel._from_config(config, attn_implementation="polariscope").eval()
    inputs = {"input_ids": torch.tensor([[1, 5, 6, 2]]), "pixel_values": torch.randn(1, 3, 8, 8)}
    with torch.no_grad():
        with pytest.warns(UserWarning, match="CLIPModel does not run on tokens alone"):
            found = model(**inputs).image_embeds
        model.set_attn_implementation("eager")
        assert (found - model(**inputs).image_embeds).abs().max() < 1e-5
