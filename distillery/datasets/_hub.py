"""Images and labels as dataset hubs keep them: Parquet files, whose schema says which column holds
images and what classes are called. Needs pyarrow, and no network."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillery.datasets._listing import PARTS, Listing, count, existing, numbered, shown
from distillery.errors import UserError, hint

# What columns are called where neither the schema nor the config says.
IMAGES, LABELS = ("image", "img", "picture"), ("label", "labels", "class", "fine_label")
# The module beside this one that reads the images, once they are listed.
READER = "_rows"


def scan(where: str, places: Mapping[str, str], settings: Mapping[str, Any]) -> Listing:
    """Read the schema and the labels.

    Args:
        where: the dataset's place in the config.
        places: ``path``: of a Parquet file or a folder of such, or the name of a dataset that was
            downloaded from a hub.
        settings: of the dataset: ``image``, ``label``.

    Raises:
        UserError: pyarrow is missing, there are no such files, or a column is.
    """
    root, files = _files(where, places["path"])
    rows: list[str] = []
    values: list[Any] = []
    parts: list[str] = []
    names: list[str] | None = None
    image = label = ""
    for number, file in enumerate(files):
        opened = open_file(where, os.path.join(root, file))
        features = _features(opened)
        found = _columns(where, file, opened, features, settings)
        if number and found != (image, label):
            raise UserError(f"{where}.path: {shown(file)} has other columns than {shown(files[0])}")
        image, label = found
        names = features.get(label, {}).get("names", names)
        given = opened.read(columns=[label]).column(label).to_pylist()
        rows += [f"{file}:{row}" for row in range(len(given))]
        values += given
        parts += [_part(file)] * len(given)
    kept = [row for row, value in enumerate(values) if value is not None and value != -1]
    notes = []
    if len(kept) < len(values):
        notes.append(f"{count(len(values) - len(kept), 'row')} without a label left out")
    if not kept:
        raise UserError(f"{where}.path: {places['path']} has no row with a label")
    classes, labels = _classes(where, [values[row] for row in kept], names)
    return Listing(
        root=root,
        files=[rows[row] for row in kept],
        classes=classes,
        labels=labels,
        parts=[parts[row] for row in kept],
        watched=files,
        about={"image": image},
        notes=notes,
    )


def _files(where: str, path: str) -> tuple[str, list[str]]:
    """Return a folder, and the Parquet files in it."""
    found = os.path.expanduser(path)
    if not os.path.lexists(found) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        found = _downloaded(where, path)
    if not os.path.isdir(found):
        found = existing(f"{where}.path", path, "file")
        return os.path.dirname(found), [os.path.basename(found)]
    files = sorted(
        file.relative_to(found).as_posix()
        for file in Path(found).rglob("*.parquet")
        if not any(part.startswith(".") for part in file.relative_to(found).parts)
    )
    if not files:
        raise UserError(
            f"{where}.path: {path} holds no .parquet file; pictures in folders are `kind: folder`"
        )
    return found, files


def cached(name: str) -> Path:
    """Return the folder that a hub's client downloads the dataset of this name into."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    return cache / f"datasets--{name.replace('/', '--')}"


def _downloaded(where: str, name: str) -> str:
    """Return where the dataset of a hub lies that was downloaded by this name."""
    folder = cached(name)
    try:
        revision = (folder / "refs/main").read_text(encoding="utf-8").strip()
    except OSError:
        raise UserError(
            f"{where}.path: {name} is neither here nor among the datasets downloaded from the hub; "
            f"run `hf download --repo-type dataset {name}` where there is a network"
        ) from None
    return str(folder / "snapshots" / revision)


def open_file(where: str, path: str) -> Any:
    """Open a Parquet file.

    Raises:
        UserError: pyarrow is missing, or the file is damaged.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(
            f"{where}: `kind: hub` reads Parquet, for which pyarrow is needed: pip install pyarrow "
            f"({error})"
        ) from None
    try:
        return parquet.ParquetFile(path)
    except (OSError, ArrowException) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{where}.path: {shown(path)} cannot be read: {reason}") from None


def _features(opened: Any) -> dict[str, Any]:
    """Return what the schema says of each column: its kind, and the names of classes."""
    metadata = opened.schema_arrow.metadata or {}
    try:
        return json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}


def _columns(
    where: str, file: str, opened: Any, features: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[str, str]:
    """Return the columns of images and labels: those named, those that the schema says, or those of
    usual names."""
    there = list(opened.schema_arrow.names)
    found = []
    for key, kind, usual in (("image", "Image", IMAGES), ("label", "ClassLabel", LABELS)):
        name = settings.get(key)
        if name is None:
            said = [each for each in there if features.get(each, {}).get("_type") == kind]
            said += [each for each in usual if each in there]
            if not said:
                raise UserError(
                    f"{where}.{key}: {shown(file)} does not say which column it is; the columns "
                    f"are {', '.join(there)}: say which by `{key}`"
                )
            name = said[0]
        if name not in there:
            raise UserError(
                f"{where}.{key}: {shown(file)} has no column {name!r}; {hint(name, there)}the "
                f"columns are {', '.join(there)}"
            )
        found.append(name)
    return found[0], found[1]


def _part(file: str) -> str:
    """Return the part that a file's name says, as in ``data/train-00000-of-00001.parquet``."""
    words = re.split(r"[^a-z]+", file.lower())
    return next((PARTS[word] for word in words if word in PARTS), "")


def _classes(where: str, values: list[Any], names: list[str] | None) -> tuple[list[str], list[int]]:
    if not all(isinstance(value, int | str) for value in values):
        raise UserError(f"{where}.label: labels are whole numbers or texts")
    if names is None or isinstance(values[0], str):
        return numbered(map(str, values))
    different = sorted(set(values))
    if different[0] < 0 or different[-1] >= len(names):
        raise UserError(
            f"{where}.path: labels from {different[0]} to {different[-1]}, for {len(names)} "
            "classes in the schema; each label must be the number of one"
        )
    number = {value: index for index, value in enumerate(different)}
    return [str(names[value]) for value in different], [number[value] for value in values]
