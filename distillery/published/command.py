"""The command ``python -m distillery reproduction``: record a study, and make the document."""

import argparse
import re
from pathlib import Path

from distillery.errors import UserError
from distillery.published import readme, records
from distillery.published.document import DOCUMENT, MISSED, render
from distillery.store.files import write_text


def run(arguments: argparse.Namespace) -> None:
    """Carry the command out.

    Raises:
        UserError: bad input, no ``--docs`` outside a checkout, or with ``--check`` a document that
            is not what the records give.
    """
    docs = arguments.docs or _docs()
    if arguments.action == "add":
        _add(arguments, docs)
    recorded = records.load(docs)
    missed = docs / records.RECORDS / MISSED
    by_hand = missed.read_text(encoding="utf-8") if missed.is_file() else ""
    texts = {docs / DOCUMENT: render(recorded, by_hand)}
    front = docs.parent / "README.md"
    if front.is_file() and readme.START in (before := front.read_text(encoding="utf-8")):
        cells = [cell for record in recorded.values() for cell in record.cells]
        texts[front] = readme.render(before, cells)
    for path, text in texts.items():
        if not getattr(arguments, "check", False):
            write_text(path, text)
            print(path)
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{path}: is not what the records give; run `python -m distillery reproduction "
                "render`"
            )


def _docs() -> Path:
    """Find the documents of the checkout that the working directory is in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "docs" / DOCUMENT).is_file():
            return folder / "docs"
    raise UserError(
        f"reproduction: {here} is in no checkout of Distillery (none has docs/{DOCUMENT}); run it "
        "in one, or name the folder of the document by --docs"
    )


def _add(arguments: argparse.Namespace, docs: Path) -> None:
    """Write the record of a results folder."""
    from distillery.published.recording import record  # late: rendering needs no torch

    if not re.fullmatch(r"\w[\w.-]*", arguments.name):
        raise UserError(
            f"--name {arguments.name!r}: must be letters, digits, `.`, `_` and `-`, such as "
            "mnist-cpu"
        )
    new = record(arguments.results, arguments.as_run)
    path = docs / records.RECORDS / f"{arguments.name}.json"
    if arguments.keep and path.exists():
        new = records.joined(new, records.load(docs)[arguments.name])
    write_text(path, records.to_json(new.as_json()) + "\n")
    skipped = (
        f"; left out {new.left_out} evaluations whose set is newer or missing"
        if new.left_out
        else ""
    )
    print(f"{path}: {len(new.cells)} cells{skipped}")
