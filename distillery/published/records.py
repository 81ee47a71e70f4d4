"""Records of studies that were run: what their results folders measured, kept as JSON beside the
document, because results are not in the repository.

A record is a list of cells; a cell has one place in the tables of the document, one recipe, and the
sets that were measured.
"""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from distillery.errors import UserError
from distillery.vocabulary import (
    AFTERWARDS,
    FINETUNE,
    GDUMB,
    INITS,
    JOINT,
    LAST,
    PER_STEP,
    REPLAY,
    WHOLE,
)

RECORDS = "reproduction"  # the folder of the records, beside the document
FORMAT = 1

# The orders in which the document has its tables, and a table its rows.
METHODS = (
    *("dc", "dsa", "dm", "mtt", "tesla", "rat_bptt", "ncfm", "random", "herding", "k_center"),
    *("el2n", "forgetting", "ccs", "soft_random", "rded", WHOLE),
)
DATASETS = ("MNIST", "FashionMNIST", "SVHN", "CIFAR10", "CIFAR100")
STRATEGIES = (FINETUNE, REPLAY, GDUMB, AFTERWARDS, JOINT)
NETWORK = "ConvNet"


def link(name: str) -> str:
    """Link a record from the document."""
    return f"[{name}]({RECORDS}/{name}.json)"


