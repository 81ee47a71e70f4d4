"""The report and the published figures, on a dummy study of two datasets whose numbers can be
computed by hand."""

import html.parser
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from distillery import plugins
from distillery.errors import UserError
from distillery.published import figures as published
from distillery.report import charts as figures
from distillery.report import effort
from distillery.report import page as report
from distillery.report import results as study_results
from distillery.report.sections import budgets, cost, sources
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, measurements
from distillery.store.metrics import COLUMNS

STATISTICS = {
    "MNIST": ([0.1307], [0.3081], tuple("0123456789"), 28),
    "CIFAR10": (
        [0.4914, 0.4822, 0.4465],
        [0.2023, 0.1994, 0.2010],
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        32,
    ),
}
LEVELS = {
    ("MNIST", "dc"): 0.91,
    ("MNIST", "mtt"): 0.88,
    ("MNIST", "random"): 0.64,
    ("MNIST", "herding"): 0.86,
    ("MNIST", "whole"): 0.994,
    ("CIFAR10", "dc"): 0.42,
    ("CIFAR10", "mtt"): 0.55,
    ("CIFAR10", "random"): 0.26,
    ("CIFAR10", "herding"): 0.31,
    ("CIFAR10", "whole"): 0.81,
}
CELLS = [
    (dataset, method, init, ipc)
    for dataset in STATISTICS
    for ipc in (1, 10)
    for method, inits in (
        ("dc", ("real", "noise")),
        ("mtt", ("real", "noise")),
        ("random", ("real",)),
        ("herding", ("real",)),
    )
    for init in inits
]
CONFIG = {
    "study": "Gradients and trajectories at one and ten images per class",
    "seed": 0,
    "experts": {"default": {"number": 6, "shard": 3, "epochs": 20}},
    "methods": {"mtt": {"iterations": 100, "expert_epochs": 2}},
    "grid": [
        {
            "dataset": ["MNIST", "CIFAR10"],
            "method": ["dc", "mtt"],
            "init": ["real", "noise"],
            "ipc": [1, 10],
            "seed": [0, 1],
        }
    ],
}


def level(dataset, method, init, ipc, network):
    value = LEVELS[dataset, method] + (0.04 if ipc == 10 else 0)
    value -= 0.012 if init == "noise" else 0
    return min(value * (0.72 if network == "ResNet18" and method != "whole" else 1), 0.998)


def set_rows(draw, dataset, method, init, ipc, seed):
    common = {"dataset": dataset, "method": method, "init": init, "ipc": ipc, "seed": seed}
    rows = []
    if method in ("dc", "mtt"):
        scale = 40 if method == "dc" else 1
        for i in range(1, 101):
            loss = scale * (0.25 + 0.75 * np.exp(-i / 25)) * (1 + 0.03 * draw.standard_normal())
            rows.append(
                {
                    **common,
                    "rule": "distill",
                    "iteration": i,
                    "measure": "matching_loss",
                    "value": loss,
                }
            )
            if method == "mtt":
                rows.append(
                    {
                        **common,
                        "rule": "distill",
                        "iteration": i,
                        "measure": "step_size",
                        "value": 0.01 + i * 1e-4,
                    }
                )
    for network in ("ConvNet", "ResNet18"):
        common_here = {**common, "rule": "evaluate_synthetic", "network": network}
        rows += training(draw, common_here, level(dataset, method, init, ipc, network), 3, 300)
        rows += [
            {
                **common_here,
                "measure": "macs_per_image",
                "value": 51.6e6 if network == "ConvNet" else 557e6,
            },
            {
                **common_here,
                "measure": "parameters",
                "value": 320010 if network == "ConvNet" else 11.17e6,
            },
            {**common_here, "measure": "images_seen", "value": ipc * 10 * 300},
            {
                **common_here,
                "measure": "training_flops",
                "value": 6 * 51.6e6 * ipc * 10 * 300 * (1 if network == "ConvNet" else 10.8),
            },
        ]
        if network == "ConvNet" and method in ("dc", "mtt"):
            top = level(dataset, method, init, ipc, network)
            for iteration in range(0, 101, 10):
                for model in range(2):
                    for split in ("validation", "test"):
                        value = (
                            top * (1 - 0.5 * np.exp(-iteration / 20))
                            + 0.004 * draw.standard_normal()
                        )
                        where = {
                            "selection": "snapshot",
                            "split": split,
                            "model": model,
                            "iteration": iteration,
                        }
                        rows.append({**common_here, **where, "measure": "accuracy", "value": value})
            for selection, lift in (("best_validation", 0.003), ("best_test", 0.006)):
                for model in range(2):
                    where = {
                        "selection": selection,
                        "split": "test",
                        "model": model,
                        "iteration": 90,
                    }
                    rows.append(
                        {
                            **common_here,
                            **where,
                            "measure": "accuracy",
                            "value": top + lift + 0.003 * draw.standard_normal(),
                        }
                    )
    return rows


def training(draw, common, top, models, epochs):
    rows = []
    for model in range(models):
        where = {**common, "model": model, "selection": "last"}
        reached = top + 0.004 * draw.standard_normal()
        for epoch in np.linspace(0, epochs, 11).astype(int):
            grown = 1 - 0.85 * np.exp(-5 * epoch / epochs)
            for split, limit in (("train", 1.0), ("test", reached)):
                value = min(limit * grown, 1)
                rows.append(
                    {**where, "split": split, "epoch": epoch, "measure": "accuracy", "value": value}
                )
                loss = 2.3 * (1 - value) + 0.02
                rows.append(
                    {**where, "split": split, "epoch": epoch, "measure": "loss", "value": loss}
                )
        rows.append({**where, "split": "test", "measure": "accuracy", "value": reached})
        rows.append({**where, "split": "test", "measure": "loss", "value": 2.3 * (1 - reached)})
        for c in range(10):
            value = float(np.clip(reached + 0.12 * np.sin(c * 1.7) * (1 - reached) * 2, 0, 1))
            rows.append(
                {**where, "split": "test", "class": c, "measure": "class_accuracy", "value": value}
            )
    return rows


def continual_rows(draw, dataset):
    rows = []
    plans = [("finetune", {}), ("joint", {})]
    for init in ("real", "noise"):
        memory = {"method": "dc", "init": init, "ipc": 10, "seed": 0}
        plans += [("replay", memory), ("afterwards", memory)]
    for strategy, memory in plans:
        common = {
            "rule": "continual",
            "dataset": dataset,
            "network": "ConvNet",
            "strategy": strategy,
            **memory,
        }
        old = {"finetune": 0.0, "joint": 0.97, "replay": 0.7, "afterwards": 0.0}[strategy]
        table = [[0.99, 0.0], [old, 0.98]] + ([[0.75, 0.78]] if strategy == "afterwards" else [])
        for model in range(3):
            for stage, values in enumerate(table):
                values = [min(max(v + 0.004 * draw.standard_normal(), 0), 1) for v in values]
                here = {**common, "model": model, "stage": stage, "split": "test"}
                rows += [
                    {**here, "group": g, "measure": "accuracy", "value": v}
                    for g, v in enumerate(values)
                ]
                seen = min(stage, 1) + 1
                rows.append(
                    {**here, "measure": "average_accuracy", "value": sum(values[:seen]) / seen}
                )
                rows.append({**here, "measure": "overall_accuracy", "value": sum(values) / 2})
            rows.append(
                {
                    **common,
                    "model": model,
                    "stage": len(table) - 1,
                    "measure": "forgetting",
                    "value": 0.99 - table[-1][0],
                }
            )
    return rows


