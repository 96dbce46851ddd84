"""How the compiled library is found, and what is imported with the package."""

import os
import subprocess
import sys

import pytest


def run(program, **environment):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False)


def used(**environment):
    return run("import polariscope; print(polariscope.forms()[0].name)", **environment)


def test_it_is_found():
    assert used().stdout == "softmax\n"


def test_a_missing_one_is_named_with_what_to_do():
    error = used(POLARISCOPE_LIBRARY="/nowhere/lib.so").stderr
    assert "ImportError" in error and "/nowhere/lib.so" in error and "./dev build" in error


def test_one_that_does_not_load_is_named():
    assert f"{__file__} is not a libpolariscope.so that this package can use" in used(
        POLARISCOPE_LIBRARY=__file__).stderr


def test_the_package_alone_imports_neither_pytorch_nor_numpy():
    found = run("import sys, polariscope; print(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules)))")
    assert found.stdout == "[]\n", found.stderr


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert "has no attribute 'atend'" in run("import polariscope; polariscope.atend").stderr


def test_it_takes_no_time_to_import_beside_pytorch():
    pytest.importorskip("torch")
    program = "import torch, time; t = time.process_time(); import polariscope; print(time.process_time() - t)"
    assert min(float(run(program).stdout) for _ in range(3)) < 0.06
