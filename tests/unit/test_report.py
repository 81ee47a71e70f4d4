"""The report and the published figures, on a dummy study of two datasets whose numbers can be computed by hand."""

import html.parser
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from distillery import artefact, figures, plugins, published, report
from distillery.errors import UserError
from distillery.metrics import COLUMNS
from distillery.synthetic import SyntheticSet

TEMPLATE = Path(__file__).parents[2] / "workflow" / "report" / "report.html.jinja"
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
    "study": "Gradients and trajectories at one and ten images a class",
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
            rows.append({**common, "rule": "distill", "iteration": i, "measure": "matching_loss", "value": loss})
            if method == "mtt":
                rows.append(
                    {**common, "rule": "distill", "iteration": i, "measure": "step_size", "value": 0.01 + i * 1e-4}
                )
    for network in ("ConvNet", "ResNet18"):
        common_here = {**common, "rule": "evaluate_synthetic", "network": network}
        rows += training(draw, common_here, level(dataset, method, init, ipc, network), 3, 300)
        rows += [
            {**common_here, "measure": "macs_per_image", "value": 51.6e6 if network == "ConvNet" else 557e6},
            {**common_here, "measure": "parameters", "value": 320010 if network == "ConvNet" else 11.17e6},
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
                        value = top * (1 - 0.5 * np.exp(-iteration / 20)) + 0.004 * draw.standard_normal()
                        where = {"selection": "snapshot", "split": split, "model": model, "iteration": iteration}
                        rows.append({**common_here, **where, "measure": "accuracy", "value": value})
            for selection, lift in (("best_validation", 0.003), ("best_test", 0.006)):
                for model in range(2):
                    where = {"selection": selection, "split": "test", "model": model, "iteration": 90}
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
                rows.append({**where, "split": split, "epoch": epoch, "measure": "accuracy", "value": value})
                loss = 2.3 * (1 - value) + 0.02
                rows.append({**where, "split": split, "epoch": epoch, "measure": "loss", "value": loss})
        rows.append({**where, "split": "test", "measure": "accuracy", "value": reached})
        rows.append({**where, "split": "test", "measure": "loss", "value": 2.3 * (1 - reached)})
        for c in range(10):
            value = float(np.clip(reached + 0.12 * np.sin(c * 1.7) * (1 - reached) * 2, 0, 1))
            rows.append({**where, "split": "test", "class": c, "measure": "class_accuracy", "value": value})
    return rows


def continual_rows(draw, dataset):
    rows = []
    plans = [("finetune", {}), ("joint", {})]
    for init in ("real", "noise"):
        memory = {"method": "dc", "init": init, "ipc": 10, "seed": 0}
        plans += [("replay", memory), ("afterwards", memory)]
    for strategy, memory in plans:
        common = {"rule": "continual", "dataset": dataset, "network": "ConvNet", "strategy": strategy, **memory}
        old = {"finetune": 0.0, "joint": 0.97, "replay": 0.7, "afterwards": 0.0}[strategy]
        table = [[0.99, 0.0], [old, 0.98]] + ([[0.75, 0.78]] if strategy == "afterwards" else [])
        for model in range(3):
            for stage, values in enumerate(table):
                values = [min(max(v + 0.004 * draw.standard_normal(), 0), 1) for v in values]
                here = {**common, "model": model, "stage": stage, "split": "test"}
                rows += [{**here, "group": g, "measure": "accuracy", "value": v} for g, v in enumerate(values)]
                seen = min(stage, 1) + 1
                rows.append({**here, "measure": "average_accuracy", "value": sum(values[:seen]) / seen})
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
            common = {"rule": "train_vanilla", "dataset": dataset, "method": "whole", "network": network}
            rows += training(draw, common, level(dataset, "whole", "", None, network), 1, 20)
            seen = (60000 if dataset == "MNIST" else 50000) * 20
            macs = 51.6e6 if network == "ConvNet" else 557e6
            rows += [
                {**common, "measure": "images_seen", "value": seen},
                {**common, "measure": "macs_per_image", "value": macs},
                {**common, "measure": "parameters", "value": 320010 if network == "ConvNet" else 11.17e6},
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
                    {**cost, "rule": "evaluate_synthetic", "network": network, "seconds": 12.0, "code": "cd34" * 16}
                )
            if distilled and seed == 0:
                steps = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
                frames = [dummy_images(dataset, method, init, ipc, seed, mixed=0.3 + 0.007 * s) for s in steps]
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
        "template": TEMPLATE,
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
    """What a browser makes of the page: heading levels, addresses, ids, pictures without a text, tags left open."""

    VOID = frozenset(("meta", "link", "img", "br", "hr", "input", "path", "circle", "polyline", "polygon"))

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
        self.addresses += [attrs[name] for name in ("src", "href", "srcset", "data", "action") if attrs.get(name)]
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
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>", " ", page)))


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
    found = report.summarise(report.read_metrics(metrics))
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
    rows = report.read_metrics(study["metrics"])
    where = (rows["dataset"] == "MNIST") & (rows["method"] == "dc") & (rows["init"] == "noise") & (rows["ipc"] == 1)
    snapshots = rows[where & (rows["selection"] == "snapshot") & (rows["split"] == "validation") & (rows["iteration"] == 90)]
    found = report.summarise(rows[where & (rows["network"] == "ConvNet")])
    held = only(found, found["selection"] == "held_out").iloc[0]
    assert held["mean"] == pytest.approx(snapshots["value"].mean()) and held["count"] == len(snapshots) > 1
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "DC" in r and "Gaussian noise" in r)
    assert "its score in validation" in text_of(table) and f"{100 * held['mean']:.2f}" in text_of(row)


