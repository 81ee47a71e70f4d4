"""The record of what was run and the document made from it, on a made-up study whose figures are
computed by hand."""

import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distillery import __main__, vocabulary
from distillery.errors import UserError
from distillery.published import document as reproduction
from distillery.published import figures as published
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, measurements
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
        **cost,
    ):
        cell = {"dataset": dataset, "method": method, "init": init, "ipc": ipc, "seed": seed}
        folder = self.folder / f"synthetic/{dataset}/{method}/{init}/ipc{ipc}/seed{seed}"
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
        SyntheticSet(torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]), None, header).save(
            folder / "synthetic.safetensors"
        )
        save_cost(folder, "distill", minute, seconds, settings, **cell, **cost)

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
            {"epochs": epochs, "models": len(percents), "augment": "none"},
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
        **settings,
    ):
        """As `continual._Record` notes it: after each stage the accuracy on both groups and on all
        classes, of each network."""
        memory = {
            name: value
            for name, value in (("method", method), ("init", init), ("ipc", ipc), ("seed", seed))
            if value is not None
        }
        folder = self.folder / "continual/MNIST" / "/".join(map(str, (strategy, *memory.values())))
        metrics = Metrics(
            rule="continual", dataset="MNIST", **memory, network="ConvNet", strategy=strategy
        )
        for stage, overall in enumerate(stages):
            for model in range(2):
                for group in range(2):
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
        metrics.save(folder / "metrics.csv")
        save_cost(
            folder,
            "continual",
            minute,
            60.0,
            settings,
            dataset="MNIST",
            **memory,
            network="ConvNet",
            strategy=strategy,
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


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path / "results")


def full(study):
    """DC at 10 images per class at the published budget but for 3 sets, MTT with two experts,
    random images, the whole set."""
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
    return reproduction.record(study.folder, COMMAND)


def cell_of(found, dataset, method, ipc, network="ConvNet"):
    (cell,) = [
        c
        for c in found["cells"]
        if (c["dataset"], c["method"], c["ipc"], c["network"]) == (dataset, method, ipc, network)
    ]
    return cell


def rows_of(text, dataset, continual=False):
    """The rows of a dataset's table, by column, read as Markdown reads them: a bar with a backslash
    before it parts nothing."""
    part, _, learned = (
        text.split(f"\n## {dataset}\n")[1]
        .split("\n## ")[0]
        .partition(f"\n### {dataset}, class-incremental\n")
    )
    part = learned if continual else part
    lines = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in part.splitlines()
        if line.startswith("|")
    ]
    assert {len(line) for line in lines} == {
        len(reproduction.CONTINUAL_HEAD if continual else reproduction.HEAD)
    }
    return [dict(zip(lines[0], line)) for line in lines[2:]]


def row_of(text, dataset, method, ipc, start="real", network="ConvNet"):
    (row,) = [
        r
        for r in rows_of(text, dataset)
        if (r["method"], r["ipc"], r["start"], r["network"]) == (method, str(ipc), start, network)
    ]
    return row


# ---- the record ----------------------------------------------------------------------------------


def test_a_record_keeps_every_final_accuracy_of_every_set_by_selection(study):
    found = full(study)
    dc = cell_of(found, "MNIST", "dc", 10)
    assert [one["seed"] for one in dc["sets"]] == [0, 1]
    assert [one["accuracies"] for one in dc["sets"]] == [
        {"last": pytest.approx(FIRST)},
        {"last": pytest.approx(SECOND)},
    ]
    mtt = cell_of(found, "CIFAR10", "mtt", 10)
    assert mtt["sets"][0]["accuracies"] == {"last": [40.0, 41.0], **BEST}
    assert cell_of(found, "MNIST", "whole", None)["sets"][0]["accuracies"] == {"last": [99.0, 99.2]}


