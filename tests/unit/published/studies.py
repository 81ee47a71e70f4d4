"""Made-up studies whose figures are computed by hand, and readers of their document."""

import json
import re
from pathlib import Path

import torch

from distillery.published import document, records
from distillery.published.recording import record
from distillery.published.records import Cell, Job, Measured
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.files import write_text
from distillery.store.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "snakemake --cores 2 --configfile mine.yaml | tee log"
DC = {"iterations": 1000, "outer": "auto", "inner": "auto", "lr_images": 0.1}
MTT = {"iterations": 100, "syn_steps": 20, "expert_epochs": 1, "max_start_epoch": 2}
# In percent: 20 networks of the first set, 20 of the second.
FIRST, SECOND = [90.0 + 0.1 * i for i in range(20)], [91.0 + 0.1 * i for i in range(20)]


def save_cost(folder, rule, minute, seconds, settings, **more):
    job = {
        "rule": rule,
        "seconds": seconds,
        "started": f"2026-11-24T20:{minute:02d}:00+0000",
        "device": "cpu",
        "device_name": "A processor",
        "threads": 2,
        "versions": {"python": "3.11.7", "torch": "2.14.1+cpu"},
        "code": rule[:4],
        "settings": settings,
    }
    write_text(folder / "cost.json", json.dumps({**job, **more}))