def test_table_shows_mean_deviation_gain_and_share(study, page):
    found = report.summarise(report.read_metrics(study["metrics"]))

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
    row = text_of(next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "DC" in r and "real images" in r))
    assert f"{100 * ours['mean']:.2f} ± {100 * ours['std']:.2f}" in row
    assert f"+{100 * (ours['mean'] - random['mean']):.2f}" in row
    assert f"{100 * ours['mean'] / whole['mean']:.1f}" in row
    assert "91.7 ± 0.5" in row, "the published figure stands beside"
    assert "2 × 3" in row and "best on validation n 2 × 2" in text_of(table)
    gain = 100 * (ours["mean"] - random["mean"])
    assert f"{gain:.1f} points above random images of the same size" in text_of(page)


# ---- judged in pairs, and robustly ------------------------------------------------------------------------------------------------------


def rows_of(method, init, accuracies, measure="accuracy", dataset="MNIST", ipc=1):
    """``accuracies`` {seed: [one a network]}; seed ``None`` for the whole set."""
    common = {"dataset": dataset, "method": method, "init": init, "network": "ConvNet", "selection": "last", "split": "test", "measure": measure}
    return [
        {**common, "ipc": None if seed is None else ipc, "seed": seed, "model": model, "value": value}
        for seed, values in accuracies.items()
        for model, value in enumerate(values)
    ]


def section(study, path, name, rows, **changes):
    """The rows of a section of the page as texts, and all its text."""
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    page = built(study, path / "r.html", metrics=metrics, sets=[], evolutions=[], **{"costs": [], **changes})
    outline(page)
    assert f'href="#{name}"' in page
    page = page[page.index(f'<h2 id="{name}"') :]
    page = page[: page.index("</section>")]
    return [text_of(row).strip() for row in re.findall(r"(?s)<tr>.*?</tr>", page)], text_of(page)


LEVEL = {0: [0.50, 0.90], 1: [0.70, 0.60], 2: [0.55, 0.65]}


def above(*points):
    """As `LEVEL`, each set by so many points."""
    return {seed: [value + points[seed] / 100 for value in values] for seed, values in LEVEL.items()}


def test_methods_are_compared_in_pairs_of_networks(study, tmp_path):
    rows = rows_of("dc", "real", above(7, 8, 9)) + rows_of("dc", "noise", above(1, -3, 2)) + rows_of("random", "real", LEVEL)
    rows += rows_of("herding", "real", {0: [0.6]}) + rows_of("whole", "", {None: [0.99]})
    lines, text = section(study, tmp_path, "pairs", rows[::-1])
    assert lines[0].startswith("set against points 95 % interval") and lines[1] == "1 image a class"
    # Deviation 1 point over 3 sets, t of 2 degrees of freedom 4.3027: 8 ± 2.48.
    assert "DC, real images Random +8.00 +5.52 to +10.48 better 3 × 2" in lines
    # 6, 11, 7: deviation 2.646, reach 4.3027 x 2.646 / 1.732 = 6.57.
    assert "DC, real images DC, Gaussian noise +8.00 +1.43 to +14.57 better 3 × 2" in lines
    # 1, −3, 2: mean 0, the same deviation.
    assert "DC, Gaussian noise Random +0.00 −6.57 to +6.57 no difference shown 3 × 2" in lines
    # Herding has one network of one set: the others of DC have no partner.
    assert "DC, real images Herding −3.00 – one network: nothing shown 1 × 1 5 without a partner left out" in lines
    assert len(lines) == 2 + 4, "each pair once, and the whole set in none"
    assert "Whole" not in text and not re.search(r"\b(nan|inf)\b", text)


