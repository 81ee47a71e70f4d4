"""What the robust scores are made of: which images, which labels, which augmentation, and each
training once."""

from dataclasses import replace

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.evaluation import evaluate, robust
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store.metrics import Metrics
from distillery.training.train import Bench

CLASSES = 3
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 8, "depth": 1})
BENCH = Bench(
    network=NETWORK,
    stream=lambda *identity: streams.generator(0, *identity),
    compute=Compute("float32", "off"),
)
RECIPE = Recipe(epochs=3, lr=0.05, batch=16)
MEASURES = {
    "accuracy_own_labels",
    "accuracy_hard_labels",
    "accuracy_random_same_labels",
    "accuracy_augmented",
    "accuracy_plain",
    "accuracy_random_augmented",
    "accuracy_random_plain",
}


def data(count=30, seed=1):
    """Images that are a little brighter at a place of their class: hard enough that two trainings
    seldom agree."""
    labels = torch.arange(CLASSES).repeat_interleave(count // CLASSES)
    images = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    for c in range(CLASSES):
        images[labels == c, :, :, 2 * c : 2 * c + 3] += 0.7
    return images, labels


# ---- random images -------------------------------------------------------------------------------


def test_random_images_have_the_classes_of_the_set_in_its_order_and_none_twice():
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 0, 1, 2, 0])
    wanted = torch.tensor([0, 0, 2, 1, 1, 0])
    chosen = robust.random_images(torch.arange(10), labels, wanted, streams.generator(0, "x"))
    assert labels[chosen].tolist() == wanted.tolist() and len(set(chosen.tolist())) == 6
    again = robust.random_images(torch.arange(10), labels, wanted, streams.generator(0, "x"))
    others = [
        robust.random_images(
            torch.arange(10), labels, wanted, streams.generator(seed, "x")
        ).tolist()
        for seed in range(1, 6)
    ]
    assert again.tolist() == chosen.tolist() and any(other != chosen.tolist() for other in others)


def test_methods_whose_labels_differ_meet_the_same_random_images_as_far_as_they_can():
    labels = torch.arange(4).repeat(25)
    few, many = torch.arange(4), torch.arange(4).repeat_interleave(5)
    one, other = (
        robust.random_images(torch.arange(100), labels, wanted, streams.generator(0, "x"))
        for wanted in (few, many)
    )
    assert one.tolist() == other[::5].tolist()


def test_more_images_than_a_class_has_are_refused():
    with pytest.raises(UserError, match="2 images of class 1, of which there are only 1"):
        robust.random_images(
            torch.arange(3),
            torch.tensor([0, 1, 0]),
            torch.tensor([1, 1]),
            streams.generator(0, "x"),
        )


# ---- trainings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "augment", "soft", "different"),
    [
        ("none", "dsa", False, 4),
        ("none", "dsa", True, 5),
        ("dsa", "dsa", False, 4),
        ("dc_mnist", "dsa", False, 6),
        ("dc_mnist", "dsa", True, 7),
    ],
)
def test_equal_trainings_are_one(own, augment, soft, different):
    found = robust.trainings(Recipe(epochs=1, augment=own), augment, soft)
    assert found.keys() == MEASURES and len(set(found.values())) == different
    assert (found["accuracy_own_labels"] == found["accuracy_hard_labels"]) == (not soft)
    differ_in = {
        ("accuracy_own_labels", "accuracy_random_same_labels"): (0,),
        ("accuracy_augmented", "accuracy_random_augmented"): (0,),
        ("accuracy_plain", "accuracy_random_plain"): (0,),
        ("accuracy_augmented", "accuracy_plain"): (2,),
    }
    for (one, other), places in differ_in.items():
        assert tuple(i for i in range(3) if found[one][i] != found[other][i]) == places


def measured(labels, models=2, recipe=RECIPE):
    metrics, done = Metrics(rule="evaluate_robust"), []
    random = [data(seed=5 + model)[0] for model in range(models)]
    bench = replace(BENCH, progress=done.append)
    images, tested = Images(data()[0], labels), Images(*data(300, 2))
    metrics.extend(robust.measure(bench, recipe, images, random, tested, augment="dsa"))
    found = {}
    for row in metrics.rows:
        assert (row["selection"], row["split"], row["rule"]) == ("last", "test", "evaluate_robust")
        found.setdefault(row["measure"], []).append(row["value"])
    assert found.keys() == MEASURES and {len(values) for values in found.values()} == {models}
    return found, sum(done)


def alone(images, labels, recipe):
    tested = Images(*data(300, 2))
    return evaluate.accuracies(
        evaluate.measure(BENCH, recipe, Images(images, labels), {"test": tested}, 2)
    )


def on_random(labels, recipe):
    """Of each network's own draw, by that network of an evaluation of it."""
    return [alone(data(seed=5 + model)[0], labels, recipe)[model] for model in range(2)]


@pytest.mark.slow
def test_each_measure_is_the_evaluation_of_what_its_name_says():
    hard = data()[1]
    labels = torch.full((30, CLASSES), 0.2).scatter_(1, hard[:, None], 0.6)
    # A few soft labels lean to another class: then the hard ones are those.
    labels[::7] = labels[::7].roll(1, dims=1)
    found, epochs = measured(labels)
    own = data()[0]
    augmented = Recipe(epochs=3, lr=0.05, batch=16, augment="dsa")
    expected = {
        "accuracy_own_labels": alone(own, labels, RECIPE),
        "accuracy_hard_labels": alone(own, labels.argmax(dim=1), RECIPE),
        "accuracy_random_same_labels": on_random(labels, RECIPE),
        "accuracy_augmented": alone(own, labels, augmented),
        "accuracy_plain": alone(own, labels, RECIPE),
        "accuracy_random_augmented": on_random(labels, augmented),
        "accuracy_random_plain": on_random(labels, RECIPE),
    }
    assert found == expected
    assert len({tuple(values) for values in found.values()}) == 5, (
        "the five trainings differ, or the test shows nothing"
    )
    assert epochs == 5 * 2 * 3


@pytest.mark.slow
def test_a_set_with_hard_labels_is_trained_with_them_once(monkeypatch):
    counted = []
    real = evaluate.measure
    monkeypatch.setattr(
        evaluate,
        "measure",
        lambda *arguments, **more: counted.append(arguments[1].augment) or real(*arguments, **more),
    )
    found, epochs = measured(data()[1])
    assert found["accuracy_own_labels"] == found["accuracy_hard_labels"] == found["accuracy_plain"]
    # Two of the set for both networks, two of random images for each network's own.
    assert sorted(counted) == ["dsa"] * 3 + ["none"] * 3 and epochs == 4 * 2 * 3
