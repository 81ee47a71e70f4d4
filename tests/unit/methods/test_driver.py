"""The loop that runs every method: what it keeps, notes and refuses."""

import copy
import importlib
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.methods import _driver, base
from distillery.sets.evolution import Evolution
from distillery.store.checkpoint import Checkpoint
from tests.unit.methods.conftest import task_of

CLASSES, IPC = 2, 2
IMAGES = torch.arange(10.0).view(10, 1, 1, 1).expand(10, 1, 2, 2).contiguous()
LABELS = torch.tensor([1, 0, 1, 0, 1, 0, 1, 0, 1, 0])


def task(**settings):
    return base.Task(
        images=IMAGES,
        labels=LABELS,
        initial=torch.zeros(CLASSES * IPC, 1, 2, 2),
        classes=CLASSES,
        ipc=IPC,
        network={},
        settings={"iterations": 4} | settings,
        stream=lambda *identity: streams.generator(0, *identity),
        compute=Compute("float32", "off"),
    )


class State(NamedTuple):
    images: torch.Tensor
    half: dict


class Walk(base.Distillation[State]):
    """Adds a random number to the images, half in each of an iteration's two steps; the first
    half's stands in the state."""

    remedy = "another walk"

    def __init__(self, task):
        self.task = task

    def init(self):
        return State(self.task.initial.clone(), {})

    def step(self, state, t):
        if not state.half:
            stream = self.task.stream("iteration", t)
            return State(
                state.images, {"stream": stream, "by": torch.rand((), generator=stream)}
            ), None
        by = state.half["by"] + torch.rand((), generator=state.half["stream"])
        return State(state.images + by, {}), self.loss(t, by)

    def loss(self, t, by):
        return by

    def result(self, state):
        return base.Result(state.images, self.task.targets)


def module(name="walk", **functions):
    made = ModuleType(f"distillery.methods.{name}")
    vars(made).update(functions)
    return made


def run(build=Walk, checkpoint=None, **settings):
    evolution = Evolution(settings.get("iterations", 4), 2)
    more = () if checkpoint is None else (checkpoint,)
    result = _driver.run(module(build=build), task(**settings), evolution, *more)
    return result, evolution


# ---- distillation


def test_an_iteration_of_several_steps_is_noted_once_with_its_loss_and_images():
    result, evolution = run()
    expected = torch.zeros(())
    for t in range(1, 5):
        expected = expected + torch.rand(2, generator=streams.generator(0, "iteration", t)).sum()
    assert torch.allclose(result.images, expected.expand_as(result.images))
    assert [t for t, _ in evolution.losses] == [0, 1, 2, 3, 4]
    assert torch.isnan(evolution.losses[0][1])
    assert [frame[0] for frame in evolution.frames] == [0, 2, 4]
    assert torch.equal(evolution.frames[-1][1], result.images)
    assert torch.equal(result.labels, torch.tensor([0, 0, 1, 1])) and not evolution.step_sizes


class KilledError(Exception):
    pass


class Killed(Checkpoint):
    """Ends the run after so many steps, with their state on the disk."""

    def __init__(self, path, after):
        super().__init__(path, {})
        self.left = after

    def due(self):
        self.left -= 1
        return self.left == 0

    def save(self, *arguments):
        super().save(*arguments)
        raise KilledError


@pytest.mark.parametrize("after", range(1, 8))
def test_a_run_goes_on_from_within_an_iteration_or_between_two(tmp_path, after):
    result, evolution = run()
    with pytest.raises(KilledError):
        run(checkpoint=Killed(tmp_path / "state", after))
    again, noted = run(checkpoint=Checkpoint(tmp_path / "state", {}))
    assert torch.equal(again.images, result.images)
    assert [(t, float(loss)) for t, loss in noted.losses[1:]] == [
        (t, float(loss)) for t, loss in evolution.losses[1:]
    ]
    assert [frame[0] for frame in noted.frames] == [0, 2, 4]
    assert all(
        torch.equal(one[1], other[1])
        for one, other in zip(noted.frames, evolution.frames, strict=True)
    )


