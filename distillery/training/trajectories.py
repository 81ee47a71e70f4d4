"""Expert trajectories on the disk: written one shard at a time, read two rows at a time."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from distillery.errors import UserError
from distillery.store import artefact


def save(path: str | os.PathLike[str], trajectories: Tensor, header: dict[str, Any]) -> None:
    """Write a shard: tensor ``trajectories`` (experts, epochs + 1, P) float32, and a header."""
    artefact.save(path, {"trajectories": trajectories}, header)


def about(paths: Sequence[str | os.PathLike[str]]) -> dict[str, Any] | None:
    """Gather what a set says of the experts that it learned from, as their shards tell it:
    ``recipe`` (its name), ``number``, ``epochs``, ``settings`` and the content digests of the
    ``shards``; ``None`` where there are none.

    Raises:
        UserError: a shard is missing or damaged, or the shards are not of one recipe.
    """
    if not paths:
        return None
    headers = [artefact.header(path, rule="train_experts") for path in paths]
    recipes = [
        {name: header.get(name) for name in ("recipe", "settings", "network", "seed", "code")}
        for header in headers
    ]
    for path, recipe in zip(paths, recipes, strict=True):
        if different := [name for name in recipe if recipe[name] != recipes[0][name]]:
            raise UserError(
                f"{path}: its {different[0]} is not that of {paths[0]}; delete them: the rule "
                "train_experts re-creates them"
            )
    settings = recipes[0]["settings"] or {}
    return {
        "recipe": recipes[0]["recipe"],
        "number": len({number for header in headers for number in header.get("numbers", ())}),
        "epochs": settings.get("epochs"),
        "settings": settings,
        "shards": [header["sha256"] for header in headers],
    }


class Experts:
    """The shards of one recipe, memory-mapped: a step reads two rows and nothing else.

    Attributes:
        number: how many experts.
        epochs: epochs that each was trained.
        parameters: length of a parameter vector.

    Raises:
        UserError: a shard is missing, damaged, or disagrees with the others.
    """

    def __init__(
        self, paths: list[str | os.PathLike[str]], device: torch.device | str = "cpu"
    ) -> None:
        self._device = torch.device(device)
        self._slices, self._rows = [], []
        shapes = set()
        for path in paths:
            # Once, through the mapped file: a flipped bit would otherwise be learned from,
            # silently.
            artefact.load(path, rule="train_experts")
            try:
                rows = safe_open(str(path), framework="pt").get_slice("trajectories")
                experts, snapshots, parameters = rows.get_shape()
            except (OSError, SafetensorError, ValueError) as error:
                raise UserError(
                    f"{path}: cannot be read ({error}); delete it: the rule train_experts "
                    "re-creates it"
                ) from error
            shapes.add((snapshots, parameters))
            self._rows.extend((len(self._slices), row) for row in range(experts))
            self._slices.append(rows)
        if len(shapes) != 1:
            raise UserError(
                f"the expert shards disagree in (snapshots, parameters): {sorted(shapes)}; delete "
                "them: "
                "train_experts re-creates them"
            )
        snapshots, self.parameters = shapes.pop()
        self.number, self.epochs = len(self._rows), snapshots - 1

    def pair(self, expert: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Read the parameter vectors (P,) float32 of one expert after ``start`` and after ``stop``
        epochs, on the device; copies.

        Raises:
            IndexError: there is no such expert or epoch.
            UserError: the two are equal though epochs lie between them.
        """
        # safetensors would give an empty vector for an epoch beyond the last.
        if not (
            0 <= expert < self.number and 0 <= start <= self.epochs and 0 <= stop <= self.epochs
        ):
            raise IndexError(
                f"expert {expert} at epochs {start} and {stop}: there are {self.number} experts of "
                f"{self.epochs} epochs"
            )
        shard, row = self._rows[expert]
        slices = [
            self._slices[shard][row : row + 1, epoch : epoch + 1].reshape(-1)
            for epoch in (start, stop)
        ]
        if start != stop and torch.equal(*slices):
            raise UserError(
                f"expert {expert}: its parameters after {start} and after {stop} epochs are equal, "
                "so there is no trajectory to match: are its snapshots copies, and did it train "
                "between the two epochs?"
            )
        # On a CPU a slice is the mapped file itself: changed in place, it would change every later
        # reading.
        return tuple(vector.to(self._device, copy=True) for vector in slices)
