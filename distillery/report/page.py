"""The study's report: one self-contained HTML file, every figure of which is computed here from the
artefacts."""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import torch
import yaml
from markupsafe import Markup

from distillery import plugins
from distillery.errors import UserError, first_line
from distillery.evaluation import scores
from distillery.images import normalization, whitening
from distillery.published import figures as published
from distillery.report import charts as figures
from distillery.report.charts import Series
from distillery.store import artefact, files
from distillery.store.measurements import finished, read_metrics, summarise

CELL = ["dataset", "method", "init", "ipc"]
SELECTIONS = {
    "last": "final images",
    "best_validation": "best on validation",
    "held_out": "its score in validation",
    "best_test": "best on test (papers’ habit)",
}
CORESETS = ("random", "herding")
METHOD_ORDER = ("whole", "dc", "dsa", "dm", "mtt", "tesla", "ncfm")
INIT_ORDER = ("", "real", "noise", "imported")
DATASET_ORDER = ("digits", "MNIST", "FashionMNIST", "SVHN", "CIFAR10", "CIFAR100")
TITLES = {"whole": "Full training set", "random": "Random", "herding": "Herding", "ncfm": "NCFM"}
DATASET_TITLES = {
    "CIFAR10": "CIFAR-10",
    "CIFAR100": "CIFAR-100",
    "digits": "Digits",
    "FashionMNIST": "Fashion-MNIST",
}
INIT_TITLES = {"real": "real images", "noise": "Gaussian noise", "imported": "imported"}
COLOURS = {"whole": 0, "dc": 1, "mtt": 2, "dsa": 3, "dm": 4, "herding": 5, "ncfm": 6, "random": 7}
INIT_DASHES = {"": "solid", "real": "solid", "noise": "dashed", "imported": "dotted"}
SET_RULE = "distill or import_synthetic"
SHOWN_CLASSES, SHOWN_IMAGES, EVOLUTION_CLASSES, EVOLUTION_FRAMES = 10, 10, 5, 8


# --- Reading --------------------------------------------------------------------------------------


def _read_costs(costs) -> list[dict]:
    parts = [costs] if isinstance(costs, str | Path | dict) else list(costs or [])
    found: list[dict] = []
    for part in parts:
        if isinstance(part, str | Path):
            try:
                content = json.loads(Path(part).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UserError(
                    f"{part}: the costs cannot be read ({first_line(error)}); delete the file: the "
                    "rule that wrote it "
                    "(collect, for the whole study's) re-creates it"
                ) from error
            found.extend(content if isinstance(content, list) else [content])
        else:
            found.append(part)
    if not all(isinstance(cost, dict) for cost in found):
        raise UserError(
            "costs: each is one JSON object a job (rule, dataset, seconds, …); found something else"
        )
    return found


def _read_tensors(
    paths: Sequence[str | Path], needed: Sequence[str], whitenings: dict
) -> list[tuple[dict, dict]]:
    """Arrays and headers, in the report's order. Whitenings go into ``whitenings`` by their digest:
    sets of a dataset share one."""
    found = []
    for path in paths:
        tensors, header = artefact.load(path, rule=SET_RULE)
        lacking = [name for name in needed if name not in tensors]
        if lacking:
            raise UserError(
                f"{path}: has no tensor {', '.join(lacking)}; delete it and run snakemake again: "
                f"the rule {SET_RULE} re-creates it"
            )
        own = whitening.carried(tensors, header)
        if own is not None:
            whitenings.setdefault(header["normalization"]["whitening"], own)
        arrays = {
            name: tensor.numpy()
            for name, tensor in tensors.items()
            if not name.startswith(whitening.CARRIED)
        }
        found.append((arrays, header))
    return sorted(found, key=lambda item: (_cell_order(item[1]), item[1].get("seed") or 0))


# --- Words and numbers ----------------------------------------------------------------------------


def _blank(value: Any) -> bool:
    return value is None or value == "" or value != value


def _plugin_titles() -> dict[str, str]:
    return {name: method.title for name, method in plugins.methods().items()}


def _method(name: str, titles: dict[str, str]) -> str:
    name = str(name)
    return (
        TITLES.get(name)
        or titles.get(name)
        or (name.upper() if len(name) <= 4 and name.islower() else name)
    )


def _dataset(name: str) -> str:
    return DATASET_TITLES.get(name, name)


def _start(method: str, init: str) -> str:
    if init == "imported" or method not in CORESETS:
        return INIT_TITLES.get(init, init)
    return "chosen real images"


def _ipc(value: float | None) -> str:
    if _blank(value):
        return "all images"
    return f"{int(value)} image{'' if value == 1 else 's'} per class"


def _percent(value: float, digits: int = 2) -> str:
    return "" if _blank(value) else f"{100 * value:.{digits}f}"


def _signed(value: float, digits: int = 2) -> str:
    # Adding 0 takes the sign from a difference that rounds to none.
    return "" if _blank(value) else f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def _pm(mean: float, std: float, count: int, digits: int = 2) -> str:
    # A single value has no spread: "± 0.00" would claim one.
    return _percent(mean, digits) + (f" ± {_percent(std, digits)}" if count > 1 else "")


def _seconds(value: float | None) -> str:
    if _blank(value):
        return ""
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def _bytes(value: float | None) -> str:
    if _blank(value):
        return ""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if value >= size:
            return f"{value / size:.{1 if value < 100 * size else 0}f} {unit}"
    return f"{value / 1024:.0f} KiB"


def _si(value: float | None, unit: str) -> str:
    if _blank(value):
        return ""
    for prefix, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def _times(value: float) -> str:
    if value >= 10000:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def _rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name), "") if name in order else (len(order), name)


def _method_rank(name: str) -> tuple[int, str]:
    # Coresets last: they are what the methods are compared with.
    return (100 + CORESETS[::-1].index(name), "") if name in CORESETS else _rank(METHOD_ORDER, name)


def _cell_order(cell) -> tuple:
    ipc = cell.get("ipc") if isinstance(cell, dict) else cell["ipc"]
    return (
        _rank(DATASET_ORDER, str(cell.get("dataset", ""))),
        math.inf if _blank(ipc) else float(ipc),
        _method_rank(str(cell.get("method", ""))),
        _rank(INIT_ORDER, str(cell.get("init") or "")),
    )


def _network_rank(name: str) -> tuple[int, str]:
    return _rank(("ConvNet",), name)


def _setting(tree: Any, *names: str) -> Any:
    """The first of ``names`` found anywhere in nested dictionaries, outermost first."""
    level = [tree]
    while level:
        deeper = []
        for node in level:
            if isinstance(node, dict):
                for name in names:
                    if node.get(name) is not None and not isinstance(node[name], dict):
                        return node[name]
                deeper.extend(node.values())
        level = deeper
    return None


class _Study:
    """Everything read, and what several sections ask of it."""

    def __init__(self, metrics, costs, sets, evolutions, data, config, provenance):
        self.metrics = read_metrics(metrics)
        # Results of earlier versions have rows without a number, such as a class without test
        # images: they say nothing.
        known = self.metrics["value"].notna()
        self.numberless = finished(self.metrics[~known])
        self.metrics = self.metrics[known].reset_index(drop=True)
        self.costs = _read_costs(costs)
        self.whitenings: dict[str, whitening.Whitening] = {}
        self.sets = _read_tensors(sets, ("images", "labels"), self.whitenings)
        self.evolutions = _read_tensors(evolutions, ("images", "iterations"), self.whitenings)
        self.data = _read_data(data)
        self.config = config or {}
        self.provenance = provenance or {}
        self.summary = summarise(self.metrics)
        self.titles = _plugin_titles()
        names = {name for name in self.metrics["dataset"] if name} | {
            str(h.get("dataset", "")) for _, h in self.sets
        }
        self.datasets = sorted(
            (name for name in names if name), key=lambda name: _rank(DATASET_ORDER, name)
        )
        methods = {name for name in self.metrics["method"] if name} | {
            str(h.get("method", "")) for _, h in self.sets
        }
        self.methods = sorted((name for name in methods if name), key=_method_rank)
        others = [name for name in self.methods if name not in COLOURS]
        self.colours = COLOURS | {name: 8 + i % 4 for i, name in enumerate(others)}
        self.headers: dict[tuple, dict] = {}
        for _, header in self.sets:
            self.headers.setdefault(self.key(header), header)
        self._compared: dict[tuple, _Comparison] = {}
        self._full: dict[tuple, dict | None] = {}

    @staticmethod
    def key(cell) -> tuple:
        ipc = cell.get("ipc")
        return (
            str(cell.get("dataset", "")),
            str(cell.get("method", "")),
            str(cell.get("init") or ""),
            None if _blank(ipc) else int(float(ipc)),
        )

    def pixels(self, images: np.ndarray, header: dict) -> tuple[np.ndarray, bool]:
        """As ``figures.to_pixels``, but that whitened images come back by the whitening that their
        set carries."""
        said = header.get("normalization")
        own = self.whitenings.get((said or {}).get("whitening"))
        if own is None:
            return figures.to_pixels(images, said)
        return normalization.pixels(
            torch.from_numpy(np.ascontiguousarray(images)), said, own
        ).clamp(0, 1).numpy(), True

    def name(self, method: str, init: str) -> str:
        start = _start(method, init)
        title = _method(method, self.titles)
        if method == "whole" or method in CORESETS or not start:
            return title + (", imported" if init == "imported" else "")
        return f"{title}, {start}"

    def style(self, method: str, init: str) -> dict:
        return {"colour": self.colours.get(method, 0), "dash": INIT_DASHES.get(init, "dashdot")}

    def networks(self, dataset: str) -> list[str]:
        rows = self.summary[self.summary["dataset"] == dataset]
        return sorted({name for name in rows["network"] if name}, key=_network_rank)

    def ipcs(self, dataset: str) -> list[float]:
        rows = self.summary[(self.summary["dataset"] == dataset) & self.summary["ipc"].notna()]
        return sorted(set(rows["ipc"]))

    def result(self, dataset, network, ipc, method, init=None, selection="last"):
        rows = self.summary
        rows = rows[
            (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["method"] == method)
        ]
        rows = rows[
            (rows["ipc"].isna() if _blank(ipc) else rows["ipc"] == ipc)
            & (rows["selection"] == selection)
        ]
        if init is not None:
            rows = rows[rows["init"] == init]
        return None if rows.empty else rows.iloc[0]

    def compared(self, dataset: str, network: str, ipc: float) -> "_Comparison":
        """Every pair of the cells (method, initialisation) of a dataset and size, by what their
        final images train."""
        key = (dataset, network, int(ipc))
        if key not in self._compared:
            rows = finished(self.metrics)
            rows = rows[
                (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["ipc"] == ipc)
            ]
            rows = rows[(rows["selection"] == "last") & (rows["method"] != "whole")]
            self._compared[key] = _Comparison(_by_network(self, rows))
        return self._compared[key]

    def full(self, dataset: str, network: str) -> dict | None:
        """What training on the full training set reaches, and whether others may be measured by it.

        Returns:
            ``mean``, ``std`` and ``count`` of the networks; ``state``, as ``scores.convergence``
            tells by the learning curve of the first of them; ``better``: the cells (method,
            initialisation, ipc, mean) that reach more than it;
            ``caveats``: sentences that belong beside every share of it, none where it may stand
                alone.
        """
        key = (dataset, network)
        if key not in self._full:
            self._full[key] = self._full_found(dataset, network)
        return self._full[key]

    def _full_found(self, dataset: str, network: str) -> dict | None:
        row = self.result(dataset, network, None, "whole")
        if row is None:
            return None
        curve = self.measured(
            "accuracy", dataset=dataset, network=network, method="whole", selection="last"
        )
        curve = curve[curve["epoch"].notna() & (curve["strategy"] == "")]
        test, train = (
            curve[curve["split"] == split].groupby("epoch")["value"].mean()
            for split in ("test", "train")
        )
        state = scores.convergence(test.to_dict(), train.to_dict())
        rows = self.summary
        rows = rows[
            (rows["dataset"] == dataset)
            & (rows["network"] == network)
            & (rows["selection"] == "last")
        ]
        rows = rows[rows["ipc"].notna() & (rows["mean"] > row["mean"])].sort_values(
            "mean", ascending=False
        )
        better = list(zip(rows["method"], rows["init"], rows["ipc"], rows["mean"]))
        caveats = []
        if state.state == "moving":
            caveats.append(
                f"{network} on the full training set was still improving when its training ended: "
                "its test accuracy was "
                f"{_percent(state.before, 1)} % after epoch {state.half:.0f} and "
                f"{_percent(state.after, 1)} % over the last quarter of "
                f"{state.epochs:.0f} epochs (one network). It would reach more, so every share of "
                "it is too high."
            )
        elif state.state == "unknown":
            caveats.append(
                f"Whether {network} on the full training set had converged is not known: its "
                "learning curve has no point in "
                "the first half of its training. A share of it may be too high."
            )
        if better:
            method, init, ipc, mean = better[0]
            others = f" and {_count(len(better) - 1, 'other set')}" if len(better) > 1 else ""
            caveats.append(
                f"{self.name(method, init)}, {_ipc(ipc)}{others} reached more than {network} on "
                "the full training set "
                f"({_percent(mean, 1)} % against {_percent(row['mean'], 1)} %), from which the set "
                "was made: that network was "
                "trained too little, or by a recipe that suits it less, and no share of it means "
                "anything."
            )
        found = {name: row[name] for name in ("mean", "std", "count", "sets", "models")}
        return found | {"state": state.state, "better": better, "caveats": caveats}

    def classes(self, dataset: str) -> list[str]:
        for _, header in self.sets:
            if header.get("dataset") == dataset and header.get("classes"):
                return [str(name) for name in header["classes"]]
        if dataset in self.data:
            return [str(name) for name in self.data[dataset].classes]
        indices = self.metrics[(self.metrics["dataset"] == dataset)]["class"].dropna()
        return [str(i) for i in range(int(indices.max()) + 1)] if len(indices) else []

    def cell_rows(self, rows: pd.DataFrame) -> list[tuple[tuple, pd.DataFrame]]:
        """Rows by (dataset, ipc, method, init), in the report's order."""
        parts = [(dict(zip(CELL, key)), part) for key, part in rows.groupby(CELL, dropna=False)]
        return [(cell, part) for cell, part in sorted(parts, key=lambda item: _cell_order(item[0]))]

    def measured(self, measure: str, **where) -> pd.DataFrame:
        rows = self.metrics[self.metrics["measure"] == measure]
        for name, value in where.items():
            rows = rows[rows[name] == value]
        return rows


