"""The dummy study and its page, made once for all test files."""

import jinja2
import pytest
import torch

from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from tests.unit.report.made import CELLS, CONFIG, built, dummy_images, dummy_metrics, header


def pytest_collection_modifyitems(items):
    """Mark what reads the page of the whole study as slow: to make it takes seconds."""
    for item in items:
        if "page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _compiled_once():
    """Each template is compiled once, not for each page: that is a quarter of a small one."""
    compiled, usual_compile = {}, jinja2.Environment.compile

    def compile_once(self, source, *about, **named):
        asked = source, about, *sorted(named.items())
        if asked not in compiled:
            compiled[asked] = usual_compile(self, source, *about, **named)
        return compiled[asked]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jinja2.Environment, "compile", compile_once)
        yield


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Everything that ``build`` reads."""
    folder = tmp_path_factory.mktemp("study")
    sets, evolutions, costs = [], [], []
    for number, (dataset, method, init, ipc) in enumerate(CELLS):
        for seed in (0, 1):
            if (ipc, seed) == (10, 1):
                continue
            own = header(dataset, method, init, ipc, seed)
            images = dummy_images(dataset, method, init, ipc, seed)
            labels = torch.arange(10).repeat_interleave(ipc)
            sets.append(folder / f"set{number}_{seed}.safetensors")
            SyntheticSet(images, labels, 0.02 if method == "mtt" else None, own).save(sets[-1])
            distilled = method in ("dc", "mtt")
            cost = {
                "rule": "distill",
                **{key: own[key] for key in ("dataset", "method", "init", "ipc", "seed")},
                "network": "ConvNet",
                "seconds": 37.5 if distilled else 1.5,
                "peak_memory_bytes": 3.2e9,
                "memory_kind": "device",
                "device": "cuda",
                "device_name": "A graphics card",
                "threads": 2,
                "versions": {"python": "3.11.9", "torch": "2.14.1"},
                "code": "ab12" * 16,
                "started": f"2026-01-02T10:{number:02d}:0{seed}+00:00",
                "settings": own["settings"],
            }
            costs.append(cost)
            for network in ("ConvNet", "ResNet18"):
                costs.append(
                    {
                        **cost,
                        "rule": "evaluate_synthetic",
                        "network": network,
                        "seconds": 12.0,
                        "code": "cd34" * 16,
                    }
                )
            if distilled and seed == 0:
                steps = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
                frames = [
                    dummy_images(dataset, method, init, ipc, seed, mixed=0.3 + 0.007 * s)
                    for s in steps
                ]
                evolutions.append(folder / f"evolution{number}.safetensors")
                tensors = {"images": torch.stack(frames), "iterations": torch.tensor(steps)}
                artefact.save(evolutions[-1], tensors, own)
    vanilla = {
        **costs[0],
        "rule": "train_vanilla",
        "method": "whole",
        "init": "",
        "ipc": None,
        "seed": None,
        "seconds": 240,
    }
    costs.append(vanilla)
    return {
        "metrics": dummy_metrics(),
        "costs": costs,
        "sets": sets,
        "evolutions": evolutions,
        "data": [],
        "config": CONFIG,
        "provenance": {"device": "A graphics card", "commit": "0123456789ab"},
    }


@pytest.fixture(scope="session")
def part(study):
    """What of it is about MNIST at ten images per class: a page of a quarter of the time."""

    def about(given) -> bool:
        return given["dataset"] == "MNIST" and given["ipc"] in (10, None)

    metrics, costs = study["metrics"], [cost for cost in study["costs"] if about(cost)]
    sets, evolutions = (
        [path for path in study[kind] if about(artefact.header(path, rule=None))]
        for kind in ("sets", "evolutions")
    )
    assert costs and sets and evolutions
    kept = metrics[
        (metrics["dataset"] == "MNIST") & (metrics["ipc"].isna() | (metrics["ipc"] == 10))
    ]
    return {**study, "metrics": kept, "costs": costs, "sets": sets, "evolutions": evolutions}


@pytest.fixture(scope="session")
def page(study, tmp_path_factory):
    return built(study, tmp_path_factory.mktemp("page") / "report.html")