def dummy_metrics():
    draw = np.random.default_rng(0)
    rows = []
    for cell in CELLS:
        for seed in (0, 1):
            rows += set_rows(draw, *cell, seed)
    for dataset in STATISTICS:
        for network in ("ConvNet", "ResNet18"):
            common = {
                "rule": "train_vanilla",
                "dataset": dataset,
                "method": "whole",
                "network": network,
            }
            rows += training(draw, common, level(dataset, "whole", "", None, network), 1, 20)
            seen = (60000 if dataset == "MNIST" else 50000) * 20
            macs = 51.6e6 if network == "ConvNet" else 557e6
            rows += [
                {**common, "measure": "images_seen", "value": seen},
                {**common, "measure": "macs_per_image", "value": macs},
                {
                    **common,
                    "measure": "parameters",
                    "value": 320010 if network == "ConvNet" else 11.17e6,
                },
                {**common, "measure": "training_flops", "value": 6 * macs * seen},
            ]
        rows += continual_rows(draw, dataset)
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def header(dataset, method, init, ipc, seed):
    mean, std, classes, _ = STATISTICS[dataset]
    return {
        "dataset": dataset,
        "method": method,
        "init": init,
        "ipc": ipc,
        "seed": seed,
        "classes": list(classes),
        "normalization": {"kind": "channel", "mean": mean, "std": std},
        "settings": {"iterations": 100, "lr_images": 0.1} if method in ("dc", "mtt") else {},
        "of": None,
        "experts": {"recipe": "default", "number": 6, "epochs": 20} if method == "mtt" else None,
        "version": "0.1.0",
        "code": "c0de" * 16,
    }


def prototypes(dataset):
    """Smooth pictures that differ by class, (K, C, H, W) in [0, 1]."""
    mean, _, classes, size = STATISTICS[dataset]
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    pictures = []
    for c in range(len(classes)):
        turned = np.cos(0.63 * c) * x + np.sin(0.63 * c) * y
        shape = np.exp(-((turned * 6) ** 2)) * (np.hypot(x, y) < 0.36)
        if len(mean) == 3:
            shape = 0.25 + 0.6 * np.stack(
                [shape * (0.4 + 0.6 * np.sin(c + k) ** 2) + 0.3 * (0.5 + y) for k in range(3)]
            )
        else:
            shape = shape[None]
        pictures.append(shape)
    return np.stack(pictures)


