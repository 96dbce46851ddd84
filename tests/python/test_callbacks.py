"""EntropyCallback in transformers' Trainer and in Lightning's, a plain loop, and the alarms."""

import warnings

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
from watched import Block  # noqa: E402

import polariscope  # noqa: E402
from polariscope.detector import CollapseDetector  # noqa: E402
from polariscope.training import AttentionAlarm, Monitor  # noqa: E402


def collapsing(step):
    """Entropy, Frobenius norm and logit variance of two layers of two heads: the last head collapses."""
    entropy, norm, variance = np.full((2, 2), 2.0), np.full((2, 2), 3.0), np.full((2, 2), 1.0)
    entropy[1, 1], norm[1, 1], variance[1, 1] = 0.01, 3.99, 2e3 * 1.02 ** step
    return entropy, norm, variance


def test_the_detector_is_the_library_s():
    detector, alarms = CollapseDetector(2, 2, 16, causal=False), []
    for step in range(1, 101):
        alarms += detector.step(step, 1.0, *collapsing(step))
    assert [(alarm.kind, alarm.layer, alarm.head) for alarm in alarms] == [("collapse", 2, 2)]
    assert 50 <= alarms[0].step <= 80
    assert alarms[0].words.startswith("collapse under way in layer 2, head 2: entropy is 0.0036 of uniform")
    again = CollapseDetector(2, 2, 16, causal=False)
    again.restore(detector.state())
    assert np.array_equal(again.state(), detector.state())
    with pytest.raises(ValueError, match=r"entropy has shape \[4\]: expected \[2, 2\]"):
        detector.step(101, 1.0, np.zeros(4), *collapsing(1)[1:])
    with pytest.raises(ValueError):
        CollapseDetector(1, 2, 16, causal=False).restore(detector.state())


def test_a_plain_loop_reads_the_step_that_it_names():
    torch.manual_seed(0)
    model = torch.nn.Sequential(Block(), Block())
    monitor, batches = Monitor(model, every=2), [torch.randn(3, 5, 16) for _ in range(4)]
    for step, batch in enumerate(batches, 1):
        with monitor.step(step):
            model.zero_grad()
            model(batch).square().mean().backward()
        reading = monitor.read()
        assert (reading is None) == (step % 2 == 1)
    assert reading.step == 4
    with polariscope.watch(model) as record:
        model(batches[-1])
    means = record.means()
    for (layer, head), values in means.items():
        at = reading.layers.index(layer), head
        assert reading.entropy[at] == pytest.approx(values["entropy"], abs=1e-6)
        assert reading.sink_mass[at] == pytest.approx(values["first_visible_key"], abs=1e-6)
        assert reading.logit_variance[at] == pytest.approx(values["logit_variance"], abs=1e-6)
        largest = max(call.statistics.logit_maximum[:, head].max().item() for call in record[layer])
        assert reading.logit_maximum[at] == pytest.approx(largest)
        squares = record[layer][0].statistics.sum_of_squares[:, head].mean(1).sqrt().mean().item()
        assert reading.norm_share[at] == pytest.approx(squares, abs=1e-6)
    assert reading.metrics()["entropy/1/2"] == reading.entropy[1, 2]
    assert reading.metrics()["logit_maximum/largest"] == reading.logit_maximum.max()


def test_alarms_warn_with_the_layer_s_name():
    monitor = Monitor(torch.nn.Sequential(Block()), every=1)
    with pytest.warns(AttentionAlarm, match=r"step \d+: collapse under way in layer 2, head 2: .* \(second\)"):
        for step in range(1, 81):
            entropy, norm, variance = collapsing(step)
            reading = polariscope.training.Reading(step, ["first", "second"], entropy, entropy, entropy, variance,
                                                   entropy / np.log(16), norm / 4, [])
            monitor._alarms(reading, 1.0)


def test_a_model_whose_attention_is_not_seen_says_so():
    monitor = Monitor(torch.nn.Linear(3, 3), every=1)
    with pytest.warns(AttentionAlarm, match="step 1 showed no attention"):
        with monitor.step(1):
            monitor.model(torch.zeros(1, 3))
        assert monitor.read() is None


@pytest.mark.parametrize("options, words", [({"every": 0}, "every is 0: expected a number of steps"),
                                            ({"on_alarm": "cry"}, "on_alarm is 'cry': expected one of warn, stop")])
def test_wrong_arguments_are_refused_at_once(options, words):
    with pytest.raises(ValueError, match=words):
        Monitor(torch.nn.Linear(1, 1), **options)


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        ids = torch.randint(1, 40, (12,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": ids, "labels": ids}


def llama(implementation="sdpa", **options):
    transformers = pytest.importorskip("transformers", "5.0")
    import polariscope.transformers  # noqa: F401
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                      num_key_value_heads=1, intermediate_size=16, pad_token_id=0, **options)
    return transformers.LlamaForCausalLM._from_config(config, attn_implementation=implementation)


def trained(folder, model, callbacks, **options):
    transformers = pytest.importorskip("transformers", "5.0")
    pytest.importorskip("accelerate")
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=8, per_device_train_batch_size=2, report_to=[], disable_tqdm=True, use_cpu=True,
        save_strategy="no", learning_rate=1e-2, lr_scheduler_type="constant", logging_steps=3, **options)
    trainer = transformers.Trainer(model, arguments, train_dataset=Rows(), eval_dataset=Rows(), callbacks=callbacks)
    trainer.train()
    return trainer


