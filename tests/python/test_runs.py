"""A real run of the installed command, read by programs that know nothing of Polariscope: TensorBoard, and Prometheus'
parser while `polariscope watch` follows it."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "polariscope"
STEPS = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a run"
    words = ["--task", "in-context-regression", "--batch", "50", "--steps", str(STEPS), "--layers", "2", "--quiet"]
    subprocess.run([COMMAND, "train", *words, "--out", folder], check=True, timeout=300)
    return folder


def logged(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_its_event_file_opens_in_tensorboard(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    lines = logged(run)
    assert len(lines) == STEPS
    tags = events.Tags()["scalars"]
    assert {"training/loss", "training/gradient_norm", "entropy/layer 1 head 1", "entropy/layer 2 head 1"} <= set(tags)
    for tag, number in (("training/loss", lambda line: line["loss"]),
                        ("entropy/layer 2 head 1", lambda line: line["entropy"][1][0]),
                        ("logit_variance/layer 1 head 1", lambda line: line["logit_variance"][0][0])):
        points = events.Scalars(tag)
        assert [point.step for point in points] == [line["step"] for line in lines]
        # It keeps single precision.
        assert [point.value for point in points] == pytest.approx([number(line) for line in lines], rel=1e-6), tag
        assert points[0].wall_time <= points[-1].wall_time


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):
    surroundings = {**os.environ, "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}
    with subprocess.Popen([COMMAND, "watch", run], stdout=subprocess.PIPE, text=True, env=surroundings) as server:
        yield server.stdout.readline().split()[-1]
        # A shell's background jobs ignore SIGINT, and so do their children.
        server.terminate()
        try:
            assert server.wait(timeout=60) == 130
        finally:
            server.kill()


def fetched(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as reply:
        return reply.read().decode()


def test_its_page_and_its_numbers_are_served(run, address):
    assert "watch.js" in fetched(address)
    (told,) = json.loads(fetched(address + "api/runs"))["runs"]
    assert (told["name"], told["phase"], told["step"], told["planned"]) == ("a run", "finished", STEPS, STEPS)
    assert told["loss"] == logged(run)[-1]["loss"]


def test_its_metrics_are_prometheus_own(run, address):
    parser = pytest.importorskip("prometheus_client.parser")
    families = {family.name: family for family in parser.text_string_to_metric_families(fetched(address + "metrics"))}
    last = logged(run)[-1]
    (loss,) = families["polariscope_loss"].samples
    assert loss.labels == {"run": "a run"} and loss.value == last["loss"]
    assert families["polariscope_loss"].type == "gauge"
    entropy = {(s.labels["layer"], s.labels["head"]): s.value for s in families["polariscope_entropy"].samples}
    assert entropy == {("1", "1"): last["entropy"][0][0], ("2", "1"): last["entropy"][1][0]}
    phases = {s.labels["phase"]: s.value for s in families["polariscope_run_phase"].samples}
    assert phases["finished"] == 1 and sum(phases.values()) == 1
    assert families["polariscope_run_step"].samples[0].value == STEPS
