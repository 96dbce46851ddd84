"""The Triton kernels: under Triton's interpreter (triton_cases.py), and compiled for GPUs that need not be there
(triton_compiled.py). Each runs in a process of its own: Triton decides when it is imported whether it interprets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton", minversion="3.9")


def _run(name, **environment):
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(folder / name)]
    found = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert found.returncode == 0 and " passed" in found.stdout, found.stdout[-4000:] + found.stderr[-2000:]


def test_the_kernels_compute_what_plain_pytorch_does_in_double_precision():
    _run("triton_cases.py", TRITON_INTERPRET="1")


def test_the_kernels_compile_for_gpus_and_spill_no_registers(tmp_path):
    _run("triton_compiled.py", TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))


def test_the_package_does_not_need_triton():
    program = ("import sys; sys.modules['triton'] = None; import torch; from polariscope import triton_kernels; "
               "q = torch.zeros(1, 1, 2, 4); assert not triton_kernels.supports(q, q, q)")
    subprocess.run([sys.executable, "-c", program], check=True)
