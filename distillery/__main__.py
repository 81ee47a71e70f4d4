"""The command line: ``python -m distillery COMMAND``. The study itself is Snakemake's; here are
tools for single files."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from distillery import __version__
from distillery.errors import UserError


class Command(NamedTuple):
    """A sub-command.

    Attributes:
        about: what it does, in one line.
        declare: adds its arguments to its parser.
        run: does it; imports what it needs, so that the others stay fast.
    """

    about: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def _declare_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "set", metavar="SET", help="a synthetic.safetensors, or what others released"
    )
    parser.add_argument("--labels", metavar="FILE", help="the labels_*.pt beside an images_*.pt")


def _info(given: argparse.Namespace) -> None:
    from distillery import load
    from distillery.sets import facts
    from distillery.sets.released import describe
    from distillery.store import artefact
    from distillery.store.layout import SET

    ours = Path(given.set, SET) if Path(given.set, SET).is_file() else Path(given.set)
    if artefact.is_one(ours) or not ours.exists():
        rows = facts.describe(load(ours))
    else:
        rows = describe.describe(given.set, given.labels)
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:{width}}  {text}" for name, text in rows))


def _declare_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", metavar="SET", help="a synthetic.safetensors")
    parser.add_argument("folder", metavar="FOLDER", help="a new or an empty folder")
    parser.add_argument(
        "--as",
        dest="form",
        choices=["images", "hub"],
        required=True,
        help="pictures and labels, or what a dataset hub takes",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="FILE",
        help="the study's summary.csv, or metrics.csv of evaluations: figures for the card",
    )


def _export(given: argparse.Namespace) -> None:
    from distillery import load
    from distillery.sets import folder

    write = {"images": folder.image_folder, "hub": folder.hub}[given.form]
    write(load(given.set), given.folder, given.metrics)


def _declare_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results", metavar="RESULTS", help="the results folder of a study, finished or not"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="the page (default: report-so-far.html in RESULTS)"
    )


def _report(given: argparse.Namespace) -> None:
    from distillery.report import underway

    print("\n".join(underway.show(given.results, given.output)))


def _declare_reproduction(parser: argparse.ArgumentParser) -> None:
    from distillery.published import command

    command.add_arguments(parser)


def _reproduction(given: argparse.Namespace) -> None:
    from distillery.published import command

    command.run(given)


def _declare_schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the reference into this checkout: config/schema.json, and the keys in "
        "config/README.md",
    )


def _schema(given: argparse.Namespace) -> None:
    from distillery.study import reference

    if given.write:
        for path in reference.write(Path.cwd()):
            print(path)
    else:
        print(json.dumps(reference.json_schema(), indent=2))


COMMANDS = {
    "info": Command("say what a synthetic set is, of ours or of others", _declare_info, _info),
    "export": Command(
        "write a synthetic set as pictures and labels, or for a dataset hub",
        _declare_export,
        _export,
    ),
    "report": Command(
        "say what a study that is under way has done, and write its report so far",
        _declare_report,
        _report,
    ),
    "schema": Command(
        "print the JSON schema of a config, by which an editor completes keys",
        _declare_schema,
        _schema,
    ),
    "reproduction": Command(
        "record what was run, beside the published figures", _declare_reproduction, _reproduction
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, or 1 after one line on standard error."""
    name = (
        "distillery" if Path(sys.argv[0]).stem == "distillery" else "python -m distillery"
    )  # as it was called
    parser = argparse.ArgumentParser(prog=name, description="Tools for synthetic sets and studies.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    words = sys.argv[1:] if arguments is None else list(arguments)
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.about, description=command.about)
        if words[:1] == [name]:  # to declare what others take may import much
            command.declare(one)
    given = parser.parse_args(words)
    try:
        COMMANDS[given.command].run(given)
    except (UserError, OSError) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
