"""Print the JSON schema of a config."""

import argparse
import json
from pathlib import Path

EXAMPLES = """\
  distillery schema > schema.json
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the reference into this checkout: config/schema.json, and the keys in "
        "config/README.md",
    )


def run(given: argparse.Namespace) -> None:
    """Print the schema, or write it into the checkout."""
    from distillery.study import reference

    if given.write:
        for path in reference.write(Path.cwd()):
            print(path)
    else:
        print(json.dumps(reference.json_schema(), indent=2))
