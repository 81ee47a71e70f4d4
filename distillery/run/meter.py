"""What a job took: time, memory and energy, and on what it was measured."""

import importlib.metadata
import platform
import sys
import threading
import time
from types import ModuleType
from typing import Any

import torch

from distillery.compute import processor

PACKAGES = ("torch", "torchvision", "numpy", "fvcore", "safetensors", "snakemake")


class Meter:
    """Measures what happens inside a ``with`` block on one device. Read the attributes after it, or
    ``record()``.

    Attributes:
        seconds: wall time, by ``time.perf_counter``; the device is waited for at both ends.
        peak_memory_bytes: on CUDA the most memory that tensors held inside the block; else the most
            resident memory that this process has had since it started (so measure one job per
            process); ``None`` where the system does not say.
        memory_kind: ``device`` or ``host``.
        energy_joules: what the GPU as a whole drew, other jobs on it included, by NVML; ``None``
            where there is no NVML.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.memory_kind = "device" if self.device.type == "cuda" else "host"
        self.seconds: float | None = None
        self.peak_memory_bytes: int | None = None
        self.energy_joules: float | None = None

    def __enter__(self) -> "Meter":
        _synchronise(self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._energy = _energy_joules(self.device)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        _synchronise(self.device)
        self.seconds = time.perf_counter() - self._start
        energy = _energy_joules(self.device)
        # The counter restarts where the driver is loaded again.
        if energy is not None and self._energy is not None and energy >= self._energy:
            self.energy_joules = energy - self._energy
        if self.device.type == "cuda":
            self.peak_memory_bytes = torch.cuda.max_memory_allocated(self.device)
        else:
            self.peak_memory_bytes = _peak_resident_bytes()

    def record(self) -> dict:
        """Return the measurements and where they were made, ready for JSON: what a job's
        ``cost.json`` takes from here."""
        return {
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "memory_kind": self.memory_kind,
            "energy_joules": self.energy_joules,
            "device": self.device.type,
            "device_name": device_name(self.device),
            "threads": torch.get_num_threads(),
            "versions": versions(),
        }


def device_name(device: torch.device | str) -> str:
    """Return the GPU's name, or the processor's model as the system tells it."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor.name()


def versions() -> dict[str, str]:
    """List the versions of Python, of the packages that compute, and of CUDA where torch was built
    with it."""
    versions_by_name = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions_by_name[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    # The installed file says more than the metadata: which build (+cpu, +cu130) it is.
    versions_by_name["torch"] = str(torch.__version__)
    if torch.version.cuda:
        versions_by_name["cuda"] = torch.version.cuda
    return versions_by_name


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_resident_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


_nvml_lock = threading.Lock()


def _energy_joules(device: torch.device) -> float | None:
    """Read the GPU's energy counter; ``None`` where there is none (no NVML, an old GPU, a slice of
    one)."""
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    # NVML numbers the machine's GPUs, torch those that this process may see: only the identifier is
    # common to both. NVML wants it with a prefix, which torch leaves out.
    identifier = str(torch.cuda.get_device_properties(device).uuid)
    if not identifier.startswith(("GPU-", "MIG-")):
        identifier = f"GPU-{identifier}"
    with _nvml_lock:
        try:
            pynvml.nvmlInit()
            try:
                handle = pynvml.nvmlDeviceGetHandleByUUID(identifier)
                if identifier.startswith("MIG-") or _is_sliced(pynvml, handle):
                    return None
                return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000  # millijoules
            finally:
                pynvml.nvmlShutdown()
        except pynvml.NVMLError:
            return None


def _is_sliced(pynvml: ModuleType, handle: Any) -> bool:
    """Tell whether the GPU is divided (MIG): its counter is of all its slices together."""
    try:
        return pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:  # a GPU that cannot be divided
        return False
