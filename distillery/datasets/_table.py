"""Images that a table names, each with its label: a CSV file, as medical sets come."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from distillery.datasets._listing import (
    NAMED,
    PARTS,
    Listing,
    composed,
    count,
    existing,
    is_image,
    shown,
    some,
)
from distillery.errors import UserError, hint

# The module beside this one that reads the images, once they are listed.
READER = "_files"
# What columns are called where the config does not say.
FILES = ("file", "filename", "file_name", "image", "image_path", "path", "filepath", "image_id")
LABELS = ("label", "class", "category", "target", "diagnosis")
SPLIT = "split"
_SEPARATORS = ",;\t|"


@dataclass
class _Rows:
    """What the rows of a table say.

    Attributes:
        files, labels, parts: of each image; the file as it is written there.
        notes: what a user should know.
    """

    files: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def scan(where: str, places: Mapping[str, str], settings: Mapping[str, Any]) -> Listing:
    """Read a table, and see that its files are there.

    Args:
        where: the dataset's place in the config.
        places: ``path``, of the CSV file, and ``images``, of the folder of its files.
        settings: of the dataset: ``file``, ``label``, ``split``, ``ending``, ``on_error``.

    Raises:
        UserError: the table cannot be read, lacks a column, or names a file that is not there.
    """
    table = existing(f"{where}.path", places["path"], "file")
    root = os.path.dirname(table)
    if places["images"]:
        root = existing(f"{where}.images", places["images"], "folder")
    read = _read(where, table, settings)
    files = _there(where, root, read, settings)
    return Listing.of_files(root, files, read.labels.__getitem__, read.parts, read.notes)


# ---- the table -----------------------------------------------------------------------------------


def _lines(at: str, table: str) -> Iterator[tuple[int, list[str]]]:
    """Return the number and the fields of each line that is not empty, the head first."""
    try:
        with open(table, encoding="utf-8-sig", newline="") as opened:
            head = opened.readline()
            separator = max(_SEPARATORS, key=head.count)
            opened.seek(0)
            reader = csv.reader(opened, delimiter=separator, strict=True)
            for fields in reader:
                if any(map(str.strip, fields)):
                    yield reader.line_num, [each.strip() for each in fields]
    except UnicodeDecodeError as error:
        raise UserError(
            f"{at}: {shown(table)} is not text in UTF-8 (byte {error.start}); save it as CSV in "
            "UTF-8"
        ) from None
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"is no CSV: {error}"
        raise UserError(f"{at}: {shown(table)} {reason}") from error


def _read(where: str, table: str, settings: Mapping[str, Any]) -> _Rows:
    at = f"{where}.path"
    lines = _lines(at, table)
    head = next(lines, (0, []))[1]
    if not head:
        raise UserError(
            f"{at}: {shown(table)} is empty; it needs a head, such as file,label, and a line for "
            "each image"
        )
    file = _column(where, table, "file", head, settings.get("file"), FILES)
    wanted = settings.get("label")
    several = wanted if isinstance(wanted, list) else None
    label = [_column(where, table, "label", head, name, LABELS) for name in several or [wanted]]
    split = None
    if "split" in settings or SPLIT in head:
        split = _column(where, table, "split", head, settings.get("split"), (SPLIT,))
    rows = _Rows()
    unlabelled: list[str] = []
    seen: dict[str, tuple[str, str]] = {}
    again: list[str] = []
    for number, fields in lines:
        if len(fields) != len(head):
            raise UserError(
                f"{at}: {shown(table)}: line {number} has {count(len(fields), 'field')}, the head "
                f"{len(head)}; a line needs as many, and quotes around a field with the separator"
            )
        name = fields[file]
        line = f"{at}: {shown(table)}: line {number}"
        text = fields[label[0]] if several is None else _hot(line, fields, several, label)
        part = "" if split is None else _part(line, head[split], fields[split])
        if not name or not text:
            unlabelled.append(name or f"line {number}")
        elif name in seen:
            if seen[name] != (text, part):
                raise UserError(f"{line}: {_two(name, seen[name], (text, part))}")
            again.append(name)
        else:
            seen[name] = (text, part)
            rows.files.append(name)
            rows.labels.append(text)
            rows.parts.append(part)
    for names, what in (
        (unlabelled, "without a file or a label left out"),
        (again, "left out, for the table has them twice"),
    ):
        if names:
            rows.notes.append(f"{count(len(names), 'row')} {what}: {some(names)}")
    if not rows.files:
        raise UserError(
            f"{at}: {shown(table)} names no image; it needs a line for each below its head"
        )
    return rows


def _two(name: str, first: tuple[str, str], second: tuple[str, str]) -> str:
    which = 0 if first[0] != second[0] else 1
    what = ("labels", "parts")[which]
    return f"{shown(name)} has two {what}, {first[which]!r} and {second[which]!r}; one is needed"


def _column(
    where: str, table: str, key: str, head: list[str], name: str | None, usual: Iterable[str]
) -> int:
    """Return the number of a column: the one named, or one with a usual name."""
    if name is None:
        lower = [each.lower() for each in head]
        found = next((lower.index(each) for each in usual if each in lower), None)
        if found is None:
            raise UserError(
                f"{where}.{key}: {shown(table)} has no column {next(iter(usual))!r} or of a like "
                f"name; the columns are {', '.join(head)}: say which by `{key}`"
            )
        return found
    if name not in head:
        raise UserError(
            f"{where}.{key}: {shown(table)} has no column {name!r}; {hint(name, head)}the columns "
            f"are {', '.join(head)}"
        )
    if head.count(name) > 1:
        raise UserError(f"{where}.{key}: {shown(table)} has {head.count(name)} columns {name!r}")
    return head.index(name)


def _hot(line: str, fields: list[str], names: list[str], columns: list[int]) -> str:
    """Return the one of several columns that is 1."""
    try:
        values = [float(fields[column] or 0) for column in columns]
    except ValueError:
        values = []
    if sorted(values) != [0] * (len(columns) - 1) + [1]:
        found = ", ".join(f"{name} {fields[at]}" for name, at in zip(names, columns, strict=True))
        raise UserError(f"{line}: one of the columns of `label` must be 1, the others 0: {found}")
    return names[values.index(1)]


def _part(line: str, column: str, value: str) -> str:
    if value.lower() not in PARTS:
        raise UserError(
            f"{line}: {column} is {value!r}; {hint(value, PARTS)}train, val and test are known"
        )
    return PARTS[value.lower()]


# ---- the files -----------------------------------------------------------------------------------


def _there(where: str, root: str, rows: _Rows, settings: Mapping[str, Any]) -> list[str]:
    """Return the files as they are called on the disk; those that are not there are taken out of
    the rows where ``on_error`` is ``skip``.

    Raises:
        UserError: a file is not there, and ``on_error`` is ``fail``; or none is.
    """
    ending = settings.get("ending", "")
    names: list[str] = []
    folders: dict[str, dict[str, str]] = {}
    missing: list[int] = []
    for row, written in enumerate(rows.files):
        # As Windows writes paths, and with what some put before them.
        name = written.replace("\\", "/").removeprefix("./")
        name = name if not ending or is_image(name) else name + ending
        folder, _, last = name.rpartition("/")
        if folder not in folders:
            folders[folder] = _inside(os.path.join(root, folder or ("/" if "/" in name else "")))
        there = folders[folder].get(composed(last))
        if there is None:
            missing.append(row)
        names.append(name if there is None else f"{name[: len(name) - len(last)]}{there}")
    if not missing:
        return names
    lost = [names[row] for row in missing]
    if settings["on_error"] == "fail" or len(lost) == len(names):
        advice = "name their folder by `images`" if len(lost) == len(names) else "add them"
        if not any(map(is_image, lost)):
            advice += ", and what their names lack by `ending`, such as .jpg"
        folder, _, last = lost[0].rpartition("/")
        same = next((name for name in folders[folder] if name.lower() == last.lower()), None)
        near = f"there is {same!r}; " if same else ""
        raise UserError(
            f"{where}: {count(len(lost), 'file')} of {len(names)} "
            f"{'is' if len(lost) == 1 else 'are'} not in {shown(root) or '.'}: {some(lost)}; "
            f"{near}{advice}, or leave such rows out by `on_error: skip`"
        )
    rows.notes.append(
        f"{count(len(lost), 'row')} left out, for their files are not there: "
        + ", ".join(map(shown, lost[: 4 * NAMED]))
        + (f" and {len(lost) - 4 * NAMED} more" if len(lost) > 4 * NAMED else "")
    )
    gone = set(missing)
    for values in (rows.files, rows.labels, rows.parts, names):
        values[:] = [value for row, value in enumerate(values) if row not in gone]
    return names


def _inside(folder: str) -> dict[str, str]:
    """Return the names in a folder by their composed form, which a table need not have."""
    try:
        return {composed(name): name for name in os.listdir(folder or ".")}
    except OSError:
        return {}
