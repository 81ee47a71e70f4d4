"""A synthetic set as others take it: a folder of images with their labels, or a folder for a dataset hub; each with a card that says what it is."""

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import yaml

from distillery import __version__, artefact, files, pictures, plugins
from distillery.errors import UserError
from distillery.synthetic import SyntheticSet

SET, CARD, PICTURE, LABELS, HEADER = "synthetic.safetensors", "README.md", "synthetic.png", "labels.csv", "set.json"
STARTS = {"real": "random real images", "noise": "Gaussian noise"}
# The identifiers of https://huggingface.co/docs/hub/repositories-licenses that an image dataset may come with.
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


# ---- what is written -----------------------------------------------------------------------------------------------------------------------


def image_folder(synthetic: SyntheticSet, folder: str | os.PathLike, metrics: Any = None) -> None:
    """Write the set as pictures: ``{class}/{number}.png`` in pixel space, ``labels.csv``, ``set.json`` (the header) and a card; whole or not at all.

    ``number`` is the image's place in the set. An image with soft labels stands in the folder of its likeliest class. The folders sort by name as
    classes sort by number, and there is one for each class, so torchvision's ``ImageFolder`` numbers classes as ``labels.csv`` does, which has the
    columns ``file``, ``class`` (the number of the class), ``name``, and for soft labels ``probability_0``, ``probability_1``, ….

    Args:
        folder: a new or an empty folder.
        metrics: as for :func:`accuracies`.

    Raises:
        UserError: the folder holds something, the images have neither 1 channel nor 3, or as for :func:`accuracies`.
    """
    card = _card(synthetic, metrics, images=True)
    pixels, hard = synthetic.pixels(), synthetic.hard_labels.tolist()
    classes = synthetic.header["classes"]
    names, width = safe_names(classes), len(str(len(pixels) - 1))
    soft = synthetic.labels.cpu().numpy() if synthetic.labels.ndim == 2 else None
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "class", "name", *(f"probability_{index}" for index in range(len(classes) if soft is not None else 0))])
    with files.atomic_folder(folder) as made:
        for name in names:
            (made / name).mkdir()
        for number, (image, label) in enumerate(zip(pixels, hard)):
            file = f"{names[label]}/{number:0{width}}.png"
            pictures.picture(image).save(made / file, format="PNG", optimize=True)
            # A float32 is written with as many digits as give it back.
            writer.writerow([file, label, classes[label], *(str(value) for value in (() if soft is None else soft[number]))])
        files.write_text(made / LABELS, table.getvalue())
        header = {**synthetic.header, "sha256": artefact.digest(synthetic.tensors()), "step_size": synthetic.step_size}
        header.pop("seal", None)
        files.write_text(made / HEADER, json.dumps(header, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        files.write_text(made / CARD, card)


def hub(synthetic: SyntheticSet, folder: str | os.PathLike, metrics: Any = None) -> None:
    """Write the set as a dataset hub takes it: ``synthetic.safetensors``, a picture, and ``README.md``, a dataset card; whole or not at all.

    Args:
        folder: a new or an empty folder.
        metrics: as for :func:`accuracies`.

    Raises:
        UserError: as :func:`image_folder`.
    """
    card = _card(synthetic, metrics, images=False)
    with files.atomic_folder(folder) as made:
        synthetic.save(made / SET)
        pictures.save_grid(made / PICTURE, synthetic.pixels(), synthetic.hard_labels)
        files.write_text(made / CARD, card)


def safe_names(classes: Sequence[str]) -> list[str]:
    """A folder's name for each class, on any file system: letters, digits, ``_`` and ``-``, about 60 characters at most.

    They differ even where case does not count. Where two classes would share a name, or one is a device on Windows, the number of the class
    is added. Where the names do not sort as their classes do, each begins with its number: programs that number classes by the names of folders
    then number them alike.
    """
    taken = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
    names = []
    for index, name in enumerate(classes):
        found = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFKC", str(name)))[:60].strip("_") or "class"
        while found.casefold() in taken:
            found = f"{found}_{index}"
        taken.add(found.casefold())
        names.append(found)
    if names == sorted(names):
        return names
    width = len(str(len(names) - 1))
    numbers = [f"{index:0{width}}" for index in range(len(names))]
    return numbers if names == [str(index) for index in range(len(names))] else [f"{number}_{name}" for number, name in zip(numbers, names)]


def accuracies(synthetic: SyntheticSet, metrics: Any) -> list[dict[str, Any]]:
    """How well networks do that were trained on the set: test accuracy after the last epoch, for each kind of network.

    Rows of the metrics are the set's by its names: dataset, method, init, ipc and seed.

    Args:
        metrics: files with the tidy metrics of a study (its ``summary.csv``) or of evaluations (their ``metrics.csv``), or a frame.

    Returns:
        Rows with ``network``, and three summaries: of this set (``own``), of every set of its cell, whatever its seed (``cell``), and of training
        on the whole training set (``whole``). A summary has ``mean`` and ``std`` (population; fractions), ``count`` (of networks) and ``sets``,
        and is ``None`` where nothing was measured.

    Raises:
        UserError: a file is no such table, or none of its rows is about this set.
    """
    from distillery import report  # late: it is large, and only figures need it

    header = synthetic.header
    rows = report.read_metrics(metrics)
    whole = rows[(rows["dataset"] == header.get("dataset")) & (rows["method"] == "whole")]
    names = {name: header.get(name) for name in ("dataset", "method", "init", "ipc")}
    for name, value in names.items():
        rows = rows[rows[name] == value]

    def last(part) -> dict[str, Any]:
        found = report.summarise(part)
        return {row["network"]: row for row in found[found["selection"] == "last"].to_dict("records")}

    own, alike, whole = last(rows[rows["seed"] == header.get("seed")]), last(rows), last(whole)
    if not own:
        cell = ", ".join(f"{name} {value}" for name, value in {**names, "seed": header.get("seed")}.items())
        raise UserError(f"metrics: hold no test accuracy of this set ({cell}); the summary.csv of the study that made it is needed")
    return [{"network": network, "own": own.get(network), "cell": row, "whole": whole.get(network)} for network, row in alike.items()]


# ---- what is said of a set -----------------------------------------------------------------------------------------------------------------


def describe(synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """A set in a few lines, as (what, text)."""
    header = synthetic.header
    low, high = float(synthetic.images.min()), float(synthetic.images.max())
    counts = synthetic.hard_labels.bincount(minlength=len(header["classes"])).tolist()
    each = f"{min(counts)} to {max(counts)}" if min(counts) != max(counts) else f"{counts[0]}"
    found = [
        ("set", f"{_title(synthetic)}, seed {header.get('seed', 'not stated')}"),
        ("made", _made(header)),
        ("images", f"{_shape(synthetic.images)} float32, {low:.3g} to {high:.3g}; {_space(header)}"),
        ("labels", f"{_labels(synthetic)}; {each} images a class"),
        ("classes", ", ".join(map(str, header["classes"]))),
        ("step size", "none" if synthetic.step_size is None else f"{synthetic.step_size:.6g}"),
        ("protocol", "; ".join(f"{name} {value}" for name, value in _protocol(synthetic)) or "none"),
        ("source", "{name}, {home}, licence: {licence}".format(**_source(header))),
        ("by", f"Distillery {header.get('version', 'of an unknown version')}, code {header.get('code', 'not stated')}"),
        ("digest", artefact.digest(synthetic.tensors())),
    ]
    return found


def _source(header: dict[str, Any]) -> dict[str, str]:
    """The dataset that a set is made from: ``name``, ``home`` and ``licence``."""
    name = str(header.get("dataset", "a dataset that is not stated"))
    known = plugins.datasets().get(name, {})
    return {"name": name, "home": known.get("home", "no page known"), "licence": header.get("licence") or known.get("licence", "not known")}


def _method(header: dict[str, Any]) -> dict[str, Any]:
    name = str(header.get("method", "not stated"))
    return plugins.methods().get(name, {"title": name, "kind": "imported"})


def _ipc(synthetic: SyntheticSet) -> str:
    ipc = synthetic.header.get("ipc")
    return f"{len(synthetic)} images" if ipc is None else f"{ipc} image{'' if ipc == 1 else 's'} a class"


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
    return f"distilled by {method['title']} from {STARTS.get(init, init)}" + (f" in {iterations} iterations" if iterations else "")


def _shape(images) -> str:
    return "(" + ", ".join(map(str, images.shape)) + ")"


def _space(header: dict[str, Any]) -> str:
    found = header.get("normalization") or {}
    if found.get("kind", "channel") == "channel" and {"mean", "std"} <= found.keys():
        mean, std = (", ".join(map(str, found[name])) for name in ("mean", "std"))
        return f"normalised as (pixel / 255 - mean) / std with mean {mean} and std {std}" + (" (by channel)" if len(found["mean"]) > 1 else "")
    if found.get("kind") == "zca":
        return "whitened (ZCA; the file carries the whitening)"
    return f"normalised as `{found.get('kind', 'not stated')}`"


def _labels(synthetic: SyntheticSet) -> str:
    classes = len(synthetic.header["classes"])
    return f"one of {classes} classes each" if synthetic.labels.ndim == 1 else f"probabilities of {classes} classes each"


def _protocol(synthetic: SyntheticSet) -> list[tuple[str, str]]:
    """(setting, value) of the evaluation protocol that belongs to the set; empty where it brings none."""
    protocol = synthetic.header.get("protocol")
    if not protocol:
        return []
    recipe = synthetic.recipe()
    rate = f"{recipe.lr:.6g}"
    if protocol["lr"] == "learned":
        rate += " (learned with the set)" if synthetic.step_size is not None else " (the set learned none of its own)"
    decay = recipe.decay
    if decay != "none":
        decay = f"times 0.1 after epoch {recipe.last_full_epoch}, momentum anew"
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
            return [pair for key in sorted(value) for pair in flat(f"{name}.{key}" if name else str(key), value[key])]
        return [(name, str(value))]

    found = [(name, str(header[name])) for name in ("method", "init", "ipc", "seed", "iterations") if name in header]
    return found + flat("network", header.get("network") or {}) + flat("", {k: v for k, v in (header.get("settings") or {}).items() if k != "iterations"})


# ---- the card ------------------------------------------------------------------------------------------------------------------------------


def _card(synthetic: SyntheticSet, metrics: Any, *, images: bool) -> str:
    """The card, in Markdown, of an export as ``images`` or as the set itself."""
    source, coreset = _source(synthetic.header), _method(synthetic.header)["kind"] == "coreset"
    parts = [
        "---\n" + yaml.safe_dump(_front(synthetic, images=images), sort_keys=False, allow_unicode=True) + "---",
        f"# {_title(synthetic)}",
        *([] if images else [f"![Images of each class, a row a class]({PICTURE})"]),
        _what(synthetic, coreset),
        f"## From what\n\n{_table(('', ''), [('dataset', source['name']), ('home', source['home']), ('licence', source['licence'])])}\n\n"
        f"The terms of {source['name']} hold for what is made from it.",
        f"## By which settings\n\n{_table(('setting', 'value'), _settings(synthetic.header))}\n\n"
        f"Made by Distillery {synthetic.header.get('version', '(version not stated)')}, code `{synthetic.header.get('code', 'not stated')}`.",
        "## How to train on it\n\n" + _training(synthetic),
        "## How good it is\n\n" + _figures(synthetic, metrics),
        "## How to load it\n\n" + (_load_images(synthetic) if images else _load_set(synthetic)),
        "## Limits\n\n" + _limits(synthetic, coreset, images=images),
        f"## Digest\n\nSHA-256 over the names, dtypes, shapes and bytes of the set's tensors: `{artefact.digest(synthetic.tensors())}`\n\n"
        f"Card written by Distillery {__version__}.",
    ]
    return "\n\n".join(parts) + "\n"


def _front(synthetic: SyntheticSet, *, images: bool) -> dict[str, Any]:
    """What a hub reads of a card (https://github.com/huggingface/hub-docs/blob/main/datasetcard.md)."""
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
    kind = ["coreset"] if _method(header)["kind"] == "coreset" else ["dataset-distillation", "synthetic"]
    return {
        "pretty_name": _title(synthetic),
        **licence,
        "task_categories": ["image-classification"],
        "size_categories": [next((name for limit, name in SIZES if len(synthetic) < limit), "n>1M")],
        "tags": [*kind, "distillery", str(header.get("method", "unknown method")).lower(), source["name"].lower()],
        # A hub would take the picture for the dataset.
        **({} if images else {"viewer": False}),
    }


def _what(synthetic: SyntheticSet, coreset: bool) -> str:
    header, name = synthetic.header, _source(synthetic.header)["name"]
    if coreset:
        text = f"{len(synthetic)} real training images of {name}, {_made(header)}. Nothing here is synthetic: this is what synthetic sets are compared with."
    else:
        text = f"{len(synthetic)} synthetic images that stand for the training images of {name}: they are for training networks that never see the real ones. "
        text += f"They were {_made(header)}."
    classes = ", ".join(str(name) if str(name) == str(index) else f"{index} ({name})" for index, name in enumerate(header["classes"]))
    return (
        f"{text}\n\n- images: {_shape(synthetic.images)} float32, {_space(header)}\n- labels: {_labels(synthetic)}\n- classes: {' '.join(classes.split())}\n"
        f"- learned step size: {'none' if synthetic.step_size is None else synthetic.step_size}"
    )


def _training(synthetic: SyntheticSet) -> str:
    rows = _protocol(synthetic)
    if not rows:
        return "The set brings no protocol: it is not known how its makers meant it to be trained on."
    return "Stochastic gradient descent on the cross-entropy, from a fresh network. Sets are comparable under one protocol only; this set's is:\n\n" + _table(
        ("setting", "value"), rows
    )


def _figures(synthetic: SyntheticSet, metrics: Any) -> str:
    if metrics is None or (isinstance(metrics, Sequence) and not metrics):
        return "No measurement was given to this card."

    def counted(count: int, noun: str) -> str:
        return f"{count} {noun}{'' if count == 1 else 's'}"

    def text(part: dict[str, Any] | None, several: bool) -> str:
        if part is None:
            return "not measured"
        # One accuracy has no spread: "± 0.00" would claim one.
        figure = f"{100 * part['mean']:.2f}" + (f" ± {100 * part['std']:.2f}" if part["count"] > 1 else "")
        return f"{figure} ({counted(part['count'], 'network')}{', ' + counted(part['sets'], 'set') if several else ''})"

    found = accuracies(synthetic, metrics)
    columns = {"this set": "own"}
    if any(row["cell"]["sets"] > 1 for row in found):
        columns["all seeds"] = "cell"
    if any(row["whole"] for row in found):
        columns["whole training set"] = "whole"
    rows = [(row["network"], *(text(row[part], part == "cell") for part in columns.values())) for row in found]
    intro = f"Accuracy on the test images of {_source(synthetic.header)['name']}, in percent: mean ± standard deviation over networks that were each trained "
    intro += "anew on the set, after the last epoch."
    intro += " `all seeds` takes together every set that was made in the same way from another seed." if "all seeds" in columns else ""
    return f"{intro}\n\n{_table(('network', *columns), rows)}"


def _load_set(synthetic: SyntheticSet) -> str:
    lines = [
        "from torch.utils.data import DataLoader",
        "",
        "from distillery import load",
        "",
        f'train = load("{SET}")  # a torch Dataset of (image, label)',
    ]
    if synthetic.header.get("protocol"):
        lines += ["recipe = train.recipe()  # epochs, lr, momentum, weight_decay, batch, decay, augment"]
        lines += ["loader = DataLoader(train, recipe.batch, shuffle=True)"]
    else:
        lines += ["loader = DataLoader(train, 256, shuffle=True)"]
    lines += ["tests = train.normalise(images)  # your own images, (N, C, H, W) uint8, brought into the space of this set"]
    return (
        "```python\n" + "\n".join(lines) + "\n```\n\n"
        f"Without Distillery, `safetensors.torch.load_file(\"{SET}\")` gives the tensors {', '.join(f'`{name}`' for name in synthetic.tensors())}."
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
        '    rows = [(Image.open(row["file"]), int(row["class"])) for row in csv.DictReader(file)]\n'
        "```\n\n"
        "The folders sort by name as classes sort by number: torchvision's `ImageFolder` gives the same "
        "numbers (with `allow_empty=True` where a class has no image)."
    )


def _limits(synthetic: SyntheticSet, coreset: bool, *, images: bool) -> str:
    if images:
        space = "The set itself holds float32 images in normalised space that are not clipped. These pictures are clipped and rounded to 8 bits, so they are "
        space += "not bit-equal to the set, and networks trained on them may do worse than the figures say."
    else:
        space = "The images are in normalised space and not clipped. Pictures of them, as "
        space += f"`{PICTURE}`, are clipped and rounded to 8 bits, so they are not bit-equal to the set."
    found = [
        space,
        "Accuracies hold for one protocol and the networks that are named with them. Other networks, or longer training, may do better or worse.",
        f"The images were made from {_source(synthetic.header)['name']}: what is biased, wrong or personal there may be so here. "
        "They are no means to make data anonymous.",
    ]
    if coreset:
        found.append("The images are copies of real ones.")
    return "\n".join(f"- {text}" for text in found)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(str(cell).replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *(line(row) for row in rows)])