def _read_data(paths: Sequence[str | Path]) -> dict[str, Any]:
    if not paths:
        return {}
    from distillery.images import (
        dataset as datasets,
    )  # late: a report of metrics alone needs no dataset code

    loaded = [datasets.load(path) for path in paths]
    return {dataset.name: dataset for dataset in loaded}


# --- Comparing ------------------------------------------------------------------------------------

SIGNIFICANT = 0.05


def _by_network(
    study: _Study, rows: pd.DataFrame
) -> dict[tuple[str, str], dict[tuple[int, int], float]]:
    """Values by (method, init), and therein by (seed, number of the network): what is compared in
    pairs."""
    rows = rows[rows[["ipc", "seed", "model"]].notna().all(axis=1)]
    return {
        (cell["method"], cell["init"]): {
            (int(seed), int(model)): float(value)
            for seed, model, value in zip(found["seed"], found["model"], found["value"])
        }
        for cell, found in study.cell_rows(rows)
    }


class _Comparison:
    """All pairs of the cells of one dataset, network and ipc: differences network by network, and
    what of them is significant.

    Attributes:
        cells: values by (method, init), and therein by (seed, number of the network).
        tested: how many pairs could be tested; p is adjusted for so many, by Holm. All pairs are
            the family, not those shown: the best cell is picked after looking.
        unit: what was tested over: ``set``, ``network``, or both where cells differ; empty where
            nothing was.
    """

    def __init__(self, cells: dict[tuple[str, str], dict[tuple[int, int], float]]):
        self.cells = cells
        self._found: dict[tuple, scores.PairedDifference] = {}
        for first, second in itertools.combinations(cells, 2):
            if cells[first].keys() & cells[second].keys():
                self._found[first, second] = scores.paired_difference(cells[first], cells[second])
        known = [pair for pair, found in self._found.items() if found.p is not None]
        self._adjusted = dict(zip(known, scores.holm([self._found[pair].p for pair in known])))
        self.tested = len(known)
        self.units = {self._found[pair].unit for pair in known}

    def p(self, first: tuple[str, str], second: tuple[str, str]) -> float | None:
        """Holm's; ``None`` where the pair cannot be tested."""
        return self._adjusted.get((first, second), self._adjusted.get((second, first)))

    def between(
        self, first: tuple[str, str], second: tuple[str, str]
    ) -> scores.PairedDifference | None:
        """How far ``first`` is above ``second``; ``None`` where they have no network in common."""
        if not self.cells.get(first, {}).keys() & self.cells.get(second, {}).keys():
            return None
        return self._found.get((first, second)) or scores.paired_difference(
            self.cells[first], self.cells[second]
        )

    def verdicts(self, best: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
        """The other cells by what is known of ``best`` against them: ``better``, ``worse``, ``not
        significant``, ``untested``."""
        found: dict[str, list] = {"better": [], "worse": [], "not significant": [], "untested": []}
        for other in self.cells:
            if other != best:
                found[self.verdict(best, other)].append(other)
        return found

    def verdict(self, first: tuple[str, str], second: tuple[str, str]) -> str:
        p = self.p(first, second)
        if p is None:
            return "untested"
        if p > SIGNIFICANT:
            return "not significant"
        return "better" if self.between(first, second).difference > 0 else "worse"

    def how(self) -> str:
        """By what the pairs were tested, in words."""
        over = {"set": "over the sets of a cell", "network": "over the networks of one set each"}
        units = " or ".join(over[unit] for unit in sorted(self.units))
        return f"paired t {units}, Holm for {_count(self.tested, 'pair')}"


# --- 1. At a glance -------------------------------------------------------------------------------


def _headlines(study: _Study) -> list[dict]:
    found = []
    for dataset in study.datasets:
        networks = study.networks(dataset)
        if not networks:
            continue
        network, sentences, best_cell = networks[0], [], None
        full = study.full(dataset, network)
        for ipc in study.ipcs(dataset):
            rows = study.summary[
                (study.summary["dataset"] == dataset)
                & (study.summary["network"] == network)
                & (study.summary["ipc"] == ipc)
                & (study.summary["selection"] == "last")
                & ~study.summary["method"].isin([*CORESETS, "whole"])
            ]
            rows = rows[rows["init"] != "imported"] if (rows["init"] != "imported").any() else rows
            if rows.empty:
                continue
            # Means of the same accuracies in another order differ in their last bit.
            level = rows[np.isclose(rows["mean"], rows["mean"].max(), rtol=0, atol=1e-9)]
            best = level.iloc[0]
            cell, *ties = zip(level["method"], level["init"])
            best_cell = (*cell, ipc)
            facts = [_best_of(study, dataset, network, ipc, cell, ties, len(rows))]
            facts += [_above_random(study, dataset, network, ipc, cell)]
            if full is not None and full["mean"] > 0 and not full["caveats"]:
                share = f"{100 * best['mean'] / full['mean']:.1f} %"
                facts.append(
                    f"{share} of the {_full_text(full)} that the full training set reaches"
                )
            facts += [
                _training_fact(study, dataset, network, *cell, ipc),
                _paid_fact(study, dataset, network, *cell, ipc),
            ]
            sentences.append(
                {
                    "lead": f"{_short_name(study, *cell)} at {_ipc(ipc)}:",
                    "value": f"{_pm(best['mean'], best['std'], best['count'], 1)} %",
                    "facts": [fact for fact in facts if fact],
                    "counts": _counted_in_words(best),
                }
            )
        tiles = []
        if best_cell is not None:
            smallest = next(
                (h for h in study.sets if study.key(h[1])[:3] == (dataset, *best_cell[:2])), None
            )
            chosen = next(
                (
                    s
                    for s in study.sets
                    if study.key(s[1]) == (dataset, *best_cell[:2], int(best_cell[2]))
                ),
                smallest,
            )
            if chosen is not None:
                tiles = _tiles(study, chosen, one=True)
        if sentences or full is not None:
            found.append(
                {
                    "dataset": _dataset(dataset),
                    "network": network,
                    "sentences": sentences,
                    "whole": ""
                    if full is None
                    else f"{_pm(full['mean'], full['std'], full['count'], 1)} %",
                    "whole_counts": "" if full is None else _full_counts(full),
                    "caveats": ([] if full is None else full["caveats"])
                    + _numberless_notes(study, dataset, network),
                    "tiles": tiles,
                    "tiles_of": ""
                    if not tiles
                    else (
                        f"{'one of the best sets' if ties else 'the best set'}: "
                        f"{study.name(*best_cell[:2])}, {_ipc(best_cell[2])}"
                    ),
                }
            )
    return found


def _short_name(study: _Study, method: str, init: str) -> str:
    """As a sentence names a cell: ``DC from real images``."""
    start = _start(method, init)
    plain = method in CORESETS or not start or init == "imported"
    return study.name(method, init) if plain else f"{_method(method, study.titles)} from {start}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _full_counts(full: dict) -> str:
    if full["count"] == 1:
        return "one network, so that its spread is not known"
    return f"mean ± standard deviation over {_count(full['count'], 'network')}"


def _full_text(full: dict) -> str:
    """The accuracy on the full training set within a sentence, with its count."""
    of = "one network" if full["count"] == 1 else _count(full["count"], "network")
    return f"{_pm(full['mean'], full['std'], full['count'], 1)} % ({of})"


def _numberless_notes(study: _Study, dataset: str, network: str) -> list[str]:
    """The cells that have accuracies without a number, which no mean holds."""
    rows = study.numberless
    rows = rows[
        (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["selection"] == "last")
    ]
    notes = [
        f"{len(found)} of {study.name(cell['method'], cell['init'])}, {_ipc(cell['ipc'])}"
        for cell, found in study.cell_rows(rows)
    ]
    return (
        [f"Test accuracies that are no number, and count nowhere: {_listed(notes)}."]
        if notes
        else []
    )


def _best_of(
    study: _Study,
    dataset: str,
    network: str,
    ipc: float,
    best: tuple[str, str],
    ties: Sequence[tuple[str, str]],
    count: int,
) -> str:
    """That the headline's cell was picked by its test accuracy, among how many, which others
    reached the same, and which it is not shown to be above."""
    comparison = study.compared(dataset, network, ipc)
    found = (
        comparison.verdicts(best)
        if best in comparison.cells
        else dict.fromkeys(("better", "worse", "not significant", "untested"), ())
    )
    others = {
        verdict: _listed([_short_name(study, *cell) for cell in cells])
        for verdict, cells in found.items()
    }
    same = f", level with {_listed([_short_name(study, *cell) for cell in ties])}" if ties else ""
    said = [f"best of {count} by test accuracy{same}"] if count > 1 else []
    if found["worse"]:
        said.append(f"significantly worse than {others['worse']}")
    if found["not significant"]:
        said.append(f"not significantly better than {others['not significant']}")
    elif found["better"] and not found["worse"]:
        rest = "all others" if len(found["better"]) > 1 else others["better"]
        said.append(
            f"significantly better than {rest}"
            if not found["untested"]
            else f"significantly better than {others['better']}"
        )
    if found["untested"]:
        tested = any(found[verdict] for verdict in found if verdict != "untested")
        whom = others["untested"] if tested else "any other"
        said.append(f"not tested against {whom}, since one pair of networks shows no spread")
    return "; ".join(said) + (f" ({comparison.how()})" if comparison.tested and said else "")


def _above_random(
    study: _Study, dataset: str, network: str, ipc: float, cell: tuple[str, str]
) -> str:
    comparison = study.compared(dataset, network, ipc)
    random = next((other for other in comparison.cells if other[0] == "random"), None)
    found = (
        comparison.between(cell, random)
        if random is not None and cell in comparison.cells
        else None
    )
    if found is None:
        return ""
    side = "above" if found.difference > 0 else "below"
    if f"{abs(100 * found.difference):.1f}" == "0.0":
        side = "from"
    interval = ""
    if math.isfinite(found.low):
        interval = (
            f" (95 % interval {_signed(100 * found.low, 1)} to {_signed(100 * found.high, 1)}, "
            f"{_pairs_in_words(found)})"
        )
    return (
        f"{abs(100 * found.difference):.1f} points {side} random images of the same "
        f"size{interval or ' (one pair of networks)'}"
    )


def _pairs_in_words(found: scores.PairedDifference) -> str:
    return f"{_count(found.networks, 'pair')} of networks, {_count(found.sets, 'set')}"


def _fewer(ratio: float, what: str, less: str) -> str:
    """How many times less (or more) of something a set needs; ``ratio``: the full training set's
    over the set's."""
    if 0.95 < ratio < 1.05:
        return f"as {'many' if less == 'fewer' else 'much'} {what}"
    return (
        f"{_times(ratio)} times {less} {what}"
        if ratio > 1
        else f"{_times(1 / ratio)} times more {what}"
    )


def _training_fact(
    study: _Study, dataset: str, network: str, method: str, init: str, ipc: float
) -> str:
    """What training on the set takes instead of training on the full training set, whichever way it
    falls."""
    ours, whole = (
        _flops(study, dataset, network, method, init, ipc),
        _flops(study, dataset, network, "whole", "", None),
    )
    said = []
    if ours and whole:
        said.append(
            f"{_fewer(whole / ours, 'FLOPs', 'fewer')} ({_si(ours, 'FLOP')} instead of "
            f"{_si(whole, 'FLOP')})"
        )
    mine, theirs = (
        _spent(study, dataset, network, [(method, init, int(ipc))]),
        _spent(study, dataset, network, None),
    )
    if mine["seconds"] and theirs["seconds"]:
        counts = (
            f"mean of {_count(mine['networks'], 'network')} and of {theirs['networks']}, tests "
            "included"
        )
        said.append(
            f"{_fewer(theirs['seconds'] / mine['seconds'], 'time', 'less')} "
            f"({_seconds(mine['seconds'])} instead of {_seconds(theirs['seconds'])} a network; "
            f"{counts})"
        )
    elif said:
        said.append("a time that was not measured")
    return f"training on it takes {' and '.join(said)}" if said else ""


def _counted_in_words(row) -> str:
    if row["count"] == 1:
        return "one set, one network"
    equal = row["count"] == row["sets"] * row["models"]
    networks = (
        f"{_count(row['models'], 'network')}{' each' if row['sets'] > 1 else ''}"
        if equal
        else f"{row['count']} networks in all"
    )
    return f"mean ± standard deviation over {_count(row['sets'], 'set')}, {networks}"


def _flops(study: _Study, dataset, network, method, init, ipc) -> float | None:
    rows = study.measured("training_flops", dataset=dataset, network=network, method=method)
    if method != "whole":
        rows = rows[(rows["init"] == init) & (rows["ipc"] == ipc)]
    rows = rows[rows["strategy"] == ""]
    return float(rows["value"].mean()) if len(rows) else None


def _glance(study: _Study) -> list[dict]:
    networks = sorted({name for name in study.summary["network"] if name}, key=_network_rank)
    methods = [_method(name, study.titles) for name in study.methods if name != "whole"]
    runs = study.measured("accuracy", selection="last", split="test")
    runs = runs[runs[["epoch", "stage", "class"]].isna().all(axis=1)]
    seconds = [float(cost["seconds"]) for cost in study.costs if not _blank(cost.get("seconds"))]
    devices = sorted(
        {str(cost.get("device_name") or cost.get("device") or "") for cost in study.costs} - {""}
    )
    if not devices and study.provenance.get("device"):
        devices = [str(study.provenance["device"])]
    facts = [
        ("Datasets", len(study.datasets), ", ".join(_dataset(name) for name in study.datasets)),
        ("Methods", len(methods), ", ".join(methods)),
        (
            "Synthetic sets",
            len(study.sets),
            ", ".join(_ipc(i) for i in sorted({k[3] for k in study.headers if k[3]})),
        ),
        ("Networks", len(networks), ", ".join(networks)),
        (
            "Networks trained",
            len(runs),
            "for the accuracy tables, each tested on all test images" if len(runs) else "",
        ),
        (
            "Compute time",
            _seconds(sum(seconds)) if seconds else "",
            f"{len(seconds)} jobs" if seconds else "",
        ),
        ("Device", "", "; ".join(devices)),
    ]
    return [
        {"name": n, "value": v, "note": t} for n, v, t in facts if ((v or v == 0) and v != 0) or t
    ]


# --- 2. Accuracy ----------------------------------------------------------------------------------


class _Sources:
    """Numbers the sources of published figures in the order in which the page names them."""

    def __init__(self):
        self.rows: dict[tuple[str, str], int] = {}

    def cell(self, frame: pd.DataFrame, init: str | None = None) -> dict | None:
        if frame.empty:
            return None
        row = frame.iloc[0]
        number = self.rows.setdefault((row["source"], row["evidence"]), len(self.rows) + 1)
        other = row["init"] and init is not None and row["init"] != init
        return {
            "text": row["printed"],
            "value": float(row["value"]),
            "std": 0.0 if _blank(row["std"]) else float(row["std"]),
            "source": number,
            "unconfirmed": row["evidence"] == "M",
            "note": row["note"],
            "not_comparable": row["not_comparable"],
            "other_start": f"from {INIT_TITLES.get(row['init'], row['init'])}" if other else "",
        }

    def list(self) -> list[dict]:
        return [
            {
                "number": number,
                "text": source,
                "evidence": published.EVIDENCE.get(tag, tag),
                "unconfirmed": tag == "M",
            }
            for (source, tag), number in self.rows.items()
        ]


def _accuracy(study: _Study) -> dict:
    sources, blocks = _Sources(), []
    for dataset in study.datasets:
        rows = study.summary[study.summary["dataset"] == dataset]
        if rows.empty:
            continue
        tables = [
            _accuracy_table(study, sources, dataset, network) for network in study.networks(dataset)
        ]
        ladders = [
            ladder
            for ipc in study.ipcs(dataset)
            if (ladder := _ladder(study, sources, dataset, ipc))
        ]
        blocks.append(
            {
                "dataset": _dataset(dataset),
                "tables": tables,
                "ladders": ladders,
                "budgets": _budgets(study, dataset),
                "notes": _expert_notes(study, dataset)
                + _astray_notes(study, dataset)
                + _untested_notes(study, dataset),
                "others": _others(study, sources, dataset),
            }
        )
    held_out = bool((study.summary["selection"] == "held_out").any())
    return {"blocks": blocks, "sources": sources.list(), "held_out": held_out}


def _accuracy_table(study: _Study, sources: _Sources, dataset: str, network: str) -> dict:
    rows = study.summary[
        (study.summary["dataset"] == dataset) & (study.summary["network"] == network)
    ]
    selections = [name for name in SELECTIONS if (rows["selection"] == name).any()]
    full = study.full(dataset, network)
    groups = []
    for ipc in [*sorted(set(rows["ipc"].dropna())), None]:
        part = rows[rows["ipc"].isna() if ipc is None else rows["ipc"] == ipc]
        cells = sorted(
            {(m, i) for m, i in zip(part["method"], part["init"])},
            key=lambda c: (_method_rank(c[0]), _rank(INIT_ORDER, c[1])),
        )
        random = None if ipc is None else study.result(dataset, network, ipc, "random")
        best = max(
            (
                r["mean"]
                for _, r in part[(part["selection"] == "last")].iterrows()
                if ipc is not None
            ),
            default=None,
        )
        lines = []
        for method, init in cells:
            results = {
                name: study.result(dataset, network, ipc, method, init, name) for name in selections
            }
            main = results.get("last")
            counted = (
                main if main is not None else next(r for r in results.values() if r is not None)
            )
            looked = [
                sources.cell(
                    published.lookup(
                        dataset, method, ipc=ipc, init=init, network=network, protocol=protocol
                    ),
                    init,
                )
                for protocol in published.PROTOCOLS
            ]
            # Over the pairs of networks, as everywhere on the page: one difference, one number.
            above = None
            if random is not None and main is not None and method != "random":
                comparison = study.compared(dataset, network, ipc)
                above = comparison.between((method, init), ("random", random["init"]))
            gain = None if above is None else 100 * above.difference
            usable = full is not None and full["mean"] > 0
            share = (
                main["mean"] / full["mean"]
                if usable and main is not None and ipc is not None
                else None
            )
            lines.append(
                {
                    "method": _method(method, study.titles),
                    "start": "" if ipc is None else _start(method, init),
                    "colour": study.colours.get(method, 0),
                    "best": best is not None
                    and main is not None
                    and main["mean"] == best
                    and len(cells) > 1,
                    "imported": init == "imported",
                    "results": [
                        None
                        if r is None
                        else _result_text(r, counted) | {"same": _is_final(study, r)}
                        for r in results.values()
                    ],
                    "count": _counted(counted),
                    "gain": _signed(gain) if gain is not None else "",
                    "loss": gain is not None and gain < 0,
                    "share": _percent(share, 1) if share is not None else "",
                    "published": looked[0],
                    "course": looked[1],
                }
            )
        if lines:
            groups.append(
                {
                    "title": "All training images" if ipc is None else _ipc(ipc).capitalize(),
                    "rows": lines,
                }
            )
    every = [line for group in groups for line in group["rows"]]
    heads = []
    for position, name in enumerate(selections):
        # A count that is the same all the way down belongs into the column's head.
        shown = [line["results"][position] for line in every if line["results"][position]]
        same = {result["count"] for result in shown}
        heads.append({"title": SELECTIONS[name], "count": same.pop() if len(same) == 1 else ""})
        if heads[-1]["count"]:
            for result in shown:
                result["count"] = ""
    return {
        "network": network,
        "selections": heads,
        "groups": groups,
        "has": {
            name: any(line[name] for line in every)
            for name in ("gain", "share", "published", "course")
        },
        "caveats": full["caveats"]
        if full is not None and any(line["share"] for line in every)
        else [],
    }


def _is_final(study: _Study, row) -> bool:
    """The snapshots that a selection chose are all the final images: its accuracy is then of the
    same sets, by its own networks."""
    if row["selection"] not in ("best_validation", "best_test"):
        return False
    rows = study.measured(
        "accuracy", **{name: row[name] for name in ("dataset", "network", "ipc", "method", "init")}
    )
    chosen = rows[rows["selection"] == row["selection"]]["iteration"]
    saved = rows[rows["selection"] == "snapshot"]["iteration"]
    return bool(len(chosen) and len(saved) and (chosen == saved.max()).all())


def _counted(row) -> str:
    """``sets × networks``, or how many networks in all where sets had different numbers of them."""
    return _sets_and_networks(row["sets"], row["models"], row["count"])


def _sets_and_networks(sets: int, most: int, every: int) -> str:
    """``most`` networks a set at most, ``every`` in all."""
    return (
        f"{sets} × {most}"
        if every == sets * most
        else f"{_count(sets, 'set')}, {_count(every, 'network')}"
    )


def _result_text(row, usual) -> dict:
    count = _counted(row) if row["count"] != usual["count"] else ""
    return {
        "mean": _percent(row["mean"]),
        "std": _percent(row["std"]) if row["count"] > 1 else "",
        "count": count,
    }


def _ladder(study: _Study, sources: _Sources, dataset: str, ipc: float) -> dict | None:
    """Where each method stands on one axis, the published figures beside, on the dataset's first
    network."""
    network = study.networks(dataset)[0]
    rows = study.summary
    rows = rows[
        (rows["dataset"] == dataset)
        & (rows["network"] == network)
        & (rows["ipc"] == ipc)
        & (rows["selection"] == "last")
    ]
    if len(rows) < 2:
        return None
    lines = []
    for _, row in rows.iterrows():
        looked = [
            sources.cell(
                published.lookup(
                    dataset,
                    row["method"],
                    ipc=int(ipc),
                    init=row["init"],
                    protocol=p,
                    network=network,
                )
            )
            for p in published.PROTOCOLS
        ]
        lines.append((row, *looked))
    lines.sort(key=lambda line: -line[0]["mean"])
    whole = study.full(dataset, network)
    values = [100 * (r["mean"] + s * r["std"]) for r, _, _ in lines for s in (-1, 1)]
    # What was measured under another protocol has no place on the axis.
    lines = [
        (row, *(cell if cell and not cell["not_comparable"] else None for cell in looked))
        for row, *looked in lines
    ]
    values += [c["value"] for _, p, q in lines for c in (p, q) if c] + (
        [100 * whole["mean"]] if whole is not None else []
    )
    low, high = (
        max(0.0, 10 * math.floor((min(values) - 3) / 10)),
        min(100.0, 10 * math.ceil((max(values) + 1) / 10)),
    )

    def place(value):
        return round(100 * (value - low) / (high - low), 2)

    drawn = []
    for row, theirs, course in lines:
        mean, std = 100 * row["mean"], 100 * row["std"]
        start = max(mean - std, low)
        drawn.append(
            {
                "label": study.name(row["method"], row["init"]),
                "colour": study.colours.get(row["method"], 0),
                "value": _pm(row["mean"], row["std"], row["count"], 1),
                "at": place(mean),
                "from": place(start),
                "width": round(place(min(mean + std, high)) - place(start), 2),
                "published": theirs and theirs | {"at": place(theirs["value"])},
                "course": course and course | {"at": place(course["value"])},
            }
        )
    marks = figures.ticks(low, high, 5)
    return {
        "title": f"{_ipc(ipc)}, {network}",
        "rows": drawn,
        "ticks": [{"at": place(mark), "text": f"{mark:g}"} for mark in marks],
        "whole": None
        if whole is None
        else {
            "at": place(100 * whole["mean"]),
            "text": _percent(whole["mean"], 1) + (" (see the note)" if whole["caveats"] else ""),
        },
        "any_published": any(row["published"] for row in drawn),
        "any_course": any(row["course"] for row in drawn),
    }


def _our_budget(study: _Study, dataset: str, method: str, ipc: float | None) -> dict:
    """With what a method's sets of a size were made and evaluated: the settings in the sets'
    headers and in the records of the evaluations."""
    budget: dict[str, Any] = {}
    headers = [
        h
        for k, h in study.headers.items()
        if k[0] == dataset and k[1] == method and k[2] != "imported" and k[3] == ipc
    ]
    if headers:
        header = headers[0]
        for name, others in (
            ("iterations", ()),
            ("outer", ("outer_loops",)),
            ("inner", ("inner_loops", "inner_epochs")),
        ):
            value = _setting(
                {"settings": header.get("settings"), "iterations": header.get("iterations")},
                name,
                *others,
            )
            if value is not None and method not in CORESETS:
                budget[name] = value
        experts = _experts(header)
        if experts is not None and method not in CORESETS:
            budget["experts"] = experts
    # As the protocol counts them, not as many as were trained: the published code trains one more
    # than it says.
    epochs = {
        (cost.get("settings") or {}).get("epochs")
        for cost in study.costs
        if cost.get("rule") in ("evaluate_synthetic", "train_vanilla")
        and (cost.get("dataset"), cost.get("method")) == (dataset, method)
        and cost.get("ipc") == (None if ipc is None else int(ipc))
    } - {None}
    if epochs:
        budget["epochs"] = " or ".join(map(str, sorted(epochs)))  # networks may have others
    summary = study.summary[
        (study.summary["dataset"] == dataset) & (study.summary["method"] == method)
    ]
    summary = summary[summary["ipc"].isna() if ipc is None else summary["ipc"] == ipc]
    if len(summary):
        budget["networks"], budget["sets"] = (
            int(summary["models"].max()),
            int(summary["sets"].max()),
        )
    return budget


def _experts(header: dict) -> int | None:
    """How many experts a set learned from."""
    return (header.get("experts") or {}).get("number")


BUDGET_COLUMNS = {
    "iterations": "iterations",
    "outer": "outer loops",
    "inner": "inner loops",
    "experts": "experts",
    "epochs": "evaluation epochs",
    "networks": "networks per set",
    "sets": "sets",
}


def _budgets(study: _Study, dataset: str) -> dict | None:
    rows = study.summary[study.summary["dataset"] == dataset]
    pairs = {(m, None if _blank(i) else int(i)) for m, i in zip(rows["method"], rows["ipc"])}
    lines = []
    for method, ipc in sorted(
        pairs, key=lambda p: (math.inf if p[1] is None else p[1], _method_rank(p[0]))
    ):
        ours = _our_budget(study, dataset, method, ipc)
        theirs = published.budget(method, dataset, ipc)
        course = {}
        if not published.lookup(dataset, method, ipc=ipc, protocol="course project").empty:
            course = published.budget(method, dataset, ipc, "course project")
        if theirs or course:
            title = _method(method, study.titles)
            lines.append(
                {
                    "title": title,
                    "size": _ipc(ipc),
                    "budgets": [
                        ("this study", ours),
                        ("published", theirs),
                        ("course project", course),
                    ],
                }
            )
    if not lines:
        return None
    columns = [
        name
        for name in BUDGET_COLUMNS
        if any(name in b for line in lines for _, b in line["budgets"])
    ]
    for line in lines:
        line["rows"] = [
            {"who": who, "values_": [b.get(name, "") for name in columns]}
            for who, b in line["budgets"]
            if b
        ]
    return {"columns": [BUDGET_COLUMNS[name] for name in columns], "lines": lines}


def _expert_notes(study: _Study, dataset: str) -> list[str]:
    """Where a method that learns from experts had less than its authors gave it."""
    found: dict[tuple, list[int]] = {}
    for (name, method, init, ipc), header in study.headers.items():
        theirs = published.budget(header.get("of") or method, dataset, ipc)
        if name != dataset or init == "imported" or ipc is None or "experts" not in theirs:
            continue
        ours = _our_budget(study, dataset, method, ipc)
        pairs = tuple(
            (ours[word], theirs[word], word) for word in ("experts", "iterations") if word in ours
        )
        if any(own < full for own, full, _ in pairs) and ipc not in found.setdefault(
            (method, pairs), []
        ):
            found[method, pairs].append(ipc)
    notes = []
    for (method, pairs), ipcs in found.items():
        sizes = " and ".join(str(ipc) for ipc in sorted(ipcs)) if len(ipcs) > 1 else ""
        size = f"{sizes} images per class" if sizes else _ipc(ipcs[0])
        notes.append(
            f"{_method(method, study.titles)} at {size} ran with "
            f"{' and '.join(f'{own} {word}' for own, _, word in pairs)}; "
            f"published: {' and '.join(f'{full} {word}' for _, full, word in pairs)}."
        )
    return notes


def _untested_notes(study: _Study, dataset: str) -> list[str]:
    """The classes that no test image is of, so that nothing can be said of them."""
    if dataset not in study.data:
        return []
    data = study.data[dataset]
    counts = np.bincount(np.asarray(data.test_labels), minlength=len(data.classes))
    empty = [_class_name(data.classes, int(index)) for index in np.flatnonzero(counts == 0)]
    if not empty:
        return []
    shown = ", ".join(empty[:SHOWN_CLASSES]) + (
        f" and {len(empty) - SHOWN_CLASSES} more" if len(empty) > SHOWN_CLASSES else ""
    )
    return [
        f"There is no test image of {'class' if len(empty) == 1 else 'the classes'} {shown}: every "
        "accuracy is over the "
        f"{len(data.classes) - len(empty)} other classes of {len(data.classes)}."
    ]


def _astray_notes(study: _Study, dataset: str) -> list[str]:
    """Where trajectory matching (what learns a step size) had a loss above 1 over its last tenth:
    its students end farther from the target than they began, and the set can be worse than its
    start."""
    learned = {
        study.key(cell) for cell, _ in study.cell_rows(study.measured("step_size", dataset=dataset))
    }
    notes = []
    for cell, rows in study.cell_rows(study.measured("matching_loss", dataset=dataset)):
        late = float(rows[rows["iteration"] > 0.9 * rows["iteration"].max()]["value"].mean())
        if study.key(cell) in learned and late > 1:
            notes.append(
                f"{study.name(cell['method'], cell['init'])}, {_ipc(cell['ipc'])}: the matching "
                f"loss ended at {late:.2f}. Above 1 the "
                "student ends farther from the expert than it began, and the set may be worse than "
                "its start; lower step_size, "
                "lr_images or max_start_epoch."
            )
    return notes


def _others(study: _Study, sources: _Sources, dataset: str) -> dict | None:
    """Published figures of every method at the study's set sizes, on ConvNet."""
    table = published.table()
    ipcs = [int(ipc) for ipc in study.ipcs(dataset)]
    table = table[
        (table["dataset"] == dataset) & (table["network"] == "ConvNet") & (table["strategy"] == "")
    ]
    table = table[(table["protocol"] == "published") & table["ipc"].isin(ipcs)]
    if table.empty:
        return None
    lines = []
    for (method, note), part in table.groupby(["method", "note"], sort=False):
        if note == "learned on ConvNet":  # cross-architecture tables repeat the ConvNet column
            continue
        cells = [sources.cell(part[part["ipc"] == ipc]) for ipc in ipcs]
        if any(cells):
            order = next(cell["value"] for cell in cells if cell)
            lines.append(
                {
                    "method": _method(method, study.titles),
                    "note": note,
                    "cells": cells,
                    "order": order,
                }
            )
    lines.sort(key=lambda line: -line["order"])
    return {"ipcs": [_ipc(ipc) for ipc in ipcs], "rows": lines}


# --- Compared in pairs ----------------------------------------------------------------------------


def _pairs(study: _Study) -> list[dict]:
    """Differences between methods, network by network: the best against each other, distilled
    against random, real start against noise."""
    blocks = []
    for dataset in study.datasets:
        tables = []
        for network in study.networks(dataset):
            groups = []
            for ipc in study.ipcs(dataset):
                comparison = study.compared(dataset, network, ipc)
                if not comparison.cells:
                    continue
                recipes = {
                    cell: _recipes(study, dataset, network, ipc, *cell) for cell in comparison.cells
                }
                lines = [
                    _pair_line(study, comparison, recipes, *pair)
                    for pair in _chosen_pairs(comparison.cells)
                ]
                lines = [line for line in lines if line]
                if lines:
                    tested = (
                        f", p by Holm for {_count(comparison.tested, 'pair')}"
                        if comparison.tested
                        else ""
                    )
                    groups.append({"title": _ipc(ipc).capitalize() + tested, "rows": lines})
            if groups:
                tables.append({"network": network, "groups": groups})
        if tables:
            blocks.append({"dataset": _dataset(dataset), "tables": tables})
    return blocks


def _recipes(
    study: _Study, dataset: str, network: str, ipc: float, method: str, init: str
) -> set[str]:
    """How networks were trained on the sets of a cell, as the jobs tell it; empty where they do
    not."""
    told = ("epochs", "lr", "momentum", "weight_decay", "batch", "decay", "augment")
    wanted = ("evaluate_synthetic", dataset, network, method, init, ipc)
    return {
        repr([(cost.get("settings") or {}).get(name) for name in told])
        for cost in study.costs
        if tuple(cost.get(name) for name in ("rule", "dataset", "network", "method", "init", "ipc"))
        == wanted
    }


def _chosen_pairs(
    cells: dict[tuple[str, str], dict],
) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """The pairs worth a line, each once. ``cells``: accuracies by (method, init)."""
    best = max(cells, key=lambda cell: np.mean(list(cells[cell].values())))
    pairs = [(best, other) for other in cells if other != best]
    randoms = [cell for cell in cells if cell[0] == "random"]
    pairs += [(cell, random) for random in randoms for cell in cells if cell[0] not in CORESETS]
    pairs += [
        ((method, "real"), (method, "noise"))
        for method, init in cells
        if init == "noise" and (method, "real") in cells
    ]
    once: dict[frozenset, tuple] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())


