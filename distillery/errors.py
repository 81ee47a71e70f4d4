"""The one exception that a user is meant to read."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """Bad input, said in one line: what is wrong, where, and what would be right."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to 160 characters; its class where it has
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


def hint(name: object, known: Iterable[str]) -> str:
    """Return what may have been meant of what is known in this place, whatever its capitals."""
    lower = {text.lower(): text for text in known}
    close = difflib.get_close_matches(str(name).lower(), lower, 1, 0.65)
    return f"did you mean {lower[close[0]]!r}? " if close else ""
