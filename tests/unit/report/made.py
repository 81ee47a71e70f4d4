"""A dummy study of two datasets whose numbers can be computed by hand, and how a page is read."""

import html.parser
import re

import numpy as np
import pandas as pd
import torch

from distillery.report import page as report
from distillery.sets.synthetic import SyntheticSet
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
            "steps": 2,
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


def built(study, path, **changes):
    report.build(**{**study, **changes}, output=path)
    return path.read_text(encoding="utf-8")


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
        re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(style|svg|script|noscript).*?</\1>", " ", page)),
    )


def rows_of(method, init, accuracies, measure="accuracy", dataset="MNIST", ipc=1):
    """``accuracies`` {seed: [one a network]}; seed ``None`` for the full training set."""
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
        study,
        path / "r.html",
        **{"metrics": metrics, "sets": [], "evolutions": [], "costs": [], **changes},
    )
    outline(page)
    assert f'href="#{name}"' in page
    page = page[page.index(f'<h2 id="{name}"') :]
    page = page[: page.index("</section>")]
    return [text_of(row).strip() for row in re.findall(r"(?s)<tr\b.*?</tr>", page)], text_of(page)


LEVEL = {0: [0.50, 0.90], 1: [0.70, 0.60], 2: [0.55, 0.65]}


def above(*points):
    """As `LEVEL`, each set by so many points."""
    return {
        seed: [value + points[seed] / 100 for value in values] for seed, values in LEVEL.items()
    }


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


def robust_cells(step, networks=4):
    """Three cells whose networks differ far more than the cells, of which each is above the last by
    ``step``."""
    rows = rows_of("whole", "", {None: [0.95]})
    for number, (method, init) in enumerate((("dc", "real"), ("dc", "noise"), ("mtt", "real"))):
        own = [0.4 + 0.05 * m + number * (step + 0.001 * (m % 2)) for m in range(networks)]
        values = {name: {0: [0.4] * networks if "random" in name else own} for name in ROBUST}
        rows += robust_rows(method, init, values)
    return rows


def headline(study, path, rows, **changes):
    """What the page says first of the dataset, and the whole page's text."""
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    page = built(
        study,
        path / "r.html",
        **{"metrics": metrics, "sets": [], "evolutions": [], "costs": [], **changes},
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


UNKNOWN = [(None, 4, 10, None), (60, None, 10, None), (60, 4, None, None)]
