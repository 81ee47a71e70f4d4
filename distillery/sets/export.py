"""A synthetic set as others take it: a folder of images with their labels, or a folder for a
dataset hub; each with a card that says what it is."""

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from distillery import __version__, plugins
from distillery.errors import UserError
from distillery.images import pictures
from distillery.recipe import Recipe
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, files
from distillery.store.measurements import read_metrics, summarise
from distillery.vocabulary import LAST, NOISE, REAL, WHOLE

SET, CARD, PICTURE, LABELS, HEADER = (
    "synthetic.safetensors",
    "README.md",
    "synthetic.png",
    "labels.csv",
    "set.json",
)
TABLE = "data/train-00000-of-00001.parquet"  # as hubs name the only part of a split
STARTS = {REAL: "random real images", NOISE: "Gaussian noise"}
# The identifiers of https://huggingface.co/docs/hub/repositories-licenses that an image dataset may
# come with.
HUB_LICENCES = {
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "odbl",
    "pddl",
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


# ---- what is written -----------------------------------------------------------------------------


def image_folder(synthetic: SyntheticSet, folder: str | os.PathLike, metrics: Any = None) -> None:
    """Write the set as pictures: ``{class}/{number}.png`` in pixel space, ``labels.csv``,
    ``set.json`` (the header) and a card; atomically.

    ``number`` is the image's place in the set. An image with soft labels stands in the folder of
    its likeliest class. The folders sort by name as classes sort by number, and there is one for
    each class, so torchvision's ``ImageFolder`` numbers classes as ``labels.csv`` does, which has
    the columns ``file``, ``class`` (the number of the class), ``name``, and for soft labels
    ``probability_0``, ``probability_1``, ….

    Args:
        folder: a new or an empty folder.
        metrics: as for :func:`accuracies`.

    Raises:
        UserError: the folder holds something, the images have neither 1 channel nor 3, or as for
            :func:`accuracies`.
    """
    card = _card(synthetic, metrics, images=True)
    pixels, hard = synthetic.pixels(), synthetic.hard_labels.tolist()
    classes = synthetic.header["classes"]
    names, width = safe_names(classes), len(str(len(pixels) - 1))
    soft = synthetic.labels.cpu().numpy() if synthetic.labels.ndim == 2 else None
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        [
            "file",
            "class",
            "name",
            *(f"probability_{index}" for index in range(len(classes) if soft is not None else 0)),
        ]
    )
    with files.atomic_folder(folder) as made:
        for name in names:
            (made / name).mkdir()
        for number, (image, label) in enumerate(zip(pixels, hard)):
            file = f"{names[label]}/{number:0{width}}.png"
            pictures.picture(image).save(made / file, format="PNG", optimize=True)
            # A float32 is written with as many digits as give it back.
            writer.writerow(
                [
                    file,
                    label,
                    classes[label],
                    *(str(value) for value in (() if soft is None else soft[number])),
                ]
            )
        files.write_text(made / LABELS, table.getvalue())
        header = {
            **synthetic.header,
            "sha256": artefact.digest(synthetic.tensors()),
            "step_size": synthetic.step_size,
        }
        header.pop("seal", None)
        files.write_text(
            made / HEADER, json.dumps(header, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        files.write_text(made / CARD, card)


def hub(synthetic: SyntheticSet, folder: str | os.PathLike, metrics: Any = None) -> None:
    """Write the set as a dataset hub takes and shows it; atomically.

    ``datasets.load_dataset`` reads ``data/`` (Parquet): a row for each image, with its picture in 8
    bits, ``label`` (of soft labels the likeliest class) and for soft labels ``probabilities``.
    Beside it stand ``synthetic.safetensors`` with the exact values, a contact sheet, and
    ``README.md``, a dataset card.

    Args:
        folder: a new or an empty folder.
        metrics: as for :func:`accuracies`.

    Raises:
        UserError: as :func:`image_folder`, or pyarrow, which writes Parquet, is not installed.
    """
    table = _table_of_pictures(synthetic)
    card = _card(synthetic, metrics, images=False)
    with files.atomic_folder(folder) as made:
        synthetic.save(made / SET)
        pictures.save_grid(made / PICTURE, synthetic.pixels(), synthetic.hard_labels)
        files.write_bytes(made / TABLE, table)
        files.write_text(made / CARD, card)


def _table_of_pictures(synthetic: SyntheticSet) -> bytes:
    """The rows of a set as Parquet, whose schema says which columns are pictures and classes.

    Raises:
        UserError: pyarrow is not installed, or the images are no pictures.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(
            "export --as hub: writes Parquet, for which pyarrow is needed: pip install pyarrow "
            f"(or --as images, which needs nothing more); it cannot be imported ({error})"
        ) from error
    shown = []
    for number, image in enumerate(synthetic.pixels()):
        picture = io.BytesIO()
        pictures.picture(image).save(picture, format="PNG", optimize=True)
        shown.append({"bytes": picture.getvalue(), "path": f"{number}.png"})
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {
        "image": pyarrow.array(shown, kind),
        "label": pyarrow.array(synthetic.hard_labels.tolist(), pyarrow.int64()),
    }
    described: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": _class_names(synthetic), "_type": "ClassLabel"},
    }
    if synthetic.labels.ndim == 2:
        rows = synthetic.labels.cpu().tolist()  # a float32 comes back from a double as it was
        columns["probabilities"] = pyarrow.array(rows, pyarrow.list_(pyarrow.float32()))
        number = {"dtype": "float32", "_type": "Value"}
        described["probabilities"] = {"feature": number, "_type": "Sequence"}
    told = {"huggingface": json.dumps({"info": {"features": described}}, sort_keys=True)}
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=told), out)
    return out.getvalue()


def _class_names(synthetic: SyntheticSet) -> list[str]:
    """The names of the classes; one that stands twice has its number added: hubs take each once."""
    names = [str(name) for name in synthetic.header["classes"]]
    return [
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names)
    ]


def safe_names(classes: Sequence[str]) -> list[str]:
    """A folder's name for each class, on any file system: letters, digits, ``_`` and ``-``, about
    60 characters at most.

    They differ even where case does not count. Where two classes would share a name, or one is a
    device on Windows, the number of the class is added. Where the names do not sort as their
    classes do, each begins with its number: programs that number classes by the names of folders
    then number them alike.
    """
    taken = {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
    }
    names = []
    for index, name in enumerate(classes):
        found = (
            re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFKC", str(name)))[:60].strip("_")
            or "class"
        )
        while found.casefold() in taken:
            found = f"{found}_{index}"
        taken.add(found.casefold())
        names.append(found)
    if names == sorted(names):
        return names
    width = len(str(len(names) - 1))
    numbers = [f"{index:0{width}}" for index in range(len(names))]
    return (
        numbers
        if names == [str(index) for index in range(len(names))]
        else [f"{number}_{name}" for number, name in zip(numbers, names)]
    )


def accuracies(synthetic: SyntheticSet, metrics: Any) -> list[dict[str, Any]]:
    """How well networks do that were trained on the set: test accuracy after the last epoch, for
    each kind of network.

    Rows of the metrics are the set's by its names: dataset, method, init, ipc and seed.

    Args:
        metrics: files with the tidy metrics of a study (its ``summary.csv``) or of evaluations
            (their ``metrics.csv``), or a frame.

    Returns:
        Rows with ``network``, and three summaries: of this set (``own``), of every set of its cell,
        whatever its seed (``cell``), and of training on the full training set (``whole``). A
        summary has ``mean`` and ``std`` (population; fractions), ``count`` (of networks) and
        ``sets``, and is ``None`` where nothing was measured. ``measured`` and ``whole_measured``
        are the settings that ``own`` and ``whole`` were measured under, as the costs beside the
        metrics record them; ``None`` where they do not.

    Raises:
        UserError: a file is no such table, none of its rows is about this set, or they are about
            another set of the same names.
    """
    header = synthetic.header
    rows = read_metrics(metrics)
    records = _records(metrics)
    whole = rows[(rows["dataset"] == header.get("dataset")) & (rows["method"] == WHOLE)]
    names = {name: header.get(name) for name in ("dataset", "method", "init", "ipc")}
    for name, value in names.items():
        rows = rows[rows[name] == value]

    def last(part) -> dict[str, Any]:
        found = summarise(part)
        return {row["network"]: row for row in found[found["selection"] == LAST].to_dict("records")}

    own, alike, whole = last(rows[rows["seed"] == header.get("seed")]), last(rows), last(whole)
    if not own:
        cell = ", ".join(
            f"{name} {value}" for name, value in {**names, "seed": header.get("seed")}.items()
        )
        raise UserError(
            f"metrics: hold no test accuracy of this set ({cell}); the summary.csv of the study "
            "that made it is needed"
        )
    digest = artefact.digest(synthetic.tensors())
    found = []
    for network, row in alike.items():
        record = _record(
            records, "evaluate_synthetic", **names, seed=header.get("seed"), network=network
        )
        read = ((record or {}).get("inputs") or {}).get("synthetic")
        if read and read != [digest]:
            raise UserError(
                f"metrics: were measured with {network} on another set of the same names, that of "
                f"digest {read[0][:12]}, and this one is {digest[:12]}; the summary.csv of the "
                "study that made it is needed"
            )
        vanilla = _record(records, "train_vanilla", dataset=header.get("dataset"), network=network)
        found.append(
            {
                "network": network,
                "own": own.get(network),
                "cell": row,
                "whole": whole.get(network),
                "measured": record and record.get("settings"),
                "whole_measured": vanilla and vanilla.get("settings"),
            }
        )
    return found


def _records(metrics: Any) -> list[dict[str, Any]]:
    """What the jobs of metrics files recorded of themselves.

    That is ``costs.json`` beside a study's table, ``cost.json`` beside the table of one job.
    """
    paths = [metrics] if isinstance(metrics, (str, os.PathLike)) else metrics
    if not isinstance(paths, Sequence):
        return []
    found: list[dict[str, Any]] = []
    for path in map(Path, paths):
        for beside in (path.with_name("costs.json"), path.with_name("cost.json")):
            if beside.is_file():
                try:
                    told = json.loads(beside.read_text(encoding="utf-8"))
                except (OSError, ValueError) as error:
                    raise UserError(
                        f"{beside}: is no record of costs ({error}); the study's own is needed"
                    ) from error
                told = told if isinstance(told, list) else [told]
                found += [record for record in told if isinstance(record, dict)]
                break
    return found


def _record(records: list[dict[str, Any]], rule: str, **names: Any) -> dict[str, Any] | None:
    """The record of the one job that goes by these names."""
    wanted = {"rule": rule, **names}
    fits = (r for r in records if all(r.get(name) == value for name, value in wanted.items()))
    return next(fits, None)


# ---- what is said of a set -----------------------------------------------------------------------


def describe(synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """A set in a few lines, as (what, text)."""
    header = synthetic.header
    low, high = float(synthetic.images.min()), float(synthetic.images.max())
    counts = synthetic.hard_labels.bincount(minlength=len(header["classes"])).tolist()
    each = f"{min(counts)} to {max(counts)}" if min(counts) != max(counts) else f"{counts[0]}"
    found = [
        ("set", f"{_title(synthetic)}, seed {header.get('seed', 'not stated')}"),
        ("made", _made(header)),
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
            f"{_shape(synthetic.images)} float32, {low:.3g} to {high:.3g}; {_space(header)}",
        ),
        ("labels", f"{_labels(synthetic)}; {each} image{'' if each == 1 else 's'} per class"),
        ("classes", ", ".join(map(str, header["classes"]))),
        ("step size", "none" if synthetic.step_size is None else f"{synthetic.step_size:.6g}"),
        ("published protocol", "; ".join(map(" ".join, _protocol(synthetic))) or "none"),
        ("source", "{name}, {home}, licence: {licence}".format(**_source(header))),
        (
            "by",
            f"Distillery {header.get('version', 'of an unknown version')}, code "
            f"{header.get('code', 'not stated')}",
        ),
        ("digest", artefact.digest(synthetic.tensors())),
    ]
    return found


def _source(header: dict[str, Any]) -> dict[str, str]:
    """The dataset that a set is made from: ``name``, ``home`` and ``licence``."""
    name = str(header.get("dataset", "a dataset that is not stated"))
    known = plugins.datasets().get(name)
    return {
        "name": name,
        "home": known.home if known else "no page known",
        "licence": header.get("licence") or (known.licence if known else "not known"),
    }


def _method(header: dict[str, Any]) -> dict[str, Any]:
    """The ``title`` and ``kind`` of the method that made a set; a variant's title names its
    method."""
    name, of = str(header.get("method", "not stated")), header.get("of")
    known = plugins.methods().get(of or name)
    if known is None:  # taken over, or made by a method that another version had
        return {
            "title": name,
            "kind": "imported" if header.get("init") == "imported" else "distilled",
        }
    title = f"{name} (a variant of {known.title})" if of else known.title
    return {"title": title, "kind": known.kind}


def _ipc(synthetic: SyntheticSet) -> str:
    ipc = synthetic.header.get("ipc")
    return (
        f"{len(synthetic)} images"
        if ipc is None
        else f"{ipc} image{'' if ipc == 1 else 's'} per class"
    )


def _title(synthetic: SyntheticSet) -> str:
    method, name = _method(synthetic.header), _source(synthetic.header)["name"]
    if method["kind"] == "coreset":
        return f"{_ipc(synthetic)} of {name}, chosen by {method['title']}"
    return f"{name} distilled into {_ipc(synthetic)} by {method['title']}"


def _made(header: dict[str, Any]) -> str:
    method, init = _method(header), str(header.get("init", "not stated"))
    if method["kind"] == "coreset":
        return f"chosen from the real training images by {method['title']}"
    if method["kind"] == "imported":
        return "released by others and taken over as it is"
    iterations = header.get("iterations")
    return f"distilled by {method['title']} from {STARTS.get(init, init)}" + (
        f" in {iterations} iterations" if iterations else ""
    )


def _shape(images) -> str:
    return "(" + ", ".join(map(str, images.shape)) + ")"


def _space(header: dict[str, Any]) -> str:
    found = header.get("normalization") or {}
    if found.get("kind", "channel") == "channel" and {"mean", "std"} <= found.keys():
        mean, std = (", ".join(map(str, found[name])) for name in ("mean", "std"))
        return f"normalised as (pixel / 255 - mean) / std with mean {mean} and std {std}" + (
            " (by channel)" if len(found["mean"]) > 1 else ""
        )
    if found.get("kind") == "zca":
        return "whitened (ZCA; the file carries the whitening)"
    return f"normalised as `{found.get('kind', 'not stated')}`"


def _labels(synthetic: SyntheticSet) -> str:
    classes = len(synthetic.header["classes"])
    return (
        f"one of {classes} classes each"
        if synthetic.labels.ndim == 1
        else f"probabilities of {classes} classes each"
    )


def _protocol(synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """(setting, value) of the protocol that the method was published with; empty: none is known."""
    protocol = synthetic.header.get("protocol")
    return _trained(protocol, synthetic) if protocol else []


def _trained(protocol: dict[str, Any], synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """(setting, value) of how networks are trained on a set by a protocol, its own or a study's.

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
    decay = recipe.decay
    if decay != "none":
        decay = f"times 0.1 after epoch {recipe.last_full_epoch}, momentum back to 0"
    found = [
        ("epochs", recipe.trained_epochs),
        ("learning rate", rate),
        ("decay", decay),
        ("momentum", recipe.momentum),
        ("weight decay", recipe.weight_decay),
        ("batch", recipe.batch),
        ("augmentation", recipe.augment),
        *([("networks of each kind", protocol["models"])] if "models" in protocol else []),
    ]
    return [(name, str(value)) for name, value in found]


def _settings(header: dict[str, Any]) -> list[tuple[str, str]]:
    """(setting, value) of how the set was made, nested ones with a dotted name."""

    def flat(name: str, value: Any) -> list[tuple[str, str]]:
        if isinstance(value, dict):
            return [
                pair
                for key in sorted(value)
                for pair in flat(f"{name}.{key}" if name else str(key), value[key])
            ]
        return [(name, str(value))]

    found = [
        (name, str(header[name]))
        for name in ("method", "of", "init", "ipc", "seed", "iterations")
        if header.get(name) is not None
    ]
    experts = {
        name: value for name, value in (header.get("experts") or {}).items() if name != "shards"
    }
    found += flat("experts", experts) if experts else []
    settings = {
        name: value
        for name, value in (header.get("settings") or {}).items()
        if name != "iterations"
    }
    return found + flat("network", header.get("network") or {}) + flat("", settings)


# ---- the card ------------------------------------------------------------------------------------


def _card(synthetic: SyntheticSet, metrics: Any, *, images: bool) -> str:
    """The card, in Markdown, of an export as ``images`` or as the set itself."""
    source, coreset = _source(synthetic.header), _method(synthetic.header)["kind"] == "coreset"
    parts = [
        "---\n"
        + yaml.safe_dump(_front(synthetic, images=images), sort_keys=False, allow_unicode=True)
        + "---",
        f"# {_title(synthetic)}",
        *([] if images else [f"![Images of each class, a row per class]({PICTURE})"]),
        _what(synthetic, coreset),
        "## From "
        f"what\n\n{_table(('', ''), [('dataset', source['name']), ('home', source['home']), ('licence', source['licence'])])}\n\n"
        f"The terms of {source['name']} hold for what is made from it.",
        f"## By which settings\n\n{_table(('setting', 'value'), _settings(synthetic.header))}\n\n"
        f"Made by Distillery {synthetic.header.get('version', '(version not stated)')}, code "
        f"`{synthetic.header.get('code', 'not stated')}`.",
        "## How to train on it\n\n" + _training(synthetic),
        "## How good it is\n\n" + _figures(synthetic, metrics),
        "## How to load it\n\n" + (_load_images(synthetic) if images else _load_set(synthetic)),
        "## Limits\n\n" + _limits(synthetic, coreset, images=images),
        "## Digest\n\nSHA-256 over the names, dtypes, shapes and bytes of the set's tensors: "
        f"`{artefact.digest(synthetic.tensors())}`\n\n"
        f"Card written by Distillery {__version__}.",
    ]
    return "\n\n".join(parts) + "\n"


def _front(synthetic: SyntheticSet, *, images: bool) -> dict[str, Any]:
    """What a hub reads of a card
    (https://github.com/huggingface/hub-docs/blob/main/datasetcard.md)."""
    header, source = synthetic.header, _source(synthetic.header)
    identifier = re.sub(r"[^a-z0-9.]+", "-", source["licence"].lower()).strip("-")
    if identifier in HUB_LICENCES:
        licence = {"license": identifier}
    elif identifier in ("none-stated-by-its-authors", "not-known"):
        licence = {"license": "unknown"}
    else:
        licence = {"license": "other", "license_name": identifier}
        if source["home"].startswith("http"):
            licence["license_link"] = source["home"]
    kind = (
        ["coreset"]
        if _method(header)["kind"] == "coreset"
        else ["dataset-distillation", "synthetic"]
    )
    return {
        "pretty_name": _title(synthetic),
        **licence,
        "task_categories": ["image-classification"],
        "size_categories": [
            next((name for limit, name in SIZES if len(synthetic) < limit), "n>1M")
        ],
        "tags": [
            *kind,
            "distillery",
            str(header.get("method", "unknown method")).lower(),
            source["name"].lower(),
        ],
        # Without it a hub would take the contact sheet for the dataset.
        **({} if images else _rows_of_hub(synthetic)),
    }


def _rows_of_hub(synthetic: SyntheticSet) -> dict[str, Any]:
    """Where a hub finds the rows of the set, and what stands in them."""
    names = {str(number): name for number, name in enumerate(_class_names(synthetic))}
    features: list[dict[str, Any]] = [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": names}}},
    ]
    if synthetic.labels.ndim == 2:
        features.append({"name": "probabilities", "sequence": "float32"})
    return {
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}
        ],
        "dataset_info": {"features": features},
    }


