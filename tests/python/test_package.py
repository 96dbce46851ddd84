"""The package as it is installed: its files, its library on every instruction set, its command."""

import ctypes
import importlib.util
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path


def installed() -> Path:
    return Path(importlib.util.find_spec("polariscope").submodule_search_locations[0])


def command(*arguments: str) -> subprocess.CompletedProcess:
    program = Path(sys.executable).parent / "polariscope"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300)


def test_is_the_wheel_and_not_the_sources(sources):
    assert sources / "python" not in installed().parents


def test_one_wheel_serves_every_python_on_linux():
    tag = distribution("polariscope").read_text("WHEEL")
    assert "Tag: py3-none-manylinux" in tag, tag


def test_brings_its_library_header_types_and_programs():
    for name in ("libpolariscope.so", "include/polariscope/c_api.h", "py.typed", "bin/polariscope",
                 "bin/polariscope-train"):
        assert (installed() / name).is_file(), name


def test_its_library_runs_on_every_instruction_set_of_the_processor():
    library = ctypes.CDLL(str(installed() / "libpolariscope.so"))
    library.polariscope_instruction_sets.restype = ctypes.c_char_p
    sets = library.polariscope_instruction_sets().decode().split(",")
    assert sets[0]
    for name in sets:
        assert library.polariscope_use_instruction_set(name.encode()) == 0, name
    assert library.polariscope_use_instruction_set(None) == 0


def test_the_command_is_of_the_packages_version():
    result = command("--version")
    assert result.returncode == 0, result.stderr
    assert distribution("polariscope").version in result.stdout


def test_the_command_does_what_needs_no_libtorch(tmp_path):
    assert "softmax" in command("list", "attentions").stdout
    assert command("flow", "--steps", "100").returncode == 0
    page = tmp_path / "report"
    result = command("reproduce", "A.thm3.2", "--out", str(page))
    assert result.returncode == 0, result.stderr
    assert (page / "report.html").is_file()


def test_the_command_says_how_to_get_what_needs_libtorch(tmp_path):
    result = command("train", "--task", "induction", "--out", str(tmp_path / "run"))
    assert result.returncode == 2, result.stdout
    assert "needs LibTorch" in result.stderr and "./dev build" in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    command("reproduce", "A.fig4", "--out", str(tmp_path / "report"))
    assert "`./dev reproduce` in a clone" in (tmp_path / "report" / "report.html").read_text()
