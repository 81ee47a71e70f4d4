"""How a job says how far it is: a bar on a terminal, plain lines in a log."""

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout
from tqdm import tqdm

from distillery.run import track
from distillery.times import duration

LOG_EVERY_SECONDS = 20.0

log = logging.getLogger("distillery")


class Progress:
    """A bar on a terminal; in a log, a plain line at most every ``LOG_EVERY_SECONDS`` and at the
    end.

    Jobs side by side share a terminal, where two bars would overwrite each other: one has the bar,
    the others write the lines of their logs (none, if they are done before the first), until the
    bar is free. Both name the job.

    The time left is reckoned from what comes after the first unit of work, which may compile for
    longer than all others take, and after what a resumed job had done before.

    Args:
        total: how many units of work there are.
        label: what is being done.
        unit: what one of them is called.
        job: what the terminal calls the job.
        tracker: what takes the losses of a distillation.
    """

    def __init__(
        self,
        total: int,
        label: str,
        unit: str,
        job: str = "",
        tracker: track.Tracker | None = None,
    ) -> None:
        self.total, self.done, self._label, self._unit = total, 0, label, unit
        self._tracker = tracker
        self._started = self._logged = time.monotonic()
        self._since: tuple[float, int] | None = (
            None  # the moment after the first unit, and how many were done then
        )
        self._title = f"{job} {label}".strip()
        self._screen = _Screen(sys.stderr)
        self._bar: tqdm | None = None
        self._take_bar()

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Note that ``amount`` more units are done."""
        self.done += amount
        now = time.monotonic()
        if self._since is None:
            self._reckon_from(now)
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)
        if now - self._logged >= LOG_EVERY_SECONDS or self.done == self.total:
            self._logged = now
            elapsed, left = now - self._started, self._left(now)
            counted = f"{self.done} of {self.total} {self._unit}s, {duration(elapsed)}"
            remaining = "" if not left else f", {duration(left)} left"
            text = f"{counted}{remaining}" + f", {note}" * bool(note)
            log.info("%s: %s", self._label, text)
            if self._bar is None and self._screen.live and elapsed >= LOG_EVERY_SECONDS:
                self._screen.line(f"{self._title}: {text}")
                self._take_bar()

    def iteration(self, iteration: int, loss: Any) -> None:
        """Note, as a distillation reports itself, that ``iteration`` is done (0: about to begin).
        The loss is read only when it is shown.

        A resumed job reports the last iteration that it had done before, without a loss.
        """
        if iteration <= self.done:
            return
        if loss is None:
            self.done = iteration
            self._since = None
            if self._bar is not None:
                self._bar.update(iteration - self._bar.n)
            return
        if self._tracker is not None and (
            iteration % track.every(self.total) == 0 or iteration == self.total
        ):
            track.loss(self._tracker, iteration, loss)
        due = (
            time.monotonic() - self._logged >= LOG_EVERY_SECONDS
            or iteration == self.total
            or self._bar is not None
        )
        self(iteration - self.done, f"matching loss {float(loss):.4g}" if due else "")

    def close(self) -> None:
        """Take the bar off the terminal, for another job to show its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._screen.release()

    def _take_bar(self) -> None:
        if self._screen.claim():
            options = {"initial": self.done, "leave": False, "dynamic_ncols": True}
            self._bar = tqdm(
                total=self.total, desc=self._title, unit=self._unit, file=sys.stderr, **options
            )

    def _reckon_from(self, now: float) -> None:
        self._since = now, self.done
        if self._bar is not None:
            # The bar's own clock likewise.
            bar: Any = self._bar
            bar.initial, bar.start_t = self.done, bar._time()

    def _left(self, now: float) -> float | None:
        """Estimate the seconds left, or ``None`` where too little is done to tell."""
        if self.done >= self.total:
            return 0.0
        if self._since is None or self.done <= self._since[1]:
            return None
        moment, done = self._since
        return (now - moment) / (self.done - done) * (self.total - self.done)


class _Screen:
    """The terminal that a stream is, if it is one, and who of the jobs on it may keep a line of it
    to itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.live, self._lock = stream, stream.isatty(), None
        if self.live:
            with contextlib.suppress(OSError):
                name = hashlib.sha256(os.ttyname(stream.fileno()).encode()).hexdigest()[:16]
                folder = Path(tempfile.gettempdir()) / f"distillery-terminals-{os.getuid()}"
                folder.mkdir(exist_ok=True)
                self._lock = FileLock(folder / f"{name}.lock")

    def claim(self) -> bool:
        """Take the line if it is free; tell whether it is this job's now. The operating system's
        lock ends with the process, however it ends."""
        if self._lock is None:
            return False
        try:
            self._lock.acquire(timeout=0)
        except (Timeout, OSError):
            return False
        return True

    def line(self, text: str) -> None:
        """Print a line of its own, over what another job's bar has left on the last."""
        with contextlib.suppress(OSError):
            self._stream.write(f"\r\033[K{text}\n")
            self._stream.flush()

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
