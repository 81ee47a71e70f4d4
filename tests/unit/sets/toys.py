"""Made-up sets, and readers of what is exported of them."""

import csv
import json
from pathlib import Path

import torch
import yaml

from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact

ROOT = Path(__file__).resolve().parents[3]
MEAN, STD = {1: [0.1307], 3: [0.4914, 0.4822, 0.4465]}, {1: [0.3081], 3: [0.2023, 0.1994, 0.2010]}
CLASSES = ["T-shirt/top", "ankle boot", "a|b"]
PROTOCOL = {
    "epochs": 20,
    "lr": "learned",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch": 4,
    "decay": "half",
    "augment": "none",
    "models": 5,
}
CELL = {"dataset": "FashionMNIST", "method": "mtt", "init": "noise", "ipc": 2, "seed": 1}


def levels(channels=1, count=6):
    """(N, C, 16, 16) uint8 with every level in each image's channel."""
    generator = torch.Generator().manual_seed(channels)
    return (
        torch.stack(
            [torch.randperm(256, generator=generator).view(16, 16) for _ in range(count * channels)]
        )
        .view(count, channels, 16, 16)
        .to(torch.uint8)
    )


def made(channels=1, soft=False, step_size=0.03, **header):
    pixels = levels(channels)
    mean, std = (torch.tensor(values[channels]).view(-1, 1, 1) for values in (MEAN, STD))
    labels = torch.tensor([2, 2, 0, 0, 1, 1])
    if soft:
        labels = torch.softmax(
            torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
            + 9 * torch.nn.functional.one_hot(labels),
            1,
        )
    about = {
        **CELL,
        "classes": CLASSES,
        "normalization": {"kind": "channel", "mean": MEAN[channels], "std": STD[channels]},
        "licence": "MIT",
        "settings": {"iterations": 100, "lr_images": 1000},
        "network": {"name": "ConvNet", "options": {"depth": 3}},
        "iterations": 100,
        "version": "0.1.0",
        "code": "0123456789abcdef",
        "protocol": PROTOCOL,
    }
    return SyntheticSet((pixels / 255 - mean) / std, labels, step_size, {**about, **header})


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def front(card):
    """The metadata of a card, and the rest."""
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


MEASURED = {
    **PROTOCOL,
    "lr": 0.01,
    "epochs": 7,
    "batch": 256,
    "models": 2,
    "curve": 3,
    "selection": None,
}


def recorded(folder, **changes):
    """The study's records beside its table: of the networks on the set and on the whole dataset."""
    digest = artefact.digest(made().tensors())
    own = {
        "rule": "evaluate_synthetic",
        **CELL,
        "network": "ConvNet",
        "settings": MEASURED,
        "inputs": {"synthetic": [digest]},
        **changes,
    }
    other = {**own, "network": "MLP", "settings": {**MEASURED, "lr": "learned"}}
    whole = {
        "rule": "train_vanilla",
        "dataset": "FashionMNIST",
        "network": "ConvNet",
        "settings": {**MEASURED, "epochs": 3},
    }
    (folder / "costs.json").write_text(json.dumps([whole, other, own]), encoding="utf-8")
