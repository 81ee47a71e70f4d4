"""What the log of a job says: when it began, how far it is, and how it ended, in the one line that
matters. Imports no torch."""

import os
import platform
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LISTED = 5
_ERROR = re.compile(r"\d\d:\d\d:\d\d error: (.*)")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d)?([+-]\d{4})$")
_BEGAN = re.compile(r"(?:\d\d:\d\d:\d\d )?began (\S+?)(?:, asked (\w+))?(?:, on (\S+))?$")
_PROGRESS = re.compile(r"\d\d:\d\d:\d\d (.*: \d+ of \d+ .*)")
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


@dataclass(frozen=True)
class Log:
    """What a job's log says.

    Attributes:
        began: when, for a reader; "" where there is no log.
        asked: the digest of what the job was asked; "" where it is not said.
        host: the machine that ran it; "" where it is not said.
        held: whether a process holds the log, which a job does while it runs. Of a process on
            another machine a file system need not tell.
        silent: the seconds since the log was last written to.
        progress: how far the job was; "" where it did not say.
        failed: the error that ended it; "" where there is none.
        finished: whether it came to its end.
    """

    began: str = ""
    asked: str = ""
    host: str = ""
    held: bool = False
    silent: float = 0.0
    progress: str = ""
    failed: str = ""
    finished: bool = False

    @property
    def elsewhere(self) -> bool:
        """Return whether another machine than this one ran the job."""
        return self.host not in ("", platform.node())


def beginning(began: str, asked: str) -> str:
    """Return the first line of a job's log.

    Args:
        began: when, as ISO 8601.
        asked: the digest of what the job was asked; "" for what is no job of a study.
    """
    # Without spaces, by which the line is read.
    host = "".join(platform.node().split())
    return f"began {began}{asked and f', asked {asked}'}{host and f', on {host}'}"


def read_log(path: str | Path) -> Log:
    """Read a job's log; an empty :class:`Log` where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file.read().splitlines() if line.strip()]
            held, changed = _held(file), os.fstat(file.fileno()).st_mtime
    except OSError:
        return Log()
    if not lines:
        local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(changed))
        return Log(local, held=held, silent=time.time() - changed)
    match = next((found for line in lines[:3] if (found := _BEGAN.match(line))), None)
    began, asked, host = match.groups() if match else (lines[0][:8], None, None)
    told = (match.group(1) for line in reversed(lines) if (match := _PROGRESS.match(line)))
    return Log(
        began=_ISO.sub(r"\1 \2 UTC\3", began).replace("UTC+0000", "UTC"),
        asked=asked or "",
        host=host or "",
        held=held,
        silent=time.time() - changed,
        progress=next(told, ""),
        failed=error(lines) or "",
        finished=lines[-1].endswith(" done"),
    )


def _held(file: Any) -> bool:
    """Return whether another process holds its lock on a log."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        return isinstance(error, BlockingIOError)
    return False
