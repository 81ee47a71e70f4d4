"""What a result cost: counts against closed forms, and measurements against what was done."""

import inspect
import json
import logging
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from distillery import networks
from distillery.errors import UserError
from distillery.run import meter
from distillery.run.meter import Meter
from distillery.store.metrics import Metrics

CONVNET = {"name": "ConvNet", "channels": 3, "size": 32, "classes": 10}


def convnet_macs(channels, classes, width=128, depth=3, side=32, norm=5):
    """Convolutions and the linear layer, and ``norm`` operations an element of what is
    normalised."""
    total, inputs = 0, channels
    for _ in range(depth):
        total += inputs * width * 9 * side**2 + norm * width * side**2
        inputs, side = width, side // 2
    return total + width * side**2 * classes


@pytest.mark.parametrize(
    "network, expected",
    [
        (CONVNET, convnet_macs(3, 10)),
        ({**CONVNET, "channels": 1, "size": 28}, convnet_macs(1, 10)),
        ({**CONVNET, "classes": 100}, convnet_macs(3, 100)),
        ({**CONVNET, "size": 8, "options": {"width": 8, "depth": 2}}, convnet_macs(3, 10, 8, 2, 8)),
        ({**CONVNET, "options": {"norm": "none"}}, convnet_macs(3, 10, norm=0)),
        ({**CONVNET, "options": {"norm": "group"}}, convnet_macs(3, 10)),
        ({**CONVNET, "options": {"norm": "layer"}}, convnet_macs(3, 10)),
        (
            {"name": "MLP", "channels": 1, "size": 28, "classes": 10},
            784 * 128 + 128 * 128 + 128 * 10,
        ),
    ],
)
def test_multiply_accumulates_are_those_of_the_layers(network, expected):
    assert networks.macs(network) == expected


def test_the_convnet_takes_51_6_million():
    assert networks.macs(CONVNET) == pytest.approx(51.6e6, abs=0.05e6)


def test_counting_leaves_no_trace():
    state, level = torch.get_rng_state(), logging.getLogger("fvcore").level
    networks.macs({**CONVNET, "size": 8})
    assert torch.equal(torch.get_rng_state(), state) and logging.getLogger("fvcore").level == level
    with pytest.raises(UserError, match="unknown network"):
        networks.macs({**CONVNET, "name": "Conv"})


def test_training_takes_three_passes_of_two_operations_a_multiply_accumulate():
    assert networks.training_flops(51_000_000, 7) == 2 * 3 * 51_000_000 * 7
    assert isinstance(networks.training_flops(torch.tensor(5), torch.tensor(2)), int)


def test_what_training_takes_is_recorded():
    network = {**CONVNET, "size": 8, "options": {"width": 8, "depth": 2}}
    metrics = Metrics(dataset="toy")
    networks.record_training(metrics, network, images=50, epochs=4)
    macs = convnet_macs(3, 10, 8, 2, 8)
    parameters = (3 * 8 * 9 + 3 * 8) + (8 * 8 * 9 + 3 * 8) + (8 * 4 * 10 + 10)
    assert {row["measure"]: row["value"] for row in metrics.rows} == {
        "macs_per_image": macs,
        "parameters": parameters,
        "images_seen": 200,
        "training_flops": 6 * macs * 200,
    }
    assert all(row["dataset"] == "toy" for row in metrics.rows)


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