VERDICTS = {
    "better": "significantly better",
    "worse": "significantly worse",
    "not significant": "not significant",
    "untested": "one pair of networks: not tested",
}


def _pair_line(
    study: _Study,
    comparison: _Comparison,
    recipes: dict[tuple[str, str], set[str]],
    first: tuple[str, str],
    second: tuple[str, str],
) -> dict | None:
    found = comparison.between(first, second)
    if found is None:
        return None
    common = pd.Series(
        [seed for seed, _ in comparison.cells[first].keys() & comparison.cells[second].keys()],
        dtype=int,
    )
    verdict, p = comparison.verdict(first, second), comparison.p(first, second)
    said = []
    if p is not None and found.unit == "network":
        said.append("of this one set only")
    if recipes[first] and recipes[second] and recipes[first] != recipes[second]:
        said.append("networks trained by different recipes")
    if found.left_out:
        said.append(f"{found.left_out} without a partner left out")
    return {
        "first": study.name(*first),
        "second": study.name(*second),
        "colour": study.colours.get(first[0], 0),
        "difference": _signed(100 * found.difference),
        "interval": f"{_signed(100 * found.low)} to {_signed(100 * found.high)}"
        if p is not None
        else "",
        "p": _p(p),
        "verdict": VERDICTS[verdict],
        "worse": verdict == "worse",
        "shown": verdict in ("better", "worse"),
        "count": _sets_and_networks(found.sets, int(common.value_counts().max()), found.networks),
        "said": "; ".join(said),
    }


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


