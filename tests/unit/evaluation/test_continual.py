"""Class-incremental learning: what each strategy is shown, and how forgetting is counted."""

import math
from dataclasses import replace

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.evaluation import continual
from distillery.evaluation.continual import Learned
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store import artefact
from distillery.training import stack as stacks
from distillery.training.train import Bench, Replay

CLASSES = 4
GROUPS = [[2, 0], [3], [1]]
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 8, "depth": 1})
BENCH = Bench(
    network=NETWORK,
    stream=lambda *identity: streams.generator(0, *identity),
    compute=Compute("float32", "off"),
)
RECIPE = Recipe(epochs=2, lr=0.1, batch=8)


def data(a_class=6, seed=1):
    """Images that are bright at a place of their class, in random order; the first pixel numbers
    them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat(a_class)[
        torch.randperm(CLASSES * a_class, generator=generator)
    ]
    images = 0.5 * torch.randn(len(labels), 1, 8, 8, generator=generator)
    for c in range(CLASSES):
        images[labels == c, :, :, 2 * c : 2 * c + 2] += 2
    images[:, 0, 0, 0] = torch.arange(float(len(labels)))
    return Images(images, labels)


def learn(strategy, tested=None, groups=GROUPS, models=1, replay=None, bench=BENCH):
    tested = data(4, 2) if tested is None else tested
    return continual.learn(bench, RECIPE, strategy, data(), tested, groups, models, replay)


def rows(metrics, measure, **columns):
    return [
        row["value"]
        for row in metrics.rows
        if row["measure"] == measure
        and all(row.get(name) == value for name, value in columns.items())
    ]


# ---- settings ------------------------------------------------------------------------------------


def test_afterwards_has_epochs_and_a_batch_size_of_its_own():
    settings = {
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "batch": 4,
        "augment": "dsa",
        "models": 3,
    }
    replay = continual.recipe_of("replay", {**settings, "epochs": 5})
    assert replay == Recipe(epochs=5, lr=0.1, momentum=0.9, batch=4, augment="dsa")
    for strategy in ("afterwards", "gdumb"):
        own = {f"{strategy}_epochs": 7, f"{strategy}_batch": 2}
        found = continual.recipe_of(strategy, {**settings, **own})
        assert found == Recipe(epochs=7, lr=0.1, momentum=0.9, batch=2, augment="dsa")


def test_another_order_of_the_classes_has_streams_of_its_own():
    def drawn(**order):
        stream = continual.stream(0, "digits", "ConvNet", **order)
        return stream("initialise", 0).initial_seed()

    assert (
        drawn()
        == drawn(order=0)
        == streams.derive(0, *["continual", "digits", "ConvNet"], *("initialise", 0))
    )
    assert len({drawn(order=order) for order in range(4)}) == 4


# ---- what a stage sees ---------------------------------------------------------------------------


@pytest.fixture
def stages(monkeypatch):
    """Every call of training, with what it was given; nothing is learned."""
    calls = []

    def train(bench, recipe, images, models, *, start, replay, checkpoint):
        generators = [bench.stream("initialise", model) for model in models]
        stack = start or stacks.initialise(bench.network, generators, images.device)
        call = {"images": images, "start": start, "models": models, "replay": replay}
        calls.append({**call, "stack": stack})
        return stack

    monkeypatch.setattr(continual, "train", train)
    return calls


def shown(call):
    given = call["images"]
    numbers = given.images[:, 0, 0, 0].long()
    assert len(set(numbers.tolist())) == len(numbers)
    assert torch.equal(given.images, data().images[numbers])
    assert torch.equal(given.labels, data().labels[numbers])
    counts = torch.bincount(given.labels, minlength=CLASSES).tolist()
    assert set(counts) <= {0, 6}, "all images of a class are shown, or none"
    return {c for c in range(CLASSES) if counts[c]}


def test_finetuning_sees_its_group_alone_and_goes_on(stages):
    learn("finetune", models=2)
    assert [shown(call) for call in stages] == [{0, 2}, {3}, {1}] * 2
    assert [call["models"] for call in stages] == [range(1)] * 3 + [range(1, 2)] * 3
    assert not any(call["replay"] for call in stages)
    for begin in (0, 3):
        assert stages[begin]["start"] is None
        assert stages[begin + 1]["start"] is stages[begin]["stack"] is stages[begin + 2]["start"]


def test_joint_training_sees_all_groups_so_far_and_starts_afresh(stages):
    learn("joint")
    assert [shown(call) for call in stages] == [{0, 2}, {0, 2, 3}, {0, 1, 2, 3}]
    assert [call["start"] for call in stages] == [None] * 3 and not any(
        call["replay"] for call in stages
    )


def test_gdumb_starts_afresh_on_the_memory_of_the_groups_seen_so_far(stages):
    memory = data(3, seed=5)
    continual.learn(BENCH, RECIPE, "gdumb", memory, data(4, 2), GROUPS, 1)
    for call, seen in zip(stages, ({0, 2}, {0, 2, 3}, {0, 1, 2, 3}), strict=True):
        numbers = call["images"].images[:, 0, 0, 0].long()
        assert torch.equal(call["images"].images, memory.images[numbers])
        assert set(call["images"].labels.tolist()) == seen and len(numbers) == 3 * len(seen)
        assert call["start"] is None and call["replay"] is None


def test_replay_remembers_earlier_groups_only(stages):
    memory = data(3, seed=5)
    learn("replay", replay=Replay(memory, 7))
    assert [shown(call) for call in stages] == [{0, 2}, {3}, {1}]
    assert stages[0]["replay"] is None
    for call, earlier in zip(stages[1:], ({0, 2}, {0, 2, 3}), strict=True):
        given, batch = call["replay"].memory, call["replay"].batch
        numbers = given.images[:, 0, 0, 0].long()
        assert torch.equal(given.images, memory.images[numbers])
        assert torch.equal(given.labels, memory.labels[numbers])
        assert sorted(given.labels.tolist()) == sorted(3 * list(earlier)) and batch == 7
        assert call["start"] is stages[0]["stack"]


def test_progress_counts_every_epoch():
    done = []
    learn("finetune", models=2, bench=replace(BENCH, progress=done.append))
    assert sum(done) == 2 * len(GROUPS) * RECIPE.epochs


def test_streams_differ_by_stage_and_by_network():
    asked = []

    def stream(*identity):
        asked.append(identity)
        return streams.generator(0, *identity)

    learn("finetune", models=2, bench=replace(BENCH, stream=stream))
    orders = [identity for identity in asked if identity[0] == "order"]
    assert sorted(orders) == [("order", model, stage) for model in range(2) for stage in range(3)]


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(UserError, match="unknown continual strategy 'forget'; known are finetune"):
        learn("forget")
    lacking = data()[data().labels != 3]
    with pytest.raises(UserError, match=r"the memory holds no image of classes \[3\]"):
        learn("replay", replay=Replay(lacking, 2))


# ---- what is counted -----------------------------------------------------------------------------

# Accuracy on each group after each stage, and forgetting by hand: group 0 was best at 0.9 (stage
# 0), group 1 at 0.8.
HISTORY = [[0.9, 0.0, 0.0], [0.6, 0.8, 0.1], [0.7, 0.5, 1.0]]
FORGETTING = ((0.9 - 0.7) + (0.8 - 0.5)) / 2
# Of the same groups: 0.9 and 0.8 when they were learned.
TRANSFER = ((0.7 - 0.9) + (0.5 - 0.8)) / 2
# On the classes seen so far: group 0 has two classes of four, and so weighs twice.
INCREMENTAL = (0.9 + (2 * 0.6 + 0.8) / 3 + (2 * 0.7 + 0.5 + 1.0) / 4) / 3


@pytest.fixture
def faked(monkeypatch, stages):
    """Tests that give the accuracies of ``HISTORY``, stage after stage, whatever the network."""
    calls = []

    def test(stack, images, compute, *, passes=1):
        by_group = [*HISTORY, [0.8, 0.7, 0.6]][len(calls) % 4]
        calls.append(stack)
        by_class = torch.empty(1, CLASSES, dtype=torch.float64)
        for group, value in zip(GROUPS, by_group, strict=True):
            by_class[0, group] = value
        counts = torch.bincount(images.labels, minlength=CLASSES)
        accuracy = (by_class * counts).sum(1) / counts.sum()
        return {"accuracy": accuracy, "class_accuracy": by_class, "loss": torch.zeros(1)}

    monkeypatch.setattr(continual, "test", test)


def test_accuracies_averages_and_forgetting_follow_their_definitions(faked):
    metrics, learned = learn("finetune")
    for stage, by_group in enumerate(HISTORY):
        for group, value in enumerate(by_group):
            assert rows(metrics, "accuracy", stage=stage, group=group, split="test", model=0) == [
                pytest.approx(value)
            ]
        average = sum(by_group[: stage + 1]) / (stage + 1)
        assert rows(metrics, "average_accuracy", stage=stage) == [pytest.approx(average)]
        # Every class has as many test images, so that group 0, of two classes, weighs twice.
        overall = (2 * by_group[0] + by_group[1] + by_group[2]) / 4
        assert rows(metrics, "overall_accuracy", stage=stage) == [pytest.approx(overall)]
        assert learned.history[0][stage] == pytest.approx([overall, *by_group])
    assert (
        rows(metrics, "forgetting")
        == rows(metrics, "forgetting", model=0, stage=2)
        == [pytest.approx(FORGETTING)]
    )
    assert rows(metrics, "backward_transfer", model=0, stage=2) == [pytest.approx(TRANSFER)]
    assert rows(metrics, "average_incremental_accuracy", stage=2) == [pytest.approx(INCREMENTAL)]


def test_a_group_that_was_learned_later_than_ever_is_forgotten_by_less_than_nothing():
    record = continual._Record(BENCH, [[0], [1]], data(), 1)
    record.note(0, 5, [0.2, 0.4, 0.0])
    record.note(1, 5, [0.7, 0.6, 0.8])
    record.end()
    assert rows(record.metrics, "forgetting", model=5, stage=1) == [pytest.approx(-0.2)]
    assert rows(record.metrics, "backward_transfer", model=5) == [pytest.approx(0.2)]


def test_a_group_that_was_best_in_between_is_forgotten_by_more_than_it_transferred():
    """0.5 when it came, 0.9 then, 0.6 at the end: 0.3 are forgotten, and 0.1 was gained."""
    record = continual._Record(BENCH, [[0], [1], [2, 3]], data(), 1)
    for stage, accuracies in enumerate([[0, 0.5, 0, 0], [0, 0.9, 0.4, 0], [0, 0.6, 0.4, 0.8]]):
        record.note(stage, 0, accuracies)
    record.end()
    assert rows(record.metrics, "forgetting") == [pytest.approx((0.3 + 0.0) / 2)]
    assert rows(record.metrics, "backward_transfer") == [pytest.approx((0.1 + 0.0) / 2)]
    seen = (0.5, (0.9 + 0.4) / 2, (0.6 + 0.4 + 2 * 0.8) / 4)
    assert rows(record.metrics, "average_incremental_accuracy") == [pytest.approx(sum(seen) / 3)]


def test_a_group_is_not_forgotten_before_it_came():
    """What a network guessed of a group before it saw it is luck: only the stages from its own on
    count."""
    record = continual._Record(BENCH, [[0], [1], [2]], data(), 1)
    record.note(0, 0, [0.5, 0.9, 0.95, 0.0])
    record.note(1, 0, [0.5, 0.6, 0.7, 0.99])
    record.note(2, 0, [0.5, 0.5, 0.4, 0.8])
    record.end()
    assert rows(record.metrics, "forgetting", model=0, stage=2) == [
        pytest.approx(((0.9 - 0.5) + (0.7 - 0.4)) / 2)
    ]


def test_one_group_has_nothing_to_forget(stages):
    metrics, _ = learn("finetune", groups=[[0, 1, 2, 3]])
    assert rows(metrics, "forgetting") == rows(metrics, "backward_transfer") == []
    assert len(rows(metrics, "accuracy")) == 1
    assert rows(metrics, "average_incremental_accuracy") == rows(metrics, "overall_accuracy")


def test_the_accuracy_of_a_group_is_that_of_its_images():
    """Groups of unequal size and classes with unequal numbers of test images, one with none,
    against a plain count."""
    every = data(4, 2)
    tested = every[(torch.arange(len(every)) % 5 != 0) & (every.labels != 0)]
    metrics, learned = learn("joint", tested)
    parameters = {name: value[None] for name, value in learned.networks[0].items()}
    stack = stacks.Stack(stacks.architecture_of(NETWORK, every.device), parameters)
    right = stack.logits(tested.images[None])[0].argmax(1) == tested.labels
    for group, classes in enumerate(GROUPS):
        members = torch.tensor([int(label) in classes for label in tested.labels])
        (found,) = rows(metrics, "accuracy", stage=2, group=group)
        assert found == pytest.approx(float(right[members].float().mean()))
    assert rows(metrics, "overall_accuracy", stage=2) == [
        pytest.approx(float(right.float().mean()))
    ]


# ---- after all groups ----------------------------------------------------------------------------


def test_afterwards_repeats_the_history_and_counts_on(faked, monkeypatch):
    metrics, learned = learn("finetune", models=1)
    monkeypatch.setattr(continual, "train", lambda *_, start, **named: start)
    again = continual.afterwards(BENCH, RECIPE, data(3, 5), learned, data(4, 2), GROUPS)
    before = [row for row in metrics.rows if "stage" in row and row["measure"].endswith("accuracy")]
    before = [row for row in before if row["measure"] != "average_incremental_accuracy"]
    assert again.rows[: len(before)] == before
    assert rows(again, "accuracy", stage=3) == [pytest.approx(value) for value in (0.8, 0.7, 0.6)]
    assert rows(again, "average_accuracy", stage=3) == [pytest.approx(0.7)]
    # Of the old groups 0 and 1: the best before the memory set minus what is left after it.
    assert rows(again, "forgetting") == [pytest.approx(((0.9 - 0.8) + (0.8 - 0.7)) / 2)]
    assert rows(again, "backward_transfer") == [pytest.approx(((0.8 - 0.9) + (0.7 - 0.8)) / 2)]
    # No group comes with that stage.
    assert rows(again, "average_incremental_accuracy") == []


@pytest.mark.slow
def test_afterwards_goes_on_from_the_finetuned_networks_on_the_whole_memory():
    _, learned = learn("finetune", models=2)
    finals, history = learned.networks, learned.history
    kept = [{name: value.clone() for name, value in values.items()} for values in finals]

    def after(recipe):
        return continual.afterwards(BENCH, recipe, data(3, 5), learned, data(4, 2), GROUPS)

    still = after(Recipe(epochs=1, lr=0.0, batch=64))
    for model in range(2):
        for group in range(3):
            values = [
                rows(still, "accuracy", stage=stage, group=group, model=model) for stage in (2, 3)
            ]
            assert values[0] == values[1]
        assert rows(still, "overall_accuracy", stage=3, model=model) == [history[model][2][0]]
    # The last group drowned the others; a set of all classes brings them back.
    better = after(Recipe(epochs=20, lr=0.1, batch=64))
    for model in range(2):
        assert (
            rows(better, "overall_accuracy", stage=3, model=model)[0] > history[model][2][0] + 0.2
        )
        assert all(torch.equal(finals[model][name], kept[model][name]) for name in kept[model])


def through_disk(learned, folder):
    path = folder / "finetuned.safetensors"
    artefact.save(path, *learned.packed())
    return Learned.unpacked(*artefact.load(path, rule="continual_alone"))


def test_finetuned_networks_survive_the_disk(tmp_path):
    network = replace(NETWORK, options={**NETWORK.options, "norm": "batch"})
    _, learned = learn("finetune", models=2, bench=replace(BENCH, network=network))
    back = through_disk(learned, tmp_path)
    finals, again = learned.networks, back.networks
    assert back.history == learned.history and len(again) == 2
    for model in range(2):
        assert (
            again[model].keys() == finals[model].keys()
            and "features.1.running_mean" in again[model]
        )
        assert all(torch.equal(again[model][name], value) for name, value in finals[model].items())
    assert not torch.equal(finals[0]["classifier.weight"], finals[1]["classifier.weight"])


@pytest.mark.slow
def test_finetuning_forgets_and_replay_forgets_less():
    def noisy(a_class, seed):
        images, generator = data(a_class, seed), torch.Generator().manual_seed(seed)
        images.images[:, 0, 0, 0] = 0
        noise = torch.randn(images.images.shape, generator=generator)
        return Images(images.images + 3 * noise, images.labels)

    found = {}
    for strategy in ("finetune", "replay", "joint"):
        replay = Replay(noisy(12, 5), 16) if strategy == "replay" else None
        images, tested, groups = noisy(12, 1), noisy(25, 2), [[0, 1], [2, 3]]
        recipe = Recipe(epochs=20, lr=0.1, batch=8)
        metrics, _ = continual.learn(BENCH, recipe, strategy, images, tested, groups, 1, replay)
        found[strategy] = (
            rows(metrics, "forgetting")[0],
            rows(metrics, "overall_accuracy", stage=1)[0],
        )
        assert rows(metrics, "accuracy", stage=0, group=0)[0] > 0.8, "the first group is learned"
    assert found["finetune"][0] > 0.5 and found["finetune"][1] < 0.7
    assert (
        found["replay"][0] < 0.5 * found["finetune"][0]
        and found["replay"][1] > found["finetune"][1] + 0.1
    )
    assert found["joint"][1] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["finetune", "replay"])
def test_the_same_seed_gives_the_same_rows(strategy):
    replay = Replay(data(3, 5), 5) if strategy == "replay" else None
    (first, learned), (again, other) = (learn(strategy, replay=replay) for _ in range(2))
    assert first.rows == again.rows
    for name, value in learned.networks[0].items():
        assert torch.equal(value, other.networks[0][name])


# ---- groups without images -----------------------------------------------------------------------


@pytest.mark.parametrize("gone", [{3}, {0, 2}, {1}, {0, 2, 3}, {0, 1, 2}])
def test_a_group_without_test_images_counts_nowhere_and_nothing_is_nan(gone, tmp_path):
    every = data(4, 2)
    left = every[torch.tensor([int(label) not in gone for label in every.labels])]
    metrics, learned = learn("finetune", left)
    # The finetuned networks travel by disk, in JSON, which has no NaN.
    learned = through_disk(learned, tmp_path)
    again = continual.afterwards(BENCH, RECIPE, data(3, 5), learned, left, GROUPS)
    tested = [number for number, group in enumerate(GROUPS) if not set(group) <= gone]
    for found in (metrics, again):
        assert all(math.isfinite(row["value"]) for row in found.rows)
        assert {row["group"] for row in found.rows if "group" in row} == set(tested)
        for stage in range(len(GROUPS)):
            seen = [rows(found, "accuracy", stage=stage, group=g)[0] for g in tested if g <= stage]
            average = [pytest.approx(sum(seen) / len(seen))] if seen else []
            assert rows(found, "average_accuracy", stage=stage) == average
        assert len(rows(found, "forgetting")) == (1 if set(tested) & {0, 1} else 0)


def test_a_group_with_nothing_to_learn_or_nothing_to_test_is_refused_in_one_line():
    lacking = data()[data().labels != 3]
    with pytest.raises(
        UserError, match=r"group 2 \(classes 3\) has no training image; .*continual\.groups"
    ):
        continual.learn(BENCH, RECIPE, "finetune", lacking, data(4, 2), GROUPS, models=1)
    with pytest.raises(UserError, match="there is no test image"):
        learn("finetune", data()[:0])
