"""Compares `polariscope audit` on the models of make_architectures.py: architectures.py POLARISCOPE [NAME...]."""

import json
import pathlib
import subprocess
import sys
import tempfile

import make_architectures
import torch
from safetensors.torch import load_file

# Ours runs in float32, the reference in float64 with transformers' own float32 steps. A wrong constant moves logits by
# 1e-2 and more.
TOLERANCE = 2e-4
ARRAYS = {"entropy": "attn_entropy", "first_key": "attn_first_key", "maximum": "attn_max", "logits_last": "logits_last",
          "hidden_norm": "hidden_norm", "nll": "nll_per_sequence"}


def audit(program, folder, scratch):
    """The arrays, or the sentence with which the program refuses."""
    reference = json.loads((folder / "reference.json").read_text())
    ids, arrays = scratch / "ids.json", scratch / "arrays.safetensors"
    ids.write_text(json.dumps(reference["input_ids"]))
    run = subprocess.run([program, "audit", folder, "--ids", ids, "--arrays", arrays, "--out", scratch / "report"],
                         capture_output=True, text=True)
    return reference, load_file(arrays) if run.returncode == 0 else run.stderr.strip()


def differences(reference, found):
    if isinstance(found, str):
        return [found]
    wrong = []
    for name, field in ARRAYS.items():
        wanted = torch.tensor(reference[field], dtype=torch.double)
        if name not in found or found[name].shape != wanted.shape:
            wrong.append(f"{name} is missing or of another shape")
            continue
        scale = wanted.abs() + 1 if name == "hidden_norm" else 1
        far = ((found[name] - wanted).abs() / scale).max().item()
        if not far <= TOLERANCE:
            wrong.append(f"{name} is {far:.1e} away")
    return wrong


def main():
    program, names = sys.argv[1], sys.argv[2:] or make_architectures.names()
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        for name in names:
            folder, scratch = pathlib.Path(root) / name, pathlib.Path(root) / "scratch"
            scratch.mkdir(exist_ok=True)
            make_architectures.make_one(pathlib.Path(root), name)
            for config in ("config.json", "config_legacy.json"):
                if not (folder / config).exists():
                    continue
                (folder / config).replace(folder / "config.json")
                wrong = differences(*audit(program, folder, scratch))
                failed += bool(wrong)
                print(f"{name:24} {config:20} {'; '.join(wrong) or 'agrees'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
