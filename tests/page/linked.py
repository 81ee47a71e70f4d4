"""A page whose later sections have a few figures each, and the records of the jobs behind them."""

from pathlib import Path

import pandas as pd

from distillery.store.metrics import COLUMNS
from tests.unit.report.made import built, rows_of
from tests.unit.report.sections import test_search
from tests.unit.report.sections.test_confusion import counted

CELLS = [("dc", "real", 1), ("dc", "real", 10), ("random", "real", 1)]
LEVELS = {"dc": 0.7, "random": 0.5}
NETWORKS = ("ConvNet", "MLP")
STRATEGIES = {"finetune": "", "joint": "", "replay": "given", "afterwards": "per_step"}


def linked(folder: Path) -> Path:
    """Write the page into a folder, and what it reads; two sets of each cell, under two kinds of
    labels."""
    rows = [row for cell in CELLS for network in NETWORKS for row in _evaluated(cell, network)]
    rows += test_search.FULL
    for method, init, ipc in CELLS:
        ranked = {"a": 0.2, "b": 0.4, "c": 0.3}
        rows += test_search.rows_of(method, init, ranked, test_search.CORRELATED, ipc)
    rows += [row for strategy in STRATEGIES for row in _continual(strategy)]
    built(
        {
            "metrics": pd.DataFrame(rows).reindex(columns=list(COLUMNS)),
            "costs": list(_records()),
            "sets": [],
            "evolutions": [],
            "confusions": [counted(folder / "counts", [0, 1, 0, 0, 2, 2], 3)],
            "data": [],
            "config": {"study": "Linked"},
            "provenance": {},
        },
        folder / "report.html",
    )
    return folder / "report.html"


def _evaluated(cell: tuple, network: str) -> list[dict]:
    method, init, ipc = cell
    top = LEVELS[method] + 0.01 * ipc
    rows = rows_of(method, init, {seed: [top - 0.01, top + 0.01] for seed in (0, 1)}, ipc=ipc)
    rows = [{**row, "network": network, "labels": "soft"} for row in rows]
    hard = [{**row, "measure": "accuracy_by_labels", "labels": "hard"} for row in rows]
    parts = [{**row, "measure": "accuracy_of_first", "first": 1} for row in rows if ipc > 1]
    return [*rows, *hard, *parts]


def _continual(strategy: str) -> list[dict]:
    about = {"rule": "continual", "dataset": "MNIST", "network": "ConvNet", "strategy": strategy}
    about |= {"steps": 2, "order": 0, "split": "test", "model": 0}
    if kind := STRATEGIES[strategy]:
        about |= {"method": "dc", "init": "real", "ipc": 1, "seed": 0, "memory": kind}
    rows = [
        {**about, "stage": stage, "group": group, "measure": "accuracy", "value": 0.5}
        for stage in (0, 1)
        for group in (0, 1)
    ]
    return [*rows, {**about, "stage": 1, "measure": "overall_accuracy", "value": 0.5}]


def _records():
    """The records of more jobs than any figure is from."""
    for dataset in ("MNIST", "FashionMNIST"):
        yield _record("search_full", dataset=dataset)
        for strategy, kind in STRATEGIES.items():
            split = {"dataset": dataset, "steps": 2, "order": 0, "strategy": strategy}
            if not kind:
                yield _record("continual_alone", **split)
                continue
            for memory in ("given", "per_step"):
                for method, init, ipc in CELLS:
                    cell = {"method": method, "init": init, "ipc": ipc, "seed": 0}
                    yield _record("continual_memory", **split, memory=memory, **cell)
        yield _record("continual_whitened", dataset=dataset, steps=2, order=0, strategy="finetune")
        for method, init, ipc in CELLS:
            for seed in (0, 1):
                cell = {"dataset": dataset, "method": method, "init": init, "ipc": ipc}
                cell["seed"] = seed
                yield _record("distill", **cell)
                yield _record("search", **cell)
                for network in NETWORKS:
                    yield _record("evaluate_synthetic", **cell, network=network)


def _record(rule: str, **job) -> dict:
    asked = {name: str(value) for name, value in job.items()}
    return {"rule": rule, **job, "asked": {"job": asked}, "seconds": 1.0}