def _what(synthetic: SyntheticSet, coreset: bool) -> str:
    header, name = synthetic.header, _source(synthetic.header)["name"]
    if coreset:
        text = (
            f"{len(synthetic)} real training images of {name}, {_made(header)}. Nothing here is "
            "synthetic: this is what synthetic sets are compared with."
        )
    else:
        text = (
            f"{len(synthetic)} synthetic images that stand for the training images of {name}: they "
            "are for training networks that never see the real ones. "
        )
        text += f"They were {_made(header)}."
    classes = ", ".join(
        str(name) if str(name) == str(index) else f"{index} ({name})"
        for index, name in enumerate(header["classes"])
    )
    return (
        f"{text}\n\n- images: {_shape(synthetic.images)} float32, {_space(header)}\n- labels: "
        f"{_labels(synthetic)}\n- classes: {' '.join(classes.split())}\n"
        f"- learned step size: {'none' if synthetic.step_size is None else synthetic.step_size}"
    )


def _training(synthetic: SyntheticSet) -> str:
    rows = _protocol(synthetic)
    if not rows:
        return (
            "The set brings no protocol: it is not known how its makers meant it to be trained on."
        )
    return (
        "Stochastic gradient descent on the cross-entropy, from a fresh network. Sets are "
        "comparable under one protocol only. This is the one that "
        f"{_method(synthetic.header)['title']} was published with; figures below were measured as "
        "stands beside them.\n\n"
    ) + _table(("setting", "value"), rows)


