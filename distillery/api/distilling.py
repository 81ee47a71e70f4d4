"""From images in memory to a synthetic set."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from distillery import plugins
from distillery.api import cells, given
from distillery.api.process import Bar, computing
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.images import dataset as data
from distillery.images import whitening
from distillery.sets.synthetic import SyntheticSet
from distillery.stages import distillation
from distillery.stages import experts as of_experts
from distillery.study.jobs import Jobs
from distillery.training import trajectories

Recipe = int | Mapping[str, Any]


def distil(
    images: Any,
    labels: Any = None,
    method: str = "dm",
    ipc: int = 10,
    *,
    init: str = "real",
    network: cells.Networks = "ConvNet",
    seed: int = 0,
    experts: Recipe | None = None,
    validation: float = 0.0,
    study_seed: int = 0,
    name: str = "mine",
    classes: Sequence[str] | None = None,
    layout: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    flip: bool = False,
    licence: str = "not stated",
    home: str = "not stated",
    device: torch.device | str | None = None,
    threads: int | None = None,
    precision: str = "auto",
    compile: str = "auto",
    progress: bool | None = None,
    **settings: Any,
) -> SyntheticSet:
    """Distil labelled images into a synthetic set.

    The job of a study gives the same bits where it has the same images, settings, seeds, threads
    and share held out, and its dataset the same name, mean and standard deviation.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1], an array or a
            tensor; a list of pictures of one size; or, without ``labels``, a torch dataset of
            (image, label) pairs. All are held in memory, as uint8.
        labels: (N,) whole numbers from 0, or texts.
        method: ``dm``, ``dc``, ``mtt`` …: a file of ``distillery/methods``.
        ipc: images per class.
        init: ``real`` or ``noise``: what the images start from.
        network: that distils: a name, or a name with options: ``{"ConvNet": {"width": 64}}``.
        seed: tells replicates apart.
        experts: how many to train first, where a method learns from them, or a recipe as the
            config has it: ``{"number": 10, "epochs": 15}``.
        validation: the share of each class that is held out, as a study does for its selection.
        study_seed: a study's ``seed``, from which every random stream derives.
        name: what the set calls the dataset.
        classes: the names of the classes.
        layout: ``NHWC`` or ``NCHW``, where the shape leaves it open.
        mean: of each channel of pixels in [0, 1], to normalise by; worked out if not given.
        std: the standard deviation likewise.
        flip: whether a mirrored image keeps its class, so that augmentations may mirror.
        licence: of the images, for the set's header.
        home: their page or paper, likewise.
        device: where to compute; a GPU where there is one.
        threads: of the processor; as many as torch has.
        precision: ``auto`` or ``float32``.
        compile: ``auto`` or ``off``.
        progress: whether to show a bar; by default on a terminal.
        **settings: of the method, such as ``iterations=1000``; ``normalization="zca"`` whitens.

    Returns:
        The set. Its file is written by ``save``, and read by ``distillery.load``.

    Raises:
        UserError: images, labels or a setting are none that can be distilled, in one line.
    """
    read = given.refuse_gaps(given.read(images, labels, classes=classes, layout=layout))
    spread = _spread(read, mean, std)
    declared = cells.declared(read, name, *spread, licence=licence, home=home, flip=flip)
    config = _config(method, experts, settings) | {
        "seed": study_seed,
        "data": {"validation": validation},
        "compute": {"precision": precision, "compile": compile},
        "grid": [{"dataset": name, "method": method, "init": init, "ipc": ipc, "seed": seed}],
        **cells.distilled_with(network),
    }
    jobs = cells.jobs(declared, config, "distil")
    with computing(device, threads) as place:
        return _run(jobs, _in_memory(read, declared, place), progress)


def baseline(
    images: Any, labels: Any = None, method: str = "random", ipc: int = 10, **more: Any
) -> SyntheticSet:
    """Choose real images by a coreset: what a distilled set is compared with.

    Args:
        images: as :func:`distil` takes them.
        labels: likewise.
        method: ``random``, ``herding`` or another coreset.
        ipc: images per class.
        **more: as :func:`distil` takes it.

    Returns:
        The chosen images, as a set.

    Raises:
        UserError: as :func:`distil`, or the method is no coreset.
    """
    coresets = [name for name, known in plugins.methods().items() if known.is_coreset]
    if method not in coresets:
        raise UserError(f"baseline: method must be one of {', '.join(coresets)}, not {method!r}")
    return distil(images, labels, method, ipc, **more)


def _spread(
    read: given.Given, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel, worked out where they are not
    given."""
    if (mean is None) != (std is None):
        raise UserError("distil: mean and std go together; give both or neither")
    if mean is None or std is None:
        return given.statistics(read.images)
    return tuple(mean), tuple(std)


