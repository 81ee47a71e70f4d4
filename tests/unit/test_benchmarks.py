"""The benchmark compares like with like: its textbook twins compute what the library computes, and
its command runs."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import convolutions, present, textbook
from benchmarks.cases import CLASSES, Case, flops, grid, material, stream
from distillery import networks
from distillery.compute import winograd
from distillery.compute.device import Compute
from distillery.evaluation import evaluate
from distillery.images.labelled import Images
from distillery.methods import _gradient_distance as matching
from distillery.methods import base
from distillery.methods._unroll import Unroll
from distillery.recipe import Recipe
from distillery.training import experts
from distillery.training import train as training

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
EAGER = Compute("float32", "off")


def _twins(case, dtype):
    """The inputs of a case in ``dtype``, the library's apply, and the textbook's network with the
    same parameters."""
    inputs = material(case, CPU)
    for name in ("images", "initial", "start", "goal"):
        setattr(inputs, name, getattr(inputs, name).to(dtype))
    inputs.params = {name: value.to(dtype) for name, value in inputs.params.items()}
    apply, _ = networks.functional(base.network(case.network, CPU))
    model = textbook.load(textbook.ConvNet(**textbook.shape(case.network)).to(dtype), inputs.params)
    return inputs, apply, model


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mnist", "tiny"])
def test_gradient_matching_is_the_same(data):
    case = Case("dc", data=data, ipc=2, real=4, batch=4, width=4)
    inputs, apply, _ = _twins(case, torch.float64)
    options = {"outer": 1, "inner": 0, "batch": 4, "lr": 0.01}
    twin = textbook.GradientMatching(
        textbook.shape(case.network),
        inputs.images,
        inputs.labels,
        inputs.initial,
        inputs.targets,
        **options,
    )
    twin.fresh()
    textbook.load(twin.model, inputs.params)
    expected = twin.step()

    gradient = matching.class_gradient(apply)
    weights = torch.full((4,), 0.25, dtype=torch.float64)
    reals = [
        gradient(inputs.params, inputs.images[inputs.labels == c], torch.full((4,), c), weights)
        for c in range(CLASSES)
    ]
    reals = {name: torch.stack([real[name] for real in reals]) for name in inputs.params}
    by_class = inputs.initial.view(CLASSES, 2, *inputs.initial.shape[1:])
    found, _ = matching.image_gradient(apply)(
        inputs.params, by_class, inputs.targets.view(CLASSES, 2), reals
    )
    assert twin.model.classifier.weight.dtype == torch.float64
    assert command.disagreement(found.flatten(), expected.flatten())["relative"] < 1e-10


def test_the_unrolled_gradient_is_the_same():
    case = Case("mtt", data="tiny", ipc=2, steps=4, width=4)
    inputs, apply, model = _twins(case, torch.float64)
    alpha = torch.tensor(0.1, dtype=torch.float64)
    loss, images, step_size = textbook.unrolled(
        model, inputs.start, inputs.goal, inputs.initial, inputs.targets, alpha, steps=4
    )
    found = Unroll(apply, inputs.params)(
        inputs.start, inputs.goal, inputs.initial, inputs.targets, alpha, steps=4
    )
    assert torch.allclose(found.loss, loss, rtol=1e-10)
    assert torch.allclose(found.step_size, step_size, rtol=1e-8)
    assert command.disagreement(found.images.flatten(), images.flatten())["relative"] < 1e-9


def test_an_expert_and_an_evaluation_are_trained_alike():
    case = Case("experts", data="tiny", real=20, batch=20, width=4)
    inputs, _, model = _twins(case, torch.float32)
    recipe = Recipe(epochs=3, lr=0.05, batch=20)
    images = Images(inputs.images, inputs.labels)
    bench = training.Bench(network=case.network, stream=stream, compute=EAGER)
    trajectory = experts.train_experts(bench, recipe, images, [0])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    for epoch in range(4):
        assert torch.allclose(
            torch.nn.utils.parameters_to_vector(model.parameters()).detach(),
            trajectory[0, epoch],
            atol=1e-5,
        )
        textbook.train_epoch(model, [(inputs.images, inputs.labels)], optimiser)

    _, _, model = _twins(case, torch.float32)
    recipe = Recipe(epochs=2, lr=0.05, batch=20, momentum=0.9, weight_decay=5e-4)
    found = evaluate.accuracies(evaluate.measure(bench, recipe, images, {"test": images}, models=1))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    loader = textbook.DataLoader(
        textbook.TensorDataset(inputs.images, inputs.labels), batch_size=20, shuffle=True
    )
    for _ in range(2):
        textbook.train_epoch(model, loader, optimiser)
    assert textbook.test_epoch(model, loader)[1] == pytest.approx(found[0])


@pytest.mark.slow
def test_the_arithmetic_is_counted():
    # 50.7 million multiply-adds forward, three times that for a gradient less the first layer's
    # input gradient.
    forward = flops(Case("test", ipc=1, real=10)) / (20 * 10_000)
    assert forward == pytest.approx(2 * 50.7e6, rel=0.01)
    gradient = flops(Case("experts", real=10)) / 50_000
    assert 2.8 * forward < gradient < 3 * forward
    one, ten = (flops(Case("mtt", ipc=ipc, steps=20)) for ipc in (1, 10))
    assert ten == pytest.approx(10 * one)
    assert flops(Case("mtt", ipc=1, steps=40)) == pytest.approx(2 * one, rel=0.05)


def test_every_case_has_its_own_name():
    for quick in (False, True):
        for tiny in (False, True):
            names = [case.name for case in grid(quick, tiny)]
            assert len(set(names)) == len(names)
    assert len(grid(True, False)) < len(grid(False, False))


def test_full_unrolling_stops_where_it_no_longer_fits(monkeypatch):
    limits = command.Limits(repeats=1, budget=1, longest=30)
    before = [{"steps": 10, "seconds": 4.0, "baseline_bytes": 1e9, "peak_bytes": 5e9}]
    monkeypatch.setattr(command, "available_memory", lambda: 20e9)
    assert command.too_much(Case("mtt", ipc=10, steps=10), [], limits) is None
    assert command.too_much(Case("mtt", ipc=10, steps=20), before, limits) is None
    assert "would need about 33 GB, 20 GB are free" in command.too_much(
        Case("mtt", ipc=10, steps=80), before, limits
    )
    monkeypatch.setattr(command, "available_memory", lambda: None)
    assert "would take about 32 s" in command.too_much(
        Case("mtt", ipc=10, steps=80), before, limits
    )
    assert (
        command.too_much(Case("mtt", ipc=10, steps=80), [{"steps": 40, "skipped": "so"}], limits)
        == "so"
    )


def test_memory_growth_is_set_against_the_stored_parameters():
    cases = [
        {
            "kind": "mtt",
            "ipc": 1,
            "steps": n,
            "parameters": 1000,
            "sides": {"ours": {"seconds": 1.0, "peak_bytes": 10_000 + 4_000 * n}},
        }
        for n in (10, 20, 80)
    ]
    assert present.growth(cases) == {
        "1": {"from": 10, "to": 80, "grown_bytes": 280_000, "stored_bytes": 280_000}
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The environment of two runs of the command, of which the second finds its functions
    compiled."""
    return {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path_factory.mktemp("compiled"))}


