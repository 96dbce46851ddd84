"""Attention with row statistics from Python: one call, a whole model watched, and an entropy floor that is trained.

pip install . and torch; run: python examples/attend.py
"""

import torch

import polariscope

torch.manual_seed(0)

# One call. The second head's queries are ten times as long: its attention is nearly one-hot.
query = torch.randn(1, 2, 64, 16)
query[:, 1] *= 10
key, value = torch.randn(1, 2, 64, 16), torch.randn(1, 2, 64, 16)
for form in ("softmax", "softmax1", "sigmoid/sum", "sparsemax"):
    output, rows = polariscope.attend(query, key, value, form, causal=True)
    print(f"{form:>12}: entropy of the last row", *(f"{h:.3f}" for h in rows.entropy[0, :, -1].tolist()),
          "nats; weight on key 0", *(f"{w:.3f}" for w in rows.first_key[0, :, -1].tolist()))

# A model of PyTorch's own, as it is.
model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), 2)
x = torch.randn(8, 20, 32)
with polariscope.watch(model) as record:
    model(x)
print(record.summary())

# Its weights are made sharp; a penalty on low entropy mends them.
with torch.no_grad():
    for layer in model.layers:
        layer.self_attn.in_proj_weight.mul_(4)
optimiser = torch.optim.Adam(model.parameters(), 3e-3)
for step in range(31):
    with polariscope.watch(model, statistics=["entropy"], detach=False) as record:
        model(x)
    entropy = torch.stack([call.statistics.entropy for call in record.calls])
    penalty = (2.0 - entropy).relu().square().mean()
    if step % 10 == 0:
        print(f"step {step:>2}: mean entropy {entropy.mean().item():.3f} nats, penalty {penalty.item():.4f}")
    optimiser.zero_grad()
    penalty.backward()
    optimiser.step()
