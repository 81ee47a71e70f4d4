"""Measure what one synthetic set is worth to one kind of network."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.evaluation import evaluate
from distillery.evaluation.confusion import Confusion
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.sets.synthetic import SyntheticSet
from distillery.store.ledger import Ledger
from distillery.store.metrics import Metrics
from distillery.training import teaching
from distillery.training.train import Bench
from distillery.vocabulary import HARD, OWN, SOFT, TEACHER

if TYPE_CHECKING:
    from distillery.study.params import EvaluateSynthetic


def bench(
    asked: "EvaluateSynthetic",
    *,
    compute: Compute,
    flip: bool,
    progress: Callable[[int], None],
    ledger: Ledger | None = None,
    ipc: int | None = None,
) -> Bench:
    """Return what the networks are trained with.

    The same streams for every method: two sets are compared on the same networks in the same order.

    Args:
        asked: the cell, the network and the seed.
        compute: how to compute.
        flip: whether an augmentation may mirror images.
        progress: called with the number of epochs since the last call, those of each network
            counted.
        ledger: what keeps the job's trainings; nothing by default.
        ipc: images per class of the sets that this one is compared with; its own by default.
    """
    cell, network = asked.cell, asked.network
    names = cell["dataset"], network["name"], cell["ipc"] if ipc is None else ipc, cell["seed"]
    return Bench(
        network=NetworkSpec(**network),
        stream=functools.partial(streams.generator, asked.seed, "evaluate", *names),
        compute=compute,
        flip=flip,
        progress=progress,
        ledger=Ledger() if ledger is None else ledger,
    )


def kinds(asked: Sequence[str], labels: torch.Tensor) -> list[str]:
    """Return the kinds of labels that a set is trained under, each once: ``hard``, ``soft`` (its
    own), ``teacher``.

    Args:
        asked: the setting ``labels``.
        labels: of the set, (N,) or (N, K).
    """
    own = SOFT if labels.ndim == 2 else HARD
    return list(dict.fromkeys(own if kind == OWN else kind for kind in asked))


class Trainings:
    """The trainings of networks on one set, under each kind of labels.

    Args:
        asked: the settings.
        synthetic: the set.
        splits: the ``test`` images, and perhaps those held out for ``validation``, in the space of
            the set, on the device that computes.
        taught: whom the networks learn from where a teacher labels.

    Attributes:
        kinds: of labels; sets are compared under the first.
        images: the set.
        recipe: how networks are trained.
    """

    def __init__(
        self,
        asked: "EvaluateSynthetic",
        synthetic: SyntheticSet,
        splits: Mapping[str, Images],
        taught: teaching.Teacher | None = None,
    ) -> None:
        self._asked, self._splits, self._taught = asked, splits, taught
        self.images = Images(synthetic.images, synthetic.labels).to(splits["test"].device)
        self.recipe = Recipe.of(asked.settings, synthetic.step_size)
        self._held = synthetic.factor**2
        self.kinds = kinds(asked.settings["labels"], synthetic.labels)

    def labelled(self, kind: str, bench: Bench, images: Images) -> tuple[Bench, Images]:
        """Return what networks are trained with and on, under a kind of labels."""
        if kind == HARD:
            return bench, Images(images.images, images.hard)
        return replace(bench, teacher=self._taught if kind == TEACHER else None), images

    def main(self, bench: Bench, confusion: Confusion | None = None) -> Metrics:
        """Train and test networks on the set, under the first kind of labels.

        Args:
            bench: what they are trained with.
            confusion: where to count which classes they take the test images for.

        Raises:
            UserError: there is no test image.
        """
        bench, images = self.labelled(self.kinds[0], bench, self.images)
        settings = self._asked.settings
        measured = Metrics(labels=self.kinds[0])
        measured.extend(
            evaluate.measure(
                bench,
                self.recipe,
                images,
                self._splits,
                settings["models"],
                settings["curve"],
                confusion,
            )
        )
        return measured

    def others(self, bench: Bench) -> Metrics:
        """Do so under the other kinds: ``accuracy_by_labels`` of each network, on the images that
        are tested on and on those held out."""
        measured = Metrics()
        for kind in self.kinds[1:]:
            here, images = self.labelled(kind, bench, self.images)
            self._accuracies(measured, "accuracy_by_labels", here, images, labels=kind)
        return measured

    def first(self, count: int, bench: Bench) -> Metrics:
        """Do so on the first ``count`` images of each class, as they are stored, under the first
        kind: ``accuracy_of_first``."""
        measured, kind = Metrics(), self.kinds[0]
        hard = self.images.hard.tolist()
        seen: dict[int, int] = {}
        rows = []
        for row, label in enumerate(hard):
            seen[label] = seen.get(label, 0) + 1
            if seen[label] <= count * self._held:
                rows.append(row)
        part = self.images[torch.tensor(rows, device=self.images.device)]
        here, images = self.labelled(kind, bench, part)
        self._accuracies(measured, "accuracy_of_first", here, images, labels=kind, first=count)
        return measured

    def _accuracies(
        self, measured: Metrics, measure: str, bench: Bench, images: Images, **columns: object
    ) -> None:
        models = self._asked.settings["models"]
        found = evaluate.measure(bench, self.recipe, images, self._splits, models)
        for row in found.rows:
            if row["measure"] == "accuracy":
                measured.rows.append({**row, "measure": measure, **columns})
