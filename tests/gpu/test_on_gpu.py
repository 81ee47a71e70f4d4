"""What no CPU shows: captured graphs, stacks of networks, the end of a device's memory, two jobs on
one device, and jobs that move from a device to the host and back.

``make test-gpu`` on a machine with a CUDA device. Networks and images are the small ones of the
methods' own tests. Nothing here compares bits: two devices add in different orders.
"""

import importlib
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from distillery.compute import device as devices
from distillery.compute.device import Compute
from distillery.images.labelled import Images
from distillery.methods import _driver
from distillery.networks import NetworkSpec
from distillery.store.checkpoint import NONE, Checkpoint
from distillery.store.ledger import Ledger
from distillery.training import stack as stacks
from distillery.training.train import test as measure
from distillery.training.train import train
from tests.unit.evaluation import test_resumed as jobs
from tests.unit.methods.conftest import SMALL, Experts, Moved, task_of
from tests.unit.methods.test_driver import Killed, KilledError

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
METHODS = ["dc", "dsa", "dm", "mtt", "tesla", "rat_bptt", "ncfm"]
CHANGES = {**SMALL, "dm": {"augment": "dsa"}}


class Unread:
    """A recorder that keeps nothing."""

    def iteration(self, iteration, **noted):
        pass

    def state(self):
        return {}

    def restore(self, state):
        pass


@pytest.fixture(scope="module")
def experts():
    return Experts()


@pytest.fixture
def compiled(device, monkeypatch):
    """Compile however short the work is, and fail where a graph cannot be captured."""
    if not devices.can_compile(device.type):
        pytest.skip("needs a compiler: Triton for CUDA, C++ for the CPU")
    monkeypatch.setattr(devices, "WORTH_COMPILING_SECONDS", 0.0)
    return Compute("float32", "auto")


def distil(name, device, experts, compute=None, checkpoint=NONE, iterations=3):
    """Distil blobs on a device: the final images on the host, and how far they went at most."""
    module = importlib.import_module(f"distillery.methods.{name}")
    task = task_of(module, ipc=2, **CHANGES.get(name, {}) | {"iterations": iterations})
    start = task.initial
    task = replace(
        task,
        images=task.images.to(device),
        labels=task.labels.to(device),
        initial=start.to(device),
        compute=compute or task.compute,
        experts=Moved(experts, device) if getattr(module, "NEEDS_EXPERTS", False) else None,
    )
    images = _driver.run(module, task, Unread(), checkpoint).images
    assert images.device.type == device.type
    return images.cpu(), float((images.cpu() - start).abs().max())


def assert_same_way(one, other, share):
    """Assert that images which went some way ended within a share of it."""
    (images, way), (others, _) = one, other
    assert way > 0
    assert float((images - others).abs().max()) <= share * way


def data(device, count, seed):
    images = jobs.data(count, seed)
    return Images(images.images.to(device), images.labels.to(device))


def bench(compute=None, network=None):
    given = jobs.bench_with(Ledger(), [])
    return replace(given, compute=compute or given.compute, network=network or given.network)


# ---- the device against the host


@pytest.mark.parametrize("name", METHODS)
def test_a_method_goes_the_same_way_as_on_the_host(name, device, experts):
    assert_same_way(distil(name, device, experts), distil(name, CPU, experts), 0.01)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_stays_near_in_low_precision(name, device, experts):
    images, way = distil(name, device, experts, Compute("auto", "off"))
    assert bool(torch.isfinite(images).all()) and way > 0
    assert_same_way((images, way), distil(name, device, experts), 0.5)


def test_a_training_learns_what_it_learns_on_the_host(device):
    there, here = (
        train(bench(), jobs.RECIPE, data(where, 16, 1), range(1)).flat().cpu()
        for where in (device, CPU)
    )
    assert torch.allclose(there, here, atol=1e-3)


# ---- captured graphs


def test_what_a_graph_gave_outlives_its_next_call(cuda):
    function = devices._Captured(lambda x: {"twice": 2 * x, "sum": x.sum()})
    first = [function(torch.full((4,), float(n), device=cuda)) for n in range(5)]
    assert function._captured is not None, "the graph could not be captured"
    for n, given in enumerate(first):
        assert given["twice"].tolist() == [2.0 * n] * 4 and float(given["sum"]) == 4 * n


@pytest.mark.filterwarnings("error:capturing a CUDA graph failed")
@pytest.mark.parametrize("name", ["dc", "dm", "mtt"])
def test_a_compiled_distillation_goes_the_same_way(name, device, experts, compiled):
    assert_same_way(distil(name, device, experts, compiled), distil(name, device, experts), 0.01)


@pytest.mark.filterwarnings("error:capturing a CUDA graph failed")
def test_a_compiled_training_learns_what_an_eager_one_learns(device, compiled):
    learned, tested = data(device, 16, 1), data(device, 600, 2)
    fast, plain = (
        train(bench(compute), jobs.RECIPE, learned, range(2)) for compute in (compiled, None)
    )
    assert torch.allclose(fast.flat(), plain.flat(), atol=1e-3)
    rates = [measure(fast, tested, compute) for compute in (compiled, bench().compute)]
    assert str(rates[0]) == str(rates[1])