def test_a_run_that_diverges_ends_by_the_next_look_and_says_what_it_saw_last():
    class Diverging(Walk):
        def loss(self, t, by):
            return torch.tensor(float("inf") if t > 12 else 0.25 * t)

    with pytest.raises(UserError) as refused:
        run(Diverging, iterations=15)
    assert str(refused.value) == (
        "walk diverged by iteration 15: the images or the loss are not finite (the last finite "
        "matching loss seen was 2.5); try another walk"
    )


@pytest.mark.parametrize("part", ["images", "labels", "step_size"])
def test_every_number_of_the_set_must_be_finite(part):
    class Broken(Walk):
        def result(self, state):
            soft = torch.full((CLASSES * IPC, CLASSES), 0.5)
            parts = {"images": state.images, "labels": soft, "step_size": torch.tensor(0.1)}
            if float(state.images.sum()):
                parts[part] = parts[part] * float("nan")
            return base.Result(**parts)

    with pytest.raises(UserError, match=r"diverged by iteration 4: .*\(no finite matching loss"):
        run(Broken)


def test_trouble_of_a_methods_own_ends_a_run():
    class Troubled(Walk):
        def trouble(self, state):
            return "it walked too far" if float(state.images.max()) > 5 else None

    with pytest.raises(UserError, match=r"walk diverged by iteration 10: it walked too far \("):
        run(Troubled, iterations=10)
    run(Troubled, iterations=4)


@pytest.mark.parametrize(
    "parts, message",
    [
        (
            {"images": torch.zeros(4, 1, 2)},
            r"images of its result are torch.float32 of shape \(4, 1, 2\)",
        ),
        ({"images": torch.zeros(4, 1, 2, 2).double()}, "images .*float64"),
        ({"images": torch.zeros(3, 1, 2, 2)}, r"images .* must be float32 of shape \(4, 1, 2, 2\)"),
        (
            {"labels": torch.zeros(4, dtype=torch.int32)},
            r"labels .* int64 of shape \(4,\) or float32",
        ),
        ({"labels": torch.zeros(4, 3)}, r"labels .* float32 of shape \(4, 2\)"),
        ({"step_size": torch.zeros(1)}, "step_size .* without dimensions"),
    ],
)
def test_a_result_of_another_shape_or_dtype_is_refused_before_the_first_step(parts, message):
    class Wrong(Walk):
        def result(self, state):
            right = {"images": state.images, "labels": self.task.targets}
            return base.Result(**(right | parts))

        def step(self, state, t):
            raise AssertionError

    with pytest.raises(UserError, match=f"distillery/methods/walk.py: the {message}"):
        run(Wrong)


# ---- coresets


def select(numbers):
    evolution = Evolution(0, 1)
    chosen = module("some", select=lambda task: torch.tensor(numbers))
    return _driver.run(chosen, task(), evolution), evolution


def test_chosen_images_come_class_by_class_in_the_order_of_choice():
    result, evolution = select([8, 1, 9, 0])
    assert result.images[:, 0, 0, 0].tolist() == [1, 9, 8, 0]
    assert torch.equal(result.labels, torch.tensor([0, 0, 1, 1])) and result.step_size is None
    ((iteration, images, labels, size),) = evolution.frames
    assert iteration == 0 and torch.equal(images, result.images) and labels is size is None
    assert [t for t, _ in evolution.losses] == [0]