def dummy_images(dataset, method, init, ipc, seed, mixed=1.0):
    mean, std = STATISTICS[dataset][:2]
    draw = np.random.default_rng([ipc, seed, len(method)])
    pixels = np.repeat(prototypes(dataset), ipc, axis=0)
    images = (pixels - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    noise = draw.standard_normal(images.shape)
    share = {"real": 0.15, "noise": 0.6}.get(init, 0.1) if method in ("dc", "mtt") else 0.05
    return torch.from_numpy(mixed * images + (share + 1 - mixed) * noise).float()


@pytest.fixture(scope="module")
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


def built(study, path, **changes):
    report.build(**{**study, **changes}, output=path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    return built(study, tmp_path_factory.mktemp("page") / "report.html")


def only(metrics, *conditions):
    keep = np.ones(len(metrics), bool)
    for condition in conditions:
        keep &= np.asarray(condition)
    return metrics[keep]


class Outline(html.parser.HTMLParser):
    """What a browser makes of the page: heading levels, addresses, ids, pictures without a text,
    tags left open."""

    VOID = frozenset(
        ("meta", "link", "img", "br", "hr", "input", "path", "circle", "polyline", "polygon")
    )

    def __init__(self):
        super().__init__()
        self.headings, self.open, self.addresses, self.ids, self.bare = [], [], [], [], []
        self.labelled = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img" and not attrs.get("alt"):
            self.bare.append(tag)
        if tag == "svg" and not (attrs.get("aria-label") or attrs.get("aria-hidden")):
            self.bare.append(tag)
        self.addresses += [
            attrs[name] for name in ("src", "href", "srcset", "data", "action") if attrs.get(name)
        ]
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def outline(page):
    found = Outline()
    found.feed(page)
    assert [tag for tag in found.open if tag not in ("li", "p")] == []
    return found


def text_of(page):
    return re.sub(
        r"\s+",
        " ",
        re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>", " ", page)),
    )


def test_the_count_of_networks_says_which_networks_it_counts(page):
    # Networks of snapshots, of robust scores and the experts were trained too.
    assert "for the accuracy tables, each tested on all test images" in page


def test_summary_is_the_mean_and_population_deviation_over_sets_and_networks(study):
    metrics = study["metrics"]
    rows = only(
        metrics,
        metrics["measure"] == "accuracy",
        metrics["selection"] == "last",
        metrics["split"] == "test",
        metrics["epoch"].isna(),
        metrics["dataset"] == "CIFAR10",
        metrics["method"] == "mtt",
        metrics["init"] == "noise",
        metrics["ipc"] == 10,
        metrics["network"] == "ConvNet",
    )
    values = rows["value"].astype(float).to_numpy()
    assert len(values) == 6
    found = measurements.summarise(measurements.read_metrics(metrics))
    row = only(
        found,
        found["dataset"] == "CIFAR10",
        found["method"] == "mtt",
        found["init"] == "noise",
        found["ipc"] == 10,
        found["network"] == "ConvNet",
        found["selection"] == "last",
    ).iloc[0]
    assert row["mean"] == pytest.approx(sum(values) / 6)
    assert row["std"] == pytest.approx((sum((v - sum(values) / 6) ** 2 for v in values) / 6) ** 0.5)
    assert (row["count"], row["sets"], row["models"]) == (6, 2, 3)


def test_the_score_in_validation_is_that_of_the_snapshot_which_was_chosen(study, page):
    rows = measurements.read_metrics(study["metrics"])
    where = (
        (rows["dataset"] == "MNIST")
        & (rows["method"] == "dc")
        & (rows["init"] == "noise")
        & (rows["ipc"] == 1)
    )
    snapshots = rows[
        where
        & (rows["selection"] == "snapshot")
        & (rows["split"] == "validation")
        & (rows["iteration"] == 90)
    ]
    found = measurements.summarise(rows[where & (rows["network"] == "ConvNet")])
    held = only(found, found["selection"] == "held_out").iloc[0]
    assert (
        held["mean"] == pytest.approx(snapshots["value"].mean())
        and held["count"] == len(snapshots) > 1
    )
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = next(
        r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "DC" in r and "Gaussian noise" in r
    )
    assert "its score in validation" in text_of(table) and f"{100 * held['mean']:.2f}" in text_of(
        row
    )


def test_table_shows_mean_deviation_gain_and_share(study, page):
    found = measurements.summarise(measurements.read_metrics(study["metrics"]))

    def mean(method, init, ipc):
        rows = only(
            found,
            found["dataset"] == "MNIST",
            found["network"] == "ConvNet",
            found["selection"] == "last",
            found["method"] == method,
            found["init"] == init,
            found["ipc"].isna() if ipc is None else found["ipc"] == ipc,
        )
        return rows.iloc[0]

    ours, random, whole = mean("dc", "real", 1), mean("random", "real", 1), mean("whole", "", None)
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = text_of(
        next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "DC" in r and "real images" in r)
    )
    assert f"{100 * ours['mean']:.2f} ± {100 * ours['std']:.2f}" in row
    assert f"+{100 * (ours['mean'] - random['mean']):.2f}" in row
    assert f"{100 * ours['mean'] / whole['mean']:.1f}" in row
    assert "91.7 ± 0.5" in row, "the published figure stands beside"
    assert "2 × 3" in row and "best on validation n 2 × 2" in text_of(table)
    gain = 100 * (ours["mean"] - random["mean"])
    assert f"{gain:.1f} points above random images of the same size" in text_of(page)


# ---- judged in pairs, and robustly ---------------------------------------------------------------


def rows_of(method, init, accuracies, measure="accuracy", dataset="MNIST", ipc=1):
    """``accuracies`` {seed: [one a network]}; seed ``None`` for the whole set."""
    common = {
        "dataset": dataset,
        "method": method,
        "init": init,
        "network": "ConvNet",
        "selection": "last",
        "split": "test",
        "measure": measure,
    }
    return [
        {
            **common,
            "ipc": None if seed is None else ipc,
            "seed": seed,
            "model": model,
            "value": value,
        }
        for seed, values in accuracies.items()
        for model, value in enumerate(values)
    ]


def section(study, path, name, rows, **changes):
    """The rows of a section of the page as texts, and all its text."""
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    page = built(
        study, path / "r.html", metrics=metrics, sets=[], evolutions=[], **{"costs": [], **changes}
    )
    outline(page)
    assert f'href="#{name}"' in page
    page = page[page.index(f'<h2 id="{name}"') :]
    page = page[: page.index("</section>")]
    return [text_of(row).strip() for row in re.findall(r"(?s)<tr>.*?</tr>", page)], text_of(page)


LEVEL = {0: [0.50, 0.90], 1: [0.70, 0.60], 2: [0.55, 0.65]}


def above(*points):
    """As `LEVEL`, each set by so many points."""
    return {
        seed: [value + points[seed] / 100 for value in values] for seed, values in LEVEL.items()
    }


def test_methods_are_compared_in_pairs_of_networks(study, tmp_path):
    rows = (
        rows_of("dc", "real", above(7, 8, 9))
        + rows_of("dc", "noise", above(1, -3, 2))
        + rows_of("random", "real", LEVEL)
    )
    rows += rows_of("herding", "real", {0: [0.6]}) + rows_of("whole", "", {None: [0.99]})
    lines, text = section(study, tmp_path, "pairs", rows[::-1])
    assert lines[0].startswith("set against points 95 % interval p (Holm) verdict")
    # Herding has one network of one set: with it nothing can be tested, and three pairs are left.
    assert lines[1] == "1 image per class, p by Holm for 3 pairs"
    # Deviation 1 point over 3 sets, t of 2 degrees of freedom 4.3027: 8 ± 2.48. t 13.86, p 1 − t /
    # √(t² + 2) = 0.0052, times 3.
    assert "DC, real images Random +8.00 +5.52 to +10.48 0.016 significantly better 3 × 2" in lines
    # 6, 11, 7: deviation 2.646, reach 4.3027 x 2.646 / 1.732 = 6.57. p 0.0346, times 2: the
    # interval alone would call it shown.
    assert (
        "DC, real images DC, Gaussian noise +8.00 +1.43 to +14.57 0.069 not significant 3 × 2"
        in lines
    )
    # 1, −3, 2: mean 0, the same deviation.
    assert "DC, Gaussian noise Random +0.00 −6.57 to +6.57 1.00 not significant 3 × 2" in lines
    # The others of DC have no partner.
    untested = "– – one pair of networks: not tested 1 × 1 5 without a partner left out"
    assert f"DC, real images Herding −3.00 {untested}" in lines
    assert len(lines) == 2 + 4, "each pair once, and the whole set in none"
    assert "Whole" not in text and not re.search(r"\b(nan|inf)\b", text)


def test_one_set_speaks_of_itself_only_and_a_worse_first_is_called_worse(study, tmp_path):
    one = {0: [0.50, 0.52, 0.54]}
    rows = (
        rows_of("dc", "real", {0: [0.42, 0.45, 0.45]})
        + rows_of("mtt", "real", one)
        + rows_of("random", "real", {0: [0.48, 0.50, 0.56]})
    )
    lines, _ = section(study, tmp_path, "pairs", rows)
    # Differences 8, 7, 9: deviation 1, t of 2 degrees of freedom 4.3027, reach 2.48.
    assert (
        "MTT, real images DC, real images +8.00 +5.52 to +10.48 0.016 significantly better 1 × 3 "
        "of this one set only" in lines
    )
    # Differences −6, −5, −11: deviation 3.215, reach 7.99: not shown; without the third network −6,
    # −5 would be worse yet.
    assert (
        "DC, real images Random −7.33 −15.32 to +0.65 0.12 not significant 1 × 3 of this one set "
        "only" in lines
    )
    rows = (
        rows_of("dc", "real", {0: [0.42, 0.45, 0.44]})
        + rows_of("mtt", "real", one)
        + rows_of("random", "real", {0: [0.48, 0.50, 0.50]})
    )
    lines, _ = section(study, tmp_path, "pairs", rows)
    # −6, −5, −6: deviation 0.577, reach 1.43. t 17, p 0.0034, times 3.
    assert (
        "DC, real images Random −5.67 −7.10 to −4.23 0.010 significantly worse 1 × 3 of this one "
        "set only" in lines
    )


@pytest.mark.parametrize(("epochs", "said"), [(300, False), (1000, True)])
def test_pairs_that_were_trained_by_different_recipes_are_told(study, tmp_path, epochs, said):
    rows = rows_of("dc", "real", above(7, 8, 9)) + rows_of("random", "real", LEVEL)
    job = {
        "rule": "evaluate_synthetic",
        "dataset": "MNIST",
        "init": "real",
        "ipc": 1,
        "network": "ConvNet",
        "seconds": 1.0,
    }
    recipe = {"epochs": 300, "lr": 0.01, "batch": 256, "curve": 0}
    other = {**recipe, "epochs": epochs, "curve": 9}
    costs = [
        {**job, "method": method, "seed": 0, "settings": settings}
        for method, settings in (("dc", recipe), ("random", other))
    ]
    lines, _ = section(study, tmp_path, "pairs", rows, costs=costs)
    found = next(line for line in lines if line.startswith("DC, real images Random"))
    assert ("networks trained by different recipes" in found) == said


def test_sets_with_different_numbers_of_networks_are_counted_in_words(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.5, 0.5], 1: [0.6]}) + rows_of(
        "random", "real", {0: [0.4, 0.4], 1: [0.4]}
    )
    lines, _ = section(study, tmp_path, "pairs", rows)
    assert any("2 sets, 3 networks" in line for line in lines)
    lines, _ = section(study, tmp_path, "accuracy", rows)
    assert any("2 sets, 3 networks" in line for line in lines)
    assert "n sets × networks" in lines[0]


def test_a_difference_is_one_number_wherever_the_page_has_it(study, tmp_path):
    """Two networks of DC have no partner in random images: no table counts them for the
    difference."""
    rows = rows_of("dc", "real", {0: [0.60, 0.70, 0.10, 0.10]}) + rows_of(
        "random", "real", {0: [0.50, 0.55]}
    )
    lines, _ = section(study, tmp_path, "accuracy", rows)
    assert any(line.startswith("DC real images") and "+12.50" in line for line in lines)
    lines, _ = section(study, tmp_path, "pairs", rows)
    assert any("+12.50" in line or "−12.50" in line for line in lines)


def test_nothing_in_common_is_compared_nowhere(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.5]}) + rows_of("random", "real", {1: [0.4]})
    page = built(
        study,
        tmp_path / "r.html",
        metrics=pd.DataFrame(rows).reindex(columns=list(COLUMNS)),
        sets=[],
        evolutions=[],
    )
    assert 'id="pairs"' not in page and 'id="robustness"' not in page


def robust_rows(method, init, values):
    """``values`` {measure: {seed: [one a network]}}."""
    return [
        row for measure, found in values.items() for row in rows_of(method, init, found, measure)
    ]


