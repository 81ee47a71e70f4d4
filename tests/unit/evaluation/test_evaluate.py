"""What is recorded of a set, and how the best snapshot is chosen."""

import itertools
import math

import pytest
import torch

from distillery import networks, streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.evaluation import evaluate
from distillery.store.metrics import Metrics
from distillery.training import train as training
from distillery.training.train import Recipe

CLASSES = 3
NETWORK = {
    "name": "ConvNet",
    "channels": 1,
    "size": 8,
    "classes": CLASSES,
    "options": {"width": 8, "depth": 1},
}
SHARED = {
    "stream": lambda *identity: streams.generator(0, *identity),
    "compute": Compute("float32", "off"),
}


def data(count=30, seed=1):
    """Images that are bright at a place of their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat(count // CLASSES)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    for c in range(CLASSES):
        images[labels == c, :, :, 2 * c : 2 * c + 3] += 2
    return images, labels


def values(metrics, **columns):
    """The rows that have these columns; ``None`` for one that must be absent."""
    return [
        row
        for row in metrics.rows
        if all(row.get(name) == value for name, value in columns.items())
    ]


# ---- recipes and curves --------------------------------------------------------------------------


def test_a_learned_rate_is_the_sets_own_step_size():
    settings = {
        "epochs": 3,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch": 16,
        "decay": "half",
        "augment": "dsa",
    }
    learned = {**settings, "lr": "learned", "models": 5}
    assert Recipe.of(learned, 0.25) == Recipe(lr=0.25, **settings)
    assert Recipe.of(learned, None) == Recipe.of(learned) == Recipe(lr=0.01, **settings)
    fixed = {**settings, "lr": 0.1}
    assert Recipe.of(fixed, 0.25) == Recipe.of(fixed, None) == Recipe(lr=0.1, **settings)


@pytest.mark.parametrize("epochs", [1, 2, 7, 20, 300, 1000])
@pytest.mark.parametrize("points", [1, 3, 20])
def test_curves_are_even_and_end_with_the_last_epoch(epochs, points):
    chosen = sorted(evaluate.curve_epochs(epochs, points))
    assert len(chosen) == min(epochs, points) and chosen[-1] == epochs and chosen[0] >= 1
    ideal = epochs / len(chosen)
    assert all(abs(b - a - ideal) <= 1 for a, b in itertools.pairwise([0, *chosen]))


# ---- measuring -----------------------------------------------------------------------------------


def test_every_count_is_of_the_epochs_that_were_trained():
    """The published decay trains one epoch more than its number: curves, progress, images seen and
    FLOPs know."""
    recipe = Recipe(epochs=4, lr=0.05, batch=16, decay="published")
    metrics, done = Metrics(rule="evaluate_synthetic"), []
    evaluate.measure(
        metrics,
        NETWORK,
        *data(),
        *data(15, 2),
        recipe,
        models=2,
        curve=2,
        progress=done.append,
        **SHARED,
    )
    assert sum(done) == 2 * 5
    assert {row["epoch"] for row in values(metrics, model=0, split="test") if row.get("epoch")} == {
        2,
        5,
    }
    assert len(values(metrics, measure="accuracy", selection="last", epoch=None)) == 2
    frames, done = [(iteration, *data(), None) for iteration in (0, 3)], []
    held = data(15, 2)
    evaluate.select(
        metrics,
        NETWORK,
        frames,
        held,
        held,
        lambda step: recipe,
        models=2,
        progress=done.append,
        **SHARED,
    )
    assert sum(done) == 2 * 2 * 5
    seen = Metrics()
    networks.record_training(seen, NETWORK, 30, recipe.trained_epochs)
    assert values(seen, measure="images_seen")[0]["value"] == 150


def measured(monkeypatch, together, curve=2, **arguments):
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: together)
    metrics, done = Metrics(rule="evaluate_synthetic"), []
    recipe = Recipe(epochs=4, lr=0.05, batch=16)
    arguments = {"models": 3, "progress": done.append, **SHARED, **arguments}
    found = evaluate.measure(
        metrics, NETWORK, *data(), *data(15, 2), recipe, curve=curve, **arguments
    )
    assert sum(done) == 3 * 4
    return metrics, found


@pytest.mark.parametrize("together", [1, 2, 3])
def test_the_rows_do_not_depend_on_how_many_are_trained_together(together, monkeypatch):
    metrics, _ = measured(monkeypatch, together)
    names = ("measure", "model", "split", "selection", "epoch", "class")
    found = sorted((tuple(row.get(name) for name in names) for row in metrics.rows), key=str)
    expected = []
    for model in range(3):
        expected += [(name, model, "test", "last", None, None) for name in ("accuracy", "loss")]
        expected += [("class_accuracy", model, "test", "last", None, c) for c in range(CLASSES)]
        expected += [
            (name, model, "train", "last", e, None) for name in ("accuracy", "loss") for e in (2, 4)
        ]
    expected += [
        (name, 0, "test", "last", e, None) for name in ("accuracy", "loss") for e in (2, 4)
    ]
    assert found == sorted(expected, key=str)
    assert all(row["rule"] == "evaluate_synthetic" for row in metrics.rows)


def test_the_values_are_those_of_training_and_testing(monkeypatch):
    metrics, accuracies = measured(monkeypatch, 2)
    images, labels = data(15, 2)
    alone, _ = measured(monkeypatch, 1)
    for model in range(3):
        stack = training.train(
            NETWORK, 1, *data(), Recipe(epochs=4, lr=0.05, batch=16), first=model, **SHARED
        )
        tested = training.test(stack, images, labels, classes=CLASSES, compute=SHARED["compute"])
        (accuracy,) = values(metrics, measure="accuracy", model=model, split="test", epoch=None)
        (loss,) = values(metrics, measure="loss", model=model, split="test", epoch=None)
        assert accuracy["value"] == accuracies[model] == float(tested["accuracy"])
        assert loss["value"] == pytest.approx(float(tested["loss"]), rel=1e-4)
        by_class = values(metrics, measure="class_accuracy", model=model)
        assert [row["value"] for row in by_class] == tested["class_accuracy"][0].tolist()
    # The first network's curve is its own, however many were tested with it, and ends where its
    # result is.
    for row in values(metrics, measure="loss", split="test", model=0):
        (other,) = values(alone, measure="loss", split="test", model=0, epoch=row.get("epoch"))
        assert row["value"] == pytest.approx(other["value"], rel=1e-4)
    first, last = (
        values(metrics, measure="loss", split="test", model=0, epoch=e)[0]["value"] for e in (2, 4)
    )
    assert (
        first
        != last
        == values(metrics, measure="loss", split="test", model=0, epoch=None)[0]["value"]
    )


@pytest.mark.parametrize("together", [1, 3])
def test_on_the_way_only_the_first_network_is_tested(together, monkeypatch):
    """On small sets testing costs more than training: one network at epoch 2, and every one at the
    end."""
    counts = []

    def spy(stack, *arguments, **more):
        counts.append(stack.count)
        return training.test(stack, *arguments, **more)

    monkeypatch.setattr(evaluate, "test", spy)
    measured(monkeypatch, together)
    assert counts == {1: [1, 1, 1, 1], 3: [1, 3]}[together]


def test_without_a_curve_only_the_end_is_recorded(monkeypatch):
    metrics, _ = measured(monkeypatch, 1, curve=0)
    assert len(metrics.rows) == 3 * (2 + CLASSES)
    assert not any("epoch" in row for row in metrics.rows)


def test_networks_that_diverge_are_told_and_not_left_out():
    metrics = Metrics()
    recipe = Recipe(epochs=2, lr=1e38, batch=16)
    accuracies = evaluate.measure(
        metrics, NETWORK, *data(), *data(15, 2), recipe, models=2, curve=2, **SHARED
    )
    assert (
        len(accuracies) == len(values(metrics, measure="accuracy", split="test", epoch=None)) == 2
    )
    assert [row["model"] for row in values(metrics, measure="diverged", value=1)] == [0, 1]
    # A mean over a loss that is not finite would be none.
    assert (
        all(math.isfinite(row["value"]) for row in metrics.rows)
        and values(metrics, measure="loss", split="test") == []
    )


def test_memory_that_ends_leaves_no_row_twice(monkeypatch):
    """Three networks at once are too many: the same rows come of one and one and one."""
    real = evaluate.train

    def scarce(network, count, *arguments, after_epoch, **more):
        stack = real(network, count, *arguments, after_epoch=after_epoch, **more)
        if count > 1:  # as late as can be
            raise torch.OutOfMemoryError("out of memory")
        return stack

    expected, accuracies = measured(monkeypatch, 1)
    monkeypatch.setattr(evaluate, "train", scarce)
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: 3)
    metrics = Metrics(rule="evaluate_synthetic")
    arguments = {"models": 3, "curve": 2, **SHARED}
    found = evaluate.measure(
        metrics, NETWORK, *data(), *data(15, 2), Recipe(epochs=4, lr=0.05, batch=16), **arguments
    )
    assert found == accuracies and metrics.rows == expected.rows


# ---- selection -----------------------------------------------------------------------------------


SWAPPED = torch.tensor([1, 2, 0])


def selected(validation_labels=None, test_labels=None, frames=None, **arguments):
    """Iteration 0 has learned every class as the next one; iteration 10 has learned them right, and
    20 again."""
    images, labels = data()
    frames = frames or [
        (0, images, SWAPPED[labels], 0.05),
        (10, images, labels, 0.05),
        (20, images, labels, 0.05),
    ]
    validation, tested = data(15, 2), data(15, 3)
    metrics = Metrics()
    evaluate.select(
        metrics,
        NETWORK,
        frames,
        (validation[0], validation[1] if validation_labels is None else validation_labels),
        (tested[0], tested[1] if test_labels is None else test_labels),
        arguments.pop("recipe_of", lambda step_size: Recipe(epochs=8, lr=step_size, batch=16)),
        models=2,
        **SHARED,
        **arguments,
    )
    return metrics


def chosen(metrics, name):
    rows = values(metrics, selection=name)
    assert [row["model"] for row in rows] == [0, 1] and all(row["split"] == "test" for row in rows)
    (iteration,) = {row["iteration"] for row in rows}
    snapshots = values(metrics, selection="snapshot", split="test", iteration=iteration)
    assert [row["value"] for row in rows] == [row["value"] for row in snapshots]
    return iteration


def test_the_best_snapshot_wins_and_the_earlier_of_equals():
    metrics = selected()
    assert len(values(metrics, selection="snapshot")) == 3 * 2 * 2
    scores = {
        (iteration, split): sum(
            r["value"]
            for r in values(metrics, selection="snapshot", split=split, iteration=iteration)
        )
        / 2
        for iteration in (0, 10, 20)
        for split in ("validation", "test")
    }
    # Equal images on the same streams are equal networks: a tie.
    assert scores[10, "validation"] == scores[20, "validation"] > scores[0, "validation"]
    assert scores[10, "test"] == scores[20, "test"] > scores[0, "test"]
    assert chosen(metrics, "best_validation") == chosen(metrics, "best_test") == 10


def test_best_validation_never_looks_at_the_test_labels():
    _, test_labels = data(15, 3)
    metrics = selected(test_labels=SWAPPED[test_labels])
    assert chosen(metrics, "best_validation") == 10
    # It is the test images that deceive the other rule.
    assert chosen(metrics, "best_test") == 0
    _, labels = data(15, 2)
    metrics = selected(validation_labels=SWAPPED[labels])
    assert (chosen(metrics, "best_validation"), chosen(metrics, "best_test")) == (0, 10)


@pytest.mark.parametrize("stack", [1, 2])
def test_without_test_all_only_the_chosen_snapshot_meets_the_test_images(monkeypatch, stack):
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: stack)
    every, tests = selected(), 0
    real, held = evaluate.test, data(15, 3)[0]

    def counted(trained, images, *rest, **more):
        nonlocal tests
        tests += trained.count * torch.equal(images, held)
        return real(trained, images, *rest, **more)

    monkeypatch.setattr(evaluate, "test", counted)
    metrics = selected(test_all=False)
    assert tests == 2
    assert values(metrics, selection="best_validation") == values(
        every, selection="best_validation"
    )
    assert values(metrics, split="validation") == values(every, split="validation")
    assert not values(metrics, selection="best_test") and not values(
        metrics, selection="snapshot", split="test"
    )


def test_every_snapshot_is_trained_by_the_recipe_of_its_own_step_size():
    images, labels = data()
    asked, done = [], []

    def recipe_of(step_size):
        asked.append(step_size)
        return Recipe(epochs=1, lr=0.01, batch=16)

    frames = [(0, images, labels, None), (5, images, labels, 0.3)]
    selected(frames=frames, recipe_of=recipe_of, progress=done.append)
    assert asked == [None, 0.3] and sum(done) == 2 * 2


# ---- classes without test images -----------------------------------------------------------------


def test_a_class_without_test_images_has_no_accuracy_and_nothing_is_nan():
    metrics, (images, labels) = Metrics(), data(15, 2)
    kept = labels != 1
    tests = images[kept], labels[kept]
    evaluate.measure(
        metrics, NETWORK, *data(), *tests, Recipe(epochs=2, batch=16), models=2, curve=2, **SHARED
    )
    assert all(math.isfinite(row["value"]) for row in metrics.rows)
    assert {row["class"] for row in values(metrics, measure="class_accuracy")} == {0, 2}
    assert len(values(metrics, measure="accuracy", split="test", epoch=None)) == 2


def test_nothing_to_test_on_is_refused_in_one_line():
    images, labels = data()
    with pytest.raises(UserError, match="there is no test image"):
        evaluate.measure(
            Metrics(),
            NETWORK,
            images,
            labels,
            images[:0],
            labels[:0],
            Recipe(epochs=1),
            models=1,
            curve=0,
            **SHARED,
        )