# --- Robustness -----------------------------------------------------------------------------------

LABEL_MEASURES = ("accuracy_own_labels", "accuracy_random_same_labels", "accuracy_hard_labels")
AUGMENT_MEASURES = (
    "accuracy_augmented",
    "accuracy_random_augmented",
    "accuracy_plain",
    "accuracy_random_plain",
)


def _robustness(study: _Study) -> list[dict]:
    """Label- and augmentation-robust scores: one a set, of the means over its networks; shown as
    mean and deviation over sets, with one set over its networks' own scores."""
    rows = study.metrics[study.metrics["measure"].isin([*LABEL_MEASURES, *AUGMENT_MEASURES])]
    blocks = []
    for dataset in study.datasets:
        for network in sorted(set(rows[rows["dataset"] == dataset]["network"]), key=_network_rank):
            full = study.full(dataset, network)
            own = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
            lines = [_robust_line(study, cell, part, full) for cell, part in study.cell_rows(own)]
            augments = {
                str(_setting((cost.get("settings") or {}).get("robust"), "augment") or "")
                for cost in study.costs
                if (cost.get("rule"), cost.get("dataset"), cost.get("network"))
                == ("evaluate_robust", dataset, network)
            }
            if lines:
                blocks.append(
                    {
                        "title": f"{_dataset(dataset)}, {network}",
                        "rows": lines,
                        "augment": ", ".join(sorted(augments - {""})),
                        "has_whole": full is not None,
                        "full": "" if full is None else _full_text(full),
                        "notes": _robust_notes(study, own, full),
                        "caveats": [] if full is None else full["caveats"],
                    }
                )
    return blocks