ROBUST = {
    "accuracy_own_labels": {0: [0.5, 0.7], 1: [0.5, 0.5]},
    "accuracy_random_same_labels": {0: [0.3, 0.5], 1: [0.5, 0.5]},
    "accuracy_hard_labels": {0: [0.3, 0.5], 1: [0.4, 0.4]},
    "accuracy_augmented": {0: [0.6, 0.6], 1: [0.6, 0.6]},
    "accuracy_random_augmented": {0: [0.5, 0.5], 1: [0.5, 0.5]},
    "accuracy_plain": {0: [0.4, 0.4], 1: [0.6, 0.6]},
    "accuracy_random_plain": {0: [0.6, 0.6], 1: [0.6, 0.6]},
}


def test_robust_scores_are_of_each_set_s_means_and_spread_over_sets(study, tmp_path):
    rows = robust_rows("dc", "real", ROBUST) + rows_of("whole", "", {None: [0.9]})
    cost = {
        "rule": "evaluate_robust",
        "dataset": "MNIST",
        "network": "ConvNet",
        "settings": {"augment": "none", "robust": {"augment": "dsa", "models": 2}},
    }
    lines, text = section(study, tmp_path, "robustness", rows, costs=[cost])
    # Set 0: IOR 0.2, HLR 0.5, α −0.15: 20.968; set 1: IOR 0, HLR 0.5, α −0.25: (0.778801 −
    # 0.367879) / 2.350402 = 17.483. Set 0: β 0.05 − 0.1 = −0.05: 24.819; set 1: β 0.05: (1.051271 −
    # 0.367879) / 2.350402 = 29.076.
    assert (
        lines[1] == "DC, real images 1 19.23 ± 1.74 +10.00 −50.00 26.95 ± 2.13 +10.00 −10.00 2 × 2"
    )
    assert len(lines) == 2 and "Augmentation: dsa." in text


def test_without_the_whole_set_there_is_no_label_robust_score(study, tmp_path):
    lines, text = section(study, tmp_path, "robustness", robust_rows("mtt", "noise", ROBUST))
    assert lines[1] == "MTT, Gaussian noise 1 – +10.00 – 26.95 ± 2.13 +10.00 −10.00 2 × 2"
    assert "there is no label-robust score" in text and "Augmentation:" not in text


def test_one_set_s_score_carries_the_spread_of_its_networks(study, tmp_path):
    one = {measure: {0: values[0]} for measure, values in ROBUST.items()}
    lines, text = section(
        study,
        tmp_path,
        "robustness",
        robust_rows("dc", "real", one) + rows_of("whole", "", {None: [0.9]}),
    )
    # Its networks alone: α 0.1 − 0.3 = −0.2: 19.182; α 0.1 − 0.2 = −0.1: 22.845. Of the other score
    # both are equal.
    assert (
        lines[1] == "DC, real images 1 20.97 ± 1.83 +20.00 −50.00 24.82 ± 0.00 +10.00 −20.00 1 × 2"
    )
    assert (
        "with a single set over its networks, and of that set only" in text and "tell" not in text
    ), "one set is told apart from none"
    assert "Full training set: 90.0 % (one network)." in text


def robust_cells(step, networks=4):
    """Three cells whose networks differ far more than the cells, of which each is above the last by
    ``step``."""
    rows = rows_of("whole", "", {None: [0.95]})
    for number, (method, init) in enumerate((("dc", "real"), ("dc", "noise"), ("mtt", "real"))):
        own = [0.4 + 0.05 * m + number * (step + 0.001 * (m % 2)) for m in range(networks)]
        values = {name: {0: [0.4] * networks if "random" in name else own} for name in ROBUST}
        rows += robust_rows(method, init, values)
    return rows


def test_robust_scores_that_cannot_tell_the_sets_apart_are_said_to(study, tmp_path):
    _, text = section(study, tmp_path, "robustness", robust_cells(0.0001))
    how = "paired t over the networks of one set each, Holm for 3 pairs"
    for kind in ("label", "augmentation"):
        assert (
            f"At 1 image per class the {kind}-robust scores cannot tell the sets apart: none of 3 "
            f"pairs differs significantly ({how})." in text
        )
    _, text = section(study, tmp_path, "robustness", robust_cells(0.05))
    best = "the highest, of MTT from real images, is significantly above all others."
    assert (
        f"At 1 image per class the label-robust scores tell 3 of 3 pairs apart ({how}); {best}"
        in text
    )
    _, text = section(study, tmp_path, "robustness", robust_cells(0.05, networks=1))
    assert (
        "At 1 image per class the label-robust scores are of one network each: they have no "
        "spread, and nothing tells the sets apart." in text
    )


def test_headlines_say_how_many_sets_and_networks(page):
    assert "mean ± standard deviation over 2 sets, 3 networks each" in text_of(page)


def test_course_project_figures_stand_beside(page):
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    table = text_of(table[: table.index("</table>")])
    assert "83.27" in table and "81.96" in table and "99.41" in table
    assert "48.25" in text_of(page) and "76.25" in text_of(page)


def test_unconfirmed_figures_are_marked(page):
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "Herding" in r)
    assert "89.2 ± 1.6" in row and "unconfirmed" in row
    row = next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if ">DC<" in r or "DC<span" in r)
    assert "unconfirmed" not in row


def test_few_experts_and_iterations_are_told(study, page, tmp_path):
    assert (
        "MTT at 1 and 10 images per class ran with 6 experts and 100 iterations; published: 100 "
        "experts and 5000 iterations." in text_of(page)
    )


def test_a_method_of_ours_stands_beside_its_published_figures_whatever_their_writing():
    ours = plugins.methods()
    names = {name for name in published.table()["method"] if name.lower() in ours}
    assert {"dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding"} <= names <= set(ours)


def test_few_experts_are_told_of_every_method_that_learns_from_them():
    """As the sets say it: what the config says now may be another thing."""
    experts = {"recipe": "few", "number": 3, "epochs": 20}
    header = {"dataset": "MNIST", "settings": {"iterations": 100}}
    learned = {"tesla": (None, experts), "bold": ("mtt", experts), "dc": (None, None)}
    summary = pd.DataFrame(columns=["dataset", "method", "ipc", "models", "sets"])
    study = SimpleNamespace(
        headers={
            ("MNIST", name, "real", 1): {**header, "method": name, "of": of, "experts": found}
            for name, (of, found) in learned.items()
        },
        metrics=measurements.read_metrics(pd.DataFrame(columns=COLUMNS)),
        summary=summary,
        costs=[],
        config={"experts": {"default": {"number": 10}}, "methods": {}},
        titles={"tesla": "TESLA", "bold": "Bold"},
    )
    told = budgets.expert_notes(study, "MNIST")
    less = (
        "at 1 image per class ran with 3 experts and 100 iterations; published: 100 experts and "
        "5000 iterations."
    )
    assert told == [f"TESLA {less}", f"Bold {less}"]


def test_a_student_that_ends_farther_away_than_it_began_is_told(study, tmp_path):
    def run(method, init, losses, learned=True):
        rows = rows_of(method, init, {0: [0.5]})
        for measure, values in (
            ("matching_loss", losses),
            ("step_size", [0.02] * len(losses) * learned),
        ):
            rows += [
                {
                    **rows[0],
                    "network": "",
                    "selection": "",
                    "split": "",
                    "measure": measure,
                    "iteration": i + 1,
                    "value": v,
                }
                for i, v in enumerate(values)
            ]
        return rows

    # Of 20 iterations the last two count.
    rows = (
        run("mtt", "real", [4.0] * 18 + [1.0, 1.5])
        + run("mtt", "noise", [4.0] * 18 + [1.0, 0.5])
        + run("dc", "real", [9.0] * 20, learned=False)
    )
    _, text = section(study, tmp_path, "accuracy", rows)
    assert (
        "MTT, real images, 1 image per class: the matching loss ended at 1.25. Above 1 the student "
        "ends farther" in text
    )
    assert text.count("the matching loss ended at") == 1