def _config(method: str, experts: Recipe | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config says of a method and of its experts."""
    if experts is None:
        recipe: dict[str, Any] = {}
    elif isinstance(experts, Mapping):
        recipe = dict(experts)
    else:
        recipe = {"number": experts}
    known = plugins.methods().get(method)
    if known is not None and not known.needs_experts and experts is not None:
        raise UserError(f"distil: {method} learns from no experts; leave `experts` out")
    if "normalization" in settings:
        recipe.setdefault("normalization", settings["normalization"])
    return {"methods": {method: dict(settings)}, "experts": {"default": recipe}, "snapshots": 1}


def _in_memory(read: given.Given, declared: plugins.Dataset, device: torch.device) -> data.Dataset:
    """Return the dataset as a job has it, without test images."""
    images = read.images.to(device)
    labels = read.labels.to(device)
    return data.Dataset(
        name=declared.name,
        images=images,
        labels=labels,
        test_images=images[:0],
        test_labels=labels[:0],
        classes=read.classes,
        mean=declared.mean,
        std=declared.std,
        licence=declared.licence,
        source="memory",
        horizontal_flip=declared.horizontal_flip,
        home=declared.home,
    )


def _run(jobs: Jobs, dataset: data.Dataset, progress: bool | None) -> SyntheticSet:
    """Run the one job of the study, and the experts' before it."""
    (cell,) = jobs.study.cells
    wildcards = {name: str(value) for name, value in cell.__dict__.items()}
    asked: Any = jobs.params("distill", wildcards)
    compute = Compute(asked.compute["precision"], asked.compute["compile"])
    if jobs.study.normalization(cell) == "zca":
        rows = data.split(dataset, asked.validation, asked.seed).train_index
        dataset.whitening = whitening.fit(dataset.images[rows])
    with tempfile.TemporaryDirectory() as folder:
        shards: list[Path] = []
        if jobs.study.learns(cell):
            shards = _experts(jobs, dataset, compute, Path(folder), progress)
        total = asked.settings.get("iterations", 0)
        with Bar(total, "distillation", "iteration", progress) as bar:
            synthetic, _ = distillation.distill(
                asked, dataset, compute=compute, progress=bar.iteration, experts=shards
            )
    return synthetic


def _experts(
    jobs: Jobs, dataset: data.Dataset, compute: Compute, folder: Path, progress: bool | None
) -> list[Path]:
    """Train the experts that the set learns from; returns the files of their trajectories."""
    (cell,) = jobs.study.cells
    recipe = jobs.study.recipe(cell)
    settings = jobs.study.experts(cell.dataset, recipe)
    paths = []
    with Bar(settings["number"] * settings["epochs"], "experts", "epoch", progress) as bar:
        for shard in range(len(jobs.shards(cell.dataset, recipe))):
            wildcards = {"dataset": cell.dataset, "recipe": recipe, "shard": str(shard)}
            asked: Any = jobs.params("train_experts", wildcards)
            trained, header = of_experts.train(asked, dataset, compute=compute, progress=bar)
            paths.append(folder / f"{shard}.safetensors")
            trajectories.save(paths[-1], trained, header)
    return paths
