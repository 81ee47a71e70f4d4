"""How a run ended, in the one line of each job that matters. Imports no torch."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

LISTED = 5
_ERROR = re.compile(r"\d\d:\d\d:\d\d error: (.*)")
_TRACEBACK = re.compile(r"\d\d:\d\d:\d\d Traceback \(most recent call last\):")


def ending(failed: Iterable[tuple[str, str]], done: int, total: int) -> list[str]:
    """Return what to say at the end of a run that did not finish.

    Args:
        failed: for each job that failed what it is, and its log.
        done: how many jobs of the run are done.
        total: how many there were.

    Returns:
        A line for each failed job, with its reason and log; one line where the run was stopped
        before any failed.
    """
    reasons = [(what, cause(log), log) for what, log in failed]
    lines = [
        f"error: {what}: {reason}; log: {log}"
        for what, reason, log in reasons
        if reason is not None
    ]
    if not lines:
        return [f"stopped: {done} of {total} jobs are done; the same command goes on from there"]
    if len(lines) > LISTED:
        lines[LISTED:] = [f"error: {len(lines) - LISTED} more jobs failed; their logs say why"]
    return lines


def error(lines: Sequence[str]) -> str | None:
    """Return the error that ended a job, by the lines of its log: its last ``error: …``, or the
    last line of a traceback. ``None`` where there is none.

    Only what the job itself logged counts, with the time before it: what it quotes, or what a
    library prints, is not why it ended.
    """
    for line in reversed(lines):
        if match := _ERROR.match(line):
            return match.group(1)
    if any(map(_TRACEBACK.match, lines)):
        return next(line.strip() for line in reversed(lines) if line.strip())
    return None


def cause(log: str | Path) -> str | None:
    """Return why a job failed, by its log: its :func:`error`, or what its absence means. ``None``
    where it was stopped."""
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "left no log"
    reason = error(lines)
    if reason is not None:
        return reason
    if any("asked to stop" in line for line in lines):
        return None
    return "ended without a word, as one that is killed, for its memory perhaps"
