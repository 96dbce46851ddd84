"""What an older transformers is told."""

import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers", "5.0")

import polariscope.transformers  # noqa: E402


def test_transformers_without_its_interfaces_is_refused_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.masking_utils", None)
    with pytest.raises(ImportError, match="polariscope.transformers needs transformers 5 or newer"):
        polariscope.transformers._register()
