"""What each job of a study computes: passes of a network, bytes in memory and on disk.

A rule that is not here has a job of unknown length, as a method without ``expected_work`` has.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distillery import outside
from distillery.estimate.rates import Counted
from distillery.estimate.sizes import FORWARD, GRADIENT, KINDS, Part, Sizes
from distillery.evaluation import robust
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.study.cells import AXES, Cell
from distillery.study.jobs import cell_of
from distillery.study.params import Params
from distillery.study.study import Study
from distillery.vocabulary import AFTERWARDS, GDUMB, JOINT, REPLAY, TEACHER

# Resident memory of a process that has imported torch and the library, and what torch's function
# transforms add, which methods differentiate by.
_PROCESS, _TRANSFORMS = 600e6, 190e6
# Of the activations of a step, in float32: what training keeps of them, by kind of pass.
_KEPT: dict[str, float] = dict(zip(KINDS, (1.0, 1.7, 5.0, 5.0), strict=True))
# Of the same activations, what a step keeps for its adjoint: 0.15 of the ConvNet's, more where no
# layer pools.
_RESULTS = 0.3
# Of all steps together, as methods/_unroll.py bounds it.
_KEPT_BYTES = 1.5e9
# The most images whose second-order graph is alive at once, on a CPU.
_TOGETHER = 200
# A log, a benchmark, a record and measurements.
_RECORDS = 60e3
_TEST_BATCH = 512
# Bytes a second that come from a network; it depends on the user's.
_FETCHED = 20e6


@dataclass(frozen=True)
class Work:
    """What one job does.

    Attributes:
        network: whose passes are counted; ``None``: none.
        parts: the passes; ``None``: unknown.
        others: further networks with passes of their own.
        fixed: seconds that no network takes.
        images: real images that it holds as float32, and has on disk as they are.
        disk: bytes that it leaves.
    """

    network: NetworkSpec | None = None
    parts: list[Part] | None = field(default_factory=list[Part])
    others: Sequence[tuple[NetworkSpec, list[Part]]] = ()
    fixed: float = 0.0
    images: float = 0.0
    disk: float = _RECORDS

    @property
    def passes(self) -> list[tuple[NetworkSpec, list[Part]]]:
        """Return each network with its passes, where they are known."""
        own = [] if self.network is None or self.parts is None else [(self.network, self.parts)]
        return [*own, *self.others]

    def memory(self, count: Callable[[NetworkSpec], Counted]) -> float:
        """Estimate the peak of its memory, in bytes."""
        most = kept = 0.0
        for network, parts in self.passes:
            for part in parts:
                together = min(part.images, _TOGETHER) if _KEPT[part.kind] > 2 else part.images
                most = max(most, 4 * _KEPT[part.kind] * together * count(network).activations)
                results = 4 * _RESULTS * part.images * count(network).activations
                kept = max(kept, min(_KEPT_BYTES, part.kept * results))
        return _PROCESS + self.images + most + kept


class Works:
    """What the jobs of a study do."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def of(self, rule: str, asked: Params) -> Work:
        """Return what a job does that is asked for ``asked``."""
        known: Callable[[Params], Work] | None = getattr(self, f"_{rule}", None)
        return Work(parts=None) if known is None else known(asked)

    # ---- images ----------------------------------------------------------------------------------

    def _counts(self, dataset: str) -> tuple[int, int, int, int]:
        """Count a dataset's images: of training, held out of them, of test, and classes."""
        spec = self._study.datasets[dataset]
        held = int(self._study.config["data"]["validation"] * spec.train)
        return spec.train, held, spec.test, len(spec.classes)

    def _bytes(self, dataset: str) -> float:
        """Return the bytes of a dataset as it lies on disk."""
        spec = self._study.datasets[dataset]
        return float((spec.train + spec.test) * self._pixels(dataset))

    def _pixels(self, dataset: str) -> int:
        spec = self._study.datasets[dataset]
        sides = (spec.size, spec.size) if isinstance(spec.size, int) else spec.size
        return spec.channels * sides[0] * sides[1]

    # ---- rules -----------------------------------------------------------------------------------

    def _download(self, asked: Params) -> Work:
        size = self._bytes(asked.job["dataset"])
        return Work(fixed=2 + size / _FETCHED, images=3 * size, disk=size + _RECORDS)

    def _prepare(self, asked: Params) -> Work:
        dataset = asked.job["dataset"]
        train, _, test, _ = self._counts(dataset)
        size = self._bytes(dataset)
        # A picture is decoded in some milliseconds.
        return Work(fixed=0.004 * (train + test), images=2 * size, disk=size + _RECORDS)

    def _whiten(self, asked: Params) -> Work:
        dataset = asked.job["dataset"]
        pixels, size = self._pixels(dataset), self._bytes(dataset)
        # A covariance, and its eigenvectors.
        flops = 2 * self._counts(dataset)[0] * pixels**2 + 25 * pixels**3
        return Work(fixed=flops / 1e11, images=9 * size, disk=4.0 * pixels**2 + _RECORDS)

    def _import_synthetic(self, asked: Any) -> Work:
        return Work(images=self._bytes(asked.job["dataset"]), disk=self._of_set(asked.cell))

    def _collect(self, asked: Params) -> Work:
        return Work(fixed=1.0, disk=1e6)

    def _report(self, asked: Params) -> Work:
        return Work(fixed=5.0, disk=1.5e6)

    def _figures(self, asked: Params) -> Work:
        return Work(fixed=30.0, disk=5e6)

    def _of_set(self, cell: Mapping[str, Any]) -> float:
        classes = self._counts(cell["dataset"])[3]
        return 4.0 * classes * cell["ipc"] * self._pixels(cell["dataset"])

    def _seen(self, asked: Any) -> int:
        """Return how many images of a job's set are trained on."""
        cell = cell_of(asked.job)
        return self._counts(cell.dataset)[3] * self._study.seen_ipc(cell)

    def _of_step(self, asked: Any) -> tuple[int, int, int]:
        """Count the images of a step that are learned from and held out, and its classes."""
        train, held, _, classes = self._counts(asked.job["dataset"])
        number, each = len(asked.classes), train / classes
        share = number * min(asked.images_per_class or each, each) / train
        return round(share * (train - held)), round(share * held), number

    def _step_experts(self, asked: Any) -> Work:
        return self._experts(asked, self._of_step(asked)[0])

    def _train_experts(self, asked: Any) -> Work:
        train, held, _, _ = self._counts(asked.job["dataset"])
        return self._experts(asked, train - held)

    def _experts(self, asked: Any, count: int) -> Work:
        dataset = asked.job["dataset"]
        number, recipe = len(asked.numbers), Recipe.of(asked.settings | {"decay": "none"})
        network = NetworkSpec(**asked.network)
        snapshots = number * (recipe.epochs + 1)
        kept = 4.0 * snapshots * Counted.of(network).parameters
        parts = [_trained(recipe, count, number)]
        return Work(network, parts, images=5 * self._bytes(dataset) + kept, disk=kept + _RECORDS)

    def _step_distill(self, asked: Any) -> Work:
        return self._made(asked, *self._of_step(asked))

    def _distill(self, asked: Any) -> Work:
        train, held, _, classes = self._counts(asked.cell["dataset"])
        return self._made(asked, train - held, held, classes)

    def _made(self, asked: Any, count: int, held: int, classes: int) -> Work:
        """Return what making a set does from ``count`` images, others held out."""
        cell = Cell(*(asked.cell[name] for name in AXES))
        study, images = self._study, self._bytes(cell.dataset)
        experts = study.experts(cell.dataset, study.recipe(cell)) if study.learns(cell) else {}
        sizes = Sizes(
            settings=asked.settings,
            classes=classes,
            ipc=cell.ipc,
            images=count,
            largest=math.ceil(count / classes),
            held=held,
            experts=experts.get("number", 0),
            expert_epochs=experts.get("epochs", 0),
            factor=study.factor(cell),
        )
        said = getattr(outside.module(asked.source), "expected_work", None)
        parts = None if said is None else [Part(*each) for each in said(sizes)]
        saved = (asked.snapshots + 2) * self._of_set(asked.cell)
        transforms = _TRANSFORMS * any(part.kind != FORWARD for part in parts or ())
        return Work(
            NetworkSpec(**asked.network),
            parts,
            images=5 * images + transforms,
            disk=saved + 2 * _RECORDS,
        )

    def _evaluate_synthetic(self, asked: Any) -> Work:
        cell, settings = asked.cell, asked.settings
        _, held, test, _ = self._counts(cell["dataset"])
        recipe, count = Recipe.of(settings), self._seen(asked)
        models, points = settings["models"], min(settings["curve"], settings["epochs"])
        parts = [_trained(recipe, count, models)]
        parts += [_tested(test, models + points), _tested(held, models)]
        for kind, size in (
            *((kind, count) for kind in settings["labels"][1:]),
            *((settings["labels"][0], count * first // cell["ipc"]) for first in settings["first"]),
        ):
            parts += [_trained(recipe, size, models), _tested(test + held, models)]
            if kind == TEACHER:
                parts.append(_taught(parts[-2], settings))
        if settings["labels"][0] == TEACHER:
            parts.append(_taught(parts[0], settings))
        if selection := settings["selection"]:
            judged = selection["models"] * (self._study.config["snapshots"] + 1)
            parts += [_trained(recipe, count, judged), _tested(held, judged)]
            parts.append(_tested(test, judged if selection["test"] else selection["models"]))
        share = 4 * (held + test) / (self._counts(cell["dataset"])[0] + test)
        return Work(
            NetworkSpec(**asked.network), parts, images=(1 + share) * self._bytes(cell["dataset"])
        )

    def _evaluate_robust(self, asked: Any) -> Work:
        cell, settings = asked.cell, asked.settings
        train, _, test, _ = self._counts(cell["dataset"])
        recipe, models = Recipe.of(settings), settings["robust"]["models"]
        # Whether its labels are soft is known when it is there.
        different = len(
            set(robust.trainings(recipe, settings["robust"]["augment"], soft=False).values())
        )
        parts = [_trained(recipe, self._seen(asked), different * models)]
        parts.append(_tested(test, different * models))
        share = 4 * test / (train + test)
        return Work(
            NetworkSpec(**asked.network), parts, images=(1 + share) * self._bytes(cell["dataset"])
        )

    def _evaluate_privacy(self, asked: Any) -> Work:
        cell, settings = asked.cell, asked.settings
        train, held, test, _ = self._counts(cell["dataset"])
        count, models = self._seen(asked), settings["models"]
        tested = min(settings["tested"], train - held) + min(settings["tested"], test)
        # Distances from the set and from test images to all training images, at 1e10 operations a
        # second.
        flops = 2.0 * (count + tested / 2) * train * self._pixels(cell["dataset"])
        parts = [_trained(Recipe.of(settings), count, models), _tested(tested, models)]
        return Work(
            NetworkSpec(**asked.network),
            parts,
            fixed=flops / 1e10,
            images=2 * self._bytes(cell["dataset"]),
        )

    def _train_vanilla(self, asked: Any) -> Work:
        dataset, settings = asked.job["dataset"], asked.settings
        train, _, test, _ = self._counts(dataset)
        models, points = settings["models"], min(settings["curve"], settings["epochs"])
        parts = [_trained(Recipe.of(settings), train, models), _tested(test, models + points)]
        if settings["labels"] == TEACHER:
            parts.append(_taught(parts[0], settings))
        return Work(NetworkSpec(**asked.network), parts, images=5 * self._bytes(dataset))

    def _search_full(self, asked: Any) -> Work:
        dataset, settings = asked.job["dataset"], asked.settings
        train, _, test, classes = self._counts(dataset)
        each = settings["images_per_class"]
        count = min(train, each * classes) if each else train
        return self._searching(asked, count, {test: settings["models"]})

    def _search(self, asked: Any) -> Work:
        _, held, test, _ = self._counts(asked.cell["dataset"])
        models = asked.settings["models"]
        return self._searching(asked, self._seen(asked), {test: models, held: models})

    def _searching(self, asked: Any, count: int, tested: Mapping[int, int]) -> Work:
        """Return the work of a grid's networks on ``count`` images, and on those that they are
        tested on, so many times each."""
        parts = [_trained(Recipe.of(asked.settings), count, asked.settings["models"])]
        parts += [_tested(images, passes) for images, passes in tested.items()]
        networks = [NetworkSpec(**{**asked.network, "options": each}) for each in asked.grid]
        return Work(
            others=[(network, parts) for network in networks],
            images=5 * self._bytes(asked.job["dataset"]),
        )

    def _continual_alone(self, asked: Any) -> Work:
        settings, dataset = asked.settings, asked.job["dataset"]
        train, _, test, classes = self._counts(dataset)
        groups, models = len(asked.groups), settings.get("models", 1)
        if asked.strategy in (AFTERWARDS, GDUMB):
            # The whole memory once, or after each group what there is of it.
            stages, share = (groups, (groups + 1) / 2) if asked.strategy == GDUMB else (1, 1)
            count = math.ceil(share * self._seen(asked))
            own = {name: settings[f"{asked.strategy}_{name}"] for name in ("epochs", "batch")}
            recipe = Recipe.of({**settings, **own, "decay": "none"})
            parts = [_trained(recipe, count, models), _tested(test, models * stages)]
            return Work(NetworkSpec(**asked.network), parts, images=5 * self._bytes(dataset))
        each = settings["images_per_class"]
        count = min(train, each * classes) if each else train
        # Each group once, or with all before it.
        seen = count * (groups + 1) / 2 if asked.strategy == JOINT else count
        recipe = Recipe.of({**settings, "decay": "none"})
        trained = _trained(recipe, math.ceil(seen), models)
        if asked.strategy == REPLAY:
            trained = trained._replace(images=trained.images + settings["replay_batch"])
        parts = [trained, _tested(test, models * groups)]
        return Work(NetworkSpec(**asked.network), parts, images=5 * self._bytes(dataset))

    _continual_whitened = _continual_memory = _continual_alone


def _trained(recipe: Recipe, count: int, models: int) -> Part:
    """Return the steps of networks that are trained on ``count`` images."""
    batch = min(recipe.batch, count)
    # Small sets are learned in full precision.
    return Part(GRADIENT, models * recipe.steps(count), batch, count > 4 * recipe.batch)


def _taught(trained: Part, settings: Mapping[str, Any]) -> Part:
    """Return the answers of a teacher to the steps of a training, as if it were of the network that
    learns."""
    return Part(FORWARD, settings[TEACHER]["number"] * trained.calls, trained.images, eager=True)


def _tested(count: int, passes: int) -> Part:
    """Return ``passes`` passes over ``count`` images that are tested on."""
    return Part(FORWARD, passes * count / _TEST_BATCH, _TEST_BATCH, True)
