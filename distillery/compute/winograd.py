"""3 x 3 convolutions in float32 on a CPU with a quarter of the multiplications (Winograd 1980;
Lavin and Gray, CVPR 2016, arXiv 1509.09308, F(4 x 4, 3 x 3)).

An output tile y of 4 x 4 pixels depends on an input tile d of 6 x 6 and the kernel g; with the
matrices below

    y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,

summed over input channels inside the brackets: 36 products of matrices (tiles, C) (C, O) instead of
144. The gradient in the images is the same convolution with the kernel turned; that in the kernel
is Gᵀ [Σ_tiles (Bᵀ d B) ⊗ (A ∂y Aᵀ)] G. It is the same sum in another order: float32 results agree
with the direct form to about 1e-5 of their norm.

Callers need no other code for it. A function that is compiled is first differentiated, as often
as it asks for, and what is left are plain convolutions in its graph; ``options`` has the compiler
put these in their place. So it serves gradients of gradients, and where it cannot be had (no C++
compiler, another device, bfloat16) nothing changes.

Measured on one AVX2 core (ConvNet of width 128 on 28 x 28, compiled, in seconds, before and after;
a second job kept the other core busy): gradient on 256 images 1.95 and 1.00, on 100 images 0.67 and
0.48; forward pass of 256 images 0.57 and 0.39; image gradient of DC at 1 image per class 0.25 and
0.18; five unrolled steps on 10 images 1.49 and 0.93. On AVX-512, on registers that are twice as
wide, a single convolution or gradient is 1.25 to 2.8 times as fast as oneDNN's, but for ten images
of 8 x 8 pixels, where they are alike (`python -m benchmarks.convolutions`; docs/speed.md).
"""

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

# The C++ is read on import: a job compares its files with its digest right after it imported them.
SOURCE = Path(__file__).with_suffix(".cpp").read_text(encoding="utf-8")

# The kernels work on so many tiles at once; for fewer than these the usual convolution is faster.
FEWEST_TILES = 32

log = logging.getLogger("distillery")
aten = torch.ops.aten


# What the code that torch's compiler writes asks of a C++ compiler: its library, OpenMP and
# Python's headers.
_TRIAL = (
    "#include <cmath>\n#include <Python.h>\n#ifdef _OPENMP\n#include <omp.h>\n#endif\ndouble "
    "trial(double x) { return std::tanh(x); }\n"
)


def compiler() -> str | None:
    """Find the first C++ compiler that works: ``CXX`` where that is set, then the usual ones;
    ``None`` if there is none."""
    names = (os.environ.get("CXX", ""), "g++", "clang++", "c++")
    return next((path for path in map(shutil.which, names) if path and _works(path)), None)


