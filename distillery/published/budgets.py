"""Compare what a recorded cell took with the budgets of the published figures beside it."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from distillery.published import figures
from distillery.published.records import NETWORK, Cell, Place
from distillery.vocabulary import AFTERWARDS, GDUMB, LAST, WHOLE

PUBLISHED, COURSE = figures.PROTOCOLS
SAME = "published budget"
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


def spent(cell: Cell) -> dict[str, int | str]:
    """Collect what a cell took, under the names of ``figures.budget``; what it does not tell is
    absent."""
    networks = [len(one.accuracies.get(LAST, ())) for one in cell.sets]
    amounts = {name: cell.settings.get(name) for name in ("iterations", "outer", "inner")}
    amounts |= {
        "experts": (cell.experts or {}).get("number"),
        "epochs": cell.evaluation.get("epochs"),
        "networks": min(networks),
        "sets": len(networks),
    }
    return {name: value for name, value in amounts.items() if value is not None}


def beside(place: Place) -> dict[str, Any]:
    """Look up the published row that stands beside a place, by protocol: of continual learning of
    as many groups, for a memory that was given and the dataset's own order of the classes. Its
    ``not_comparable`` is of this place."""
    rows = {}
    batch = place.evaluation.get("batch") if isinstance(place, Cell) else None
    if place.memory or _reordered(place):
        return rows
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
        if place.strategy:
            published = published[published["groups"] == place.groups]
        if len(published):
            row = published.iloc[0]
            rows[protocol] = row.where(row.index != "not_comparable", figures.apart(row, batch))
    return rows


def _reordered(place: Place) -> bool:
    """Return whether classes were learned in another order than the dataset's own."""
    return isinstance(place, Cell) and any(one.order for one in place.sets)


def places(rows: pd.DataFrame) -> list[Place]:
    """List the places that published rows stand at, each once, in the document's order.

    A row whose start is not stated stands beside those whose start is.

    Args:
        rows: of ``figures.table``.
    """
    keys = {
        (
            row["dataset"],
            row["network"],
            row["strategy"],
            None if math.isnan(row["groups"]) else int(row["groups"]),
            row["method"],
            None if math.isnan(row["ipc"]) else int(row["ipc"]),
            row["init"],
        )
        for row in rows.to_dict("records")
    }
    keys = {
        key
        for key in keys
        if key[-1] or not any(other[-1] and other[:-1] == key[:-1] for other in keys)
    }
    listed = [
        Place(dataset=d, network=n, strategy=s or None, groups=g, method=m, ipc=i, init=start)
        for d, n, s, g, m, i, start in keys
    ]
    return sorted(listed, key=lambda place: place.order)


def covers(ours: Place, place: Place) -> bool:
    """Return whether a cell of ours stands beside what was published at a place."""
    if _reordered(ours):
        return False
    same = ("dataset", "method", "ipc", "network", "strategy", "groups", "memory")
    return all(getattr(ours, name) == getattr(place, name) for name in same) and (
        place.init in ("", ours.init)
    )


def equals(cell: Cell, protocol: str) -> bool:
    """Return whether a cell took the iterations, loops, experts and evaluation epochs of a
    protocol."""
    return _compared(spent(cell), _budget(cell, protocol)) == "equal"


def mark(cell: Cell, beside: Mapping[str, Any]) -> str:
    """Say how a cell's budget stands to those of the figures beside it.

    ``published budget`` or ``course project's budget`` (the same iterations, loops, experts and
    evaluation epochs, with a word on fewer networks or another start), ``smaller budget``, ``larger
    budget``, ``other network``, ``budget of the source unknown``, or "" where there is nothing to
    compare with. A smaller or larger budget by another network than the published says so.

    Args:
        cell: a cell of a record.
        beside: the published row by protocol, as ``figures.lookup`` gives it, of those that have
            one.
    """
    ours = spent(cell)
    beside = {name: row for name, row in beside.items() if not row["not_comparable"]}
    budgets = {name: _budget(cell, name) for name in {PUBLISHED, *beside}}
    verdicts = {name: _compared(ours, budget) for name, budget in budgets.items()}
    for name, words in ((PUBLISHED, SAME), (COURSE, "course project's budget")):
        if verdicts.get(name) == "equal":
            if not same_network(cell):
                return "other network"
            other = name in beside and beside[name]["init"] not in ("", cell.init)
            return (
                words
                + ", fewer networks" * bool(_fewer(ours, budgets[name]))
                + ", other start" * other
            )
    for verdict in ("smaller", "larger"):
        if verdict in verdicts.values():
            return f"{verdict} budget" + ", other network" * (not same_network(cell))
    return "budget of the source unknown" if beside else ""


def is_same(cell: Cell) -> bool:
    """Return whether a cell took the work of its published figure: whether it is a reproduction."""
    return mark(cell, beside(cell)).startswith(SAME)


def nearness(
    cell: Cell, protocol: str = PUBLISHED
) -> tuple[bool, bool, bool, int, int, int, float]:
    """Return what sorts the cells of one place by how near their work is to a protocol's, the
    nearest last: a figure that may be set against the protocol's, equal work, then the published
    tables' network, most iterations, epochs and trained networks, and the newest."""
    row = beside(cell).get(protocol)
    comparable = row is not None and not row["not_comparable"]
    same = is_same(cell) if protocol == PUBLISHED else equals(cell, protocol)
    iterations, epochs = cell.settings.get("iterations", 0), cell.evaluation.get("epochs", 0)
    networks = sum(len(one.accuracies.get(LAST, ())) for one in cell.sets)
    return comparable, same, same_network(cell), iterations, epochs, networks, cell.newest


