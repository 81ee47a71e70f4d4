"""A study's results as read from its artefacts, and what several sections ask of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from distillery import plugged, plugins
from distillery.errors import UserError, first_line
from distillery.evaluation import scores
from distillery.images import normalization, whitening
from distillery.report import charts as figures
from distillery.report.cells import CELL, Cell
from distillery.report.charts import ALIKE, DASHES, MARKERS, Look
from distillery.report.comparison import Comparison, by_network
from distillery.report.words import (
    INIT_TITLES,
    dataset_rank,
    images_per_class,
    is_coreset,
    method_rank,
    method_title,
    network_rank,
    percent,
    plus_minus,
    quantity,
)
from distillery.store import artefact
from distillery.store import costs as costs_of
from distillery.store.measurements import average, finished, read_metrics
from distillery.study import reading
from distillery.vocabulary import IMPORTED, LAST, NOISE, REAL, WHOLE

# The colours that methods without one of their own take in turn: those of the page from this on.
FREE_COLOURS = (8, 9, 10, 11)
INIT_FILLS = {"": "full", REAL: "full", NOISE: "open", IMPORTED: "half"}
NOWHERE = np.empty(0, int)
Found = TypeVar("Found")
SET_RULE = "distill or import_synthetic"
# The arrays of a file, and its header.
Item = tuple[Mapping[str, np.ndarray], dict[str, Any]]


@dataclass(frozen=True)
class FullTraining:
    """What training a network on the full training set reaches, and whether others may be measured
    by it.

    Attributes:
        mean, std: of the test accuracies of ``count`` networks.
        better: the sets (method, initialisation, ipc, mean) that reach more, the best first.
        caveats: sentences that belong beside every share of it; none where it may stand alone.
    """

    mean: float
    std: float
    count: int
    better: list[tuple[str, str, float, float]]
    caveats: list[str]

    @property
    def text(self) -> str:
        """Return the accuracy within a sentence, with its count."""
        of = "one network" if self.count == 1 else quantity(self.count, "network")
        return f"{plus_minus(self.mean, self.std, self.count, 1)} % ({of})"


def _read_costs(costs: Sequence[dict | str | Path] | str | Path | None) -> list[dict]:
    parts = [costs] if isinstance(costs, str | Path | dict) else list(costs or [])
    records = []
    for part in parts:
        content = _read_json(part) if isinstance(part, str | Path) else part
        records += content if isinstance(content, list) else [content]
    if not all(isinstance(record, dict) for record in records):
        raise UserError(
            "costs: each is one JSON object a job (rule, dataset, seconds, …); found something else"
        )
    return list(map(costs_of.named, records))


def _read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: the costs cannot be read ({first_line(error)}); delete the file: the rule "
            "that wrote it (collect, for the whole study's) re-creates it"
        ) from error


def _read_tensors(
    paths: Sequence[str | Path],
    needed: Sequence[str],
    whitenings: dict,
    files: dict[tuple[Cell, Any], Path],
) -> list[Item]:
    """Read arrays and headers, in the report's order. Whitenings go into ``whitenings`` by their
    digest: sets of a dataset share one. Paths go into ``files`` by cell and seed."""
    read = []
    for path in paths:
        tensors, header = artefact.load(path, rule=SET_RULE)
        lacking = [name for name in needed if name not in tensors]
        if lacking:
            raise UserError(
                f"{path}: has no tensor {', '.join(lacking)}; delete it and run snakemake again: "
                f"the rule {SET_RULE} re-creates it"
            )
        carried = whitening.carried(tensors, header)
        if carried is not None:
            whitenings.setdefault(header["normalization"]["whitening"], carried)
        own = [name for name in tensors if not name.startswith(whitening.CARRIED)]
        arrays = artefact.Arrays(path, own, rule=SET_RULE)
        read.append((arrays, header))
        files[Cell.of(header), header.get("seed")] = Path(path)
    return sorted(read, key=lambda item: (Cell.of(item[1]).order, item[1].get("seed") or 0))


class Results:
    """Everything read, and what several sections ask of it.

    Attributes:
        metrics: the tidy rows that have a number; ``curves``: those along training;
            ``numberless``: accuracies of finished training
            that have none.
        finished, summary: as ``measurements.finished`` and ``measurements.summarise`` give them.
        costs: the jobs' records.
        sets, evolutions: arrays and header of each, in the report's order.
        files: the path of each set, by its cell and seed.
        headers: the header of the first set of each cell.
        data: datasets by name.
        datasets, methods: their names, in the report's order.
        colours: the number of each method's colour.
        variants: the method that each variant is one of.
    """

    def __init__(
        self,
        metrics: pd.DataFrame | str | Path | Sequence[str | Path],
        costs: Sequence[dict | str | Path] | str | Path | None,
        sets: Sequence[str | Path],
        evolutions: Sequence[str | Path],
        data: Sequence[str | Path],
        config: dict | None,
        provenance: dict | None,
    ) -> None:
        self.metrics = read_metrics(metrics)
        # Results of earlier versions have rows without a number, such as a class without test
        # images: they say nothing.
        known = self.metrics["value"].notna()
        self.numberless = finished(self.metrics[~known])
        if not known.all():
            self.metrics = self.metrics[known].reset_index(drop=True)
        self.curves = _curves(self.metrics)
        self.finished = finished(self.metrics)
        self.summary = average(self.finished)
        self.costs = _read_costs(costs)
        self.whitenings: dict[str, whitening.Whitening] = {}
        self.files: dict[tuple[Cell, Any], Path] = {}
        self.sets = _read_tensors(sets, ("images", "labels"), self.whitenings, self.files)
        self.evolutions = _read_tensors(evolutions, ("images", "iterations"), self.whitenings, {})
        self.data = _read_data(data)
        self.config = config or {}
        self.provenance = provenance or {}
        # Looked up for every cell: a scan each time takes the square of a study's size.
        self._sets: dict[Cell, list[Item]] = {}
        for item in self.sets:
            self._sets.setdefault(Cell.of(item[1]), []).append(item)
        self._jobs: dict[tuple, list[dict]] = {}
        for cost in self.costs:
            rule = str(cost.get("rule", ""))
            self._jobs.setdefault((rule, Cell.of(cost)), []).append(cost)
            about = (rule, str(cost.get("dataset", "")), str(cost.get("network", "")))
            self._jobs.setdefault(about, []).append(cost)
        self.headers: dict[Cell, dict] = {cell: items[0][1] for cell, items in self._sets.items()}
        self.variants = {
            cell.method: str(header["of"])
            for cell, header in self.headers.items()
            if header.get("of")
        }
        # Of plug-ins from outside, which only their sets tell.
        self._coresets = {
            cell.method
            for cell, header in self.headers.items()
            if (header.get("plugin") or {}).get("kind") == plugins.CORESET
        }
        self._titles = {
            cell.method: str(header["plugin"]["title"])
            for cell, header in self.headers.items()
            if header.get("plugin") and not header.get("of")
        }
        self.datasets = sorted(self._named("dataset"), key=dataset_rank)
        self.methods = sorted(self._named("method"), key=method_rank)
        self.colours = _colours(self.methods)
        self._markers = _markers(self.methods, self.colours)
        self._parts: dict[tuple, dict[Any, np.ndarray]] = {}
        self._compared: dict[tuple, Comparison] = {}
        self._full: dict[tuple, FullTraining | None] = {}
        self._known: dict[Any, Any] = {}

    def _named(self, column: str) -> set[str]:
        """Find every name in a column of the metrics and in the sets' headers."""
        names = set(self.metrics[column]) | {str(header.get(column, "")) for _, header in self.sets}
        return names - {""}

    def once(self, key: Any, find: Callable[[], Found]) -> Found:
        """Return what ``find`` finds, which is asked for the first time that ``key`` is."""
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]

    def sets_of(self, cell: Cell) -> list[Item]:
        """List arrays and header of each set of a cell; none where there is no file."""
        return self._sets.get(cell, [])

    def jobs_of(self, rule: str, cell: Cell) -> list[dict]:
        """List the records of a rule's jobs about a cell."""
        return self._jobs.get((rule, cell), [])

    def jobs_with(self, rule: str, dataset: str, network: str) -> list[dict]:
        """List the records of a rule's jobs on a dataset with a network."""
        return self._jobs.get((rule, dataset, network), [])

    def pixels(self, images: np.ndarray, header: Mapping) -> tuple[np.ndarray, bool]:
        """Do as ``figures.to_pixels``, but take whitened images back by the whitening that their
        set carries."""
        normalised = header.get("normalization") or {}
        carried = self.whitenings.get(normalised.get("whitening", ""))
        if carried is None:
            return figures.to_pixels(images, normalised)
        return normalization.pixels(
            torch.from_numpy(np.ascontiguousarray(images)), normalised, carried
        ).clamp(0, 1).numpy(), True

    def is_coreset(self, method: str) -> bool:
        """Return whether a method, or what it is a variant of, chooses real images."""
        return method in self._coresets or is_coreset(self.variants.get(method, method))

    def method_title(self, name: str) -> str:
        """Name a method: as its file does, from wherever it is."""
        return self._titles.get(name) or method_title(name)

    def start(self, method: str, init: str) -> str:
        """Say what the images of a cell start from."""
        if init != IMPORTED and self.is_coreset(method):
            return "chosen real images"
        return INIT_TITLES.get(init, init)

    def name(self, method: str, init: str) -> str:
        """Name a cell in a table: ``DC, real images``."""
        if self._has_no_start(method, init):
            return self.method_title(method) + (", imported" if init == IMPORTED else "")
        return f"{self.method_title(method)}, {self.start(method, init)}"

    def short_name(self, method: str, init: str) -> str:
        """Name a cell in a sentence: ``DC from real images``."""
        if init == IMPORTED or self._has_no_start(method, init):
            return self.name(method, init)
        return f"{self.method_title(method)} from {self.start(method, init)}"

    def _has_no_start(self, method: str, init: str) -> bool:
        return method == WHOLE or self.is_coreset(method) or not init

    def look(self, method: str, init: str) -> Look:
        """Return how a cell's lines look: colour and markers tell the method, their fill the
        initialisation."""
        marker = self._markers.get(method, Look.marker)
        return Look(self.colours.get(method, 0), marker, INIT_FILLS.get(init, "half"))

    def size_dash(self, dataset: str, ipc: float | None) -> str:
        """Return the dashes of a line of one set size where several are on a chart."""
        sizes = self.ipcs(dataset)
        return list(DASHES)[sizes.index(ipc) % len(DASHES)] if ipc in sizes else "solid"

    def networks(self, dataset: str) -> list[str]:
        """List the networks with accuracies on a dataset, in the report's order."""

        def names() -> list[str]:
            rows = self._where("summary", {"dataset": dataset})
            return sorted({name for name in rows["network"] if name}, key=network_rank)

        return self.once(("networks", dataset), names)

    def tables(self, table: Callable[[str, str], dict | None]) -> list[dict]:
        """Return ``table(dataset, network)`` of every dataset and network, by dataset; those that
        are ``None`` are left out."""
        blocks = []
        for dataset in self.datasets:
            made = [table(dataset, network) for network in self.networks(dataset)]
            if tables := [one for one in made if one is not None]:
                blocks.append({"dataset": self.title(dataset), "tables": tables})
        return blocks

    def ipcs(self, dataset: str) -> list[float]:
        """List the sizes with accuracies on a dataset, the smallest first."""
        return sorted(set(self._where("summary", {"dataset": dataset})["ipc"].dropna()))

    def summed(self, dataset: str, network: str, selection: str | None = None) -> pd.DataFrame:
        """Select the rows of the summary of a dataset and network, and of one selection."""
        where = {"dataset": dataset, "network": network, "selection": selection}
        return self._where("summary", {k: v for k, v in where.items() if v is not None})

    def compared(self, dataset: str, network: str, ipc: float) -> Comparison:
        """Compare every pair of the cells (method, initialisation) of a dataset and size, by what
        their final images train."""
        key = (dataset, network, int(ipc))
        if key not in self._compared:
            self._compared[key] = Comparison(self.once("places", self._places).get(key, {}))
        return self._compared[key]

    def _places(self) -> dict[tuple, dict[tuple[str, str], dict[tuple[int, int], float]]]:
        """Return the accuracies of final images by dataset, network and ipc, and therein as
        ``comparison.by_network`` has them."""
        rows = self.finished
        rows = rows[(rows["selection"] == LAST) & (rows["method"] != WHOLE) & rows["ipc"].notna()]
        return {
            (dataset, network, int(part["ipc"].iloc[0])): by_network(part)
            for (dataset, network, _), part in rows.groupby(["dataset", "network", "ipc"])
        }

    def full(self, dataset: str, network: str) -> FullTraining | None:
        """Say what training a network on the full training set reaches; ``None`` where none was."""
        key = (dataset, network)
        if key not in self._full:
            self._full[key] = self._full_training(dataset, network)
        return self._full[key]

    def _full_training(self, dataset: str, network: str) -> FullTraining | None:
        rows = self.summed(dataset, network, LAST)
        trained = rows[rows["ipc"].isna() & (rows["method"] == WHOLE)]
        if trained.empty:
            return None
        row = trained.iloc[0]
        above = rows[rows["ipc"].notna() & (rows["mean"] > row["mean"])]
        above = above.sort_values("mean", ascending=False)
        better = list(zip(above["method"], above["init"], above["ipc"], above["mean"]))
        caveats = self._not_converged(dataset, network)
        if better:
            method, init, ipc, mean = better[0]
            others = f" and {quantity(len(better) - 1, 'other set')}" if len(better) > 1 else ""
            caveats.append(
                f"{self.name(method, init)}, {images_per_class(ipc)}{others} reached more than "
                f"{network} on the full training set ({percent(mean, 1)} % against "
                f"{percent(row['mean'], 1)} %), from which the set was made: that network was "
                "trained too little, or by a recipe that suits it less, and no share of it means "
                "anything."
            )
        return FullTraining(row["mean"], row["std"], row["count"], better, caveats)

    def _not_converged(self, dataset: str, network: str) -> list[str]:
        """Say that training on the full training set had not converged, or may not have, by the
        learning curve of the first network."""
        curve = self.measured(
            "accuracy", dataset=dataset, network=network, method=WHOLE, selection=LAST
        )
        curve = curve[curve["epoch"].notna() & (curve["strategy"] == "")]
        means = (
            curve[curve["split"] == split].groupby("epoch")["value"].mean()
            for split in ("test", "train")
        )
        state = scores.convergence(*(dict(zip(mean.index, mean)) for mean in means))
        if state.state == "moving":
            return [
                f"{network} on the full training set was still improving when its training ended: "
                f"its test accuracy was {percent(state.before, 1)} % after epoch {state.half:.0f} "
                f"and {percent(state.after, 1)} % over the last quarter of {state.epochs:.0f} "
                "epochs (one network). It would reach more, so every share of it is too high."
            ]
        if state.state == "unknown":
            return [
                f"Whether {network} on the full training set had converged is not known: its "
                "learning curve has no point in the first half of its training. A share of it may "
                "be too high."
            ]
        return []

    def title(self, dataset: str) -> str:
        """Name a dataset: as the config does where it is its own, or as its file does."""
        own = (self.config.get("datasets") or {}).get(dataset) or {}
        known = self.once("datasets", self._datasets).get(dataset)
        return own.get("title") or (dataset if known is None else known.title)

    def _datasets(self) -> dict[str, plugins.Dataset]:
        return plugged.gather(reading.folders(self.config)).datasets

    def factor(self, cell: Cell) -> int:
        """Return how many images one of a cell's stored images holds on a side."""
        return self.headers.get(cell, {}).get("factor", 1)

    def classes(self, dataset: str) -> list[str]:
        """List the names of a dataset's classes; their numbers where nothing says the names."""

        def names() -> list[str]:
            for _, header in self.sets:
                if header.get("dataset") == dataset and header.get("classes"):
                    return [str(name) for name in header["classes"]]
            if dataset in self.data:
                return [str(name) for name in self.data[dataset].classes]
            indices = self.metrics[self.metrics["dataset"] == dataset]["class"].dropna()
            return [str(i) for i in range(int(indices.max()) + 1)] if len(indices) else []

        return self.once(("classes", dataset), names)

    def measured(self, measure: str, **where: Any) -> pd.DataFrame:
        """Select the rows of a measure whose columns have the values ``where``."""
        return self._where("metrics", {"measure": measure, **where})

    def curve(self, measure: str, dataset: str, network: str, ipc: float | None) -> pd.DataFrame:
        """Select a measure along the training of a network, on all sets of one size or, of ``ipc``
        ``None``, on the full training set."""
        at = -1.0 if ipc is None else ipc
        where = {"measure": measure, "dataset": dataset, "network": network, "size": at}
        return self._where("curves", where)

    def _where(self, table: str, where: Mapping[str, Any]) -> pd.DataFrame:
        """Select the rows of a table whose columns have the values ``where``, in their order.

        The places of each table's rows are parted by a column once, and so is each part: a page
        asks for every cell, and a scan of all rows each time would take the square of a study's
        size.
        """
        rows, path = getattr(self, table), (table,)
        places: np.ndarray | None = None
        for name, value in where.items():
            at = (*path, name)
            if at not in self._parts:
                self._parts[at] = _parted(*self._coded(table, name), places)
            places, path = self._parts[at].get(value, NOWHERE), (*at, value)
        return rows if places is None else rows.take(places)

    def _coded(self, table: str, name: str) -> tuple[np.ndarray, list]:
        """Number the values of a column; -1 where there is none."""

        def found() -> tuple[np.ndarray, list]:
            codes, values = pd.factorize(getattr(self, table)[name])
            return codes, list(values)

        return self.once(("coded", table, name), found)


