"""The loop of trajectory matching, which MTT and TESLA share (Cazenavette et al., CVPR 2022, arXiv
2203.11932, algorithm 1).

An iteration takes an expert's parameters at a random epoch, trains a student from there on the
synthetic set for N steps, and compares where it ends with where the expert was M epochs later. The
images and the student's step size α learn from the gradient through the whole run (``unroll``:
exact, in the memory of one step). Everything is float32: the loss is a ratio of small differences
of parameters.

DEVIATES: α stays positive by construction. With v the momentum-accumulated derivative in α, the
update is α ← α exp(−clamp(lr v / α, −1, 1)), which equals plain gradient descent α − lr v to first
order and cannot pass zero, where the published update can and then fails. A mini-batch order is
drawn in each iteration, as published.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from distillery import augmentations, networks
from distillery.compute.device import nominal_seconds
from distillery.errors import UserError
from distillery.methods import base
from distillery.methods._unroll import Unroll
from distillery.store import checkpoint as checkpoints

PROTOCOL = {**base.AUGMENTED, "models": 5, "lr": "learned"}
SETTINGS = {
    "iterations": {
        "type": "integer",
        "minimum": 1,
        "default": 5000,
        "description": "Iterations, each with one expert and one start epoch.",
    },
    "syn_steps": {
        "type": "integer",
        "minimum": 1,
        "default": 20,
        "description": "Steps of the student on the synthetic set (N).",
    },
    "expert_epochs": {
        "type": "integer",
        "minimum": 1,
        "default": 2,
        "description": "Epochs that the expert is ahead (M).",
    },
    "max_start_epoch": {
        "type": "integer",
        "minimum": 1,
        "default": 4,
        "description": "Start epochs are drawn below this (T+).",
    },
    "lr_images": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 100,
        "description": "Learning rate of the images.",
    },
    "lr_step_size": {
        "type": "number",
        "minimum": 0,
        "default": 1.0e-5,
        "description": "Learning rate of the student's step size; 0 keeps it.",
    },
    "step_size": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.01,
        "description": "The student's step size at the start.",
    },
    "momentum": {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.5,
        "description": "Momentum of images and step size.",
    },
    "batch_syn": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "Synthetic images a student step; 0 for all of them.",
    },
    "augment": {
        "type": "string",
        "default": "none",
        "description": "Augmentation of the student's images.",
    },
}


# A step size that grew or fell by so much has left any range in which a network learns. One that
# falls is a trap: a student that does not move has the loss 1 and moves no image either.
EXPLODED, COLLAPSED = 1e4, 1e-6


def distill(
    name: str,
    task: base.Task,
    *,
    assign: Callable[[Callable, Mapping[str, Tensor]], Tensor] | None = None,
) -> base.Result:
    """Distil a set by trajectory matching.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t. The real images are
    not used, the experts have seen them; the network is the experts' architecture, and the
    precision float32 whatever ``task.compute`` says. The state is kept between two iterations.

    Args:
        name: the method's, for messages.
        assign: ``assign(apply, like)`` gives the logits (K·I, K) of the soft labels at the start,
            from the network as a pure function and its parameters by name; hard labels without it.
            Soft labels learn at the setting ``lr_labels``.

    Returns:
        The images after the last iteration, the labels, and the learned step size.

    Raises:
        UserError: there are no experts, or they are too short or of another network; or the run
            diverges.
    """
    settings, experts, initial, device = task.settings, task.experts, task.initial, task.device
    steps, ahead, latest = (
        settings["syn_steps"],
        settings["expert_epochs"],
        settings["max_start_epoch"],
    )
    module = base.network(task.network, device)
    apply, _ = networks.functional(module)
    like = base.fresh_parameters(module, task.stream("count"))
    base.fitting(name, experts, like, task.network)
    if latest + ahead > experts.epochs + 1:
        raise UserError(
            f"{name}: max_start_epoch {latest} and expert_epochs {ahead} reach to epoch "
            f"{latest - 1 + ahead}, "
            f"but the experts were trained for {experts.epochs}; train them longer or lower one of "
            "the two"
        )

    count = len(initial)
    batch = min(settings["batch_syn"] or count, count)
    # A step forward costs three forwards; its adjoint, a gradient of a gradient, about nine.
    seconds = nominal_seconds(
        12 * networks.count(module, initial[0])[0] * batch * steps * settings["iterations"], device
    )
    strategy = settings["augment"]
    unroll = Unroll(
        apply,
        like,
        transform=None
        if strategy == "none"
        else lambda x, draw: augmentations.apply(draw[0], x, draw[1]),
        compute=task.compute,
        expected_seconds=seconds,
        device=device,
    )

    synthetic = initial.detach().clone()
    hard = task.targets
    logits = label_velocity = None
    if assign is not None:
        logits = assign(apply, like).detach()
        label_velocity = torch.zeros_like(logits)
    step_size = torch.tensor(float(settings["step_size"]), device=device)
    velocity, step_velocity = torch.zeros_like(synthetic), torch.zeros_like(step_size)
    finite, first = None, 1
    saved = task.checkpoint.load()
    if saved is None:
        task.recorder.iteration(
            0,
            loss=torch.tensor(float("nan")),
            images=synthetic,
            step_size=step_size,
            labels=_probabilities(logits),
        )
    else:
        tensors, values = saved
        task.recorder.restore(checkpoints.part("evolution", tensors))
        state = [
            tensors[name].to(device)
            for name in ("images", "velocity", "step_size", "step_velocity")
        ]
        synthetic, velocity, step_size, step_velocity = state
        if logits is not None:
            logits, label_velocity = (
                tensors["logits"].to(device),
                tensors["label_velocity"].to(device),
            )
        finite, first = values["finite"], values["iteration"] + 1

    for iteration in range(first, settings["iterations"] + 1):
        choice = task.stream("iteration", iteration, "expert")
        expert = int(torch.randint(experts.number, (), generator=choice))
        start = int(torch.randint(latest, (), generator=choice))
        theta, goal = experts.pair(expert, start, start + ahead)
        batches = (
            None
            if batch == count
            else _batches(count, batch, steps, task.stream("iteration", iteration, "order"), device)
        )
        draws = None
        if strategy != "none":
            generator = task.stream("iteration", iteration, "augment")
            draws = [
                augmentations.draw(
                    strategy,
                    count if batches is None else len(batches[i]),
                    generator,
                    shape=tuple(initial.shape[1:]),
                    device=device,
                    flip_allowed=task.flip_allowed,
                )
                for i in range(steps)
            ]
        soft = _probabilities(logits)
        targets = hard if soft is None else soft
        result = unroll(
            theta, goal, synthetic, targets, step_size, steps=steps, batches=batches, draws=draws
        )
        velocity = settings["momentum"] * velocity + result.images
        synthetic = synthetic - settings["lr_images"] * velocity
        step_velocity = settings["momentum"] * step_velocity + result.step_size
        step_size = positive_step(step_size, settings["lr_step_size"] * step_velocity)
        if soft is not None and settings["lr_labels"]:
            # Through the softmax, which keeps the labels probabilities.
            derivative = soft * (result.labels - (soft * result.labels).sum(1, keepdim=True))
            label_velocity = settings["momentum"] * label_velocity + derivative
            logits = logits - settings["lr_labels"] * label_velocity
        value = float(result.loss)
        # The derivatives can overflow where the loss does not.
        if not (
            math.isfinite(value)
            and all(
                torch.isfinite(part).all()
                for part in (synthetic, step_size, logits)
                if part is not None
            )
        ):
            raise UserError(_diverged(name, iteration, finite, settings))
        if not COLLAPSED < float(step_size) / settings["step_size"] < EXPLODED:
            what = "grew" if float(step_size) > settings["step_size"] else "fell"
            raise UserError(
                _diverged(
                    name,
                    iteration,
                    finite,
                    settings,
                    f"the step size {what} to {float(step_size):.3g}: ",
                )
            )
        finite = (value, float(step_size))
        task.recorder.iteration(
            iteration,
            loss=result.loss,
            images=synthetic,
            step_size=step_size,
            labels=_probabilities(logits),
        )
        if task.checkpoint.due():
            state = {
                "images": synthetic,
                "velocity": velocity,
                "step_size": step_size,
                "step_velocity": step_velocity,
            }
            if logits is not None:
                state |= {"logits": logits, "label_velocity": label_velocity}
            state |= checkpoints.prefixed("evolution", task.recorder.state())
            task.checkpoint.save(
                state, {"finite": finite, "iteration": iteration}, f"iteration {iteration}"
            )
    return base.Result(
        synthetic, hard if logits is None else _probabilities(logits), float(step_size)
    )


def _probabilities(logits: Tensor | None) -> Tensor | None:
    return None if logits is None else logits.softmax(1)


def positive_step(step_size: Tensor, change: Tensor) -> Tensor:
    """α exp(−clamp(change / α, −1, 1)): α − change to first order, and positive for any change; a
    factor e at most."""
    return step_size * torch.exp(-torch.clamp(change / step_size, -1, 1))


def _batches(
    count: int, batch: int, steps: int, order: torch.Generator, device: torch.device
) -> list[Tensor]:
    """One index tensor a step: pass after pass over the shuffled set, each split into parts of
    ``batch`` (the last may be smaller)."""
    batches: list[Tensor] = []
    while len(batches) < steps:
        batches += torch.randperm(count, generator=order).to(device).split(batch)
    return batches[:steps]


def _diverged(
    name: str,
    iteration: int,
    finite: tuple[float, float] | None,
    settings: dict[str, Any],
    why: str = "",
) -> str:
    seen = (
        f"the last finite loss was {finite[0]:.4g} at step size {finite[1]:.4g}"
        if finite
        else "no iteration was finite"
    )
    return (
        f"{name} diverged in iteration {iteration}: {why}{seen}; try lr_images "
        f"{settings['lr_images'] / 2:g}, then step_size "
        f"{settings['step_size'] / 2:g}, lr_step_size {settings['lr_step_size'] / 10:g} or fewer "
        "syn_steps"
    )
