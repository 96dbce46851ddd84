"""EntropyCallback for transformers' Trainer."""

import sys

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..training import Monitor, lower_learning_rate

_SHOWN_TO_PEOPLE = (PrinterCallback, ProgressCallback)  # thousands of numbers would drown what they print


def _trainer_frame():
    """The frame of the Trainer's loop that is calling, which no argument of a callback leads to."""
    frame = sys._getframe(1)
    while frame is not None:
        if hasattr(frame.f_locals.get("self"), "callback_handler"):
            return frame
        frame = frame.f_back
    return None


class EntropyCallback(TrainerCallback):
    """Each `every` steps, counted from 1 as the Trainer does, every layer and head's entropy, sink mass, largest logit
    and logit variance of that very step, in training, over its batches and over all ranks, go to the trackers that the
    Trainer has (TensorBoard, W&B, ...); their means go to its log_history. The alarms of docs/alarms.md warn.

        Trainer(..., callbacks=[polariscope.transformers.EntropyCallback(every=10, on_alarm="stop")])

    on_alarm  "warn"; "stop": ends the training; "lower": multiplies the learning rate by learning_rate_factor
    """

    def __init__(self, every: int = 10, on_alarm: str = "warn", learning_rate_factor: float = 0.1):
        Monitor(None, every, on_alarm)  # wrong arguments raise here
        self.every, self.on_alarm, self.learning_rate_factor = every, on_alarm, learning_rate_factor
        self.monitor = None
        self._norm = None

    def on_train_begin(self, args, state, control, model=None, **objects):
        self.monitor = Monitor(model, self.every, self.on_alarm)

    def on_step_begin(self, args, state, control, **objects):
        self._norm = None
        self.monitor.begin(state.global_step + 1)

    def on_pre_optimizer_step(self, args, state, control, **objects):
        self.monitor.end()
        frame = _trainer_frame()
        norm = frame.f_locals.get("grad_norm") if frame is not None else None  # before it was clipped
        self._norm = None if norm is None else float(norm)
        self._reading = self.monitor.read(self._norm)

    def on_step_end(self, args, state, control, optimizer=None, lr_scheduler=None, **objects):
        reading, self._reading = getattr(self, "_reading", None), None
        if reading is None:
            return
        self._log(args, state, control, reading, objects)
        if reading.alarms and self.on_alarm == "stop":
            control.should_training_stop = True
        elif reading.alarms and self.on_alarm == "lower":
            lower_learning_rate(self.learning_rate_factor, [optimizer], [lr_scheduler])

    def on_train_end(self, args, state, control, **objects):
        self.monitor.end()

    def _log(self, args, state, control, reading, objects):
        metrics = reading.metrics()
        means = {name: value for name, value in metrics.items() if name.count("/") == 1}
        state.log_history.append({**means, "epoch": state.epoch, "step": reading.step})
        frame = _trainer_frame()
        if frame is None:
            return
        for callback in frame.f_locals["self"].callback_handler.callbacks:
            if callback is not self and not isinstance(callback, _SHOWN_TO_PEOPLE):
                callback.on_log(args, state, control, logs=dict(metrics), **objects)
