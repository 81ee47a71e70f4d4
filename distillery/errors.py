"""The one exception that a user is meant to read."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """Bad input, said in one line: what is wrong, where, and what would be right."""


def first_line(error: Exception) -> str:
    """Give the first line of an error's message, cut to 160 characters; its class where it has
    none."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


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