def test_one_set_speaks_of_itself_only_and_a_worse_first_is_called_worse(study, tmp_path):
    one = {0: [0.50, 0.52, 0.54]}
    rows = rows_of("dc", "real", {0: [0.42, 0.45, 0.45]}) + rows_of("mtt", "real", one) + rows_of("random", "real", {0: [0.48, 0.50, 0.56]})
    lines, _ = section(study, tmp_path, "pairs", rows)
    # Differences 8, 7, 9: deviation 1, t of 2 degrees of freedom 4.3027, reach 2.48.
    assert "MTT, real images DC, real images +8.00 +5.52 to +10.48 better 1 × 3 of this one set only" in lines
    # Differences −6, −5, −11: deviation 3.215, reach 7.99: not shown; without the third network −6, −5 would be worse yet.
    assert "DC, real images Random −7.33 −15.32 to +0.65 no difference shown 1 × 3 of this one set only" in lines
    rows = rows_of("dc", "real", {0: [0.42, 0.45, 0.44]}) + rows_of("mtt", "real", one) + rows_of("random", "real", {0: [0.48, 0.50, 0.50]})
    lines, _ = section(study, tmp_path, "pairs", rows)
    # −6, −5, −6: deviation 0.577, reach 1.43.
    assert "DC, real images Random −5.67 −7.10 to −4.23 worse 1 × 3 of this one set only" in lines


@pytest.mark.parametrize(("epochs", "said"), [(300, False), (1000, True)])
def test_pairs_that_were_trained_by_different_recipes_are_told(study, tmp_path, epochs, said):
    rows = rows_of("dc", "real", above(7, 8, 9)) + rows_of("random", "real", LEVEL)
    job = {"rule": "evaluate_synthetic", "dataset": "MNIST", "init": "real", "ipc": 1, "network": "ConvNet", "seconds": 1.0}
    recipe = {"epochs": 300, "lr": 0.01, "batch": 256, "curve": 0}
    other = {**recipe, "epochs": epochs, "curve": 9}
    costs = [{**job, "method": method, "seed": 0, "settings": settings} for method, settings in (("dc", recipe), ("random", other))]
    lines, _ = section(study, tmp_path, "pairs", rows, costs=costs)
    found = next(line for line in lines if line.startswith("DC, real images Random"))
    assert ("networks trained by different recipes" in found) == said


def test_sets_with_different_numbers_of_networks_are_counted_in_words(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.5, 0.5], 1: [0.6]}) + rows_of("random", "real", {0: [0.4, 0.4], 1: [0.4]})
    lines, _ = section(study, tmp_path, "pairs", rows)
    assert any("2 sets, 3 networks" in line for line in lines)
    lines, _ = section(study, tmp_path, "accuracy", rows)
    assert any("2 sets, 3 networks" in line for line in lines)
    assert "n sets × networks" in lines[0]


def test_nothing_in_common_is_compared_nowhere(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.5]}) + rows_of("random", "real", {1: [0.4]})
    page = built(study, tmp_path / "r.html", metrics=pd.DataFrame(rows).reindex(columns=list(COLUMNS)), sets=[], evolutions=[])
    assert 'id="pairs"' not in page and 'id="robustness"' not in page


def robust_rows(method, init, values):
    """``values`` {measure: {seed: [one a network]}}."""
    return [row for measure, found in values.items() for row in rows_of(method, init, found, measure)]


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
    cost = {"rule": "evaluate_robust", "dataset": "MNIST", "network": "ConvNet", "settings": {"augment": "none", "robust": {"augment": "dsa", "models": 2}}}
    lines, text = section(study, tmp_path, "robustness", rows, costs=[cost])
    # Set 0: IOR 0.2, HLR 0.5, α −0.15: 20.968; set 1: IOR 0, HLR 0.5, α −0.25: (0.778801 − 0.367879) / 2.350402 = 17.483.
    # Set 0: β 0.05 − 0.1 = −0.05: 24.819; set 1: β 0.05: (1.051271 − 0.367879) / 2.350402 = 29.076.
    assert lines[1] == "DC, real images 1 19.23 ± 1.74 +10.00 −50.00 26.95 ± 2.13 +10.00 −10.00 2 × 2"
    assert len(lines) == 2 and "Augmentation: dsa." in text


