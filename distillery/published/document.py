"""Published figures beside ours: a record of each study that was run, and the document made from
all records.

A record (``docs/reproduction/NAME.json``) keeps what a results folder measured, because results are
not in the repository. ``docs/reproduction.md`` is rendered from the records and ``figures.csv``
alone, so no figure in it is typed, and its cells that nobody has run stay empty.
"""

import argparse
import copy
import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from distillery.errors import UserError
from distillery.published import figures as published
from distillery.store import layout
from distillery.store.costs import read_cost
from distillery.store.files import write_text
from distillery.store.measurements import finished, read_metrics
from distillery.vocabulary import (
    AFTERWARDS,
    FINETUNE,
    INITS,
    JOINT,
    LAST,
    REPLAY,
    SELECTIONS,
    WHOLE,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, RECORDS = "reproduction.md", "reproduction"
FORMAT = 1

METHODS = ("dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding", WHOLE)
DATASETS = ("MNIST", "FashionMNIST", "SVHN", "CIFAR10", "CIFAR100")
NETWORK = "ConvNet"
# The network of the published tables, as a set's header describes it.
PUBLISHED_NETWORK = {
    "depth": 3,
    "width": 128,
    "norm": "instance",
    "activation": "relu",
    "pooling": "avg",
}
WORK = {
    "iterations": "iterations",
    "experts": "experts",
    "outer": "outer loops",
    "inner": "inner loops",
    "epochs": "evaluation epochs",
}
COUNTS = {"sets": "sets", "networks": "networks a set"}
CELL = ("dataset", "method", "init", "ipc")
STRATEGIES = (FINETUNE, REPLAY, AFTERWARDS, JOINT)
PUBLISHED, COURSE = published.PROTOCOLS
SAME = "published budget"

# --- Records --------------------------------------------------------------------------------------


def record(results: str | Path, command: str) -> dict[str, Any]:
    """What a results folder has measured so far, as JSON types; the same folder gives the same
    record.

    Args:
        results: the folder of one study, finished or not: what exists is recorded.
        command: how the study was run, as one would type it.

    Returns:
        ``format``, ``command``, ``left_out`` (evaluations of another set than the one that is
        there: they say nothing about it), ``contexts`` (each a device, versions, code and commit;
        jobs refer to them by number) and
        ``cells``: ``dataset``, ``method``, ``init``, ``ipc`` (``None``: the full training set),
        ``network``, ``settings`` (of the method), for a variant ``of``, ``distilled_with`` (the
        network), ``normalization``, ``experts`` (``number``, ``epochs``, ``seconds`` …, or
        ``None``), ``evaluation`` (its settings) and ``sets``, one a seed: ``set`` and
        ``evaluation`` (``seconds``, ``started``, ``context``) and ``accuracies``: by selection a
        list of one accuracy a network, in
        percent, rounded to two digits: on the test images, under ``held_out`` on the held-out
        images. Sets of other settings are another cell. A cell of continual learning has its
        ``strategy`` and the number of ``groups``; ``method`` to ``ipc`` are those of its memory
        set, ``last`` the accuracy on all classes in the end, beside it ``forgetting``.

    Raises:
        UserError: there is no such folder, nothing was measured in it, or an artefact in it is
            damaged.
    """
    from distillery.store import artefact  # late, as is the report below: rendering needs no torch

    results = Path(results)
    if not results.is_dir():
        raise UserError(
            f"{results}: is no folder; give the results folder of a study, such as "
            "results/quickstart"
        )
    sets = {}
    for path in layout.standing(results, "synthetic", layout.SET):
        header = artefact.header(path, rule="distill or import_synthetic")
        # A set that others released has cost us nothing.
        beside = path.with_name(layout.COST)
        sets[_key(header)] = header, read_cost(beside, unsealed=True) if beside.exists() else {}
    shards = _shard_seconds(results)
    cells: dict[str, dict] = {}
    left_out = 0
    for stage, rule in (
        ("evaluate", "evaluate_synthetic"),
        ("vanilla", "train_vanilla"),
        ("continual", "continual"),
    ):
        for path in layout.standing(results, stage, layout.COST):
            cost = read_cost(path, unsealed=True)
            accuracies, groups = _accuracies(path.with_name(layout.METRICS), stage == "continual")
            if cost.get("rule") != rule or not accuracies:
                continue
            header, made = sets.get(_key(cost), (None, {})) if cost.get("ipc") else ({}, {})
            if header is None or not _measured_on(cost, header, made):
                left_out += 1
                continue
            cell = {
                **dict(zip(CELL, _key(cost))),
                **({"of": header["of"]} if header.get("of") else {}),
                **({"strategy": cost.get("strategy"), "groups": groups} if groups else {}),
                "network": cost.get("network"),
                "settings": header.get("settings") or {},
                "distilled_with": header.get("network"),
                "normalization": (header.get("normalization") or {}).get("kind"),
                "experts": _experts(header, shards),
                # Of what was selected the accuracies tell.
                "evaluation": {
                    name: value
                    for name, value in (cost.get("settings") or {}).items()
                    if name != "selection"
                },
            }
            one = {
                "seed": cost.get("seed"),
                "set": _job(made, header.get("version")) if made else None,
                "evaluation": _job(cost),
                "accuracies": accuracies,
            }
            cells.setdefault(_text(cell), {**cell, "sets": []})["sets"].append(one)
    if not cells:
        raise UserError(
            f"{results}: holds no measured set and no training on a whole dataset yet; run the "
            "study first"
        )
    return _packed(list(cells.values()), command, left_out)


def _packed(cells: list[dict[str, Any]], command: str, left_out: int) -> dict[str, Any]:
    """A record of cells in its order, with the contexts of their jobs, which stand in the jobs as
    yet, in a list of their own."""
    ordered = sorted(cells, key=lambda cell: (_order(cell), _text(cell)))
    jobs = [
        job
        for cell in ordered
        for one in cell["sets"]
        for job in (one["set"], one["evaluation"])
        if job
    ]
    contexts = sorted({_text(job["context"]) for job in jobs})
    for job in jobs:
        job["context"] = contexts.index(_text(job["context"]))
    for cell in ordered:
        cell["sets"].sort(key=lambda one: -1 if one["seed"] is None else one["seed"])
    return {
        "format": FORMAT,
        "command": command,
        "left_out": left_out,
        "contexts": [json.loads(context) for context in contexts],
        "cells": ordered,
    }


def joined(record: Mapping, earlier: Mapping) -> dict[str, Any]:
    """``record`` with the sets that only an ``earlier`` record of the same study has: for a study
    that was run in parts, on several machines.

    Raises:
        UserError: the two were made by different commands.
    """
    if record["command"] != earlier["command"]:
        raise UserError(
            f"--keep: the record was made by another command, `{earlier['command']}`; give this "
            "one a name of its own"
        )
    cells: dict[str, dict] = {}
    for found in (record, earlier):
        for cell in copy.deepcopy(found["cells"]):
            sets = cell.pop("sets")
            for job in (job for one in sets for job in (one["set"], one["evaluation"]) if job):
                job["context"] = found["contexts"][job["context"]]
            kept = cells.setdefault(_text(cell), {**cell, "sets": []})["sets"]
            kept += [one for one in sets if one["seed"] not in {other["seed"] for other in kept}]
    return _packed(list(cells.values()), record["command"], record["left_out"])


def _key(about: Mapping) -> tuple:
    """Dataset, method, init, ipc and seed of a header or a cost record."""
    return (
        str(about.get("dataset")),
        str(about.get("method") or ""),
        about.get("init") or "",
        about.get("ipc"),
        about.get("seed"),
    )


def _accuracies(path: Path, continual: bool) -> tuple[dict[str, list[float]], int]:
    """Every network's final figures in percent, by name, and of continual learning the number of
    groups."""
    if not path.exists():
        return {}, 0
    rows, groups = read_metrics(path).sort_values("model", kind="stable"), 0
    if continual:
        groups = int(rows["group"].max()) + 1
        end = rows[rows["stage"] == rows["stage"].max()]
        parts = {
            name: end[end["measure"] == measure]["value"]
            for name, measure in ((LAST, "overall_accuracy"), ("forgetting", "forgetting"))
        }
    else:
        rows = finished(rows)
        parts = {name: rows[rows["selection"] == name]["value"] for name in SELECTIONS}
    return {
        name: [round(100 * value, 2) for value in values]
        for name, values in parts.items()
        if len(values)
    }, groups


def _job(cost: Mapping, version: str | None = None) -> dict[str, Any]:
    versions = cost.get("versions") or {}
    context = {
        name: cost.get(name) for name in ("device", "device_name", "threads", "code", "commit")
    }
    context |= {name: versions[name] for name in ("python", "torch", "cuda") if name in versions}
    context |= {"distillery": version} if version else {}
    context |= {"changed": bool(cost.get("changed"))} if cost.get("commit") else {}
    seconds = cost.get("seconds")
    return {
        "seconds": None if seconds is None else round(seconds, 2),
        "started": cost.get("started"),
        "context": {name: value for name, value in context.items() if value is not None},
    }


def _moment(cost: Mapping) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(cost.get("started")))
    except ValueError:
        return None
    return found.astimezone()


