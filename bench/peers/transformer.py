"""Training steps of the polarisation paper's transformer on the induction task in eager PyTorch, single precision.

Reads from a folder model.json (sizes, names and shapes of parameters), parameters (their starts, one after another)
and tokens (int64 batches of whole sequences). Takes three steps of AdamW, says so in a line of JSON with their losses,
and then takes as many steps as every line "CALLS" says; the answer holds the seconds of one. It measures nothing else
and draws no batches: those that were read come again and again.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.o_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, mask):
        batch, length, width = x.shape
        normed = self.norm1(x)

        def split(projected):
            return projected.view(batch, length, self.heads, -1).transpose(1, 2)

        q, k, v = split(self.q_proj(normed)), split(self.k_proj(normed)), split(self.v_proj(normed))
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        weights = torch.softmax(scores.masked_fill(mask, float("-inf")), dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.o_proj(mixed)
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, layers, heads, width, vocabulary, longest):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width // 2)
        self.pos_embedding = nn.Embedding(longest, width // 2)
        self.layers = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.final_norm = nn.LayerNorm(width)
        self.output_proj = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        length = tokens.shape[1]
        positions = self.pos_embedding(torch.arange(length)).expand(tokens.shape[0], -1, -1)
        x = torch.cat([self.embedding(tokens), positions], dim=-1)
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)
        for layer in self.layers:
            x = layer(x, mask)
        return self.output_proj(self.final_norm(x))


def loss_of(logits, targets, auxiliary):
    last = functional.cross_entropy(logits[:, -1], targets[:, -1])
    earlier = functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), targets[:, :-1].reshape(-1))
    return last + auxiliary * earlier


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    described = json.loads((options.folder / "model.json").read_text(encoding="utf-8"))
    model = Transformer(**described["sizes"])
    numbers = torch.frombuffer(bytearray((options.folder / "parameters").read_bytes()), dtype=torch.float32)
    parameters, at = {}, 0
    for name, shape in described["parameters"]:
        count = torch.Size(shape).numel()
        parameters[name] = numbers[at : at + count].view(shape)
        at += count
    model.load_state_dict(parameters)
    tokens = torch.frombuffer(bytearray((options.folder / "tokens").read_bytes()), dtype=torch.int64)
    batches = tokens.view(-1, 2, described["batch"], described["length"])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    steps = 0

    def step():
        nonlocal steps
        inputs, targets = batches[steps % len(batches)]
        loss = loss_of(model(inputs), targets, described["auxiliary"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps += 1
        return loss

    losses = [step().item() for _ in range(3)]
    print(json.dumps({"torch": torch.__version__, "losses": losses}), flush=True)
    for line in sys.stdin:
        calls = int(line)
        start = time.process_time()
        for _ in range(calls):
            step()
        print(json.dumps({"seconds": (time.process_time() - start) / calls}), flush=True)


if __name__ == "__main__":
    main()