def test_a_record_tells_settings_experts_times_and_where_it_ran(study):
    found = full(study)
    dc, mtt = cell_of(found, "MNIST", "dc", 10), cell_of(found, "CIFAR10", "mtt", 10)
    assert dc["settings"] == DC and dc["evaluation"]["epochs"] == 1000 and dc["experts"] is None
    assert [one["set"]["seconds"] for one in dc["sets"]] == [100, 120] and dc["sets"][0][
        "evaluation"
    ]["seconds"] == 50
    context = found["contexts"][dc["sets"][1]["set"]["context"]]
    assert (context["device_name"], context["threads"], context["torch"], context["code"]) == (
        "A processor",
        2,
        "2.14.1+cpu",
        "dist",
    )
    assert (context["commit"], context["changed"], context["distillery"]) == (
        "0123456789abcdef",
        True,
        "0.1.0",
    )
    assert (mtt["experts"]["number"], mtt["experts"]["epochs"], mtt["experts"]["seconds"]) == (
        2,
        3,
        80,
    )
    assert found["command"] == COMMAND


def test_the_same_folder_gives_the_same_bytes_wherever_it_is(study, tmp_path):
    first = reproduction.to_json(full(study))
    shutil.copytree(study.folder, tmp_path / "elsewhere/again")
    assert reproduction.to_json(reproduction.record(tmp_path / "elsewhere/again", COMMAND)) == first
    assert (
        json.loads(first) == reproduction.record(study.folder, COMMAND)
        and str(tmp_path) not in first
    )


def test_an_unfinished_study_gives_what_exists(study):
    study.set("dc", "real", 10, 0, DC)
    study.set("dc", "real", 10, 1, DC)
    study.evaluation("dc", "real", 10, 0, FIRST)
    (study.folder / "evaluate/MNIST/dc/real/ipc10/seed1/ConvNet").mkdir(parents=True)
    found = reproduction.record(study.folder, COMMAND)
    assert [one["seed"] for one in cell_of(found, "MNIST", "dc", 10)["sets"]] == [0] and found[
        "left_out"
    ] == 0


def test_an_evaluation_of_a_set_that_is_no_more_is_left_out(study):
    for seed, minute in enumerate(
        (40, 10)
    ):  # the first set was made anew, after its evaluation at minute 30
        study.set("dc", "real", 10, seed, DC, minute=minute)
        study.evaluation("dc", "real", 10, seed, FIRST)
    study.evaluation("dc", "real", 10, 2, FIRST)
    found = reproduction.record(study.folder, COMMAND)
    assert [one["seed"] for one in cell_of(found, "MNIST", "dc", 10)["sets"]] == [1] and found[
        "left_out"
    ] == 2


def test_sets_of_other_settings_are_never_averaged(study):
    for seed in (0, 1):
        study.set("dc", "real", 10, seed, {**DC, "iterations": 1000 - seed})
        study.evaluation("dc", "real", 10, seed, FIRST)
    found = reproduction.record(study.folder, COMMAND)
    assert sorted(
        (cell["settings"]["iterations"], len(cell["sets"])) for cell in found["cells"]
    ) == [(999, 1), (1000, 1)]


def test_experts_are_those_that_a_set_says_it_has_read(study):
    study.experts(0, [0, 1])
    study.set("mtt", "real", 10, 0, MTT, experts=study.experts(1, [2]))
    study.evaluation("mtt", "real", 10, 0, [80.0])
    study.experts(0, range(50), recipe="other", epochs=9)  # which another set reads
    found = cell_of(reproduction.record(study.folder, COMMAND), "MNIST", "mtt", 10)["experts"]
    assert found == {
        "recipe": "default",
        "number": 3,
        "epochs": 3,
        "settings": {"epochs": 3, "lr": 0.01},
        "seconds": 80.0,
    }
    # Where a shard is no more, nobody knows what it took.
    shutil.rmtree(study.folder / "experts/MNIST/default/shard1")
    record = reproduction.record(study.folder, COMMAND)
    assert "seconds" not in cell_of(record, "MNIST", "mtt", 10)["experts"]
    assert (
        row_of(reproduction.render({"mine": record}), "MNIST", "mtt", 10)["time"]
        == "100 s a set, 50 s evaluation"
    )


