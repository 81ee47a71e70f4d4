"""How fast a device makes passes of a network over images: measured on this machine, or worked out
from what is published of a GPU.

A call takes ``call`` seconds a layer, ``flop`` for each floating-point operation of a forward pass
and ``activation`` for each number that a layer puts out: normalisation, nonlinearity and pooling
are bound by memory, and cost more than the convolutions where nothing is compiled.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from distillery import networks
from distillery.compute import process
from distillery.compute.device import WORTH_COMPILING_SECONDS, nominal_seconds
from distillery.errors import UserError
from distillery.estimate.sizes import ADJOINT, FORWARD, GRADIENT, MATCHING, Part
from distillery.networks import NetworkSpec

# Snakemake's own part in the start of a job.
_SCHEDULING_SECONDS = 1.0
# By what the engines decide whether to compile: forward passes that a pass costs.
_NOMINAL = {FORWARD: 1.0, GRADIENT: 3.0, ADJOINT: 12.0, MATCHING: 41.0}
# What compiled code takes of the eager time: of a layer's call, of its arithmetic, in float32 and
# in bfloat16, and of its activations, which fuse. Set by the finished jobs on CIFAR-10 and MNIST in
# docs/cost.md.
_COMPILED = {"call": 0.3, "flop": 0.7, "low": 0.5, "activation": 0.2}
# What is left of a compiled adjoint whose step kept the results of its convolutions: six forward
# passes of nine.
_HALVED = 2 / 3
# Of code that this machine has compiled before; the first job of each network takes up to a minute
# more.
_COMPILING_SECONDS = 5.0


@dataclass(frozen=True)
class Counted:
    """What is counted of a network, for one image.

    Attributes:
        flops: forward; activations: numbers that its layers put out.
        layers: how many; parameters: numbers that it learns.
    """

    flops: float
    activations: int
    layers: int
    parameters: int

    @classmethod
    def of(cls, network: NetworkSpec) -> "Counted":
        """Count a network."""
        module = networks.from_spec(network)
        flops, activations = networks.count(module, torch.zeros(*network.image))
        layers = sum(not list(each.children()) for each in module.modules())
        return cls(flops, activations, layers, sum(p.numel() for p in module.parameters()))


@dataclass(frozen=True)
class Rates:
    """What a device takes, in seconds.

    Attributes:
        start: of a job, before it computes.
        call: of a layer, by kind of pass.
        flop, activation: of one, forward, by kind of pass.
        low: of the ``flop`` in float32 that one in bfloat16 takes, where that is compiled.
        device: ``cpu`` or ``cuda``.
    """

    start: float
    call: Mapping[str, float]
    flop: Mapping[str, float]
    activation: Mapping[str, float]
    low: float = _COMPILED["low"]
    device: str = "cpu"

    def seconds(self, parts: Sequence[Part], counted: Counted, compiles: bool) -> float:
        """Estimate how long passes of a network take, compilation included.

        Args:
            parts: the passes.
            counted: the network.
            compiles: whether what is long enough is compiled.
        """
        total = 0.0
        for part in parts:
            images = part.calls * part.images
            work = _NOMINAL[part.kind] * counted.flops * images
            worth = nominal_seconds(work, self.device) >= WORTH_COMPILING_SECONDS
            compiled = compiles and worth and not part.eager
            share = _COMPILED if compiled else {}
            flop = (self.low if part.low else share["flop"]) if compiled else 1.0
            if compiled and part.kept and self.device == "cpu":
                flop *= _HALVED
            total += part.calls * counted.layers * self.call[part.kind] * share.get("call", 1.0)
            total += images * counted.flops * self.flop[part.kind] * flop
            total += (
                images
                * counted.activations
                * self.activation[part.kind]
                * share.get("activation", 1.0)
            )
            total += _COMPILING_SECONDS * compiled
        return total

    def as_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Rates":
        """Undo :meth:`as_json`."""
        return cls(**held)


# ---- this machine --------------------------------------------------------------------------------

_BATCH = 128
# Two threads make a gradient of 256 images 1.8 times as fast as one.
_SPEED_UP = 0.85


def measure(threads: int) -> Rates:
    """Measure this machine's processor, in about 10 seconds.

    Where others use it, so that several threads wait for each other, one thread is measured by its
    processor time, and as many are taken to be as much faster as two usually are.

    Args:
        threads: of a job.
    """
    process.keep_host_memory()
    before = torch.get_num_threads()
    try:
        if threads > 1:
            rates, busy = _measured(threads)
            if not busy:
                return rates
        rates, _ = _measured(1)
        share = threads**-_SPEED_UP
        faster = [
            {kind: value * share for kind, value in each.items()}
            for each in (rates.flop, rates.activation)
        ]
        return replace(rates, flop=faster[0], activation=faster[1])
    finally:
        torch.set_num_threads(before)


def _measured(threads: int) -> tuple[Rates, bool]:
    """Return the rates of so many threads, and whether others used the processor meanwhile."""
    torch.set_num_threads(threads)
    small = _Passes({"width": 64, "depth": 2}, 8, 10)
    wide, narrow = _Passes({"width": 128}, 32, _BATCH), _Passes({"width": 16}, 32, _BATCH)
    few = _Passes({"width": 128}, 32, 10)
    call: dict[str, float] = {}
    flop: dict[str, float] = {}
    activation: dict[str, float] = {}
    for kind in (GRADIENT, FORWARD):
        flop[kind], activation[kind] = _solved(wide, narrow, kind)
        if wide.busy and threads > 1:
            return Rates(0.0, {}, {}, {}), True
    for kind in (ADJOINT, MATCHING):
        # Of the mix of a gradient's costs.
        times = few.seconds(kind) / few.seconds(GRADIENT)
        flop[kind], activation[kind] = (
            max(1.0, times) * each[GRADIENT] for each in (flop, activation)
        )
    for kind in (FORWARD, GRADIENT, ADJOINT, MATCHING):
        work = small.images * (
            small.counted.flops * flop[kind] + small.counted.activations * activation[kind]
        )
        call[kind] = max(1e-6, small.seconds(kind) - work) / small.counted.layers
    return Rates(_start(), call, flop, activation), False


def _solved(wide: "_Passes", narrow: "_Passes", kind: str) -> tuple[float, float]:
    """Return the seconds of an operation and of an activation, from two networks that have them in
    other proportions."""
    (f, a), (g, b) = ((each.counted.flops, each.counted.activations) for each in (wide, narrow))
    s, t = (each.seconds(kind) / each.images for each in (wide, narrow))
    flop = (s * b - t * a) / (f * b - g * a)
    flop = min(max(flop, 0.1 * s / f), s / f)  # a disturbed measurement
    return flop, max(0.0, s - f * flop) / a


class _Passes:
    """Passes of a ConvNet over random images of ten classes.

    Attributes:
        images: of a call; counted: the network.
        busy: whether others used the processor in the last measurement.
    """

    def __init__(self, options: dict[str, int], size: int, images: int) -> None:
        spec = NetworkSpec("ConvNet", 3, size, 10, options)
        self.images, self.counted = images, Counted.of(spec)
        module = networks.initialise(networks.from_spec(spec), torch.Generator().manual_seed(0))
        self._apply, _ = networks.functional(networks.for_device(module, torch.device("cpu")))
        self._like = {name: value.detach() for name, value in module.named_parameters()}
        drawn = torch.Generator().manual_seed(1)
        self._x = torch.randn(images, 3, size, size, generator=drawn)
        self._y = torch.arange(images) % 10
        self.busy = False

    def seconds(self, kind: str) -> float:
        """Return how long one call takes: the least of several. With one thread its processor time
        counts, which others that use the machine lengthen least."""
        run, threads = getattr(self, f"_{kind}")(), torch.get_num_threads()
        run()
        walls, processor = list[float](), list[float]()
        began = time.perf_counter()
        while len(walls) < 2 or (len(walls) < 20 and time.perf_counter() - began < 0.3):
            wall, used = time.perf_counter(), time.process_time()
            run()
            walls.append(time.perf_counter() - wall)
            processor.append(time.process_time() - used)
        self.busy = sum(processor) < 0.7 * threads * sum(walls)
        return min(processor if threads == 1 else walls)

    def _loss(self, params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> Any:
        return functional.cross_entropy(self._apply(params, x), y)

    def _forward(self) -> Callable[[], Any]:
        def run() -> None:
            with torch.no_grad():
                self._apply(self._like, self._x)

        return run

    def _gradient(self) -> Callable[[], Any]:
        gradient = torch.func.grad(self._loss)
        return lambda: gradient(self._like, self._x, self._y)

    def _adjoint(self) -> Callable[[], Any]:
        gradient = torch.func.grad(self._loss)

        def projected(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
            found = gradient(params, x, self._y)
            return torch.stack([(found[name] * self._like[name]).sum() for name in found]).sum()

        both = torch.func.grad(projected, argnums=(0, 1))
        return lambda: both(self._like, self._x)

    def _matching(self) -> Callable[[], Any]:
        gradient = torch.func.grad(self._loss)

        def apart(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            found = gradient(self._like, x, y)
            return torch.stack(
                [
                    1
                    - functional.cosine_similarity(found[name].flatten(1), value.flatten(1)).mean()
                    for name, value in self._like.items()
                    if value.ndim > 1
                ]
            ).sum()

        each = torch.vmap(torch.func.grad(apart))
        x, y = self._x.view(10, -1, *self._x.shape[1:]), self._y.view(-1, 10).T
        return lambda: each(x, y)


def _start() -> float:
    """Measure how long a job takes to begin: a process that imports what a job does."""
    imports = "import distillery.stages.evaluation, distillery.stages.distillation, time"
    said = subprocess.run(
        [sys.executable, "-c", f"{imports}; print(time.process_time())"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # Of the processor, for another process may be at work; reading files is some more.
    return 1.1 * float(said.stdout) + _SCHEDULING_SECONDS


# ---- a named GPU ---------------------------------------------------------------------------------

# Peaks as their vendor publishes them: float32 outside tensor cores and dense bfloat16, in
# operations a second (0: no bfloat16), and bytes of memory a second.
GPUS = {
    "h200": (67e12, 989e12, 4.8e12),
    "h100": (67e12, 989e12, 3.35e12),
    "a100": (19.5e12, 312e12, 2.04e12),
    "l40s": (91.6e12, 362e12, 0.86e12),
    "a10": (31.2e12, 125e12, 0.6e12),
    "l4": (30.3e12, 121e12, 0.3e12),
    "v100": (15.7e12, 0.0, 0.9e12),
    "t4": (8.1e12, 0.0, 0.32e12),
    "rtx4090": (82.6e12, 165e12, 1.01e12),
    "rtx3090": (35.6e12, 71e12, 0.94e12),
}
# What such small networks reach of the peaks of arithmetic, in float32 and bfloat16, and of memory:
# nothing that was measured, but what is usual of convolutions of 128 channels.
_REACHED, _REACHED_LOW, _REACHED_MEMORY = 0.3, 0.1, 0.5
# Bytes that go to and from memory for each number a layer puts out, forward, eagerly.
_BYTES = 12
# Forward passes that a pass costs in arithmetic, and kernels of 10 microseconds that it launches a
# layer.
_PASSES = {FORWARD: 1.0, GRADIENT: 3.0, ADJOINT: 9.0, MATCHING: 9.0}
_KERNELS = {FORWARD: 2, GRADIENT: 6, ADJOINT: 20, MATCHING: 30}
_LAUNCH_SECONDS = 1e-5
# With the start of CUDA.
_START_ON_GPU = 9.0


def of_gpu(name: str) -> Rates:
    """Work out what a GPU takes from its published peaks.

    Raises:
        UserError: it is not known.
    """
    if name not in GPUS:
        raise UserError(f"--gpu: {name!r} is not known; known are {', '.join(GPUS)}")
    peak, low, memory = GPUS[name]
    flop = 1 / (peak * _REACHED)
    activation = _BYTES / (memory * _REACHED_MEMORY)
    return Rates(
        _START_ON_GPU,
        {kind: count * _LAUNCH_SECONDS for kind, count in _KERNELS.items()},
        {kind: passes * flop for kind, passes in _PASSES.items()},
        {kind: passes * activation for kind, passes in _PASSES.items()},
        min(1.0, peak * _REACHED / (low * _REACHED_LOW)) if low else _COMPILED["flop"],
        "cuda",
    )
