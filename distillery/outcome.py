"""How a run ended, in the one line of each job that matters. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path

TOLD = 5


def told(failed: Iterable[tuple[str, str]], done: int, total: int) -> list[str]:
    """What to say at the end of a run that did not finish.

    Args:
        failed: for each job that failed what it is, and its log.
        done, total: how many jobs of the run are done, and how many there were.

    Returns:
        A line for each failed job, with its reason and log; one line where the run was stopped before any failed.
    """
    reasons = [(what, cause(log), log) for what, log in failed]
    lines = [f"error: {what}: {reason}; log: {log}" for what, reason, log in reasons if reason is not None]
    if not lines:
        return [f"stopped: {done} of {total} jobs are done; the same command goes on from there"]
    if len(lines) > TOLD:
        lines[TOLD:] = [f"error: {len(lines) - TOLD} more jobs failed; their logs say why"]
    return lines


def cause(log: str | Path) -> str | None:
    """Why a job failed, by its log: the last ``error: …``, or the last line of a traceback. ``None`` where it was told to stop."""
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "left no log"
    for line in reversed(lines):
        if "error: " in line:
            return line.split("error: ", 1)[1]
    if any(line.endswith("Traceback (most recent call last):") for line in lines):
        return next(line.strip() for line in reversed(lines) if line.strip())
    if any("told to stop" in line for line in lines):
        return None
    return "ended without a word, as one that is killed, for its memory perhaps"
