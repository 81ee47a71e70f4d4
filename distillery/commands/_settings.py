"""Settings on the command line, ``--set NAME=VALUE``, and how to compute."""

import argparse
from collections.abc import Sequence
from typing import Any

from distillery.errors import UserError


def declare_set(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare ``--set``."""
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="settings", help=what
    )


def declare_compute(parser: argparse.ArgumentParser) -> None:
    """Declare where and how a command computes."""
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU where there is one)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the processor")


def read(
    pairs: Sequence[str],
    option: str = "--set",
    shape: str = "NAME=VALUE",
    example: str = "epochs=300",
) -> dict[str, Any]:
    """Read settings; a value is as YAML has it.

    Args:
        pairs: as they were given.
        option: that they were given by.
        shape: of each, as its help has it.
        example: of one that is right.

    Raises:
        UserError: one is no ``NAME=VALUE``, or stands twice.
    """
    import yaml

    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise UserError(f"{option}: must be {shape}, such as {example}, not {pair!r}")
        if name in settings:
            raise UserError(f"{option}: {name} stands twice")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"{option}: {name}: cannot be read: {value!r}") from None
    return settings


def network(name: str, options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a network with its options."""
    return {name: read(options)}