@functools.cache
def _works(program: str) -> bool:
    """Try whether a compiler builds a library of a few lines. One that is there may be a stub, or
    lack its headers."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program,
            "-x",
            "c++",
            "-std=c++17",
            "-shared",
            "-fPIC",
            f"-I{sysconfig.get_path('include')}",
        ]
        command += ["-fopenmp"] if sys.platform == "linux" else ["-undefined", "dynamic_lookup"]
        try:
            done = subprocess.run(
                [*command, "-", "-o", f"{folder}/trial.so"],
                input=_TRIAL,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            log.info("the compiler %s does not run: %s", program, error)
            return False
        works = done.returncode == 0 and Path(folder, "trial.so").is_file()
    if not works:
        complaints = [line for line in done.stderr.splitlines() if line.strip()]
        log.info(
            "the compiler %s does not work: %s",
            program,
            complaints[0].strip() if complaints else f"status {done.returncode}",
        )
    return works


@functools.cache
def library() -> ctypes.CDLL | None:
    """Compile the kernels for this processor, once per machine where ``TORCHINDUCTOR_CACHE_DIR`` is
    kept, and load them; ``None`` where that is not possible."""
    program = compiler()
    # Other processors have other registers, for which the block sizes are wrong.
    if program is None or not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return None
    command = [
        program,
        "-x",
        "c++",
        "-std=c++17",
        "-O3",
        "-march=native",
        "-pthread",
        "-shared",
        "-fPIC",
        "-",
    ]
    try:
        # A cache that several kinds of machine share, as on a cluster, needs a name for each.
        known = subprocess.run(
            [program, "-march=native", "-E", "-v", "-x", "c++", os.devnull],
            capture_output=True,
            check=True,
            text=True,
        ).stderr
        target = "".join(
            line
            for line in known.splitlines()
            if "cc1plus" in line or "target-cpu" in line or "version" in line
        )
        name = hashlib.sha256("\0".join([SOURCE, *command, target]).encode()).hexdigest()[:16]
        with contextlib.ExitStack() as stack:
            # Without a cache the file may go as soon as it is loaded.
            folder = Path(
                os.environ.get("TORCHINDUCTOR_CACHE_DIR")
                or stack.enter_context(tempfile.TemporaryDirectory())
            )
            path = folder / f"winograd-{name}.so"
            if not _whole(path):
                folder.mkdir(parents=True, exist_ok=True)
                fresh = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)), "new.so")
                subprocess.run(
                    [*command, "-o", str(fresh)],
                    input=SOURCE,
                    capture_output=True,
                    check=True,
                    text=True,
                )
                content = fresh.read_bytes()
                fresh.write_bytes(content + hashlib.sha256(content).digest())
                fresh.replace(path)
            loaded = ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        log.info(
            "the fast 3 x 3 convolutions cannot be had here, the usual ones serve: %s",
            reason[-1] if reason else error,
        )
        return None
    loaded.scratch.restype = ctypes.c_long
    return loaded


def _whole(path: Path) -> bool:
    """Check that a library is there and is what was written: its last 32 bytes are the digest of
    the others.

    To load one that was cut short ends the process (SIGBUS); a loader reads none of what stands
    behind the sections.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def fits(images: Tensor, inputs: int, outputs: int) -> bool:
    """Tell whether the kernels can convolve ``images`` (N, C, H, W) from ``inputs`` to ``outputs``
    channels (of a group) and are faster at it."""
    if images.device.type != "cpu" or images.dtype != torch.float32 or images.ndim != 4:
        return False
    count, _, height, width = images.shape
    kernels = library()
    if kernels is None or height % 4 or width % 4 or count * height * width < 16 * FEWEST_TILES:
        return False
    # Both ways: what comes in here goes out in the gradient.
    return not any(number % (2 * kernels.lanes()) for number in (inputs, outputs))


def _call(function: Any, *tensors: Tensor, sizes: tuple[int, ...], flags: tuple[int, ...]) -> None:
    function(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_long, sizes),
        *map(ctypes.c_int, flags),
    )


def _split(tensor: Tensor, groups: int) -> list[Tensor]:
    return [part.contiguous(memory_format=torch.channels_last) for part in tensor.chunk(groups, 1)]


