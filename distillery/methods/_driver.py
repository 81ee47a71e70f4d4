"""What runs a method: the one loop of every distillation, and the one way to a coreset.

A method says how a state becomes the next (``base.Distillation``) or which images are chosen; here
checkpoints are loaded and saved, snapshots and losses noted, and runs that diverge ended.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.methods.base import Distillation, Result, Task
from distillery.store import checkpoint as checkpoints
from distillery.store import tree

# A look at the loss makes a device wait: only every so many iterations is one taken.
CHECK_EVERY = 10


class Recorder(Protocol):
    """Where a run is noted (``sets.evolution.Evolution``)."""

    def iteration(
        self,
        iteration: int,
        loss: Tensor,
        images: Tensor,
        *,
        step_size: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        """Note an iteration: 0 is the start, with NaN for its loss."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return all that was noted, for a checkpoint."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
        ...


def run(
    method: ModuleType, task: Task, recorder: Recorder, checkpoint: Any = checkpoints.NONE
) -> Result:
    """Make a set by a method.

    Args:
        method: its module.
        task: what it makes the set from.
        recorder: is called with the start and after each iteration; for a coreset once, with the
            chosen images as iteration 0.
        checkpoint: where the state is kept between two steps, or what a choice of images has worked
            out, and resumed from.

    Returns:
        The set after the last iteration, or the chosen images.

    Raises:
        UserError: the method cannot work with this task, it diverged, or it breaks its contract.
    """
    name, file = method.__name__.rpartition(".")[2], _shown(method)
    if hasattr(method, "select"):
        chosen = method.select(replace(task, kept=_Kept(checkpoint, task.device)))
        if isinstance(chosen, Result):
            _refuse_misfit(file, chosen, task)
        result = chosen if isinstance(chosen, Result) else _chosen(file, chosen, task)
        _note(recorder, 0, None, result)
        return result
    return _distilled(name, file, method.build(task), task, recorder, checkpoint)


