"""The command ``python -m distillery reproduction``: record a study, and make the document."""

import argparse
import re
from pathlib import Path

from distillery.errors import UserError
from distillery.published import records
from distillery.published.document import DOCUMENT, render
from distillery.store.files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="record a results folder and re-create the document")
    add.add_argument(
        "results", metavar="RESULTS", help="the study's results folder, finished or not"
    )
    add.add_argument(
        "--name", required=True, help="the record's name; a record of this name is replaced"
    )
    add.add_argument(
        "--keep",
        action="store_true",
        help="keep the sets of a record of this name that the folder does not have",
    )
    add.add_argument(
        "--command", dest="as_run", required=True, metavar="COMMAND", help="how the study was run"
    )
    again = actions.add_parser("render", help="write the document from the records")
    again.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where the document is not what the records give",
    )
    for action in (add, again):
        action.add_argument(
            "--docs",
            type=Path,
            metavar="FOLDER",
            help="where the document stands (default: docs of the checkout that it is run in)",
        )


def run(arguments: argparse.Namespace) -> None:
    """Carry the command out.

    Raises:
        UserError: bad input, no ``--docs`` outside a checkout, or with ``--check`` a document that
            is not what the records give.
    """
    docs = arguments.docs or _docs()
    if arguments.action == "add":
        _add(arguments, docs)
    document, text = docs / DOCUMENT, render(records.load(docs))
    if getattr(arguments, "check", False):
        if not document.exists() or document.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{document}: is not what the records give; run `python -m distillery reproduction "
                "render`"
            )
        return
    write_text(document, text)
    print(document)


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
