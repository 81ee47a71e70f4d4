"""Put what a set's header says into words."""

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from distillery import plugins
from distillery.errors import UserError
from distillery.recipe import Recipe
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.layout import SET
from distillery.vocabulary import IMPORTED, NOISE, REAL, TEACHER

STARTS = {REAL: "random real images", NOISE: "Gaussian noise"}


def own_file(path: str | os.PathLike[str]) -> Path | None:
    """Return the file of one of our sets, that of its folder where a folder is named; ``None``
    where the path holds something of others."""
    file = Path(path, SET) if Path(path, SET).is_file() else Path(path)
    return file if artefact.is_one(file) or not file.exists() else None


def aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Return rows of (what, text) as lines, their texts below each other."""
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows]


def class_names(synthetic: SyntheticSet) -> list[str]:
    """List the names of the classes; one that stands twice has its number added: hubs take each
    once."""
    names = [str(name) for name in synthetic.header["classes"]]
    return [
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names)
    ]


def describe(synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """Describe a set in a few lines, as (what, text)."""
    header = synthetic.header
    low, high = float(synthetic.images.min()), float(synthetic.images.max())
    counts = synthetic.hard_labels.bincount(minlength=len(header["classes"])).tolist()
    each = f"{min(counts)} to {max(counts)}" if min(counts) != max(counts) else f"{counts[0]}"
    return [
        ("set", f"{title(synthetic)}, seed {header.get('seed', 'not stated')}"),
        ("made", how_made(header)),
        *(
            [
                (
                    "experts",
                    "{number} of {epochs} epochs, recipe {recipe}".format(**header["experts"]),
                )
            ]
            if header.get("experts")
            else []
        ),
        (
            "images",
            f"{shape(synthetic.images)} float32, {low:.3g} to {high:.3g}; {space(header)}",
        ),
        *([("decoded", held(synthetic))] if synthetic.factor != 1 else []),
        ("labels", f"{label_kind(synthetic)}; {each} image{'' if each == 1 else 's'} per class"),
        ("classes", ", ".join(map(str, header["classes"]))),
        ("step size", "none" if synthetic.step_size is None else f"{synthetic.step_size:.6g}"),
        ("published protocol", "; ".join(map(" ".join, protocol_rows(synthetic))) or "none"),
        ("source", "{name}, {home}, licence: {licence}".format(**source_of(header))),
        (
            "by",
            f"Distillery {header.get('version', 'of an unknown version')}, code "
            f"{header.get('code', 'not stated')}",
        ),
        ("digest", artefact.digest(synthetic.tensors())),
    ]


def source_of(header: dict[str, Any]) -> dict[str, str]:
    """Look up the dataset that a set is made from: ``name``, ``home`` and ``licence``."""
    name = str(header.get("dataset", "a dataset that is not stated"))
    known = plugins.datasets().get(name)
    return {
        "name": name,
        "home": header.get("home") or (known.home if known else "no page known"),
        "licence": header.get("licence") or (known.licence if known else "not known"),
    }


def method_of(header: dict[str, Any]) -> dict[str, Any]:
    """Look up the ``title`` and ``kind`` of the method that made a set; a variant's title names its
    method."""
    name, of = str(header.get("method", "not stated")), header.get("of")
    known, outside = plugins.methods().get(of or name), header.get("plugin")
    if known is None and isinstance(outside, dict):
        title, kind = (str(outside.get(key, name)) for key in ("title", "kind"))
        return {"title": f"{name} (a variant of {title})" if of else title, "kind": kind}
    if known is None:  # taken over, or made by a method that another version had
        return {
            "title": name,
            "kind": IMPORTED if header.get("init") == IMPORTED else plugins.DISTILLED,
        }
    title = f"{name} (a variant of {known.title})" if of else known.title
    return {"title": title, "kind": known.kind}


def counted(number: int, what: str) -> str:
    """Return a number of things, in the plural where there are several."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _ipc(synthetic: SyntheticSet) -> str:
    ipc = synthetic.header.get("ipc")
    return f"{len(synthetic)} images" if ipc is None else f"{counted(ipc, 'image')} per class"


def held(synthetic: SyntheticSet) -> str:
    """Say what the stored images hold; nothing where each is one."""
    factor = synthetic.factor
    if synthetic.stored is None:
        return ""
    return (
        f"from {counted(len(synthetic.stored), 'stored image')} that hold {factor} x {factor} each"
    )


def title(synthetic: SyntheticSet) -> str:
    """Name a set by its dataset, its size and its method."""
    method, name = method_of(synthetic.header), source_of(synthetic.header)["name"]
    if method["kind"] == plugins.CORESET:
        return f"{_ipc(synthetic)} of {name}, chosen by {method['title']}"
    return f"{name} distilled into {_ipc(synthetic)} by {method['title']}"


