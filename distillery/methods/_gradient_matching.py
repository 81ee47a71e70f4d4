"""The loop of gradient matching, which DC and DSA share.

An iteration draws a fresh random network. In each of its outer steps, for every class, the gradient
of the mean cross-entropy on a batch of real images of the class is compared with that on the
class's synthetic images (``matching.distance``); the distances are summed over classes and the
synthetic images take one step of gradient descent with momentum. Between outer steps the network
trains on the synthetic set. With an augmentation the real and the synthetic images of a class are
changed alike before they are compared (Siamese augmentation), and the training between the steps
augments each image for itself.

How it is computed, with the times that led there (two AVX-512 cores, ConvNet of width 128, 256 real
images of one class, 28 x 28 and 32 x 32 x 3):

- Real side: first order, without a graph, one class after the other. Eager float32 1.50 and 1.04 s;
  with freed memory kept (``process.keep_host_memory``) 0.72 and 0.55 s; compiled 0.49 and 0.44 s;
  compiled with bfloat16 convolutions 0.40 and 0.25 s; and with the first convolution rewritten for
  one channel (``base.network``) 0.235 s on 28 x 28.
- Synthetic side: one function ``vmap``ped over the ten classes. At 1 image per class: compiled 0.06
  s, class by class 0.08 s, eager about 1 s. At 10 images per class: compiled 0.49 s, class by class
  0.46 s, eager about 3.8 s.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from distillery import augmentations, networks
from distillery.compute.device import nominal_seconds
from distillery.methods import _gradient_distance as matching
from distillery.methods import _representative, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

SETTINGS = {
    "iterations": {
        "type": "integer",
        "minimum": 1,
        "default": 1000,
        "description": "Iterations, each with a fresh random network.",
    },
    "lr_images": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.1,
        "description": "Learning rate of the images.",
    },
    "momentum": {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.5,
        "description": "Momentum of the image steps.",
    },
    "lr_network": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.01,
        "description": "Learning rate of the network on the synthetic set.",
    },
    "batch_real": {
        "type": "integer",
        "minimum": 1,
        "default": 256,
        "description": "Real images per class and step.",
    },
    "batch_train": {
        "type": "integer",
        "minimum": 1,
        "default": 256,
        "description": "Synthetic images per network step.",
    },
    "outer": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
        "default": "auto",
        "description": "Image steps per iteration; auto follows the published table.",
    },
    "inner": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
        "default": "auto",
        "description": "Epochs of network training between two image steps; auto follows the "
        "published table.",
    },
    **_representative.SETTINGS,
}

# Images per class: (outer, inner). The published settings; 100 is the author's advice.
LOOPS = {
    1: (1, 1),
    10: (10, 50),
    20: (20, 25),
    30: (30, 20),
    40: (40, 15),
    50: (50, 10),
    100: (100, 2),
}

# What an iteration draws for, each from a stream of its own, beside its network.
_PURPOSES = ("real", "order", "augment")

# Images whose second-order graph is alive at once on the synthetic side (about 5 MB an image at
# width 128).
_TOGETHER = {"cpu": 200, "cuda": 2000}


def loops(ipc: int) -> tuple[int, int]:
    """Say how many image steps an iteration has, and how many training epochs lie between two, at
    ``ipc`` images per class.

    The published table where it has an entry. Elsewhere as many image steps as images per class,
    100 at most, and the epochs interpolated linearly between the table's neighbours, rounded; 2
    above 100.
    """
    if ipc in LOOPS:
        return LOOPS[ipc]
    if ipc > 100:
        return 100, LOOPS[100][1]
    below = max(known for known in LOOPS if known < ipc)
    above = min(known for known in LOOPS if known > ipc)
    share = (ipc - below) / (above - below)
    return ipc, round(LOOPS[below][1] + share * (LOOPS[above][1] - LOOPS[below][1]))


class State(NamedTuple):
    """Between two image steps.

    Attributes:
        images: (K, I, C, H, W) float32, and their momentum, ``velocity``.
        step: how many image steps of the iteration are done; 0 between two iterations, where the
            rest is empty.
        network: the parameters of the iteration's network, by name.
        total: the distances so far, a scalar.
        streams: the generators of the iteration, by purpose.
    """

    images: Tensor
    velocity: Tensor
    step: int
    network: dict[str, Tensor]
    total: Tensor
    streams: dict[str, torch.Generator]


class GradientMatching(base.Distillation[State]):
    """Gradient matching at work on a task.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t. A step is an image
    step; the loss of an iteration is the distance summed over classes and averaged over its image
    steps.

    Args:
        strategy: the augmentation's name.

    Raises:
        UserError: a class has no image, or the network has batch normalisation.
    """

    remedy = "a smaller lr_images, then a smaller lr_network"

    def __init__(self, task: base.Task, *, strategy: str) -> None:
        self._task, self._strategy, settings = task, strategy, task.settings
        compute, device, classes, ipc = task.compute, task.device, task.classes, task.seen_ipc
        self._index = base.ClassIndex(task.labels, classes)
        self._module = base.network(task.network, device)
        apply, _ = networks.functional(self._module)
        self._outer, self._inner = (
            settings[name] if settings[name] != "auto" else value
            for name, value in zip(("outer", "inner"), loops(task.ipc), strict=True)
        )
        one_image = networks.count(self._module, task.images[0])[0]
        # A gradient costs three forwards.
        work = one_image * classes * self._outer * settings["iterations"]
        batch = min(settings["batch_real"], max(self._index.counts))
        seconds = nominal_seconds(3 * work * batch, device)
        self._real_gradient = compute.compiled(
            matching.class_gradient(apply, compute.low_precision(device, seconds)),
            device=device,
            expected_seconds=seconds,
        )
        self._image_gradient = compute.compiled(
            # Eagerly a second-order step on few images is mostly overhead: 1 s for ten classes of
            # one image, 3.8 s for ten of ten.
            matching.image_gradient(apply),
            device=device,
            expected_seconds=nominal_seconds((35 * ipc + 58) * work, device),
        )
        between = (self._outer - 1) * settings["iterations"]
        seconds = nominal_seconds(3 * one_image * classes * ipc * self._inner * between, device)
        self._train_gradient = compute.compiled(
            matching.class_gradient(apply, compute.low_precision(device, seconds)),
            device=device,
            expected_seconds=seconds,
        )
        self._real = _representative.RealBatches(
            task, self._index, networks.functional_embed(self._module), self._network
        )
        self._together = _together(classes, ipc, device)
        self._targets = task.seen_targets

    def init(self) -> State:
        task = self._task
        images = task.initial.detach().clone()
        images = images.view(task.classes, task.ipc, *images.shape[1:])
        return self._ended(images, torch.zeros_like(images))

    def step(self, state: State, t: int) -> tuple[State, Tensor | None]:
        settings = self._task.settings
        if not state.step:
            state = self._begun(state, t)
        derivative, total = self._compared(state, t)
        velocity = settings["momentum"] * state.velocity + derivative
        images = state.images - settings["lr_images"] * velocity
        step = state.step + 1
        if step == self._outer:
            return self._ended(images, velocity), total / self._outer
        network = self._trained(state.network, images, state.streams)
        return State(images, velocity, step, network, total, state.streams), None

    def result(self, state: State) -> base.Result:
        return base.Result(state.images.reshape(self._task.initial.shape), self._task.targets)

    def _begun(self, state: State, t: int) -> State:
        streams = {purpose: self._task.stream("iteration", t, purpose) for purpose in _PURPOSES}
        return state._replace(network=self._network(t), streams=streams)

    def _network(self, t: int) -> dict[str, Tensor]:
        """Draw the network of an iteration."""
        return base.fresh_parameters(self._module, self._task.stream("iteration", t, "network"))

    def _ended(self, images: Tensor, velocity: Tensor) -> State:
        return State(images, velocity, 0, {}, torch.zeros((), device=self._task.device), {})

    def _compared(self, state: State, t: int) -> tuple[Tensor, Tensor]:
        """Return the derivative of the distances in the synthetic images, (K, I, C, H, W), and the
        sum of the iteration's distances so far."""
        task, classes, streams = self._task, self._task.classes, state.streams
        images, labels, params = task.images, task.labels, state.network
        chosen, weights = self._real.draw(t, streams["real"])
        siamese = base.Siamese(
            self._strategy, classes, streams["augment"], images, task.flip_allowed
        )
        gradients = [
            self._real_gradient(
                params, siamese.real(c, images[chosen[c]]), labels[chosen[c]], weights[c]
            )
            for c in range(classes)
        ]
        real = {
            name: torch.stack([gradient[name] for gradient in gradients])
            for name in params
            if params[name].ndim > 1
        }
        decoded, back = task.decoded(state.images)
        seen, pull = siamese.synthetic(decoded)
        by_class = self._targets.view(classes, task.seen_ipc)
        derivatives, total = [], state.total
        for begin in range(0, classes, self._together):
            part = slice(begin, begin + self._together)
            derivative, distances = self._image_gradient(
                params,
                seen[part],
                by_class[part],
                {name: value[part] for name, value in real.items()},
            )
            derivatives.append(derivative)
            total = total + distances.sum()
        return back(pull(torch.cat(derivatives))), total

    def _trained(
        self, params: dict[str, Tensor], synthetic: Tensor, streams: dict[str, torch.Generator]
    ) -> dict[str, Tensor]:
        """Return new parameters, after the epochs that lie between two image steps: plain gradient
        descent over the synthetic set in shuffled mini-batches."""
        task, rate = self._task, self._task.settings["lr_network"]
        batch, images = task.settings["batch_train"], task.decode(synthetic).flatten(0, 1)
        for _ in range(self._inner):
            shuffled = torch.randperm(len(images), generator=streams["order"]).to(images.device)
            for chosen in shuffled.split(batch):
                weights = torch.full((len(chosen),), 1 / len(chosen), device=images.device)
                augmented = augmentations.augment(
                    self._strategy,
                    images[chosen],
                    streams["augment"],
                    flip_allowed=task.flip_allowed,
                )
                gradients = self._train_gradient(params, augmented, self._targets[chosen], weights)
                params = {name: value - rate * gradients[name] for name, value in params.items()}
        return params


def _together(classes: int, ipc: int, device: torch.device) -> int:
    """Say how many classes to differentiate at once: all that fit, in equal parts so that one
    compiled shape serves."""
    limit = max(1, _TOGETHER.get(device.type, 200) // ipc)
    return max(
        count for count in range(1, classes + 1) if classes % count == 0 and count <= max(limit, 1)
    )


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings, ipc, classes = sizes.settings, sizes.seen_ipc, sizes.classes
    outer, inner = (
        settings[name] if settings[name] != "auto" else value
        for name, value in zip(("outer", "inner"), loops(sizes.ipc), strict=True)
    )
    steps, count = outer * settings["iterations"], classes * ipc
    between = (outer - 1) * settings["iterations"] * inner
    batch = min(settings["batch_train"], count)
    together = max(1, _TOGETHER["cpu"] // ipc)
    calls = -(-classes // together)
    return [
        ("gradient", steps * classes, min(settings["batch_real"], sizes.largest), True),
        ("matching", steps * calls, count / calls),
        ("gradient", between * -(-count // batch), batch, True),
        *_representative.expected_work(sizes),
    ]