class Study:
    """Writes what the workflow's jobs write, by the project's own writers."""

    def __init__(self, folder):
        self.folder, self.shards = folder, {}

    def set(
        self,
        method,
        init,
        ipc,
        seed,
        settings,
        *,
        dataset="MNIST",
        minute=10,
        seconds=100.0,
        width=128,
        of=None,
        experts=None,
        part=None,
        **cost,
    ):
        """Write a set, of a part of a step sequence where one is named, and return its digest."""
        cell = {"dataset": dataset, "method": method, "init": init, "ipc": ipc, "seed": seed}
        place = f"step_sets/{dataset}/{part}" if part else f"synthetic/{dataset}"
        folder = self.folder / place / f"{method}/{init}/ipc{ipc}/seed{seed}"
        options = {
            "activation": "relu",
            "depth": 3,
            "norm": "instance",
            "pooling": "avg",
            "width": width,
        }
        header = {
            **cell,
            "of": of,
            "experts": experts,
            "classes": ["0", "1"],
            "normalization": {"kind": "channel", "mean": [0.1], "std": [0.3]},
            "settings": settings,
            "network": {
                "name": "ConvNet",
                "channels": 1,
                "size": 28,
                "classes": 2,
                "options": options,
            },
            "iterations": settings.get("iterations", 0),
            "version": "0.1.0",
            "code": "made",
        }
        # A set of each step is another.
        images = torch.full((2, 1, 4, 4), seconds if part else 0.0)
        SyntheticSet(images, torch.tensor([0, 1]), None, header).save(
            folder / "synthetic.safetensors"
        )
        save_cost(folder, "distill", minute, seconds, settings, **cell, **cost)
        return artefact.header(folder / "synthetic.safetensors", rule="distill")["sha256"]

    def evaluation(
        self,
        method,
        init,
        ipc,
        seed,
        percents,
        *,
        dataset="MNIST",
        network="ConvNet",
        epochs=1000,
        batch=256,
        minute=30,
        best=None,
        **cost,
    ):
        cell = {"dataset": dataset, "method": method, "init": init, "ipc": ipc, "seed": seed}
        folder = self.folder / f"evaluate/{dataset}/{method}/{init}/ipc{ipc}/seed{seed}/{network}"
        metrics = Metrics(rule="evaluate_synthetic", **cell, network=network)
        self.accuracies(metrics, percents)
        for selection, values in (best or {}).items():
            for model, value in enumerate(values):
                snapshot = (
                    {"selection": "snapshot", "split": "validation"}
                    if selection == "held_out"
                    else {"selection": selection, "split": "test"}
                )
                metrics.add("accuracy", value / 100, model=model, **snapshot, iteration=50)
                metrics.add(
                    "accuracy",
                    0.99,
                    model=model,
                    selection="snapshot",
                    split="validation",
                    iteration=40,
                )
        metrics.save(folder / "metrics.csv")
        save_cost(
            folder,
            "evaluate_synthetic",
            minute,
            50.0,
            {"epochs": epochs, "models": len(percents), "augment": "none", "batch": batch},
            **cell,
            network=network,
            **cost,
        )

    def whole(self, percents, *, dataset="MNIST", epochs=20):
        folder = self.folder / f"vanilla/{dataset}/ConvNet"
        metrics = Metrics(rule="train_vanilla", dataset=dataset, method="whole", network="ConvNet")
        self.accuracies(metrics, percents)
        metrics.save(folder / "metrics.csv")
        save_cost(
            folder,
            "train_vanilla",
            20,
            30.0,
            {"epochs": epochs, "models": len(percents)},
            dataset=dataset,
            method="whole",
            network="ConvNet",
        )

    @staticmethod
    def accuracies(metrics, percents):
        """As `evaluate.measure` notes them: a curve, the end, and classes. Only the end is a
        figure."""
        for model, value in enumerate(percents):
            metrics.add("accuracy", 0.5, model=model, selection="last", split="test", epoch=1)
            metrics.add("accuracy", 1.0, model=model, selection="last", split="train")
            metrics.add("accuracy", value / 100, model=model, selection="last", split="test")
            metrics.add("loss", 1.0, model=model, selection="last", split="test")
            metrics.add(
                "class_accuracy", 0.2, model=model, selection="last", split="test", class_=0
            )

    def continual(
        self,
        strategy,
        stages,
        *,
        method=None,
        init=None,
        ipc=None,
        seed=None,
        minute=40,
        order=0,
        per_step=(),
        groups=2,
        **settings,
    ):
        """As `continual._Record` notes it: after each stage the accuracy on both groups and on all
        classes, of each network."""
        memory = {
            name: value
            for name, value in (("method", method), ("init", init), ("ipc", ipc), ("seed", seed))
            if value is not None
        }
        kind = {"memory": "per_step" if per_step else "given"} if memory else {}
        parts = (f"steps{groups}", f"order{order}", strategy, *kind.values(), *memory.values())
        folder = self.folder / "continual/MNIST" / "/".join(map(str, parts))
        metrics = Metrics(
            rule="continual", dataset="MNIST", **memory, network="ConvNet", strategy=strategy
        )
        for stage, overall in enumerate(stages):
            for model in range(2):
                for group in range(groups):
                    metrics.add(
                        "accuracy", 0.5, model=model, stage=stage, group=group, split="test"
                    )
                metrics.add("average_accuracy", 0.5, model=model, stage=stage, split="test")
                metrics.add(
                    "overall_accuracy",
                    (overall + model) / 100,
                    model=model,
                    stage=stage,
                    split="test",
                )
        for model in range(2):
            metrics.add("forgetting", 0.99, model=model, stage=len(stages) - 1, split="test")
            metrics.add("average_incremental_accuracy", 0.6, model=model, split="test")
        metrics.save(folder / "metrics.csv")
        save_cost(
            folder,
            "continual_memory" if memory else "continual_alone",
            minute,
            60.0,
            settings,
            dataset="MNIST",
            **memory,
            **kind,
            network="ConvNet",
            strategy=strategy,
            order=order,
            **({"inputs": {"memory": list(per_step)}} if per_step else {}),
        )

    def experts(self, shard, numbers, *, recipe="default", epochs=3, minute=5, dataset="MNIST"):
        folder = self.folder / f"experts/{dataset}/{recipe}/shard{shard}"
        metrics = Metrics(rule="train_experts", dataset=dataset, network="ConvNet")
        for number in numbers:
            metrics.add("loss", 1.0, model=number, split="train", epoch=1, selection="expert")
        metrics.save(folder / "metrics.csv")
        settings, shards = (
            {"epochs": epochs, "lr": 0.01},
            self.shards.setdefault((dataset, recipe), {}),
        )
        shards[f"{dataset} {recipe} {shard}"] = numbers
        outputs = {"trajectories.safetensors": f"{dataset} {recipe} {shard}"}
        save_cost(
            folder,
            "train_experts",
            minute,
            40.0,
            settings,
            dataset=dataset,
            network="ConvNet",
            outputs=outputs,
        )
        # As the header of a set tells it.
        return {
            "recipe": recipe,
            "number": sum(map(len, shards.values())),
            "epochs": epochs,
            "settings": settings,
            "shards": list(shards),
        }


BEST = {"best_validation": [42.0], "held_out": [45.0], "best_test": [43.0, 44.0]}


