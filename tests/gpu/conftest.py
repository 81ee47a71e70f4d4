"""The device that this folder's tests run on: a CUDA device, or what ``GPU_TESTS_ON`` names.

``GPU_TESTS_ON=cpu`` runs what a CPU can run of them, which tries the tests, not a GPU.
"""

import os
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
NAMED = os.environ.get("GPU_TESTS_ON", "cuda")


def pytest_collection_modifyitems(items):
    missing = torch.device(NAMED).type == "cuda" and not torch.cuda.is_available()
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)
            if missing:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def device():
    return torch.device(NAMED)


@pytest.fixture
def cuda(device):
    """The device, where only CUDA has what is tested."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA device")
    return device
