"""Write the card of a set: a page in Markdown that says what it is, how to train on it and how good
it is."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from distillery import __version__, markdown, plugins
from distillery.recipe import Recipe
from distillery.sets.accuracies import accuracies
from distillery.sets.facts import (
    class_names,
    held,
    how_made,
    label_kind,
    method_of,
    protocol_rows,
    recipe_rows,
    setting_rows,
    shape,
    source_of,
    space,
    title,
)
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.layout import SET

# The files that stand beside a card.
PICTURE, LABELS, HEADER = "synthetic.png", "labels.csv", "set.json"
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
SOURCE = (("dataset", "name"), ("home", "home"), ("licence", "licence"))
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(synthetic: SyntheticSet, metrics: Any, *, images: bool) -> str:
    """Write the card, in Markdown, of an export as ``images`` or as the set itself.

    Args:
        synthetic: the set.
        metrics: as for :func:`~distillery.sets.accuracies.accuracies`; ``None``: no figures.
        images: whether the export is a folder of pictures.

    Raises:
        UserError: as for :func:`~distillery.sets.accuracies.accuracies`.
    """
    source, coreset = (
        source_of(synthetic.header),
        method_of(synthetic.header)["kind"] == plugins.CORESET,
    )
    parts = [
        "---\n"
        + yaml.safe_dump(_front(synthetic, images=images), sort_keys=False, allow_unicode=True)
        + "---",
        f"# {title(synthetic)}",
        *([] if images else [f"![Images of each class, a row per class]({PICTURE})"]),
        _what(synthetic, coreset),
        "## From what\n\n"
        + _table(("", ""), [(part, source[key]) for part, key in SOURCE])
        + f"\n\nThe terms of {source['name']} hold for what is made from it.",
        "## By which settings\n\n"
        + _table(("setting", "value"), setting_rows(synthetic.header))
        + f"\n\nMade by Distillery {synthetic.header.get('version', '(version not stated)')}, code "
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
    """Return what a hub reads of a card
    (https://github.com/huggingface/hub-docs/blob/main/datasetcard.md)."""
    header, source = synthetic.header, source_of(synthetic.header)
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
        if method_of(header)["kind"] == plugins.CORESET
        else ["dataset-distillation", "synthetic"]
    )
    return {
        "pretty_name": title(synthetic),
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
    """Tell a hub where it finds the rows of the set, and what stands in them."""
    names = {str(number): name for number, name in enumerate(class_names(synthetic))}
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
    header, name = synthetic.header, source_of(synthetic.header)["name"]
    if coreset:
        text = (
            f"{len(synthetic)} real training images of {name}, {how_made(header)}. Nothing here is "
            "synthetic: this is what synthetic sets are compared with."
        )
    else:
        text = (
            f"{len(synthetic)} synthetic images that stand for the training images of {name}: they "
            "are for training networks that never see the real ones. "
        )
        text += f"They were {how_made(header)}."
    classes = ", ".join(
        str(name) if str(name) == str(index) else f"{index} ({name})"
        for index, name in enumerate(header["classes"])
    )
    return (
        f"{text}\n\n- images: {shape(synthetic.images)} float32, "
        f"{f'decoded {held(synthetic)}, ' if synthetic.factor != 1 else ''}{space(header)}"
        "\n- labels: "
        f"{label_kind(synthetic)}\n- classes: {' '.join(classes.split())}\n"
        f"- learned step size: {'none' if synthetic.step_size is None else synthetic.step_size}"
    )


def _training(synthetic: SyntheticSet) -> str:
    rows = protocol_rows(synthetic)
    if not rows:
        return (
            "The set brings no protocol: it is not known how its makers meant it to be trained on."
        )
    return (
        "Stochastic gradient descent on the cross-entropy, from a fresh network. Sets are "
        "comparable under one protocol only. This is the one that "
        f"{method_of(synthetic.header)['title']} was published with; figures below were measured "
        "as stands beside them.\n\n"
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
        counts = [counted(part["count"], "network")]
        counts += [counted(part["sets"], "set")] if several else []
        return f"{figure} ({', '.join(counts)})"

    measured = accuracies(synthetic, metrics)
    columns = {"this set": "this_set"}
    if any(row["cell"]["sets"] > 1 for row in measured):
        columns["all seeds"] = "cell"
    if any(row["full"] for row in measured):
        columns["full training set"] = "full"
    ways: dict[str, str] = {}  # of training, by the letter that stands beside a figure

    def way(settings: dict[str, Any] | None) -> str:
        protocol = "not recorded: the costs.json of the study does not stand beside the metrics"
        if settings is not None:
            rows = recipe_rows({**settings, "models": 0}, synthetic)[
                :-1
            ]  # their number stands there
            protocol = ", ".join(map(" ".join, rows))
        return ways.setdefault(protocol, chr(ord("a") + len(ways)))

    def cell(row: dict[str, Any], part: str) -> str:
        settings = row["full_measured" if part == "full" else "measured"]
        figure = text(row[part], part == "cell")
        return figure if row[part] is None else f"{figure} [{way(settings)}]"

    rows = [(row["network"], *(cell(row, part) for part in columns.values())) for row in measured]
    intro = (
        f"Accuracy on the test images of {source_of(synthetic.header)['name']}, in percent: mean ± "
        "standard deviation over networks that were each trained "
    )
    intro += "from scratch on the set, after the last epoch."
    intro += (
        " `all seeds` takes together every set that was made in the same way from another seed."
        if "all seeds" in columns
        else ""
    )
    how = "\n".join(f"- [{letter}]: {protocol}" for protocol, letter in ways.items())
    same = _as_published(synthetic, measured)
    table = _table(("network", *columns), rows)
    return f"{intro}\n\n{table}\n\nTrained by:\n\n{how}\n\n{same}".rstrip()


def _as_published(synthetic: SyntheticSet, rows: list[dict[str, Any]]) -> str:
    """Return a sentence on whether figures were measured by the published protocol, if one is
    known."""
    protocol = synthetic.header.get("protocol")
    measured = [row["measured"] for row in rows if row["this_set"] is not None]
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
        f"{', '.join(f'`{name}`' for name in synthetic.tensors())}"
        f"{', of which the images are stored ones, to be decoded' * (synthetic.factor != 1)}."
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
    limits = [
        space,
        "Accuracies hold for one protocol and the networks that are named with them. Other "
        "networks, or longer training, may do better or worse.",
        f"The images were made from {source_of(synthetic.header)['name']}: what is biased, wrong "
        "or personal there may be so here. "
        "They are no means to make data anonymous.",
    ]
    if coreset:
        limits.append("The images are copies of real ones.")
    return "\n".join(f"- {text}" for text in limits)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [[markdown.cell(text) for text in row] for row in rows]
    return markdown.table(head, cells).rstrip("\n")
