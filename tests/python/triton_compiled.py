"""The Triton kernels compiled for an A100 and an H100, which need not be there: Triton brings the assembler along.

Run by test_triton.py, in a process where Triton does not interpret.
What is held: they compile as they are launched, their shared memory fits, the loop over tiles that hide nothing spills
next to no register, and the entropy adds next to nothing to it.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from polariscope import triton_kernels
from polariscope.triton_kernels import backward, calls, forward

_SHARED = {80: 163 * 1024, 86: 99 * 1024, 90: 227 * 1024}  # bytes that one program may have
_KERNELS = (forward.attention_forward, backward.row_products, backward.queries_gradient, backward.keys_gradient)
_USUAL = ("entropy", "first_visible_key", "maximum", "visible", "non_finite")


class _Absent:
    """A driver of a device that is not there."""

    def __init__(self, capability):
        self.capability = capability

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=0):
        return 0


@pytest.fixture
def compiled(monkeypatch):
    """compiled(capability, width, names, ...): [(kernel, its loops)] of a training step; a loop is its instructions."""

    def compile_step(capability, width, names, reweighting="softmax", dtype=torch.bfloat16, gradients=True,
                     **arguments):
        found = []

        def launch(kernel, grid, *given, **named):
            program = kernel.warmup(*given, grid=grid, enable_fp_fusion=True, **named)
            name, shared = kernel.fn.__name__, program.metadata.shared
            assert shared <= _SHARED[capability], f"{name} needs {shared} bytes of shared memory"
            found.append((name, _loops(program)))

        for kernel in _KERNELS:
            kernel.device_caches.clear()
        driver.set_active(_Absent(capability))
        monkeypatch.setattr(calls, "launch", launch)
        monkeypatch.setattr(calls, "shared_memory", lambda device: _SHARED[capability])
        query, key, value = (torch.empty(1, 4096, heads, width, device="meta", dtype=dtype).transpose(1, 2)
                             for heads in (16, 4, 4))
        for x in (query, key, value):
            x.requires_grad_(gradients)
        output, *rows = triton_kernels.attend(query, key, value, reweighting, statistics=names, **arguments)
        if gradients:
            loss = output.float().sum()
            if "entropy" in names:
                loss = loss + rows[names.index("entropy")].sum()
            loss.backward()
        return found

    return compile_step


def _loops(program):
    """The instructions between each jump backwards and where it goes, that multiply matrices."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(program.asm["cubin"])
        file.flush()
        text = subprocess.run([str(tool), "-c", file.name], capture_output=True, text=True, check=True).stdout
    places, instructions = {}, []
    for line in text.splitlines():
        label = re.match(r"\s*(\.L_x_\d+):", line)
        instruction = re.match(r"\s*/\*[0-9a-f]+\*/\s+(.*?);", line)
        if label:
            places[label[1]] = len(instructions)
        elif instruction:
            instructions.append(instruction[1])
    found = []
    for i, instruction in enumerate(instructions):
        jump = re.search(r"BRA.*\((\.L_x_\d+)\)", instruction)
        if jump and places.get(jump[1], i + 1) <= i:
            found.append(instructions[places[jump[1]]:i + 1])
    return [loop for loop in found if any("MMA" in instruction for instruction in loop)]


def _spills(loop):
    return sum(bool(re.search(r"\b(STL|LDL)\b", instruction)) for instruction in loop)


@pytest.mark.parametrize("capability, width", [(80, 128), (90, 64)])
def test_a_training_step_with_an_entropy_penalty_spills_next_to_nothing_in_its_loops(compiled, capability, width):
    found = compiled(capability, width, _USUAL, causal=True)
    assert [name for name, _ in found] == ["attention_forward", "row_products", "queries_gradient", "keys_gradient"]
    for name, loops in found:
        assert len(loops) >= 2 or name == "row_products", name  # the tiles that hide keys, and those that do not
        if loops:
            hot = min(loops, key=len)
            assert 100 * _spills(hot) <= len(hot), f"{name} spills {_spills(hot)} times of {len(hot)} instructions"


def test_what_is_not_asked_for_costs_nothing_and_the_entropy_next_to_nothing(compiled):
    sizes = [min(map(len, compiled(90, 64, names, causal=True, gradients=False)[0][1]))
             for names in ((), ("log_sum_exp", "maximum", "row_sum", "visible", "first_key"), ("entropy",),
                           triton_kernels.STATISTICS)]
    print("instructions of a tile:", sizes)
    assert max(sizes[1:3]) < 1.02 * sizes[0] < sizes[3]


@pytest.mark.parametrize("reweighting, arguments", [
    ("softcap", {"window": 1024, "causal": True, "slopes": torch.empty(16, device="meta"),
                 "key_lengths": torch.empty(1, dtype=torch.int64, device="meta")}),
    ("sink", {"sink": torch.empty(16, device="meta"), "bias": torch.empty(1, 1, 1, 4096, device="meta")}),
    ("sigmoid", {"bias": torch.empty(1, 16, 4096, 4096, device="meta")}),
])
def test_masks_and_forms_compile_on_a_small_gpu(compiled, reweighting, arguments):
    names = [name for name in triton_kernels.STATISTICS if name != "log_sum_exp" or reweighting != "sigmoid"]
    compiled(86, 96, names, reweighting, torch.float16, gradients=False, **arguments)
