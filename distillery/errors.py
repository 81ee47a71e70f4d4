"""The one exception that a user is meant to read."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """Bad input, said in one line: what is wrong, where, and what would be right."""


@contextlib.contextmanager
def named(whose: str | None) -> Iterator[None]:
    """Say of an error in the block whose it is, where what fails does not know: a method knows not
    the name of its variant."""
    try:
        yield
    except UserError as error:
        if not whose:
            raise
        raise UserError(f"{whose}: {error}") from error