def words(cell: Cell, beside: Mapping[str, Any]) -> str:
    """Say what a cell took, and of each amount how much was published where that is another."""
    ours, theirs, whose = spent(cell), _budget(cell, PUBLISHED), "{} published"
    if not theirs and COURSE in beside:
        theirs, whose = _budget(cell, COURSE), "the course project's {}"
    parts = [_amount(name, ours.get(name), theirs.get(name), whose, cell) for name in WORK]
    parts += [
        f"{ours[name]} of {whose.format(theirs[name])} {COUNTS[name]}"
        for name in _fewer(ours, theirs)
    ]
    return ", ".join(part for part in (*parts, network_words(cell)) if part)


def network_words(cell: Cell) -> str:
    """Say by what a cell's ConvNet is another than the published tables'; "" where by nothing."""
    apart = _options_apart(cell)
    named = (cell.distilled_with or {}).get("name", NETWORK) == NETWORK
    return f"ConvNet of {' and '.join(apart)}" if named and apart else ""


def continual_words(cell: Cell) -> str:
    """Say what class-incremental learning took."""
    settings, groups = cell.evaluation, f"{cell.groups} group{'s' * (cell.groups != 1)}"
    groups += f" in {cell.orders} orders" if cell.orders > 1 else ""
    if cell.strategy == GDUMB:
        return (
            f"{settings.get('gdumb_epochs')} epochs from scratch on the memory set in each of "
            f"{groups}, {settings.get('gdumb_batch')} images a step"
        )
    if cell.strategy == AFTERWARDS:
        return (
            f"{settings.get('afterwards_epochs')} epochs on the memory set after {groups}, "
            f"{settings.get('afterwards_batch')} images a step"
        )
    limit = settings.get("images_per_class")
    least = f", {limit} images per class" if limit else ""
    return f"{groups}, {settings.get('epochs')} epochs each{least}"


def shortage(cell: Cell) -> str:
    """Say of trajectory matching what its figure had less than published, to stand beside the
    figure."""
    ours, theirs = spent(cell), _budget(cell, PUBLISHED)
    if "experts" not in theirs:
        return ""
    less = [
        f"{ours.get(name, 'unknown')} of {theirs[name]} {name}"
        for name in ("experts", "iterations")
        if ours.get(name, 0) < theirs[name]
    ]
    return f"with {' and '.join(less)}" if less else ""


def _budget(cell: Cell, protocol: str) -> dict[str, Any]:
    return figures.budget(cell.base, cell.dataset, cell.ipc, protocol)


def _compared(ours: Mapping, theirs: Mapping) -> str:
    """Return ``equal``, ``smaller`` or ``larger`` for our work, or "" where one of the two is not
    known."""
    pairs = [(ours.get(name), theirs[name]) for name in WORK if name in theirs]
    # `auto` follows the published table; the course project had "a few" experts.
    pairs = [
        (amount, full)
        for amount, full in pairs
        if amount is None or not (amount == "auto" or isinstance(full, str))
    ]
    if any(amount is not None and amount < full for amount, full in pairs):
        return "smaller"
    if not theirs or any(amount is None for amount, _ in pairs):
        return ""
    return "larger" if any(amount > full for amount, full in pairs) else "equal"


def _fewer(ours: Mapping, theirs: Mapping) -> list[str]:
    return [name for name in COUNTS if name in theirs and ours.get(name, 0) < theirs[name]]


def same_network(cell: Cell) -> bool:
    """Return whether a ConvNet that a set was distilled with is the published tables' (a study's
    ConvNets are all the same)."""
    network = cell.distilled_with or {}
    return network.get("name", NETWORK) == NETWORK and not _options_apart(cell)


def _options_apart(cell: Cell) -> list[str]:
    """List the options, with their values, in which a cell's network is not the published
    tables'."""
    options = (cell.distilled_with or {}).get("options") or {}
    return [
        f"{name} {options[name]}"
        for name, published in PUBLISHED_NETWORK.items()
        if options.get(name, published) != published
    ]


def _amount(name: str, amount: Any, full: Any, whose: str, cell: Cell) -> str:
    """Say one amount of work, ``full`` being the published one; "" where neither is known."""
    word = "epochs" if name == "epochs" and cell.method == WHOLE else WORK[name]
    word = word.removesuffix("s") if amount in (1, "auto") and full in (None, 1) else word
    if amount is None:
        return "" if full is None else f"unknown of {whose.format(full)} {word}"
    if amount == "auto":
        text = f"{word} auto" if full is None else f"{full} {word}"
    elif full is None or amount == full:
        text = f"{amount} {word}"
    elif amount < full:
        text = f"{amount} of {whose.format(full)} {word}"
    else:
        text = f"{amount} {word} ({whose.format(full)})"
    decay = cell.evaluation.get("decay", "published")
    if name == "epochs" and full is not None and decay != "published":
        text += f" (decay {decay})"
    if name == "experts" and cell.experts:
        text += f" ({cell.experts['epochs']} epochs each)"
    return text
