"""Distillation from a teacher against the loss as it is written, step by step."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from distillery import augmentations, networks
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.training import experts, mixing, teachers, teaching, trajectories
from distillery.training import stack as stacks
from distillery.training import train as training
from distillery.training.stack import initialise
from tests.unit.training.test_train import (
    BENCH,
    CLASSES,
    NETWORK,
    WITHOUT_NORM,
    apart,
    by_torch,
    data,
    flat,
    plain,
    run,
    stream,
)

# Of another architecture than the students, and larger.
TEACHING = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 12, "depth": 1})
OTHERS = 2


def taught(temperature=1.0, count=OTHERS):
    """A teacher of some random networks, and the networks as modules."""
    modules = [
        networks.initialise(networks.from_spec(TEACHING), stream("teacher", number))
        for number in range(count)
    ]
    stack = initialise(
        TEACHING, [stream("teacher", number) for number in range(count)], torch.device("cpu")
    )
    for number, module in enumerate(modules):
        assert torch.equal(stack.flat()[number], flat(module)[0])
    return teaching.Teacher(stack, temperature), modules


def divergence(modules, temperature):
    """The loss of Hinton et al.: T² KL(teacher ‖ student), the teacher's probabilities averaged."""

    def loss(logits, x):
        with torch.no_grad():
            wanted = torch.stack([(m(x) / temperature).softmax(1) for m in modules]).mean(0)
        answered = (logits / temperature).log_softmax(1)
        return temperature**2 * functional.kl_div(answered, wanted, reduction="batchmean")

    return loss


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_students_learn_their_teacher_s_answers_to_the_images_as_they_are_learned(
    temperature, optimiser
):
    """Augmented and mixed images, an epoch whose last batch is smaller, labels that play no
    part."""
    images, labels = data()
    teacher, modules = taught(temperature)
    loss = divergence(modules, temperature)
    recipe = Recipe(epochs=2, lr=0.02, batch=8, optimiser=optimiser, augment="dsa", mix="cutmix")
    noted = []
    stack = run(
        recipe,
        range(2),
        bench=replace(BENCH, network=WITHOUT_NORM, teacher=teacher),
        after_epoch=lambda epoch, stack, summary: noted.append(summary),
    )
    for model in range(2):
        order, drawn, mixed = (stream(kind, model) for kind in ("order", "augment", "mix"))
        batches = []
        for _ in range(2):
            for rows in torch.randperm(len(images), generator=order).split(8):
                # A batch that is filled up draws for what fills it, too.
                filled = torch.cat([rows, rows[:1].expand(8 - len(rows))])
                x = augmentations.augment("dsa", images[filled], drawn, flip_allowed=BENCH.flip)
                x, _ = mixing.mixed("cutmix", x[: len(rows)], labels[rows], CLASSES, mixed)
                batches.append((x, x))
        make = {
            "sgd": torch.optim.SGD,
            "adamw": lambda weights: torch.optim.AdamW(weights, weight_decay=0.0),
        }[optimiser]
        losses = []

        def noting(logits, x, losses=losses):
            value = loss(logits, x)
            losses.append(value.item() * len(x))
            return value

        expected = by_torch(plain(WITHOUT_NORM, model), make, batches, [0.02] * 6, noting)
        assert apart(stack.flat()[model], expected) < 5e-5
        for epoch in (1, 2):
            found = noted[epoch]["loss"][model].item()
            wanted = sum(losses[3 * (epoch - 1) : 3 * epoch]) / len(images)
            assert found == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_labels_of_the_images_play_no_part():
    images, labels = data()
    bench = replace(BENCH, teacher=taught()[0])
    recipe = Recipe(epochs=2, lr=0.1, batch=8)
    ones = run(recipe, bench=bench, images=images, labels=labels).flat()
    others = run(recipe, bench=bench, images=images, labels=labels.flip(0)).flat()
    assert torch.equal(ones, others)
    assert not torch.equal(ones, run(recipe, images=images, labels=labels).flat())


def test_the_compiled_step_learns_the_same(monkeypatch):
    recipe = Recipe(epochs=2, lr=0.1, momentum=0.9, weight_decay=0.01, batch=8)
    bench = replace(BENCH, teacher=taught(4.0)[0])
    wanted = run(recipe, range(2), bench=bench).flat()
    monkeypatch.setattr(Compute, "compiles", lambda *_: True)
    monkeypatch.setattr(Compute, "compiled", lambda self, function, **_: function)
    monkeypatch.setattr(training, "architecture_of", stacks.Architecture)
    assert apart(run(recipe, range(2), bench=bench).flat(), wanted) < 1e-5


# ---- from the files of experts -------------------------------------------------------------------


def shard(path, numbers):
    """A shard of experts of one epoch; returns their trajectories."""
    images, labels = data()
    bench = replace(BENCH, network=TEACHING)
    recipe = Recipe(epochs=2, lr=0.1, batch=8)
    trained = experts.train_experts(bench, recipe, Images(images, labels), numbers)
    trajectories.save(path, trained, {"numbers": numbers})
    return trained


def settings(**changes):
    return {"experts": "default", "number": 1, "epoch": "last", "temperature": 1.0} | changes


def test_a_teacher_is_the_experts_after_the_epoch_that_is_named(tmp_path):
    paths = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    trained = torch.cat([shard(paths[0], [0, 1]), shard(paths[1], [2])])
    for asked, rows, epoch in (
        (settings(), 1, 2),
        (settings(number=3, epoch=1, temperature=2.5), 3, 1),
    ):
        teacher = teachers.teacher(paths, TEACHING, asked, torch.device("cpu"))
        assert torch.equal(teacher.stack.flat(), trained[:rows, epoch])
        assert teacher.temperature == asked["temperature"]


@pytest.mark.parametrize(
    ("network", "changes", "said"),
    [
        (TEACHING, {"number": 2}, "asks for 2 experts after epoch 2; there are 1 of 2 epochs"),
        (TEACHING, {"epoch": 3}, "asks for 1 experts after epoch 3; there are 1 of 2 epochs"),
        (NETWORK, {}, "must be of the same network"),
    ],
)
def test_experts_that_are_not_there_are_refused(tmp_path, network, changes, said):
    path = tmp_path / "0.safetensors"
    shard(path, [0])
    with pytest.raises(UserError, match=said):
        teachers.teacher([path], network, settings(**changes), torch.device("cpu"))