def _figures(synthetic: SyntheticSet, metrics: Any) -> str:
    if metrics is None or (isinstance(metrics, Sequence) and not metrics):
        return "No measurement was given to this card."

    def counted(count: int, noun: str) -> str:
        return f"{count} {noun}{'' if count == 1 else 's'}"

    def text(part: dict[str, Any] | None, several: bool) -> str:
        if part is None:
            return "not measured"
        # One accuracy has no spread: "± 0.00" would claim one.
        figure = f"{100 * part['mean']:.2f}" + (
            f" ± {100 * part['std']:.2f}" if part["count"] > 1 else ""
        )
        return (
            f"{figure} "
            f"({counted(part['count'], 'network')}{', ' + counted(part['sets'], 'set') if several else ''})"
        )

    found = accuracies(synthetic, metrics)
    columns = {"this set": "own"}
    if any(row["cell"]["sets"] > 1 for row in found):
        columns["all seeds"] = "cell"
    if any(row["whole"] for row in found):
        columns["full training set"] = "whole"
    ways: dict[str, str] = {}  # of training, by the letter that stands beside a figure

    def way(settings: dict[str, Any] | None) -> str:
        told = "not recorded: the costs.json of the study does not stand beside the metrics"
        if settings is not None:
            rows = _trained({**settings, "models": 0}, synthetic)[:-1]  # their number stands there
            told = ", ".join(map(" ".join, rows))
        return ways.setdefault(told, chr(ord("a") + len(ways)))

    def cell(row: dict[str, Any], part: str) -> str:
        settings = row["whole_measured" if part == "whole" else "measured"]
        figure = text(row[part], part == "cell")
        return figure if row[part] is None else f"{figure} [{way(settings)}]"

    rows = [(row["network"], *(cell(row, part) for part in columns.values())) for row in found]
    intro = (
        f"Accuracy on the test images of {_source(synthetic.header)['name']}, in percent: mean ± "
        "standard deviation over networks that were each trained "
    )
    intro += "from scratch on the set, after the last epoch."
    intro += (
        " `all seeds` takes together every set that was made in the same way from another seed."
        if "all seeds" in columns
        else ""
    )
    how = "\n".join(f"- [{letter}]: {told}" for told, letter in ways.items())
    same = _as_published(synthetic, found)
    table = _table(("network", *columns), rows)
    return f"{intro}\n\n{table}\n\nTrained by:\n\n{how}\n\n{same}".rstrip()


