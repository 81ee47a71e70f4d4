"""The loop of trajectory matching, which MTT and TESLA share (Cazenavette et al., CVPR 2022, arXiv
2203.11932, algorithm 1).

An iteration takes an expert's parameters at a random epoch, trains a student from there on the
synthetic set for N steps, and compares where it ends with where the expert was M epochs later. The
images and the student's step size α learn from the gradient through the whole run (``unroll``:
exact, in bounded memory). Everything is float32: the loss is a ratio of small differences
of parameters.

DEVIATES: α stays positive by construction. With v the momentum-accumulated derivative in α, the
update is α ← α exp(−clamp(lr v / α, −1, 1)), which equals plain gradient descent α − lr v to first
order and cannot pass zero, where the published update can and then fails. A mini-batch order is
drawn in each iteration, as published.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from distillery import networks
from distillery.compute.device import nominal_seconds
from distillery.errors import UserError
from distillery.methods import _unroll, base
from distillery.methods._unroll import Unroll

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

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
        "description": "Synthetic images per student step; 0 for all of them.",
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


class State(NamedTuple):
    """Between two iterations.

    Attributes:
        images: (K·I, C, H, W) float32, and their momentum, ``velocity``.
        step_size: the student's, a scalar, and its momentum, ``step_velocity``.
        logits: (K·I, K) of soft labels, and their momentum, ``label_velocity``; ``None`` where
            labels are hard.
    """

    images: Tensor
    velocity: Tensor
    step_size: Tensor
    step_velocity: Tensor
    logits: Tensor | None
    label_velocity: Tensor | None


class TrajectoryMatching(base.Distillation[State]):
    """Trajectory matching at work on a task.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t. The real images are
    not used, the experts have seen them; the network is the experts' architecture, and the
    precision float32 whatever ``task.compute`` says.

    Args:
        name: the method's, for messages.
        assign: ``assign(apply, like)`` gives the logits (K·I, K) of the soft labels at the start,
            from the network as a pure function and its parameters by name; hard labels without it.
            Soft labels learn at the setting ``lr_labels``.

    Raises:
        UserError: there are no experts, or they are too short or of another network.
    """

    def __init__(
        self,
        name: str,
        task: base.Task,
        *,
        assign: Callable[[Callable, Mapping[str, Tensor]], Tensor] | None = None,
    ) -> None:
        self._task, self._assign, settings, device = task, assign, task.settings, task.device
        module = base.network(task.network, device)
        self._apply, _ = networks.functional(module)
        self._like = base.fresh_parameters(module, task.stream("count"))
        base.fitting(name, task.experts, self._like, task.network)
        latest, ahead = settings["max_start_epoch"], settings["expert_epochs"]
        if latest + ahead > task.experts.epochs + 1:
            raise UserError(
                f"{name}: max_start_epoch {latest} and expert_epochs {ahead} reach to epoch "
                f"{latest - 1 + ahead}, but the experts were trained for {task.experts.epochs}; "
                "train them longer or lower one of the two"
            )
        self.remedy = (
            f"lr_images {settings['lr_images'] / 2:g}, then step_size "
            f"{settings['step_size'] / 2:g}, lr_step_size {settings['lr_step_size'] / 10:g} or "
            "fewer syn_steps"
        )
        count = task.classes * task.seen_ipc
        self._batch = min(settings["batch_syn"] or count, count)
        one_image, steps = networks.count(module, task.initial[0])[0], settings["syn_steps"]
        # A step forward costs three forwards; its adjoint, a gradient of a gradient, about nine
        # where nothing is compiled, six with what the step kept.
        work = 12 * one_image * self._batch * steps * settings["iterations"]
        self._unroll = Unroll(
            self._apply,
            self._like,
            transform=_unroll.augmented,
            compute=task.compute,
            expected_seconds=nominal_seconds(work, device),
            device=device,
        )

    def init(self) -> State:
        images = self._task.initial.detach().clone()
        size = torch.tensor(float(self._task.settings["step_size"]), device=self._task.device)
        logits = velocity = None
        if self._assign is not None:
            logits = self._assign(self._apply, self._like).detach()
            velocity = torch.zeros_like(logits)
        zeros = torch.zeros_like(images), torch.zeros_like(size)
        return State(images, zeros[0], size, zeros[1], logits, velocity)

    def step(self, state: State, t: int) -> tuple[State, Tensor]:
        settings = self._task.settings
        start, goal = self._pair(t)
        seen, back = self._task.decoded(state.images)
        count, steps, stream = len(seen), settings["syn_steps"], self._task.stream
        batches = _unroll.passes(
            count, self._batch, steps, stream("iteration", t, "order"), self._task.device
        )
        counts = [count] * steps if batches is None else list(map(len, batches))
        soft, held = _probabilities(state.logits), self._task.factor**2
        run = self._unroll(
            start,
            goal,
            seen,
            self._task.seen_targets if soft is None else soft.repeat_interleave(held, 0),
            state.step_size,
            steps=steps,
            batches=batches,
            draws=_unroll.draws(self._task, counts, stream("iteration", t, "augment")),
        )
        velocity = settings["momentum"] * state.velocity + back(run.images)
        images = state.images - settings["lr_images"] * velocity
        step_velocity = settings["momentum"] * state.step_velocity + run.step_size
        step_size = positive_step(state.step_size, settings["lr_step_size"] * step_velocity)
        logits, label_velocity = state.logits, state.label_velocity
        if soft is not None and settings["lr_labels"]:
            # Through the softmax, which keeps the labels probabilities.
            assert run.labels is not None  # there with soft labels
            labels = run.labels.view(-1, held, soft.shape[1]).sum(1)
            derivative = soft * (labels - (soft * labels).sum(1, keepdim=True))
            label_velocity = settings["momentum"] * label_velocity + derivative
            logits = logits - settings["lr_labels"] * label_velocity
        state = State(images, velocity, step_size, step_velocity, logits, label_velocity)
        return state, run.loss

    def result(self, state: State) -> base.Result:
        soft = _probabilities(state.logits)
        return base.Result(
            state.images, self._task.targets if soft is None else soft, state.step_size
        )

    def trouble(self, state: State) -> str | None:
        size, start = float(state.step_size), self._task.settings["step_size"]
        if COLLAPSED < size / start < EXPLODED:
            return None
        return f"the step size {'grew' if size > start else 'fell'} to {size:.3g}"

    def _pair(self, t: int) -> tuple[Tensor, Tensor]:
        """Return an expert's parameters at a random epoch, and those some epochs later."""
        settings, experts = self._task.settings, self._task.experts
        choice = self._task.stream("iteration", t, "expert")
        expert = int(torch.randint(experts.number, (), generator=choice))
        start = int(torch.randint(settings["max_start_epoch"], (), generator=choice))
        return experts.pair(expert, start, start + settings["expert_epochs"])


def _probabilities(logits: Tensor | None) -> Tensor | None:
    return None if logits is None else logits.softmax(1)


def positive_step(step_size: Tensor, change: Tensor) -> Tensor:
    """Return α exp(−clamp(change / α, −1, 1)): α − change to first order, and positive for any
    change; a factor e at most."""
    return step_size * torch.exp(-torch.clamp(change / step_size, -1, 1))


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings, count = sizes.settings, sizes.classes * sizes.seen_ipc
    steps = settings["iterations"] * settings["syn_steps"]
    batch = min(settings["batch_syn"] or count, count)
    return [
        ("gradient", steps, batch),
        ("adjoint", steps, batch, False, False, settings["syn_steps"]),
    ]
