"""What a set is worth, in a table."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from distillery import plugins
from distillery.api import cells, given
from distillery.api.process import Bar, computing
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.sets.synthetic import SyntheticSet
from distillery.stages import evaluation
from distillery.study.jobs import Jobs
from distillery.vocabulary import REAL, TEACHER

if TYPE_CHECKING:
    from pandas import DataFrame


def evaluate(
    synthetic: SyntheticSet,
    images: Any,
    labels: Any = None,
    networks: cells.Networks | None = None,
    models: int = 5,
    *,
    by_class: bool = False,
    study_seed: int = 0,
    layout: str | None = None,
    flip: bool | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    precision: str = "auto",
    compile: str = "auto",
    progress: bool | None = None,
    **recipe: Any,
) -> "DataFrame":
    """Train fresh networks on a synthetic set, and test them on real images.

    Args:
        synthetic: the set.
        images: to test on, as ``distillery.distil`` takes them; brought into the space of the set.
        labels: likewise; of the classes of the set.
        networks: a name, several, or names with options: ``{"ConvNet": {"width": 64}, "MLP": {}}``.
            That of the set unless they are given, ConvNet where the set names none.
        models: how many of each kind.
        by_class: have a row for each class.
        study_seed: a study's ``seed``, from which every random stream derives.
        layout: ``NHWC`` or ``NCHW``, where the shape leaves it open.
        flip: whether augmentations may mirror images; as the dataset says where it is one of the
            library's, and not otherwise.
        device: where to compute; a GPU where there is one.
        threads: of the processor; as many as torch has.
        precision: ``auto`` or ``float32``.
        compile: ``auto`` or ``off``.
        progress: whether to show a bar; by default on a terminal.
        **recipe: how the networks are trained: ``epochs``, ``lr``, ``momentum``, ``weight_decay``,
            ``batch``, ``decay``, ``augment``, ``optimiser``, ``mix``, ``labels`` (own, hard).
            What is left out is that of the set's protocol, but its teacher, or a study's default.

    Returns:
        A pandas DataFrame: ``network``, ``model`` (a number), and what was measured on the test
        images, ``accuracy`` and ``loss``, and where there are two classes, or test images of
        uneven ones, ``balanced_accuracy`` and ``auroc``; or with ``by_class`` ``network``,
        ``model``, ``class`` and ``class_accuracy``.

    Raises:
        UserError: images, labels or a setting do not go with the set, in one line.
    """
    if not isinstance(synthetic, SyntheticSet):
        raise UserError(
            "evaluate: needs a synthetic set, such as distillery.load(path) gives, not "
            f"{type(synthetic).__name__}"
        )
    pandas = _pandas()
    read = given.read(images, labels, classes=synthetic.header["classes"], layout=layout)
    if read.images.shape[1:] != synthetic.images.shape[1:]:
        raise UserError(
            f"evaluate: images are {tuple(read.images.shape[1:])}, and those of the set "
            f"{tuple(synthetic.images.shape[1:])} (channels, height, width)"
        )
    chosen = _networks(synthetic, networks)
    training = _protocol(synthetic) | recipe | {"models": models, "curve": 0}
    jobs = cells.jobs(
        _declared(synthetic, read, flip),
        {
            "seed": study_seed,
            "data": {"validation": 0},
            "grid": [_block(synthetic)],
            "networks": chosen,
            "compute": {"precision": precision, "compile": compile},
            "evaluate": {**training, "networks": list(chosen), "selection": {"models": 0}},
        },
        "evaluate",
    )
    with computing(device, threads) as place:
        rows = _measure(jobs, synthetic, read, place, progress)
    kept = [row for row in rows if ("class" in row) == by_class]
    return pandas.DataFrame(kept)


def _measure(
    jobs: Jobs,
    synthetic: SyntheticSet,
    read: given.Given,
    device: torch.device,
    progress: bool | None,
) -> list[dict[str, Any]]:
    """Run the evaluation of the set on each network of the study, and return what was measured on
    the test images: a row a network, and a row a class of each."""
    (cell,) = jobs.study.cells
    wildcards = {name: str(value) for name, value in cell.__dict__.items()}
    tested = Images(synthetic.normalise(read.images.to(device)), read.labels.to(device))
    rows: list[dict[str, Any]] = []
    for network in jobs.study.config["evaluate"]["networks"]:
        asked: Any = jobs.params("evaluate_synthetic", {**wildcards, "network": network})
        if asked.teacher is not None:
            raise UserError(
                "evaluate: labels: a teacher is an expert, which only a study trains; take own or "
                "hard"
            )
        epochs = Recipe.of(asked.settings, synthetic.step_size).trained_epochs
        total = asked.settings["models"] * epochs
        with Bar(total, f"evaluation, {network}", "epoch", progress) as bar:
            bench = evaluation.bench(
                asked,
                compute=Compute(asked.compute["precision"], asked.compute["compile"]),
                flip=jobs.study.datasets[cell.dataset].horizontal_flip,
                progress=bar,
            )
            measured = evaluation.Trainings(asked, synthetic, {"test": tested}).main(bench)
        rows += _rows(network, measured.rows, synthetic.header["classes"])
    return rows


def _protocol(synthetic: SyntheticSet) -> dict[str, Any]:
    """Return how networks are trained on the set in the literature, without the teacher, which is a
    study's."""
    stated = synthetic.header.get("protocol") or {}
    return {key: value for key, value in stated.items() if key not in (TEACHER, "labels")}


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise UserError(
            "evaluate: needs pandas, which is not installed: pip install "
            "'dataset-distillery[workflow]'"
        ) from None