@torch.library.custom_op("distillery::convolve", mutates_args=(), device_types="cpu")
def convolve(images: Tensor, kernels: Tensor, back: bool, groups: int) -> Tensor:
    """Convolve ``images`` (N, G·C, H, W) with ``kernels`` (G·O, C, 3, 3), padding 1: (N, G·O, H, W)
    in channels-last layout.

    Both float32; ``fits`` must hold. It has no derivative of its own.

    Args:
        images: (N, G·C, H, W) float32.
        kernels: (G·O, C, 3, 3) float32.
        back: the transpose of the convolution with ``kernels`` (G·C, O, 3, 3), which carries a
            derivative in its result back to its images.
        groups: G; each has its own channels and kernels.
    """
    compiled, threads = library(), torch.get_num_threads()
    assert compiled is not None  # without it no graph has this operation
    count, _, height, width = images.shape
    results = []
    for x, g in zip(_split(images, groups), kernels.chunk(groups), strict=True):
        channels, outputs = g.shape[:2] if back else g.shape[1::-1]
        transformed = torch.empty(36, channels * outputs)
        _call(
            compiled.transform,
            g.contiguous(),
            transformed,
            sizes=(channels, outputs),
            flags=(back, threads),
        )
        result = torch.empty((count, outputs, height, width), memory_format=torch.channels_last)
        space = torch.empty(threads, compiled.scratch(channels, outputs))
        _call(
            compiled.convolve,
            x,
            transformed,
            result,
            space,
            sizes=(count, height, width, channels, outputs),
            flags=(threads,),
        )
        results.append(result)
    return (
        results[0]
        if groups == 1
        else torch.cat(results, 1).contiguous(memory_format=torch.channels_last)
    )


@convolve.register_fake
def _(images: Tensor, kernels: Tensor, back: bool, groups: int) -> Tensor:
    outputs = groups * kernels.shape[1] if back else kernels.shape[0]
    shape = (images.shape[0], outputs, *images.shape[2:])
    return torch.empty(
        shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last
    )