def full(study):
    """DC at 10 images per class at the published budget but for 3 sets, MTT with two experts,
    random images, the full training set."""
    for seed, percents in enumerate((FIRST, SECOND)):
        study.set(
            "dc",
            "real",
            10,
            seed,
            DC,
            seconds=100.0 + 20 * seed,
            commit="0123456789abcdef",
            changed=bool(seed),
        )
        study.evaluation("dc", "real", 10, seed, percents, commit="0123456789abcdef")
    study.experts(0, [0])
    study.experts(1, [1])
    study.experts(0, [0], dataset="CIFAR10")
    study.set(
        "mtt",
        "real",
        10,
        0,
        MTT,
        dataset="CIFAR10",
        experts=study.experts(1, [1], dataset="CIFAR10"),
    )
    study.evaluation("mtt", "real", 10, 0, [40.0, 41.0], dataset="CIFAR10", best=BEST)
    study.set("random", "real", 1, 0, {}, seconds=0.1)
    study.evaluation("random", "real", 1, 0, [50.0], epochs=300)
    study.whole([99.0, 99.2])
    return record(study.folder, COMMAND)


def with_less_work(folder):
    """A study made later than ``full``: its DC again, at half of the iterations."""
    later = Study(folder / "later")
    later.set("dc", "real", 10, 0, {**DC, "iterations": 500})
    later.evaluation("dc", "real", 10, 0, FIRST, minute=50)
    return later


def cell_of(found, dataset, method, ipc, network="ConvNet"):
    (cell,) = [
        c
        for c in found.cells
        if (c.dataset, c.method, c.ipc, c.network) == (dataset, method, ipc, network)
    ]
    return cell


_SET = re.compile(
    r"(?:(?P<strategy>finetune|replay|gdumb|afterwards|joint)(?:, |$))?"
    r"(?:(?P<method>(?!ConvNet)\w+(?: \(\w+\))?)(?: from (?P<start>\w+))?(?:, |$))?"
    r"(?:(?P<ipc>\d+) per class, )?(?P<per_step>made per step, )?(?P<network>\w+)?"
    r"(?:, (?P<groups>\d+) groups)?"
)


def rows_of(text, dataset, continual=False):
    """The rows of a dataset's table by column, those that were run with what is folded below it,
    read as Markdown reads them: a bar with a backslash before it parts nothing."""
    part, _, learned = (
        text.split(f"\n## {dataset}\n")[1]
        .split("\n## ")[0]
        .partition(f"\n### {dataset}, class-incremental\n")
    )
    shown, _, folded = (learned if continual else part).partition("<details ")
    heads = (
        (document.CONTINUAL_HEAD, document.CONTINUAL_FOLDED)
        if continual
        else (document.HEAD, document.FOLDED)
    )
    rows, details = (_rows(table, head) for table, head in zip((shown, folded), heads))
    for row in rows:
        parts = {name: text or "" for name, text in _SET.fullmatch(row["set"]).groupdict().items()}
        parts["ipc"] = parts["ipc"] or ("all" if parts["method"] == "whole" else "")
        detail = details.pop(0) if row["ours"] else dict.fromkeys(heads[1], "")
        assert detail.pop("set") in (row["set"], "")
        row.update(parts, memory=parts["method"], **detail)
    assert not details
    return rows


def _rows(table, head):
    lines = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    assert {len(line) for line in lines} <= {len(head)}
    return [dict(zip(head, line)) for line in lines[2:]]


def row_of(text, dataset, method, ipc, start="real", network="ConvNet"):
    (row,) = [
        r
        for r in rows_of(text, dataset)
        if (r["method"], r["ipc"], r["start"], r["network"]) == (method, str(ipc), start, network)
    ]
    return row


def as_file(found):
    """A record as its file has it."""
    return records.to_json(found.as_json())


def measured(accuracies):
    """A set whose networks had these accuracies."""
    return Measured(0, None, Job(None, None, {}), {"last": accuracies})


def cell_with(**changes):
    """A cell of DC at 10 images per class on MNIST but for ``changes``."""
    cell = {
        "dataset": "MNIST",
        "method": "dc",
        "init": "real",
        "ipc": 10,
        "network": "ConvNet",
        "settings": {},
        "distilled_with": None,
        "normalization": "channel",
        "experts": None,
        "evaluation": {},
    }
    return Cell(**{**cell, **changes})
