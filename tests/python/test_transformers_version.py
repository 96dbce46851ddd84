"""What an older transformers is told."""

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def test_transformers_before_5_is_refused_in_words():
    if int(transformers.__version__.split(".")[0]) >= 5:
        pytest.skip("this transformers is new enough")
    with pytest.raises(ImportError, match="polariscope.transformers needs transformers 5 or newer"):
        import polariscope.transformers  # noqa: F401
