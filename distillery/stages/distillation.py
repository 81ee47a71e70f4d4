"""Make one synthetic set: distilled, or chosen from the real images."""

import functools
from collections.abc import Callable, Sequence
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distillery import outside, streams
from distillery.compute.device import Compute
from distillery.errors import named
from distillery.images import dataset as data
from distillery.images import formation
from distillery.methods import _driver
from distillery.methods.base import Task, initial_images
from distillery.networks import NetworkSpec
from distillery.sets.evolution import Evolution
from distillery.sets.synthetic import SyntheticSet, header
from distillery.store import artefact
from distillery.store import checkpoint as checkpoints
from distillery.training import trajectories

if TYPE_CHECKING:
    from distillery.sets.starts import Start
    from distillery.study.params import Distill


def distill(
    asked: "Distill",
    dataset: data.Dataset,
    *,
    compute: Compute,
    progress: Callable[[int, Any], None] | None = None,
    experts: Sequence[str | PathLike[str]] = (),
    checkpoint: Any = checkpoints.NONE,
) -> tuple[SyntheticSet, Evolution]:
    """Run the method that is asked for.

    Args:
        asked: the cell, the method with its settings, the network, the seed and the share that is
            held out.
        dataset: the real images, on the device that computes, in the space that the set shall have.
        compute: how to compute.
        progress: called with the number of each iteration and its loss.
        experts: the shards of the trajectories that the method learns from.
        checkpoint: where the state is kept between two steps, and resumed from.

    Returns:
        The set, on the CPU, and its snapshots and losses.

    Raises:
        UserError: the method cannot work with these images, or it diverged.
    """
    cell, settings, seed = asked.cell, asked.settings, asked.seed
    split = data.split(dataset, asked.validation, seed)
    rows, held = split.train_index, split.validation_index
    images, labels = dataset.normalise(dataset.images[rows]), dataset.labels[rows]
    classes, iterations = len(dataset.classes), settings.get("iterations", 0)
    # All but the method: what is compared starts from the same images.
    names = [value for name, value in cell.items() if name != "method"]
    drawn = streams.generator(seed, "initial", *names)
    method = outside.module(asked.source)
    factor = _factor(asked, method)
    start: Start | None = None
    if asked.start is not None:
        where = f"the start {cell['init']}"
        start = outside.module(asked.reader).read(asked.start, dataset, cell["ipc"], where)
    evolution = Evolution(iterations, asked.snapshots, progress)
    task = Task(
        images=images,
        labels=labels,
        initial=start.images.to(images.device)
        if start
        else _initial(cell, images, labels, classes, factor, drawn),
        classes=classes,
        ipc=cell["ipc"],
        network=NetworkSpec(**asked.network),
        settings=settings,
        stream=functools.partial(streams.generator, seed, "distill", *cell.values()),
        compute=compute,
        flip_allowed=dataset.horizontal_flip,
        held=(lambda: (dataset.normalise(dataset.images[held]), dataset.labels[held]))
        if len(held)
        else None,
        experts=trajectories.Experts(list(experts), dataset.images.device) if experts else None,
        factor=factor,
        decode=functools.partial(formation.decode, factor=factor),
    )
    variant_of = _variant_of(asked)
    with named(variant_of and f"{cell['method']} (a variant of {asked.module})"):
        result = _driver.run(method, task, evolution, checkpoint)
    about = _header(asked, dataset, method, start, experts)
    step_size = None if result.step_size is None else float(result.step_size)
    if factor != 1:
        about["factor"] = factor
    synthetic = SyntheticSet.decoded(
        result.images.cpu(), result.labels.cpu(), step_size, about, dataset.whitening
    )
    return synthetic, evolution


def _factor(asked: "Distill", method: ModuleType) -> int:
    """Return how many images a stored one holds on a side. A coreset may have a setting of that
    name, whose images are learned from as they are stored."""
    return asked.settings.get("factor", 1) if getattr(method, "FACTORED", False) else 1


def _initial(
    cell: dict[str, Any],
    images: Tensor,
    labels: Tensor,
    classes: int,
    factor: int,
    drawn: torch.Generator,
) -> Tensor:
    """Return the stored images that a set starts from: of real ones each holds as many as it will
    be decoded into."""
    real = cell["init"] == "real"
    each = cell["ipc"] * (factor**2 if real else 1)
    initial = initial_images(cell["init"], images, labels, classes, each, drawn)
    return formation.encode(initial, factor) if real else initial


def _header(
    asked: "Distill",
    dataset: data.Dataset,
    method: ModuleType,
    start: "Start | None",
    experts: Sequence[str | PathLike[str]],
) -> dict[str, Any]:
    """Return what a set says of itself."""
    about = header(
        dataset,
        asked.cell,
        settings=asked.settings,
        network=asked.network,
        iterations=asked.settings.get("iterations", 0),
        code=asked.code,
        protocol=asked.protocol,
        of=_variant_of(asked),
        experts=trajectories.about(experts),
    )
    # Of a part of a memory, the step.
    about |= {name: asked.cell[name] for name in ("steps", "order", "step") if name in asked.cell}
    if outside.is_reference(asked.source):
        about["plugin"] = {
            "file": outside.shown(asked.source),
            "kind": method.KIND,
            "title": getattr(method, "TITLE", asked.module),
        }
    if start is not None:
        about["start"] = _origin(start, asked.cell["init"])
    return about


def _variant_of(asked: "Distill") -> str | None:
    """Return the method that a set's method is a variant of."""
    return asked.module if asked.module != asked.cell["method"] else None


def _origin(start: "Start", name: str) -> dict[str, Any]:
    """Return what a set's header says of the set that it started from."""
    said = ("dataset", "method", "init", "ipc", "seed", "iterations", "version", "code")
    of = None if start.header is None else {key: start.header.get(key) for key in said}
    return {"name": name, "images": artefact.digest({"images": start.images}), "of": of}
