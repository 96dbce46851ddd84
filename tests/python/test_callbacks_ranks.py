"""Under DDP and FSDP a reading is that of all ranks: two Gloo processes against one that has both batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

SCRIPT = """
import copy
import sys
import torch
import torch.distributed as distributed
sys.path.insert(0, sys.argv[2])
from watched import Block
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from polariscope.training import Monitor, gradient_norm

rank, ranks, file, kind = int(sys.argv[1]), 2, sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method="file://" + file, rank=rank, world_size=ranks)
torch.manual_seed(0)
model, batches = torch.nn.Sequential(Block(), Block()), [torch.randn(3, 5, 16), torch.randn(2, 7, 16)]
whole = copy.deepcopy(model)
if kind == "ddp":
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
elif kind == "fully_shard":
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (ranks,))
    fully_shard(model[0], mesh=mesh)
    wrapped = fully_shard(model, mesh=mesh)
else:
    wrapped = FullyShardedDataParallel(model, auto_wrap_policy=ModuleWrapPolicy({Block}), device_id=torch.device("cpu"),
                                       use_orig_params=kind == "fsdp-parameters")
monitor = Monitor(wrapped if kind.startswith("f") else model, every=1)
with monitor.step(1):
    wrapped(batches[rank]).square().mean().backward()
norm = gradient_norm(wrapped)
reading = monitor.read()
distributed.destroy_process_group()
alone = Monitor(whole, every=1)
with alone.step(1):
    sum(whole(batch).square().mean() / ranks for batch in batches).backward()
assert abs(norm / gradient_norm(whole) - 1) < 1e-5, (rank, norm, gradient_norm(whole))
expected = alone.read()
assert reading.layers == expected.layers, reading.layers
for name in ("entropy", "sink_mass", "logit_maximum", "logit_variance", "relative_entropy", "norm_share"):
    difference = abs(getattr(reading, name) - getattr(expected, name)).max()
    assert difference < 1e-9, (rank, name, difference)
print("rank", rank, "agrees")
"""


@pytest.mark.parametrize("kind", ["ddp", "fsdp", "fsdp-parameters", "fully_shard"])
def test_a_reading_is_of_all_ranks(kind, tmp_path):
    if kind == "fully_shard" and torch.__version__.startswith("2.6."):
        pytest.skip("PyTorch 2.6's fully_shard runs on accelerators alone")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", SCRIPT, str(rank),
                                   str(Path(__file__).resolve().parent), str(tmp_path / "meeting"), kind],
                                  env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                 for rank in (0, 1)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    for rank, (process, words) in enumerate(zip(processes, said)):
        assert process.returncode == 0, words
        assert f"rank {rank} agrees" in words
