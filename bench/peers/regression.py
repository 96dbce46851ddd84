"""Training steps of in-context regression with attention alone in eager PyTorch, single precision, one thread.

Reads from a folder model.json (attention, QK-norm, layers, batch, tokens, rates, names and shapes of parameters),
parameters (their starts, one after another) and batches (tokens and answers of the first steps). Takes those steps,
says so in a line of JSON with their losses, and then takes as many steps as every line "CALLS" says, each on a batch
that it draws; the answer holds the seconds of one. It measures nothing else.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    """X + PV/N."""

    def __init__(self, attention, norm):
        super().__init__()
        self.attention = attention
        self.norm = norm
        self.query, self.key, self.value = (nn.Parameter(torch.empty(4, 4)) for _ in range(3))
        if norm == "layer":
            self.query_norm, self.key_norm = nn.LayerNorm(4), nn.LayerNorm(4)

    def forward(self, x):
        query, key, value = x @ self.query, x @ self.key, x @ self.value
        if self.norm == "layer":
            query, key = self.query_norm(query), self.key_norm(key)
        if self.attention == "softmax":
            weights = torch.softmax(query @ key.transpose(-2, -1), dim=-1)
            return x + weights @ value / x.shape[1]
        if self.attention == "relu_kernel/sum":
            query, key = functional.relu(query) + 0.01, functional.relu(key) + 0.01
        else:
            query, key = functional.elu(query) + 1, functional.elu(key) + 1
        weights = query @ key.transpose(-2, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        return x + weights @ value / x.shape[1]


def draw(batch, tokens):
    x = torch.randn(batch, tokens, 3)
    y = x @ torch.randn(batch, 3, 1)
    answers = y[:, -1, 0].clone()
    y[:, -1] = 0
    return torch.cat([x, y], dim=-1), answers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    described = json.loads((options.folder / "model.json").read_text(encoding="utf-8"))
    batch, tokens = described["batch"], described["tokens"]
    model = nn.Sequential(*(Layer(described["attention"], described["norm"]) for _ in range(described["layers"])))
    numbers = torch.frombuffer(bytearray((options.folder / "parameters").read_bytes()), dtype=torch.float32)
    parameters, at = {}, 0
    for name, shape in described["parameters"]:
        count = torch.Size(shape).numel()
        # layer1.query_norm.gain is 0.query_norm.weight.
        layer, rest = name.removeprefix("layer").split(".", 1)
        parameters[f"{int(layer) - 1}.{rest.replace('gain', 'weight')}"] = numbers[at : at + count].view(shape)
        at += count
    model.load_state_dict(parameters)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=described["learning_rate"], momentum=described["momentum"]
    )

    def step(inputs, answers):
        loss = ((model(inputs)[:, -1, -1] - answers) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    given = torch.frombuffer(bytearray((options.folder / "batches").read_bytes()), dtype=torch.float32)
    losses = []
    for one in given.view(-1, batch, tokens * 4 + 1):
        losses.append(step(one[:, :-1].reshape(batch, tokens, 4), one[:, -1]).item())
    print(json.dumps({"torch": torch.__version__, "losses": losses}), flush=True)
    for line in sys.stdin:
        calls = int(line)
        start = time.process_time()
        for _ in range(calls):
            step(*draw(batch, tokens))
        print(json.dumps({"seconds": (time.process_time() - start) / calls}), flush=True)


if __name__ == "__main__":
    main()
