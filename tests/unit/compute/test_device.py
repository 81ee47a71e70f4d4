"""Where and how a job computes: what is promised of a device, and what is done where a machine
lacks something."""

import os
import shutil
import warnings

import pytest
import torch

from distillery.compute import device
from distillery.compute.claim import claim
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
    "one that knows its version and nothing else": (
        'case "$*" in *--version*) echo "g++ 13"; exit 0;; esac\necho no headers >&2\nexit 1'
    ),
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_float32_is_float32_where_a_job_computes(tmp_path, starter):
    """TF32 is torch's default for convolutions on a GPU; whoever asks for it, by either of torch's
    names, gets an answer, and it is no."""
    script = (
        "import warnings\n"
        "import torch\n"
        "from distillery.compute.claim import claim\n"
        "warnings.simplefilter('error')\n"
        "with claim():\n"
        "    assert 'tf32' not in (torch.backends.cudnn.conv.fp32_precision, "
        "torch.backends.cudnn.fp32_precision)\n"
        "    with torch.backends.cudnn.flags(benchmark=True):\n"
        "        pass\n"
        "    assert torch.backends.cudnn.allow_tf32 is False and "
        "torch.backends.cuda.matmul.allow_tf32 is False\n"
        "    assert torch.get_float32_matmul_precision() == 'highest'\n"
    )
    starter.script(tmp_path / "job.py", script)


@pytest.mark.gpu
def test_a_convolution_on_a_gpu_has_the_digits_of_float32():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images, kernels = torch.randn(8, 128, 16, 16), torch.randn(128, 128, 3, 3)
    exact = torch.nn.functional.conv2d(images.double(), kernels.double(), padding=1)
    with claim() as place:
        found = (
            torch.nn.functional.conv2d(images.to(place), kernels.to(place), padding=1)
            .cpu()
            .double()
        )
    assert float((found - exact).norm() / exact.norm()) < 1e-6  # TF32: about 3e-4


# ---- CUDA graphs, whose errors a machine without a GPU can only make up --------------------------


class Graph:
    """Stands in for ``torch.compile``: with a graph it fails as it is given to, else it adds 1."""

    def __init__(self, monkeypatch, failures):
        self.failures, self.captured, self.plain = failures, 0, 0
        monkeypatch.setattr(torch, "compile", self.compile)

    def compile(self, function, mode=None, **options):
        def captured(x):
            self.captured += 1
            if self.failures:
                failure = self.failures.pop(0)
                if failure is not None:
                    failure()
            return function(x)

        def plain(x):
            self.plain += 1
            return function(x)

        return captured if mode == "reduce-overhead" else plain


def fails(error, after=None):
    """A call that raises ``error``, after another error ended the capture where one is given."""

    def failure():
        if after is None:
            raise error
        try:
            raise after
        finally:
            raise error

    return failure


OF_CAPTURING = [
    torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing\nmore"),
    torch.AcceleratorError("CUDA error: operation not supported\nmore"),
    RuntimeError(
        "Cannot copy between CPU and CUDA tensors during CUDA graph capture unless pinned"
    ),
]
ENDED = torch.AcceleratorError(
    "CUDA error: operation failed due to a previous error during capture\nmore"
)


def add_one(x):
    return x + 1


@pytest.mark.slow
@pytest.mark.parametrize("error", OF_CAPTURING, ids=str)
def test_where_no_graph_can_be_captured_the_function_goes_on_without_and_warns_once(
    monkeypatch, error
):
    graph = Graph(monkeypatch, [fails(error)])
    function = device._Captured(add_one)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [function(torch.tensor(x)).item() for x in (1, 2)] == [2, 3]
    assert (graph.captured, graph.plain) == (1, 2)
    assert [str(warning.message) for warning in told] == [
        f"capturing a CUDA graph failed, running without: {str(error).splitlines()[0]}"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("calls_before", [0, 2])
@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore"),
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"),
        RuntimeError("accessing tensor output of CUDAGraphs that has been overwritten"),
        RuntimeError(),
        ValueError("capture"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("ended", [False, True], ids=["alone", "ending the capture"])
def test_a_fault_of_the_function_itself_is_never_taken_for_a_failed_capture(
    monkeypatch, error, ended, calls_before
):
    ended = ended and isinstance(error, RuntimeError)
    failure = fails(ENDED, after=error) if ended else fails(error)
    graph = Graph(monkeypatch, [None] * calls_before + [failure])
    function = device._Captured(add_one)
    for _ in range(calls_before):
        function(torch.tensor(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(type(error)) as caught:
            function(torch.tensor(1))
    assert error in (caught.value, caught.value.__context__) and graph.plain == 0


@pytest.mark.slow
@pytest.mark.parametrize("ended", [False, True], ids=["alone", "ending the capture"])
def test_a_full_device_is_reported_as_that_and_a_smaller_call_may_follow(monkeypatch, ended):
    """Training halves its stack of networks then, and calls again while it handles the error."""
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    failure = fails(ENDED, after=full) if ended else fails(full)
    graph = Graph(monkeypatch, [failure, fails(OF_CAPTURING[0])])
    function = device._Captured(add_one)
    try:
        function(torch.tensor(1))
    except torch.OutOfMemoryError as error:
        assert error is full
        with pytest.warns(UserWarning, match="running without: CUDA error: operation not permit"):
            assert function(torch.tensor(1)).item() == 2
    assert (graph.captured, graph.plain) == (2, 1)
