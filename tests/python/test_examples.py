"""The examples in Python run, and print numbers."""

import subprocess
import sys

import pytest

pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["attend.py"])
def test_it_runs(sources, name):
    found = subprocess.run([sys.executable, str(sources / "examples" / name)], capture_output=True, text=True,
                           check=False)
    assert found.returncode == 0, found.stderr
    assert "entropy" in found.stdout and "nan" not in found.stdout