def test_an_evaluation_of_another_set_than_the_one_that_is_there_is_left_out_whatever_the_clocks_say(
    study,
):
    for seed in (0, 1):
        study.set("dc", "real", 10, seed, DC)
        digest = artefact.header(
            study.folder / f"synthetic/MNIST/dc/real/ipc10/seed{seed}/synthetic.safetensors",
            rule=None,
        )["sha256"]
        study.evaluation(
            "dc",
            "real",
            10,
            seed,
            FIRST,
            inputs={"synthetic": [digest if seed else "another"]},
            minute=5,
        )
    found = reproduction.record(study.folder, COMMAND)
    assert [one["seed"] for one in cell_of(found, "MNIST", "dc", 10)["sets"]] == [1] and found[
        "left_out"
    ] == 1


def test_a_folder_with_nothing_to_record_is_refused(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        reproduction.record(tmp_path / "nowhere", COMMAND)
    with pytest.raises(UserError, match="holds no measured set"):
        reproduction.record(tmp_path, COMMAND)
    write_text(tmp_path / "evaluate/cost.json", "[]")
    with pytest.raises(UserError, match=r"cost\.json: is not a cost record"):
        reproduction.record(tmp_path, COMMAND)


def test_every_strategy_has_its_place_and_the_means_are_the_reports(study):
    assert set(reproduction.STRATEGIES) == set(vocabulary.STRATEGIES)
    dc = cell_of(full(study), "MNIST", "dc", 10)
    summary = measurements.summarise(
        measurements.read_metrics(sorted((study.folder / "evaluate/MNIST/dc").rglob("metrics.csv")))
    )
    values = [value for one in dc["sets"] for value in one["accuracies"]["last"]]
    assert [100 * summary["mean"].item(), 100 * summary["std"].item()] == pytest.approx(
        [statistics.fmean(values), statistics.pstdev(values)]
    )


# ---- the document --------------------------------------------------------------------------------


def test_a_row_has_our_mean_and_spread_over_all_networks_of_all_sets(study):
    row = row_of(reproduction.render({"mine": full(study)}), "MNIST", "dc", 10)
    mean, spread = statistics.fmean(FIRST + SECOND), statistics.pstdev(FIRST + SECOND)
    assert row["ours"] == f"{mean:.2f} ± {spread:.2f} (2 × 20)" == "91.45 ± 0.76 (2 × 20)"
    assert (
        row["ours − published"] == f"−{97.4 - 91.45:.2f}<br>+{91.45 - 83.27:.2f} (course project)"
    )
    assert (
        row["time"] == "110 s a set, 50 s evaluation"
        and row["hardware"] == "A processor, 2 threads"
    )
    assert (
        row["commit"] == "01234567, 01234567+" and row["record"] == "[mine](reproduction/mine.json)"
    )


def test_published_figures_beside_ours_are_those_of_the_lookup(study):
    row = row_of(reproduction.render({"mine": full(study)}), "MNIST", "dc", 10)
    figures = row["published"].split("<br>")
    for figure, protocol in zip(figures, published.PROTOCOLS, strict=True):
        looked = published.lookup("MNIST", "dc", ipc=10, init="real", protocol=protocol).iloc[0]
        assert figure.startswith(f"{looked['printed']} ({looked['evidence']}: {looked['source']}")


def test_the_budget_decides_what_a_figure_is_called(study):
    text = reproduction.render({"mine": full(study)})
    dc, mtt = row_of(text, "MNIST", "dc", 10), row_of(text, "CIFAR10", "mtt", 10)
    assert dc["budget"] == "**published budget, fewer networks**"
    assert (
        dc["what was spent"]
        == "1000 iterations, 10 outer loops, 50 inner loops, 1000 evaluation epochs, 2 of 5 published sets"
    )
    assert mtt["budget"] == "smaller budget"
    assert mtt["ours"] == "40.50 ± 0.50 (1 × 2)<br>with 2 of 100 experts and 100 of 5000 iterations"
    assert mtt["what was spent"].startswith(
        "100 of 5000 published iterations, 2 of 100 published experts (3 epochs each), 1000 "
        "evaluation epochs"
    )
    assert (mtt["best on validation"], mtt["best on test"]) == (
        "42.00 (1 × 1)",
        "43.50 ± 0.50 (1 × 2)",
    )
    assert row_of(text, "MNIST", "random", 1)["budget"] == "budget of the source unknown"
    assert row_of(text, "MNIST", "whole", "all", start="")["budget"] == "course project's budget"


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, "published budget"),
        ({"settings": {**DC, "iterations": 999}}, "smaller budget"),
        ({"settings": {**DC, "outer": 9}}, "smaller budget"),
        ({"settings": {**DC, "inner": 51}}, "larger budget"),
        ({"settings": {**DC, "iterations": 2000}}, "larger budget"),
        ({"settings": {}}, "budget of the source unknown"),
        ({"evaluation": {"epochs": 300}}, "smaller budget"),
        (
            {"settings": {"iterations": 100}, "evaluation": {"epochs": 20}},
            "course project's budget",
        ),
        ({"settings": {"iterations": 99}, "evaluation": {"epochs": 20}}, "smaller budget"),
        ({"distilled_with": {"name": "ConvNet", "options": {"width": 64}}}, "other network"),
        ({"distilled_with": {"name": "MLP", "options": {}}}, "other network"),
        ({"sets": 4}, "published budget, fewer networks"),
    ],
)
def test_only_the_published_budget_is_called_so(change, expected):
    sets = [{"accuracies": {"last": FIRST}}] * change.pop("sets", 5)
    cell = {
        "dataset": "MNIST",
        "method": "dc",
        "init": "real",
        "ipc": 10,
        "network": "ConvNet",
        "settings": DC,
        "experts": None,
    }
    cell |= {"distilled_with": None, "evaluation": {"epochs": 1000}, "sets": sets} | change
    beside = {
        p: published.lookup("MNIST", "dc", ipc=10, init="real", protocol=p).iloc[0]
        for p in published.PROTOCOLS
    }
    assert reproduction.mark(cell, beside) == expected


