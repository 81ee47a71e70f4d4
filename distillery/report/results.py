"""A study's results as read from its artefacts, and what several sections ask of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from distillery.errors import UserError, first_line
from distillery.evaluation import scores
from distillery.images import normalization, whitening
from distillery.report import charts as figures
from distillery.report.cells import cell_order
from distillery.report.comparison import Comparison, by_network
from distillery.report.words import (
    CORESETS,
    DATASET_ORDER,
    blank,
    images_per_class,
    method_rank,
    method_title,
    network_rank,
    percent,
    plugin_titles,
    quantity,
    rank,
    start_title,
)
from distillery.store import artefact
from distillery.store.measurements import finished, read_metrics, summarise

COLOURS = {"whole": 0, "dc": 1, "mtt": 2, "dsa": 3, "dm": 4, "herding": 5, "ncfm": 6, "random": 7}


INIT_DASHES = {"": "solid", "real": "solid", "noise": "dashed", "imported": "dotted"}


SET_RULE = "distill or import_synthetic"


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
    return sorted(found, key=lambda item: (cell_order(item[1]), item[1].get("seed") or 0))


def first_setting(tree: Any, *names: str) -> Any:
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


class Results:
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
        self.titles = plugin_titles()
        names = {name for name in self.metrics["dataset"] if name} | {
            str(h.get("dataset", "")) for _, h in self.sets
        }
        self.datasets = sorted(
            (name for name in names if name), key=lambda name: rank(DATASET_ORDER, name)
        )
        methods = {name for name in self.metrics["method"] if name} | {
            str(h.get("method", "")) for _, h in self.sets
        }
        self.methods = sorted((name for name in methods if name), key=method_rank)
        others = [name for name in self.methods if name not in COLOURS]
        self.colours = COLOURS | {name: 8 + i % 4 for i, name in enumerate(others)}
        self.headers: dict[tuple, dict] = {}
        for _, header in self.sets:
            self.headers.setdefault(self.key(header), header)
        self._compared: dict[tuple, Comparison] = {}
        self._full: dict[tuple, dict | None] = {}

    @staticmethod
    def key(cell) -> tuple:
        ipc = cell.get("ipc")
        return (
            str(cell.get("dataset", "")),
            str(cell.get("method", "")),
            str(cell.get("init") or ""),
            None if blank(ipc) else int(float(ipc)),
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
        start = start_title(method, init)
        title = method_title(method, self.titles)
        if method == "whole" or method in CORESETS or not start:
            return title + (", imported" if init == "imported" else "")
        return f"{title}, {start}"

    def style(self, method: str, init: str) -> dict:
        return {"colour": self.colours.get(method, 0), "dash": INIT_DASHES.get(init, "dashdot")}

    def networks(self, dataset: str) -> list[str]:
        rows = self.summary[self.summary["dataset"] == dataset]
        return sorted({name for name in rows["network"] if name}, key=network_rank)

    def ipcs(self, dataset: str) -> list[float]:
        rows = self.summary[(self.summary["dataset"] == dataset) & self.summary["ipc"].notna()]
        return sorted(set(rows["ipc"]))

    def result(self, dataset, network, ipc, method, init=None, selection="last"):
        rows = self.summary
        rows = rows[
            (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["method"] == method)
        ]
        rows = rows[
            (rows["ipc"].isna() if blank(ipc) else rows["ipc"] == ipc)
            & (rows["selection"] == selection)
        ]
        if init is not None:
            rows = rows[rows["init"] == init]
        return None if rows.empty else rows.iloc[0]

    def compared(self, dataset: str, network: str, ipc: float) -> "Comparison":
        """Every pair of the cells (method, initialisation) of a dataset and size, by what their
        final images train."""
        key = (dataset, network, int(ipc))
        if key not in self._compared:
            rows = finished(self.metrics)
            rows = rows[
                (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["ipc"] == ipc)
            ]
            rows = rows[(rows["selection"] == "last") & (rows["method"] != "whole")]
            self._compared[key] = Comparison(by_network(rows))
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
                f"{percent(state.before, 1)} % after epoch {state.half:.0f} and "
                f"{percent(state.after, 1)} % over the last quarter of "
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
            others = f" and {quantity(len(better) - 1, 'other set')}" if len(better) > 1 else ""
            caveats.append(
                f"{self.name(method, init)}, {images_per_class(ipc)}{others} reached more than {network} on "
                "the full training set "
                f"({percent(mean, 1)} % against {percent(row['mean'], 1)} %), from which the set "
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


def short_name(results: Results, method: str, init: str) -> str:
    """As a sentence names a cell: ``DC from real images``."""
    start = start_title(method, init)
    plain = method in CORESETS or not start or init == "imported"
    return (
        results.name(method, init)
        if plain
        else f"{method_title(method, results.titles)} from {start}"
    )