def _score(kind: str, found: pd.Series, full: dict | None) -> float:
    if kind == "label":
        own, random, hard = (found[name] for name in LABEL_MEASURES)
        return scores.label_robust_score(own, random, full["mean"], hard)
    return scores.augmentation_robust_score(*(found[name] for name in AUGMENT_MEASURES))


def _robust_scores(kind: str, rows: pd.DataFrame, full: dict | None) -> tuple[pd.Series, pd.Series]:
    """The score of each set, of the means over its networks, by seed; and that of each network
    alone, by (seed, model)."""
    if kind == "label" and full is None:
        return pd.Series(dtype=float), pd.Series(dtype=float)
    measures = list(LABEL_MEASURES if kind == "label" else AUGMENT_MEASURES)
    found = []
    for keys in (["seed"], ["seed", "model"]):
        table = (
            rows.groupby([*keys, "measure"])["value"]
            .mean()
            .unstack()
            .reindex(columns=measures)
            .dropna()
        )
        found.append(
            table.apply(lambda row: _score(kind, row, full), axis=1)
            if len(table)
            else pd.Series(dtype=float)
        )
    return found[0], found[1]


def _robust_line(study: _Study, cell: dict, rows: pd.DataFrame, full: dict | None) -> dict:
    sets = (
        rows.groupby(["seed", "measure"])["value"]
        .mean()
        .unstack()
        .reindex(columns=[*LABEL_MEASURES, *AUGMENT_MEASURES])
    )
    labels, augmented = sets[list(LABEL_MEASURES)].dropna(), sets[list(AUGMENT_MEASURES)].dropna()
    line = {
        "label": study.name(cell["method"], cell["init"]),
        "size": f"{int(cell['ipc'])}",
        "colour": study.colours.get(cell["method"], 0),
        "count": _sets_and_networks(
            len(sets),
            int(rows.groupby(["seed", "measure"]).size().max()),
            int(rows.groupby("measure").size().max()),
        ),
    }
    line |= dict.fromkeys(
        ("lrs", "over_random", "over_whole", "ars", "over_augmented", "over_plain"), ""
    )
    for kind, name in (("label", "lrs"), ("augmentation", "ars")):
        of_sets, of_networks = _robust_scores(kind, rows, full)
        spread = of_sets if len(of_sets) > 1 else of_networks
        if len(of_sets):
            line[name] = _pm(of_sets.mean(), spread.std(ddof=0), len(spread))
    if len(labels):
        line["over_random"] = _signed(
            100 * (labels["accuracy_own_labels"] - labels["accuracy_random_same_labels"]).mean()
        )
        if full is not None:
            line["over_whole"] = _signed(
                100 * (labels["accuracy_hard_labels"] - full["mean"]).mean()
            )
    if len(augmented):
        line["over_augmented"] = _signed(
            100 * (augmented["accuracy_augmented"] - augmented["accuracy_random_augmented"]).mean()
        )
        line["over_plain"] = _signed(
            100 * (augmented["accuracy_plain"] - augmented["accuracy_random_plain"]).mean()
        )
    return line


def _robust_notes(study: _Study, rows: pd.DataFrame, full: dict | None) -> list[str]:
    """What the scores can tell: for each size and score, which pairs of sets differ significantly,
    network by network."""
    notes = []
    for ipc, part in rows.groupby("ipc"):
        for kind in ("label", "augmentation"):
            cells = {}
            for cell, own in study.cell_rows(part):
                _, of_networks = _robust_scores(kind, own, full)
                if len(of_networks):
                    cells[cell["method"], cell["init"]] = {
                        (int(seed), int(m)): float(v) for (seed, m), v in of_networks.items()
                    }
            if len(cells) < 2:
                continue
            where = f"At {_ipc(ipc)} the {kind}-robust scores"
            comparison = _Comparison(cells)
            apart = [
                p
                for p in itertools.combinations(cells, 2)
                if comparison.verdict(*p) in ("better", "worse")
            ]
            if not comparison.tested:
                notes.append(
                    f"{where} are of one network each: they have no spread, and nothing tells the "
                    "sets apart."
                )
                continue
            if not apart:
                notes.append(
                    f"{where} cannot tell the sets apart: none of "
                    f"{_count(comparison.tested, 'pair')} differs significantly "
                    f"({comparison.how()})."
                )
                continue
            best = max(cells, key=lambda cell: np.mean(list(cells[cell].values())))
            near = comparison.verdicts(best)["not significant"]
            names = _listed([_short_name(study, *cell) for cell in near])
            highest = (
                f"is not significantly above {names}"
                if near
                else "is significantly above all others"
            )
            notes.append(
                f"{where} tell {len(apart)} of {_count(comparison.tested, 'pair')} apart "
                f"({comparison.how()}); "
                f"the highest, of {_short_name(study, *best)}, {highest}."
            )
    return notes


# --- 3 and 4. Images ------------------------------------------------------------------------------


def _hard(labels: np.ndarray) -> np.ndarray:
    return labels.argmax(axis=1) if labels.ndim == 2 else labels


def _class_name(names: Sequence[str], index: int) -> str:
    return str(names[index]) if index < len(names) else str(index)


def _tiles(study: _Study, item: tuple[dict, dict], *, one: bool = False) -> list[dict]:
    """One entry per class: its name and a strip of its images."""
    tensors, header = item
    labels, names = _hard(tensors["labels"]), header.get("classes") or []
    found = []
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        rows = tensors["images"][labels == index][: 1 if one else SHOWN_IMAGES]
        pixels, _ = study.pixels(rows, header)
        name = _class_name(names, index)
        strip = figures.strip(pixels)
        found.append(
            strip | {"name": name, "alt": f"{_count(strip['count'], 'image')} of the class {name}"}
        )
    return found


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _card(study: _Study, item: tuple[dict, dict]) -> dict:
    tensors, header = item
    labels = _hard(tensors["labels"])
    classes = len(set(labels.tolist()))
    most = max((int((labels == c).sum()) for c in set(labels.tolist())), default=0)
    _, exact = study.pixels(tensors["images"][:1], header)
    method, init = str(header.get("method", "")), str(header.get("init") or "")
    said = []
    if classes > SHOWN_CLASSES:
        said.append(f"{SHOWN_CLASSES} of {classes} classes")
    if most > SHOWN_IMAGES:
        said.append(f"{SHOWN_IMAGES} of {most} images per class")
    if not _blank(header.get("seed")):
        said.append(f"seed {header['seed']}")
    if tensors["labels"].ndim == 2:
        said.append("grouped by the likeliest class of soft labels")
    if (header.get("normalization") or {}).get("kind") == "zca" and exact:
        said.append("whitened (ZCA), shown as pixels")
    if not exact:
        said.append("no channel statistics in the header: each image stretched to its own range")
    rows = _tiles(study, item)
    return {
        "title": study.name(method, init),
        "colour": study.colours.get(method, 0),
        "said": "; ".join(said),
        "rows": rows,
        "few": max(row["count"] for row in rows) <= 2,
        "most": max(row["count"] for row in rows),
    }


def _images(study: _Study) -> list[dict]:
    blocks = []
    for dataset in study.datasets:
        groups: dict[int | None, list[dict]] = {}
        seen = set()
        for item in study.sets:
            key = study.key(item[1])
            if key[0] != dataset or key in seen:  # the first seed stands for the others
                continue
            seen.add(key)
            groups.setdefault(key[3], []).append(_card(study, item))
        real = (
            _real_card(study, dataset, max((k for k in groups if k), default=SHOWN_IMAGES))
            if groups
            else None
        )
        found = [{"title": _ipc(ipc), "cards": cards} for ipc, cards in groups.items()]
        if found:
            blocks.append({"dataset": _dataset(dataset), "groups": found, "real": real})
    return blocks


def _real_card(study: _Study, dataset: str, count: int) -> dict | None:
    if dataset not in study.data:
        return None
    data, rows = study.data[dataset], []
    labels = np.asarray(data.labels)
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        first = np.flatnonzero(labels == index)[: min(count, SHOWN_IMAGES)]
        pixels = np.asarray(data.images[first.tolist()], np.float32) / 255
        name = _class_name(data.classes, index)
        strip = figures.strip(pixels)
        rows.append(
            strip
            | {"name": name, "alt": f"{_count(strip['count'], 'real image')} of the class {name}"}
        )
    most = max(row["count"] for row in rows)
    return {
        "title": "For comparison: real training images",
        "colour": 0,
        "said": f"the first of {len(labels):,} in the training set".replace(",", " "),
        "rows": rows,
        "few": most <= 2,
        "most": most,
    }


