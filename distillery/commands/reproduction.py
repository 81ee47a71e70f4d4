"""Record what was run, beside the published figures."""

import argparse
from pathlib import Path

EXAMPLES = """\
  distillery reproduction render --check
  distillery reproduction add results --name mine --command 'snakemake --cores 2'
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
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


def run(given: argparse.Namespace) -> None:
    """Carry the action out."""
    from distillery.published import command

    command.run(given)