def test_without_the_whole_set_there_is_no_label_robust_score(study, tmp_path):
    lines, text = section(study, tmp_path, "robustness", robust_rows("mtt", "noise", ROBUST))
    assert lines[1] == "MTT, Gaussian noise 1 – +10.00 – 26.95 ± 2.13 +10.00 −10.00 2 × 2"
    assert "there is no label-robust score" in text and "Augmentation:" not in text


def test_one_set_s_score_has_no_spread(study, tmp_path):
    one = {measure: {0: values[0]} for measure, values in ROBUST.items()}
    lines, _ = section(study, tmp_path, "robustness", robust_rows("dc", "real", one) + rows_of("whole", "", {None: [0.9]}))
    assert lines[1] == "DC, real images 1 20.97 +20.00 −50.00 24.82 +10.00 −20.00 1 × 2"


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
        "MTT at 1 and 10 images a class ran with 6 experts and 100 iterations; published: 100 experts and 5000 iterations."
        in text_of(page)
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
        headers={("MNIST", name, "real", 1): {**header, "method": name, "of": of, "experts": found} for name, (of, found) in learned.items()},
        metrics=report.read_metrics(pd.DataFrame(columns=report.COLUMNS)),
        summary=summary,
        costs=[],
        config={"experts": {"default": {"number": 10}}, "methods": {}},
        titles={"tesla": "TESLA", "bold": "Bold"},
    )
    told = report._expert_notes(study, "MNIST")
    less = "at 1 image a class ran with 3 experts and 100 iterations; published: 100 experts and 5000 iterations."
    assert told == [f"TESLA {less}", f"Bold {less}"]


def test_a_student_that_ends_farther_away_than_it_began_is_told(study, tmp_path):
    def run(method, init, losses, learned=True):
        rows = rows_of(method, init, {0: [0.5]})
        for measure, values in (("matching_loss", losses), ("step_size", [0.02] * len(losses) * learned)):
            rows += [{**rows[0], "network": "", "selection": "", "split": "", "measure": measure, "iteration": i + 1, "value": v} for i, v in enumerate(values)]
        return rows

    # Of 20 iterations the last two count.
    rows = run("mtt", "real", [4.0] * 18 + [1.0, 1.5]) + run("mtt", "noise", [4.0] * 18 + [1.0, 0.5]) + run("dc", "real", [9.0] * 20, learned=False)
    _, text = section(study, tmp_path, "accuracy", rows)
    assert "MTT, real images, 1 image a class: the matching loss ended at 1.25. Above 1 the student ends farther" in text
    assert text.count("the matching loss ended at") == 1


def test_flops_ratio(page):
    # 60000 images for 20 epochs against 10 images for 300.
    assert "1 : 400" in text_of(page)
    assert "with 400 times fewer training FLOPs" in text_of(page)


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


@pytest.mark.parametrize("lacking", ["continual", "train_vanilla", "mtt", "costs", "images", "everything"])
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
    metrics = study["metrics"].replace({"dataset": {"MNIST": evil}, "network": {"ResNet18": "<b>&'\""}})
    config = {**CONFIG, "study": evil, "note": evil}
    page = built(study, tmp_path / "r.html", metrics=metrics, config=config, provenance={evil: evil})
    assert "<script" not in page and "<b>&'" not in page
    outline(page)


def test_imported_sets_have_rows_of_their_own(study, tmp_path):
    rows = study["metrics"]
    extra = rows[(rows["method"] == "dc") & (rows["init"] == "real") & (rows["dataset"] == "CIFAR10")].copy()
    extra["init"], extra["method"] = "imported", "released"
    page = built(study, tmp_path / "r.html", metrics=pd.concat([rows, extra]))
    table = page[page.index('aria-label="Accuracy on CIFAR-10 of ConvNet"') :]
    assert any("released" in r and "imported" in r for r in re.findall(r"(?s)<tr.*?</tr>", table))


def test_broken_inputs_are_named(study, tmp_path):
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
    with pytest.raises(UserError, match=r"none\.jinja"):
        built(study, tmp_path / "r.html", template=tmp_path / "none.jinja")
    assert not (tmp_path / "r.html").exists()


