"""A made study of three datasets, three sizes and ten methods, half of them on one dataset alone:
as many as a page should stand."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.metrics import COLUMNS
from tests.unit.report import made

DATASETS = {"MNIST": 0.86, "FashionMNIST": 0.74, "CIFAR10": 0.34}
SIZES = (1, 10, 50)
# By how many points a method is above the worst.
METHODS = {
    "dc": 4.0,
    "dsa": 5.5,
    "dm": 5.0,
    "mtt": 7.5,
    "tesla": 7.6,
    "ncfm": 6.8,
    "random": 0.0,
    "herding": 2.0,
    "k_center": 1.0,
    "rded": 3.0,
}
# On the other datasets as well; to make and to read a page takes as long as it has sets.
EVERYWHERE = ("dc", "mtt", "ncfm", "random", "herding")
STEPS = (0, 5, 10, 20, 40, 60, 80, 90, 100)


def made_study(folder: Path) -> dict:
    """Write sets and evolutions into a folder; returns what ``report.page.build`` asks for."""
    draw = np.random.default_rng(0)
    rows, costs, sets, evolutions = [], [], [], []
    for dataset, low in DATASETS.items():
        for network in ("ConvNet", "ResNet18"):
            common = {"rule": "train_vanilla", "dataset": dataset, "method": "whole"}
            rows += made.training(draw, {**common, "network": network}, low + 0.12, 2, 20)
            costs.append(_job("train_vanilla", dataset, network=network, seconds=300.0))
        for ipc in SIZES:
            for method in METHODS if dataset == "MNIST" else EVERYWHERE:
                points = METHODS[method]
                top = low + points / 100 + 0.02 * SIZES.index(ipc)
                cell = (dataset, method, "real", ipc, 0)
                rows += _rows(draw, cell, top)
                costs += _jobs(cell)
                sets.append(_set(folder, cell))
                if points > 3:
                    evolutions.append(_evolution(folder, cell))
    return {
        "metrics": pd.DataFrame(rows).reindex(columns=list(COLUMNS)),
        "costs": costs,
        "sets": sets,
        "evolutions": evolutions,
        "data": [],
        "config": {"study": "Three datasets, three sizes, ten methods", "seed": 0},
        "provenance": {"device": "A graphics card", "commit": "0123456789ab"},
    }


def _rows(draw: np.random.Generator, cell: tuple, top: float) -> list[dict]:
    """Return a set's measurements, those of :mod:`tests.unit.report.made` at another level."""
    dataset, method, init, ipc, seed = cell
    here = {"dataset": dataset, "method": method, "init": init, "ipc": ipc, "seed": seed}
    rows = []
    for network, lost in (("ConvNet", 0.0), ("ResNet18", 0.1)):
        common = {**here, "rule": "evaluate_synthetic", "network": network}
        rows += made.training(draw, common, top - lost, 3, 300)
        for model in range(3):
            value = top - lost - 0.01 + 0.004 * draw.standard_normal()
            where = {"split": "validation", "model": model, "selection": "last"}
            rows.append({**common, **where, "measure": "accuracy", "value": value})
        rows.append({**common, "measure": "training_flops", "value": 1e12 * ipc})
        rows.append({**common, "measure": "macs_per_image", "value": 51.6e6})
        rows.append({**common, "measure": "parameters", "value": 320010})
        rows.append({**common, "measure": "images_seen", "value": ipc * 3000})
    if METHODS[method] > 3:
        for step in range(1, 101):
            loss = (1 + 0.03 * draw.standard_normal()) * np.exp(-step / 40)
            rows.append({**here, "rule": "distill", "iteration": step, "measure": "matching_loss"})
            rows[-1]["value"] = loss
    return rows


def _job(rule: str, dataset: str, **about) -> dict:
    return {
        "rule": rule,
        "dataset": dataset,
        "method": "whole",
        "device": "cuda",
        "device_name": "A graphics card",
        "code": "ab12" * 16,
        "started": "2026-01-02T10:00:00+00:00",
        "versions": {"python": "3.11.9", "torch": "2.14.1"},
        "peak_memory_bytes": 3.2e9,
        "memory_kind": "device",
        "settings": {"models": 2, "epochs": 20, "lr": 0.01},
        **about,
    }


def _jobs(cell: tuple) -> list[dict]:
    dataset, method, init, ipc, seed = cell
    here = {"method": method, "init": init, "ipc": ipc, "seed": seed}
    seconds = 60.0 * ipc if METHODS[method] > 3 else 0.5
    jobs = [_job("distill", dataset, **here, seconds=seconds, settings={"iterations": 100})]
    for network in ("ConvNet", "ResNet18"):
        settings = {"models": 3, "epochs": 300, "lr": 0.01}
        about = {"network": network, "seconds": 12.0 + ipc, "settings": settings}
        jobs.append(_job("evaluate_synthetic", dataset, **here, **about))
    return jobs


def _header(cell: tuple) -> dict:
    dataset, method, init, ipc, seed = cell
    like = dataset if dataset in made.STATISTICS else "MNIST"
    return {**made.header(like, "dc", init, ipc, seed), "dataset": dataset, "method": method}


def _images(cell: tuple, mixed: float = 1.0) -> torch.Tensor:
    dataset, _, init, ipc, seed = cell
    like = dataset if dataset in made.STATISTICS else "MNIST"
    return made.dummy_images(like, "dc", init, min(ipc, 10), seed, mixed)


def _set(folder: Path, cell: tuple) -> Path:
    path = folder / f"{'_'.join(map(str, cell))}.safetensors"
    images = _images(cell)
    labels = torch.arange(10).repeat_interleave(len(images) // 10)
    SyntheticSet(images, labels, None, _header(cell)).save(path)
    return path


def _evolution(folder: Path, cell: tuple) -> Path:
    path = folder / f"{'_'.join(map(str, cell))}_evolution.safetensors"
    frames = torch.stack([_images(cell, 0.3 + 0.007 * step)[::5] for step in STEPS])
    tensors = {"images": frames, "iterations": torch.tensor(STEPS)}
    artefact.save(path, tensors, _header(cell))
    return path