def test_flops_ratio(page):
    # 60000 images for 20 epochs against 10 images for 300.
    assert "1 : 400" in text_of(page)
    assert "takes 400 times fewer FLOPs (" in text_of(page)


# ---- only what is so -----------------------------------------------------------------------------


def headline(study, path, rows, **changes):
    """What the page says first of the dataset, and the whole page's text."""
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    page = built(
        study, path / "r.html", metrics=metrics, sets=[], evolutions=[], **{"costs": [], **changes}
    )
    outline(page)
    assert not re.search(r"\b(nan|None|inf)\b", text_of(page))
    first = page[page.index('<section class="finding') :]
    return text_of(first[: first.index("</section>")]), text_of(page)


def curve_of(test, train, model=0):
    """The curve of a network on the full training set, {epoch: accuracy}, and its accuracy at the
    end."""
    common = rows_of("whole", "", {None: [test[max(test)]]})[0] | {"model": model}
    curves = (("test", test), ("train", {max(test): train}))
    return [common] + [
        {**common, "split": split, "epoch": e, "value": v}
        for split, found in curves
        for e, v in found.items()
    ]


CUT_OFF = {2: 0.70, 4: 0.85, 5: 0.88, 6: 0.90, 8: 0.906, 10: 0.91}
SETTLED = {2: 0.90, 5: 0.91, 8: 0.91, 10: 0.91}
THREE = [[0.80, 0.82, 0.81], [0.79, 0.83, 0.80], [0.60, 0.63, 0.61]]


def three(*names):
    return [
        row
        for (method, init), values in zip(names, THREE, strict=True)
        for row in rows_of(method, init, {0: values})
    ]


SETS = three(("dc", "real"), ("dc", "noise"), ("random", "real"))


def test_a_share_of_the_full_training_set_stands_beside_its_accuracy_and_count(study, tmp_path):
    first, page = headline(study, tmp_path, SETS + curve_of(SETTLED, 0.97))
    assert "89.0 % of the 91.0 % (one network) that the full training set reaches" in first
    assert "Full training set: 91.0 % one network, so that its spread is not known" in first
    assert "still improving" not in page and "see the note" not in page
    second = [{**row, "model": 1, "value": 0.93} for row in curve_of(SETTLED, 0.97)[:1]]
    first, _ = headline(study, tmp_path, SETS + curve_of(SETTLED, 0.97) + second)
    assert "of the 92.0 ± 1.0 % (2 networks) that the full training set reaches" in first


def test_a_network_trained_too_little_on_the_full_training_set_is_no_measure(study, tmp_path):
    first, page = headline(study, tmp_path, SETS + curve_of(CUT_OFF, 0.95))
    told = (
        "ConvNet on the full training set was still improving when its training ended: its test "
        "accuracy was 88.0 % after epoch 5 and "
        "90.8 % over the last quarter of 10 epochs (one network). It would reach more, so every "
        "share of it is too high."
    )
    assert told in first and "that the full training set reaches" not in first
    # The table still has the share, and the reason beside it.
    assert page.count(told) == 2 and "% of full training set see the note" in page
    first, _ = headline(study, tmp_path, SETS + curve_of(CUT_OFF, 0.995))
    assert "that the full training set reaches" in first, (
        "what fits its training images has converged"
    )
    first, _ = headline(study, tmp_path, SETS + rows_of("whole", "", {None: [0.91]}))
    assert (
        "had converged is not known" in first and "that the full training set reaches" not in first
    )


def test_a_set_that_beats_the_full_training_set_is_no_share_of_it(study, tmp_path):
    first, page = headline(
        study, tmp_path, SETS + curve_of({2: 0.78, 5: 0.80, 8: 0.80, 10: 0.80}, 0.97)
    )
    told = (
        "DC, real images, 1 image per class and 1 other set reached more than ConvNet on the full "
        "training set (81.0 % against 80.0 %)"
    )
    assert (
        told in first
        and "that the full training set reaches" not in first
        and "% of full training set see the note" in page
    )
    first, _ = headline(study, tmp_path, SETS + curve_of(SETTLED, 0.97))
    assert "reached more than" not in first


def test_the_best_is_said_to_be_the_best_of_so_many_and_of_which_it_is_not_shown_to_be(
    study, tmp_path
):
    first, _ = headline(study, tmp_path, SETS)
    how = "(paired t over the networks of one set each, Holm for 3 pairs)"
    counts = "mean ± standard deviation over 1 set, 3 networks"
    said = f"best of 2 by test accuracy; not significantly better than DC from Gaussian noise {how}"
    assert f"DC from real images at 1 image per class: 81.0 ± 0.8 % {counts} {said}" in first
    # 20, 19, 20: mean 19.67, deviation 0.577, reach 1.43.
    assert (
        "19.7 points above random images of the same size (95 % interval +18.2 to +21.1, 3 pairs "
        "of networks, 1 set)" in first
    )
    clear = three(("dc", "real"), ("random", "real"), ("dc", "noise"))[:3] + SETS[6:]
    first, _ = headline(study, tmp_path, clear)
    assert "significantly better than Random (paired t" in first and "best of" not in first
    # A coreset that is above the best distilled set is no less worth a word.
    worse = three(("random", "real"), ("herding", "real"), ("dc", "real"))
    first, _ = headline(study, tmp_path, worse)
    assert "significantly worse than" in first and "points below random images" in first


def test_cells_with_one_network_each_have_no_spread_and_are_tested_against_nothing(study, tmp_path):
    cells = (
        ("dc", "real", 0.8),
        ("mtt", "real", 0.7),
        ("dc", "noise", 0.6),
        ("random", "real", 0.5),
    )
    rows = [row for method, init, value in cells for row in rows_of(method, init, {0: [value]})]
    first, page = headline(study, tmp_path, rows + curve_of(SETTLED, 0.97))
    said = (
        "best of 3 by test accuracy; not tested against any other, since one pair of networks "
        "shows no spread"
    )
    assert f"DC from real images at 1 image per class: 80.0 % one set, one network {said}" in first
    assert "30.0 points above random images of the same size (one pair of networks)" in first
    assert "Holm for" not in page and "significantly better than" not in first and "±" not in first


def training_rows(method, init, flops):
    row = rows_of(method, init, {0 if method != "whole" else None: [0.0]})[0]
    row |= {"split": "", "selection": ""}
    return [
        {**row, "measure": "training_flops", "value": flops},
        {**row, "measure": "macs_per_image", "value": 1e6},
    ]


def job(rule, seconds, method="dc", **more):
    cell = (
        {"method": "whole"}
        if rule == "train_vanilla"
        else {"method": method, "init": "real", "ipc": 1, "seed": 0}
    )
    return {
        "rule": rule,
        "dataset": "MNIST",
        "network": "ConvNet",
        "seconds": seconds,
        "settings": {"models": 2, "iterations": 100},
        **cell,
        **more,
    }


