"""Write a synthetic set as others take it: a folder of pictures with their labels, or a folder for
a dataset hub; each with a card that says what it is."""

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from distillery.errors import UserError
from distillery.images import pictures
from distillery.sets.card import HEADER, LABELS, PICTURE, card
from distillery.sets.facts import class_names
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, files
from distillery.store.layout import SET

CARD = "README.md"
TABLE = "data/train-00000-of-00001.parquet"  # as hubs name the only part of a split


def image_folder(
    synthetic: SyntheticSet, folder: str | os.PathLike[str], metrics: Any = None
) -> None:
    """Write the set as pictures: ``{class}/{number}.png`` in pixel space, ``labels.csv``,
    ``set.json`` (the header) and a card; atomically.

    ``number`` is the image's place in the set. An image with soft labels stands in the folder of
    its likeliest class. The folders sort by name as classes sort by number, and there is one for
    each class, so torchvision's ``ImageFolder`` numbers classes as ``labels.csv`` does, which has
    the columns ``file``, ``class`` (the number of the class), ``name``, and for soft labels
    ``probability_0``, ``probability_1``, ….

    Args:
        synthetic: the set.
        folder: a new or an empty folder.
        metrics: as for :func:`~distillery.sets.accuracies.accuracies`.

    Raises:
        UserError: the folder holds something, the images have more than 4 channels, or as for
            ``accuracies``.
    """
    page = card(synthetic, metrics, images=True)
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
    with files.atomic_folder(folder) as part:
        for name in names:
            (part / name).mkdir()
        for number, (image, label) in enumerate(zip(pixels, hard)):
            file = f"{names[label]}/{number:0{width}}.png"
            pictures.picture(image).save(part / file, format="PNG", optimize=True)
            # A float32 is written with as many digits as give it back.
            writer.writerow(
                [
                    file,
                    label,
                    classes[label],
                    *(str(value) for value in (() if soft is None else soft[number])),
                ]
            )
        files.write_text(part / LABELS, table.getvalue())
        header = {
            **synthetic.header,
            "sha256": artefact.digest(synthetic.tensors()),
            "step_size": synthetic.step_size,
        }
        header.pop("seal", None)
        files.write_text(
            part / HEADER, json.dumps(header, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        files.write_text(part / CARD, page)


def hub(synthetic: SyntheticSet, folder: str | os.PathLike[str], metrics: Any = None) -> None:
    """Write the set as a dataset hub takes and shows it; atomically.

    ``datasets.load_dataset`` reads ``data/`` (Parquet): a row for each image, with its picture in 8
    bits, ``label`` (of soft labels the likeliest class) and for soft labels ``probabilities``.
    Beside it stand ``synthetic.safetensors`` with the exact values, a contact sheet, and
    ``README.md``, a dataset card.

    Args:
        synthetic: the set.
        folder: a new or an empty folder.
        metrics: as for :func:`~distillery.sets.accuracies.accuracies`.

    Raises:
        UserError: as :func:`image_folder`, or pyarrow, which writes Parquet, is not installed.
    """
    table = _table_of_pictures(synthetic)
    page = card(synthetic, metrics, images=False)
    with files.atomic_folder(folder) as part:
        synthetic.save(part / SET)
        pictures.save_grid(part / PICTURE, synthetic.pixels(), synthetic.hard_labels)
        files.write_bytes(part / TABLE, table)
        files.write_text(part / CARD, page)


def _table_of_pictures(synthetic: SyntheticSet) -> bytes:
    """Write the rows of a set as Parquet, whose schema says which columns are pictures and classes.

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
    rows = []
    for number, image in enumerate(synthetic.pixels()):
        picture = io.BytesIO()
        pictures.picture(image).save(picture, format="PNG", optimize=True)
        rows.append({"bytes": picture.getvalue(), "path": f"{number}.png"})
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {
        "image": pyarrow.array(rows, kind),
        "label": pyarrow.array(synthetic.hard_labels.tolist(), pyarrow.int64()),
    }
    described: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": class_names(synthetic), "_type": "ClassLabel"},
    }
    if synthetic.labels.ndim == 2:
        soft = synthetic.labels.cpu().tolist()  # a float32 comes back from a double as it was
        columns["probabilities"] = pyarrow.array(soft, pyarrow.list_(pyarrow.float32()))
        number = {"dtype": "float32", "_type": "Value"}
        described["probabilities"] = {"feature": number, "_type": "Sequence"}
    schema = {"huggingface": json.dumps({"info": {"features": described}}, sort_keys=True)}
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, metadata=schema), out)
    return out.getvalue()


def safe_names(classes: Sequence[str]) -> list[str]:
    """Name a folder for each class, on any file system: letters, digits, ``_`` and ``-``,
    about 60 characters at most.

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
        folder = (
            re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFKC", str(name)))[:60].strip("_")
            or "class"
        )
        while folder.casefold() in taken:
            folder = f"{folder}_{index}"
        taken.add(folder.casefold())
        names.append(folder)
    if names == sorted(names):
        return names
    width = len(str(len(names) - 1))
    numbers = [f"{index:0{width}}" for index in range(len(names))]
    return (
        numbers
        if names == [str(index) for index in range(len(names))]
        else [f"{number}_{name}" for number, name in zip(numbers, names)]
    )