def _evolution(study: _Study) -> list[dict]:
    blocks: dict[tuple, dict] = {}
    seen = set()
    for tensors, header in study.evolutions:
        key = study.key(header)
        if key in seen:
            continue
        seen.add(key)
        frames, iterations = tensors["images"], tensors["iterations"].tolist()
        if len(iterations) < 2 or not frames.shape[1]:
            continue
        at = sorted(
            {
                round(i)
                for i in np.linspace(0, len(iterations) - 1, min(EVOLUTION_FRAMES, len(iterations)))
            }
        )
        names = header.get("classes") or []
        count, size = max(len(names), 1), frames.shape[1]
        labels = (
            _hard(tensors["labels"][-1])
            if tensors.get("labels") is not None and tensors["labels"].ndim == 3
            else None
        )
        if labels is None:
            labels = np.arange(size) * count // size  # class-ordered, as many of each
        shown = sorted(set(labels.tolist()))
        picked = [
            shown[round(i)]
            for i in np.linspace(0, len(shown) - 1, min(EVOLUTION_CLASSES, len(shown)))
        ]
        rows = []
        for index in dict.fromkeys(picked):
            first = int(np.flatnonzero(labels == index)[0])
            pixels, _ = study.pixels(frames[at, first], header)
            name = _class_name(names, index)
            rows.append(
                figures.strip(pixels)
                | {
                    "name": name,
                    "alt": f"the first image of the class {name} at {len(at)} iterations",
                }
            )
        method, init = str(header.get("method", "")), str(header.get("init") or "")
        card = {
            "title": study.name(method, init),
            "colour": study.colours.get(method, 0),
            "iterations": [iterations[i] for i in at],
            "rows": rows,
        }
        block = blocks.setdefault(
            (key[0], key[3]), {"title": f"{_dataset(key[0])}, {_ipc(key[3])}", "cards": []}
        )
        block["cards"].append(card)
    return list(blocks.values())


# --- 5. Curves ------------------------------------------------------------------------------------


def _curve(
    rows: pd.DataFrame, x: str, label: str, style: dict, *, thin: bool = False
) -> tuple[Series, int] | None:
    if rows.empty:
        return None
    grouped = rows.groupby(x)["value"]
    mean, std, count = grouped.mean(), grouped.std(ddof=0), grouped.size()
    size, at, (y, spread) = figures.shorten(mean.index.to_numpy(), mean.to_numpy(), std.to_numpy())
    band = bool(count.max() > 1)
    return Series(
        label,
        at,
        y,
        **style,
        low=y - spread if band else None,
        high=y + spread if band else None,
        thin=thin,
    ), size