@pytest.mark.parametrize(
    ("flops", "seconds", "said"),
    [
        (
            1e9,
            4,
            "takes 40 times fewer FLOPs (1 GFLOP instead of 40 GFLOP) and 5.0 times less time "
            "(2.0 s instead of 10 s a network; mean of 2 networks and of 2, tests included)",
        ),
        (
            80e9,
            60,
            "takes 2.0 times more FLOPs (80 GFLOP instead of 40 GFLOP) and 3.0 times more time "
            "(30 s instead of 10 s a network; ",
        ),
        (
            1e9,
            60,
            "takes 40 times fewer FLOPs (1 GFLOP instead of 40 GFLOP) and 3.0 times more time (30 "
            "s instead of 10 s",
        ),
        (
            40e9,
            20,
            "takes as many FLOPs (40 GFLOP instead of 40 GFLOP) and as much time (10 s instead of "
            "10 s a network",
        ),
    ],
)
def test_what_training_takes_is_said_whichever_way_it_falls_beside_the_measured_time(
    study, tmp_path, flops, seconds, said
):
    rows = (
        SETS
        + curve_of(SETTLED, 0.97)
        + training_rows("dc", "real", flops)
        + training_rows("whole", "", 40e9)
    )
    jobs = [job("evaluate_synthetic", seconds), job("train_vanilla", 20)]
    first, _ = headline(study, tmp_path, rows, costs=jobs)
    assert f"training on it {said}" in first
    _, cost = section(study, tmp_path, "cost", rows, costs=jobs)
    ratio = {1e9: "1 : 40", 80e9: "2.0 : 1", 40e9: "1 : 1.0"}[flops]
    assert ratio in cost and "nan" not in cost
    first, _ = headline(study, tmp_path, rows)
    assert "a time that was not measured" in first


def learned_from(study, path, sets):
    """Sets, {(method, seed): name of the expert recipe or None}."""
    found = []
    for number, ((method, seed), recipe) in enumerate(sets.items()):
        own = {
            **header("MNIST", method, "real", 1, seed),
            "experts": recipe and {"recipe": recipe, "number": 2},
        }
        found.append(path / f"own{number}.safetensors")
        SyntheticSet(torch.zeros(10, 1, 28, 28), torch.arange(10), None, own).save(found[-1])
    return found


def test_making_a_set_includes_its_share_of_the_experts_and_says_when_it_has_paid(study, tmp_path):
    rows = [
        row
        for method in ("mtt", "tesla", "dc")
        for row in rows_of(method, "real", {0: THREE[0], 1: THREE[1]})
    ]
    jobs = [
        job("distill", 100.0, "mtt", seed=0),
        job("distill", 140.0, "mtt", seed=1),
        job("distill", 60.0, "tesla"),
        job("distill", 30.0, "dc"),
    ]
    experts = {"rule": "train_experts", "dataset": "MNIST", "network": "ConvNet"}
    jobs += [
        {**experts, "recipe": "default", "seconds": 200.0},
        {**experts, "recipe": "default", "seconds": 160.0},
    ]
    jobs += [
        {**experts, "recipe": "few", "seconds": 1000.0},
        {**experts, "dataset": "CIFAR10", "recipe": "default", "seconds": 5000.0},
    ]
    # Two networks a job: 4 s, 4 s, 11 s and on the full training set 10 s each.
    jobs += [
        job("evaluate_synthetic", seconds, method)
        for method, seconds in (("mtt", 8), ("tesla", 8), ("dc", 22))
    ] + [job("train_vanilla", 20)]
    sets = learned_from(
        study,
        tmp_path,
        {("mtt", 0): "default", ("mtt", 1): "default", ("tesla", 0): "default", ("dc", 0): None},
    )
    metrics = pd.DataFrame(rows + curve_of(SETTLED, 0.97)).reindex(columns=list(COLUMNS))
    page = text_of(
        built(study, tmp_path / "r.html", metrics=metrics, sets=sets, evolutions=[], costs=jobs)
    )
    # 360 s of experts for three sets; of MTT (100 + 140) / 2 = 120, with 120 of experts 240, in all
    # 480; it saves 6 s a training.
    assert (
        "MTT, real images MNIST 1 image per class 100 2 min ± 20 s 2 1.2 s 2 min (1 of 3 of 6 min) "
        "4 min" in page
    )
    assert (
        "MTT, real images 1 image per class 4 min 8 min with all experts 40 80 with all experts "
        "4.0 s instead of 10 s" in page
    )
    assert (
        "TESLA, real images 1 image per class 3 min 7 min with all experts 30 70 with all experts "
        "4.0 s instead of 10 s" in page
    )
    assert "DC, real images 1 image per class 30 s never 11 s instead of 10 s" in page
    first, _ = page.split("Full training set:", 1)
    assert (
        "making it took 30 s, which never pays in time: a training on it is no faster" in first
        or "as its share of the experts" in first
    )
    # Without a record of the experts their time is not known, and nothing is said to have paid.
    alone = [cost for cost in jobs if cost["rule"] != "train_experts"]
    page = text_of(
        built(study, tmp_path / "r.html", metrics=metrics, sets=sets, evolutions=[], costs=alone)
    )
    assert (
        "MTT, real images 1 image per class not known – 4.0 s instead of 10 s" in page
        and "never" in page
    )


UNKNOWN = [(None, 4, 10, None), (60, None, 10, None), (60, 4, None, None)]


@pytest.mark.parametrize(
    ("making", "ours", "full", "after"),
    [
        (60, 4, 10, 10),
        (61, 4, 10, 11),
        (0.1, 4, 10, 1),
        (60, 10, 10, "never"),
        (60, 11, 10, "never"),
        *UNKNOWN,
    ],
)
def test_a_set_has_paid_once_the_time_saved_exceeds_its_making(making, ours, full, after):
    assert effort.pays_after(making, ours, full) == after


def test_curves_say_of_how_many_networks_they_are(study, page, tmp_path):
    rows = SETS + [
        {**row, "epoch": e, "split": split}
        for row in SETS
        for e in (1, 2)
        for split in ("train", "test")
        if split == "train" or row["model"] == 0
    ]
    _, text = section(study, tmp_path, "curves", rows + curve_of(SETTLED, 0.97))
    assert "Thick: test, 1 network per set; thin: training images, 3 networks per set." in text
    assert "Thick: test, 1 network; thin: training images, 1 network." in text
    assert "Thick: test, 2 networks per set; thin: validation, 2 networks per set." in text_of(
        page
    ), "snapshots"


def test_a_selection_that_chose_the_final_images_is_said_to_hold_them(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.8, 0.8, 0.7]}) + rows_of(
        "random", "real", {0: [0.5, 0.5, 0.5]}
    )

    def chosen(at):
        row = {**rows[0], "selection": "snapshot", "value": 0.8}
        snapshots = [
            {**row, "split": s, "iteration": i}
            for i in (0, 50, 100)
            for s in ("validation", "test")
        ]
        return [*snapshots, {**rows[0], "selection": "best_validation", "iteration": at}]

    _, text = section(study, tmp_path, "accuracy", rows + chosen(100))
    assert "n 1 × 1 the final images" in text or "80.00 the final images" in text
    _, text = section(study, tmp_path, "accuracy", rows + chosen(50))
    assert "80.00 the final images" not in text and "n 1 × 1 the final images" not in text


# ---- without test images -------------------------------------------------------------------------


