"""Render the document: published figures beside ours.

``docs/reproduction.md`` is made from the records (``docs/reproduction/NAME.json``) and
``figures.csv`` alone, so no figure in it is typed, and its cells that nobody has run stay empty.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillery import markdown
from distillery.published import budgets, figures
from distillery.published.budgets import PUBLISHED, SAME
from distillery.published.records import (
    DATASETS,
    METHODS,
    NETWORK,
    RECORDS,
    STRATEGIES,
    Cell,
    Job,
    Place,
    Record,
    as_text,
    rank,
)
from distillery.vocabulary import AFTERWARDS, BEST_TEST, BEST_VALIDATION, HELD_OUT, LAST, WHOLE

DOCUMENT = "reproduction.md"

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
_EVIDENCE = "; ".join(f"{letter}: {words}" for letter, words in figures.EVIDENCE.items())
INTRODUCTION = f"""\
<!-- Made by `python -m distillery reproduction render` from {RECORDS}/*.json and \
distillery/published/figures.csv. Do not edit. -->

# Published figures and ours

Every cell that has been run, and the published cells that have not: their `ours` is empty. No \
figure here is typed:
`python -m distillery reproduction add RESULTS --name NAME --command "…"` records a study's \
results folder under
`docs/reproduction/` and re-creates this page (`--keep`: beside the sets that it recorded of \
other parts of the study);
`… render --check` fails where the page is not what the records give.

How to read it:

- Figures are test accuracies in percent: mean ± standard deviation (population) over all \
networks of all sets, and in
  parentheses sets × networks. `ours` is of the final images, and so is its difference to the \
published mean. The best snapshot by
  held-out training images and the best by the test images themselves (a habit of papers, and \
optimistic) have columns of their
  own. Where there is a figure under `best on validation`, the set was distilled without the \
held-out images, which the papers use.
  `its score in validation` is what it was chosen by: that snapshot's accuracy on the held-out \
images. Settings are compared by it.
- `method` is `variant (method)` where a study gave a method other settings under a name of their \
own.
- `published` gives the figure as printed, then how it was seen and its source.
  {_EVIDENCE}.
- `budget` compares the work with that of the published figure: iterations, loops, experts, \
evaluation epochs. **Only `{SAME}`
  speaks of a reproduction**; with `smaller budget` the difference tells what the saving cost. \
`fewer networks`: the same work,
  averaged over fewer networks or sets. `other start`: the published images started from others. \
`budget of the source unknown`:
  to us. Other settings (augmentation, whitening, learning rates) are not weighed; they stand in \
the record.
  Epochs are the number that a protocol names: the authors' code trains one more, as `decay: \
published` does; what was run
  under another decay says so.
- `not comparable`: the figure was measured under a protocol that no cell of ours has, so no \
difference is given.
- `time` is a job's wall time, with whatever else the machine did meanwhile; for a job that was \
interrupted, since it went on last.
- `commit` is that of the checkout when the job ran, `+` where its files were changed, empty \
where it was not noted.
"""
CONTINUAL = """\
Accuracy on all classes in the end, of networks that saw the classes one group after another, and \
what they forgot (Chaudhry et
al. 2018, arXiv 1801.10112), in percent. `finetune` keeps nothing, `replay` mixes the memory set \
into every step, `afterwards`
trains a finetuned network on it in the end, `joint` keeps all images."""


@dataclass(frozen=True)
class Entry:
    """A recorded cell and the record that it is of."""

    name: str
    record: Record
    cell: Cell


def render(records: Mapping[str, Record]) -> str:
    """Render the document, as Markdown; the same records give the same text.

    Args:
        records: by name, as ``records.load`` gives them.
    """
    entries = [
        Entry(name, record, cell) for name, record in records.items() for cell in record.cells
    ]
    datasets = {entry.cell.dataset for entry in entries} | set(DATASETS)
    parts = [INTRODUCTION]
    for dataset in sorted(datasets, key=lambda name: rank(DATASETS, name)):
        ours = [entry for entry in entries if entry.cell.dataset == dataset]
        parts.append(_accuracies(dataset, [entry for entry in ours if not entry.cell.strategy]))
        parts += _continual(dataset, [entry for entry in ours if entry.cell.strategy])
    if records:
        head = ("record", "command", "started", "cells", "hardware", "versions", "left out")
        runs = [_run(name, record) for name, record in records.items()]
        parts.append(
            "## Runs\n\nEach record holds every accuracy and all settings of its study.\n\n"
            + markdown.table(head, runs)
        )
    return "\n".join(parts)


# ---- the tables of a dataset ---------------------------------------------------------------------


def _accuracies(dataset: str, entries: Sequence[Entry]) -> str:
    """Write the section of a dataset: what was published, and what we ran."""
    empty = _not_run(dataset, entries)
    rows = [(entry.cell.order, -_newest(entry.cell), _row(entry)) for entry in entries]
    rows += [(place.order, 0.0, _empty_row(place, HEAD)) for place in empty]
    table = markdown.table(HEAD, [row for _, _, row in sorted(rows)])
    return f"## {dataset}\n\n{_sentence(dataset, entries, empty)}\n\n{table}"


def _continual(dataset: str, entries: Sequence[Entry]) -> list[str]:
    """Write the table of class-incremental learning, where there is something to show."""
    rows = [
        (
            rank(STRATEGIES, entry.cell.strategy),
            entry.cell.order,
            -_newest(entry.cell),
            _continual_row(entry),
        )
        for entry in entries
    ]
    rows += [
        (rank(STRATEGIES, place.strategy), place.order, 0.0, _empty_row(place, CONTINUAL_HEAD))
        for place in _not_run(dataset, entries, continual=True)
    ]
    if not rows:
        return []
    table = markdown.table(CONTINUAL_HEAD, [row[-1] for row in sorted(rows)])
    return [f"### {dataset}, class-incremental\n\n{CONTINUAL}\n\n{table}"]


def _newest(cell: Cell) -> float:
    """Return when a cell was last measured, in seconds since the epoch; 0 where that is unknown."""
    moments = [one.evaluation.moment for one in cell.sets]
    return max((moment.timestamp() for moment in moments if moment), default=0.0)


def _published_places(dataset: str, continual: bool = False) -> list[Place]:
    """List the places of a dataset that have a published figure."""
    table = figures.table()
    wanted = (
        table["strategy"].isin(STRATEGIES)
        if continual
        else (table["strategy"] == "") & table["method"].isin(METHODS)
    )
    table = table[(table["dataset"] == dataset) & (table["network"] == NETWORK) & wanted]
    places = {
        (row.strategy, row.method, row.init, None if math.isnan(row.ipc) else int(row.ipc))
        for row in table.itertuples()
    }
    # A figure whose start is not stated stands beside those whose start is.
    places = {
        (s, m, i, n)
        for s, m, i, n in places
        if i or not any(other[2] and (s, m, n) == (*other[:2], other[3]) for other in places)
    }
    return sorted(
        (
            Place(dataset=dataset, method=m, init=i, ipc=n, network=NETWORK, strategy=s or None)
            for s, m, i, n in places
        ),
        key=lambda place: place.order,
    )


def _not_run(dataset: str, entries: Sequence[Entry], continual: bool = False) -> list[Place]:
    """List the published places of a dataset that none of ours covers."""

    def covers(ours: Place, place: Place) -> bool:
        same = ("method", "ipc", "network", "strategy")
        return all(getattr(ours, name) == getattr(place, name) for name in same) and (
            place.init in ("", ours.init)
        )

    return [
        place
        for place in _published_places(dataset, continual)
        if not any(covers(entry.cell, place) for entry in entries)
    ]


def _sentence(dataset: str, entries: Sequence[Entry], empty: Sequence[Place]) -> str:
    """Say how many of the published figures of a dataset were run, and how many at their budget."""
    places = _published_places(dataset)
    if not places:
        return "No published figures."
    marks = [
        budgets.mark(entry.cell, beside)
        for entry in entries
        if PUBLISHED in (beside := _beside(entry.cell))
    ]
    same = sum(mark.startswith(SAME) for mark in marks)
    reached = f"{same} of our figures {'is' if same == 1 else 'are'} at the published budget"
    return (
        f"Published cells on {NETWORK}: {len(places)}, of which {len(places) - len(empty)} have "
        f"been run; {reached}."
    )


# ---- rows ----------------------------------------------------------------------------------------


def _beside(place: Place) -> dict[str, Any]:
    """Look up the published row that stands beside a cell, by protocol."""
    rows = {}
    for protocol in figures.PROTOCOLS:
        published = figures.lookup(
            place.dataset,
            place.base,
            ipc=place.ipc,
            init=place.init or None,
            network=place.network,
            strategy=place.strategy or "",
            protocol=protocol,
        )
        if len(published):
            rows[protocol] = published.iloc[0]
    return rows


def _row(entry: Entry) -> list[str]:
    cell, beside = entry.cell, _beside(entry.cell)
    shortage, budget = budgets.shortage(cell), budgets.mark(cell, beside)
    texts = _measured(entry, beside)
    texts |= {
        "ours": "<br>".join(text for text in (texts["ours"], shortage) if text),
        "budget": f"**{budget}**" if budget.startswith(SAME) else budget,
        "what was spent": markdown.cell(budgets.words(cell, beside)),
        "best on validation": _figure(cell, BEST_VALIDATION).text,
        "its score in validation": _figure(cell, HELD_OUT).text,
        "best on test": _figure(cell, BEST_TEST).text,
    }
    return [texts[column] for column in HEAD]


def _continual_row(entry: Entry) -> list[str]:
    cell = entry.cell
    settings, groups = cell.evaluation, f"{cell.groups} group{'s' * (cell.groups > 1)}"
    if cell.strategy == AFTERWARDS:
        work = (
            f"{settings.get('afterwards_epochs')} epochs on the memory set after {groups}, "
            f"{settings.get('afterwards_batch')} images a step"
        )
    else:
        limit = settings.get("images_per_class")
        work = f"{groups}, {settings.get('epochs')} epochs each" + (
            f", {limit} images per class" if limit else ""
        )
    texts = _measured(entry, _beside(cell)) | {
        "forgetting": _figure(cell, "forgetting").text,
        "what was spent": work,
    }
    return [texts[column] for column in CONTINUAL_HEAD]


def _empty_row(place: Place, head: Sequence[str]) -> list[str]:
    texts = dict.fromkeys(head, "") | _identity(place)
    texts["published"] = _published_text(place, _beside(place))
    return [texts[name] for name in head]


def _identity(place: Place) -> dict[str, str]:
    """Say which place of the table a row is."""
    method = place.method if place.base == place.method else f"{place.method} ({place.base})"
    texts = {
        "start": place.init,
        "ipc": "" if place.ipc is None else str(place.ipc),
        "network": str(place.network),
    }
    if place.strategy:
        texts |= {"strategy": place.strategy, "memory": method}
    else:
        texts |= {"method": method, "ipc": texts["ipc"] or "all"}
    return {name: markdown.cell(text) for name, text in texts.items()}


def _published_text(place: Place, beside: Mapping[str, Any]) -> str:
    lines = []
    for row in beside.values():
        start = f" from {row['init']}" if row["init"] not in ("", place.init) else ""
        note = f"; {row['note']}" if row["note"] else ""
        note += f"; not comparable: {row['not_comparable']}" if row["not_comparable"] else ""
        lines.append(f"{row['printed']}{start} ({row['evidence']}: {row['source']}{note})")
    return "<br>".join(markdown.cell(line) for line in lines)


def _measured(entry: Entry, beside: Mapping[str, Any]) -> dict[str, str]:
    """Say what the rows of both tables say."""
    cell = entry.cell
    ours, differences = _figure(cell, LAST), []
    for protocol, row in beside.items():
        if ours.mean is not None:
            words = f"{round(ours.mean, 2) - row['value']:+.2f}".replace("-", "−")
            words = "not comparable" if row["not_comparable"] else words
            differences.append(words if protocol == PUBLISHED else f"{words} ({protocol})")
    contexts = _contexts(cell.jobs)
    return {
        **_identity(cell),
        "published": _published_text(cell, beside),
        "ours": ours.text,
        "ours − published": "<br>".join(differences),
        "time": _time(cell),
        "hardware": markdown.cell(_hardware(contexts)),
        "commit": markdown.cell(_commits(contexts)),
        "record": _link(entry.name),
        "command": markdown.code(entry.record.command),
    }


def _run(name: str, record: Record) -> list[str]:
    """Write the row of a record."""
    jobs = [job for cell in record.cells for job in cell.jobs]
    contexts = _contexts(jobs)
    started = sorted(job.started for job in jobs if job.started)
    versions = _distinct(
        f"{package} {context[package]}"
        for package in ("distillery", "python", "torch", "cuda")
        for context in contexts
        if package in context
    )
    texts = (
        " to ".join(dict.fromkeys((started[0], started[-1]))) if started else "",
        str(len(record.cells)),
        _hardware(contexts),
        versions,
        str(record.left_out or ""),
    )
    return [_link(name), markdown.code(record.command), *map(markdown.cell, texts)]


# ---- texts of cells ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Figure:
    """An accuracy in percent, and how it is written; without a mean where nothing was measured."""

    mean: float | None = None
    text: str = ""


def _figure(cell: Cell, selection: str) -> _Figure:
    """Return mean, population standard deviation, and how many sets × networks."""
    lists = [one.accuracies[selection] for one in cell.sets if selection in one.accuracies]
    values = [value for values in lists for value in values]
    if not values:
        return _Figure()
    even = len({len(values) for values in lists}) == 1
    count = f"{len(lists)} × {len(lists[0])}" if even else f"{len(values)} in {len(lists)} sets"
    mean = statistics.fmean(values)
    # A single accuracy has no spread: "± 0.00" would claim one.
    spread = f" ± {statistics.pstdev(values):.2f}" if len(values) > 1 else ""
    return _Figure(mean, f"{mean:.2f}{spread} ({count})")


def _time(cell: Cell) -> str:
    """Say how long a cell's jobs took, on average."""
    trained = cell.method == WHOLE or cell.strategy
    parts = []
    for jobs, word in (
        ([one.set for one in cell.sets], "a set"),
        ([one.evaluation for one in cell.sets], "training" if trained else "evaluation"),
    ):
        seconds = [job.seconds for job in jobs if job and job.seconds is not None]
        if seconds:
            parts.append(f"{_seconds(statistics.fmean(seconds))} {word}")
    if "seconds" in (cell.experts or {}):
        parts.append(f"{_seconds(cell.experts['seconds'])} experts")
    return ", ".join(parts)


def _seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    if value < 600:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _contexts(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """List the contexts of jobs, each once, in the order that a record has them in."""
    contexts = {as_text(job.context): job.context for job in jobs}
    return [contexts[text] for text in sorted(contexts)]


def _distinct(texts: Iterable[str], separator: str = ", ") -> str:
    return separator.join(dict.fromkeys(text for text in texts if text))


def _hardware(contexts: Iterable[Mapping[str, Any]]) -> str:
    def words(context: Mapping[str, Any]) -> str:
        name = context.get("device_name") or context.get("device") or ""
        threads = context.get("threads")
        if context.get("device") == "cpu" and threads:
            return f"{name}, {threads} thread{'s' if threads > 1 else ''}"
        return name

    return _distinct(map(words, contexts), "; ")


def _commits(contexts: Iterable[Mapping[str, Any]]) -> str:
    return _distinct(
        f"{context['commit'][:8]}{'+' * bool(context.get('changed'))}"
        for context in contexts
        if context.get("commit")
    )


def _link(name: str) -> str:
    return f"[{name}]({RECORDS}/{name}.json)"