@dataclass(kw_only=True)
class Place:
    """Where a figure stands in the tables.

    Attributes:
        method: of the set; for continual learning, of its memory set; ``whole``: the full training
            set.
        ipc: images per class; ``None``: the full training set.
        of: for a variant, its method.
        strategy: of continual learning.
        groups: of classes, of continual learning.
        memory: ``per_step`` where the memory set was made in each step from that step's images
            alone; ``None``: it was given, or there is none.
    """

    dataset: str
    method: str
    init: str
    ipc: int | None
    network: str | None
    of: str | None = None
    strategy: str | None = None
    groups: int | None = None
    memory: str | None = None

    @property
    def base(self) -> str:
        """Return the method; for a variant, the one that it is a variant of."""
        return self.of or self.method

    @property
    def name(self) -> str:
        """Return the name of the set, or of the strategy and its memory set."""
        method = self.method if self.base == self.method else f"{self.method} ({self.base})"
        parts = [
            self.strategy,
            f"{method} from {self.init}" if self.init else method,
            None if self.ipc is None else f"{self.ipc} per class",
            "made per step" if self.memory == PER_STEP else None,
            self.network,
            None if self.groups is None else f"{self.groups} groups",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def order(self) -> tuple:
        """Return the key that sorts places as the document has them."""
        return (
            rank(DATASETS, self.dataset),
            rank(METHODS, self.base),
            self.method,
            rank((*INITS, ""), self.init),
            math.inf if self.ipc is None else self.ipc,
            rank((NETWORK,), self.network or ""),
            self.groups or 0,
            self.memory or "",
        )


@dataclass
class Job:
    """One job: how long it took and where it ran.

    Attributes:
        started: ISO 8601, as its cost record has it.
        context: its device, versions, code and commit.
    """

    seconds: float | None
    started: str | None
    context: dict[str, Any]

    @property
    def moment(self) -> datetime | None:
        """Return when the job started; ``None`` where that is not known."""
        return moment(self.started)


@dataclass
class Measured:
    """One set of a cell, or one training on the full training set.

    Attributes:
        set: the job that made it; ``None`` where none of ours did.
        accuracies: by selection one accuracy per network, in percent, rounded to two digits: on the
            test images, under ``held_out`` on the held-out images. Of continual learning ``last``
            is on all classes in the end; beside it stand ``forgetting`` and ``incremental``, the
            average over the steps.
        order: of the classes, of continual learning; ``None``: the dataset's own.
    """

    seed: int | None
    set: Job | None
    evaluation: Job
    accuracies: dict[str, list[float]]
    order: int | None = None

    @property
    def jobs(self) -> list[Job]:
        """Return the jobs that made and judged the set, those that are known."""
        return [job for job in (self.set, self.evaluation) if job is not None]


@dataclass(kw_only=True)
class Cell(Place):
    """Sets of one recipe, measured by one protocol. Sets of other settings are another cell.

    Attributes:
        settings: of the method.
        distilled_with: the network, as a set's header describes it; of a training without a set,
            the one that was trained.
        normalization: its kind.
        experts: ``number``, ``epochs``, ``recipe``, ``settings``, and ``seconds`` where all shards
            are there; ``None``: the method learned from none.
        evaluation: its settings.
        sets: one per seed; of continual learning one per seed and order of the classes.
    """

    settings: dict[str, Any]
    distilled_with: dict[str, Any] | None
    normalization: str | None
    experts: dict[str, Any] | None
    evaluation: dict[str, Any]
    sets: list[Measured] = field(default_factory=list)

    @property
    def recipe(self) -> str:
        """Return a text that only cells of the same place and recipe share."""
        return as_text({name: value for name, value in _fields(self).items() if name != "sets"})

    @property
    def jobs(self) -> list[Job]:
        """Return the jobs of all sets."""
        return [job for one in self.sets for job in one.jobs]

    @property
    def orders(self) -> int:
        """Return in how many orders the classes were learned; 0: not one after another."""
        return len({one.order for one in self.sets}) if self.strategy else 0

    @property
    def newest(self) -> float:
        """Return when it was last measured, in seconds since the epoch; 0 where that is unknown."""
        moments = [one.evaluation.moment for one in self.sets]
        return max((moment.timestamp() for moment in moments if moment), default=0.0)

    def figure(self, selection: str = LAST) -> "Figure":
        """Return the figure over all networks of all sets, of the final images or of a
        selection."""
        lists = [one.accuracies[selection] for one in self.sets if selection in one.accuracies]
        values = [value for values in lists for value in values]
        if not values:
            return Figure()
        even = len({len(values) for values in lists}) == 1
        count = f"{len(lists)} × {len(lists[0])}" if even else f"{len(values)} in {len(lists)} sets"
        # A single accuracy has no spread: "± 0.00" would claim one.
        spread = statistics.pstdev(values) if len(values) > 1 else None
        return Figure(statistics.fmean(values), spread, count)


@dataclass(frozen=True)
class Figure:
    """An accuracy in percent; without a mean where nothing was measured.

    Attributes:
        spread: the population standard deviation; ``None`` of a single network.
        count: of how many sets × networks, in words.
    """

    mean: float | None = None
    spread: float | None = None
    count: str = ""

    def text(self, digits: int = 2) -> str:
        """Write mean, spread and count; "" where nothing was measured."""
        if self.mean is None:
            return ""
        spread = "" if self.spread is None else f" ± {self.spread:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({self.count})"


@dataclass
class Record:
    """What one study measured.

    Attributes:
        command: how the study was run, as one would type it.
        cells: in the order of the document.
        left_out: evaluations of another set than the one that is there: they say nothing about it.
    """

    command: str
    cells: list[Cell]
    left_out: int = 0

    def __post_init__(self) -> None:
        self.cells.sort(key=lambda cell: (cell.order, cell.recipe))
        for cell in self.cells:
            cell.sets.sort(key=lambda one: (-1 if one.seed is None else one.seed, one.order or 0))

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON types; contexts, which many jobs share, stand in a list, and
        jobs name them by number."""
        contexts = sorted({as_text(job.context) for cell in self.cells for job in cell.jobs})

        def numbered(job: Job | None) -> dict[str, Any] | None:
            if job is None:
                return None
            return {**_fields(job), "context": contexts.index(as_text(job.context))}

        cells = [
            {
                **_fields(cell),
                "sets": [
                    {
                        **_fields(one),
                        "set": numbered(one.set),
                        "evaluation": numbered(one.evaluation),
                    }
                    for one in cell.sets
                ],
            }
            for cell in self.cells
        ]
        return {
            "format": FORMAT,
            "command": self.command,
            "left_out": self.left_out,
            "contexts": [json.loads(context) for context in contexts],
            "cells": cells,
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> "Record":
        """Read what :meth:`as_json` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, not {FORMAT}")

        def job(given: Mapping[str, Any] | None) -> Job | None:
            return (
                None
                if given is None
                else Job(**{**given, "context": content["contexts"][given["context"]]})
            )

        cells = [
            Cell(
                **{
                    **cell,
                    "sets": [
                        Measured(
                            **{
                                **one,
                                "set": job(one["set"]),
                                "evaluation": job(one["evaluation"]),
                            }
                        )
                        for one in cell["sets"]
                    ],
                }
            )
            for cell in content["cells"]
        ]
        return cls(content["command"], cells, content.get("left_out", 0))


# What stands in a record only where there is something to say.
_OPTIONAL = {"of", "strategy", "groups", "memory", "order"}


def _fields(part: Cell | Measured | Job) -> dict[str, Any]:
    fields = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
    return {
        name: value for name, value in fields.items() if value is not None or name not in _OPTIONAL
    }


def joined(record: Record, earlier: Record) -> Record:
    """Add to ``record`` the sets that only an ``earlier`` record of the same study has: for a study
    that was run in parts, on several machines.

    Raises:
        UserError: the two were made by different commands.
    """
    if record.command != earlier.command:
        raise UserError(
            f"--keep: the record was made by another command, `{earlier.command}`; give this "
            "one a name of its own"
        )
    cells: dict[str, Cell] = {}
    for cell in (*record.cells, *earlier.cells):
        kept = cells.setdefault(cell.recipe, dataclasses.replace(cell, sets=[])).sets
        known = {(one.seed, one.order) for one in kept}
        kept += [one for one in cell.sets if (one.seed, one.order) not in known]
    return Record(record.command, list(cells.values()), record.left_out)


def rank(order: tuple[str, ...], name: str | None) -> tuple[int, str]:
    """Sort names that are listed in ``order`` before all others, which sort by themselves."""
    return (order.index(name), "") if name in order else (len(order), name or "")


def moment(started: Any) -> datetime | None:
    """Read when a job started, where that was noted."""
    try:
        return datetime.fromisoformat(str(started)).astimezone()
    except ValueError:
        return None


def as_text(value: Any) -> str:
    """Write JSON on one line, the same for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def to_json(value: Any, indent: int = 0, width: int = 150) -> str:
    """Write JSON for people and for small differences: sorted keys, and on one line what fits into
    it."""
    line = as_text(value)
    if len(line) + indent <= width or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [
            f"{pad}{as_text(str(key))}: {to_json(value[key], indent + 1, width)}"
            for key in sorted(value)
        ]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return (
        "[\n"
        + ",\n".join(pad + to_json(item, indent + 1, width) for item in value)
        + "\n"
        + " " * indent
        + "]"
    )


def load(docs: str | Path) -> dict[str, Record]:
    """Read all records in a folder of documents, by name.

    Raises:
        UserError: a file is no record.
    """
    records = {}
    for path in sorted((Path(docs) / RECORDS).glob("*.json")):
        try:
            records[path.stem] = Record.of_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(
                f"{path}: is not a record of a study ({error!r}); re-create it with `python -m "
                "distillery reproduction add`"
            ) from error
    return records