@torch.library.custom_op("distillery::correlate", mutates_args=(), device_types="cpu")
def correlate(images: Tensor, derivative: Tensor, groups: int) -> Tensor:
    """Compute the derivative (G·O, C, 3, 3) in the kernels of a convolution of ``images``
    (N, G·C, H, W), padding 1, from that in its result (N, G·O, H, W)."""
    compiled, threads = library(), torch.get_num_threads()
    assert compiled is not None  # without it no graph has this operation
    count, _, height, width = images.shape
    results = torch.empty(derivative.shape[1], images.shape[1] // groups, 3, 3)
    for x, g, result in zip(
        _split(images, groups), _split(derivative, groups), results.chunk(groups), strict=True
    ):
        channels, outputs = x.shape[1], g.shape[1]
        sums = torch.zeros(threads, 36, channels * outputs)
        space = torch.empty(threads, compiled.scratch(channels, outputs))
        _call(
            compiled.correlate,
            x,
            g,
            sums,
            space,
            sizes=(count, height, width, channels, outputs),
            flags=(threads,),
        )
        _call(
            compiled.transform_back,
            sums,
            result,
            sizes=(channels, outputs),
            flags=(threads, threads),
        )
    return results


@correlate.register_fake
def _(images: Tensor, derivative: Tensor, groups: int) -> Tensor:
    return images.new_empty(derivative.shape[1], images.shape[1] // groups, 3, 3)


def rewrite(graph: torch.fx.Graph) -> int:
    """Replace the convolutions of a graph of ATen operations that ``fits`` allows, and their
    derivatives; gives how many."""
    replaced = 0
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if node.target is aten.convolution.default:
            replaced += _forward(graph, node)
        elif node.target is aten.convolution_backward.default:
            replaced += _backward(graph, node)
    if replaced:
        graph.lint()
    return replaced


def _plain(stride: Any, padding: Any, dilation: Any, output_padding: Any) -> bool:
    return [list(value) for value in (stride, padding, dilation)] == [[1, 1]] * 3 and not any(
        output_padding
    )


def _arguments(node: torch.fx.Node) -> tuple[Any, ...]:
    """Return what a node is called with: its operation says of which types."""
    return cast(tuple[Any, ...], node.args)


def _shape(node: torch.fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _emit(graph: torch.fx.Graph, target: Any, *arguments: Any, **more: Any) -> torch.fx.Node:
    """Add a node with the fake value that later passes ask for."""
    node = graph.call_function(target, arguments, more)
    node.meta["val"] = target(
        *torch.fx.map_arg(arguments, lambda argument: argument.meta["val"]), **more
    )
    return node


def _last(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    """Bring ``node`` to channels-last layout; this is fused into what makes the tensor, which then
    comes out so."""
    return _emit(graph, aten.clone.default, node, memory_format=torch.channels_last)


def _convolved(
    graph: torch.fx.Graph, images: torch.fx.Node, kernels: torch.fx.Node, *, back: bool, groups: int
) -> torch.fx.Node:
    return _emit(
        graph, torch.ops.distillery.convolve.default, _last(graph, images), kernels, back, groups
    )


def _correlated(
    graph: torch.fx.Graph, images: torch.fx.Node, derivative: torch.fx.Node, *, groups: int
) -> torch.fx.Node:
    return _emit(
        graph,
        torch.ops.distillery.correlate.default,
        _last(graph, images),
        _last(graph, derivative),
        groups,
    )


def _swapped(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    return _emit(graph, aten.permute.default, node, [1, 0, 2, 3])


def _forward(graph: torch.fx.Graph, node: torch.fx.Node) -> bool:
    images, kernels, bias, stride, padding, dilation, transposed, output_padding, groups = (
        _arguments(node)
    )
    if not _plain(stride, padding, dilation, output_padding):
        return False
    seen, (first, second, *size) = images.meta["val"], _shape(kernels)
    with graph.inserting_before(node):
        if size == [3, 3] and fits(seen, first // groups, second):
            result = _convolved(graph, images, kernels, back=transposed, groups=groups)
        elif (
            size == list(seen.shape[2:])
            and groups == 1
            and not transposed
            and fits(seen.transpose(0, 1), seen.shape[0], first)
        ):
            # A derivative in kernels, as it comes out of a second differentiation: images (C, N, H,
            # W), kernels (O, N, H, W), 3 x 3 shifts.
            result = _swapped(
                graph,
                _correlated(graph, _swapped(graph, images), _swapped(graph, kernels), groups=1),
            )
        else:
            return False
        if bias is not None:
            result = _emit(
                graph, aten.add.Tensor, result, _emit(graph, aten.view.default, bias, [-1, 1, 1])
            )
    node.replace_all_uses_with(result)
    graph.erase_node(node)
    return True


def _backward(graph: torch.fx.Graph, node: torch.fx.Node) -> bool:
    (
        derivative,
        images,
        kernels,
        _,
        stride,
        padding,
        dilation,
        transposed,
        output_padding,
        groups,
        _,
    ) = _arguments(node)
    outputs, inputs, *size = _shape(kernels)
    if (
        transposed
        or size != [3, 3]
        or not _plain(stride, padding, dilation, output_padding)
        or not fits(images.meta["val"], inputs, outputs // groups)
    ):
        return False
    with graph.inserting_before(node):
        for part in list(node.users):
            if part.args[1] == 0:
                result = _convolved(graph, derivative, kernels, back=True, groups=groups)
            elif part.args[1] == 1:
                result = _correlated(graph, images, derivative, groups=groups)
            else:
                result = _emit(graph, aten.sum.dim_IntList, derivative, [0, 2, 3])
            part.replace_all_uses_with(result)
            graph.erase_node(part)
    graph.erase_node(node)
    return True


def options() -> dict[str, Any]:
    """Return the ``options`` of ``torch.compile`` with which compiled functions use these
    convolutions; empty where they cannot be had."""
    if library() is None:
        return {}
    # Late: importing the compiler takes seconds, which a job that compiles nothing should not pay.
    from torch._inductor.custom_graph_pass import CustomGraphPass

    class Pass(CustomGraphPass):
        def __call__(self, graph: torch.fx.Graph) -> None:
            rewrite(graph)

        def uuid(self) -> str:
            """Name this pass in the compiler's cache, so that code of other kernels is not taken
            for its own."""
            return hashlib.sha256(Path(__file__).read_bytes() + SOURCE.encode()).hexdigest()

    return {"post_grad_custom_pre_pass": Pass()}
