"""What methods share: what they are given, their result, their starting images, their view of the
real images by class, and their network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distillery import augmentations, networks
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.networks import NetworkSpec
from distillery.store import checkpoint as checkpoints

# How networks are trained on sets in the literature: the gradient-matching authors' evaluation, and
# theirs where images are augmented. The decay is their code's, which trains one epoch more than it
# says.
PROTOCOL = {
    "models": 20,
    "epochs": 300,
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "batch": 256,
    "decay": "published",
    "augment": "none",
}
AUGMENTED = {
    "models": 20,
    "epochs": 1000,
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "batch": 256,
    "decay": "published",
    "augment": "dsa",
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a method makes a set from, and by which means.

    Attributes:
        images: (N, C, H, W) float32, normalised, on the device that computes: the real training
            images; labels: (N,) int64.
        initial: (K·I, C, H, W) float32, class-ordered: what the synthetic images start from; it is
            not changed.
        classes, ipc: K and I.
        network: of the distillation.
        settings: a value for each key of the method's ``SETTINGS``.
        stream: ``stream(purpose, …)`` gives this job's generator (CPU) for a purpose.
        recorder: ``recorder.iteration(t, loss=, images=)`` is called with t = 0 for the start (no
            loss yet: NaN) and after each iteration, with the matching loss as a 0-d tensor, and
            ``step_size=`` and ``labels=`` where the method learns them. What it was told goes into
            checkpoints: ``state()`` and ``restore(tensors)``.
        compute: how to compute.
        flip_allowed: whether an augmentation may mirror.
        experts: ``number`` of experts, ``epochs`` of each, and ``pair(expert, start, stop)``, two
            parameter vectors (P,) float32 on the device; ``None`` for methods that learn from none.
        checkpoint: where the state is kept between two steps, and taken up again.
    """

    images: Tensor
    labels: Tensor
    initial: Tensor
    classes: int
    ipc: int
    network: NetworkSpec
    settings: dict[str, Any]
    stream: Callable[..., torch.Generator]
    recorder: Any
    compute: Compute
    flip_allowed: bool = False
    experts: Any = None
    checkpoint: Any = checkpoints.NONE

    @property
    def device(self) -> torch.device:
        return self.images.device

    @property
    def targets(self) -> Tensor:
        """The hard labels (K·I,) int64 of the set, on the device."""
        return synthetic_labels(self.classes, self.ipc, self.device)


@dataclass
class Result:
    """A synthetic set as a method returns it.

    Attributes:
        images: (N, C, H, W) float32 in normalised space.
        labels: (N,) int64, or (N, K) float32.
        step_size: the learned step size, or ``None``.
    """

    images: Tensor
    labels: Tensor
    step_size: float | None = None


