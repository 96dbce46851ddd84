"""Finds and loads the compiled operator."""

import os
from pathlib import Path

import torch

NAME = "libpolariscope_torch.so"


def _candidates():
    named = os.environ.get("POLARISCOPE_LIBRARY")
    if named:
        return [Path(named)]
    package = Path(__file__).resolve().parent
    return [package / NAME, package.parent.parent / "build" / "release" / NAME]


def load():
    candidates = _candidates()
    for path in candidates:
        if path.is_file():
            break
    else:
        looked = ", ".join(str(path) for path in candidates)
        raise ImportError(
            f"polariscope's operator is not built (looked for {looked}): run ./dev build, or set "
            f"POLARISCOPE_LIBRARY to the path of {NAME}")
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        raise ImportError(
            f"{path} does not load into PyTorch {torch.__version__}: it must be built against that very "
            f"version ({error})") from error
    return torch.ops.polariscope
