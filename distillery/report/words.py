"""Numbers and names as a reader is shown them, and the order of things."""

from collections.abc import Sequence
from typing import Any

from distillery import plugins

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


def blank(value: Any) -> bool:
    return value is None or value == "" or value != value


def plugin_titles() -> dict[str, str]:
    return {name: method.title for name, method in plugins.methods().items()}


def method_title(name: str, titles: dict[str, str]) -> str:
    name = str(name)
    return (
        TITLES.get(name)
        or titles.get(name)
        or (name.upper() if len(name) <= 4 and name.islower() else name)
    )


def dataset_title(name: str) -> str:
    return DATASET_TITLES.get(name, name)


def start_title(method: str, init: str) -> str:
    if init == "imported" or method not in CORESETS:
        return INIT_TITLES.get(init, init)
    return "chosen real images"


def images_per_class(value: float | None) -> str:
    if blank(value):
        return "all images"
    return f"{int(value)} image{'' if value == 1 else 's'} per class"


def percent(value: float, digits: int = 2) -> str:
    return "" if blank(value) else f"{100 * value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    # Adding 0 takes the sign from a difference that rounds to none.
    return "" if blank(value) else f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def plus_minus(mean: float, std: float, count: int, digits: int = 2) -> str:
    # A single value has no spread: "± 0.00" would claim one.
    return percent(mean, digits) + (f" ± {percent(std, digits)}" if count > 1 else "")


def duration(value: float | None) -> str:
    if blank(value):
        return ""
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def byte_count(value: float | None) -> str:
    if blank(value):
        return ""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if value >= size:
            return f"{value / size:.{1 if value < 100 * size else 0}f} {unit}"
    return f"{value / 1024:.0f} KiB"


def si_number(value: float | None, unit: str) -> str:
    if blank(value):
        return ""
    for prefix, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def factor(value: float) -> str:
    if value >= 10000:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name), "") if name in order else (len(order), name)


def method_rank(name: str) -> tuple[int, str]:
    # Coresets last: they are what the methods are compared with.
    return (100 + CORESETS[::-1].index(name), "") if name in CORESETS else rank(METHOD_ORDER, name)


def network_rank(name: str) -> tuple[int, str]:
    return rank(("ConvNet",), name)


def listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def full_counts(full: dict) -> str:
    if full["count"] == 1:
        return "one network, so that its spread is not known"
    return f"mean ± standard deviation over {quantity(full['count'], 'network')}"


def full_text(full: dict) -> str:
    """The accuracy on the full training set within a sentence, with its count."""
    of = "one network" if full["count"] == 1 else quantity(full["count"], "network")
    return f"{plus_minus(full['mean'], full['std'], full['count'], 1)} % ({of})"


def fewer(ratio: float, what: str, less: str) -> str:
    """How many times less (or more) of something a set needs; ``ratio``: the full training set's
    over the set's."""
    if 0.95 < ratio < 1.05:
        return f"as {'many' if less == 'fewer' else 'much'} {what}"
    return (
        f"{factor(ratio)} times {less} {what}"
        if ratio > 1
        else f"{factor(1 / ratio)} times more {what}"
    )


def counts_in_words(row) -> str:
    if row["count"] == 1:
        return "one set, one network"
    equal = row["count"] == row["sets"] * row["models"]
    networks = (
        f"{quantity(row['models'], 'network')}{' each' if row['sets'] > 1 else ''}"
        if equal
        else f"{row['count']} networks in all"
    )
    return f"mean ± standard deviation over {quantity(row['sets'], 'set')}, {networks}"


def counts_of(row) -> str:
    """``sets × networks``, or how many networks in all where sets had different numbers of them."""
    return sets_and_networks(row["sets"], row["models"], row["count"])


def sets_and_networks(sets: int, most: int, every: int) -> str:
    """``most`` networks a set at most, ``every`` in all."""
    return (
        f"{sets} × {most}"
        if every == sets * most
        else f"{quantity(sets, 'set')}, {quantity(every, 'network')}"
    )


def p_text(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def class_name(names: Sequence[str], index: int) -> str:
    return str(names[index]) if index < len(names) else str(index)


def quantity(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def one_to(ratio: float) -> str:
    """How much a set takes to how much the full training set takes, the smaller as 1."""
    return f"1 : {factor(ratio)}" if ratio >= 1 else f"{factor(1 / ratio)} : 1"