class ClassIndex:
    """Where the images of each class are, found once.

    Args:
        labels: (N,) int64, on any device.
        classes: how many classes there are.

    Attributes:
        members: for each class its image numbers, ascending, an int64 tensor on the labels' device.
        counts: for each class how many images it has, a list.

    Raises:
        UserError: a class has no image.
    """

    def __init__(self, labels: Tensor, classes: int):
        self._device = labels.device
        host = labels.cpu()
        order = torch.argsort(host, stable=True)
        self.counts = torch.bincount(host, minlength=classes).tolist()
        for c, count in enumerate(self.counts):
            if count == 0:
                raise UserError(
                    f"class {c} has no training image; every one of the {classes} classes needs at "
                    "least one"
                )
        self._host = list(order.split(self.counts))
        self.members = [part.to(labels.device) for part in self._host]

    def draw(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """For each class ``number`` of its images at random without replacement, all of them where
        it has fewer.

        Args:
            generator: on the CPU.

        Returns:
            index (K, B) int64 and weights (K, B) float32 with B the largest number drawn for a
            class. Weights are 1/(images drawn); places beyond a class's images repeat its first one
            with weight 0, so a weighted sum over B is the mean over the images drawn.
        """
        width = min(number, max(self.counts))
        index = torch.empty(len(self.counts), width, dtype=torch.int64)
        weights = torch.zeros(len(self.counts), width)
        for c, (members, count) in enumerate(zip(self._host, self.counts, strict=True)):
            chosen = members[torch.randperm(count, generator=generator)[:width]]
            index[c] = chosen[0]
            index[c, : len(chosen)] = chosen
            weights[c, : len(chosen)] = 1 / len(chosen)
        return index.to(self._device), weights.to(self._device)


class Siamese:
    """One augmentation a class, drawn once and applied alike to the class's real and synthetic
    images (Zhao and Bilen, arXiv 2102.08259, section 3.2).

    Args:
        strategy: an augmentation's name; ``none`` changes nothing and draws nothing.
        generator: on the CPU.
        like: images (N, C, H, W), for their shape and device.
    """

    def __init__(
        self,
        strategy: str,
        classes: int,
        generator: torch.Generator,
        like: Tensor,
        flip_allowed: bool,
    ):
        shape, device = tuple(like.shape[1:]), like.device
        self._none = strategy == "none"
        options = {"shape": shape, "device": device, "flip_allowed": flip_allowed, "per": "batch"}
        self._draws = [
            augmentations.draw(strategy, 1, generator, **options) for _ in range(classes)
        ]

    def real(self, c: int, images: Tensor) -> Tensor:
        """The real images (B, C, H, W) of class ``c``, augmented."""
        operation, draws = self._draws[c]
        return augmentations.apply(operation, images, draws)

    def synthetic(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The synthetic images (K, I, C, H, W), augmented class by class, and what carries a
        derivative in them back to the images."""
        if self._none:
            return images, lambda derivative: derivative

        def apply(x):
            return torch.stack(
                [
                    augmentations.apply(operation, x[c], draws)
                    for c, (operation, draws) in enumerate(self._draws)
                ]
            )

        changed, pull = torch.func.vjp(apply, images)
        return changed, lambda derivative: pull(derivative)[0]


def synthetic_labels(classes: int, ipc: int, device: torch.device | str = "cpu") -> Tensor:
    """The hard labels (K·I,) int64 of a class-ordered set."""
    return torch.arange(classes, device=device).repeat_interleave(ipc)


def initial_images(
    init: str, images: Tensor, labels: Tensor, classes: int, ipc: int, generator: torch.Generator
) -> Tensor:
    """What the synthetic images start from: (K·I, C, H, W) float32, class-ordered, on the images'
    device.

    Args:
        init: ``real``: random training images of the class, without replacement; ``noise``:
            standard Gaussian in normalised space.
        images: (N, C, H, W) float32, normalised; labels: (N,) int64.
        generator: on the CPU.

    Raises:
        UserError: ``init`` is unknown, or a class has fewer than ``ipc`` images to take.
    """
    if init == "noise":
        return torch.randn(classes * ipc, *images.shape[1:], generator=generator).to(images.device)
    if init != "real":
        raise UserError(f"unknown init {init!r}; known are real, noise")
    index = ClassIndex(labels, classes)
    enough(index, ipc)
    chosen, _ = index.draw(ipc, generator)
    return images[chosen.reshape(-1)].clone()


def enough(index: ClassIndex, ipc: int) -> None:
    """Raise ``UserError`` where a class has fewer than ``ipc`` training images."""
    for c, count in enumerate(index.counts):
        if count < ipc:
            raise UserError(
                f"ipc {ipc} asks for {ipc} real images of class {c}, which has only {count} "
                "training images; "
                f"take an ipc of {count} or less"
            )


# A look at the loss makes a device wait: only every so many iterations is one taken.
CHECK_EVERY = 10


def finite(
    name: str, iteration: int, loss: Tensor, images: Tensor, last: float | None, remedy: str
) -> float:
    """The loss of ``iteration`` as a number, if it and the images are finite.

    Args:
        name: the method's.
        last: the last loss that was seen to be finite.
        remedy: the setting of which a smaller one is worth a try.

    Raises:
        UserError: it diverged.
    """
    if not (torch.isfinite(loss) and torch.isfinite(images).all()):
        seen = (
            f"the last finite matching loss seen was {last:.4g}"
            if last is not None
            else "no finite matching loss was seen before"
        )
        raise UserError(
            f"{name} diverged by iteration {iteration}: the images or the loss are not finite "
            f"({seen}); try a smaller {remedy}"
        )
    return float(loss)


def fitting(name: str, experts, like: Mapping[str, Tensor], spec: NetworkSpec) -> None:
    """Raise ``UserError`` where there are no experts, or they have not the parameters ``like`` of
    the network ``spec``."""
    if experts is None or experts.number < 1:
        raise UserError(f"{name} learns from expert trajectories, and none were given")
    length, found = sum(value.numel() for value in like.values()), experts.pair(0, 0, 0)[0].numel()
    if found != length:
        raise UserError(
            f"{name}: the experts have {found} parameters and {spec.name} has {length}; they "
            "must be of the same network and dataset"
        )


def network(spec: NetworkSpec, device: torch.device) -> nn.Module:
    """The network that a method distils with, uninitialised, on ``device``.

    Raises:
        UserError: it has batch normalisation, whose statistics would mix the images of a batch and
            have no meaning for one class.
    """
    module = networks.from_spec(spec)
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules()):
        raise UserError(
            f"network {spec.name} has batch normalisation, which cannot distil: take ConvNet "
            "with norm instance, "
            "and use the other for evaluation"
        )
    return networks.for_device(module, device)


def fresh_parameters(module: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Newly drawn parameters of ``module`` by name, in its order, on its device."""
    return networks.parameters(networks.initialise(module, generator))