def _before(one: Mapping, other: Mapping) -> bool:
    """Whether a job started before another, as far as both say when."""
    first, second = _moment(one), _moment(other)
    return first is not None and second is not None and first < second


def _measured_on(cost: Mapping, header: Mapping, made: Mapping) -> bool:
    """Whether an evaluation is of the set that is there: by the digest of what it read, or where an
    earlier version noted none, by the times."""
    read = cost.get("inputs") or {}
    named = read.get("synthetic") or read.get("memory")
    return header.get("sha256") in named if named else not _before(cost, made)


def _shard_seconds(results: Path) -> dict[str, float]:
    """What each shard of experts in the folder took, by the digest of its content."""
    found = {}
    for path in layout.standing(results, "experts", layout.COST):
        cost = read_cost(path, unsealed=True)
        found |= dict.fromkeys((cost.get("outputs") or {}).values(), cost.get("seconds") or 0)
    return found


def _experts(header: Mapping, shards: Mapping[str, float]) -> dict[str, Any] | None:
    """The experts that a set says it learned from, and what their training took; without
    ``seconds`` where not all shards are there."""
    told = header.get("experts")
    if not told:
        return None
    found = {name: told[name] for name in ("number", "epochs", "recipe", "settings")}
    if set(told["shards"]) <= shards.keys():
        found["seconds"] = round(sum(shards[shard] for shard in told["shards"]), 2)
    return found