def _parted(codes: np.ndarray, values: list, places: np.ndarray | None) -> dict[Any, np.ndarray]:
    """Return the places among ``places``, by default all, of each value of a column."""
    places = np.arange(len(codes)) if places is None else places
    here = codes[places]
    order = np.argsort(here, kind="stable")
    numbers, starts = np.unique(here[order], return_index=True)
    parts = np.split(places[order], starts[1:])
    return {values[number]: part for number, part in zip(numbers, parts) if number >= 0}


def _curves(metrics: pd.DataFrame) -> pd.DataFrame:
    """Select what was measured after epochs of training, with the column ``size``: ``ipc``, or -1
    for the full training set."""
    keep = metrics["epoch"].notna() & metrics["stage"].isna() & metrics["class"].isna()
    # Experts have curves too, but are no result.
    keep &= (metrics["method"] != "") & (metrics["strategy"] == "")
    # Most of what was measured: no column more than is read.
    rows = metrics.loc[keep, [*CELL, *("network", "measure", "split", "seed", "model", "epoch")]]
    values = metrics.loc[keep, "value"]
    return rows.assign(value=values, size=rows["ipc"].fillna(-1.0))


def _colours(methods: Sequence[str]) -> dict[str, int]:
    chosen = {name: method.colour for name, method in plugins.methods().items()}
    colours = {WHOLE: 0} | {name: colour for name, colour in chosen.items() if colour is not None}
    free = [name for name in methods if name not in colours]
    return colours | {name: FREE_COLOURS[i % len(FREE_COLOURS)] for i, name in enumerate(free)}


def _markers(methods: Sequence[str], colours: Mapping[str, int]) -> dict[str, str]:
    """Give each method a marker: another than those of methods whose colours are like its own."""
    chosen: dict[str, str] = {}
    for place, method in enumerate(methods):
        colour = colours.get(method, 0)
        alike = {colour}.union(*(pair for pair in ALIKE if colour in pair))
        taken = {marker for other, marker in chosen.items() if colours.get(other, 0) in alike}
        turn = place % len(MARKERS)
        order = [*list(MARKERS)[turn:], *list(MARKERS)[:turn]]
        chosen[method] = next((marker for marker in order if marker not in taken), order[0])
    return chosen


def _read_data(paths: Sequence[str | Path]) -> Mapping[str, Any]:
    if not paths:
        return {}
    from distillery.images import dataset  # late: a report of metrics alone needs no dataset code

    loaded = [dataset.load(path) for path in paths]
    return {one.name: one for one in loaded}
