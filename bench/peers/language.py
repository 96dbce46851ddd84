"""Training steps of a Llama of the presets' shapes in PyTorch: what a step of a language model is measured against.

Reads from a folder model.json (sizes, names and shapes of parameters), parameters (their starts, one after another) and
tokens (int64 sequences, each with the token that follows it). --mode eager keeps the matrix of attention weights and
takes the mean entropy, squares' sum, largest and first weight, variance of the scores and sum of every head's rows;
sdpa takes none; bfloat16 is sdpa under autocast; compiled is sdpa after torch.compile. Says the loss of its first step,
then takes as many steps as every line says; the answer holds the seconds of one.
"""

import argparse
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self, width, heads, eager):
        super().__init__()
        self.heads, self.eager = heads, eager
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def rotated(self, x, cosines, sines):
        a, b = x.chunk(2, dim=-1)
        return x * cosines + torch.cat([-b, a], dim=-1) * sines

    def forward(self, x, cosines, sines, mask, statistics):
        batch, length, width = x.shape
        query, key, value = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.query_key_value(x).chunk(3, dim=-1)
        )
        query, key = self.rotated(query, cosines, sines), self.rotated(key, cosines, sines)
        if self.eager:
            scores = query @ key.transpose(-2, -1) / (width // self.heads) ** 0.5
            weights = torch.softmax(scores + mask, dim=-1)
            mixed = weights @ value
            with torch.no_grad():
                statistics.append(rows_of(scores, weights, mask))
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


def rows_of(scores, weights, mask):
    """Means over rows and sequences, of every head."""
    seen = torch.isfinite(mask)
    count = seen.sum(-1)
    shown = scores.masked_fill(~seen, 0.0)
    mean = shown.sum(-1) / count
    variance = (shown.square().sum(-1) / count - mean.square()).clamp(min=0)
    squares = weights.square().sum(-1)
    entropy = -torch.xlogy(weights, weights).sum(-1)
    log_sums = torch.logsumexp(scores + mask, dim=-1)
    rows = [entropy, squares, weights.amax(-1), weights[..., 0], variance, log_sums.exp()]
    return [row.mean((0, 2)) for row in rows]


class Block(nn.Module):
    def __init__(self, width, heads, units, eager):
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.attention = Attention(width, heads, eager)
        self.gate_up = nn.Linear(width, 2 * units, bias=False)
        self.down = nn.Linear(units, width, bias=False)

    def forward(self, x, *others):
        x = x + self.attention(self.attention_norm(x), *others)
        gate, up = self.gate_up(self.feed_forward_norm(x)).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, layers, heads, width, units, vocabulary, context, tied, eager):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Block(width, heads, units, eager) for _ in range(layers))
        self.final_norm = nn.RMSNorm(width, 1e-5)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        each = width // heads
        frequencies = 10000.0 ** (-torch.arange(0, each, 2, dtype=torch.float64) / each)
        angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies).repeat(1, 2)
        self.register_buffer("cosines", angles.cos().float())
        self.register_buffer("sines", angles.sin().float())
        self.register_buffer("mask", torch.full((context, context), float("-inf")).triu(1))

    def forward(self, tokens, targets):
        statistics = []
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cosines, self.sines, self.mask, statistics)
        logits = self.head(self.final_norm(x))
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten()), statistics


def place(model, name):
    """Where a parameter of that name goes: the rows of a fused one, by order."""
    if not name.startswith("layer."):
        return {"embedding": model.embedding, "final_norm": model.final_norm, "head": model.head}[name].weight, 0, 1
    _, number, kind = name.split(".", 2)
    block = model.layers[int(number)]
    fused = ["attention.query", "attention.key", "attention.value"]
    if kind in fused:
        return block.attention.query_key_value.weight, fused.index(kind), 3
    gates = ["feed_forward.gate", "feed_forward.up"]
    if kind in gates:
        return block.gate_up.weight, gates.index(kind), 2
    alone = {
        "attention.output": block.attention.output,
        "attention.norm": block.attention_norm,
        "feed_forward.norm": block.feed_forward_norm,
        "feed_forward.down": block.down,
    }
    return alone[kind].weight, 0, 1


def load(model, folder, names):
    numbers = torch.frombuffer(bytearray((folder / "parameters").read_bytes()), dtype=torch.float32)
    first = 0
    with torch.no_grad():
        for name, shape in names:
            count = torch.Size(shape).numel()
            to, part, parts = place(model, name)
            to.chunk(parts, dim=0)[part].copy_(numbers[first : first + count].view(shape))
            first += count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mode", choices=("eager", "sdpa", "bfloat16", "compiled"), required=True)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    described = json.loads((given.folder / "model.json").read_text(encoding="utf-8"))
    sizes = described["sizes"]
    model = Llama(**sizes, eager=given.mode == "eager")
    load(model, given.folder, described["parameters"])
    run = torch.compile(model) if given.mode == "compiled" else model
    tokens = torch.frombuffer(bytearray((given.folder / "tokens").read_bytes()), dtype=torch.int64)
    tokens = tokens.view(-1, sizes["context"] + 1)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=True)

    def step():
        rounded = torch.autocast("cpu", torch.bfloat16) if given.mode == "bfloat16" else nullcontext()
        with rounded:
            loss, _ = run(inputs, targets)
        optimiser.zero_grad(set_to_none=False)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return loss.item()

    print(json.dumps({"torch": torch.__version__, "losses": [step(), step()]}), flush=True)
    for line in sys.stdin:
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            step()
        seconds, used = time.perf_counter() - start, time.process_time() - processor
        print(json.dumps({"seconds": seconds / int(line), "processors": used / seconds}), flush=True)


if __name__ == "__main__":
    main()
