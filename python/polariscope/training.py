"""What a training's steps show of attention: the part that all trainers share, and that a plain loop can use."""

import math
import warnings
from contextlib import ExitStack
from typing import Dict, List, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor, distributed

from .detector import Alarm, CollapseDetector
from .record import Record, to_numpy
from .watching import watch

_STATISTICS = ("entropy", "first_visible_key", "logit_maximum", "logit_variance", "sum_of_squares")
_NOMINAL_TOKENS = 1024  # the detector is told entropies and norms as those of such maps, whatever a batch's length
ON_ALARM = ("warn", "stop", "lower")


class AttentionAlarm(RuntimeWarning):
    """The detector's sentence."""


class Reading(NamedTuple):
    """Of one step, over the rows of all its batches and of all ranks; [layers, heads], NaN where a layer has fewer
    heads."""

    step: int
    layers: List[str]
    entropy: np.ndarray  # nats, mean over rows
    sink_mass: np.ndarray  # mean weight of the first key that a row sees
    logit_maximum: np.ndarray  # largest of all
    logit_variance: np.ndarray  # mean over rows
    relative_entropy: np.ndarray  # of the logarithm of how many keys a row sees
    norm_share: np.ndarray  # Frobenius norm over the square root of the rows, mean over maps
    alarms: List[Alarm]

    def metrics(self) -> Dict[str, float]:
        """By name, for a tracker: "entropy/LAYER/HEAD" and so on, and a mean or extreme of each."""
        found = {}
        for name, whole in (("entropy", np.nanmean), ("sink_mass", np.nanmean), ("logit_maximum", np.nanmax),
                            ("logit_variance", np.nanmean)):
            values = getattr(self, name)
            found[f"{name}/{'largest' if whole is np.nanmax else 'mean'}"] = float(whole(values))
            for layer, row in zip(self.layers, values):
                found.update({f"{name}/{layer}/{head}": float(x) for head, x in enumerate(row) if not math.isnan(x)})
        return found


def _of_ranks(array: np.ndarray, operation, group=None) -> np.ndarray:
    """Of all ranks of a group, of all there are without one."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size(group) > 1):
        return array
    on_devices = distributed.get_backend(group) in ("nccl", "xccl")
    shared: Tensor = torch.from_numpy(array).to(torch.accelerator.current_accelerator() if on_devices else "cpu")
    distributed.all_reduce(shared, operation, group)
    return shared.cpu().numpy()


def _shards(model: torch.nn.Module) -> dict:
    """The parameters of which each rank holds a part as a plain tensor, and the group of those ranks. The innermost
    wrapper counts. What is sharded by fully_shard is a DTensor, which knows by itself."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return {}
    from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy

    return {parameter: module.process_group for module in FullyShardedDataParallel.fsdp_modules(model)
            if module.sharding_strategy != ShardingStrategy.NO_SHARD for parameter in module.parameters()}


