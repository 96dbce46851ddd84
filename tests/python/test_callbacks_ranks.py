"""Under DDP a reading is that of all ranks: two Gloo processes against one that has both batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

SCRIPT = """
import sys
import torch
import torch.distributed as distributed
sys.path.insert(0, sys.argv[2])
from watched import Block
from polariscope.training import Monitor

rank, ranks, file = int(sys.argv[1]), 2, sys.argv[3]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method="file://" + file, rank=rank, world_size=ranks)
torch.manual_seed(0)
model, batches = torch.nn.Sequential(Block(), Block()), [torch.randn(3, 5, 16), torch.randn(2, 7, 16)]
wrapped, monitor = torch.nn.parallel.DistributedDataParallel(model), Monitor(model, every=1)
with monitor.step(1):
    wrapped(batches[rank]).square().mean().backward()
reading = monitor.read()
distributed.destroy_process_group()
alone = Monitor(model, every=1)
with alone.step(1):
    for batch in batches:
        model(batch)
expected = alone.read()
for name in ("entropy", "sink_mass", "logit_maximum", "logit_variance", "relative_entropy", "norm_share"):
    difference = abs(getattr(reading, name) - getattr(expected, name)).max()
    assert difference < 1e-9, (rank, name, difference)
print("rank", rank, "agrees")
"""


def test_a_reading_is_of_all_ranks(tmp_path):
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", SCRIPT, str(rank),
                                   str(Path(__file__).resolve().parent), str(tmp_path / "meeting")],
                                  env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                 for rank in (0, 1)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    for rank, (process, words) in enumerate(zip(processes, said)):
        assert process.returncode == 0, words
        assert f"rank {rank} agrees" in words
