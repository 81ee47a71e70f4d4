"""What the jobs of one step of continual learning see of a dataset."""

import os
from typing import TYPE_CHECKING

import torch

from distillery.images import dataset as data

if TYPE_CHECKING:
    from distillery.study.params import StepDistill, StepExperts


def seen(
    asked: "StepDistill | StepExperts", path: str | os.PathLike[str], device: torch.device
) -> data.Dataset:
    """Load the images of the step's classes alone, from the file of the dataset.

    Raises:
        UserError: the file is damaged or missing.
    """
    return data.of_classes(
        data.load(path, device),
        asked.classes,
        asked.images_per_class,
        asked.validation,
        asked.seed,
    )
