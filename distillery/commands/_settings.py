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


def read(pairs: Sequence[str]) -> dict[str, Any]:
    """Read settings; a value is as YAML has it.

    Raises:
        UserError: one is no ``NAME=VALUE``, or stands twice.
    """
    import yaml

    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise UserError(f"--set: must be NAME=VALUE, such as epochs=300, not {pair!r}")
        if name in settings:
            raise UserError(f"--set: {name} stands twice")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set: {name}: cannot be read: {value!r}") from None
    return settings


def network(name: str, options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a network with its options."""
    return {name: read(options)}