def how_made(header: dict[str, Any]) -> str:
    """Say how a set was made, without a subject."""
    method, init = method_of(header), str(header.get("init", "not stated"))
    if method["kind"] == plugins.CORESET:
        return f"chosen from the real training images by {method['title']}"
    if method["kind"] == IMPORTED:
        return "released by others and taken over as it is"
    iterations = header.get("iterations")
    start = header.get("start")
    origin = STARTS.get(init, init)
    if isinstance(start, dict):
        of = start.get("of") or {}
        by = f" ({of['method']}, {of['ipc']} images per class)" if "method" in of else ""
        origin = f"another set, {init}{by}"
    return f"distilled by {method['title']} from {origin}" + (
        f" in {iterations} iterations" if iterations else ""
    )


def shape(images: Tensor) -> str:
    """Write a shape."""
    return "(" + ", ".join(map(str, images.shape)) + ")"


def space(header: dict[str, Any]) -> str:
    """Say which space a set's images are in."""
    stated = header.get("normalization") or {}
    if stated.get("kind", "channel") == "channel" and {"mean", "std"} <= stated.keys():
        mean, std = (", ".join(map(str, stated[name])) for name in ("mean", "std"))
        return f"normalised as (pixel / 255 - mean) / std with mean {mean} and std {std}" + (
            " (by channel)" if len(stated["mean"]) > 1 else ""
        )
    if stated.get("kind") == "zca":
        return "whitened (ZCA; the file carries the whitening)"
    return f"normalised as `{stated.get('kind', 'not stated')}`"


def label_kind(synthetic: SyntheticSet) -> str:
    """Say what a set's labels are."""
    classes = len(synthetic.header["classes"])
    return (
        f"one of {classes} classes each"
        if synthetic.labels.ndim == 1
        else f"probabilities of {classes} classes each"
    )


def protocol_rows(synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """List (setting, value) of the protocol that the method was published with; empty: none is
    known."""
    protocol = synthetic.header.get("protocol")
    return recipe_rows(protocol, synthetic) if protocol else []


def recipe_rows(protocol: dict[str, Any], synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """List (setting, value) of how networks are trained on a set by a protocol, the published one
    or a study's.

    Raises:
        UserError: the protocol lacks a setting.
    """
    try:
        recipe = Recipe.of(protocol, synthetic.step_size)
    except KeyError as error:
        raise UserError(f"protocol: lacks {error}; that of a study or method is needed") from error
    rate = f"{recipe.lr:.6g}"
    if protocol["lr"] == "learned":
        rate += (
            " (learned with the set)"
            if synthetic.step_size is not None
            else " (the set learned none of its own)"
        )
    decay = {
        "none": "none",
        "cosine": "half a cosine towards 0",
        "cosine_to_half": "a quarter of a cosine, to half of it",
        "fifths": "halved after each fifth of the epochs",
        "quarters": "times 0.3 after each quarter of the epochs",
    }.get(recipe.decay, f"times 0.1 after epoch {recipe.last_full_epoch}, momentum back to 0")
    rows = [
        ("epochs", recipe.trained_epochs),
        ("learning rate", rate),
        ("decay", decay),
        ("momentum", recipe.momentum),
        ("weight decay", recipe.weight_decay),
        ("batch", recipe.batch),
        ("augmentation", recipe.augment),
        *([("optimiser", recipe.optimiser)] if recipe.optimiser != "sgd" else []),
        *([("mixing", recipe.mix)] if recipe.mix != "none" else []),
        *([("labels", _taught(protocol))] if TEACHER in protocol else []),
        *([("networks of each kind", protocol["models"])] if "models" in protocol else []),
    ]
    return [(name, str(value)) for name, value in rows]


def _taught(protocol: dict[str, Any]) -> str:
    temperature = protocol[TEACHER].get("temperature", 1)
    return f"a teacher's for each batch, at temperature {temperature:g}"


def setting_rows(header: dict[str, Any]) -> list[tuple[str, str]]:
    """List (setting, value) of how the set was made, nested ones with a dotted name."""

    def flat(name: str, value: Any) -> list[tuple[str, str]]:
        if isinstance(value, dict):
            return [
                pair
                for key in sorted(value)
                for pair in flat(f"{name}.{key}" if name else str(key), value[key])
            ]
        return [(name, str(value))]

    rows = [
        (name, str(header[name]))
        for name in ("method", "of", "init", "ipc", "seed", "iterations")
        if header.get(name) is not None
    ]
    experts = {
        name: value for name, value in (header.get("experts") or {}).items() if name != "shards"
    }
    rows += flat("experts", experts) if experts else []
    settings = {
        name: value
        for name, value in (header.get("settings") or {}).items()
        if name != "iterations"
    }
    return rows + flat("network", header.get("network") or {}) + flat("", settings)
