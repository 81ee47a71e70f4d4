"""``python -m distillery COMMAND``: what is done beside the workflow. A command's module is imported when it is called."""

import argparse
import importlib
import sys

from distillery.errors import UserError

# Each module has `add_arguments(parser)` and `run(arguments)`.
COMMANDS = {"reproduction": ("distillery.reproduction", "record what was run, beside the published figures")}


def main(words: list[str] | None = None) -> int:
    """Run a command; bad input is one line on standard error and exit status 1."""
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(prog="python -m distillery", description=__doc__.partition(":")[0])
    commands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    for name, (module, words_of_help) in COMMANDS.items():
        command = commands.add_parser(name, help=words_of_help, description=words_of_help)
        if words[:1] == [name]:
            importlib.import_module(module).add_arguments(command)
    arguments = parser.parse_args(words)
    try:
        importlib.import_module(COMMANDS[arguments.subcommand][0]).run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
