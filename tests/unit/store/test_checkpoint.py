"""A job that was killed resumes with the same bits; a checkpoint of another job is refused."""

import os
import signal
import time
from dataclasses import replace
from functools import partial

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.images import formation
from distillery.images.labelled import Images
from distillery.methods import _driver, base, dc, dm, dsa, mtt, ncfm, rat_bptt, tesla
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.sets.evolution import Evolution
from distillery.store import artefact
from distillery.store.checkpoint import Checkpoint
from distillery.store.metrics import Metrics
from distillery.training import experts
from distillery.training.train import Bench

CLASSES, SIZE = 3, 8
NETWORK = NetworkSpec("ConvNet", 1, SIZE, CLASSES, {"width": 8, "depth": 2})
# Layers enough that a sum over them in another order has other bits.
DEEP = replace(NETWORK, options={"width": 8, "depth": 3})
COMPUTE = Compute("float32", "off")


def data(count=60):
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(CLASSES).repeat(count // CLASSES)
    stripes = (torch.arange(SIZE) % CLASSES == labels[:, None]).float()  # something to learn
    return torch.randn(count, 1, SIZE, SIZE, generator=generator) + 3 * stripes[
        :, None, None, :
    ], labels


def stream(*identity):
    return streams.generator(0, *identity)


BENCH = Bench(network=NETWORK, stream=stream, compute=COMPUTE)


class KilledError(Exception):
    pass


class Interrupted(Checkpoint):
    """Due at one look after ``after`` others, and killed as soon as the state is on the disk."""

    def __init__(self, path, identity, after):
        super().__init__(path, identity, every=1e9)
        self._left = after

    def due(self):
        self._left -= 1
        return self._left < 0

    def save(self, tensors, values, note):
        super().save(tensors, values, note)
        raise KilledError


class Trajectories:
    number, epochs = 2, 4

    def __init__(self):
        recipe = Recipe(4, lr=0.1, batch=20)
        self.rows = experts.train_experts(BENCH, recipe, Images(*data()), [0, 1])

    def pair(self, expert, start, stop):
        return self.rows[expert, start], self.rows[expert, stop]


@pytest.fixture(scope="module")
def trajectories():
    return Trajectories()


def distil(module, checkpoint, trajectories, compute, **changes):
    factor = changes.pop("factor", 1)
    settings = {name: value["default"] for name, value in module.SETTINGS.items()} | changes
    images, labels = data()
    evolution = Evolution(settings["iterations"], 3)
    task = base.Task(
        images=images,
        labels=labels,
        initial=base.initial_images("noise", images, labels, CLASSES, 2, stream("initial")),
        classes=CLASSES,
        ipc=2,
        network=DEEP if module in (dc, dsa) else NETWORK,
        settings=settings,
        stream=stream,
        compute=compute,
        flip_allowed=True,
        experts=trajectories,
        factor=factor,
        decode=partial(formation.decode, factor=factor),
    )
    result = _driver.run(module, task, evolution, checkpoint)
    return result, evolution


def written(folder, result, evolution):
    """Every byte that a job would write of its result: the set, its snapshots and its
    measurements."""
    folder.mkdir()
    artefact.save(
        folder / "set",
        {"images": result.images, "labels": result.labels},
        {"step_size": None if result.step_size is None else float(result.step_size)},
    )
    evolution.save(folder / "evolution", {})
    metrics = Metrics()
    evolution.record(metrics)
    metrics.save(folder / "metrics.csv")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


CASES = {
    "dc": (dc, {"iterations": 4, "outer": 3, "inner": 2, "batch_real": 8, "batch_train": 4}),
    "dsa": (dsa, {"iterations": 4, "outer": 3, "inner": 2, "batch_real": 8, "batch_train": 4}),
    "dm": (dm, {"iterations": 8, "batch_real": 8}),
    "dsa, four in one": (
        dsa,
        {"iterations": 4, "outer": 3, "inner": 1, "batch_real": 8, "batch_train": 4, "factor": 2},
    ),
    "dm, representative": (
        dm,
        {"iterations": 8, "batch_real": 8, "real_images": "representative", "renew_every": 3},
    ),
    "ncfm": (ncfm, {"iterations": 8, "batch_real": 8, "frequencies": 32, "sampling": "learned"}),
    "tesla": (
        tesla,
        {
            "iterations": 8,
            "syn_steps": 3,
            "expert_epochs": 1,
            "max_start_epoch": 3,
            "lr_images": 1.0,
            "lr_labels": 0.5,
        },
    ),
    "rat_bptt": (
        rat_bptt,
        {
            "iterations": 8,
            "unroll": 4,
            "window": 2,
            "batch_real": 8,
            "batch_syn": 4,
            "augment": "dsa",
        },
    ),
    "mtt": (
        mtt,
        {
            "iterations": 8,
            "syn_steps": 3,
            "expert_epochs": 1,
            "max_start_epoch": 3,
            "batch_syn": 4,
            "augment": "dsa",
            "lr_images": 1.0,
        },
    ),
}


def undisturbed(tmp_path, trajectories, name):
    """What an undisturbed run of a case writes."""
    module, settings = CASES[name]
    none = Checkpoint(tmp_path / "none.safetensors", {})
    return written(tmp_path / name, *distil(module, none, trajectories, COMPUTE, **settings))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, trajectories):
    """What an undisturbed run of each case writes."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: undisturbed(folder, trajectories, name) for name in CASES}


def stopped_and_taken_up(tmp_path, trajectories, name, after):
    """What a run of a case writes that was killed after a save and went on."""
    module, settings = CASES[name]
    path = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        distil(module, Interrupted(path, {"job": 1}, after), trajectories, COMPUTE, **settings)
    last = Checkpoint(path, {"job": 1})
    again = distil(module, last, trajectories, COMPUTE, **settings)
    last.finish()
    assert not path.exists()
    return written(tmp_path / "again", *again)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 2, 7])
@pytest.mark.parametrize("name", CASES)
def test_a_distillation_resumes_with_the_same_bytes(tmp_path, trajectories, whole, name, after):
    assert stopped_and_taken_up(tmp_path, trajectories, name, after) == whole[name]


@pytest.mark.long
def test_a_compiled_distillation_resumes_with_the_same_bytes(tmp_path, monkeypatch, trajectories):
    """Traced as the compiler does, and run as it was traced: what a job of hours does, without its
    compilation."""
    monkeypatch.setattr(
        Compute,
        "compiled",
        lambda self, function, **_: torch.compile(function, dynamic=False, backend="aot_eager"),
    )
    again = stopped_and_taken_up(tmp_path, trajectories, "dsa", 1)
    assert again == undisturbed(tmp_path, trajectories, "dsa")


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 3, 6, 9, 13])
@pytest.mark.parametrize("together", [1, 2])
def test_a_shard_of_experts_resumes_with_the_same_bits(tmp_path, monkeypatch, after, together):
    monkeypatch.setattr(experts, "stack_size", lambda *_: together)

    def train(checkpoint):
        told = []
        rows = experts.train_experts(
            BENCH,
            Recipe(3, lr=0.1, momentum=0.5, batch=25),
            Images(*data()),
            [4, 5, 6],
            after_epoch=lambda first, epoch, summary: told.append(
                (first, epoch, summary["loss"].tolist())
            ),
            checkpoint=checkpoint,
        )
        return rows, told

    whole, told = train(Checkpoint(tmp_path / "none.safetensors", {}))
    path = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        train(Interrupted(path, {}, after))
    again, told_again = train(Checkpoint(path, {}))
    assert torch.equal(whole, again)
    assert told == told_again


def test_a_checkpoint_of_another_job_or_a_damaged_one_is_not_used(tmp_path, caplog):
    path = tmp_path / "state.safetensors"
    Checkpoint(path, {"code": "a", "seed": 1}).save(
        {"x": torch.ones(3)}, {"iteration": 4}, "iteration 4"
    )
    tensors, values = Checkpoint(path, {"seed": 1, "code": "a"}).load()
    assert torch.equal(tensors["x"], torch.ones(3)) and values == {"iteration": 4}
    assert Checkpoint(path, {"code": "b", "seed": 1}).load() is None
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[:-2],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
    ):
        path.write_bytes(damaged)
        assert Checkpoint(path, {"code": "a", "seed": 1}).load() is None
    assert Checkpoint(tmp_path / "none", {}).load() is None


def test_tensors_come_back_in_the_order_and_layout_in_which_they_were_given(tmp_path):
    """The file sorts by name; sums over parameters run in the module's order."""
    path = tmp_path / "state.safetensors"
    last = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    given = {
        "features.4.weight": torch.ones(2),
        "features.0.weight": last,
        "classifier.bias": torch.ones(1),
        "b": torch.ones(()),
    }
    Checkpoint(path, {}).save(given, {}, "")
    tensors, _ = Checkpoint(path, {}).load()
    assert list(tensors) == list(given)
    assert {name: tensor.stride() for name, tensor in tensors.items()} == {
        name: tensor.stride() for name, tensor in given.items()
    }
    assert torch.equal(tensors["features.0.weight"], last)


def test_it_is_due_at_intervals(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.safetensors", {}, every=0.05)
    assert not checkpoint.due()
    time.sleep(0.06)
    assert checkpoint.due()
    checkpoint.save({}, {}, "")
    assert not checkpoint.due()


def test_a_stop_saves_and_leaves_with_the_status_of_the_signal(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    try:
        checkpoint = Checkpoint(tmp_path / "state.safetensors", {})
        checkpoint.stop_gently()
        assert not checkpoint.due()
        for _ in range(
            3
        ):  # as at a time limit, which tells every process of a job, and each of those its own
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert checkpoint.due()
        with pytest.raises(SystemExit) as leaving:
            checkpoint.save({"x": torch.ones(1)}, {}, "here")
        assert leaving.value.code == 128 + signal.SIGTERM
        assert Checkpoint(tmp_path / "state.safetensors", {}).load() is not None
        monkeypatch.setattr("distillery.store.checkpoint.AGAIN_SECONDS", 0.0)
        with pytest.raises(SystemExit):  # one that comes later does not wait
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
