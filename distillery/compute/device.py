"""Where a job computes, and how: device, precision and compilation."""

import contextlib
import ctypes
import functools
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from distillery.compute import winograd

# torch.compile of a step costs 10 to 60 s on a CPU the first time on a machine, 2 s later
# (`keep_compiled`); a job that would run for less than this stays eager.
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
        """Whether work that would take ``expected_seconds`` eagerly is compiled: if that is
        allowed, possible and worth it.

        Args:
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
        """``torch.bfloat16`` where ``precision`` is ``auto`` and ``device`` has bfloat16 arithmetic
        in hardware, else ``None``.

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
        """``function``, whose results are not differentiated further, compiled by ``torch.compile``
        where :meth:`compiles` says so, else itself.

        On CUDA it is also captured as a graph, which a small network needs: its kernels are shorter
        than their launches.
        """
        device = torch.device(device)
        if not self.compiles(device, expected_seconds):
            return function
        if device.type == "cuda":
            return _Captured(function)
        return torch.compile(function, dynamic=False, options=winograd.options() or None)


class _Captured:
    """A compiled function that runs as a CUDA graph. Each call's results are copied out of the
    graph's memory, which the next call reuses.

    Where capturing fails (a driver or library that does not support it), it warns and goes on
    compiled without a graph.
    """

    def __init__(self, function: Callable):
        self._plain = torch.compile(function, dynamic=False)
        self._captured = torch.compile(function, dynamic=False, mode="reduce-overhead")

    def __call__(self, *arguments):
        if self._captured is not None:
            try:
                torch.compiler.cudagraph_mark_step_begin()
                return torch.utils._pytree.tree_map_only(
                    torch.Tensor, torch.clone, self._captured(*arguments)
                )
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                warnings.warn(
                    f"capturing a CUDA graph failed, running without: {str(error).splitlines()[0]}",
                    stacklevel=2,
                )
                self._captured = None
        return self._plain(*arguments)


def keep_compiled() -> None:
    """Let compiled code outlive the process, so that a machine compiles each function once.

    It is kept in ``TORCHINDUCTOR_CACHE_DIR`` where that is set, else in the user's cache folder. If
    that cannot be written to, torch keeps its own temporary place.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        place = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or home / "distillery" / "compiled")
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except (OSError, RuntimeError):  # RuntimeError: a user without a home, as in a container
        return
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place)
    os.environ.setdefault("TRITON_CACHE_DIR", str(place / "triton"))


@functools.cache
def can_compile(device_type: str) -> bool:
    """Whether ``torch.compile`` has what it needs here: a C++ compiler that works for the CPU,
    Triton for CUDA. Warns once if not."""
    if device_type == "cpu":
        found = winograd.compiler()
        if found:
            # torch looks for g++ alone where it is not told of another.
            os.environ["CXX"] = found
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
    """AVX-512 BF16 or AMX: without them bfloat16 on a CPU is emulated and slower than float32."""
    capability = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")()
    if "AVX512" not in capability:
        return False
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        check = getattr(torch.cpu, name, None)
        if check is not None and check():
            return True
    return False


# Multiply-adds (2 operations each) a second that eager float32 code of this kind reaches: two
# AVX-512 cores, and a recent GPU.
_NOMINAL_FLOPS = {"cpu": 9e10, "cuda": 5e12}


def nominal_seconds(flops: float, device: torch.device | str) -> float:
    """About how long ``flops`` floating-point operations of a small network take eagerly on
    ``device``; the same on every run."""
    return flops / _NOMINAL_FLOPS.get(torch.device(device).type, 9e10)


@contextlib.contextmanager
def claim(waiting: Callable[[str], None] = lambda line: None) -> Iterator[torch.device]:
    """The device of this process: a CUDA device that no other job of this host has claimed, or the
    CPU.

    Snakemake counts GPUs but hands out no numbers, so jobs side by side settle among themselves who
    computes where: each locks one. Where only one device is visible, as under a scheduler that
    assigns devices, that one is taken without a lock.

    Args:
        waiting: called, once, if all devices are taken.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    full_float32()
    if count == 0:
        yield torch.device("cpu")
    elif count == 1:
        yield torch.device("cuda", 0)
    else:
        # Jobs may number the same devices differently (CUDA_VISIBLE_DEVICES): only the identifier
        # is common to them.
        names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(count)]
        with claim_one(
            names, Path(tempfile.gettempdir()) / f"distillery-devices-{os.getuid()}", waiting
        ) as index:
            torch.cuda.set_device(index)
            yield torch.device("cuda", index)


@contextlib.contextmanager
def claim_one(
    names: Sequence[str], folder: Path, waiting: Callable[[str], None], poll_seconds: float = 0.5
) -> Iterator[int]:
    """Lock one of ``names`` for as long as the block runs, waiting until one is free; gives its
    index.

    The locks are the operating system's: they end with the process, however it ends.

    Args:
        folder: where the lock files lie, made if missing.
        waiting: called, once, if all are taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield index
            finally:
                lock.release()
            return
        if not told:
            waiting(f"all {len(names)} devices are taken: waiting for one")
            told = True
        time.sleep(poll_seconds)


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


@functools.cache
def keep_host_memory() -> None:
    """Let glibc keep freed memory instead of giving large blocks back to the kernel at once.

    A step allocates and frees the same large activations again and again; by default each is
    mapped, zeroed page by page and unmapped. Measured on 256 MNIST images, gradient of the ConvNet:
    eager float32 1.50 s to 0.72 s, compiled bfloat16 0.33 s to 0.25 s. It changes no result.
    Elsewhere than on Linux with glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 * 2**20)