@pytest.mark.parametrize(
    "experts, init, expected",
    [
        (100, "real", "published budget"),
        (100, "noise", "published budget, other start"),
        (99, "real", "smaller budget"),
    ],
)
def test_trajectory_matching_needs_the_published_experts_and_start(experts, init, expected):
    cell = {
        "dataset": "CIFAR10",
        "method": "mtt",
        "init": init,
        "ipc": 50,
        "network": "ConvNet",
        "settings": {"iterations": 5000},
    }
    cell |= {
        "experts": {"number": experts, "epochs": 50},
        "distilled_with": None,
        "evaluation": {"epochs": 1000},
        "sets": [{"accuracies": {"last": [70] * 5}}],
    }
    beside = {
        "published": published.lookup(
            "CIFAR10", "mtt", ipc=50, init=init, protocol="published"
        ).iloc[0]
    }
    assert reproduction.mark(cell, beside) == expected
    cell["experts"] = None
    assert reproduction.mark(cell, beside) == "budget of the source unknown"


def test_there_is_no_difference_beside_another_protocol(tmp_path):
    """The course project trained ResNet-18 with one image a step: its figure is shown with that,
    and nothing is subtracted from it."""
    study = Study(tmp_path / "course")
    study.set("dc", "real", 10, 0, {**DC, "iterations": 100})
    for network in ("ConvNet", "ResNet18"):
        study.evaluation("dc", "real", 10, 0, [80.0, 82.0], network=network, epochs=20, minute=40)
    text = reproduction.render({"mine": reproduction.record(study.folder, "run")})
    rows = {
        row["network"]: row
        for row in rows_of(text, "MNIST")
        if row["method"] == "dc" and row["record"]
    }
    assert rows["ConvNet"]["ours − published"].endswith(f"−{83.27 - 81:.2f} (course project)")
    assert rows["ConvNet"]["budget"].startswith("course project's budget")
    assert rows["ResNet18"]["ours − published"] == "not comparable (course project)"
    assert (
        "60.0 (C: course project, 2022; " in rows["ResNet18"]["published"]
        and "not comparable: networks trained at batch 1" in rows["ResNet18"]["published"]
    )
    assert (
        rows["ResNet18"]["budget"] == "smaller budget"
    )  # than the published one: the course project's is not spoken of


