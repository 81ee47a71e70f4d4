"""The command line, ``distillery COMMAND`` or ``python -m distillery COMMAND``: the commands are in
:mod:`distillery.commands`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from distillery import __version__
from distillery.errors import UserError, hint

COMMANDS = {
    "init": "make a folder for a study of your own",
    "estimate": "say what a study will cost: jobs, hours, memory and disk",
    "run": "run a study, to its report",
    "distil": "distil a folder of pictures into a synthetic set",
    "evaluate": "train networks on a synthetic set, and test them on real images",
    "check": "say whether a synthetic set can be used, and how",
    "info": "say what a synthetic set is, of ours or of others",
    "export": "write a synthetic set as pictures and labels, or for a dataset hub",
    "status": "say what the jobs of a study are doing",
    "report": "say what a study that is under way has done, and write its report so far",
    "reproduction": "record what was run, beside the published figures",
    "schema": "print the JSON schema of a config, by which an editor completes keys",
}
EXAMPLES = """\
from a folder of pictures, a sub-folder for each class, to a report:
  distillery init study --images pictures
  cd study
  distillery run

from the same folder to one set, and what it is worth:
  distillery distil pictures --ipc 10 --iterations 500 -o set.safetensors
  distillery evaluate set.safetensors --on pictures

`distillery COMMAND --help` has examples of each.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, or 1 after one line on standard error."""
    # As it was called.
    name = "distillery" if Path(sys.argv[0]).stem == "distillery" else "python -m distillery"
    parser = argparse.ArgumentParser(
        prog=name,
        description="Distil an image dataset into a few synthetic images per class, and measure "
        "what they are worth.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    words = sys.argv[1:] if arguments is None else list(arguments)
    for name, about in COMMANDS.items():
        # The module of no other command is imported.
        module = (
            importlib.import_module(f"distillery.commands.{name}") if name in words[:1] else None
        )
        one = commands.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=f"examples:\n{module.EXAMPLES}" if module else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module:
            module.declare(one)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        close = hint(words[0], COMMANDS)
        parser.error(f"unknown command {words[0]!r}; {close}known are {', '.join(COMMANDS)}")
    if words[:1] == ["run"] and words[1:2] not in (["-h"], ["--help"]):
        given = argparse.Namespace(command="run", words=words[1:])  # most of them are Snakemake's
    else:
        given = parser.parse_args(words)
    try:
        module = importlib.import_module(f"distillery.commands.{given.command}")
        return module.run(given) or 0
    except (UserError, OSError) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
