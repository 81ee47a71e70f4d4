"""What is recorded of a set, and how the best snapshot is chosen."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from distillery import networks, streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.evaluation import evaluate
from distillery.evaluation.evaluate import Snapshot
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store.metrics import Metrics
from distillery.training import train as training
from distillery.training.train import Bench

CLASSES = 3
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 8, "depth": 1})
BENCH = Bench(
    network=NETWORK,
    stream=lambda *identity: streams.generator(0, *identity),
    compute=Compute("float32", "off"),
)


def data(count=30, seed=1):
    """Images that are bright at a place of their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat(count // CLASSES)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    for c in range(CLASSES):
        images[labels == c, :, :, 2 * c : 2 * c + 3] += 2
    return Images(images, labels)


def measure(recipe, tested=None, bench=BENCH, held=None, **arguments):
    """The rows of a job that evaluates the images of ``data``."""
    metrics = Metrics(rule="evaluate_synthetic")
    splits = {"test": data(15, 2) if tested is None else tested}
    splits |= {} if held is None else {"validation": held}
    metrics.extend(evaluate.measure(bench, recipe, data(), splits, **arguments))
    return metrics


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


@pytest.mark.slow
def test_every_count_is_of_the_epochs_that_were_trained():
    """The published decay trains one epoch more than its number: curves, progress, images seen and
    FLOPs know."""
    recipe = Recipe(epochs=4, lr=0.05, batch=16, decay="published")
    done = []
    bench = replace(BENCH, progress=done.append)
    metrics = measure(recipe, bench=bench, models=2, curve=2)
    assert sum(done) == 2 * 5
    assert {row["epoch"] for row in values(metrics, model=0, split="test") if row.get("epoch")} == {
        2,
        5,
    }
    assert len(values(metrics, measure="accuracy", selection="last", epoch=None)) == 2
    snapshots, held = [Snapshot(iteration, data(), recipe) for iteration in (0, 3)], data(15, 2)
    done.clear()
    evaluate.select(bench, snapshots, held, held, models=2)
    assert sum(done) == 2 * 2 * 5
    seen = Metrics()
    networks.record_training(seen, NETWORK, 30, recipe.trained_epochs)
    assert values(seen, measure="images_seen")[0]["value"] == 150


def measured(monkeypatch, together, curve=2):
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: together)
    done = []
    bench = replace(BENCH, progress=done.append)
    metrics = measure(Recipe(epochs=4, lr=0.05, batch=16), bench=bench, models=3, curve=curve)
    assert sum(done) == 3 * 4
    return metrics


@pytest.mark.parametrize("together", [1, 2, 3])
def test_the_rows_do_not_depend_on_how_many_are_trained_together(together, monkeypatch):
    metrics = measured(monkeypatch, together)
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


@pytest.mark.slow
def test_the_values_are_those_of_training_and_testing(monkeypatch):
    metrics, alone = measured(monkeypatch, 2), measured(monkeypatch, 1)
    accuracies = evaluate.accuracies(metrics)
    for model in range(3):
        recipe = Recipe(epochs=4, lr=0.05, batch=16)
        stack = training.train(BENCH, recipe, data(), range(model, model + 1))
        tested = training.test(stack, data(15, 2), BENCH.compute)
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


@pytest.mark.slow
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
    metrics = measured(monkeypatch, 1, curve=0)
    assert len(metrics.rows) == 3 * (2 + CLASSES)
    assert not any("epoch" in row for row in metrics.rows)


def test_networks_that_diverge_are_reported_and_not_left_out():
    metrics = measure(Recipe(epochs=2, lr=1e38, batch=16), models=2, curve=2)
    assert len(values(metrics, measure="accuracy", split="test", epoch=None)) == 2
    assert [row["model"] for row in values(metrics, measure="diverged", value=1)] == [0, 1]
    # A mean over a loss that is not finite would be none.
    assert (
        all(math.isfinite(row["value"]) for row in metrics.rows)
        and values(metrics, measure="loss", split="test") == []
    )


@pytest.mark.slow
def test_memory_that_ends_leaves_no_row_twice(monkeypatch):
    """Three networks at once are too many: the same rows come of one and one and one."""
    real = evaluate.train

    def scarce(bench, recipe, images, models, **more):
        stack = real(bench, recipe, images, models, **more)
        if len(models) > 1:  # as late as can be
            raise torch.OutOfMemoryError("out of memory")
        return stack

    expected = measured(monkeypatch, 1)
    monkeypatch.setattr(evaluate, "train", scarce)
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: 3)
    metrics = measure(Recipe(epochs=4, lr=0.05, batch=16), models=3, curve=2)
    assert metrics.rows == expected.rows
    monkeypatch.setattr(evaluate, "train", real)
    expected = selected()
    monkeypatch.setattr(evaluate, "train", scarce)
    assert selected().rows == expected.rows


# ---- selection -----------------------------------------------------------------------------------


SWAPPED = torch.tensor([1, 2, 0])


RECIPE = Recipe(epochs=8, lr=0.05, batch=16)


def selected(validation_labels=None, test_labels=None, test_all=True):
    """Iteration 0 has learned every class as the next one; iteration 10 has learned them right, and
    20 again."""
    right, held, tested = data(), data(15, 2), data(15, 3)
    wrong = Images(right.images, SWAPPED[right.labels])
    snapshots = [
        Snapshot(iteration, images, RECIPE)
        for iteration, images in ((0, wrong), (10, right), (20, right))
    ]
    if validation_labels is not None:
        held = Images(held.images, validation_labels)
    if test_labels is not None:
        tested = Images(tested.images, test_labels)
    return evaluate.select(BENCH, snapshots, held, tested, models=2, test_all=test_all)