def test_an_evaluation_under_another_decay_says_so(study):
    cell = {
        "dataset": "MNIST",
        "method": "dc",
        "init": "real",
        "ipc": 10,
        "network": "ConvNet",
        "settings": DC,
        "experts": None,
    }
    cell |= {"distilled_with": None, "sets": [{"accuracies": {"last": FIRST}}] * 5}
    for decay, expected in (
        ("published", "1000 evaluation epochs"),
        ("half", "1000 evaluation epochs (decay half)"),
    ):
        words = reproduction._budget_words(
            cell | {"evaluation": {"epochs": 1000, "decay": decay}}, {}
        )
        assert words.split(", ")[3] == expected


def test_published_cells_that_nobody_ran_have_a_row_and_an_empty_cell(study):
    def empty(text):
        rows = [(d, r) for d in reproduction.DATASETS for r in rows_of(text, d) if not r["record"]]
        assert all(not row[name] for _, row in rows for name in reproduction.HEAD[5:])
        assert all(row["published"] for _, row in rows)
        return {(d, r["method"], r["start"], r["ipc"]) for d, r in rows}

    nothing, some = (
        empty(reproduction.render({})),
        empty(reproduction.render({"mine": full(study)})),
    )
    table = published.table()
    table = table[
        table["method"].isin(reproduction.METHODS)
        & (table["network"] == "ConvNet")
        & (table["strategy"] == "")
    ]
    pairs = {
        (r.dataset, r.method, "all" if r.ipc != r.ipc else str(int(r.ipc)))
        for r in table.itertuples()
    }
    assert {(d, m, n) for d, m, _, n in nothing} == pairs
    ran = {
        ("MNIST", "dc", "real", "10"),
        ("CIFAR10", "mtt", "real", "10"),
        ("MNIST", "random", "", "1"),
        ("MNIST", "whole", "", "all"),
    }
    assert nothing - some == ran and some < nothing
    assert (
        "of which 3 have been run; 1 of our figures is at the published budget"
        in reproduction.render({"mine": full(study)})
    )


def test_of_several_records_of_a_cell_the_newest_is_first(study, tmp_path):
    old = full(study)
    later = Study(tmp_path / "later")
    later.set("dc", "real", 10, 0, {**DC, "iterations": 500})
    later.evaluation("dc", "real", 10, 0, FIRST, minute=50)
    new = reproduction.record(later.folder, "later")
    for records in ({"a": old, "b": new}, {"b": new, "a": old}):
        rows = [
            r
            for r in rows_of(reproduction.render(records), "MNIST")
            if (r["method"], r["ipc"], r["start"]) == ("dc", "10", "real")
        ]
        assert [row["budget"] for row in rows] == [
            "smaller budget",
            "**published budget, fewer networks**",
        ]
        assert "`later`" in rows[0]["command"]


def test_what_parts_cells_is_escaped(study):
    found = full(study)
    for context in found["contexts"]:
        context["device_name"] = "a | b"
    text = reproduction.render({"mine": found})
    row = row_of(text, "MNIST", "dc", 10)
    assert row["command"] == "`snakemake --cores 2 --configfile mine.yaml \\| tee log`" and row[
        "hardware"
    ].startswith("a \\| b")
    found["command"] = "run `here`"
    assert (
        row_of(reproduction.render({"mine": found}), "MNIST", "dc", 10)["command"]
        == "`` run `here` ``"
    )


