"""Distil a folder of pictures."""

import argparse
import os
import shlex
import time
from pathlib import Path
from typing import Any

from distillery.commands import _images, _settings
from distillery.errors import UserError

EXAMPLES = """\
  distillery distil pictures --ipc 10 --iterations 500 -o set.safetensors
  distillery distil pictures --size 64 --method dc --init noise --ipc 1 -o dc.safetensors
  distillery distil pictures --method herding --ipc 10 -o herding.safetensors
  distillery distil garments.parquet --ipc 10 --iterations 500 -o garments.safetensors
  distillery distil digits --iterations 100 --set lr_images=5 -o digits.safetensors

pictures holds a sub-folder for each class, or train and test with these in them. What is tested on
is not distilled from: `distillery evaluate SET --on pictures` finds it again.
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "images",
        metavar="IMAGES",
        help=_images.IMAGES,
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the set, a .safetensors"
    )
    parser.add_argument("--method", default="dm", help="how (default: dm)")
    parser.add_argument(
        "--ipc", type=int, default=10, metavar="N", help="images per class (default: 10)"
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="how many (default: as the method was published, such as 20000 of dm: hours without a "
        "GPU)",
    )
    parser.add_argument(
        "--init",
        default="real",
        choices=["real", "noise"],
        help="what the images start from (default: real)",
    )
    parser.add_argument("--network", default="ConvNet", help="that distils (default: ConvNet)")
    parser.add_argument("--seed", type=int, default=0, help="tells replicates apart (default: 0)")
    _settings.declare_set(parser, "another setting of the method, such as lr_images=5")
    parser.add_argument(
        "--experts",
        type=int,
        metavar="N",
        help="how many experts to train first, for methods that learn from them",
    )
    _images.declare(parser, shape=True)
    _images.declare_sources(parser)
    parser.add_argument("--name", help="what the set calls the dataset (default: the folder's)")
    parser.add_argument(
        "--force", action="store_true", help="write over a file that is there already"
    )
    _settings.declare_compute(parser)


def run(given: argparse.Namespace) -> None:
    """Write the set, and say what it is.

    Raises:
        UserError: the output cannot be written, or as ``distillery.distil``.
    """
    output = Path(given.output)
    if output.suffix != ".safetensors":
        raise UserError(f"--output: {output}: must end in .safetensors")
    if output.exists() and not given.force:
        raise UserError(f"--output: {output} is there already; --force writes over it")
    if not os.access(output.parent, os.W_OK):
        raise UserError(f"--output: the folder {output.parent} is not there, or not writable")
    settings = _settings.read(given.settings)
    if given.iterations is not None:
        settings.setdefault("iterations", given.iterations)
    began = time.monotonic()
    arrays = _images.read(given, given.images, given.size, given.channels)
    spec = arrays.spec
    more: dict[str, Any] = {} if given.experts is None else {"experts": given.experts}

    from distillery.api.distilling import distil
    from distillery.sets import facts

    synthetic = distil(
        arrays.train_images,
        arrays.train_labels,
        given.method,
        given.ipc,
        init=given.init,
        network=given.network,
        seed=given.seed,
        name=given.name or spec["name"],
        classes=spec["classes"],
        layout="NCHW",
        mean=spec["mean"],
        std=spec["std"],
        flip=spec["horizontal_flip"],
        licence=spec["licence"],
        home=spec["home"],
        device=given.device,
        threads=given.threads,
        **more,
        **settings,
    )
    synthetic.save(output)
    print(
        f"{output}: {facts.title(synthetic)}, from {len(arrays.train_images)} images in "
        f"{time.monotonic() - began:.0f} s"
    )
    words = ["evaluate", str(output), "--on", given.images, *_images.again(given)]
    tested = f"the other {len(arrays.test_images)}"
    print(f"What it is worth on {tested}: distillery {shlex.join(words)}")