def test_classes_and_groups_without_test_images_are_named_and_nothing_is_nan(
    study, tmp_path, monkeypatch
):
    labels = torch.tensor([0, 1, 2, 4, 5, 6, 8, 9])
    tested = {"test_labels": labels, "test_images": labels}
    learned = {"labels": torch.arange(10), "images": torch.zeros(10, 1, 28, 28, dtype=torch.uint8)}
    dataset = SimpleNamespace(name="MNIST", classes=STATISTICS["MNIST"][2], **tested, **learned)
    monkeypatch.setattr(study_results, "_read_data", lambda paths: {"MNIST": dataset})
    whole = {"measure": "class_accuracy", "value": 0.5}
    by_class = [{**row, **whole, "class": c} for row in SETS for c in labels.tolist()]
    # As an earlier version wrote a class without test images.
    by_class += [{**SETS[0], "class": 3, "measure": "class_accuracy", "value": float("nan")}]
    common = {
        "rule": "continual",
        "dataset": "MNIST",
        "network": "ConvNet",
        "strategy": "finetune",
        "split": "test",
        "model": 0,
    }
    stages = [{**common, "stage": stage, "value": 0.5} for stage in (0, 1, 2)]
    learned = [
        {**row, "measure": name}
        for row in stages
        for name in ("overall_accuracy", "average_accuracy")
    ]
    learned += [
        {**row, "group": group, "measure": "accuracy"} for row in stages for group in (0, 2)
    ]
    _, page = headline(study, tmp_path, SETS + by_class + learned)
    assert (
        "There is no test image of the classes 3, 7: every accuracy is over the 8 other classes of "
        "10." in page
    )
    assert "Without test images, so that nothing is measured: 3, 7." in page
    assert "Without test images, so that it counts in no mean: group 2." in page
    assert "1 network" in page[page.index("Continual learning Classes") :]


def test_rows_without_a_number_are_left_out(study, tmp_path):
    first, page = headline(study, tmp_path, [*SETS, {**SETS[0], "model": 9, "value": float("nan")}])
    assert "over 1 set, 3 networks" in first and not re.search(r"\bnan\b", page)


def test_accuracies_that_are_no_number_are_said_to_count_nowhere(study, tmp_path):
    lost = [{**SETS[0], "model": model, "value": float("nan")} for model in (8, 9)]
    noise = [{**row, "value": float("nan")} for row in SETS if row["init"] == "noise"]
    kept = [row for row in SETS if row["init"] != "noise"]
    first, _ = headline(study, tmp_path, kept + lost + noise)
    told = (
        "Test accuracies that are no number, and count nowhere: 2 of DC, real images, 1 image per "
        "class "
        "and 3 of DC, Gaussian noise, 1 image per class."
    )
    assert told in first and "best of" not in first
    assert "count nowhere" not in headline(study, tmp_path, SETS)[0]


@pytest.mark.parametrize("networks", [1, 3])
def test_sets_that_reach_exactly_the_same_are_best_together(study, tmp_path, networks):
    names = (("dc", "real"), ("dc", "noise"), ("mtt", "real"), ("random", "real"))
    values = ([0.8, 0.7, 0.9], [0.9, 0.8, 0.7], [0.6, 0.5, 0.4], [0.7, 0.9, 0.8])
    same = [0.8, 0.8, 0.4, 0.8] if networks == 1 else None
    rows = [
        row
        for number, name in enumerate(names)
        for row in rows_of(*name, {0: [same[number]] if same else values[number]})
    ]
    first, _ = headline(study, tmp_path, rows)
    assert (
        "best of 3 by test accuracy, level with DC from " in first
        and "; significantly better" not in first
    )
    assert "0.0 points from random images of the same size" in first
    first, _ = headline(study, tmp_path, SETS)
    assert "level with" not in first


def test_page_fetches_nothing(page):
    found = outline(page)
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert "<script" not in page and "@import" not in page and "url(" not in page
    assert not re.search(r"https?://", page)


def test_page_is_well_formed(page):
    found = outline(page)
    assert found.headings[0] == 1 and found.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:]))
    assert not found.bare
    assert len(found.ids) == len(set(found.ids))
    anchors = {address[1:] for address in found.addresses if address.startswith("#")}
    assert anchors <= set(found.ids)
    assert '<html lang="en">' in page and 'name="viewport"' in page and "<title>Gradients" in page


def test_same_inputs_give_the_same_bytes(study, page, tmp_path):
    assert built(study, tmp_path / "again.html") == page
    csv, costs = tmp_path / "summary.csv", tmp_path / "costs.json"
    study["metrics"].to_csv(csv, index=False)
    costs.write_text(json.dumps(study["costs"]))
    assert built(study, tmp_path / "files.html", metrics=csv, costs=costs) == page


@pytest.mark.parametrize(
    "lacking", ["continual", "train_vanilla", "mtt", "costs", "images", "everything"]
)
def test_missing_parts_leave_their_section_out(study, tmp_path, lacking):
    metrics, changes = study["metrics"], {}
    if lacking in ("continual", "train_vanilla"):
        changes["metrics"] = metrics[metrics["rule"] != lacking]
    elif lacking == "mtt":
        changes["metrics"] = metrics[metrics["method"] != "mtt"]
    elif lacking == "costs":
        changes["costs"] = []
    elif lacking == "images":
        changes |= {"sets": [], "evolutions": []}
    else:
        changes |= {
            "metrics": metrics.iloc[:0],
            "costs": [],
            "sets": [],
            "evolutions": [],
            "config": {},
            "provenance": {},
        }
    page = built(study, tmp_path / "r.html", **changes)
    ids = outline(page).ids
    assert ("continual" in ids) == (lacking not in ("continual", "everything"))
    assert ("images" in ids) == (lacking not in ("images", "everything"))
    assert ("accuracy" in ids) == (lacking != "everything")
    if lacking == "train_vanilla":
        assert "All training images" not in text_of(page)
    assert not re.search(r"\b(nan|None|inf)\b", text_of(page))


def test_names_are_escaped(study, tmp_path):
    evil = '<script>alert("1")</script>'
    metrics = study["metrics"].replace(
        {"dataset": {"MNIST": evil}, "network": {"ResNet18": "<b>&'\""}}
    )
    config = {**CONFIG, "study": evil, "note": evil}
    page = built(
        study, tmp_path / "r.html", metrics=metrics, config=config, provenance={evil: evil}
    )
    assert "<script" not in page and "<b>&'" not in page
    outline(page)


def test_imported_sets_have_rows_of_their_own(study, tmp_path):
    rows = study["metrics"]
    extra = rows[
        (rows["method"] == "dc") & (rows["init"] == "real") & (rows["dataset"] == "CIFAR10")
    ].copy()
    extra["init"], extra["method"] = "imported", "released"
    page = built(study, tmp_path / "r.html", metrics=pd.concat([rows, extra]))
    table = page[page.index('aria-label="Accuracy on CIFAR-10 of ConvNet"') :]
    assert any("released" in r and "imported" in r for r in re.findall(r"(?s)<tr.*?</tr>", table))


