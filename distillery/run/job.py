"""What every computing job shares: its log, its threads and device, its progress, its cost, and how
it fails."""

import contextlib
import errno
import functools
import json
import logging
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from distillery.compute import process
from distillery.compute.claim import claim
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.run import code as stamped
from distillery.run import meter, provenance, track
from distillery.run.progress import Progress, log
from distillery.store import artefact, outcome
from distillery.store.checkpoint import Checkpoint
from distillery.store.costs import sealed
from distillery.store.files import write_text
from distillery.store.ledger import Ledger
from distillery.study.jobs import digest
from distillery.study.params import RULES


class Run:
    """A job on its way.

    Attributes:
        device: where to compute.
        compute: how to compute.
        asked: what the job was asked, as its record says it.
        inputs: the paths of the files that it reads, by name.
        tracker: what takes losses and measurements, if the study is tracked.
    """

    def __init__(
        self,
        device: torch.device,
        compute: dict[str, Any] | None,
        name: str = "",
        tracker: track.Tracker | None = None,
    ) -> None:
        settings = compute or {"precision": "float32", "compile": "off"}
        self.device = device
        self.compute = Compute(settings["precision"], settings["compile"])
        self.threads = torch.get_num_threads()
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._code = provenance.checkout()  # now: the checkout may move on while the job runs
        self._name, self._bars = name, list[Progress]()
        self.tracker = tracker
        self._meter = meter.Meter(self.device)
        self._meter.__enter__()
        self.asked: Mapping[str, Any] = {}
        self.inputs: Mapping[str, Any] = {}
        self._checkpoints = list[Checkpoint]()

    @functools.cached_property
    def origin(self) -> dict[str, Any]:
        """What the job makes its artefacts from, for a record: ``asked``, and the digests of its
        ``inputs``."""
        return {"asked": self.asked, "inputs": artefact.contents(dict(self.inputs.items()))}

    def checkpoint(self, path: str) -> Checkpoint:
        """Open the file where the job keeps its state while it runs. A job that is asked something
        else, or reads something else, does not resume from it; it is removed when the job is
        done."""
        self._checkpoints.append(Checkpoint(path, self.origin))
        self._checkpoints[-1].stop_gently()
        return self._checkpoints[-1]

    def ledger(self, path: str) -> Ledger:
        """Open the file where a job of many trainings keeps what they gave while it runs."""
        return Ledger(self.checkpoint(path))

    def progress(self, total: int, label: str, unit: str) -> Progress:
        """Show a new progress display in the place of the last, closed with the job."""
        for bar in self._bars:
            bar.close()
        self._bars.append(Progress(total, label, unit, self._name, self.tracker))
        return self._bars[-1]

    def stop_clock(self) -> None:
        """Leave what the job does from now on out of its cost."""
        if self._meter.seconds is None:
            self._meter.__exit__()

    def save_cost(
        self,
        path: str,
        *,
        rule: str,
        outputs: Mapping[str, Any],
        **identity: Any,
    ) -> None:
        """Write the job's record: what it took (seconds, peak memory, device, versions), on which
        machine, and what it was made from. The one artefact that holds times.

        Args:
            path: of the record.
            rule: the job's rule.
            outputs: paths by name, of files that are there; tensors and tables are noted.
            **identity: what tells the job from others of its rule, for the record.
        """
        self.stop_clock()
        noted = [
            str(file)
            for _, file in outputs.items()
            if Path(file).suffix in (".safetensors", ".csv")
        ]
        record = {
            "rule": rule,
            **identity,
            **self._meter.record(),
            **self._code,
            "code": self.asked["code"],
            "started": self._started,
            "host": platform.node(),
            "settings": self.asked["settings"],
            **self.origin,
            "outputs": {Path(file).name: artefact.content(file) for file in noted},
        }
        record = json.loads(json.dumps(record))  # as it is read again: tuples are lists
        write_text(path, json.dumps(sealed(record), indent=1, sort_keys=True) + "\n")

    def finish(self) -> None:
        """Remove the checkpoints: the job is done."""
        for checkpoint in self._checkpoints:
            checkpoint.finish()


def main(
    function: Callable[..., None], params: Any, inputs: Any, outputs: Any, logs: Any, *more: Any
) -> None:
    """Run a job of the workflow: what every script ends in.

    Args:
        function: named as its script; called as ``function(run, asked, inputs, outputs,
            *more)`` with ``asked`` of the rule's dataclass in ``distillery.study.params``. It
            computes on a device if that has a ``compute``. Its record is written where the rule
            has an output ``cost``.
        params: the rule's params, of Snakemake, and its name as ``rule``.
        inputs: the rule's inputs.
        outputs: the rule's outputs.
        logs: the rule's logs, one.
        *more: further arguments of the function.
    """
    given = dict(params.items())
    rule = given.pop("rule")
    asked = RULES[rule](**given)
    record = asked.recorded()
    with run(logs[0], getattr(asked, "compute", None), asked=record) as state:
        state.asked, state.inputs = record, inputs
        function(state, asked, inputs, outputs, *more)
        if "cost" in outputs.keys():
            state.save_cost(outputs.cost, rule=rule, outputs=outputs, **asked.identity)
        if state.tracker is not None and "metrics" in outputs.keys():
            track.measured(state.tracker, outputs.metrics)
        state.finish()


