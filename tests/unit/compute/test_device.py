"""Where and how a job computes: what is promised of a device, and what is done where a machine
lacks something."""

import os
import shutil
import subprocess
import sys
import warnings

import pytest
import torch

from distillery.compute import device
from distillery.compute.device import Compute


def stub(folder, name, body):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


BROKEN = {
    "one that fails": "exit 1",
    "one that makes nothing": "exit 0",
    "one that knows its version and nothing else": 'case "$*" in *--version*) echo "g++ 13"; exit 0;; esac\necho no headers >&2\nexit 1',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_broken_compiler_means_eager_and_one_warning(tmp_path, monkeypatch, body):
    for name in ("g++", "clang++", "c++"):
        stub(tmp_path, name, body)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "")
    device.can_compile.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(3):

                def function(x):
                    return x + 1

                assert Compute().compiled(function, device="cpu", expected_seconds=1e9) is function
                assert Compute().low_precision("cpu", 1e9) is None
        assert [str(warning.message) for warning in told] == [
            "no C++ compiler that works was found: running without torch.compile, which is slower"
        ]
    finally:
        device.can_compile.cache_clear()


def test_the_next_compiler_serves_where_the_first_is_broken(tmp_path, monkeypatch):
    stub(tmp_path, "g++", "exit 1")
    working = stub(tmp_path, "clang++", f'exec {shutil.which("g++")} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CXX", str(tmp_path / "g++"))
    device.can_compile.cache_clear()
    try:
        assert device.can_compile("cpu")
        assert os.environ["CXX"] == str(working), "torch itself looks for g++ alone"
    finally:
        device.can_compile.cache_clear()


def test_float32_is_float32_where_a_job_computes():
    """TF32 is torch's default for convolutions on a GPU; whoever asks for it, by either of torch's
    names, gets an answer, and it is no."""
    script = (
        "import warnings\n"
        "import torch\n"
        "from distillery import device\n"
        "warnings.simplefilter('error')\n"
        "with device.claim():\n"
        "    assert 'tf32' not in (torch.backends.cudnn.conv.fp32_precision, "
        "torch.backends.cudnn.fp32_precision)\n"
        "    with torch.backends.cudnn.flags(benchmark=True):\n"
        "        pass\n"
        "    assert torch.backends.cudnn.allow_tf32 is False and "
        "torch.backends.cuda.matmul.allow_tf32 is False\n"
        "    assert torch.get_float32_matmul_precision() == 'highest'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.gpu
def test_a_convolution_on_a_gpu_has_the_digits_of_float32():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images, kernels = torch.randn(8, 128, 16, 16), torch.randn(128, 128, 3, 3)
    exact = torch.nn.functional.conv2d(images.double(), kernels.double(), padding=1)
    with device.claim() as place:
        found = (
            torch.nn.functional.conv2d(images.to(place), kernels.to(place), padding=1)
            .cpu()
            .double()
        )
    assert float((found - exact).norm() / exact.norm()) < 1e-6  # TF32: about 3e-4