def tracker():
    transformers = pytest.importorskip("transformers", "5.0")

    class Tracker(transformers.TrainerCallback):
        def __init__(self):
            self.seen = []

        def on_log(self, arguments, state, control, logs=None, **objects):
            if "entropy/mean" in logs:
                self.seen.append((state.global_step, logs))

    return Tracker()


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "polariscope"])
def test_the_trainer_s_trackers_get_every_head_of_the_step_in_training(implementation, tmp_path):
    model, seen = llama(implementation, attention_dropout=0.0), tracker()
    callback = polariscope.transformers.EntropyCallback(every=3)
    modes, real = [], Monitor.read

    def read(monitor, norm=None):
        modes.append((monitor.watching or monitor._record is not None, monitor.model.training, norm))
        return real(monitor, norm)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "read", read)
        trainer = trained(tmp_path, model, [seen, callback], eval_strategy="steps", eval_steps=2,
                          gradient_accumulation_steps=2, max_grad_norm=1e-3)
    assert [step for step, _ in seen.seen] == [3, 6]
    logs = seen.seen[0][1]
    assert len([name for name in logs if name.startswith("entropy/model.layers.")]) == 4
    assert len(logs) == 4 * (1 + 4)
    assert all(training and norm > 1e-3 for watched, training, norm in modes if watched)  # before it was clipped
    kept = [entry for entry in trainer.state.log_history if "entropy/mean" in entry]
    assert [entry["step"] for entry in kept] == [3, 6]
    assert all(name.count("/") < 2 for entry in kept for name in entry)


def ringing(monitor, reading, norm):
    return [polariscope.detector.Alarm("collapse", reading.step, 1, 1, 0, 1, 1, 1, 1, "collapse under way")]


def test_an_alarm_stops_the_trainer_or_lowers_its_rate(tmp_path):
    pytest.importorskip("transformers", "5.0")
    import polariscope.transformers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "_alarms", ringing)
        stopped = trained(tmp_path, llama(), [polariscope.transformers.EntropyCallback(every=3, on_alarm="stop")])
        assert stopped.state.global_step == 3
        lowered = trained(tmp_path, llama(), [polariscope.transformers.EntropyCallback(every=4, on_alarm="lower")])
        assert lowered.state.global_step == 8
        assert lowered.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)


def fitted(tmp_path, callback, clip=None, accumulate=1, steps=8):
    pl = pytest.importorskip("lightning.pytorch")

    class Logger(pl.loggers.logger.Logger):
        name, version, seen = "own", 0, None

        def log_metrics(self, metrics, step=None):
            if "entropy/mean" in metrics:
                self.seen.append((step, metrics))

        def log_hyperparams(self, *arguments):
            pass

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.model = llama()

        def training_step(self, batch, index):
            return self.model(**batch).loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1e-2)

    logger, module = Logger(), Module().train()
    logger.seen = []
    trainer = pl.Trainer(max_steps=steps, callbacks=[callback], logger=logger, accelerator="cpu", devices=1,
                         enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
                         gradient_clip_val=clip, accumulate_grad_batches=accumulate, default_root_dir=tmp_path)
    trainer.fit(module, torch.utils.data.DataLoader(Rows(), batch_size=2))
    return trainer, logger


def test_lightning_s_loggers_get_every_head_at_its_own_count_of_steps(tmp_path):
    pytest.importorskip("lightning.pytorch")
    from polariscope.lightning import EntropyCallback
    callback, norms, real = EntropyCallback(every=3), [], Monitor.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "read", lambda monitor, norm=None: norms.append(norm) or real(monitor, norm))
        trainer, logger = fitted(tmp_path, callback, clip=1e-3, accumulate=2)
    assert [step for step, _ in logger.seen] == [0, 3, 6]
    assert len(logger.seen[0][1]) == 4 * (1 + 4)
    assert [norm is not None for norm in norms] == [step % 3 == 0 for step in range(8)]
    assert all(norm > 1e-3 for norm in norms if norm is not None)  # before it was clipped
    assert callback.monitor.last.entropy.shape == (2, 2)


def test_an_alarm_stops_lightning_s_trainer_or_lowers_its_rate(tmp_path):
    pytest.importorskip("lightning.pytorch")
    from polariscope.lightning import EntropyCallback
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "_alarms", ringing)
        assert fitted(tmp_path, EntropyCallback(every=3, on_alarm="stop"))[0].global_step == 1
        trainer, _ = fitted(tmp_path, EntropyCallback(every=5, on_alarm="lower"))
        assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-4)


def test_a_model_in_evaluation_is_told_of():
    model = torch.nn.Sequential(Block()).eval()
    monitor = Monitor(model, every=1)
    with pytest.warns(AttentionAlarm, match="at step 1 the model is in evaluation mode"):
        with monitor.step(1):
            model(torch.randn(1, 4, 16))
        monitor.read()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with monitor.step(2):
            model.train()(torch.randn(1, 4, 16))
        monitor.read()