def chosen(metrics, name):
    rows = values(metrics, selection=name)
    assert [row["model"] for row in rows] == [0, 1] and all(row["split"] == "test" for row in rows)
    (iteration,) = {row["iteration"] for row in rows}
    snapshots = values(metrics, selection="snapshot", split="test", iteration=iteration)
    assert [row["value"] for row in rows] == [row["value"] for row in snapshots]
    return iteration


@pytest.mark.slow
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


@pytest.mark.slow
def test_best_validation_never_looks_at_the_test_labels():
    metrics = selected(test_labels=SWAPPED[data(15, 3).labels])
    assert chosen(metrics, "best_validation") == 10
    # It is the test images that deceive the other rule.
    assert chosen(metrics, "best_test") == 0
    metrics = selected(validation_labels=SWAPPED[data(15, 2).labels])
    assert (chosen(metrics, "best_validation"), chosen(metrics, "best_test")) == (0, 10)


@pytest.mark.slow
@pytest.mark.parametrize("stack", [1, 2])
def test_without_test_all_only_the_chosen_snapshot_meets_the_test_images(monkeypatch, stack):
    monkeypatch.setattr(evaluate, "stack_size", lambda *_: stack)
    every, tests = selected(), 0
    real, tested = evaluate.test, data(15, 3)

    def counted(trained, images, *rest, **more):
        nonlocal tests
        tests += trained.count * torch.equal(images.images, tested.images)
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


@pytest.mark.slow
def test_every_snapshot_is_trained_by_the_recipe_of_its_own_step_size():
    held, rates, done = data(15, 2), (0.01, 0.3), []
    recipes = [Recipe(epochs=2, lr=rate, batch=16) for rate in rates]
    snapshots = [Snapshot(5 * i, data(), recipe) for i, recipe in enumerate(recipes)]
    bench = replace(BENCH, progress=done.append)
    metrics = evaluate.select(bench, snapshots, held, held, models=2)
    assert sum(done) == 2 * 2 * 2
    for snapshot in snapshots:
        found = values(metrics, iteration=snapshot.iteration, split="test", selection="snapshot")
        for row in found:
            models = range(row["model"], row["model"] + 1)
            alone = training.train(BENCH, snapshot.recipe, data(), models)
            assert row["value"] == float(training.test(alone, held, BENCH.compute)["accuracy"])


# ---- classes without test images -----------------------------------------------------------------


def test_a_class_without_test_images_has_no_accuracy_and_nothing_is_nan():
    every = data(15, 2)
    recipe = Recipe(epochs=2, batch=16)
    metrics = measure(recipe, tested=every[every.labels != 1], models=2, curve=2)
    assert all(math.isfinite(row["value"]) for row in metrics.rows)
    assert {row["class"] for row in values(metrics, measure="class_accuracy")} == {0, 2}
    assert len(values(metrics, measure="accuracy", split="test", epoch=None)) == 2


def test_nothing_to_test_on_is_refused_in_one_line():
    with pytest.raises(UserError, match="there is no test image"):
        measure(Recipe(epochs=1), tested=data()[:0], models=1)


# ---- validation images ---------------------------------------------------------------------------


@pytest.mark.slow
def test_each_network_s_accuracy_on_the_validation_images_is_noted_beside_the_test():
    recipe, held = Recipe(epochs=3, batch=10), data(9, 5)
    plain, both = measure(recipe, models=2, curve=2), measure(recipe, models=2, curve=2, held=held)
    noted = values(both, split="validation")
    assert [row for row in both.rows if row not in noted] == plain.rows, "and nothing else changes"
    again = measure(recipe, tested=held, models=2)
    expected = values(again, measure="accuracy", split="test", selection="last")
    assert [(row["model"], row["value"]) for row in noted] == [
        (row["model"], row["value"]) for row in expected
    ]
    assert {row["selection"] for row in noted} == {"last"}
    assert evaluate.accuracies(both) == evaluate.accuracies(plain)


def test_no_validation_images_leave_no_row():
    rows = measure(Recipe(epochs=1, batch=10), models=1, held=data()[:0])
    assert not values(rows, split="validation")


# ---- uneven test images --------------------------------------------------------------------------


@pytest.mark.slow
def test_uneven_test_images_bring_balanced_accuracy_and_auroc():
    tested = data(30, 2)
    rows_by_class = tested.labels.argsort(stable=True)
    few = rows_by_class[[*range(10), 10, 20, 21]]  # 10, 1 and 2 images
    recipe = Recipe(epochs=3, batch=10)
    rows = measure(recipe, tested[few], models=2)
    assert not values(measure(recipe, tested, models=2), measure="balanced_accuracy")
    for model in range(2):
        classes = [row["value"] for row in values(rows, measure="class_accuracy", model=model)]
        balanced = values(rows, measure="balanced_accuracy", model=model)
        assert len(classes) == 3 and len(balanced) == 1
        assert balanced[0]["value"] == pytest.approx(sum(classes) / 3)
        (area,) = values(rows, measure="auroc", model=model)
        assert 0.5 < area["value"] <= 1, "the classes can be told apart"
    kept = training.test(
        training.train(BENCH, recipe, data(), range(2)), tested, BENCH.compute, keep=True
    )
    answers = kept["logits"].argmax(2) == tested.labels
    assert torch.equal(answers.double().mean(1), kept["accuracy"])