@pytest.mark.parametrize(
    "numbers, message",
    [
        ([0.0, 1.0], "returned torch.float32"),
        ([[0, 2], [1, 3]], r"returned torch.int64 of shape \(2, 2\)"),
        ([0, 2, 1, 10], "returned numbers from 0 to 10 of 10"),
        ([0, 2, -1, 1], "returned numbers from -1 to 2 of 10"),
        ([0, 2, 1, 1], "returned an image twice"),
        ([0, 2, 4, 1], "returned 1 images of class 0"),
        ([], "returned torch.float32"),
    ],
)
def test_a_choice_that_is_no_coreset_is_refused(numbers, message):
    with pytest.raises(
        UserError, match=rf"methods/some.py: select\(task\) {message}.*2 different images of each"
    ):
        select(numbers)


# What each works out piece by piece: its settings, and the pieces.
PIECES = {
    "herding": ({"features": "expert", "networks": 2}, 3),
    "k_center": ({"features": "pixels"}, 3),
    "forgetting": ({"teachers": 2}, 3),
    "ccs": ({"teachers": 2, "score": "forgetting"}, 3),
    "soft_random": ({"teachers": 1, "tries": 2, "trial_epochs": 2}, 2),
    "rded": ({"teachers": 2, "candidates": 8, "crops": 3}, 3),
}


@pytest.mark.parametrize("name", PIECES)
def test_an_interrupted_choice_resumes_with_the_same_images(name, tmp_path, experts):
    method = importlib.import_module(f"distillery.methods.{name}")
    settings, pieces = PIECES[name]
    asked = task_of(method, ipc=2, experts=experts, **settings)
    asked = replace(asked, held=lambda: (asked.images[:12], asked.labels[:12]))
    whole = _driver.run(method, asked, Evolution(0, 1))
    resumed, times = None, 0
    while resumed is None:
        try:
            checkpoint = Killed(tmp_path / "state.safetensors", 1)
            resumed = _driver.run(method, asked, Evolution(0, 1), checkpoint)
        except KilledError:
            times += 1
    assert times == pieces, "no piece is worked out twice"
    assert torch.equal(resumed.images, whole.images)
    assert torch.equal(resumed.labels, whole.labels)


# ---- the contract


def test_an_optimiser_as_a_function_moves_as_the_optimiser_does_and_changes_nothing_given():
    start = torch.randn(3, generator=torch.Generator().manual_seed(0))
    leaf = start.clone()
    plain = torch.optim.AdamW([leaf], lr=0.1)
    descent = base.Descent(lambda params: torch.optim.AdamW(params, lr=0.1))
    params, moments = {"x": start.clone()}, {}
    for step in range(3):
        gradient = torch.full((3,), float(step + 1))
        leaf.grad = gradient.clone()
        plain.step()
        given = copy.deepcopy((params, moments))
        moved, kept = descent(params, {"x": gradient}, moments)
        assert torch.equal(params["x"], given[0]["x"])
        assert all(
            torch.equal(value, given[1]["x"][name]) for name, value in moments.get("x", {}).items()
        )
        params, moments = moved, kept
        assert torch.equal(params["x"], leaf)


@pytest.mark.parametrize("kind", ["distillation", "coreset"])
def test_the_examples_of_the_contract_run(kind):
    """The two files in the docstring of ``base``, as they stand there."""
    blocks = base.__doc__.split("In full::\n")[1:]
    texts = [block.split("\n\n**")[0] for block in blocks]
    source = {"distillation": texts[0], "coreset": texts[1]}[kind]
    source = "\n".join(line.removeprefix("    ") for line in source.splitlines())
    example = module("example")
    exec(compile(source, "example.py", "exec"), vars(example))
    evolution = Evolution(60, 1)
    result = _driver.run(example, task(iterations=60, lr_images=0.5), evolution)
    assert torch.isfinite(result.images).all() and len(result.images) == CLASSES * IPC
    means = torch.stack([IMAGES[c == LABELS].mean(0) for c in range(CLASSES)])
    if kind == "distillation":
        reached = result.images.view(CLASSES, IPC, 1, 2, 2).mean(1)
        assert torch.allclose(reached, means, atol=1e-3)
    else:
        assert result.images[:, 0, 0, 0].tolist() == [1, 3, 0, 2]
