"""EntropyCallback for Lightning's Trainer."""

try:
    import lightning.pytorch as pl
except ImportError:
    import pytorch_lightning as pl

from .training import Monitor, gradient_norm, lower_learning_rate


class EntropyCallback(pl.Callback):
    """Each `every` optimizer steps every layer and head's entropy, sink mass, largest logit and logit variance of that
    very step, over its batches and over all ranks, go to the loggers that the Trainer has, at the step's number as
    Lightning counts it, from 0. The alarms of docs/alarms.md warn.

        Trainer(..., callbacks=[polariscope.lightning.EntropyCallback(every=10, on_alarm="stop")])

    on_alarm  "warn"; "stop": ends the training; "lower": multiplies the learning rate by learning_rate_factor
    """

    def __init__(self, every: int = 10, on_alarm: str = "warn", learning_rate_factor: float = 0.1):
        Monitor(None, every, on_alarm)  # wrong arguments raise here
        self.every, self.on_alarm, self.learning_rate_factor = every, on_alarm, learning_rate_factor
        self.monitor = None
        self._begun = self._norm = None

    def on_fit_start(self, trainer, pl_module):
        self.monitor = Monitor(pl_module, self.every, self.on_alarm)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self._begun != trainer.global_step:  # else a later batch of the same step
            self._begun, self._norm = trainer.global_step, None
            self.monitor.begin(self._begun)

    def on_after_backward(self, trainer, pl_module):
        self._norm = None

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if self._norm is None and self.monitor.watching:
            self._norm = gradient_norm(trainer.model)  # before it is clipped; with its wrapper

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self._begun:
            return
        self._begun = None
        reading = self.monitor.read(self._norm)
        if reading is None:
            return
        for logger in trainer.loggers:
            logger.log_metrics(reading.metrics(), step=reading.step)
        if reading.alarms and self.on_alarm == "stop":
            trainer.should_stop = True
        elif reading.alarms and self.on_alarm == "lower":
            lower_learning_rate(self.learning_rate_factor, trainer.optimizers,
                                [config.scheduler for config in trainer.lr_scheduler_configs])

    def on_fit_end(self, trainer, pl_module):
        self.monitor.end()

    def on_exception(self, trainer, pl_module, exception):
        if self.monitor is not None:
            self.monitor.end()
