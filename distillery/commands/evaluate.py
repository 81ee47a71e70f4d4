"""Train networks on a synthetic set, and test them."""

import argparse
import os
from pathlib import Path
from typing import Any

from distillery.commands import _images, _settings
from distillery.errors import UserError

EXAMPLES = """\
  distillery evaluate set.safetensors --on pictures
  distillery evaluate set.safetensors --on pictures --networks ConvNet MLP --models 3
  distillery evaluate set.safetensors --on CIFAR10 --set epochs=300 --csv accuracies.csv

Of a folder the pictures are tested on that `distillery distil` held out: those of its folder test,
or the same share of each class. Networks are trained as the protocol says that the set brings.
"""
# What is measured too where there are two classes, or test images of uneven ones.
_UNEVEN = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("set", metavar="SET", help="a synthetic.safetensors")
    parser.add_argument(
        "--on",
        metavar="IMAGES",
        required=True,
        help=f"{_images.IMAGES}: its test images",
    )
    parser.add_argument(
        "--networks", nargs="+", metavar="NAME", help="that are trained (default: the set's own)"
    )
    parser.add_argument(
        "--models", type=int, default=5, metavar="N", help="networks of each kind (default: 5)"
    )
    _settings.declare_set(parser, "how they are trained, such as epochs=300 or augment=none")
    _images.declare(parser, shape=False)
    _images.declare_sources(parser)
    parser.add_argument("--csv", metavar="FILE", help="write a row for each network there")
    _settings.declare_compute(parser)


def run(given: argparse.Namespace) -> None:
    """Print what the networks reach, a line each kind.

    Raises:
        UserError: as ``distillery.evaluate``.
    """
    from distillery import load
    from distillery.api.evaluating import evaluate
    from distillery.sets import facts

    recipe = _settings.read(given.settings)
    if given.csv and not os.access(Path(given.csv).parent, os.W_OK):
        raise UserError(f"--csv: the folder {Path(given.csv).parent} is not there, or not writable")
    file = facts.own_file(given.set)
    if file is None:
        raise UserError(f"{given.set}: is not one of ours; `distillery check` says what it is")
    synthetic = load(file)
    channels, height, width = synthetic.images.shape[1:]
    arrays = _images.read(given, given.on, [height, width], channels)
    _same_classes(arrays.spec["classes"], synthetic.header["classes"], given.on)
    more: dict[str, Any] = {} if given.networks is None else {"networks": given.networks}
    table = evaluate(
        synthetic,
        arrays.test_images,
        arrays.test_labels,
        models=given.models,
        layout="NCHW",
        flip=arrays.spec["horizontal_flip"],
        device=given.device,
        threads=given.threads,
        **more,
        **recipe,
    )
    if given.csv:
        table.to_csv(given.csv, index=False)
    print(f"{facts.title(synthetic)}; {len(arrays.test_images)} test images")
    for name, rows in table.groupby("network", sort=False):
        values = rows["accuracy"]
        spread = f", standard deviation {100 * values.std():.1f}" if len(values) > 1 else ""
        networks = facts.counted(len(values), "network")
        others = "".join(
            f", {words} {100 * rows[measure].mean():.1f} %"
            for measure, words in _UNEVEN.items()
            if measure in rows
        )
        print(f"{name}: accuracy {100 * values.mean():.1f} % ({networks}{spread}){others}")


def _same_classes(real: list[str], synthetic: list[str], on: str) -> None:
    """Raise ``UserError`` unless the classes are those of the set, in their order."""
    if [str(name) for name in real] == [str(name) for name in synthetic]:
        return
    names, wanted = list(map(str, real)), list(map(str, synthetic))
    differ = [
        f"{what} {', '.join(each[:5])}{' …' if len(each) > 5 else ''}"
        for what, each in (
            ("it lacks", [name for name in wanted if name not in names]),
            ("the set lacks", [name for name in names if name not in wanted]),
        )
        if each
    ]
    raise UserError(
        f"{on}: its {len(real)} classes are not the {len(synthetic)} of the set: "
        f"{'; '.join(differ) or 'they are in another order'}"
    )