class _Kept:
    """What a choice of images has worked out, in a checkpoint.

    Args:
        checkpoint: where it is kept, and resumed from.
        device: that computes.
    """

    def __init__(self, checkpoint: Any, device: torch.device) -> None:
        self._checkpoint, self._device = checkpoint, device
        saved = checkpoint.load()
        self._parts: dict[str, Tensor] = {} if saved is None else saved[0]

    def __call__(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        if name not in self._parts:
            self._parts[name] = make()
            if self._checkpoint.due():
                self._checkpoint.save(self._parts, {}, name)
        return self._parts[name].to(self._device)


def _shown(method: ModuleType) -> str:
    """Return a method's file as messages name it."""
    package, _, name = method.__name__.rpartition(".")
    if package == "distillery.methods":
        return f"distillery/methods/{name}.py"
    return os.path.relpath(getattr(method, "__file__", None) or name)


def _distilled(
    name: str,
    file: str,
    method: Distillation,
    task: Task,
    recorder: Recorder,
    checkpoint: Any,
) -> Result:
    iterations = task.settings["iterations"]
    state, t, last = method.init(), 1, None
    saved = checkpoint.load()
    if saved is None:
        result = method.result(state)
        _refuse_misfit(file, result, task)
        _note(recorder, 0, None, result)
    else:
        tensors, values = saved
        recorder.restore(checkpoints.part("evolution", tensors))
        state = tree.put_together(values["state"], tensors, state, task.device)
        t, last = values["iteration"], values["last"]
    while t <= iterations:
        state, loss = method.step(state, t)
        done = loss is not None
        if loss is not None:
            loss, result = loss.detach(), method.result(state)
            if t % CHECK_EVERY == 0 or t == iterations:
                last = _finite(name, method, state, t, loss, result, last)
            _note(recorder, t, loss, result)
        if checkpoint.due():
            tensors, outline = tree.take_apart(state)
            checkpoint.save(
                tensors | checkpoints.prefixed("evolution", recorder.state()),
                {"state": outline, "iteration": t + done, "last": last},
                f"iteration {t}" if done else f"within iteration {t}",
            )
        t += done
    return method.result(state)


def _note(recorder: Recorder, t: int, loss: Tensor | None, result: Result) -> None:
    recorder.iteration(
        t,
        loss=torch.tensor(float("nan")) if loss is None else loss,
        images=result.images,
        step_size=result.step_size,
        labels=result.labels if result.labels.is_floating_point() else None,
    )


def _finite(
    name: str,
    method: Distillation,
    state: Any,
    t: int,
    loss: Tensor,
    result: Result,
    last: str | None,
) -> str:
    """Return the loss of iteration ``t`` in words.

    Args:
        name: of the method.
        method: the distillation.
        state: after the iteration.
        t: number of the iteration.
        loss: of the iteration.
        result: the set that the state stands for.
        last: those of the last one that was looked at.

    Raises:
        UserError: the loss, or a number of the set, is not finite, or the method sees trouble.
    """
    parts = [loss, result.images, result.labels, result.step_size]
    finite = [
        torch.isfinite(part).all().to(loss.device)
        for part in parts
        if part is not None and part.is_floating_point()
    ]
    sound = bool(torch.stack(finite).all())
    trouble = method.trouble(state) if sound else "the images or the loss are not finite"
    if trouble:
        seen = (
            f"the last finite matching loss seen was {last}"
            if last
            else "no finite matching loss was seen before"
        )
        raise UserError(
            f"{name} diverged by iteration {t}: {trouble} ({seen}); try {method.remedy}"
        )
    size = "" if result.step_size is None else f" at step size {float(result.step_size):.4g}"
    return f"{float(loss):.4g}{size}"


def _refuse_misfit(file: str, result: Result, task: Task) -> None:
    """Raise ``UserError`` where a set is not of the shapes and dtypes that ``base.Result`` says."""
    count, classes = task.classes * task.ipc, task.classes
    images, labels, size = result.images, result.labels, result.step_size
    soft = labels.shape == (count, classes) and labels.dtype == torch.float32
    for what, fits, right in (
        (
            "images",
            images.shape == task.initial.shape and images.dtype == torch.float32,
            f"float32 of shape {tuple(task.initial.shape)}",
        ),
        (
            "labels",
            soft or (labels.shape == (count,) and labels.dtype == torch.int64),
            f"int64 of shape ({count},) or float32 of shape ({count}, {classes})",
        ),
        ("step_size", size is None or size.shape == (), "a tensor without dimensions, or None"),
    ):
        if not fits:
            value = getattr(result, what)
            raise UserError(
                f"{file}: the {what} of its result are {value.dtype} of "
                f"shape {tuple(value.shape)}; they must be {right}"
            )


def _chosen(file: str, numbers: Tensor, task: Task) -> Result:
    """Return the images that a coreset's ``select`` chose, class by class."""
    wrong = _wrong(numbers, task)
    if wrong:
        raise UserError(
            f"{file}: select(task) {wrong}; it must return the numbers of "
            f"{task.ipc} different images of each of the {task.classes} classes"
        )
    numbers = numbers.to(task.device)
    numbers = numbers[task.labels[numbers].argsort(stable=True)]
    return Result(task.images[numbers], task.targets)


def _wrong(numbers: Tensor, task: Task) -> str | None:
    """Say what is wrong with the numbers of chosen images; ``None`` where nothing is."""
    if numbers.dtype != torch.int64 or numbers.ndim != 1:
        return f"returned {numbers.dtype} of shape {tuple(numbers.shape)}"
    total = len(task.images)
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < total:
        return f"returned numbers from {int(numbers.min())} to {int(numbers.max())} of {total}"
    if len(numbers.unique()) != len(numbers):
        return "returned an image twice"
    counts = torch.bincount(task.labels[numbers.to(task.device)], minlength=task.classes).tolist()
    for c, count in enumerate(counts):
        if count != task.ipc:
            return f"returned {count} images of class {c}"
    return None
