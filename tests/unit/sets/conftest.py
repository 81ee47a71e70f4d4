"""Measurements of a made-up set."""

import pytest

from distillery.store.metrics import Metrics
from tests.unit.sets.toys import CELL


@pytest.fixture
def measured(tmp_path):
    """Two sets of a cell: what counts, and every kind of row that does not."""
    metrics = Metrics(rule="evaluate_synthetic", selection="last", split="test")
    for seed, values in ((1, [0.5, 0.7]), (2, [0.9, 0.5])):
        for model, value in enumerate(values):
            metrics.add("accuracy", value, **{**CELL, "seed": seed}, network="ConvNet", model=model)
    metrics.add("accuracy", 0.25, **CELL, network="MLP", model=0)
    for more in (
        {"split": "train"},
        {"selection": "best_test", "network": "LeNet"},
        {"epoch": 10},
        {"stage": 0, "strategy": "finetuning"},
        {"method": "dc"},
        {"init": "real"},
        {"ipc": 1},
        {"dataset": "MNIST"},
    ):
        metrics.add("accuracy", 0.01, **{**CELL, "network": "ConvNet", "model": 0, **more})
    for model, value in enumerate((0.75, 0.85)):
        metrics.add(
            "accuracy",
            value,
            dataset="FashionMNIST",
            method="whole",
            network="ConvNet",
            model=model,
        )
    metrics.add("class_accuracy", 0.02, **CELL, network="ConvNet", model=0, class_=1)
    metrics.add("loss", 0.03, **CELL, network="ConvNet", model=0)
    metrics.save(tmp_path / "metrics.csv")
    return tmp_path / "metrics.csv"