@pytest.mark.long
def test_the_command_runs_and_writes_its_results(tmp_path, compiled):
    arguments = [
        "--quick",
        "--tiny",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--only",
        "dc-tiny-ipc1",
        "--output",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=compiled,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dc-tiny-ipc1" in done.stdout
    record = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert [entry["name"] for entry in record["cases"]] == ["dc-tiny-ipc1"]
    for entry in record["cases"]:
        for side in ("ours", "textbook"):
            assert entry["sides"][side]["seconds"] > 0 and entry["sides"][side]["peak_bytes"] > 0
        assert entry["sides"]["textbook"]["disagreement"]["relative"] < command.TOLERANCE
    assert (tmp_path / "out" / "bench.png").stat().st_size > 0


@pytest.mark.long
def test_what_was_measured_is_kept_when_it_is_stopped(tmp_path, compiled):
    """After the first of two cases: it is on the disk before the next begins, and printed and drawn
    in the end."""
    arguments = [
        "--quick",
        "--tiny",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--only",
        "dc",
        "--output",
        str(tmp_path / "out"),
    ]
    command_line = [sys.executable, "-m", "benchmarks", *arguments]
    run = subprocess.Popen(
        command_line,
        cwd=ROOT,
        env=compiled,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    written = tmp_path / "out" / "bench.json"
    while not written.exists() and run.poll() is None:
        time.sleep(0.05)
    before = json.loads(written.read_text())
    run.send_signal(signal.SIGTERM)
    told, errors = run.communicate(timeout=120)
    record = json.loads(written.read_text())
    assert before["cases"] == record["cases"] and record["cases"][0]["sides"]["ours"]["seconds"] > 0
    assert [entry["name"] for entry in record["cases"]] == ["dc-tiny-ipc1"]
    assert run.returncode == 128 + signal.SIGTERM and "Traceback" not in errors
    assert "dc-tiny-ipc1" in told and "stopped after 1 of 2 cases" in told and "written:" in told
    assert (
        record["stopped_after"] == "1 of 2 cases"
        and (tmp_path / "out" / "bench.png").stat().st_size > 0
    )


@pytest.mark.long
def test_a_peer_without_the_names_is_refused_in_one_line(tmp_path):
    (tmp_path / "utils.py").write_text("def get_network(): ...\n")
    order = {
        "side": "peer",
        "threads": 1,
        "peer": str(tmp_path),
        "profile": False,
        "case": {"kind": "dc", "data": "tiny", "ipc": 1, "real": 2, "width": 4},
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", json.dumps(order)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1]
        == f"error: {tmp_path / 'utils.py'} has no match_loss, epoch, TensorDataset"
    )
    assert "Traceback" not in done.stderr


PEERS = {
    "utils": """
from torch.utils.data import TensorDataset
from benchmarks import textbook
def get_network(model, channel, num_classes, im_size):
    return textbook.ConvNet(channel, im_size[0], num_classes, width=4, depth=2)
def match_loss(gw_syn, gw_real, args):
    assert args.dis_metric == "ours" and args.device == "cpu"
    return textbook.distance(gw_syn, gw_real)
def epoch(mode, dataloader, net, optimizer, criterion, args, aug):
    assert mode == "train" and not aug
    return textbook.train_epoch(net, dataloader, optimizer)
""",
    "networks": """
from benchmarks import textbook
def ConvNet(channel, num_classes, net_width, net_depth, net_act, net_norm, net_pooling, im_size):
    return textbook.ConvNet(channel, im_size[0], num_classes, width=net_width, depth=net_depth)
""",
    "reparam_module": """
import torch
class ReparamModule(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module
        self.shapes = {name: value.shape for name, value in module.named_parameters()}
    def forward(self, images, flat_param):
        parts = flat_param.split([shape.numel() for shape in self.shapes.values()])
        values = {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts)}
        return torch.func.functional_call(self.module, values, (images,))
""",
}


@pytest.mark.long
@pytest.mark.parametrize("kind, steps, inner", [("dc", 0, 1), ("mtt", 3, 0)])
def test_a_peer_is_driven_through_its_own_functions(tmp_path, kind, steps, inner):
    """A stand-in with the names that the published repositories have: its first gradient is the
    textbook's."""
    for name, text in PEERS.items():
        (tmp_path / f"{name}.py").write_text(text)
    shared = {
        "threads": 1,
        "profile": False,
        "precision": "float32",
        "compile": "off",
        "peer": str(tmp_path),
    }
    case = Case(kind, data="tiny", ipc=2, steps=steps, inner=inner, real=4, batch=4, width=4)
    orders = {
        side: {"side": side, "case": asdict(case), **shared}
        for side in ("ours", "textbook", "peer")
    }
    results = command.measure(case, orders, command.Limits(repeats=1, budget=1, longest=1))
    for side in ("textbook", "peer"):
        assert results[side]["disagreement"]["relative"] < 1e-3, results
        assert results[side]["seconds"] > 0


def test_convolutions_are_timed_or_said_not_to_be_ours(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(convolutions.time, "process_time", lambda: next(clock) / 1000)
    narrow, wide = convolutions.rows([(10, 3, 8), (10, 32, 16)], 0.0)
    assert narrow.startswith("| 10 | 3, 8 x 8 | not computed by ours |")
    if winograd.library() is None:
        pytest.skip("the kernels cannot be compiled for this processor")
    # Each call took one tick of that clock.
    assert wide == "| 10 | 32, 16 x 16 | 1.00 | 1.00 | 1.00x | 1.00 | 1.00 | 1.00x |"
