"""RaT-BPTT: random truncated back-propagation through time (Feng, Vedantam and Kempe,
*Embarrassingly Simple Dataset Distillation*, ICLR 2024, arXiv 2311.07025, section 4).

An iteration trains a fresh network on the synthetic set for t + M steps of Adam, t uniform in 0 …
T − M, and asks what the loss on a batch of real images owes to the synthetic images of the last M
steps, the window:

    L = cross-entropy of theta_(t+M) on real images,    the images descend dL/dx over the window.

A window that ends anywhere covers the beginning and the end of a training at the cost of M steps,
and its gradient does not explode as that of all T does.

The gradient is exact for the window: nothing is dropped but what lies before it. With g the
gradient of the mean cross-entropy on the synthetic images, m and v Adam's moments and k the number
of the step, a step is

    m' = b1 m + (1 − b1) g,    v' = b2 v + (1 − b2) g²,
    theta' = theta − a (m' / (1 − b1^k)) / (√(v' / (1 − b2^k)) + e),

and the adjoint goes back through it with u = dL/dg, from dL/dm' and dL/dv':

    u = (1 − b1) dL/dm' + 2 (1 − b2) g dL/dv',
    dL/dtheta += d⟨g, u⟩/dtheta,    dL/dx += d⟨g, u⟩/dx.

As in the authors' code the derivative is clipped to twice the running mean of its norm (decay 0.9),
and the images learn by Adam. DEVIATES: the window is drawn in each iteration, theirs in each pass
over the real images; the images start as the study says and in its space, where theirs start from
noise of norm one, so ``lr_images`` is 0.01 and not 0.001; one augmentation that both sides name,
where theirs mirrors and rotates.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from distillery import networks
from distillery.compute.device import nominal_seconds
from distillery.errors import UserError
from distillery.methods import _unroll, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "RaT-BPTT"
KIND = "distilled"
CITATION = {
    "authors": "Feng, Yunzhen and Vedantam, Ramakrishna and Kempe, Julia",
    "title": "Embarrassingly Simple Dataset Distillation",
    "venue": "ICLR",
    "year": 2024,
    "arxiv": "2311.07025",
}
ORDER = 55
FACTORED = True
SETTINGS = {
    "iterations": {
        "type": "integer",
        "minimum": 1,
        "default": 10000,
        "description": "Iterations, each with a fresh network and window.",
    },
    "unroll": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Steps after which the last window ends (T).",
    },
    "window": {
        "type": "integer",
        "minimum": 1,
        "default": 60,
        "description": "Steps of the window, at most `unroll` (M).",
    },
    "lr_images": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.01,
        "description": "Learning rate of the images, by Adam.",
    },
    "lr_network": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.001,
        "description": "Learning rate of the network, by Adam.",
    },
    "batch_real": {
        "type": "integer",
        "minimum": 1,
        "default": 5000,
        "description": "Real images of the end cost, of all classes together.",
    },
    "batch_syn": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "Synthetic images per network step; 0 for all of them.",
    },
    "augment": {
        "type": "string",
        "default": "none",
        "description": "Augmentation of the synthetic images in each step and of the real ones.",
    },
}
# Theirs is Adam, which is AdamW without weight decay, for 300 to 3000 epochs, the best of which
# they report.
PROTOCOL = {
    **base.AUGMENTED,
    "models": 8,
    "lr": 0.001,
    "weight_decay": 0.0,
    "decay": "none",
    "optimiser": "adamw",
    "augment": "none",
}

BETAS, EPSILON = (0.9, 0.999), 1e-8
_NORM_DECAY, _CLIP = 0.9, 2.0
_PURPOSES = ("network", "window", "order", "augment", "real")


class State(NamedTuple):
    """Between two iterations.

    Attributes:
        images: (K·I, C, H, W) float32.
        moments: what Adam keeps of them, as ``base.Descent`` gives it.
        norm: the running mean of the derivative's norm, a scalar; 0 before the first.
    """

    images: Tensor
    moments: dict[str, dict[str, Tensor]]
    norm: Tensor


class Step(NamedTuple):
    """One step of Adam in the window: the parameters and the gradient before it, the moments after
    it, (P,) each, and its number, from 1."""

    theta: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    number: int


class Window:
    """A training by Adam, and the adjoint through its last steps.

    Args:
        apply: ``apply(params, images) -> logits``.
        like: name to tensor; gives the order and shapes of the flat parameters.
        rate: of Adam.
        compiled: makes a function of tensors a fast one.
    """

    def __init__(
        self,
        apply: Callable,
        like: dict[str, Tensor],
        rate: float,
        compiled: Callable[[Callable], Callable] = lambda function: function,
    ) -> None:
        loss, gradient, projected = _unroll.pieces(apply, like)
        self._rate = rate
        self._gradient = compiled(gradient)
        self._back = compiled(torch.func.grad(projected, argnums=(0, 1)))
        self._end = compiled(torch.func.grad_and_value(loss))

    @torch.no_grad()
    def __call__(
        self,
        theta: Tensor,
        seen: Callable[[int], tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]],
        before: int,
        window: int,
        real: Tensor,
        labels: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Train, and go back through the window.

        Args:
            theta: the fresh network, (P,).
            seen: ``seen(i)`` gives the images and labels of step i, from 0, and what carries a
                derivative in these images back to the set, and adds it up.
            before: steps before the window.
            window: steps in it.
            real: images of the end cost.
            labels: theirs.

        Returns:
            The end cost, a scalar, and the sum of what ``seen``'s third gave, the derivative in
            the set.
        """
        first, second = torch.zeros_like(theta), torch.zeros_like(theta)
        kept: list[Step] = []
        for i in range(before + window):
            x, y, _ = seen(i)
            gradient = self._gradient(theta, x, y)
            first = BETAS[0] * first + (1 - BETAS[0]) * gradient
            second = BETAS[1] * second + (1 - BETAS[1]) * gradient.square()
            if i >= before:
                kept.append(Step(theta, gradient, first, second, i + 1))
            theta = theta - self._rate * _direction(first, second, i + 1)
        adjoint, loss = self._end(theta, real, labels)
        return loss, self._backward(kept, adjoint, seen)

    def _backward(self, kept: list[Step], adjoint: Tensor, seen: Callable) -> Tensor:
        """Return the derivative in the set: of the end cost, whose derivative in the last
        parameters is ``adjoint``."""
        d_first, d_second = torch.zeros_like(adjoint), torch.zeros_like(adjoint)
        total: Tensor | None = None
        while kept:
            theta, gradient, first, second, number = kept.pop()
            by_first, by_second = _derivatives(first, second, number)
            d_first = d_first - self._rate * by_first * adjoint
            d_second = d_second - self._rate * by_second * adjoint
            pull = (1 - BETAS[0]) * d_first + 2 * (1 - BETAS[1]) * gradient * d_second
            x, y, back = seen(number - 1)
            d_theta, d_x = self._back(theta, x, y, pull)
            adjoint = adjoint + d_theta
            d_first, d_second = BETAS[0] * d_first, BETAS[1] * d_second
            part = back(d_x)
            total = part if total is None else total + part
        assert total is not None  # a window has a step
        return total


