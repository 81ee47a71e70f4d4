"""One side of one case in a process of its own, so that its peak memory means something: ``python
-m benchmarks.worker JSON``.

It speaks JSON lines on its standard output and does one step for each line ``go`` on its standard
input.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import torch

from benchmarks import ours, peers, textbook
from benchmarks.cases import (
    EVALUATION,
    LR_NETWORK,
    MTT_STEP_SIZE,
    REPEATED,
    Case,
    Material,
    material,
)
from distillery.compute.device import full_float32
from distillery.methods import _gradient_matching
from distillery.run import job, meter


class Stop(BaseException):
    """Enough was measured. Not an ``Exception``: nothing under measurement may catch it."""


class Memory:
    """The most memory used since the last reset: what tensors held on a CUDA device, else the
    resident set of the process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def reset(self) -> None:
        """Start again from zero (where the system lets a process do so, else the peak is that of
        its whole life)."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """In bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        found = _status("VmHWM")
        if found is None:
            return meter._peak_resident_bytes() or 0
        return found

    def now(self) -> int:
        """In bytes."""
        return (
            torch.cuda.memory_allocated(self._device)
            if self._device.type == "cuda"
            else _status("VmRSS") or 0
        )


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), None
    )


class Gate:
    """Where the code under measurement stops after each step; times what lies between two stops."""

    def __init__(self, channel: TextIO, device: torch.device, folder: Path, profiled: bool) -> None:
        self._channel, self._device, self._folder = channel, device, folder
        self._memory = Memory(device)
        self._profiled, self._profiler = profiled, None
        self._steps = 0

    def begin(self) -> None:
        """All is set up: wait for the first ``go``."""
        self._say(event="ready", baseline=self._memory.now())
        self._wait()

    def restart(self) -> None:
        """The step begins here: what came before was not part of it."""
        self._synchronise()
        self._started, self._started_cpu = time.perf_counter(), time.process_time()

    def __call__(self, units: float = 1, gradient: torch.Tensor | None = None) -> None:
        """A step is done. Raises :class:`Stop` when no more are wanted.

        Args:
            units: how many of what is counted the step held; a part of one is a fraction.
            gradient: what the step found, to be compared between the sides; noted for the first
                step only.
        """
        self._synchronise()
        seconds, cpu = time.perf_counter() - self._started, time.process_time() - self._started_cpu
        message = {
            "event": "step",
            "seconds": seconds / units,
            "cpu_seconds": cpu / units,
            "units": units,
            "peak": self._memory.peak(),
        }
        if self._steps == 0:
            path = self._folder / f"gradient-{os.getpid()}.pt"
            assert gradient is not None, "the first step has a gradient"
            torch.save(gradient.detach().flatten().cpu(), path)
            message["gradient"] = str(path)
            # Compiling takes memory too; what counts is what a step needs.
            self._memory.reset()
        if self._profiler is not None:
            self._profiler.__exit__(None, None, None)
            sort = "self_cuda_time_total" if self._device.type == "cuda" else "self_cpu_time_total"
            tables = [
                self._profiler.key_averages().table(
                    sort_by=sort, row_limit=15, max_name_column_width=60
                )
            ]
            by_shape = self._profiler.key_averages(group_by_input_shape=True)
            tables.append(
                by_shape.table(
                    sort_by=sort,
                    row_limit=15,
                    max_name_column_width=30,
                    max_shapes_column_width=110,
                )
            )
            message["profile"] = "\n".join(tables)
            self._profiler = None
        self._steps += 1
        self._say(**message)
        self._wait()

    def _wait(self) -> None:
        if sys.stdin.readline().strip() != "go":
            raise Stop
        if self._profiled and self._steps == 1:
            activities = [torch.profiler.ProfilerActivity.CPU]
            activities += [torch.profiler.ProfilerActivity.CUDA] * (self._device.type == "cuda")
            self._profiler = torch.profiler.profile(activities=activities, record_shapes=True)
            self._profiler.__enter__()
        self.restart()

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _say(self, **message: Any) -> None:
        print(json.dumps(message), file=self._channel, flush=True)


