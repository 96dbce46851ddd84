"""polariscope.Audit: run, read, written again, shown."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

import polariscope  # noqa: E402

PROGRAM = Path(sys.executable).parent / "polariscope"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("audit")
    subprocess.run([PROGRAM, "audit", "--example", "--context", "128", "--quiet", "--out", out], check=True,
                   capture_output=True, timeout=300)
    return out


def test_is_read_from_a_folder_or_a_file_and_written_so_that_the_program_reads_it(folder, tmp_path):
    audit = polariscope.Audit.load(folder)
    assert audit.content == polariscope.Audit.load(folder / "audit.json").content
    audit.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == audit.content
    run = subprocess.run([PROGRAM, "audit", "--example", "--context", "128", "--quiet", "--baseline",
                          tmp_path / "again.json", "--fail-on", "change_in_loss>1e-9"], capture_output=True, text=True,
                         timeout=300)
    assert run.returncode == 0, run.stderr
    assert "no head's entropy changed" in run.stdout


def test_has_the_numbers_of_the_file(folder):
    audit = polariscope.Audit.load(folder)
    layers, entropy = audit.table("entropy")
    assert layers == ["0", "1", "2", "3"]
    assert entropy.shape == (4, 4)
    assert entropy[2, 1] == audit.content["layers"][2]["heads"][1]["entropy"]["mean"]
    assert np.isnan(audit.table("beta")[1]).all()  # of one text there is none
    assert audit.summary["relative_entropy"] == pytest.approx(np.nanmean(audit.table("relative_entropy")[1]))
    assert "relative_entropy" in audit._repr_html_()
    with pytest.raises(ValueError, match="no \"entropies\": choose one of entropy, "):
        audit.table("entropies")


def test_runs_the_program_and_says_what_it_complains_of(folder):
    audit = polariscope.Audit.run("--example", "--context", 128)
    assert audit.content == polariscope.Audit.load(folder).content
    with pytest.raises(ValueError, match="audit needs texts"):
        polariscope.Audit.run("nowhere")


def test_is_a_table_of_pandas_and_a_plot_of_matplotlib(folder):
    audit = polariscope.Audit.load(folder)
    pytest.importorskip("pandas")
    heads = audit.to_pandas()
    assert len(heads) == 16
    assert heads.entropy[5] == audit.table("entropy")[1][1, 1]
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    assert audit.plot("sparsity").get_ylabel() == "layer"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 2, "layers": []}'])
def test_of_another_file_is_refused_by_its_name(content, tmp_path):
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(ValueError, match="audit.json"):
        polariscope.Audit.load(tmp_path)


def test_the_program_of_the_docs_runs(sources, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    programs = (sources / "docs" / "audit.md").read_text().split("```python\n")[1:]
    assert programs
    for program in programs:
        exec(program.split("```")[0], {})