def _as_published(synthetic: SyntheticSet, found: list[dict[str, Any]]) -> str:
    """A sentence on whether figures were measured by the published protocol, if one is known."""
    protocol = synthetic.header.get("protocol")
    measured = [row["measured"] for row in found if row["own"] is not None]
    if not protocol or None in measured or not measured:
        return ""
    published = Recipe.of(protocol, synthetic.step_size)
    alike = [Recipe.of(settings, synthetic.step_size) == published for settings in measured]
    if all(alike):
        return "That is the published protocol."
    return "That is not the published protocol: these figures do not compare with published ones."


def _load_set(synthetic: SyntheticSet) -> str:
    lines = [
        "from torch.utils.data import DataLoader",
        "",
        "from distillery import load",
        "",
        f'train = load("{SET}")  # a torch Dataset of (image, label)',
    ]
    if synthetic.header.get("protocol"):
        lines += [
            "recipe = train.recipe()  # epochs, lr, momentum, weight_decay, batch, decay, augment"
        ]
        lines += ["loader = DataLoader(train, recipe.batch, shuffle=True)"]
    else:
        lines += ["loader = DataLoader(train, 256, shuffle=True)"]
    lines += [
        "tests = train.normalise(images)  # your own images, (N, C, H, W) uint8, brought into the "
        "space of this set"
    ]
    return (
        "```python\n" + "\n".join(lines) + "\n```\n\n"
        "`datasets.load_dataset` gives the pictures of this folder, in 8 bits, with their labels"
        f"{' and probabilities' if synthetic.labels.ndim == 2 else ''}. "
        f'Without Distillery, `safetensors.torch.load_file("{SET}")` gives the tensors '
        f"{', '.join(f'`{name}`' for name in synthetic.tensors())}."
    )