def run_textbook(case: Case, inputs: Material, gate: Gate, device: torch.device) -> None:
    """Run a case the obvious way until the gate stops it."""
    network = textbook.shape(case.network)
    model = textbook.load(textbook.ConvNet(**network).to(device), inputs.params)
    if case.kind == "dc":
        outer, _ = _gradient_matching.loops(case.ipc)
        options = {"outer": outer, "batch": case.batch, "lr": LR_NETWORK}
        matching = textbook.GradientMatching(
            network,
            inputs.images,
            inputs.labels,
            inputs.initial,
            inputs.targets,
            inner=case.inner,
            **options,
        )
        textbook.load(matching.fresh(), inputs.params)
        while True:
            gate(gradient=matching.step())
    if case.kind == "mtt":
        images, alpha = inputs.initial.clone(), torch.tensor(MTT_STEP_SIZE, device=device)
        steps = min(case.steps, 2)
        while True:
            _, gradient, _ = textbook.unrolled(
                model, inputs.start, inputs.goal, images, inputs.targets, alpha, steps=steps
            )
            gate(gradient=gradient)
            steps = case.steps
    if case.kind in ("evaluate", "test"):
        images, labels, batch = inputs.initial, inputs.targets, EVALUATION["batch"]
        optimiser = torch.optim.SGD(
            model.parameters(),
            **{name: EVALUATION[name] for name in ("lr", "momentum", "weight_decay")},
        )
    else:
        images, labels, batch = inputs.images.cpu(), inputs.labels.cpu(), case.batch
        optimiser = torch.optim.SGD(model.parameters(), lr=LR_NETWORK)
    # One step on the first batch, whose order does not matter, is what the two sides are compared
    # by.
    before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    textbook.train_epoch(model, [(images[:batch], labels[:batch])], optimiser)
    update = torch.nn.utils.parameters_to_vector(model.parameters()).detach() - before
    gate.restart()
    if case.kind == "test":
        part = len(inputs.images) // REPEATED
        loader = textbook.DataLoader(
            textbook.TensorDataset(inputs.images[:part].cpu(), inputs.labels[:part].cpu()),
            batch_size=256,
        )
        while True:
            gate(units=1 / REPEATED, gradient=torch.tensor([textbook.test_epoch(model, loader)[0]]))
    loader = textbook.DataLoader(
        textbook.TensorDataset(images, labels), batch_size=batch, shuffle=True
    )
    while True:
        textbook.train_epoch(model, loader, optimiser)
        gate(gradient=update)


def run_peak(threads: int, device: torch.device, size: int | None) -> dict[str, float]:
    """Operations a second of large square matrix products, the best of several, by precision."""
    torch.set_num_threads(threads)
    size = size or (8192 if device.type == "cuda" else 3072)
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        best = float("inf")
        for _ in range(8):
            if device.type == "cuda":
                torch.cuda.synchronize()
            started = time.perf_counter()
            torch.matmul(a, b)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - started)
        found[name] = 2 * size**3 / best
    return found


def main() -> None:
    """Do what the JSON in the first argument says."""
    # Whatever prints must not speak into the channel.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.suppress(OSError):
        # If memory runs out, this is the process to end.
        Path("/proc/self/oom_score_adj").write_text("1000")
    order = json.loads(sys.argv[1])
    side, threads = order["side"], order["threads"]
    if side == "peak":
        place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        print(json.dumps(run_peak(threads, place, order["size"])), file=channel, flush=True)
        return
    case = Case(**order["case"])
    with tempfile.TemporaryDirectory() as folder:
        if side == "ours":
            with job.run(
                str(Path(folder) / "log"),
                {"precision": order["precision"], "compile": order["compile"], "threads": threads},
            ) as run:
                gate, inputs = (
                    Gate(channel, run.device, Path(folder), order["profile"]),
                    material(case, run.device),
                )
                _until_stopped(gate, lambda: ours.run(case, inputs, gate, run.device, run.compute))
        else:
            torch.set_num_threads(threads)
            full_float32()  # as on our side
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            gate, inputs = (
                Gate(channel, device, Path(folder), order["profile"]),
                material(case, device),
            )
            if side == "textbook":
                _until_stopped(gate, lambda: run_textbook(case, inputs, gate, device))
            else:
                _until_stopped(gate, peers.prepare(order["peer"], case, inputs, gate, device))


def _until_stopped(gate: Gate, function: Callable[[], None]) -> None:
    with contextlib.suppress(Stop):
        gate.begin()
        function()


if __name__ == "__main__":
    main()
