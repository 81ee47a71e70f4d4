"""RDED: images stitched from the crops that a teacher finds most realistic (Sun, Shi, Yu and Lin,
*On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm*,
CVPR 2024, arXiv 2312.03526).

Of each class at most ``candidates`` images are drawn, and of each of them ``crops`` random crops. A
crop's realism is minus the teacher's loss on it under its class; the best crop of each image stays,
and of these the best ``ipc`` x f². f x f of them, each of 1/f of the image's sides, are stitched
into one image, the best of them side by side; f is 1 for images of up to 64 pixels. Labels are the
teacher's probabilities for the finished images. DEVIATES: the paper's teacher labels each crop that
training draws; stored labels are one an image. Its evaluation is the preset ``rded``: the protocol
here is that of the authors' code (``argument.py``, ``validation/main.py`` and
``scripts/cifar10_10ipc_conv3_to_conv3_cr5.sh`` of LINs-lab/RDED). DEVIATES: their weight decay
spares biases and norms, their loss is not multiplied by T², which AdamW hardly sees, and they
report the best of the last epochs on the test images. Their ConvNet, teacher and student, has batch
normalisation.
"""

import functools
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from distillery.errors import UserError
from distillery.methods import _coreset, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "RDED"
KIND = "coreset"
CITATION = {
    "authors": "Sun, Peng and Shi, Bei and Yu, Daiwei and Lin, Tao",
    "title": "On the Diversity and Realism of Distilled Dataset: An Efficient Dataset "
    "Distillation Paradigm",
    "venue": "CVPR",
    "year": 2024,
    "arxiv": "2312.03526",
}
ORDER = 24
NEEDS_EXPERTS = True
SETTINGS = {
    **_coreset.TEACHERS,
    "candidates": {
        "type": "integer",
        "minimum": 1,
        "default": 300,
        "description": "Real images of each class that crops are taken of; all, if there are "
        "fewer.",
    },
    "crops": {
        "type": "integer",
        "minimum": 1,
        "default": 5,
        "description": "Random crops of each of them.",
    },
    "least_area": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.08,
        "description": "The smallest share of an image's area that a crop has; the largest is all.",
    },
    "factor": {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 8}, {"const": "auto"}],
        "default": "auto",
        "description": "Crops on a side of a stitched image; auto: 1 up to 64 pixels, 2 above.",
    },
}

PROTOCOL = {
    "epochs": 300,
    "lr": 0.001,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "batch": 100,
    "decay": "cosine_to_half",
    "augment": "flip",
    "optimiser": "adamw",
    "mix": "cutmix",
    "labels": ["teacher"],
    "teacher": {"temperature": 20.0},
    "overrides": [
        {"when": {"ipc": 1}, "batch": 10},
        {"when": {"ipc": 10}, "batch": 50},
        {"when": {"dataset": "CIFAR100"}, "batch": 25, "lr": 0.002},
    ],
}

_SMALL = 64


def select(task: base.Task) -> base.Result:
    """Stitch ``ipc`` images of each class and label them. ``stream("candidates", c)`` draws the
    images and crops of class c.

    Raises:
        UserError: a class has fewer images than crops are needed, or there are no experts of the
            network.
    """
    teacher, index = _coreset.Teacher(task), base.ClassIndex(task.labels, task.classes)
    factor = task.settings["factor"]
    sides = tuple(task.images.shape[2:])
    if factor == "auto":
        factor = 1 if max(sides) <= _SMALL else 2
    needed, most = task.ipc * factor**2, task.settings["candidates"]
    for c, members in enumerate(index.members):
        if needed > min(len(members), most):
            raise UserError(
                f"rded: ipc {task.ipc} with {factor} x {factor} crops an image needs {needed} real "
                f"images of class {c}, which has {len(members)}, and candidates is {most}; take a "
                f"smaller ipc or factor"
            )

    def stitched(c: int) -> Tensor:
        generator, members = task.stream("candidates", c), index.members[c]
        drawn = members[torch.randperm(len(members), generator=generator)[:most].to(task.device)]
        crops = torch.stack(
            [
                crop(task.images[number], box, sides)
                for number in drawn.tolist()
                for box in boxes(task.settings, sides, generator)
            ]
        )
        losses = _losses(teacher, task, crops, c).view(len(drawn), -1)
        best = losses.argmin(1)  # the first of equals
        order = losses.gather(1, best[:, None]).flatten().argsort(stable=True)[:needed]
        kept = crops.view(len(drawn), -1, *crops.shape[1:])[order, best[order]]
        return stitch(kept, factor)

    images = torch.cat(
        [task.kept(f"class {c}", functools.partial(stitched, c)) for c in range(task.classes)]
    )
    return base.Result(images, teacher.probabilities(images, task.settings["teachers"]).mean(0))


def _losses(teacher: _coreset.Teacher, task: base.Task, crops: Tensor, label: int) -> Tensor:
    """Return the teacher's cross-entropy (n,) on crops of one class: that of its mean
    probabilities."""
    answers = teacher.probabilities(crops, task.settings["teachers"]).mean(0)
    return -answers[:, label].clamp_min(torch.finfo(answers.dtype).tiny).log()


def boxes(
    settings: dict[str, Any], sides: tuple[int, ...], generator: torch.Generator
) -> list[tuple[int, int, int, int]]:
    """Draw the crops of one image, each (top, left, height, width) in pixels, in the image's own
    proportions: the share of the area is uniform between ``least_area`` and 1, then the place."""
    drawn = torch.rand(settings["crops"], 3, generator=generator, dtype=torch.float64).tolist()
    found = []
    for area, down, right in drawn:
        least = settings["least_area"]
        length = math.sqrt(least + (1 - least) * area)
        height, width = (max(1, round(length * side)) for side in sides)
        top, left = int(down * (sides[0] - height + 1)), int(right * (sides[1] - width + 1))
        found.append((top, left, height, width))
    return found


def crop(image: Tensor, box: tuple[int, int, int, int], sides: tuple[int, ...]) -> Tensor:
    """Cut ``box`` out of an image (C, H, W) and scale it, bilinearly, to ``sides``."""
    top, left, height, width = box
    part = image[None, :, top : top + height, left : left + width]
    return functional.interpolate(part, size=sides, mode="bilinear", align_corners=False)[0]


def stitch(crops: Tensor, factor: int) -> Tensor:
    """Set crops (n·f², C, H, W), in their order, f x f to an image: (n, C, H, W), row by row."""
    if factor == 1:
        return crops
    rows, columns = crops.shape[2:]
    images = crops.new_empty(len(crops) // factor**2, *crops.shape[1:])
    # Sides that f does not divide: the parts differ by a pixel.
    edges = [
        [round(side * place / factor) for place in range(factor + 1)] for side in (rows, columns)
    ]
    for number, image in enumerate(images):
        for place in range(factor**2):
            down, right = divmod(place, factor)
            top, bottom = edges[0][down : down + 2]
            left, end = edges[1][right : right + 2]
            image[:, top:bottom, left:end] = functional.interpolate(
                crops[None, number * factor**2 + place],
                size=(bottom - top, end - left),
                mode="bilinear",
                align_corners=False,
                antialias=True,
            )[0]
    return images


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings = sizes.settings
    drawn = min(settings["candidates"], sizes.largest) * settings["crops"]
    return _coreset.expected_work_of_teachers(sizes, sizes.classes * drawn)