def _direction(first: Tensor, second: Tensor, number: int) -> Tensor:
    """Return what Adam multiplies by its rate after step ``number``."""
    one, two = (1 - beta**number for beta in BETAS)
    return (first / one) / ((second / two).sqrt() + EPSILON)


def _derivatives(first: Tensor, second: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the derivatives of :func:`_direction` in its two moments, number by number."""
    one, two = (1 - beta**number for beta in BETAS)
    root = (second / two).sqrt()
    below = root + EPSILON
    # Where no gradient ever was the root has no derivative, and the direction is zero.
    steep = torch.where(root == 0, 0.0, 1 / (2 * two * torch.where(root == 0, 1.0, root)))
    return 1 / (one * below), -(first / one) / below.square() * steep


class RandomTruncated(base.Distillation[State]):
    """Random truncated back-propagation at work on a task.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t. Everything is
    float32.

    Raises:
        UserError: the window is longer than the unrolled training, or the network has batch
            normalisation.
    """

    remedy = "a smaller lr_images, then a shorter window"

    def __init__(self, task: base.Task) -> None:
        self._task, settings, device = task, task.settings, task.device
        if settings["window"] > settings["unroll"]:
            raise UserError(
                f"rat_bptt: window {settings['window']} is longer than unroll "
                f"{settings['unroll']}; a window lies within the unrolled training"
            )
        self._module = base.network(task.network, device)
        apply, _ = networks.functional(self._module)
        like = base.fresh_parameters(self._module, task.stream("count"))
        count = task.classes * task.seen_ipc
        self._batch = min(settings["batch_syn"] or count, count)
        one_image = networks.count(self._module, task.initial[0])[0]
        # A step forward costs three forwards; its adjoint, a gradient of a gradient, about nine.
        steps = 3 * (settings["unroll"] + settings["window"]) / 2 + 9 * settings["window"]
        work = one_image * self._batch * steps * settings["iterations"]
        self._window = Window(
            apply,
            like,
            settings["lr_network"],
            partial(
                task.compute.compiled, device=device, expected_seconds=nominal_seconds(work, device)
            ),
        )
        self._descent = base.Descent(partial(torch.optim.Adam, lr=settings["lr_images"]))

    def init(self) -> State:
        """Start from the task's images."""
        images = self._task.initial.detach().clone()
        return State(images, {}, torch.zeros((), device=images.device))

    def step(self, state: State, t: int) -> tuple[State, Tensor]:
        """Train a fresh network, and move the images down their part in its end cost."""
        task, settings = self._task, self._task.settings
        drawn = {purpose: task.stream("iteration", t, purpose) for purpose in _PURPOSES}
        window = settings["window"]
        latest = settings["unroll"] - window
        before = int(torch.randint(latest + 1, (), generator=drawn["window"]))
        decoded, back = task.decoded(state.images)
        loss, derivative = self._window(
            networks.flatten(base.fresh_parameters(self._module, drawn["network"])),
            self._seen(decoded, before + window, drawn),
            before,
            window,
            *self._real(drawn),
        )
        derivative = back(derivative)
        size = derivative.norm()
        norm = torch.where(
            state.norm == 0, size, state.norm + (1 - _NORM_DECAY) * (size - state.norm)
        )
        derivative = derivative * (_CLIP * norm / size.clamp_min(1e-12)).clamp_max(1)
        moved, moments = self._descent(
            {"images": state.images}, {"images": derivative}, state.moments
        )
        return State(moved["images"], moments, norm), loss

    def result(self, state: State) -> base.Result:
        """Return the images, with hard labels."""
        return base.Result(state.images, self._task.targets)

    def _seen(self, images: Tensor, steps: int, drawn: dict[str, torch.Generator]) -> Callable:
        """Return what a step sees, for ``Window``: draws once for each step, forwards and back."""
        task, count = self._task, len(images)
        batches = _unroll.passes(count, self._batch, steps, drawn["order"], task.device)
        counts = [count] * steps if batches is None else list(map(len, batches))
        draws = _unroll.draws(task, counts, drawn["augment"])

        def seen(i: int) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
            x, y, pull = _unroll.seen(i, images, task.seen_targets, batches, draws)

            def back(part: Tensor) -> Tensor:
                part = part if pull is None else pull(part)
                if batches is None:
                    return part
                return torch.zeros_like(images).index_add(0, batches[i], part)

            return x, y, back

        return seen

    def _real(self, drawn: dict[str, torch.Generator]) -> tuple[Tensor, Tensor]:
        """Draw the real images of the end cost, and augment them."""
        task = self._task
        number = min(task.settings["batch_real"], len(task.images))
        rows = torch.randperm(len(task.images), generator=drawn["real"])[:number].to(task.device)
        images = task.images[rows]
        draws = _unroll.draws(task, [number], drawn["augment"])
        if draws is not None:
            images = _unroll.augmented(images, draws[0])
        return images, task.labels[rows]


build = RandomTruncated


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings, count = sizes.settings, sizes.classes * sizes.seen_ipc
    iterations, window = settings["iterations"], settings["window"]
    batch = min(settings["batch_syn"] or count, count)
    trained = (settings["unroll"] + window) / 2  # on average, where windows end
    return [
        ("gradient", iterations * trained, batch),
        ("adjoint", iterations * window, batch),
        ("gradient", iterations, min(settings["batch_real"], sizes.images)),
    ]
