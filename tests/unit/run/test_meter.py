"""What a result cost: counts against closed forms, and measurements against what was done."""

import inspect
import json
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from distillery.run import meter
from distillery.run.meter import Meter


def test_a_meter_measures_time_and_memory():
    size = 64 * 2**20
    with Meter("cpu") as meter:
        time.sleep(0.05)
        held = torch.ones(size, dtype=torch.uint8)
    assert 0.05 <= meter.seconds < 30
    assert meter.memory_kind == "host" and meter.peak_memory_bytes > held.numel()
    assert meter.energy_joules is None
    record = json.loads(json.dumps(meter.record()))
    assert (
        record["seconds"] == meter.seconds
        and record["peak_memory_bytes"] == meter.peak_memory_bytes
    )
    assert (
        record["device"] == "cpu"
        and record["device_name"]
        and record["threads"] == torch.get_num_threads()
    )
    assert (
        record["versions"]["torch"] == torch.__version__
        and {"python", "numpy"} <= record["versions"].keys()
    )


def test_a_meter_measures_work_that_failed():
    meter = Meter("cpu")
    with pytest.raises(ZeroDivisionError), meter:
        time.sleep(0.01)
        _ = 1 / 0
    assert meter.seconds >= 0.01 and meter.peak_memory_bytes > 0


class FakeNvml:
    """NVML as ``nvidia-ml-py`` gives it, with one GPU. Every name that is asked for must be one of
    the real module's."""

    def __init__(self, real, *, sliced=False, counts=True):
        self._real, self._readings = real, iter([5_000_000, 5_250_500])
        self._sliced, self._counts, self.open = sliced, counts, 0

    def __getattr__(self, name):
        return getattr(self._real, name)

    def nvmlInit(self):  # noqa: N802
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if not self.open or uuid != "GPU-01234567-89ab-cdef-0123-456789abcdef":
            raise self._real.NVMLError(self._real.NVML_ERROR_NOT_FOUND)
        return "handle"

    def nvmlDeviceGetMigMode(self, handle):  # noqa: N802
        if self._sliced is None:
            raise self._real.NVMLError(self._real.NVML_ERROR_NOT_SUPPORTED)
        return [int(self._sliced), 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if handle != "handle" or not self._counts:
            raise self._real.NVMLError(self._real.NVML_ERROR_NOT_SUPPORTED)
        return next(self._readings)


UUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("uuid", "changes", "expected"),
    [
        (UUID, {}, 250.5),  # millijoules
        (f"GPU-{UUID}", {}, 250.5),
        (UUID, {"sliced": None}, 250.5),  # a GPU that cannot be divided
        (UUID, {"sliced": True}, None),
        (f"MIG-{UUID}", {}, None),
        ("another", {}, None),
        (UUID, {"counts": False}, None),  # before Volta
    ],
)
def test_the_energy_of_a_gpu_is_the_difference_of_its_counter(monkeypatch, uuid, changes, expected):
    real = pytest.importorskip("pynvml")
    fake = FakeNvml(real, **changes)
    for name in (name for name in vars(FakeNvml) if name.startswith("nvml")):
        own, theirs = (
            len(inspect.signature(inspect.unwrap(getattr(module, name))).parameters)
            for module in (fake, real)
        )
        assert own == theirs, name
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuid)
    )
    first, second = (meter._energy_joules(torch.device("cuda", 0)) for _ in range(2))
    assert (None if first is None else second - first) == expected
    assert fake.open == 0


def test_without_nvml_no_energy_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert (
        meter._energy_joules(torch.device("cuda", 0)) is None
        and meter._energy_joules(torch.device("cpu")) is None
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_meter_on_a_gpu_measures_the_memory_of_its_block():
    size = 64 * 2**20
    before = torch.ones(4 * size, dtype=torch.uint8, device="cuda")
    del before
    with Meter("cuda") as meter:
        torch.ones(size, dtype=torch.uint8, device="cuda").sum()
    assert meter.memory_kind == "device" and size <= meter.peak_memory_bytes < 3 * size