def test_published_table():
    table = published.table()
    assert set(table["protocol"]) == set(published.PROTOCOLS)
    assert set(table["evidence"]) <= set(published.EVIDENCE)
    assert (table["source"] != "").all() and table["value"].between(0, 100).all()
    assert not table.duplicated(
        ["dataset", "method", "init", "ipc", "network", "strategy", "protocol", "source", "note"]
    ).any()
    assert published.lookup("CIFAR10", "dc", ipc=10, protocol="published")["printed"].tolist() == ["44.9 ± 0.5"]
    assert published.lookup("CIFAR10", "mtt", ipc=10, protocol="published").iloc[0]["printed"] == "65.3 ± 0.7"
    assert published.lookup("CIFAR10", "whole", ipc=None, protocol="published")["value"].tolist() == [84.8]
    assert published.lookup("MNIST", "mtt", ipc=10).empty, "nobody published trajectory matching on MNIST"


def test_lookup_prefers_the_same_start():
    course = published.lookup("MNIST", "dc", ipc=10, init="noise", protocol="course project")
    assert course["value"].tolist() == [81.96], "the other start's figure is another experiment"
    assert published.lookup("CIFAR10", "mtt", ipc=10, init="noise", protocol="course project")["value"].tolist() == [
        18.10,
        21.89,
    ]
    assert published.lookup("CIFAR10", "mtt", ipc=50, init="noise", protocol="published").iloc[0]["init"] == "real"


def test_energy_that_no_job_measured_is_said_to_be_so():
    jobs = (("distill", None), ("evaluate", 2e3), ("evaluate", None), ("collect", 5.0))
    costs = [{"rule": rule, "seconds": 1.0, "energy_joules": energy} for rule, energy in jobs]
    told = {line["rule"]: line["energy"] for line in report._cost_rules(SimpleNamespace(costs=costs))}
    assert told["distill"] == "not measured"
    assert told["evaluate"].endswith(" (1 of 2 jobs)") and "of" not in told["collect"]


def test_the_course_projects_figures_are_those_of_its_logs():
    """And those that were measured under a protocol of their own may not be set against any of ours."""
    table = published.table()
    course = table[(table["protocol"] == "course project") & (table["strategy"] == "")]
    apart = course[course["not_comparable"] != ""]
    assert set(apart["value"]) == {60.0, 54.67, 18.47, 16.45, 21.89, 14.72}
    assert all("batch 1, 2000 steps instead of 20" in reason for reason in apart["not_comparable"])
    assert "not whitened" in apart[apart["value"] == 21.89]["not_comparable"].item()
    real, noise = (course[(course["method"] == "mtt") & (course["init"] == init)] for init in ("real", "noise"))
    assert (real["value"].item(), noise["value"].item()) == (23.77, 18.10)
    assert "M 3, start epochs below 20" in real["note"].item() and "0.013289; 22.38 before" in real["note"].item()
    assert "0.0069285; 10.34 before" in noise["note"].item()
    assert (table[table["protocol"] == "published"]["not_comparable"] == "").all()


def test_a_figure_that_is_not_comparable_says_why_and_has_no_mark_on_the_axis(page):
    resnet = published.lookup("MNIST", "dc", ipc=10, init="real", network="ResNet18", protocol="course project")
    assert report._Sources().cell(resnet)["not_comparable"] == resnet["not_comparable"].item() != ""
    table = text_of(page[page.index('aria-label="Accuracy on MNIST of ResNet18"') :].split("</table>")[0])
    assert "60.0" in table and f"not comparable: {resnet['not_comparable'].item()}" in table
    table = text_of(page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :].split("</table>")[0])
    assert "not comparable" not in table


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
    np.testing.assert_array_equal(sheet[:, 6:11, :3], np.round(images[1] * 255).astype(np.uint8).transpose(1, 2, 0))
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
        [figures.Series("a", [0, 1, 2], [0.1, 0.9, float("nan")])], label="x", x_label="<e>", percent=True
    )
    assert "&lt;e&gt;" in svg and svg.count("<circle") == 2
    assert figures.line_chart([], label="x", x_label="e") == ""
    xs = [float(v) for v in re.findall(r'cx="([\d.]+)"', svg)]
    assert xs == [figures.LEFT, figures.WIDTH - figures.RIGHT]
    assert figures.ticks(0, 100) == [0, 25, 50, 75, 100]


def test_shortened_curve_keeps_the_mean():
    size, x, (y,) = figures.shorten(np.arange(1000), np.arange(1000) * 2.0, points=100)
    assert size == 10 and len(x) == 100 and y[0] == 9 and x[-1] == 994.5
