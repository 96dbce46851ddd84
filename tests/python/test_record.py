"""A record as a picture, a table and a file."""

import json

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
from watched import Block  # noqa: E402

import polariscope  # noqa: E402


@pytest.fixture
def record():
    torch.manual_seed(0)
    model = torch.nn.Sequential(Block(), Block())
    with polariscope.watch(model) as found:
        model(torch.randn(2, 6, 16))
        model(torch.randn(1, 4, 16))
    found._note("1", "something <to> say")
    return found


def test_what_was_saved_is_loaded_to_the_bit(record, tmp_path):
    record.save(tmp_path / "calls.safetensors")
    again = polariscope.Record.load(tmp_path / "calls.safetensors")
    assert again.notes == record.notes
    assert again.means() == record.means()
    assert again.summary() == record.summary()
    for ours, theirs in zip(again.calls, record.calls, strict=True):
        assert ours[:3] == theirs[:3] and ours[5:] == theirs[5:]
        for x, y in zip(ours.statistics, theirs.statistics, strict=True):
            assert (x is None) == (y is None)
            if y is not None:
                assert x.dtype == y.numpy().dtype
                np.testing.assert_array_equal(x, y.numpy())
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "calls.safetensors").read_bytes()


def test_a_padded_call_keeps_which_rows_are_real(tmp_path):
    model = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    x, padding = torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.bool)
    padding[1, 3:] = True
    with polariscope.watch(model) as record:
        model(x, x, x, key_padding_mask=padding)
    assert record.calls[0].rows().sum((1, 2)).tolist() == [20, 12]
    record.save(tmp_path / "x")
    assert polariscope.Record.load(tmp_path / "x").means() == record.means()


def test_the_file_is_one_that_safetensors_reads(record, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    record.save(tmp_path / "x")
    with safetensors.safe_open(tmp_path / "x", "np") as file:
        assert file.metadata()["polariscope.record"] == "1"
        assert json.loads(file.metadata()["calls"])[0] == {"layer": "0", "index": 0, "reweighting": "softmax",
                                                           "key_position": 0, "query_position": 0}
        np.testing.assert_array_equal(file.get_tensor("3/entropy"), record.calls[3].statistics.entropy.numpy())


@pytest.mark.parametrize("content, words", [
    (b"", "it is no safetensors file"), (b"\xff" * 20, "it is no safetensors file"),
    (b"\x02" + b"\0" * 7 + b"{}", "no metadata polariscope.record"),
    (b"\x02" + b"\0" * 7 + b"[]", "no metadata polariscope.record")])
def test_another_file_is_refused_in_words(content, words, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        polariscope.Record.load(tmp_path / "x")


@pytest.mark.parametrize("change, words", [
    (lambda header: header["__metadata__"].update({"polariscope.record": "2"}), "version 2, expected 1"),
    (lambda header: header["0/entropy"].update(data_offsets=[0, 10**9]), "array 0/entropy lies outside"),
    (lambda header: header["0/entropy"].update(shape=[2, 4, 7]), "array 0/entropy lies outside")])
def test_a_damaged_file_is_refused_in_words(change, words, record, tmp_path):
    record.save(tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    change(header)
    text = json.dumps(header).encode()
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size:])
    with pytest.raises(ValueError, match=words):
        polariscope.Record.load(tmp_path / "x")


def test_a_notebook_shows_a_map_of_layers_and_heads(record):
    shown = record._repr_html_()
    assert shown.count("<table") == 2  # entropy, sink mass
    assert shown.count("<td") == 2 * 2 * 4
    assert f"{record.means()['1', 3]['entropy']:.2f}" in shown
    assert "something &lt;to&gt; say" in shown
    assert polariscope.Record()._repr_html_() == "<p>no attention was seen</p>"


def test_a_plot_is_the_table(record):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = record.plot("first_visible_key")
    np.testing.assert_array_equal(axes.images[0].get_array(), record.table("first_visible_key")[1])
    with pytest.raises(ValueError, match="statistic 'entrpy': expected one of entropy, "):
        record.plot("entrpy")


def test_pandas_has_a_line_for_each_head_or_row(record):
    pytest.importorskip("pandas")
    heads = record.to_pandas()
    assert len(heads) == 8
    assert heads.loc[5, "entropy"] == record.means()["1", 1]["entropy"]
    rows = record.to_pandas(rows=True)
    assert len(rows) == 2 * (2 * 4 * 6 + 1 * 4 * 4)
    one = rows[(rows.layer == "1") & (rows.call == 0) & (rows["sequence"] == 1) & (rows["head"] == 2)]
    np.testing.assert_array_equal(one.entropy, record["1"][0].statistics.entropy[1, 2])


def test_tokens_name_the_key_that_most_heads_look_at(record):
    class Tokenizer:
        def decode(self, ids):
            return f"<{ids[0]}>"

    record.calls = record.calls[:2]  # of two sequences
    lines = record.tokens([10, 11, 12, 13, 14, 15], Tokenizer())
    assert [line["token"] for line in lines] == ["<10>", "<11>", "<12>", "<13>", "<14>", "<15>"]
    assert lines[0] == {"position": 0, "token": "<10>", "entropy": 0.0, "sink_position": 0, "sink": "<10>",
                        "sink_mass": 1.0, "sink_share": 1.0}
    last = torch.cat([call.statistics.argmax[0, :, 5] for call in record.calls]).tolist()
    assert last.count(lines[5]["sink_position"]) == max(last.count(key) for key in last)
    assert lines[5]["sink_share"] == last.count(lines[5]["sink_position"]) / 8
    entropies = torch.cat([call.statistics.entropy[0, :, 5] for call in record.calls])
    assert lines[5]["entropy"] == pytest.approx(entropies.mean().item())