# ---- stacks and memory


def test_a_stack_learns_what_its_networks_learn_one_by_one(device):
    learned = data(device, 16, 1)
    together = train(bench(), jobs.RECIPE, learned, range(3)).flat()
    alone = [train(bench(), jobs.RECIPE, learned, range(n, n + 1)).flat() for n in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_a_stack_is_as_large_as_the_memory_that_is_free(cuda):
    wide = NetworkSpec("ConvNet", 3, 32, 10, {"width": 512})
    size = stacks.stack_size(wide, 10**6, cuda)
    assert 1 < size < 10**6
    assert stacks.stack_size(wide, size - 1, cuda) == size - 1


def test_out_of_memory_halves_a_stack_and_changes_nothing_else(cuda, caplog):
    wide = NetworkSpec("ConvNet", 1, 8, jobs.CLASSES, {"width": 256, "depth": 1, "norm": "none"})
    learned = data(cuda, 256, 1)
    recipe = replace(jobs.RECIPE, batch=256)

    def peak(count):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(cuda)
        kept = train(bench(network=wide), recipe, learned, range(count)).flat().cpu()
        return torch.cuda.max_memory_reserved(cuda), kept

    peak(1)  # what cuDNN and cuBLAS keep for good
    (few, _), (many, whole) = peak(2), peak(16)
    total = torch.cuda.get_device_properties(cuda).total_memory
    parts = []
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((few + many) / 2 / total, cuda)
    try:
        with caplog.at_level(logging.INFO, "distillery"):
            stacks.in_stacks(
                range(16),
                16,
                lambda models: parts.append(
                    train(bench(network=wide), recipe, learned, models).flat().cpu()
                ),
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
        torch.cuda.empty_cache()
    assert "out of memory with 16 networks at once: trying 8" in caplog.text
    assert len(parts) > 1 and torch.allclose(torch.cat(parts), whole, atol=1e-3)


# ---- two jobs on one device


JOB = """
import sys, torch
from distillery.compute.claim import claim
from tests.gpu import test_on_gpu as tests
from tests.unit.methods.conftest import Experts
with claim() as device:
    device = torch.device("cpu") if sys.argv[2] == "cpu" else device
    torch.save(tests.distil("dm", device, Experts(), iterations=50), sys.argv[1])
    print(device.type)
"""


def test_two_jobs_on_one_device_do_not_disturb_each_other(device, experts, tmp_path):
    visible = {"CUDA_VISIBLE_DEVICES": "0"} if device.type == "cuda" else {}
    environment = {**os.environ, **visible, "PYTHONPATH": str(ROOT)}
    paths = [tmp_path / f"{n}.pt" for n in range(2)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", JOB, str(path), device.type],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for path in paths
    ]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert said == [[device.type]] * 2
    alone = distil("dm", device, experts, iterations=50)
    for path in paths:
        assert_same_way(torch.load(path, weights_only=True), alone, 0.05)


# ---- from one device to another


@pytest.mark.parametrize("name", ["dc", "dm", "mtt"])
def test_a_distillation_resumes_on_another_device(name, device, experts, tmp_path):
    whole = distil(name, CPU, experts, iterations=4)
    for number, (first, second) in enumerate([(device, CPU), (CPU, device)]):
        path = tmp_path / f"state{number}"
        with pytest.raises(KilledError):
            distil(name, first, experts, checkpoint=Killed(path, 2), iterations=4)
        assert path.exists()
        resumed = distil(name, second, experts, checkpoint=Checkpoint(path, {}), iterations=4)
        assert_same_way(resumed, whole, 0.02)


@pytest.mark.parametrize("name", ["measured", "finetuned", "searched"])
def test_a_job_of_trainings_resumes_on_another_device(name, device, tmp_path, monkeypatch):
    where = {"now": device}
    given = jobs.data
    monkeypatch.setattr(
        jobs,
        "data",
        lambda count, seed: Images(
            *(tensor.to(where["now"]) for tensor in vars(given(count, seed)).values())
        ),
    )
    job, path = getattr(jobs, name), tmp_path / "state.safetensors"
    whole = job(jobs.bench_with(Ledger(), []))
    resumed, moves = None, 0
    while resumed is None:
        try:
            resumed = job(jobs.bench_with(Ledger(jobs.Interrupted(path, 3)), []))
        except InterruptedError:
            where["now"], moves = CPU if where["now"] == device else device, moves + 1
    assert moves >= 4
    assert_alike(resumed, whole)


def assert_alike(one, other):
    """Assert that two results have the same outline and, but for an answer or two of the few test
    images, the same numbers."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for part, twin in zip(one, other, strict=True):
            assert_alike(part, twin)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=0.1, rel=0.1, nan_ok=True)
    else:
        assert one == other
