"""A GPU's mistakes, found without one: methods, trainings and tests on a device that is not the
CPU (``elsewhere``), and how often the host waits for it."""

import importlib
from collections import Counter
from dataclasses import replace

import pytest
import torch

from distillery.images.labelled import Images
from distillery.methods import _driver
from distillery.recipe import Recipe
from distillery.store.ledger import Ledger
from distillery.training import experts as training_experts
from distillery.training.train import test as measure
from distillery.training.train import train
from tests.unit.elsewhere import DEVICE, Elsewhere
from tests.unit.evaluation import test_resumed as jobs
from tests.unit.methods.conftest import SMALL, Experts, Moved, blobs, task_of

pytestmark = pytest.mark.slow

DISTILLED = ["dc", "dsa", "dm", "mtt", "tesla", "rat_bptt", "ncfm"]
CHOSEN = ["random", "herding", "k_center", "el2n", "forgetting", "ccs", "soft_random", "rded"]


@pytest.fixture(scope="module")
def experts():
    return Experts()


def task_on(device, method, experts):
    changes = dict(SMALL.get(method.__name__.rpartition(".")[2], {}))
    if "augment" in getattr(method, "SETTINGS", {}):
        changes["augment"] = "dsa"
    task = task_of(method, ipc=2, **changes)
    images, labels = blobs()
    return replace(
        task,
        images=device.put(images),
        labels=device.put(labels),
        initial=device.put(task.initial),
        experts=Moved(experts, DEVICE) if getattr(method, "NEEDS_EXPERTS", False) else None,
    )


# ---- the device itself


def test_it_refuses_what_a_gpu_would_and_notes_what_it_waits_for():
    with Elsewhere() as device:
        here, there = torch.ones(3), device.put(torch.arange(3.0))
        with pytest.raises((AssertionError, RuntimeError)):
            here + there
        with pytest.raises(RuntimeError):
            torch.rand(3, generator=torch.Generator(), device="cuda")
        assert (there * 2).device == DEVICE and not device.waits
        assert there.cpu().tolist() == [0, 1, 2] and float(there.sum()) == 1
        assert there[there > 1].device == DEVICE
        there[torch.tensor([0])]
    assert [wait.split(" at ")[0] for wait in device.waits] == [
        "aten::_to_copy",
        "aten::_local_scalar_dense",
        "aten::index",
        "aten::index by a tensor of the host",
    ]


# ---- methods


@pytest.mark.parametrize("name", DISTILLED)
def test_no_step_of_a_distillation_waits_for_the_device(name, experts):
    module = importlib.import_module(f"distillery.methods.{name}")
    with Elsewhere() as device:
        method = module.build(task_on(device, module, experts))
        state = method.init()
        device.waits.clear()
        for t in range(1, 4):
            loss = None
            while loss is None:
                state, loss = method.step(state, t)
            result = method.result(state)
        assert result.images.device == result.labels.device == loss.device == DEVICE
    assert Counter(device.waits) == {}


class Unread:
    """A recorder that reads nothing."""

    def iteration(self, iteration, **noted):
        pass


# As little else as a step can be.
SHORT = {"dm": {"augment": "none"}, "mtt": {"augment": "none", "syn_steps": 1}}


@pytest.mark.parametrize("name", SHORT)
def test_a_run_looks_at_the_device_every_tenth_iteration_and_at_its_end(name, experts):
    module = importlib.import_module(f"distillery.methods.{name}")
    with Elsewhere() as device:
        task = task_on(device, module, experts)
        waits = []
        for iterations in (10, 20):
            device.waits.clear()
            settings = {**task.settings, **SHORT[name], "iterations": iterations}
            _driver.run(module, replace(task, settings=settings), Unread())
            waits.append(len(device.waits))
    assert waits[1] - waits[0] <= 5, "one look: is it finite, its loss, its step size twice"


@pytest.mark.parametrize("name", CHOSEN)
def test_a_coreset_is_chosen_on_the_device(name, experts):
    module = importlib.import_module(f"distillery.methods.{name}")
    with Elsewhere() as device:
        chosen = module.select(task_on(device, module, experts))
    images = getattr(chosen, "images", None)
    assert images is None or images.device == DEVICE


# ---- trainings and tests


@pytest.fixture
def data():
    """Makes the images of ``jobs`` on the device that watches."""
    with Elsewhere() as device:
        given = jobs.data  # a test may put what is made here in its place

        def made(count, seed):
            images = given(count, seed)
            return Images(device.put(images.images), device.put(images.labels))

        made.device = device
        yield made


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_a_training_waits_for_the_device_once_an_epoch(data, optimiser, mix):
    recipe = Recipe(epochs=3, lr=0.1, batch=8, optimiser=optimiser, mix=mix, augment="dsa")
    learned = data(16, 1)
    data.device.waits.clear()
    stack = train(jobs.bench_with(Ledger(), []), recipe, learned, range(2))
    assert stack.flat().device == DEVICE
    assert len(data.device.waits) == recipe.trained_epochs, data.device.waits


@pytest.mark.parametrize("answers", [False, True], ids=["summed", "answers"])
def test_a_test_waits_for_the_device_at_its_end_alone(data, answers):
    bench = jobs.bench_with(Ledger(), [])
    stack = train(bench, jobs.RECIPE, data(16, 1), range(2))
    waits = []
    for count in (12, 1500):  # three batches
        tested = data(count, 2)
        data.device.waits.clear()
        measure(stack, tested, bench.compute, answers=answers)
        waits.append(list(data.device.waits))
    assert len(waits[0]) == len(waits[1]) == 3 + answers, waits


def test_experts_are_trained_on_the_device(data):
    given = training_experts.train_experts(
        jobs.bench_with(Ledger(), []), jobs.RECIPE, data(16, 1), [0, 1, 2]
    )
    assert given.device.type == "cpu" and given.shape[:2] == (3, jobs.RECIPE.epochs + 1)


@pytest.mark.parametrize(
    "job",
    # `searched` counts operations by tracing, which no mode may watch.
    [job for job in jobs.JOBS if job is not jobs.searched],
    ids=lambda job: job.__name__,
)
def test_every_job_runs_on_the_device(data, job, monkeypatch):
    monkeypatch.setattr(jobs, "data", data)
    job(jobs.bench_with(Ledger(), []))