def _norm(gradient: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(gradient.float())
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def gradient_norm(model: torch.nn.Module) -> float:
    """Of all parameters' gradients together. Where they are sharded over ranks (FSDP), every rank calls it and gets
    that of all shards; model: with its wrapper."""
    shards = _shards(model)
    norms: Dict[Optional[distributed.ProcessGroup], List[Tensor]] = {group: [] for group in shards.values()}
    for parameter in model.parameters():
        if parameter.grad is not None:
            norms.setdefault(shards.get(parameter), []).append(_norm(parameter.grad))
    squares = 0.0
    for group, parts in norms.items():
        own = float(torch.linalg.vector_norm(torch.stack(parts))) ** 2 if parts else 0.0
        squares += own if group is None else float(_of_ranks(np.array(own), distributed.ReduceOp.SUM, group))
    return math.sqrt(squares)


def lower_learning_rate(factor: float, optimizers, schedulers) -> None:
    """Multiplies the rates, and what schedules start from."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] *= factor
    for scheduler in schedulers:
        if hasattr(scheduler, "base_lrs"):
            scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]


def _sums(record: Record, layers: List[str], heads: int) -> np.ndarray:
    """[layers, heads, 7]: rows, their entropy, first key, logit variance and log of visible keys; maps, their share."""
    found = np.zeros((len(layers), heads, 7))
    for call in record.calls:
        counted, place = call.rows(), layers.index(call.layer)
        own = found[place, :counted.shape[1]]
        visible = to_numpy(call.statistics.visible)
        for at, values in enumerate((np.ones_like(counted), call.statistics.entropy, call.statistics.first_visible_key,
                                     call.statistics.logit_variance, np.log(np.maximum(visible, 1)))):
            own[:, at] += np.where(counted, to_numpy(values).astype(np.float64), 0.0).sum((0, 2))
        rows = counted.sum(2)
        squares = np.where(counted, to_numpy(call.statistics.sum_of_squares).astype(np.float64), 0.0).sum(2)
        own[:, 5] += (rows > 0).sum(0)
        own[:, 6] += np.sqrt(squares / np.maximum(rows, 1)).sum(0)
    return found


def _largest(record: Record, layers: List[str], heads: int) -> np.ndarray:
    found = np.full((len(layers), heads), -np.inf)
    for call in record.calls:
        values = np.where(call.rows(), to_numpy(call.statistics.logit_maximum), -np.inf).max((0, 2), initial=-np.inf)
        own = found[layers.index(call.layer), :len(values)]
        np.maximum(own, values, out=own)
    return found




class Monitor:
    """Reads every layer and head of a model at some steps of its training.

        monitor = polariscope.training.Monitor(model, every=10)
        for step, batch in enumerate(batches, 1):
            with monitor.step(step):
                loss = model(**batch).loss
                loss.backward()
            reading = monitor.read()          # None at other steps
            if reading is not None:
                tracker.log(reading.metrics(), step=step)

    model     under FSDP with its wrapper
    every     steps from one reading to the next
    on_alarm  "warn", or what the trainer then does besides: "stop", "lower" (the learning rate)
    """

    def __init__(self, model: torch.nn.Module, every: int = 10, on_alarm: str = "warn"):
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"every is {every!r}: expected a number of steps, 1 or more")
        if on_alarm not in ON_ALARM:
            raise ValueError(f"on_alarm is {on_alarm!r}: expected one of {', '.join(ON_ALARM)}")
        self.model, self.every, self.on_alarm = model, every, on_alarm
        self.last: Optional[Reading] = None
        self._open: Optional[ExitStack] = None
        self._record: Optional[Record] = None
        self._step = 0
        self._detector: Optional[CollapseDetector] = None

    @property
    def watching(self) -> bool:
        """Whether a step is being watched."""
        return self._open is not None

    def begin(self, step: int) -> None:
        """Before the step's first forward pass."""
        self.end()
        self._record = None
        if step % self.every == 0:
            self._step, self._open = step, ExitStack()
            self._record = self._open.enter_context(watch(self.model, statistics=_STATISTICS))

    def end(self) -> None:
        """After its last."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def step(self, step: int):
        """begin() and end() as a block."""
        stack = ExitStack()
        self.begin(step)
        stack.callback(self.end)
        return stack

    def read(self, norm: Optional[float] = None) -> Optional[Reading]:
        """What the step showed, once; None where it was not watched. norm: of its gradients before they were clipped;
        None: they are there still. Every rank calls it. Warns of what the detector sees."""
        self.end()
        record, self._record = self._record, None
        if record is None:
            return None
        layers = list(record.layers())
        if not layers:
            warnings.warn(f"polariscope: step {self._step} showed no attention: " + "; ".join(record.said()[:3]),
                          AttentionAlarm, stacklevel=2)
            return None
        if not any(module.training for module in self.model.modules()):
            warnings.warn(f"polariscope: at step {self._step} the model is in evaluation mode: call model.train()",
                          AttentionAlarm, stacklevel=2)
        self.last = self._reading(record, layers, gradient_norm(self.model) if norm is None else norm)
        return self.last

    def _reading(self, record, layers, norm):
        heads = max(call.statistics.visible.shape[1] for call in record.calls)
        sums = _of_ranks(_sums(record, layers, heads), distributed.ReduceOp.SUM)
        largest = _of_ranks(_largest(record, layers, heads), distributed.ReduceOp.MAX)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums[..., 1:5] / sums[..., :1]
            relative = np.where(sums[..., 4] > 0, sums[..., 1] / sums[..., 4], np.nan)
            share = sums[..., 6] / sums[..., 5]
        reading = Reading(self._step, layers, means[..., 0], means[..., 1],
                          np.where(sums[..., 0] > 0, largest, np.nan), means[..., 2], relative, share, [])
        return reading._replace(alarms=self._alarms(reading, norm))

    def _alarms(self, reading, norm):
        if self._detector is None or self._detector.shape != reading.entropy.shape:
            self._detector = CollapseDetector(*reading.entropy.shape, _NOMINAL_TOKENS, causal=False)
        alarms = self._detector.step(reading.step, norm, reading.relative_entropy * math.log(_NOMINAL_TOKENS),
                                     reading.norm_share * math.sqrt(_NOMINAL_TOKENS), reading.logit_variance)
        if not (distributed.is_available() and distributed.is_initialized() and distributed.get_rank() > 0):
            for alarm in alarms:
                warnings.warn(f"polariscope: step {alarm.step}: {alarm.words} ({reading.layers[alarm.layer - 1]})",
                              AttentionAlarm, stacklevel=3)
        return alarms
