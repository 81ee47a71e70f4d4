"""Whether a set can be used as it is, and how: each thing that a user needs, found or missing."""

import math
from typing import NamedTuple

from distillery.sets import facts
from distillery.sets.synthetic import SyntheticSet

GOOD, NOTE, BAD = "ok", "note", "bad"


class Finding(NamedTuple):
    """One thing about a set.

    Attributes:
        level: ``GOOD``, ``NOTE`` (it can be used, and this is to be known) or ``BAD``.
        what: the thing.
        text: what was found, and what to do about it.
    """

    level: str
    what: str
    text: str


def findings(synthetic: SyntheticSet) -> list[Finding]:
    """Look at all that training on a set takes. Its file was sound, or it would not be here."""
    return [
        Finding(GOOD, "set", facts.title(synthetic)),
        _classes(synthetic),
        _labels(synthetic),
        _space(synthetic),
        _protocol(synthetic),
        _licence(synthetic),
    ]


def _classes(synthetic: SyntheticSet) -> Finding:
    names = facts.class_names(synthetic)
    counts = synthetic.hard_labels.bincount(minlength=len(names)).tolist()
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        return Finding(BAD, "classes", f"no image of {', '.join(missing[:5])}, of {len(names)}")
    if min(counts) != max(counts):
        text = f"{len(names)}, of {min(counts)} to {max(counts)} images each"
        return Finding(NOTE, "classes", text)
    return Finding(GOOD, "classes", f"{len(names)}, of {facts.counted(counts[0], 'image')} each")


def _labels(synthetic: SyntheticSet) -> Finding:
    if synthetic.labels.ndim == 1:
        return Finding(GOOD, "labels", "one class each")
    return Finding(GOOD, "labels", "class probabilities; set.hard() has one class each")


def _space(synthetic: SyntheticSet) -> Finding:
    stated = synthetic.header.get("normalization") or {}
    if stated.get("kind") == "zca":
        text = "whitened; the file carries the whitening: set.normalise(images) brings others there"
        return Finding(GOOD, "space", text)
    if stated.get("kind", "channel") != "channel" or not {"mean", "std"} <= stated.keys():
        text = "its header does not say how the images were normalised: nothing can be tested on it"
        return Finding(BAD, "space", text)
    if not all(map(math.isfinite, (*stated["mean"], *stated["std"]))) or min(stated["std"]) <= 0:
        return Finding(BAD, "space", f"{facts.space(synthetic.header)}: no such deviation exists")
    text = f"{facts.space(synthetic.header)}; set.normalise(images) brings others there"
    return Finding(GOOD, "space", text)


def _protocol(synthetic: SyntheticSet) -> Finding:
    rows = facts.protocol_rows(synthetic)
    if not rows:
        text = "none: train on it by a recipe of your own (distillery.recipe.Recipe)"
        return Finding(NOTE, "protocol", text)
    return Finding(GOOD, "protocol", "; ".join(map(" ".join, rows)))


def _licence(synthetic: SyntheticSet) -> Finding:
    licence = facts.source_of(synthetic.header)["licence"]
    stated = licence not in ("not known", "not stated")
    return Finding(GOOD if stated else NOTE, "licence", f"of the images: {licence}")