def _of(cell: Mapping) -> str:
    """The method of a cell; for a variant, the one that it is a variant of."""
    return cell.get("of") or cell["method"]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def to_json(value: Any, indent: int = 0, width: int = 150) -> str:
    """JSON for people and for small differences: sorted keys, and on one line what fits into it."""
    line = _text(value)
    if len(line) + indent <= width or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [
            f"{pad}{_text(str(key))}: {to_json(value[key], indent + 1, width)}"
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


def load(docs: str | Path = DOCS) -> dict[str, dict[str, Any]]:
    """All records by name.

    Raises:
        UserError: a file is no record.
    """
    found = {}
    for path in sorted((Path(docs) / RECORDS).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}, not {FORMAT}")
            content["command"], content["contexts"], content["cells"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: is not a record of a study ({error!r}); make it again by `python -m "
                "distillery reproduction add`"
            ) from error
        found[path.stem] = content
    return found


# --- Budgets --------------------------------------------------------------------------------------


def spent(cell: Mapping) -> dict[str, int | str]:
    """What a recorded cell took, under the names of ``published.budget``; what it does not tell is
    absent."""
    settings, lengths = (
        cell["settings"],
        [len(one["accuracies"].get(LAST, ())) for one in cell["sets"]],
    )
    found = {name: settings.get(name) for name in ("iterations", "outer", "inner")}
    found |= {
        "experts": (cell["experts"] or {}).get("number"),
        "epochs": cell["evaluation"].get("epochs"),
    }
    found |= {"networks": min(lengths), "sets": len(lengths)}
    return {name: value for name, value in found.items() if value is not None}


def _compared(ours: Mapping, theirs: Mapping) -> str:
    """``equal``, ``smaller`` or ``larger`` work, or "" where one of the two is not known."""
    pairs = [(ours.get(name), theirs[name]) for name in WORK if name in theirs]
    # `auto` follows the published table; the course project had "a few" experts.
    pairs = [
        (own, full)
        for own, full in pairs
        if own is None or not (own == "auto" or isinstance(full, str))
    ]
    if any(own is not None and own < full for own, full in pairs):
        return "smaller"
    if not theirs or any(own is None for own, _ in pairs):
        return ""
    return "larger" if any(own > full for own, full in pairs) else "equal"


def mark(cell: Mapping, beside: Mapping[str, Any]) -> str:
    """How a cell's budget stands to those of the figures beside it.

    ``published budget`` or ``course project's budget`` (the same iterations, loops, experts and
    evaluation epochs, with a word on fewer networks or another start), ``smaller budget``, ``larger
    budget``, ``other network``, ``budget of the source unknown``, or "" where there is nothing to
    compare with.

    Args:
        beside: the published row by protocol, as ``published.lookup`` gives it, of those that have
            one.
    """
    ours = spent(cell)
    beside = {name: row for name, row in beside.items() if not row["not_comparable"]}
    budgets = {
        name: published.budget(_of(cell), cell["dataset"], cell["ipc"], name)
        for name in {PUBLISHED, *beside}
    }
    verdicts = {name: _compared(ours, budget) for name, budget in budgets.items()}
    for name, words in ((PUBLISHED, SAME), (COURSE, "course project's budget")):
        if verdicts.get(name) == "equal":
            if not _same_network(cell):
                return "other network"
            other = name in beside and beside[name]["init"] not in ("", cell["init"])
            return (
                words
                + ", fewer networks" * bool(_fewer(ours, budgets[name]))
                + ", other start" * other
            )
    for verdict in ("smaller", "larger"):
        if verdict in verdicts.values():
            return f"{verdict} budget"
    return "budget of the source unknown" if beside else ""


def _fewer(ours: Mapping, theirs: Mapping) -> list[str]:
    return [name for name in COUNTS if name in theirs and ours.get(name, 0) < theirs[name]]


def _same_network(cell: Mapping) -> bool:
    """Whether a ConvNet that a set was distilled with is the published tables' (a study's ConvNets
    are all the same)."""
    found = cell["distilled_with"] or {}
    options = found.get("options") or {}
    return found.get("name", NETWORK) == NETWORK and all(
        options.get(name, value) == value for name, value in PUBLISHED_NETWORK.items()
    )


def _budget_words(cell: Mapping, beside: Mapping) -> str:
    ours, theirs, whose = (
        spent(cell),
        published.budget(_of(cell), cell["dataset"], cell["ipc"]),
        "{} published",
    )
    if not theirs and COURSE in beside:
        theirs, whose = (
            published.budget(_of(cell), cell["dataset"], cell["ipc"], COURSE),
            "the course project's {}",
        )
    parts = []
    for name, word in WORK.items():
        own, full = ours.get(name), theirs.get(name)
        if name == "epochs" and cell["method"] == WHOLE:
            word = "epochs"
        word = word.removesuffix("s") if own in (1, "auto") and full in (None, 1) else word
        if own is None:
            parts += [f"unknown of {whose.format(full)} {word}"] if full is not None else []
            continue
        text = (
            f"{word} {own}"
            if own == "auto" and full is None
            else f"{full if own == 'auto' else own} {word}"
        )
        if full is not None and own not in ("auto", full):
            text = (
                f"{own} of {whose.format(full)} {word}"
                if own < full
                else f"{own} {word} ({whose.format(full)})"
            )
        if (
            name == "epochs"
            and full is not None
            and cell["evaluation"].get("decay", "published") != "published"
        ):
            text += f" (decay {cell['evaluation']['decay']})"
        if name == "experts":
            text += f" ({cell['experts']['epochs']} epochs each)"
        parts.append(text)
    parts += [
        f"{ours[name]} of {whose.format(theirs[name])} {COUNTS[name]}"
        for name in _fewer(ours, theirs)
    ]
    return ", ".join(parts)


def _shortage(cell: Mapping) -> str:
    """For trajectory matching, what its figure had less than published, to stand beside the
    figure."""
    ours, theirs = spent(cell), published.budget(_of(cell), cell["dataset"], cell["ipc"])
    if "experts" not in theirs:
        return ""
    less = [
        f"{ours.get(name, 'unknown')} of {theirs[name]} {name}"
        for name in ("experts", "iterations")
        if ours.get(name, 0) < theirs[name]
    ]
    return f"with {' and '.join(less)}" if less else ""


# --- The document ---------------------------------------------------------------------------------

# The columns that both tables have (`_measured`).
_FIGURES = ("network", "published", "ours", "ours − published")
_ORIGIN = ("time", "hardware", "commit", "record", "command")
_SELECTED = ("best on validation", "its score in validation", "best on test")
HEAD = ("method", "start", "ipc", *_FIGURES, "budget", "what was spent", *_SELECTED, *_ORIGIN)
CONTINUAL_HEAD = (
    "strategy",
    "memory",
    "start",
    "ipc",
    *_FIGURES,
    "forgetting",
    "what was spent",
    *_ORIGIN,
)
_EVIDENCE = "; ".join(f"{letter}: {words}" for letter, words in published.EVIDENCE.items())
INTRODUCTION = f"""\
<!-- Made by `python -m distillery reproduction render` from {RECORDS}/*.json and distillery/published/figures.csv. Do not edit. -->

# Published figures and ours

Every cell that has been run, and the published cells that have not: their `ours` is empty. No figure here is typed:
`python -m distillery reproduction add RESULTS --name NAME --command "…"` records a study's results folder under
`docs/reproduction/` and re-creates this page (`--keep`: beside the sets that it recorded of other parts of the study);
`… render --check` fails where the page is not what the records give.

How to read it:

- Figures are test accuracies in percent: mean ± standard deviation (population) over all networks of all sets, and in
  parentheses sets × networks. `ours` is of the final images, and so is its difference to the published mean. The best snapshot by
  held-out training images and the best by the test images themselves (a habit of papers, and optimistic) have columns of their
  own. Where there is a figure under `best on validation`, the set was distilled without the held-out images, which the papers use.
  `its score in validation` is what it was chosen by: that snapshot's accuracy on the held-out images. Settings are compared by it.
- `method` is `variant (method)` where a study gave a method other settings under a name of their own.
- `published` gives the figure as printed, then how it was seen and its source.
  {_EVIDENCE}.
- `budget` compares the work with that of the published figure: iterations, loops, experts, evaluation epochs. **Only `{SAME}`
  speaks of a reproduction**; with `smaller budget` the difference tells what the saving cost. `fewer networks`: the same work,
  averaged over fewer networks or sets. `other start`: the published images started from others. `budget of the source unknown`:
  to us. Other settings (augmentation, whitening, learning rates) are not weighed; they stand in the record.
  Epochs are the number that a protocol names: the authors' code trains one more, as `decay: published` does; what was run
  under another decay says so.
- `not comparable`: the figure was measured under a protocol that no cell of ours has, so no difference is given.
- `time` is a job's wall time, with whatever else the machine did meanwhile; for a job that was interrupted, since it went on last.
- `commit` is that of the checkout when the job ran, `+` where its files were changed, empty where it was not noted.
"""
CONTINUAL = """\
Accuracy on all classes in the end, of networks that saw the classes one group after another, and what they forgot (Chaudhry et
al. 2018, arXiv 1801.10112), in percent. `finetune` keeps nothing, `replay` mixes the memory set into every step, `afterwards`
trains a finetuned network on it in the end, `joint` keeps all images."""


def render(records: Mapping[str, Mapping]) -> str:
    """The document, as Markdown; the same records give the same text.

    Args:
        records: by name, as :func:`load` gives them.
    """
    cells = [(name, found, cell) for name, found in records.items() for cell in found["cells"]]
    names = sorted(
        {cell["dataset"] for _, _, cell in cells} | set(DATASETS),
        key=lambda name: _rank(DATASETS, name),
    )
    parts = [INTRODUCTION]
    for dataset in names:
        learned, own = (
            [
                one
                for one in cells
                if one[2]["dataset"] == dataset and ("strategy" in one[2]) is continual
            ]
            for continual in (True, False)
        )
        empty = _not_run(dataset, [cell for _, _, cell in own])
        rows = [(_order(cell), _newest(cell), _row(*one)) for one in own for cell in [one[2]]]
        rows += [(_order(cell), 0.0, _empty_row(cell)) for cell in empty]
        rows.sort(key=lambda row: (row[0], -row[1], row[2]))
        parts.append(
            "## "
            f"{dataset}\n\n{_sentence(dataset, own, empty)}\n\n{_table(HEAD, [row for _, _, row in rows])}"
        )
        parts += _continual(dataset, learned)
    runs = [_run(name, found) for name, found in records.items()]
    if runs:
        head = ("record", "command", "started", "cells", "hardware", "versions", "left out")
        parts.append(
            "## Runs\n\nEach record holds every accuracy and all settings of its study.\n\n"
            + _table(head, runs)
        )
    return "\n".join(parts)


def _continual(dataset: str, learned: list[tuple]) -> list[str]:
    """The table of class-incremental learning, where there is something to show."""
    empty = _not_run(dataset, [cell for _, _, cell in learned], continual=True)
    rows = [
        (
            _rank(STRATEGIES, cell["strategy"]),
            _order(cell),
            -_newest(cell),
            _continual_row(name, found, cell),
        )
        for name, found, cell in learned
    ]
    rows += [
        (_rank(STRATEGIES, cell["strategy"]), _order(cell), 0.0, _empty_row(cell, CONTINUAL_HEAD))
        for cell in empty
    ]
    if not rows:
        return []
    return [
        f"### {dataset}, "
        f"class-incremental\n\n{CONTINUAL}\n\n{_table(CONTINUAL_HEAD, [row[-1] for row in sorted(rows)])}"
    ]


def _rank(order: tuple[str, ...], name: str) -> tuple[int, str]:
    return (order.index(name), "") if name in order else (len(order), name)


def _order(cell: Mapping) -> tuple:
    return (
        _rank(DATASETS, cell["dataset"]),
        _rank(METHODS, _of(cell)),
        cell["method"],
        _rank((*INITS, ""), cell["init"]),
        math.inf if cell["ipc"] is None else cell["ipc"],
        _rank((NETWORK,), cell["network"]),
    )


def _newest(cell: Mapping) -> float:
    moments = [_moment(one["evaluation"]) for one in cell["sets"]]
    return max((moment.timestamp() for moment in moments if moment), default=0.0)


def _published_cells(dataset: str, continual: bool = False) -> list[dict[str, Any]]:
    table = published.table()
    wanted = (
        table["strategy"].isin(STRATEGIES)
        if continual
        else (table["strategy"] == "") & table["method"].isin(METHODS)
    )
    table = table[(table["dataset"] == dataset) & (table["network"] == NETWORK) & wanted]
    found = {
        (row.strategy, row.method, row.init, None if math.isnan(row.ipc) else int(row.ipc))
        for row in table.itertuples()
    }
    # A figure whose start is not stated stands beside those whose start is.
    found = {
        (s, m, i, n)
        for s, m, i, n in found
        if i or not any(other[2] and (s, m, n) == (*other[:2], other[3]) for other in found)
    }
    cells = [
        {"dataset": dataset, "method": m, "init": i, "ipc": n, "network": NETWORK}
        | ({"strategy": s} if s else {})
        for s, m, i, n in found
    ]
    return sorted(cells, key=_order)


def _not_run(dataset: str, cells: list[Mapping], continual: bool = False) -> list[dict[str, Any]]:
    def covers(own: Mapping, cell: Mapping) -> bool:
        return all(
            own.get(name) == cell.get(name) for name in ("method", "ipc", "network", "strategy")
        ) and cell["init"] in ("", own["init"])

    return [
        cell
        for cell in _published_cells(dataset, continual)
        if not any(covers(own, cell) for own in cells)
    ]


def _sentence(dataset: str, own: list[tuple], empty: list[Mapping]) -> str:
    cells = _published_cells(dataset)
    if not cells:
        return "No published figures."
    same = sum(
        1
        for _, _, cell in own
        if PUBLISHED in (beside := _looked(cell)) and mark(cell, beside).startswith(SAME)
    )
    reached = f"{same} of our figures {'is' if same == 1 else 'are'} at the published budget"
    return (
        f"Published cells on {NETWORK}: {len(cells)}, of which {len(cells) - len(empty)} have been "
        f"run; {reached}."
    )


def _looked(cell: Mapping) -> dict[str, Any]:
    """The published row that stands beside a cell, by protocol."""
    found = {}
    about = {
        "ipc": cell["ipc"],
        "init": cell["init"] or None,
        "network": cell["network"],
        "strategy": cell.get("strategy", ""),
    }
    for protocol in published.PROTOCOLS:
        rows = published.lookup(cell["dataset"], _of(cell), **about, protocol=protocol)
        if len(rows):
            found[protocol] = rows.iloc[0]
    return found


def _published_text(cell: Mapping, looked: Mapping) -> str:
    lines = []
    for row in looked.values():
        start = f" from {row['init']}" if row["init"] not in ("", cell["init"]) else ""
        note = f"; {row['note']}" if row["note"] else ""
        note += f"; not comparable: {row['not_comparable']}" if row["not_comparable"] else ""
        lines.append(f"{row['printed']}{start} ({row['evidence']}: {row['source']}{note})")
    return "<br>".join(_cell(line) for line in lines)


def _empty_row(cell: Mapping, head: tuple[str, ...] = HEAD) -> list[str]:
    texts = (
        dict.fromkeys(head, "")
        | _identity(cell)
        | {"published": _published_text(cell, _looked(cell))}
    )
    return [texts[name] for name in head]


def _identity(cell: Mapping) -> dict[str, str]:
    method = cell["method"] if _of(cell) == cell["method"] else f"{cell['method']} ({_of(cell)})"
    texts = {
        "start": cell["init"],
        "ipc": "" if cell["ipc"] is None else str(cell["ipc"]),
        "network": str(cell["network"]),
    }
    if "strategy" in cell:
        texts |= {"strategy": cell["strategy"], "memory": method}
    else:
        texts |= {"method": method, "ipc": texts["ipc"] or "all"}
    return {name: _cell(text) for name, text in texts.items()}


def _row(name: str, found: Mapping, cell: Mapping) -> list[str]:
    looked = _looked(cell)
    shortage, stands = _shortage(cell), mark(cell, looked)
    texts = _measured(name, found, cell, looked)
    texts |= {
        "ours": "<br>".join(text for text in (texts["ours"], shortage) if text),
        "budget": f"**{stands}**" if stands.startswith(SAME) else stands,
        "what was spent": _cell(_budget_words(cell, looked)),
        "best on validation": _figure_text(_figure(cell, "best_validation")),
        "its score in validation": _figure_text(_figure(cell, "held_out")),
        "best on test": _figure_text(_figure(cell, "best_test")),
    }
    return [texts[column] for column in HEAD]


def _continual_row(name: str, found: Mapping, cell: Mapping) -> list[str]:
    settings, groups = cell["evaluation"], f"{cell['groups']} group{'s' * (cell['groups'] > 1)}"
    if cell["strategy"] == AFTERWARDS:
        work = (
            f"{settings.get('afterwards_epochs')} epochs on the memory set after {groups}, "
            f"{settings.get('afterwards_batch')} images a step"
        )
    else:
        limit = settings.get("images_per_class")
        work = f"{groups}, {settings.get('epochs')} epochs each" + (
            f", {limit} images per class" if limit else ""
        )
    texts = _measured(name, found, cell, _looked(cell)) | {
        "forgetting": _figure_text(_figure(cell, "forgetting")),
        "what was spent": work,
    }
    return [texts[column] for column in CONTINUAL_HEAD]


def _measured(name: str, found: Mapping, cell: Mapping, looked: Mapping) -> dict[str, str]:
    """What the rows of both tables say."""
    ours, differences = _figure(cell, LAST), []
    for protocol, row in looked.items():
        if ours is not None:
            words = f"{round(ours[0], 2) - row['value']:+.2f}".replace("-", "−")
            words = "not comparable" if row["not_comparable"] else words
            differences.append(words if protocol == PUBLISHED else f"{words} ({protocol})")
    return {
        **_identity(cell),
        "published": _published_text(cell, looked),
        "ours": _figure_text(ours),
        "ours − published": "<br>".join(differences),
        "time": _time(cell),
        "hardware": _cell(_hardware(found, _contexts(cell))),
        "commit": _cell(_commits(found, _contexts(cell))),
        "record": _link(name),
        "command": _code(found["command"]),
    }


def _figure(cell: Mapping, selection: str) -> tuple[float, float, str, int] | None:
    """Mean, population standard deviation, how many sets × networks, and how many accuracies."""
    lists = [one["accuracies"][selection] for one in cell["sets"] if selection in one["accuracies"]]
    values = [value for values in lists for value in values]
    if not values:
        return None
    even = len({len(values) for values in lists}) == 1
    count = f"{len(lists)} × {len(lists[0])}" if even else f"{len(values)} in {len(lists)} sets"
    return statistics.fmean(values), statistics.pstdev(values), count, len(values)


def _figure_text(figure: tuple[float, float, str, int] | None) -> str:
    if figure is None:
        return ""
    mean, spread, count, number = figure
    # A single accuracy has no spread: "± 0.00" would claim one.
    return f"{mean:.2f} ± {spread:.2f} ({count})" if number > 1 else f"{mean:.2f} ({count})"


def _time(cell: Mapping) -> str:
    parts = []
    for job, word in (
        ("set", "a set"),
        (
            "evaluation",
            "training" if cell["method"] == WHOLE or "strategy" in cell else "evaluation",
        ),
    ):
        seconds = [
            one[job]["seconds"]
            for one in cell["sets"]
            if one[job] and one[job]["seconds"] is not None
        ]
        if seconds:
            parts.append(f"{_seconds(statistics.fmean(seconds))} {word}")
    if "seconds" in (cell["experts"] or {}):
        parts.append(f"{_seconds(cell['experts']['seconds'])} experts")
    return ", ".join(parts)


def _seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    return (
        f"{value:.0f} s"
        if value < 600
        else f"{value / 60:.0f} min"
        if value < 7200
        else f"{value / 3600:.1f} h"
    )


def _contexts(*cells: Mapping) -> list[int]:
    return sorted(
        {
            job["context"]
            for cell in cells
            for one in cell["sets"]
            for job in (one["set"], one["evaluation"])
            if job
        }
    )


def _distinct(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _hardware(found: Mapping, contexts: list[int]) -> str:
    def words(context: Mapping) -> str:
        name, threads = (
            context.get("device_name") or context.get("device") or "",
            context.get("threads"),
        )
        if context.get("device") == "cpu" and threads:
            return f"{name}, {threads} thread{'s' if threads > 1 else ''}"
        return name

    return "; ".join(
        dict.fromkeys(text for number in contexts if (text := words(found["contexts"][number])))
    )


def _commits(found: Mapping, contexts: list[int]) -> str:
    used = [found["contexts"][number] for number in contexts]
    return _distinct(
        f"{context['commit'][:8]}{'+' * bool(context.get('changed'))}"
        for context in used
        if context.get("commit")
    )


def _run(name: str, found: Mapping) -> list[str]:
    contexts = _contexts(*found["cells"])
    used = [found["contexts"][number] for number in contexts]
    started = sorted(
        job["started"]
        for cell in found["cells"]
        for one in cell["sets"]
        for job in (one["set"], one["evaluation"])
        if job and job["started"]
    )
    versions = _distinct(
        f"{package} {context[package]}"
        for package in ("distillery", "python", "torch", "cuda")
        for context in used
        if package in context
    )
    span = " to ".join(dict.fromkeys((started[0], started[-1]))) if started else ""
    texts = (
        span,
        str(len(found["cells"])),
        _hardware(found, contexts),
        versions,
        str(found.get("left_out") or ""),
    )
    return [_link(name), _code(found["command"]), *map(_cell, texts)]


# --- Markdown -------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    """A text that stays in its cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def _code(text: str) -> str:
    if not text.strip():
        return ""
    # A fence longer than any run of backticks inside; spaces, because the text may begin with one.
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{_cell(text)}{pad}{fence}"


def _link(name: str) -> str:
    return f"[{name}]({RECORDS}/{name}.json)"


def _table(head: Iterable[str], rows: list[list[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# --- The command ----------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of ``python -m distillery reproduction``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="record a results folder and re-create the document")
    add.add_argument(
        "results", metavar="RESULTS", help="the study's results folder, finished or not"
    )
    add.add_argument(
        "--name", required=True, help="the record's name; a record of this name is replaced"
    )
    add.add_argument(
        "--keep",
        action="store_true",
        help="keep the sets of a record of this name that the folder does not have",
    )
    add.add_argument(
        "--command", dest="as_run", required=True, metavar="COMMAND", help="how the study was run"
    )
    again = actions.add_parser("render", help="write the document from the records")
    again.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where the document is not what the records give",
    )
    for action in (add, again):
        action.add_argument(
            "--docs",
            type=Path,
            default=DOCS,
            metavar="FOLDER",
            help="where the document stands (default: the repository's docs)",
        )


def run(arguments: argparse.Namespace) -> None:
    """Carry the command out.

    Raises:
        UserError: bad input, or with ``--check`` a document that is not what the records give.
    """
    document = arguments.docs / DOCUMENT
    if arguments.action == "add":
        if not re.fullmatch(r"\w[\w.-]*", arguments.name):
            raise UserError(
                f"--name {arguments.name!r}: must be letters, digits, `.`, `_` and `-`, such as "
                "mnist-cpu"
            )
        found = record(arguments.results, arguments.as_run)
        path = arguments.docs / RECORDS / f"{arguments.name}.json"
        if arguments.keep and path.exists():
            found = joined(found, load(arguments.docs)[arguments.name])
        write_text(path, to_json(found) + "\n")
        skipped = (
            f"; left out {found['left_out']} evaluations whose set is newer or missing"
            if found["left_out"]
            else ""
        )
        print(f"{path}: {len(found['cells'])} cells{skipped}")
    text = render(load(arguments.docs))
    if getattr(arguments, "check", False):
        if not document.exists() or document.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{document}: is not what the records give; run `python -m distillery reproduction "
                "render`"
            )
        return
    write_text(document, text)
    print(document)
