"""Distillery's side: the functions that the workflow's scripts call, set up as ``job.run`` sets a
job up.

Nothing here computes. The measured steps are told apart by the hooks that the library calls anyway
(``checkpoint.due`` after each step of a distillation, ``after_epoch``, ``progress``), so the
benchmark cannot drift from what is shipped.
"""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import (
    CLASSES,
    DC_LR_IMAGES,
    EVALUATION,
    LR_NETWORK,
    MODELS,
    MTT_LR_IMAGES,
    MTT_STEP_SIZE,
    Case,
    Material,
    stream,
)
from distillery import networks
from distillery.compute.device import Compute
from distillery.evaluation import evaluate
from distillery.images.labelled import Images
from distillery.methods import _driver, _trajectory_matching, dc, mtt
from distillery.methods._unroll import Unroll, Unrolled
from distillery.methods.base import Task
from distillery.recipe import Recipe
from distillery.training import experts
from distillery.training import train as training
from distillery.training.stack import Stack


class _Hook:
    """A checkpoint that keeps nothing. It is asked after every step; the first time it accepts, to
    see the first gradient."""

    def __init__(self, gate: Any) -> None:
        self._gate, self._seen = gate, False

    def load(self) -> None:
        return None

    def due(self) -> bool:
        if not self._seen:
            return True
        self._gate()
        return False

    def save(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any], note: str) -> None:
        self._seen = True
        # The momentum starts at zero, so after one step it is the gradient.
        self._gate(gradient=tensors["velocity"])


class _Recorder:
    """Keeps no snapshots."""

    def iteration(self, *arguments: Any, **named: Any) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        pass


class _Experts:
    """One expert, whose two vectors are those of the material."""

    number, epochs = 1, 2

    def __init__(self, start: Tensor, goal: Tensor) -> None:
        self._pair = (start, goal)

    def pair(self, expert: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        start_vector, goal_vector = self._pair
        return start_vector.clone(), goal_vector.clone()


class _WarmingUnroll(Unroll):
    """The first run has two steps: it compiles the same functions as a long one, and is the one
    compared with the textbook's."""

    _first = True

    def __call__(self, *arguments: Any, steps: int, **named: Any) -> Unrolled:
        steps, self._first = min(steps, 2) if self._first else steps, False
        return super().__call__(*arguments, steps=steps, **named)


def run(case: Case, material: Material, gate: Any, device: torch.device, compute: Compute) -> None:
    """Run a case until the gate stops it."""
    {"dc": _dc, "mtt": _mtt, "experts": _experts, "evaluate": _evaluate, "test": _test}[case.kind](
        case, material, gate, device, compute
    )


def _distil(
    method: ModuleType,
    case: Case,
    material: Material,
    gate: Any,
    compute: Compute,
    experts: Any = None,
    **settings: Any,
) -> None:
    defaults = {name: value["default"] for name, value in method.SETTINGS.items()}
    task = Task(
        images=material.images,
        labels=material.labels,
        initial=material.initial,
        classes=CLASSES,
        ipc=case.ipc,
        network=case.network,
        settings=defaults | settings,
        stream=stream,
        compute=compute,
        experts=experts,
    )
    _driver.run(method, task, _Recorder(), _Hook(gate))


def _dc(case: Case, material: Material, gate: Any, device: torch.device, compute: Compute) -> None:
    # The published length, so that what is compiled is what the published run compiles; the gate
    # ends it after a few steps.
    _distil(
        dc,
        case,
        material,
        gate,
        compute,
        iterations=1000,
        batch_real=case.batch,
        inner=case.inner or "auto",
        lr_images=DC_LR_IMAGES,
    )


def _mtt(case: Case, material: Material, gate: Any, device: torch.device, compute: Compute) -> None:
    _trajectory_matching.Unroll = _WarmingUnroll
    settings = {
        "iterations": 5000,
        "syn_steps": case.steps,
        "max_start_epoch": 1,
        "expert_epochs": 2,
        "augment": "none",
    }
    settings |= {"lr_images": MTT_LR_IMAGES, "step_size": MTT_STEP_SIZE, "lr_step_size": 0.0}
    _distil(mtt, case, material, gate, compute, _Experts(material.start, material.goal), **settings)


def _bench(
    case: Case, compute: Compute, progress: Callable[[int], None] = lambda epochs: None
) -> training.Bench:
    return training.Bench(network=case.network, stream=stream, compute=compute, progress=progress)


def _experts(
    case: Case, material: Material, gate: Any, device: torch.device, compute: Compute
) -> None:
    bench, images = _bench(case, compute), Images(material.images, material.labels)
    recipe = Recipe(epochs=1, lr=LR_NETWORK, batch=case.batch)
    pair = experts.train_experts(bench, recipe, images[: case.batch], [0])
    gate.restart()
    seen = [pair[0, 1] - pair[0, 0]]
    experts.train_experts(
        bench,
        Recipe(epochs=50, lr=LR_NETWORK, batch=case.batch),
        images,
        list(range(10 if device.type == "cuda" else 1)),
        after_epoch=lambda number, epoch, summary: gate(
            units=len(summary["loss"]), gradient=seen.pop() if seen else None
        ),
    )


def _evaluate(
    case: Case, material: Material, gate: Any, device: torch.device, compute: Compute
) -> None:
    recipe = Recipe(epochs=1, **EVALUATION)
    learned = Images(material.initial, material.targets)
    stack = training.train(_bench(case, compute), recipe, learned, range(1))
    seen = [stack.flat()[0] - networks.flatten(material.params)]
    gate.restart()

    def progress(count: int) -> None:
        gate(units=count, gradient=seen.pop() if seen else None)

    _measure(_bench(case, compute, progress), Recipe(epochs=300, **EVALUATION), material)


def _test(
    case: Case, material: Material, gate: Any, device: torch.device, compute: Compute
) -> None:
    """The part of an evaluation between the end of a training and its result, again and again."""
    test = evaluate.test

    def tested(stack: Stack, *arguments: Any, **named: Any) -> dict[str, Tensor]:
        measured = test(stack, *arguments, **named)
        gate(units=stack.count, gradient=measured["loss"][:1].float())
        return measured

    evaluate.test = tested
    while True:
        bench = _bench(case, compute, progress=lambda count: gate.restart())
        _measure(bench, Recipe(epochs=1, **EVALUATION), material)


def _measure(bench: training.Bench, recipe: Recipe, material: Material) -> None:
    learned = Images(material.initial, material.targets)
    tested = Images(material.images, material.labels)
    evaluate.measure(bench, recipe, learned, {"test": tested}, MODELS)