def _load_images(synthetic: SyntheticSet) -> str:
    return (
        f"`{LABELS}` names every picture with the number of its class"
        + (" and the probability of each class" if synthetic.labels.ndim == 2 else "")
        + f"; `{HEADER}` is the set's header. A picture's name is its place in the set.\n\n"
        "```python\n"
        "import csv\n\n"
        "from PIL import Image\n\n"
        f'with open("{LABELS}", encoding="utf-8") as file:\n'
        '    rows = [(Image.open(row["file"]), int(row["class"])) for row in '
        "csv.DictReader(file)]\n"
        "```\n\n"
        "The folders sort by name as classes sort by number: torchvision's `ImageFolder` gives the "
        "same "
        "numbers (with `allow_empty=True` where a class has no image)."
    )


def _limits(synthetic: SyntheticSet, coreset: bool, *, images: bool) -> str:
    if images:
        space = (
            "The set itself holds float32 images in normalised space that are not clipped. These "
            "pictures are clipped and rounded to 8 bits, so they are "
        )
        space += (
            "not bit-equal to the set, and networks trained on them may do worse than the figures "
            "say."
        )
    else:
        space = "The images are in normalised space and not clipped. Pictures of them, as "
        space += (
            f"`{PICTURE}`, are clipped and rounded to 8 bits, so they are not bit-equal to the set."
        )
    found = [
        space,
        "Accuracies hold for one protocol and the networks that are named with them. Other "
        "networks, or longer training, may do better or worse.",
        f"The images were made from {_source(synthetic.header)['name']}: what is biased, wrong or "
        "personal there may be so here. "
        "They are no means to make data anonymous.",
    ]
    if coreset:
        found.append("The images are copies of real ones.")
    return "\n".join(f"- {text}" for text in found)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return (
            "| "
            + " | ".join(str(cell).replace("\n", " ").replace("|", "\\|") for cell in cells)
            + " |"
        )

    return "\n".join([line(head), "|" + " --- |" * len(head), *(line(row) for row in rows)])
