"""What jobs give TensorBoard, read back from its event files."""

import importlib.util

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distillery.errors import UserError
from distillery.run import job, track
from distillery.run.progress import Progress
from distillery.store.layout import Layout
from distillery.store.metrics import Metrics
from distillery.study import load as configfiles
from distillery.study.jobs import Jobs

pytestmark = pytest.mark.slow  # tensorboard takes a second to import


@pytest.fixture
def log_path(tmp_path, monkeypatch):
    monkeypatch.setenv(track.TRACK, track.TENSORBOARD)
    path = tmp_path / "results/logs/distill/digits/dc/real/ipc1/seed0.log"
    path.parent.mkdir(parents=True)
    return str(path)


def scalars(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, round(event.value, 5)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_a_job_leaves_its_losses_and_measurements(log_path, tmp_path):
    metrics = Metrics(rule="evaluate_synthetic", network="MLP")
    for model, accuracy in enumerate((0.5, 0.7)):
        for epoch in (1, 2):
            metrics.add("accuracy", accuracy + epoch / 10, model=model, split="test", epoch=epoch)
        metrics.add("accuracy", accuracy + 0.3, model=model, split="test")
        metrics.add("parameters", 4000, model=model)
        metrics.add("accuracy", 0.1, model=model, split="test", epoch=2, class_=3)
    metrics.save(tmp_path / "metrics.csv")
    for _ in range(2):  # a job that runs again leaves one line, not two
        to = track.tracker(log_path)
        bar = Progress(1000, "distillation", "iteration", tracker=to)
        bar.iteration(0, None)
        for iteration in range(1, 1001):
            bar.iteration(iteration, 1 / iteration)
        bar.close()
        track.measured(to, tmp_path / "metrics.csv")
        to.close()
    reported = scalars(tmp_path / "results/tensorboard/distill/digits/dc/real/ipc1/seed0")
    losses = reported.pop("progress/matching_loss")
    assert reported == {
        "accuracy/MLP/test": [(1, 0.7), (2, 0.8)],
        "final accuracy/MLP/test": [(0, 0.9)],
        "parameters/MLP": [(0, 4000.0)],
    }
    assert [step for step, _ in losses] == list(range(2, 1001, 2)) and losses[0] == (2, 0.5)


def test_nothing_is_written_where_nothing_tracks(log_path, monkeypatch):
    monkeypatch.setenv(track.TRACK, "none")
    assert track.tracker(log_path) is None
    monkeypatch.delenv(track.TRACK)
    assert track.tracker(log_path) is None


def test_a_run_closes_its_tracker(log_path, tmp_path):
    compute = {"precision": "float32", "compile": "off", "threads": 1}
    with job.run(log_path, compute) as run:
        run.tracker.add_scalar("one", 1.0, 1)
    assert scalars(tmp_path / "results/tensorboard/distill/digits/dc/real/ipc1/seed0") == {
        "one": [(1, 1.0)]
    }


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    track.check("none")
    with pytest.raises(UserError, match=r"compute\.track: the package tensorboard is not install"):
        track.check("tensorboard")


def test_tracking_makes_nothing_stale(tmp_path):
    grid = [{"dataset": ["digits"], "method": ["dc"], "init": ["real"], "ipc": [1]}]
    digests = {
        Jobs(
            configfiles.study({"study": "a", "grid": grid, "compute": {"track": way}}),
            Layout("results"),
        ).digest()
        for way in ("none", "tensorboard")
    }
    assert len(digests) == 1
