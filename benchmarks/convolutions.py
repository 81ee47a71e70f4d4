"""The 3 x 3 convolutions of ``distillery/compute/winograd.py`` beside oneDNN's, one by one.

python -m benchmarks.convolutions    a Markdown table, about a minute on one CPU core
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from distillery.compute import process, winograd

# (images, channels in and out, pixels a side): a ConvNet of width 128 has the second and third on
# CIFAR-10, the first on images of 64 pixels; the fourth is of a narrow network.
SHAPES = tuple(
    (images, channels, size)
    for images in (10, 100, 256)
    for channels, size in ((128, 32), (128, 16), (128, 8), (32, 16))
)
HEAD = (
    "| images | channels, pixels | convolution: oneDNN | ours | faster | gradient in the kernel: "
    "oneDNN | ours | faster |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def milliseconds(function: Callable[[], object], budget: float) -> float:
    """Return the least processor time of a call, in milliseconds, after a first that is not
    counted.

    Args:
        function: what is called.
        budget: seconds of processor time after which no more calls are made; one is always.
    """
    function()
    best, spent = float("inf"), 0.0
    while not spent or spent < budget:
        before = time.process_time()
        function()
        seconds = time.process_time() - before
        best, spent = min(best, seconds), spent + max(seconds, 1e-6)
    return 1e3 * best


def _layouts(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.contiguous(), images.contiguous(memory_format=torch.channels_last)


def rows(shapes: Sequence[tuple[int, int, int]], budget: float) -> Iterator[str]:
    """Measure each shape and yield its row of the table; oneDNN has the faster of two layouts.

    Args:
        shapes: (images, channels, pixels a side) each.
        budget: seconds of processor time for each figure.
    """
    for count, channels, size in shapes:
        images = torch.randn(count, channels, size, size)
        if not winograd.fits(images, channels, channels):
            yield f"| {count} | {channels}, {size} x {size} | not computed by ours |" + " |" * 5
            continue
        kernels = torch.randn(channels, channels, 3, 3)
        plain, last = _layouts(images)
        derivatives = _layouts(torch.randn_like(images))
        usual = min(
            milliseconds(lambda x=x, g=kernels: functional.conv2d(x, g, padding=1), budget)
            for x in (plain, last)
        )
        ours = milliseconds(lambda x=last, g=kernels: winograd.convolve(x, g, False, 1), budget)
        usual_back = min(
            milliseconds(
                lambda x=x, d=d, g=kernels: torch.ops.aten.convolution_backward(
                    d, x, g, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False]
                ),
                budget,
            )
            for x, d in zip((plain, last), derivatives, strict=True)
        )
        ours_back = milliseconds(
            lambda x=last, d=derivatives[1]: winograd.correlate(x, d, 1), budget
        )
        yield (
            f"| {count} | {channels}, {size} x {size} | {usual:.2f} | {ours:.2f} | "
            f"{usual / ours:.2f}x | {usual_back:.2f} | {ours_back:.2f} | "
            f"{usual_back / ours_back:.2f}x |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description="Time single 3 x 3 convolutions, ours and oneDNN's."
    )
    parser.add_argument("--quick", action="store_true", help="small shapes alone, a second")
    quick = parser.parse_args(arguments).quick
    process.keep_host_memory()
    torch.set_num_threads(1)
    processor = torch.backends.cpu.get_cpu_capability()
    print(f"Milliseconds of processor time on one core ({processor}), torch {torch.__version__}\n")
    print(HEAD)
    for row in rows([(10, 32, 16)] if quick else SHAPES, 0.01 if quick else 0.5):
        print(row, flush=True)


if __name__ == "__main__":
    main()
