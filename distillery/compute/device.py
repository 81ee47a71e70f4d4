"""How a job computes: precision and compilation."""

import functools
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree

from distillery.compute import strides, winograd

# torch.compile of a step costs 10 to 60 s on a CPU the first time on a machine, 2 s later
# (`process.keep_compiled`); a job that would run for less than this stays eager.
WORTH_COMPILING_SECONDS = 20.0


@dataclass(frozen=True)
class Compute:
    """How a job may compute.

    Attributes:
        precision: ``auto`` (bfloat16 where only a direction or a forward pass is wanted and the
            device is fast at it) or ``float32``.
        compile: ``auto`` (``torch.compile`` where a job is long enough to earn it back) or ``off``.
    """

    precision: str = "auto"
    compile: str = "auto"

    def compiles(self, device: torch.device | str, expected_seconds: float) -> bool:
        """Return whether to compile work that would take ``expected_seconds`` eagerly: where that
        is allowed, possible and worth it.

        Args:
            device: where the work runs.
            expected_seconds: an estimate from the work (``nominal_seconds``), never a measurement,
                because the choice changes the last bits of a result.
        """
        return (
            self.compile != "off"
            and expected_seconds >= WORTH_COMPILING_SECONDS
            and can_compile(torch.device(device).type)
        )

    def low_precision(
        self, device: torch.device | str, expected_seconds: float
    ) -> torch.dtype | None:
        """Return ``torch.bfloat16`` where ``precision`` is ``auto`` and ``device`` has bfloat16
        arithmetic in hardware, else ``None``.

        On a CPU only for work that is compiled: eager bfloat16 converts so much that it is no
        faster than float32 (gradient of the ConvNet on 256 CIFAR-10 images, one core: 0.71 and 0.87
        s; on 130 images of 8 x 8: 25 and 11 ms).
        """
        device = torch.device(device)
        if self.precision != "auto":
            return None
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else None
        if device.type == "cpu":
            return (
                torch.bfloat16
                if _cpu_has_bfloat16() and self.compiles(device, expected_seconds)
                else None
            )
        return None

    def compiled(
        self, function: Callable, *, device: torch.device | str, expected_seconds: float
    ) -> Callable:
        """Compile ``function``, whose results are not differentiated further, by ``torch.compile``
        where :meth:`compiles` says so; else return it as it is.

        On CUDA it is also captured as a graph, which a small network needs: its kernels are shorter
        than their launches.
        """
        device = torch.device(device)
        if not self.compiles(device, expected_seconds):
            return function
        if device.type == "cuda":
            return _Captured(function)
        if device.type == "cpu":
            strides.hasten()
        return torch.compile(function, dynamic=False, options=winograd.options() or None)


class _Captured:
    """A compiled function that runs as a CUDA graph. Each call's results are copied out of the
    graph's memory, which the next call reuses.

    Where capturing fails (a driver or library that does not support it), it warns and goes on
    compiled without a graph. Any other fault of the function is raised as it is.
    """

    def __init__(self, function: Callable) -> None:
        self._plain = torch.compile(function, dynamic=False)
        self._captured = torch.compile(function, dynamic=False, mode="reduce-overhead")

    def __call__(self, *arguments: Any) -> Any:
        if self._captured is not None:
            handled = sys.exception()
            try:
                torch.compiler.cudagraph_mark_step_begin()
                return _pytree.tree_map_only(torch.Tensor, torch.clone, self._captured(*arguments))
            except RuntimeError as error:
                fault = _first_fault(error, handled)
                if isinstance(fault, torch.OutOfMemoryError):
                    raise fault from None
                if not _is_of_capturing(fault):
                    raise
                warnings.warn(
                    f"capturing a CUDA graph failed, running without: {_first_line(fault)}",
                    stacklevel=2,
                )
                self._captured = None
        return self._plain(*arguments)


def _first_fault(error: RuntimeError, handled: BaseException | None) -> RuntimeError:
    """Return the runtime error that came first after ``handled``, which the caller is handling: a
    fault inside a capture ends the capture, and the error of that hides it."""
    first, context = error, error.__context__
    while context is not None and context is not handled:
        if isinstance(context, RuntimeError):
            first = context
        context = context.__context__
    return first


def _is_of_capturing(error: RuntimeError) -> bool:
    """Return whether a CUDA graph could not be captured. Nothing but its words tells such an error
    from a fault of what was captured: CUDA's and torch's name the capture, and a driver that has no
    graphs says that it does not support the operation."""
    line = _first_line(error).lower()
    return "captur" in line or "operation not supported" in line


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@functools.cache
def can_compile(device_type: str) -> bool:
    """Return whether ``torch.compile`` has what it needs here: a C++ compiler that works for the
    CPU, Triton for CUDA. Warn once if not."""
    if device_type == "cpu":
        compiler = winograd.compiler()
        if compiler:
            # torch looks for g++ alone unless it is given another.
            os.environ["CXX"] = compiler
            return True
        warnings.warn(
            "no C++ compiler that works was found: running without torch.compile, which is slower",
            stacklevel=2,
        )
        return False
    if device_type == "cuda":
        try:
            import triton  # noqa: F401
        except ImportError:
            warnings.warn(
                "Triton is not installed: running without torch.compile, which is slower",
                stacklevel=2,
            )
            return False
        return True
    return False


@functools.cache
def _cpu_has_bfloat16() -> bool:
    """Look for AVX-512 BF16 or AMX: without them bfloat16 on a CPU is emulated and slower than
    float32."""
    capability = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")()
    if "AVX512" not in capability:
        return False
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        check = getattr(torch.cpu, name, None)
        if check is not None and check():
            return True
    return False


# Operations per second, two of a multiply-add, that eager float32 code of this kind reaches: two
# AVX-512 cores, and a recent GPU.
_NOMINAL_FLOPS = {"cpu": 9e10, "cuda": 5e12}


def nominal_seconds(flops: float, device: torch.device | str) -> float:
    """Estimate how many seconds ``flops`` floating-point operations of a small network take eagerly
    on ``device``; the same on every run."""
    return flops / _NOMINAL_FLOPS.get(torch.device(device).type, 9e10)


def full_float32() -> None:
    """Have float32 mean float32 on a GPU: by default torch lets cuDNN round what it convolves to
    TF32, to ten bits of mantissa.

    Where less is enough, ``Compute.low_precision`` says so. Products of matrices are in full
    precision by torch's own default.
    """
    # By the older of torch's two names, which the newer one follows. Set by the newer
    # (`conv.fp32_precision`), everything that still asks by the older, `torch.backends.cudnn.flags`
    # among it, fails with a RuntimeError (torch 2.14).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions call the older name deprecated
        torch.backends.cudnn.allow_tf32 = False