def _networks(synthetic: SyntheticSet, networks: cells.Networks | None) -> dict[str, Any]:
    """Return the networks that are trained, with their options."""
    if networks is not None:
        chosen = cells.options(networks)
    else:
        own = synthetic.header.get("network") or {}
        name = own.get("name", "ConvNet")
        known = name in plugins.networks()
        chosen = {name: dict(own.get("options") or {})} if known else {"ConvNet": {}}
    if not chosen:
        raise UserError("evaluate: networks: there is none")
    return chosen


def _block(synthetic: SyntheticSet) -> dict[str, Any]:
    """Return the block of a grid that stands for the set. What made it does not decide what it is
    worth, and may be no method of the library."""
    header = synthetic.header
    return {
        "dataset": _name(synthetic),
        "method": "random",
        "init": REAL,
        "ipc": header.get("ipc") or 1,
        "seed": header.get("seed") or 0,
    }


def _name(synthetic: SyntheticSet) -> str:
    return str(synthetic.header.get("dataset") or "mine")


def _declared(synthetic: SyntheticSet, read: given.Given, flip: bool | None) -> plugins.Dataset:
    """Return the dataset of the set as a study knows it."""
    name = _name(synthetic)
    known = plugins.datasets().get(name)
    if flip is None:
        flip = known is not None and known.horizontal_flip
    channels = read.images.shape[1]
    most = synthetic.header.get("ipc") or 1
    declared = cells.declared(read, name, (0.0,) * channels, (1.0,) * channels, flip=flip)
    return replace(declared, train=most * len(read.classes), smallest_class=most)


def _rows(network: str, rows: list[dict[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Put what was measured on the test images after the last epoch side by side: a row a network,
    and a row a class of each."""
    table: dict[tuple[int, int | None], dict[str, Any]] = {}
    for row in rows:
        if "epoch" in row or row.get("split") != "test":
            continue
        number = row.get("class")
        key = {"network": network, "model": row["model"]}
        if number is not None:
            key["class"] = classes[number]
        table.setdefault((row["model"], number), key)[row["measure"]] = row["value"]
    return list(table.values())
