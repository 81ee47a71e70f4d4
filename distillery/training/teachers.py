"""Teachers from the files of experts."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from distillery import networks
from distillery.errors import UserError
from distillery.networks import NetworkSpec
from distillery.training.stack import Stack, architecture_of
from distillery.training.teaching import Teacher
from distillery.training.trajectories import Experts
from distillery.vocabulary import TEACHER

if TYPE_CHECKING:
    from distillery.study.params import EvaluateSynthetic, TrainVanilla


def teacher(
    paths: Sequence[str | os.PathLike[str]],
    network: NetworkSpec,
    settings: Mapping[str, Any],
    device: torch.device,
) -> Teacher:
    """Return the teacher that a study's settings name.

    Args:
        paths: the shards of the experts.
        network: that the experts are.
        settings: ``number``, of the first experts; ``epoch``, a number or ``last``; and
            ``temperature``.
        device: where to compute.

    Raises:
        UserError: a shard is missing or damaged, or the experts are of another network, fewer, or
            trained shorter.
    """
    experts = Experts(list(paths), device)
    architecture = architecture_of(network, device)
    if experts.parameters != architecture.parameters:
        raise UserError(
            f"teacher: the experts have {experts.parameters} parameters and {network.name} has "
            f"{architecture.parameters}; they must be of the same network and dataset"
        )
    epoch = experts.epochs if settings["epoch"] == "last" else settings["epoch"]
    if epoch > experts.epochs or settings["number"] > experts.number:
        raise UserError(
            f"teacher: asks for {settings['number']} experts after epoch {epoch}; there are "
            f"{experts.number} of {experts.epochs} epochs"
        )
    like = networks.parameters(architecture.module)
    members = [
        networks.unflatten(experts.pair(number, epoch, epoch)[0], like)
        for number in range(settings["number"])
    ]
    stacked = {name: torch.stack([member[name] for member in members]) for name in like}
    return Teacher(Stack(architecture, stacked), settings["temperature"])


def asked_for(
    asked: "EvaluateSynthetic | TrainVanilla",
    experts: Sequence[str | os.PathLike[str]],
    device: torch.device,
) -> Teacher | None:
    """Return whom the networks of a job learn from; ``None`` where no teacher labels.

    Args:
        asked: the teacher's settings and network.
        experts: the shards that hold it.
        device: where to compute.

    Raises:
        UserError: as :func:`teacher`.
    """
    if asked.teacher is None:
        return None
    return teacher(experts, NetworkSpec(**asked.teacher), asked.settings[TEACHER], device)
