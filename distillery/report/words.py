"""Numbers and names as a reader is shown them, and the order of things."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from distillery import plugins
from distillery.vocabulary import (
    BEST_TEST,
    BEST_VALIDATION,
    HELD_OUT,
    IMPORTED,
    INITS,
    LAST,
    NOISE,
    REAL,
    WHOLE,
)

if TYPE_CHECKING:
    from typing_extensions import TypeIs

SELECTION_TITLES = {
    LAST: "final images",
    BEST_VALIDATION: "best on validation",
    HELD_OUT: "its score in validation",
    BEST_TEST: "best on test (papers’ habit)",
}
INIT_TITLES = {REAL: "real images", NOISE: "Gaussian noise", IMPORTED: "imported"}
INIT_ORDER = ("", *INITS, IMPORTED)


# --- Names and their order ------------------------------------------------------------------------


def blank(value: Any) -> "TypeIs[None]":
    """Return whether a field says nothing: ``None``, NaN or an empty text."""
    return value is None or value == "" or value != value


def method_title(name: str) -> str:
    """Name a method. One that is no plug-in, as a variant or an imported set, keeps its own
    name, a short one in capitals."""
    if name == WHOLE:
        return "Full training set"
    known = plugins.methods().get(name)
    if known is not None:
        return known.title
    return name.upper() if len(name) <= 4 and name.islower() else name


def is_coreset(method: str) -> bool:
    """Return whether a method that is a plug-in chooses real images."""
    known = plugins.methods().get(method)
    return known is not None and known.is_coreset


def rank(order: Sequence[str], name: str) -> tuple[int, str]:
    """Sort by this: as in ``order``, then the others by name."""
    return (order.index(name), "") if name in order else (len(order), name)


def method_rank(name: str) -> tuple[int, float, str]:
    """Sort methods by this: the full training set, distilled sets, then coresets, which they are
    compared with."""
    if name == WHOLE:
        return (0, 0, "")
    known = plugins.methods().get(name)
    if known is None:
        return (1, math.inf, name)
    return (2 if known.is_coreset else 1, known.order, name)


def init_rank(name: str) -> tuple[int, str]:
    """Sort starts by this."""
    return rank(INIT_ORDER, name)


def dataset_rank(name: str) -> tuple[float, str]:
    """Sort datasets by this; those that are no plug-ins come last."""
    known = plugins.datasets().get(name)
    return (math.inf if known is None else known.order, name)


def network_rank(name: str) -> tuple[int, str]:
    """Sort networks by this: first the one that published tables are of."""
    return rank(("ConvNet",), name)


def class_name(names: Sequence[str], index: int) -> str:
    """Name a class; by its number where it has no name."""
    return str(names[index]) if index < len(names) else str(index)


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def some_of(names: Sequence[str], most: int = 6) -> str:
    """Join names as :func:`listed` does; of many the first, and how many others there are."""
    if len(names) <= most + 1:
        return listed(names)
    return f"{', '.join(names[:most])} and {len(names) - most} others"


# --- Numbers --------------------------------------------------------------------------------------


def images_per_class(value: float | None) -> str:
    """Say a size; none is that of the full training set."""
    if blank(value):
        return "all images"
    return f"{int(value)} image{'' if value == 1 else 's'} per class"


def percent(value: float, digits: int = 2) -> str:
    """Return a fraction in percent, without the sign."""
    return "" if blank(value) else f"{100 * value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign."""
    # Adding 0 takes the sign from a difference that rounds to none.
    return "" if blank(value) else f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def plus_minus(mean: float, std: float, count: int, digits: int = 2) -> str:
    """Return fractions in percent, with the deviation where there is one."""
    # A single value has no spread: "± 0.00" would claim one.
    return percent(mean, digits) + (f" ± {percent(std, digits)}" if count > 1 else "")


def byte_count(value: float | None) -> str:
    """Return bytes in the unit that suits them."""
    if blank(value):
        return ""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if value >= size:
            return f"{value / size:.{1 if value < 100 * size else 0}f} {unit}"
    return f"{value / 1024:.0f} KiB" if value >= 1024 else f"{value:.0f} bytes"


def si_number(value: float | None, unit: str) -> str:
    """Return a number with three digits and an SI prefix."""
    if blank(value):
        return ""
    for prefix, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def thousands(value: float) -> str:
    """Return a whole number with a space after each three digits."""
    return f"{value:,.0f}".replace(",", " ")


def factor(value: float) -> str:
    """Return how many times one thing is another, in few digits."""
    if value >= 10000:
        return thousands(float(f"{value:.3g}"))
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def fewer(ratio: float, what: str, less: str) -> str:
    """Say how many times less (or more) of something a set needs, where ``ratio`` is the full
    training set's over the set's."""
    if 0.95 < ratio < 1.05:
        return f"as {'many' if less == 'fewer' else 'much'} {what}"
    return (
        f"{factor(ratio)} times {less} {what}"
        if ratio > 1
        else f"{factor(1 / ratio)} times more {what}"
    )


def counts_in_words(row: pd.Series) -> str:
    """Say over how many sets and networks the mean of a row of the summary is."""
    if row["count"] == 1:
        return "one set, one network"
    equal = row["count"] == row["sets"] * row["models"]
    networks = (
        f"{quantity(row['models'], 'network')}{' each' if row['sets'] > 1 else ''}"
        if equal
        else f"{row['count']} networks in all"
    )
    return f"mean ± standard deviation over {quantity(row['sets'], 'set')}, {networks}"


def counts_of(row: "Mapping[str, Any] | pd.Series") -> str:
    """Return ``sets × networks``, or how many networks in all where sets had different numbers of
    them."""
    return sets_and_networks(row["sets"], row["models"], row["count"])


def sets_and_networks(sets: int, most: int, every: int) -> str:
    """Return ``sets × networks``, where each set has at most ``most`` networks and all have
    ``every``."""
    return (
        f"{sets} × {most}"
        if every == sets * most
        else f"{quantity(sets, 'set')}, {quantity(every, 'network')}"
    )


def p_text(value: float | None) -> str:
    """Return a p-value in the digits that matter."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def quantity(count: int, noun: str) -> str:
    """Count things: 1 set, 2 sets."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def one_to(ratio: float) -> str:
    """Return how much a set takes to how much the full training set takes, the smaller as 1."""
    return f"1 : {factor(ratio)}" if ratio >= 1 else f"{factor(1 / ratio)} : 1"