@contextlib.contextmanager
def run(
    log_path: str,
    compute: dict[str, Any] | None = None,
    *,
    asked: Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Set a job up and see it through: log to ``log_path``, claim a device, time it, and turn an
    error into one line and exit status 1.

    Args:
        log_path: of the job's log.
        compute: the study's ``precision``, ``compile`` and ``threads``; nothing for a job that does
            not compute. The number of threads is the study's, whatever cores Snakemake has to give:
            another number changes the last bits of a result.
        asked: as the job's record says it. The log begins with its digest. Its ``code`` is what the
            script's job was planned to run (see ``fingerprint``); the job ends before it computes
            if it would run anything else. Nothing for what is no job of a study.
    """
    handler = _log_to(log_path)
    began = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    log.info("%s", outcome.beginning(began, "" if asked is None else digest(asked)))
    # A scheduler's time limit and Snakemake's own stop arrive as SIGTERM: leave by the way that
    # removes half-written files. Ctrl-C reaches a job of its terminal as SIGINT: the same, with
    # whatever the job makes of SIGTERM (`checkpoint.stop_gently`).
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, lambda number, frame: signal.raise_signal(signal.SIGTERM))
    process.keep_host_memory()
    process.keep_compiled()
    torch.set_num_threads(compute["threads"] if compute else 1)
    state = None
    try:
        if asked is not None:
            stamped.check(asked["code"])
        with claim(log.info) if compute else contextlib.nullcontext(torch.device("cpu")) as claimed:
            process.repeatable(claimed.type == "cpu")
            tracker = track.tracker(log_path) if compute else None
            state = Run(claimed, compute, _name(log_path), tracker)
            log.info("on %s with %d threads", meter.device_name(state.device), state.threads)
            yield state
            if asked is not None:
                stamped.check_plugins(asked["code"])
        log.info("done")
    except UserError as error:
        _fail(str(error))
    except Exception as error:
        unwritten = _cannot_write(error)
        if unwritten:
            _fail(unwritten)
        if not _out_of_memory(error):
            log.error("%s", traceback.format_exc())
            raise
        place = meter.device_name(state.device) if state else "the device"
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        _fail(
            f"out of memory on {place}: lower `batch`, `models` or `shard`, or take a device with "
            f"more ({reason})"
        )
    finally:
        for bar in state._bars if state is not None else ():
            bar.close()
        if state is not None and state.tracker is not None:
            state.tracker.close()
        log.removeHandler(handler)
        logging.getLogger("py.warnings").removeHandler(handler)
        handler.close()


def _log_to(path: str) -> logging.Handler:
    """Write what the job logs, and warnings, to a file from now on."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    _hold(handler.stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    # A log that cannot be written to, on a full disk say, is no reason to fail.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(handler)
    noisy = logging.getLogger("torch.utils.cpp_extension")
    if not any(isinstance(known, _NoNoise) for known in noisy.filters):
        noisy.addFilter(_NoNoise())
    return handler


def _hold(stream: Any) -> None:
    """Keep a lock on the log for as long as this process lives: a log without an end is then known
    for that of a running job, or not."""
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (ImportError, OSError):  # not on Windows, nor on every file system
        pass


def _stop(number: int, frame: Any) -> None:
    log.info("asked to stop")
    sys.exit(128 + number)


def _cannot_write(error: Exception) -> str | None:
    """Return the message where a disk is full or a folder may not be written to; ``None`` for any
    other error."""
    if not isinstance(error, OSError):
        return None
    cause = f"{error.filename or 'the results'}: cannot be written: {error.strerror}; "
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{cause}free some space and run again, what was finished before is kept"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{cause}make the folder writable, or name another by the config's `results`"
    return None


def _out_of_memory(error: Exception) -> bool:
    # On the processor torch says it by a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _name(log_path: str) -> str:
    """Name a job where several speak: where its log lies among the logs."""
    parts = Path(log_path).with_suffix("").parts
    return "/".join(parts[parts.index("logs") + 1 :] if "logs" in parts else parts[-1:])


class _NoNoise(logging.Filter):
    """Leaves out what torch says of a machine that has the CUDA toolkit and no GPU: it is no news,
    and no warning of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("No CUDA runtime is found, using CUDA_HOME")


def _fail(message: str) -> None:
    log.error("error: %s", message)
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1) from None
