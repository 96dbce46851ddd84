"""Writes quantised_blocks.json: blocks of random bytes of every quantised type that is read, and what the package gguf
makes of them. Run it with gguf 0.19.0 and NumPy:

    python tests/golden/quantised_blocks.py >tests/golden/quantised_blocks.json
"""

import json

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Where a block's binary16 scales stand: random bytes there could be NaN.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0], "MXFP4": [],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_XS": [0],
}  # fmt: skip

random = np.random.default_rng(16)
golden = {}
for name, places in SCALES.items():
    kind = GGMLQuantizationType[name]
    numbers, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (4 if numbers == 32 else 2, size), dtype=np.uint8)
    for place in places:
        scales = random.normal(0, 0.02, len(blocks)).astype(np.float16)
        scales[0] = 3e-6  # subnormal
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    if name == "MXFP4":  # exponents that stay finite: two subnormal ones, and others
        blocks[:, 0] = [0, 1, 127, 200]
    floats = quants.dequantize(blocks, kind).astype("<f4")
    golden[name] = {"blocks": blocks.tobytes().hex(), "floats": floats.tobytes().hex()}
print(json.dumps(golden, indent=1))