def test_continual_learning_has_a_table_of_its_own_with_the_end_of_each_strategy(study):
    full(study)
    alone = [
        r["strategy"]
        for r in rows_of(
            reproduction.render({"mine": reproduction.record(study.folder, COMMAND)}),
            "MNIST",
            continual=True,
        )
    ]
    assert alone == ["finetune", "afterwards"]  # published, nobody ran them
    before = rows_of(reproduction.render({"mine": full(study)}), "MNIST")
    study.continual("finetune", [49.0, 47.0], epochs=9, images_per_class=500)
    study.continual(
        "afterwards",
        [49.0, 47.0, 80.0],
        method="dc",
        init="real",
        ipc=10,
        seed=0,
        afterwards_epochs=20,
        afterwards_batch=10,
    )
    study.continual(
        "afterwards", [49.0, 47.0, 90.0], method="dc", init="real", ipc=10, seed=1, minute=1
    )  # older than its set
    found = reproduction.record(study.folder, COMMAND)
    assert found["left_out"] == 1
    text = reproduction.render({"mine": found})
    assert rows_of(text, "MNIST") == before
    finetune, afterwards = rows_of(text, "MNIST", continual=True)
    course = {
        row.strategy: row.value
        for row in published.table().itertuples()
        if row.dataset == "MNIST" and row.strategy
    }
    assert (finetune["ours"], finetune["ours − published"]) == (
        "47.50 ± 0.50 (1 × 2)",
        f"−{course['finetune'] - 47.5:.2f} (course project)",
    )
    assert (
        finetune["forgetting"] == "99.00 ± 0.00 (1 × 2)"
        and finetune["what was spent"] == "2 groups, 9 epochs each, 500 images per class"
    )
    assert (afterwards["memory"], afterwards["start"], afterwards["ipc"], afterwards["ours"]) == (
        "dc",
        "real",
        "10",
        "80.50 ± 0.50 (1 × 2)",
    )
    assert afterwards["ours − published"] == f"+{80.5 - course['afterwards']:.2f} (course project)"
    assert (
        afterwards["what was spent"]
        == "20 epochs on the memory set after 2 groups, 10 images a step"
        and afterwards["time"] == "100 s a set, 60 s training"
    )


# ---- the command ---------------------------------------------------------------------------------


def test_add_writes_the_record_and_the_document_and_check_sees_an_edit(study, tmp_path, capsys):
    full(study)
    docs = ["--docs", str(tmp_path / "docs")]
    assert (
        __main__.main(
            [
                "reproduction",
                "add",
                str(study.folder),
                "--name",
                "mine",
                "--command",
                COMMAND,
                *docs,
            ]
        )
        == 0
    )
    document = tmp_path / "docs/reproduction.md"
    assert document.read_text(encoding="utf-8") == reproduction.render(
        reproduction.load(tmp_path / "docs")
    )
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 0
    document.write_text(
        document.read_text(encoding="utf-8").replace("91.45", "97.40"), encoding="utf-8"
    )
    capsys.readouterr()
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 1
    error = capsys.readouterr().err
    assert (
        error.startswith("error: ")
        and "is not what the records give" in error
        and error.count("\n") == 1
    )
    assert __main__.main(["reproduction", "render", *docs]) == 0
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 0


