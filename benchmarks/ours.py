"""Distillery's side: the functions that the workflow's scripts call, set up as ``job.run`` sets a
job up.

Nothing here computes. The measured steps are told apart by the hooks that the library calls anyway
(``checkpoint.due`` after each step of a distillation, ``after_epoch``, ``progress``), so the
benchmark cannot drift from what is shipped.
"""

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
from distillery.methods import _trajectory_matching, dc, mtt
from distillery.methods._unroll import Unroll
from distillery.methods.base import Task
from distillery.store.metrics import Metrics
from distillery.training import experts
from distillery.training import train as training


class _Hook:
    """A checkpoint that keeps nothing. It is asked after every step; the first time it accepts, to
    see the first gradient."""

    def __init__(self, gate):
        self._gate, self._seen = gate, False

    def load(self) -> None:
        return None

    def due(self) -> bool:
        if not self._seen:
            return True
        self._gate()
        return False

    def save(self, tensors, values, note) -> None:
        self._seen = True
        # The momentum starts at zero, so after one step it is the gradient.
        self._gate(gradient=tensors["velocity"])


class _Recorder:
    """Keeps no snapshots."""

    def iteration(self, *arguments, **named) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}


class _Experts:
    """One expert, whose two vectors are those of the material."""

    number, epochs = 1, 2

    def __init__(self, start: Tensor, goal: Tensor):
        self._pair = (start, goal)

    def pair(self, expert: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return tuple(vector.clone() for vector in self._pair)


class _WarmingUnroll(Unroll):
    """The first run has two steps: it compiles the same functions as a long one, and is the one
    compared with the textbook's."""

    _first = True

    def __call__(self, *arguments, steps: int, **named):
        steps, self._first = min(steps, 2) if self._first else steps, False
        return super().__call__(*arguments, steps=steps, **named)


def run(case: Case, material: Material, gate, device: torch.device, compute: Compute) -> None:
    """Run a case until the gate stops it."""
    {"dc": _dc, "mtt": _mtt, "experts": _experts, "evaluate": _evaluate, "test": _test}[case.kind](
        case, material, gate, device, compute
    )


def _distil(
    method, case: Case, material: Material, gate, compute: Compute, experts=None, **settings: Any
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
        recorder=_Recorder(),
        compute=compute,
        experts=experts,
        checkpoint=_Hook(gate),
    )
    method.distill(task)


def _dc(case: Case, material: Material, gate, device, compute) -> None:
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


def _mtt(case: Case, material: Material, gate, device, compute) -> None:
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


def _experts(case: Case, material: Material, gate, device, compute) -> None:
    few = slice(0, case.batch)
    recipe = training.Recipe(epochs=1, lr=LR_NETWORK, batch=case.batch)
    pair = experts.train_experts(
        case.network,
        [0],
        material.images[few],
        material.labels[few],
        recipe,
        stream=stream,
        compute=compute,
    )
    gate.restart()
    seen = [pair[0, 1] - pair[0, 0]]
    experts.train_experts(
        case.network,
        list(range(10 if device.type == "cuda" else 1)),
        material.images,
        material.labels,
        training.Recipe(epochs=50, lr=LR_NETWORK, batch=case.batch),
        stream=stream,
        compute=compute,
        after_epoch=lambda number, epoch, summary: gate(
            units=len(summary["loss"]), gradient=seen.pop() if seen else None
        ),
    )


def _evaluate(case: Case, material: Material, gate, device, compute) -> None:
    recipe = training.Recipe(epochs=1, **EVALUATION)
    stack = training.train(
        case.network, 1, material.initial, material.targets, recipe, stream=stream, compute=compute
    )
    seen = [stack.flat()[0] - networks.flatten(material.params)]
    gate.restart()
    recipe = training.Recipe(epochs=300, **EVALUATION)
    _measure(
        case,
        material,
        recipe,
        compute,
        Metrics(),
        lambda count: gate(units=count, gradient=seen.pop() if seen else None),
    )


def _test(case: Case, material: Material, gate, device, compute) -> None:
    """The part of an evaluation between the end of a training and the record of its result, again
    and again."""
    count = 0

    def trained(number: int) -> None:
        nonlocal count
        count = number
        gate.restart()

    class Recorded(Metrics):
        def extend(self, rows: Metrics) -> None:
            loss = next(
                row["value"]
                for row in rows.rows
                if row["measure"] == "loss" and row["split"] == "test"
            )
            gate(units=count, gradient=torch.tensor([loss]))

    while True:
        _measure(
            case, material, training.Recipe(epochs=1, **EVALUATION), compute, Recorded(), trained
        )


def _measure(
    case: Case,
    material: Material,
    recipe: training.Recipe,
    compute: Compute,
    metrics: Metrics,
    progress,
) -> None:
    evaluate.measure(
        metrics,
        case.network,
        material.initial,
        material.targets,
        material.images,
        material.labels,
        recipe,
        models=MODELS,
        stream=stream,
        compute=compute,
        curve=0,
        progress=progress,
    )