def _chart(
    study: _Study,
    title: str,
    rows: pd.DataFrame,
    x: str,
    x_label: str,
    where: str,
    thin: pd.DataFrame | None = None,
    **options,
) -> dict | None:
    series, binned = [], 1
    for source, is_thin in ((thin, True), (rows, False)):
        if source is None:
            continue
        for cell, part in study.cell_rows(source):
            name = study.name(cell["method"], cell["init"])
            made = _curve(part, x, name, study.style(cell["method"], cell["init"]), thin=is_thin)
            if made is not None:
                series.append(made[0])
                binned = max(binned, made[1])
    svg = figures.line_chart(series, label=f"{title}, {where}", x_label=x_label, **options)
    if not svg:
        return None
    note = f"Means over {binned} iterations." if binned > 1 else ""
    return {"title": title, "svg": Markup(svg), "note": note}


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Only the networks that were measured at every point: a mean over others would jump where they
    come in."""
    if rows.empty:
        return rows
    points = rows.groupby([*CELL, "seed", "model"], dropna=False)["epoch"].transform("nunique")
    return rows[
        points == points.groupby([rows[name] for name in CELL], dropna=False).transform("max")
    ]


def _line_notes(kinds: dict[str, pd.DataFrame]) -> str:
    """What each kind of line is, and over how many networks: the test curve is that of one network
    of each set.

    On a small set testing along the way costs more than training: for one image per class of MNIST,
    300 epochs and 5 points, testing four more networks would take 200 000 forward passes, where all
    their training takes 45 000 (a step counted as three).
    """
    said = []
    for name, rows in kinds.items():
        if len(rows):
            counts = rows.groupby([*CELL, "seed"], dropna=False)["model"].nunique(dropna=False)
            few, many = int(counts.min()), int(counts.max())
            networks = _count(many, "network") if few == many else f"{few} to {many} networks"
            said.append(f"{name}, {networks}{'' if rows['ipc'].isna().all() else ' per set'}")
    text = "; ".join(said)
    return text[:1].upper() + text[1:] + "." if text else ""


def _legend(study: _Study, cells: list[tuple[str, str]]) -> list[dict]:
    pairs = sorted(set(cells), key=lambda c: (_method_rank(c[0]), _rank(INIT_ORDER, c[1])))
    return [
        {"svg": Markup(figures.swatch(**study.style(*pair))), "label": study.name(*pair)}
        for pair in pairs
    ]


def _curves(study: _Study) -> list[dict]:
    blocks = []
    for dataset in study.datasets:
        groups = []
        for ipc in study.ipcs(dataset) or sorted(
            set(study.measured("matching_loss", dataset=dataset)["ipc"].dropna())
        ):
            charts, cells = [], []
            where = f"{_dataset(dataset)}, {_ipc(ipc)}"
            for measure, word in (
                ("matching_loss", "matching loss"),
                ("step_size", "learned step size"),
            ):
                rows = study.measured(measure, dataset=dataset, ipc=ipc)
                for method in sorted(set(rows["method"]), key=_method_rank):
                    part = rows[(rows["method"] == method) & rows["iteration"].notna()]
                    chart = _chart(
                        study,
                        f"{_method(method, study.titles)}: {word}",
                        part,
                        "iteration",
                        "iteration",
                        where,
                    )
                    if chart:
                        charts.append(chart)
                        cells += list(zip(part["method"], part["init"]))
            snapshots = study.measured("accuracy", dataset=dataset, ipc=ipc, selection="snapshot")
            networks = sorted(set(snapshots["network"]), key=_network_rank)
            for network in networks:
                part = snapshots[(snapshots["network"] == network) & snapshots["iteration"].notna()]
                test, other = part[part["split"] == "test"], part[part["split"] == "validation"]
                chart = _chart(
                    study,
                    f"{network}: accuracy of snapshots, %",
                    test if len(test) else other,
                    "iteration",
                    "iteration",
                    where,
                    thin=other if len(test) else None,
                    percent=True,
                )
                if chart:
                    chart["note"] = _line_notes({"thick: test": test, "thin: validation": other})
                    charts.append(chart)
                    cells += list(zip(part["method"], part["init"]))
            if charts:
                groups.append(
                    {
                        "title": f"Distillation, {_ipc(ipc)}",
                        "charts": charts,
                        "legend": _legend(study, cells),
                    }
                )
        for ipc in [*study.ipcs(dataset), None]:
            charts, cells = [], []
            where = f"{_dataset(dataset)}, {_ipc(ipc)}"
            for network in study.networks(dataset):
                for measure, word in (("accuracy", "accuracy, %"), ("loss", "loss")):
                    rows = study.measured(measure, dataset=dataset, network=network)
                    rows = rows[
                        (rows["method"] != "")  # experts have curves too, but are no result
                        & rows["epoch"].notna()
                        & (rows["strategy"] == "")
                        & rows["stage"].isna()
                        & rows["class"].isna()
                    ]
                    rows = rows[rows["ipc"].isna() if ipc is None else rows["ipc"] == ipc]
                    test, train = (
                        _complete(rows[rows["split"] == split]) for split in ("test", "train")
                    )
                    chart = _chart(
                        study,
                        f"{network}: {word}",
                        test if len(test) else train,
                        "epoch",
                        "epoch of training",
                        where,
                        thin=train if len(test) else None,
                        percent=measure == "accuracy",
                    )
                    if chart:
                        chart["note"] = _line_notes(
                            {"thick: test": test, "thin: training images": train}
                        )
                        charts.append(chart)
                        cells += list(zip(rows["method"], rows["init"]))
            if charts:
                title = (
                    "Training on the full training set"
                    if ipc is None
                    else f"Training on the sets, {_ipc(ipc)}"
                )
                groups.append({"title": title, "charts": charts, "legend": _legend(study, cells)})
        heats = _class_heat(study, dataset)
        if groups or heats:
            blocks.append({"dataset": _dataset(dataset), "groups": groups, "heats": heats})
    return blocks


def _heat(value: float | None, low: float, high: float, digits: int = 1) -> dict | None:
    if _blank(value):
        return None
    share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    return {
        "text": _percent(value, digits),
        "share": round(share, 3),
        "hot": share > 0.7,
        "std": "",
        "published": "",
    }


def _class_heat(study: _Study, dataset: str) -> list[dict]:
    networks = study.networks(dataset)
    rows = study.measured("class_accuracy", dataset=dataset, split="test")
    rows = rows[rows["class"].notna() & (rows["strategy"] == "")]
    names = study.classes(dataset)
    found = []
    for network in networks[:1]:
        part = rows[(rows["network"] == network) & (rows["selection"] == "last")]
        if part.empty:
            continue
        lines = []
        for cell, own in study.cell_rows(part):
            by_class = own.groupby("class")["value"].mean()
            label = study.name(cell["method"], cell["init"])
            lines.append(
                {
                    "label": label,
                    "size": "" if _blank(cell["ipc"]) else f"{int(cell['ipc'])}",
                    "values": by_class,
                }
            )
        every = [v for line in lines for v in line["values"]]
        low, high = min(every), max(every)
        indices = sorted(
            {int(i) for line in lines for i in line["values"].index} | set(range(len(names)))
        )
        for line in lines:
            line["cells"] = [_heat(line["values"].get(i), low, high) for i in indices]
        counts = part.groupby([*CELL, "seed"], dropna=False)["model"].nunique(dropna=False)
        few, many = int(counts.min()), int(counts.max())
        found.append(
            {
                "network": network,
                "classes": [_class_name(names, i) for i in indices],
                "rows": lines,
                "networks": _count(many, "network") if few == many else f"{few} to {many} networks",
                "untested": [
                    _class_name(names, i)
                    for i in indices
                    if not any(i in line["values"].index for line in lines)
                ],
            }
        )
    return found


# --- 6. Cross-architecture ------------------------------------------------------------------------


def _cross(study: _Study) -> list[dict]:
    blocks = []
    for dataset in study.datasets:
        networks = study.networks(dataset)
        if len(networks) < 2:
            continue
        rows = study.summary[
            (study.summary["dataset"] == dataset) & (study.summary["selection"] == "last")
        ]
        low, high = rows["mean"].min(), rows["mean"].max()
        lines = []
        for cell, part in study.cell_rows(rows):
            cells = []
            for network in networks:
                own = part[part["network"] == network]
                if own.empty:
                    cells.append(None)
                    continue
                row = own.iloc[0]
                looked = published.lookup(
                    dataset,
                    cell["method"],
                    ipc=None if _blank(cell["ipc"]) else int(cell["ipc"]),
                    init=cell["init"],
                    network=network,
                )
                theirs = looked[looked["protocol"] == "published"]
                heat = _heat(row["mean"], low, high)
                heat["std"] = _percent(row["std"], 1) if row["count"] > 1 else ""
                heat["published"] = (
                    None if theirs.empty else theirs.iloc[0]["printed"].split(" ")[0]
                )
                heat["unconfirmed"] = not theirs.empty and theirs.iloc[0]["evidence"] == "M"
                cells.append(heat)
            size = "all" if _blank(cell["ipc"]) else f"{int(cell['ipc'])}"
            lines.append(
                {"label": study.name(cell["method"], cell["init"]), "size": size, "cells": cells}
            )
        blocks.append({"dataset": _dataset(dataset), "networks": networks, "rows": lines})
    return blocks


# --- 7. Continual learning ------------------------------------------------------------------------

STRATEGIES = {
    "finetune": ("Fine-tuning", "one group after another, nothing kept"),
    "joint": ("Joint", "all groups seen so far together: the bound"),
    "replay": ("Replay", "the memory set mixed in from the second group on"),
    "afterwards": ("Afterwards", "fine-tuning, then the memory set alone"),
}


def _continual(study: _Study) -> list[dict]:
    rows = study.metrics[study.metrics["strategy"] != ""]
    blocks = []
    for dataset in study.datasets:
        for network in sorted(set(rows[rows["dataset"] == dataset]["network"]), key=_network_rank):
            own = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
            block = _continual_block(study, dataset, network, own)
            if block:
                blocks.append(block)
    return blocks


def _continual_block(study: _Study, dataset: str, network: str, rows: pd.DataFrame) -> dict | None:
    lines, runs = [], []
    order = list(STRATEGIES)
    for key, part in rows.groupby(["strategy", "method", "init", "ipc"], dropna=False):
        strategy, method, init, ipc = key
        runs.append(
            (
                (
                    _rank(order, strategy),
                    _method_rank(method),
                    _rank(INIT_ORDER, init),
                    math.inf if _blank(ipc) else ipc,
                ),
                key,
                part,
            )
        )
    runs.sort(key=lambda run: run[0])
    charts = {"overall_accuracy": [], "average_accuracy": []}
    legend, matrices, bound = [], [], None
    for _, (strategy, method, init, ipc), part in runs:
        title, meaning = STRATEGIES.get(strategy, (strategy, ""))
        memory = (
            ""
            if not method
            else f"{study.name(method, init)}" + ("" if _blank(ipc) else f", {_ipc(ipc)}")
        )
        style = (
            study.style(method, init)
            if method
            else {"colour": 0, "dash": "dotted" if strategy == "joint" else "solid"}
        )
        line = {
            "strategy": title,
            "meaning": meaning,
            "memory": memory,
            "colour": style["colour"],
            "count": "",
        }
        line |= dict.fromkeys(charts, "")
        for measure in charts:
            values = part[part["measure"] == measure]
            if len(values):
                final = (
                    values[values["stage"] == values["stage"].max()]
                    if values["stage"].notna().any()
                    else values
                )
                numbers = final["value"].to_numpy()
                line[measure] = _pm(numbers.mean(), numbers.std(), len(numbers))
                sets, most = (
                    final["seed"].nunique(dropna=False),
                    final.groupby("seed", dropna=False).size().max(),
                )
                line["count"] = (
                    _sets_and_networks(sets, int(most), len(numbers))
                    if memory
                    else _count(len(numbers), "network")
                )
                staged = values[values["stage"].notna()]
                if len(staged):
                    made = _curve(
                        staged.assign(stage=staged["stage"] + 1),
                        "stage",
                        f"{title} {memory}",
                        style,
                    )
                    charts[measure].append((strategy, made[0]))
                if strategy == "joint" and measure == "overall_accuracy":
                    bound = float(numbers.mean())
        forgetting = part[(part["measure"] == "forgetting")]["value"].to_numpy()
        line["forgetting"] = (
            _pm(forgetting.mean(), forgetting.std(), len(forgetting)) if len(forgetting) else ""
        )
        looked = published.lookup(
            dataset,
            method,
            ipc=None if _blank(ipc) else int(ipc),
            protocol="course project",
            network=network,
            strategy=strategy,
        )
        line["course"] = "" if looked.empty else looked.iloc[0]["printed"]
        lines.append(line)
        legend.append(
            {
                "svg": Markup(figures.swatch(**style)),
                "label": f"{title}{': ' if memory else ''}{memory}",
            }
        )
        groups = part[
            (part["measure"] == "accuracy") & part["stage"].notna() & part["group"].notna()
        ]
        if len(groups):
            table = groups.pivot_table(
                index="stage", columns="group", values="value", aggfunc="mean"
            )
            matrices.append(
                {
                    "title": f"{title}{': ' if memory else ''}{memory}",
                    "groups": [int(g) + 1 for g in table.columns],
                    "rows": [
                        {
                            "stage": int(stage) + 1,
                            "cells": [_heat(table.loc[stage, g], 0, 1) for g in table.columns],
                        }
                        for stage in table.index
                    ],
                }
            )
    stages = rows[~rows["strategy"].isin(["afterwards"]) & rows["stage"].notna()]["stage"]
    tested = set(rows[(rows["measure"] == "accuracy") & rows["group"].notna()]["group"])
    untested = (
        [
            index + 1
            for index in range(int(stages.max()) + 1 if len(stages) else 0)
            if index not in tested
        ]
        if tested
        else []
    )
    words = {
        "overall_accuracy": "Accuracy on all classes, %",
        "average_accuracy": "Mean accuracy of the groups seen so far, %",
    }
    drawn = []
    for measure, series in charts.items():
        svg = figures.line_chart(
            [one for _, one in series],
            label=f"{words[measure]}, {_dataset(dataset)}",
            x_label="after stage",
            percent=True,
            integer_x=True,
            bounds=[("joint, all classes", bound, 0)]
            if bound is not None and measure == "overall_accuracy"
            else (),
        )
        if svg:
            drawn.append({"title": words[measure], "svg": Markup(svg), "note": ""})
    if not lines:
        return None
    return {
        "title": f"{_dataset(dataset)}, {network}" if network else _dataset(dataset),
        "charts": drawn,
        "legend": legend,
        "rows": lines,
        "has_course": any(line["course"] for line in lines),
        "has_forgetting": any(line["forgetting"] for line in lines),
        "untested": ", ".join(str(index) for index in untested),
        "matrices": matrices,
    }


# --- 8. Cost --------------------------------------------------------------------------------------


def _cost(study: _Study) -> dict:
    return {
        "rules": _cost_rules(study),
        "sets": _cost_sets(study),
        "paid": _paid(study),
        "training": _cost_training(study),
    }


def _cost_rules(study: _Study) -> list[dict]:
    found: dict[str, list[dict]] = {}
    for cost in study.costs:
        found.setdefault(str(cost.get("rule", "")), []).append(cost)
    lines = []
    for rule, jobs in found.items():
        seconds = np.array([float(j["seconds"]) for j in jobs if not _blank(j.get("seconds"))])
        memory = {}
        for job in jobs:
            if not _blank(job.get("peak_memory_bytes")):
                kind = str(job.get("memory_kind") or "")
                memory[kind] = max(memory.get(kind, 0), float(job["peak_memory_bytes"]))
        energy = [float(j["energy_joules"]) for j in jobs if not _blank(j.get("energy_joules"))]
        lines.append(
            {
                "rule": rule,
                "jobs": len(jobs),
                "total": float(seconds.sum()),
                "seconds": _seconds(float(seconds.sum())) if len(seconds) else "",
                "median": _seconds(float(np.median(seconds))) if len(seconds) else "",
                "longest": _seconds(float(seconds.max())) if len(seconds) else "",
                "memory": ", ".join(f"{_bytes(v)} {k}".strip() for k, v in sorted(memory.items())),
                "energy": _si(sum(energy), "J")
                + f" ({len(energy)} of {len(jobs)} jobs)" * (len(energy) < len(jobs))
                if energy
                else "not measured",
            }
        )
    total = max((line["total"] for line in lines), default=0)
    for line in lines:
        line["bar"] = round(100 * line["total"] / total, 2) if total else 0
    return sorted(lines, key=lambda line: (-line["total"], line["rule"]))


def _cost_sets(study: _Study) -> list[dict]:
    lines = []
    for key, jobs in _makings(study).items():
        made = _making(study, key)
        header = study.headers.get(key, {})
        iterations = _setting(jobs[0].get("settings"), "iterations")
        iterations = header.get("iterations") if iterations is None else iterations
        memory = [
            float(job["peak_memory_bytes"])
            for job in jobs
            if not _blank(job.get("peak_memory_bytes"))
        ]
        each = isinstance(iterations, int | float) and iterations
        lines.append(
            {
                "dataset": _dataset(key[0]),
                "label": study.name(key[1], key[2]),
                "size": _ipc(key[3]),
                "colour": study.colours.get(key[1], 0),
                "iterations": "" if iterations is None else iterations,
                "jobs": len(jobs),
                "seconds": _seconds(made["distilling"]),
                "spread": _seconds(made["spread"]) if len(jobs) > 1 else "",
                "each": f"{made['distilling'] / iterations:.3g} s" if each else "",
                "experts": _expert_text(made),
                "together": "" if made["together"] is None else _seconds(made["together"]),
                "memory": _bytes(max(memory)) if memory else "",
                "device": ", ".join(
                    sorted(
                        {str(job.get("device_name") or job.get("device") or "") for job in jobs}
                        - {""}
                    )
                ),
            }
        )
    return lines


def _makings(study: _Study) -> dict[tuple, list[dict]]:
    """The records of the jobs that made each cell's sets, one a seed, by cell in the report's
    order."""
    groups: dict[tuple, list[dict]] = {}
    for cost in study.costs:
        if str(cost.get("rule", "")).startswith("distill") and not _blank(cost.get("seconds")):
            groups.setdefault(study.key(cost), []).append(cost)
    return {
        key: groups[key] for key in sorted(groups, key=lambda k: _cell_order(dict(zip(CELL, k))))
    }


def _making(study: _Study, key: tuple) -> dict | None:
    """What making a set of a cell took, in seconds; ``None`` where no job tells.

    Returns:
        ``distilling``: mean over the cell's sets of the whole job, with its deviation ``spread``.
        ``experts``: the seconds of all expert jobs of the recipe that the sets learned from, by
        their headers (0: of none; ``None``: not known); ``sharing``: how many sets of the study
        learned from that recipe on that dataset; ``together``: distilling and the set's share of
        the experts, equal for each; ``alone``: distilling and all of them, as a set made alone
        takes.
    """
    jobs = _makings(study).get(key)
    if not jobs:
        return None
    seconds = np.array([float(job["seconds"]) for job in jobs])
    found: dict[str, Any] = {
        "distilling": float(seconds.mean()),
        "spread": float(seconds.std()),
        "experts": 0.0,
        "sharing": 0,
    }
    recipes = {_recipe_name(header) for _, header in study.sets if study.key(header) == key}
    if recipes - {None}:
        recipe = recipes.pop() if len(recipes) == 1 else None
        shards = [
            float(cost["seconds"])
            for cost in study.costs
            if (cost.get("rule"), cost.get("dataset"), cost.get("recipe"))
            == ("train_experts", key[0], recipe)
            and not _blank(cost.get("seconds"))
        ]
        found["experts"] = sum(shards) if recipe is not None and shards else None
        found["sharing"] = sum(
            (header.get("dataset"), _recipe_name(header)) == (key[0], recipe)
            for _, header in study.sets
        )
    known = found["experts"] is not None
    found["together"] = (
        found["distilling"] + found["experts"] / max(1, found["sharing"]) if known else None
    )
    found["alone"] = found["distilling"] + found["experts"] if known else None
    return found


def _recipe_name(header: dict) -> str | None:
    """The expert recipe that a set learned from, as its header says."""
    experts = header.get("experts")
    return experts.get("recipe") if isinstance(experts, dict) else None


def _expert_text(made: dict) -> str:
    if made["experts"] is None:
        return "not known"
    if not made["experts"]:
        return ""
    share = made["experts"] / max(1, made["sharing"])
    return f"{_seconds(share)} (1 of {made['sharing']} of {_seconds(made['experts'])})"


def _pays(making: float | None, ours: float | None, full: float | None) -> int | str | None:
    """After how many trainings on a set, instead of on the full training set, making it has paid:
    an integer, ``never`` where a training on it is no faster, ``None`` where a time is not
    known."""
    if making is None or not ours or not full:
        return None
    return max(1, math.ceil(making / (full - ours))) if ours < full else "never"


def _pays_text(pays: int | str | None) -> str:
    if pays is None or pays == "never":
        return pays or ""
    return f"{pays:,}".replace(",", " ")


def _paid(study: _Study) -> list[dict]:
    """For each cell and network the number of trainings after which making the set has paid, with
    the experts shared and not."""
    blocks = []
    for dataset in study.datasets:
        networks = [
            name
            for name in study.networks(dataset)
            if _spent(study, dataset, name, None)["seconds"]
        ]
        lines = []
        for key in _makings(study):
            if key[0] != dataset or not networks:
                continue
            made, cells = _making(study, key), []
            for network in networks:
                full = _spent(study, dataset, network, None)["seconds"]
                ours = _spent(study, dataset, network, [key[1:]])["seconds"]
                together, alone = (_pays(made[name], ours, full) for name in ("together", "alone"))
                cells.append(
                    {
                        "text": _pays_text(together),
                        "alone": _pays_text(alone) if alone != together else "",
                        "times": f"{_seconds(ours)} instead of {_seconds(full)}" if ours else "",
                    }
                )
            lines.append(
                {
                    "label": study.name(key[1], key[2]),
                    "size": _ipc(key[3]),
                    "colour": study.colours.get(key[1], 0),
                    "together": "" if made["together"] is None else _seconds(made["together"]),
                    "alone": _seconds(made["alone"]) if made["alone"] != made["together"] else "",
                    "cells": cells,
                }
            )
        if lines:
            blocks.append({"dataset": _dataset(dataset), "networks": networks, "rows": lines})
    return blocks


def _paid_fact(
    study: _Study, dataset: str, network: str, method: str, init: str, ipc: float
) -> str:
    key = (dataset, method, init, int(ipc))
    made = _making(study, key)
    if made is None:
        return ""
    took = f"making it took {_seconds(made['distilling'])}"
    if made["experts"] is None:
        return f"{took}, without its experts, whose time is not known"
    if made["experts"]:
        took += (
            f" and {_seconds(made['together'] - made['distilling'])} as its share of the experts"
        )
    times = [_spent(study, dataset, network, cells)["seconds"] for cells in ([key[1:]], None)]
    pays = _pays(made["together"], *times)
    if pays is None:
        return took
    if pays == "never":
        return f"{took}, which never pays in time: a training on it is no faster"
    alone = _pays(made["alone"], *times)
    if_alone = f"; {_pays_text(alone)} if the experts served it alone" if alone != pays else ""
    return f"{took}, which has paid after {_count(pays, 'training')}{if_alone}"


def _spent(
    study: _Study, dataset: str, network: str, cells: Sequence[tuple] | None
) -> dict[str, Any]:
    """What training and testing one network took, by the jobs' records: mean ``seconds`` over so
    many ``networks``, largest ``memory`` (bytes).

    Args:
        cells: (method, init, ipc) of the sets; ``None`` for the full training set.
    """
    rule = "train_vanilla" if cells is None else "evaluate_synthetic"
    seconds, memory, networks = [], [], 0
    for cost in study.costs:
        if (cost.get("rule"), cost.get("dataset"), cost.get("network")) != (rule, dataset, network):
            continue
        if cells is not None and study.key(cost)[1:] not in cells:
            continue
        if not _blank(cost.get("seconds")):
            models = int((cost.get("settings") or {}).get("models") or 1)
            seconds.append(float(cost["seconds"]) / models)
            networks += models
        if not _blank(cost.get("peak_memory_bytes")):
            memory.append(float(cost["peak_memory_bytes"]))
    return {
        "seconds": float(np.mean(seconds)) if seconds else None,
        "memory": max(memory, default=None),
        "networks": networks,
    }


def _one_to(ratio: float) -> str:
    """How much a set takes to how much the full training set takes, the smaller as 1."""
    return f"1 : {_times(ratio)}" if ratio >= 1 else f"{_times(1 / ratio)} : 1"


def _spent_texts(ours: dict[str, Any], whole: dict[str, Any] | None) -> dict[str, str]:
    texts = {
        "seconds": _seconds(ours["seconds"]),
        "memory": _bytes(ours["memory"]),
        "networks": ours["networks"] or "",
    }
    for name in ("seconds", "memory"):
        theirs = None if whole is None else whole[name]
        texts[f"{name}_ratio"] = _one_to(theirs / ours[name]) if theirs and ours[name] else ""
    return texts


def _cost_training(study: _Study) -> list[dict]:
    lines = []
    for dataset in study.datasets:
        own = study.metrics[
            (study.metrics["dataset"] == dataset) & (study.metrics["strategy"] == "")
        ]
        for network in sorted({n for n in own["network"] if n}, key=_network_rank):
            part = own[own["network"] == network]

            def mean(measure, rows=part):
                values = rows[rows["measure"] == measure]["value"]
                return float(values.mean()) if len(values) else None

            if mean("training_flops") is None and mean("macs_per_image") is None:
                continue
            whole = part[part["method"] == "whole"]
            base = mean("training_flops", whole)
            spent_whole = _spent(study, dataset, network, None)
            kinds: dict[tuple, list[tuple[str, str]]] = {}
            for cell, rows in study.cell_rows(part[part["method"] != "whole"]):
                flops = mean("training_flops", rows)
                if flops is not None:
                    kinds.setdefault((cell["ipc"], flops, mean("images_seen", rows)), []).append(
                        (cell["method"], cell["init"])
                    )
            count = max((len(v) for v in kinds.values()), default=0)
            for (ipc, flops, seen), cells in kinds.items():
                alone = len([k for k in kinds if k[0] == ipc]) == 1 and count > 1
                lines.append(
                    {
                        "dataset": _dataset(dataset),
                        "network": network,
                        "what": _ipc(ipc)
                        + ("" if alone else f": {'; '.join(study.name(*c) for c in cells)}"),
                        "macs": _si(mean("macs_per_image"), ""),
                        "parameters": _si(mean("parameters"), ""),
                        "seen": "" if seen is None else f"{seen:,.0f}".replace(",", " "),
                        "flops": _si(flops, "FLOP"),
                        "ratio": _one_to(base / flops) if base and flops else "",
                        **_spent_texts(
                            _spent(study, dataset, network, [(m, i, int(ipc)) for m, i in cells]),
                            spent_whole,
                        ),
                    }
                )
            if base is not None:
                seen = mean("images_seen", whole)
                lines.append(
                    {
                        "dataset": _dataset(dataset),
                        "network": network,
                        "what": "the full training set",
                        "macs": _si(mean("macs_per_image"), ""),
                        "parameters": _si(mean("parameters"), ""),
                        "seen": "" if seen is None else f"{seen:,.0f}".replace(",", " "),
                        "flops": _si(base, "FLOP"),
                        "ratio": "1 : 1",
                        **_spent_texts(spent_whole, None),
                    }
                )
    return lines


# --- 9. Provenance --------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Only what YAML and JSON know, so that any config can be shown."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [
            _plain(v)
            for v in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for k, v in value.items()
            for pair in _flat(v, f"{prefix}{' · ' if prefix else ''}{k}")
        ]
    if isinstance(value, list | tuple):
        return [(prefix, ", ".join(str(v) for v in value))]
    return [(prefix, "" if value is None else str(value))]


def _provenance(study: _Study) -> dict:
    jobs = []
    for cost in sorted(
        study.costs,
        key=lambda c: (
            str(c.get("started") or ""),
            str(c.get("rule")),
            _cell_order(c),
            str(c.get("seed")),
        ),
    ):
        what = [_dataset(str(cost.get("dataset") or ""))]
        method, init = str(cost.get("method") or ""), str(cost.get("init") or "")
        what += [study.name(method, init)] if method else []
        what += [_ipc(cost["ipc"])] if not _blank(cost.get("ipc")) else []
        what += [f"seed {cost['seed']}"] if not _blank(cost.get("seed")) else []
        what += [str(cost[name]) for name in ("network", "strategy") if not _blank(cost.get(name))]
        jobs.append(
            {
                "rule": str(cost.get("rule") or ""),
                "what": ", ".join(part for part in what if part),
                "seconds": _seconds(cost.get("seconds")),
                "device": str(cost.get("device_name") or cost.get("device") or ""),
                "code": str(cost.get("code") or "")[:12],
                "code_full": str(cost.get("code") or ""),
                "started": str(cost.get("started") or "").replace("T", " ")[:19],
            }
        )
    versions: dict[str, set[str]] = {}
    for cost in study.costs:
        for name, version in (cost.get("versions") or {}).items():
            versions.setdefault(str(name), set()).add(str(version))
    data = []
    for name, dataset in sorted(study.data.items(), key=lambda item: _rank(DATASET_ORDER, item[0])):
        data.append(
            {
                "name": _dataset(name),
                "train": f"{len(dataset.images):,}".replace(",", " "),
                "test": f"{len(dataset.test_images):,}".replace(",", " "),
                "classes": len(dataset.classes),
                "source": str(getattr(dataset, "source", "") or ""),
                "licence": str(getattr(dataset, "licence", "") or ""),
            }
        )
    sets = []
    for tensors, header in study.sets:
        key = study.key(header)
        sets.append(
            {
                "what": (
                    f"{_dataset(key[0])}, {study.name(*key[1:3])}, {_ipc(key[3])}, seed "
                    f"{header.get('seed', '')}"
                ),
                "count": len(tensors["images"]),
                "code": str(header.get("code") or "")[:12],
                "content": str(header.get("sha256") or "")[:12],
                "settings": ", ".join(
                    f"{k} {v}" for k, v in _flat(_plain(header.get("settings") or {}))
                ),
            }
        )
    config = (
        yaml.safe_dump(_plain(study.config), sort_keys=False, allow_unicode=True, width=100)
        if study.config
        else ""
    )
    return {
        "facts": [
            (k, v)
            for k, v in _flat(
                _plain({k: v for k, v in study.provenance.items() if k != "packages"})
            )
            if v != ""
        ],
        "packages": study.provenance.get("packages", []),
        "versions": [(name, ", ".join(sorted(found))) for name, found in sorted(versions.items())],
        "config": config,
        "jobs": jobs,
        "sets": sets,
        "data": data,
    }


# --- The page -------------------------------------------------------------------------------------


def build(
    *,
    metrics: pd.DataFrame | str | Path | Sequence[str | Path],
    costs: Sequence[dict | str | Path] | str | Path,
    sets: Sequence[str | Path],
    evolutions: Sequence[str | Path],
    data: Sequence[str | Path],
    config: dict,
    template: str | Path,
    output: str | Path,
    provenance: dict,
    sums: str | Path | None = None,
    missing: dict[str, Any] | None = None,
) -> None:
    """Write the report: one HTML file that fetches nothing; the same inputs give the same bytes.

    Args:
        metrics: the study's tidy metrics: a frame, a CSV file or several. Accuracies are fractions.
        costs: one dictionary a job, or JSON files that hold one or a list of them.
        sets: synthetic sets (safetensors with ``images`` (N, C, H, W), ``labels`` and a header).
        evolutions: their snapshots (``images`` (S, N, C, H, W), ``iterations`` (S,) and the same
            header).
        data: dataset files; may be empty.
        config: the resolved study config, shown as YAML. ``config["study"]`` names the study, if
            there.
        template: the Jinja template (every text is escaped).
        output: the HTML file, written atomically.
        provenance: what else tells where the figures come from (device, commit, date …), shown as
            it is; ``packages`` in it is the software bill, a list of ``name``, ``version`` and
            ``licence``.
        sums: the SHA-256 of ``metrics`` and ``costs``, then one file each, by which a damaged one
            is found.
        missing: what ``underway.told`` says of jobs that the page is without; ``None``: it is of a
            whole study.

    What the study lacks (no continual learning, no whole-set training, no images) leaves its
    section out.

    Raises:
        UserError: an artefact is missing or unreadable; the message names the file and the rule
            that makes it.
    """
    template = Path(template)
    try:
        source = template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{template}: the report's template cannot be read ({first_line(error)}); it is part of "
            "the repository"
        ) from error
    if sums is not None:
        files.check_sums(sums, [metrics, costs], rule="collect")
    study = _Study(metrics, costs, sets, evolutions, data, config, provenance)
    accuracy = _accuracy(study)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    view = {
        "title": str(study.config.get("study") or "Dataset distillation: a study"),
        "missing": missing,
        "significant": SIGNIFICANT,
        "glance": _glance(study),
        "headlines": _headlines(study),
        "accuracy": accuracy,
        "pairs": _pairs(study),
        "robustness": _robustness(study),
        "images": _images(study),
        "evolution": _evolution(study),
        "curves": _curves(study),
        "cross": _cross(study),
        "continual": _continual(study),
        "cost": _cost(study),
        "provenance": _provenance(study),
        "empty": study.metrics.empty and not study.sets,
    }
    try:
        page = environment.from_string(source).render(**view)
    except jinja2.TemplateError as error:
        raise UserError(
            f"{template}: the report's template is not valid: {first_line(error)}"
        ) from error
    files.write_text(output, page)