def test_a_study_in_parts_keeps_the_sets_of_the_parts_before(study, tmp_path, capsys):
    study.set("dc", "real", 10, 0, DC, commit="0123456789abcdef")
    study.evaluation("dc", "real", 10, 0, FIRST)
    one = reproduction.record(study.folder, COMMAND)
    other = Study(tmp_path / "other machine")
    other.set("dc", "real", 10, 1, DC, commit="fedcba9876543210")
    other.evaluation("dc", "real", 10, 1, SECOND)
    other.set("random", "real", 1, 0, {})
    other.evaluation("random", "real", 1, 0, [50.0], epochs=300)
    docs = ["--docs", str(tmp_path / "docs")]
    for folder in (study.folder, other.folder):
        assert (
            __main__.main(
                [
                    "reproduction",
                    "add",
                    str(folder),
                    "--name",
                    "mine",
                    "--command",
                    COMMAND,
                    "--keep",
                    *docs,
                ]
            )
            == 0
        )
    found = reproduction.load(tmp_path / "docs")["mine"]
    sets = cell_of(found, "MNIST", "dc", 10)["sets"]
    assert [(one["seed"], one["accuracies"]["last"]) for one in sets] == [(0, FIRST), (1, SECOND)]
    commits = [found["contexts"][one["set"]["context"]]["commit"][:4] for one in sets]
    assert commits == ["0123", "fedc"] and cell_of(found, "MNIST", "random", 1)["sets"][0][
        "accuracies"
    ]["last"] == [50.0]
    # What was measured anew takes the place of what was measured before; nothing else changes.
    assert reproduction.joined(one, found) == reproduction.joined(found, one) == found
    again = [
        "reproduction",
        "add",
        str(other.folder),
        "--name",
        "mine",
        "--keep",
        *docs,
        "--command",
    ]
    capsys.readouterr()
    assert (
        __main__.main([*again, "another"]) == 1
        and "was made by another command" in capsys.readouterr().err
    )


def test_a_variant_stands_beside_the_figures_of_its_method_and_names_it(study, tmp_path):
    study.set("dc_lean", "real", 10, 0, {**DC, "iterations": 20}, of="dc")
    study.evaluation("dc_lean", "real", 10, 0, [80.0, 82.0])
    study.set("mtt_far", "real", 10, 0, MTT, of="mtt", experts=study.experts(0, [0]))
    study.evaluation("mtt_far", "real", 10, 0, [70.0])
    command = [
        "reproduction",
        "add",
        str(study.folder),
        "--name",
        "mine",
        "--command",
        COMMAND,
        "--docs",
        str(tmp_path / "docs"),
    ]
    assert __main__.main(command) == 0
    found = reproduction.load(tmp_path / "docs")["mine"]
    assert (
        cell_of(found, "MNIST", "dc_lean", 10)["of"] == "dc"
        and cell_of(found, "MNIST", "mtt_far", 10)["experts"]["number"] == 1
    )
    text = reproduction.render(reproduction.load(tmp_path / "docs"))
    row = row_of(text, "MNIST", "dc_lean (dc)", 10)
    assert (
        row["published"].startswith("97.4")
        and row["ours − published"].startswith("−16.40")
        and row["budget"] == "smaller budget"
    )
    # The method itself has not been run by it.
    assert row_of(text, "MNIST", "dc", 10)["ours"] == ""


@pytest.mark.parametrize("name", ["../mine", "a b", "", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(study, tmp_path, capsys, name):
    full(study)
    assert (
        __main__.main(
            [
                "reproduction",
                "add",
                str(study.folder),
                "--name",
                name,
                "--command",
                COMMAND,
                "--docs",
                str(tmp_path),
            ]
        )
        == 1
    )
    assert capsys.readouterr().err.startswith("error: --name")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 0, "command": "", "contexts": [], "cells": []}']
)
def test_a_file_that_is_no_record_is_refused(tmp_path, text):
    write_text(tmp_path / "reproduction/mine.json", text)
    with pytest.raises(UserError, match=r"mine\.json: is not a record"):
        reproduction.load(tmp_path)


def test_the_document_of_the_repository_is_what_its_records_give_and_needs_no_torch():
    script = (
        "import sys; from distillery.__main__ import main; code = main(['reproduction', 'render', "
        "'--check']); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
