"""A set under its own labels, hard ones and a teacher's, and its first images."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.evaluation import evaluate
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.sets.synthetic import SyntheticSet
from distillery.stages import evaluation
from distillery.training.stack import initialise
from distillery.training.teaching import Teacher

CLASSES = 3
NETWORK = {
    **{"name": "ConvNet", "channels": 1, "size": 8, "classes": CLASSES},
    "options": {"width": 8, "depth": 1},
}
SETTINGS = {
    **{"epochs": 3, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "batch": 8, "decay": "none"},
    **{"augment": "none", "models": 2, "curve": 0, "first": [], "selection": None},
}


def images(count, seed):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def drawn(soft=True, ipc=2):
    """A set whose classes stand in turn."""
    hard = torch.arange(CLASSES).repeat(ipc)
    labels = torch.nn.functional.one_hot(hard, CLASSES) * 0.4 + 0.2 if soft else hard
    return SyntheticSet(images(CLASSES * ipc, 1), labels, header={"classes": ["a", "b", "c"]})


def trainings(labels, synthetic, **changes):
    cell = {"dataset": "toy", "method": "dc", "init": "real", "ipc": 2, "seed": 0}
    asked = SimpleNamespace(
        cell=cell, network=NETWORK, seed=0, settings=SETTINGS | {"labels": labels} | changes
    )
    tested = Images(images(30, 2), torch.arange(CLASSES).repeat(10))
    held = Images(images(9, 3), torch.arange(CLASSES).repeat(3))
    generator = streams.generator(0, "teacher")
    taught = Teacher(initialise(NetworkSpec(**NETWORK), [generator], torch.device("cpu")), 2.0)
    made = evaluation.Trainings(asked, synthetic, {"test": tested, "validation": held}, taught)
    bench = evaluation.bench(
        asked, compute=Compute("float32", "off"), flip=False, progress=lambda epochs: None
    )
    return made, bench, taught


def by_model(rows, **columns):
    """The values of the rows that have these columns, by network."""
    return {
        row["model"]: row["value"]
        for row in rows
        if all(row.get(key) == value for key, value in columns.items())
    }


@pytest.mark.parametrize(
    ("asked", "soft", "kinds"),
    [
        (["own"], True, ["soft"]),
        (["own"], False, ["hard"]),
        (["own", "hard", "teacher"], True, ["soft", "hard", "teacher"]),
        (["own", "hard", "teacher"], False, ["hard", "teacher"]),
        (["teacher", "own"], False, ["teacher", "hard"]),
        (["hard"], True, ["hard"]),
    ],
)
def test_a_set_is_trained_under_each_kind_of_labels_once(asked, soft, kinds):
    made, _, _ = trainings(asked, drawn(soft))
    assert made.kinds == kinds


def test_each_kind_is_what_the_same_networks_reach_under_these_labels():
    synthetic = drawn()
    made, bench, taught = trainings(["own", "hard", "teacher"], synthetic)
    rows = made.main(bench).rows + made.others(bench).rows
    recipe = Recipe.of(SETTINGS)
    tested = {"test": Images(images(30, 2), torch.arange(CLASSES).repeat(10))}
    hard = synthetic.labels.argmax(1)
    expected = {
        "soft": (bench, synthetic.labels),
        "hard": (bench, hard),
        "teacher": (replace(bench, teacher=taught), hard),
    }
    for kind, (with_, labels) in expected.items():
        wanted = evaluate.measure(with_, recipe, Images(synthetic.images, labels), tested, 2)
        measure = "accuracy" if kind == "soft" else "accuracy_by_labels"
        found = by_model(rows, measure=measure, labels=kind, split="test")
        assert found == by_model(wanted.rows, measure="accuracy", split="test")
    # Chosen among by the images held out, as under the first kind.
    for kind in ("hard", "teacher"):
        held = by_model(rows, measure="accuracy_by_labels", labels=kind, split="validation")
        assert sorted(held) == [0, 1]
    assert {row["labels"] for row in made.main(bench).rows} == {"soft"}


@pytest.mark.parametrize("first", [1, 2])
def test_the_first_images_of_each_class_are_a_set_of_their_size(first):
    synthetic = drawn(ipc=3)
    made, bench, _ = trainings(["hard"], synthetic)
    rows = made.first(first, bench).rows
    count = CLASSES * first  # the classes stand in turn
    part = Images(synthetic.images[:count], synthetic.labels.argmax(1)[:count])
    tested = {"test": Images(images(30, 2), torch.arange(CLASSES).repeat(10))}
    wanted = evaluate.measure(bench, Recipe.of(SETTINGS), part, tested, 2)
    found = by_model(rows, measure="accuracy_of_first", first=first, labels="hard", split="test")
    assert found == by_model(wanted.rows, measure="accuracy", split="test")
    assert {row["measure"] for row in rows} == {"accuracy_of_first"}


def test_first_images_are_learned_by_the_networks_of_sets_of_that_size():
    asked = SimpleNamespace(cell={"dataset": "toy", "ipc": 10, "seed": 0}, network=NETWORK, seed=0)
    small = SimpleNamespace(cell={"dataset": "toy", "ipc": 5, "seed": 0}, network=NETWORK, seed=0)
    more = {"compute": Compute("float32", "off"), "flip": False, "progress": lambda epochs: None}

    def draw(bench):
        return torch.rand(3, generator=bench.stream("initialise", 0)).tolist()

    part, whole = (evaluation.bench(asked, **more, **ipc) for ipc in ({"ipc": 5}, {}))
    assert draw(part) == draw(evaluation.bench(small, **more)) != draw(whole)