def test_broken_inputs_are_named(study, tmp_path, monkeypatch):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(study["sets"][0].read_bytes()[:500])
    with pytest.raises(UserError, match=r"broken\.safetensors.*distill"):
        built(study, tmp_path / "r.html", sets=[broken])
    with pytest.raises(UserError, match=r"evolution\.safetensors.*missing.*distill"):
        built(study, tmp_path / "r.html", evolutions=[tmp_path / "evolution.safetensors"])
    with pytest.raises(UserError, match=r"has no tensor iterations"):
        built(study, tmp_path / "r.html", evolutions=[study["sets"][0]])
    with pytest.raises(UserError, match=r"gone\.csv.*evaluate_synthetic"):
        built(study, tmp_path / "r.html", metrics=tmp_path / "gone.csv")
    with pytest.raises(UserError, match="no column value"):
        built(study, tmp_path / "r.html", metrics=study["metrics"].drop(columns="value"))
    with pytest.raises(UserError, match="the column ipc holds 'ten'"):
        built(study, tmp_path / "r.html", metrics=study["metrics"].astype(object).assign(ipc="ten"))
    (tmp_path / "costs.json").write_text("[{")
    with pytest.raises(UserError, match=r"costs\.json"):
        built(study, tmp_path / "r.html", costs=tmp_path / "costs.json")
    template = tmp_path / "page.html.jinja"
    monkeypatch.setattr(report, "TEMPLATE", template)
    with pytest.raises(UserError, match=r"page\.html\.jinja: the report's template cannot be read"):
        built(study, tmp_path / "r.html")
    template.write_text("{% if %}")
    with pytest.raises(UserError, match=r"page\.html\.jinja: the report's template is not valid"):
        built(study, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_published_table():
    table = published.table()
    assert set(table["protocol"]) == set(published.PROTOCOLS)
    assert set(table["evidence"]) <= set(published.EVIDENCE)
    assert (table["source"] != "").all() and table["value"].between(0, 100).all()
    assert not table.duplicated(
        ["dataset", "method", "init", "ipc", "network", "strategy", "protocol", "source", "note"]
    ).any()
    assert published.lookup("CIFAR10", "dc", ipc=10, protocol="published")["printed"].tolist() == [
        "44.9 ± 0.5"
    ]
    assert (
        published.lookup("CIFAR10", "mtt", ipc=10, protocol="published").iloc[0]["printed"]
        == "65.3 ± 0.7"
    )
    assert published.lookup("CIFAR10", "whole", ipc=None, protocol="published")[
        "value"
    ].tolist() == [84.8]
    assert published.lookup("MNIST", "mtt", ipc=10).empty, (
        "nobody published trajectory matching on MNIST"
    )


def test_lookup_prefers_the_same_start():
    course = published.lookup("MNIST", "dc", ipc=10, init="noise", protocol="course project")
    assert course["value"].tolist() == [81.96], "the other start's figure is another experiment"
    assert published.lookup("CIFAR10", "mtt", ipc=10, init="noise", protocol="course project")[
        "value"
    ].tolist() == [
        18.10,
        21.89,
    ]
    assert (
        published.lookup("CIFAR10", "mtt", ipc=50, init="noise", protocol="published").iloc[0][
            "init"
        ]
        == "real"
    )


def test_energy_that_no_job_measured_is_said_to_be_so():
    jobs = (("distill", None), ("evaluate", 2e3), ("evaluate", None), ("collect", 5.0))
    costs = [{"rule": rule, "seconds": 1.0, "energy_joules": energy} for rule, energy in jobs]
    told = {line["rule"]: line["energy"] for line in cost.rules(SimpleNamespace(costs=costs))}
    assert told["distill"] == "not measured"
    assert told["evaluate"].endswith(" (1 of 2 jobs)") and "of" not in told["collect"]


def test_the_course_projects_figures_are_those_of_its_logs():
    """And those that were measured under a protocol of their own may not be set against any of
    ours."""
    table = published.table()
    course = table[(table["protocol"] == "course project") & (table["strategy"] == "")]
    apart = course[course["not_comparable"] != ""]
    assert set(apart["value"]) == {60.0, 54.67, 18.47, 16.45, 21.89, 14.72}
    assert all("batch 1, 2000 steps instead of 20" in reason for reason in apart["not_comparable"])
    assert "not whitened" in apart[apart["value"] == 21.89]["not_comparable"].item()
    real, noise = (
        course[(course["method"] == "mtt") & (course["init"] == init)] for init in ("real", "noise")
    )
    assert (real["value"].item(), noise["value"].item()) == (23.77, 18.10)
    assert (
        "M 3, start epochs below 20" in real["note"].item()
        and "0.013289; 22.38 before" in real["note"].item()
    )
    assert "0.0069285; 10.34 before" in noise["note"].item()
    assert (table[table["protocol"] == "published"]["not_comparable"] == "").all()


def test_a_figure_that_is_not_comparable_says_why_and_has_no_mark_on_the_axis(page):
    resnet = published.lookup(
        "MNIST", "dc", ipc=10, init="real", network="ResNet18", protocol="course project"
    )
    assert sources.Sources().cell(resnet)["not_comparable"] == resnet["not_comparable"].item() != ""
    table = text_of(
        page[page.index('aria-label="Accuracy on MNIST of ResNet18"') :].split("</table>")[0]
    )
    assert "60.0" in table and f"not comparable: {resnet['not_comparable'].item()}" in table
    table = text_of(
        page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :].split("</table>")[0]
    )
    assert "not comparable" not in table


def test_evaluation_epochs_are_those_that_the_jobs_were_asked_for(study, tmp_path):
    cell = {
        "rule": "evaluate_synthetic",
        "dataset": "MNIST",
        "method": "dc",
        "init": "real",
        "ipc": 1,
        "seed": 0,
    }
    costs = [
        {**cell, "network": network, "seconds": 1.0, "settings": {"epochs": epochs}}
        for network, epochs in (("ConvNet", 300), ("MLP", 40), ("LeNet", 300))
    ]
    # The protocol trains one epoch more than it counts; a curve may end anywhere.
    curve = [{**SETS[0], "epoch": epoch} for epoch in (20, 301)]
    _, page = headline(study, tmp_path, SETS + curve, costs=costs)
    assert "evaluation epochs" in page and " 40 or 300 " in page and " 301 " not in page


def test_published_budgets():
    assert published.budget("dc", "CIFAR10", 10) == {
        "iterations": 1000,
        "outer": 10,
        "inner": 50,
        "epochs": 300,
        "networks": 20,
        "sets": 5,
    }
    assert published.budget("mtt", "CIFAR10", 10)["experts"] == 100
    assert published.budget("herding", "CIFAR10", 10) == {}


def test_strip_keeps_pixels_and_parts_images():
    import base64
    import io

    from PIL import Image

    images = np.random.default_rng(0).random((3, 3, 4, 5)).astype(np.float32)
    strip = figures.strip(images)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip["src"].split(",")[1]))))
    assert sheet.shape == (4, 17, 4) and (strip["width"], strip["height"]) == (17, 4)
    np.testing.assert_array_equal(
        sheet[:, 6:11, :3], np.round(images[1] * 255).astype(np.uint8).transpose(1, 2, 0)
    )
    assert (sheet[:, 5, 3] == 0).all() and (sheet[:, :5, 3] == 255).all()


def test_pixels_undo_the_normalisation():
    pixels = np.random.default_rng(0).random((2, 3, 4, 4)).astype(np.float32)
    mean, std = STATISTICS["CIFAR10"][:2]
    images = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found, exact = figures.to_pixels(images, {"mean": mean, "std": std})
    np.testing.assert_allclose(found, pixels, atol=1e-6)
    assert exact and figures.to_pixels(images + 99, {"mean": mean, "std": std})[0].max() == 1
    stretched, exact = figures.to_pixels(images, {"kind": "zca"})
    assert not exact and stretched.min() == 0 and stretched.max() == pytest.approx(1)


def test_chart_holds_its_points():
    svg = figures.line_chart(
        [figures.Series("a", [0, 1, 2], [0.1, 0.9, float("nan")])],
        label="x",
        x_label="<e>",
        percent=True,
    )
    assert "&lt;e&gt;" in svg and svg.count("<circle") == 2
    assert figures.line_chart([], label="x", x_label="e") == ""
    xs = [float(v) for v in re.findall(r'cx="([\d.]+)"', svg)]
    assert xs == [figures.LEFT, figures.WIDTH - figures.RIGHT]
    assert figures.ticks(0, 100) == [0, 25, 50, 75, 100]


def test_shortened_curve_keeps_the_mean():
    size, x, (y,) = figures.shorten(np.arange(1000), np.arange(1000) * 2.0, points=100)
    assert size == 10 and len(x) == 100 and y[0] == 9 and x[-1] == 994.5
