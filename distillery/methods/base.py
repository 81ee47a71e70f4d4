"""What a method is, and what methods share.

A file of this folder without an underscore is one method. Its head binds literals that are read
without importing it (``plugins.Method`` says which); its body binds one function.

**A distilled set** is learned. The file binds ``build(task)``, which returns a
:class:`Distillation`: ``init`` gives the first state, ``step`` the next one and its loss,
``result`` the set that a state stands for. Everything else is the driver's (``_driver``): to load
a checkpoint and save one, to notice that a run diverged, to keep snapshots, losses and progress.
Its ``SETTINGS`` have ``iterations``. In full::

    import torch
    from distillery.methods import base

    class MeanMatching(base.Distillation):
        def __init__(self, task):
            self.task, self.rate = task, task.settings["lr_images"]
            index = base.ClassIndex(task.labels, task.classes)
            self.means = torch.stack([task.images[members].mean(0) for members in index.members])

        def init(self):
            return {"images": self.task.initial.clone()}

        def step(self, state, t):
            by_class = state["images"].view(self.task.classes, self.task.ipc, *self.means.shape[1:])
            apart = by_class.mean(1) - self.means
            moved = by_class - self.rate * apart[:, None]
            return {"images": moved.view_as(state["images"])}, apart.square().sum()

        def result(self, state):
            return base.Result(state["images"], self.task.targets)

    build = MeanMatching

**A coreset** is chosen. The file binds ``select(task)``, which returns the numbers of the chosen
images in ``task.images``: int64, ``ipc`` different ones of every class, in any order. Images and
labels are taken from there, class by class, those of a class in the order in which they were
chosen. Where labels are a teacher's, or images are cut out of real ones, it returns a
:class:`Result` instead. In full::

    import torch
    from distillery.methods import base

    def select(task):
        index = base.ClassIndex(task.labels, task.classes)
        base.enough(index, task.ipc)
        return torch.cat([members[: task.ipc] for members in index.members])
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from distillery import augmentations, networks
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.networks import Network, NetworkSpec

BATCH = 256  # images that a network answers at a time, where nothing is learned from them

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
    "overrides": [{"when": {"dataset": "MNIST"}, "augment": "dc_mnist", "epochs": 1000}],
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
        stream: ``stream(purpose, …)`` gives this job's generator (CPU) for a purpose. Purposes are
            texts and numbers: ``stream("iteration", t, "real")``. The same purpose always gives the
            same numbers, so whatever an iteration draws is drawn again when it is run again.
        compute: how to compute.
        flip_allowed: whether an augmentation may mirror.
        experts: ``number`` of experts, ``epochs`` of each, and ``pair(expert, start, stop)``, two
            parameter vectors (P,) float32 on the device; ``None`` for methods that learn from none.
        held: ``held()`` gives the validation images (M, C, H, W) float32, normalised, and their
            labels (M,) int64, on the device: what a method may decide by. They are in no other way
            learned from. ``None`` where none are held out.
        kept: ``kept(name, make)`` gives the tensor that ``make()`` gives, or gave before the job
            was interrupted. Methods that choose images work out under it what takes long; a method
            that iterates has its state in the checkpoint.
        factor: how many images each of ``initial`` holds on a side, as each of the set will: above
            1 only for a method that says ``FACTORED``; decode: ``decode(images)`` gives them.
    """

    images: Tensor
    labels: Tensor
    initial: Tensor
    classes: int
    ipc: int
    network: NetworkSpec
    settings: dict[str, Any]
    stream: Callable[..., torch.Generator]
    compute: Compute
    flip_allowed: bool = False
    experts: Any = None
    held: Callable[[], tuple[Tensor, Tensor]] | None = None
    kept: Callable[[str, Callable[[], Tensor]], Tensor] = lambda name, make: make()
    factor: int = 1
    decode: Callable[[Tensor], Tensor] = lambda images: images

    @property
    def device(self) -> torch.device:
        """Where the method computes."""
        return self.images.device

    @property
    def targets(self) -> Tensor:
        """Return the hard labels (K·I,) int64 of the set, on the device."""
        return synthetic_labels(self.classes, self.ipc, self.device)

    @property
    def seen_ipc(self) -> int:
        """Return the images per class that training sees: I·f²."""
        return self.ipc * self.factor**2

    @property
    def seen_targets(self) -> Tensor:
        """Return the hard labels (K·I·f²,) int64 of the images that training sees, on the
        device."""
        return synthetic_labels(self.classes, self.seen_ipc, self.device)

    def decoded(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return the images (…, N·f², C, H, W) that training sees of the set's (…, N, C, H,
        W), and what carries a derivative in them back to the set's."""
        if self.factor == 1:
            return images, lambda derivative: derivative
        # Two values without `has_aux`.
        seen, pull = torch.func.vjp(self.decode, images)  # pyright: ignore[reportAssignmentType]
        return seen, lambda derivative: pull(derivative)[0]


@dataclass(frozen=True)
class Result:
    """A synthetic set as a method makes it, on the device that computes.

    Attributes:
        images: (K·I, C, H, W) float32 in normalised space, class-ordered.
        labels: (K·I,) int64, or soft (K·I, K) float32 probabilities.
        step_size: the learned step size, a 0-d float32 tensor; ``None`` where none is learned.
    """

    images: Tensor
    labels: Tensor
    step_size: Tensor | None = None


State = TypeVar("State")


class Distillation(ABC, Generic[State]):
    """A method at work on one task: what ``build(task)`` returns.

    What stays the same through a run (compiled functions, where the images of a class are) belongs
    to the object; what changes is the *state*, a tree (:mod:`distillery.store.tree`): dicts, lists,
    tuples, NamedTuples and dataclasses, nested, of tensors, generators, numbers and texts. States
    are kept between two steps, and a run that was interrupted resumes from one in a new process:
    all that a step needs of the steps before must be in it.

    Attributes:
        remedy: what a user may try when a run diverges, as it follows "try" in the message.
    """

    remedy = "a smaller lr_images"

    @abstractmethod
    def init(self) -> State:
        """Return the state before the first iteration. A run that resumes from a checkpoint calls
        it too: for the types of NamedTuples and dataclasses, which no file names."""

    @abstractmethod
    def step(self, state: State, t: int) -> tuple[State, Tensor | None]:
        """Take one step of iteration ``t``, the first of which is 1.

        Returns:
            The next state, and the loss of the iteration, a 0-d tensor on any device (it is read
            every few iterations, so nothing waits for it here). A step that does not end its
            iteration returns ``None`` for the loss, and the next has the same ``t``: an iteration
            of minutes is so resumed from within.

        The state that is given stays as it is, but for its generators, which move on: what was
        noted of it may be looked at later.
        """

    @abstractmethod
    def result(self, state: State) -> Result:
        """Return the set that a state stands for. It is asked for the first state and after each
        iteration, so it should cost next to nothing."""

    def trouble(self, state: State) -> str | None:
        """Say what makes a state worthless though all its numbers are finite; ``None`` where
        nothing does."""
        return None


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

    def __init__(self, labels: Tensor, classes: int) -> None:
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
        """Draw for each class ``number`` of its images at random without replacement, all of them
        where it has fewer.

        Args:
            number: images per class.
            generator: on the CPU.

        Returns:
            index (K, B) int64 and weights (K, B) float32 with B the largest number drawn for a
            class. Weights are 1/(images drawn); places beyond a class's images repeat its first one
            with weight 0, so a weighted sum over B is the mean over the images drawn.
        """
        return self.laid_out(
            [
                members[torch.randperm(count, generator=generator)[:number]]
                for members, count in zip(self._host, self.counts, strict=True)
            ]
        )

    def laid_out(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Lay out the images that are chosen of each class, numbers on the CPU, as :meth:`draw`
        returns them."""
        width = max(map(len, chosen))
        index = torch.empty(len(chosen), width, dtype=torch.int64)
        weights = torch.zeros(len(chosen), width)
        for c, numbers in enumerate(chosen):
            index[c] = numbers[0]
            index[c, : len(numbers)] = numbers
            weights[c, : len(numbers)] = 1 / len(numbers)
        return index.to(self._device), weights.to(self._device)


class Siamese:
    """One augmentation per class, drawn once and applied alike to the class's real and synthetic
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
    ) -> None:
        channels, height, width = like.shape[1:]
        self._none = strategy == "none"
        options: dict[str, Any] = {
            "shape": (channels, height, width),
            "device": like.device,
            "flip_allowed": flip_allowed,
            "per": "batch",
        }
        self._draws = [
            augmentations.draw(strategy, 1, generator, **options) for _ in range(classes)
        ]

    def real(self, c: int, images: Tensor) -> Tensor:
        """Augment real images (B, C, H, W) of class ``c``."""
        operation, draws = self._draws[c]
        return augmentations.apply(operation, images, draws)

    def synthetic(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Augment the synthetic images (K, I, C, H, W) class by class; returns them and what
        carries a derivative in them back to the images."""
        if self._none:
            return images, lambda derivative: derivative

        def apply(x: Tensor) -> Tensor:
            return torch.stack(
                [
                    augmentations.apply(operation, x[c], draws)
                    for c, (operation, draws) in enumerate(self._draws)
                ]
            )

        # Two values without `has_aux`.
        changed, pull = torch.func.vjp(apply, images)  # pyright: ignore[reportAssignmentType]
        return changed, lambda derivative: pull(derivative)[0]


def synthetic_labels(classes: int, ipc: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the hard labels (K·I,) int64 of a class-ordered set."""
    return torch.arange(classes, device=device).repeat_interleave(ipc)


def initial_images(
    init: str, images: Tensor, labels: Tensor, classes: int, ipc: int, generator: torch.Generator
) -> Tensor:
    """Return what the synthetic images start from: (K·I, C, H, W) float32, class-ordered, on the
    images' device.

    Args:
        init: ``real``: random training images of the class, without replacement; ``noise``:
            standard Gaussian in normalised space.
        images: (N, C, H, W) float32, normalised.
        labels: (N,) int64.
        classes: how many classes there are, K.
        ipc: images per class, I.
        generator: on the CPU.

    Raises:
        UserError: ``init`` is unknown, or a class has fewer than ``ipc`` images to take.
    """
    if init == "noise":
        return torch.randn(classes * ipc, *images.shape[1:], generator=generator).to(images.device)
    if init != "real":
        raise UserError(f"unknown init {init!r}; known are real, noise")
    return images[draw_real(ClassIndex(labels, classes), ipc, generator)]


def draw_real(index: ClassIndex, ipc: int, generator: torch.Generator) -> Tensor:
    """Return the numbers (K·I,) int64 of ``ipc`` random images of each class, without replacement,
    class by class.

    Args:
        index: where the images of each class are.
        ipc: images per class, I.
        generator: on the CPU.

    Raises:
        UserError: a class has fewer than ``ipc`` images.
    """
    enough(index, ipc)
    chosen, _ = index.draw(ipc, generator)
    return chosen.reshape(-1)


def enough(index: ClassIndex, ipc: int) -> None:
    """Raise ``UserError`` where a class has fewer than ``ipc`` training images."""
    for c, count in enumerate(index.counts):
        if count < ipc:
            raise UserError(
                f"ipc {ipc} asks for {ipc} real images of class {c}, which has only {count} "
                "training images; "
                f"take an ipc of {count} or less"
            )


def fitting(name: str, experts: Any, like: Mapping[str, Tensor], spec: NetworkSpec) -> None:
    """Raise ``UserError`` where there are no experts, or they have not the parameters ``like`` of
    the network ``spec``."""
    if experts is None or experts.number < 1:
        raise UserError(f"{name} learns from expert trajectories, and none were given")
    length = sum(value.numel() for value in like.values())
    of_experts = experts.pair(0, 0, 0)[0].numel()
    if of_experts != length:
        raise UserError(
            f"{name}: the experts have {of_experts} parameters and {spec.name} has {length}; they "
            "must be of the same network and dataset"
        )


@torch.no_grad()
def features(
    images: Tensor, members: Tensor, embeddings: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Return the features (n, D) of the images numbered ``members``, the embeddings side by
    side."""
    parts = [
        torch.cat([embed(images[part]) for embed in embeddings], dim=1)
        for part in members.split(BATCH)
    ]
    return torch.cat(parts)


def network(spec: NetworkSpec, device: torch.device) -> Network:
    """Build the network that a method distils with, uninitialised, on ``device``.

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
    """Draw parameters of ``module`` by name, in its order, on its device."""
    return networks.parameters(networks.initialise(module, generator))


class Descent:
    """An optimiser of ``torch.optim`` as a pure function, for a state that is a tree.

    Args:
        optimiser: makes one for a list of tensors: ``functools.partial(torch.optim.SGD, lr=0.1)``.
            What it keeps for a parameter must be tensors.
    """

    def __init__(self, optimiser: Callable[[list[Tensor]], torch.optim.Optimizer]) -> None:
        self._optimiser = optimiser

    def __call__(
        self,
        params: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        moments: Mapping[str, Mapping[str, Tensor]],
    ) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Take one step down the gradients.

        Args:
            params: tensors by name.
            gradients: of the same names.
            moments: what the optimiser kept at the step before, by name; empty at the first.

        Returns:
            The new parameters and what the optimiser keeps.
        """
        moved = {name: value.detach().clone() for name, value in params.items()}
        optimiser = self._optimiser(list(moved.values()))
        for name, value in moved.items():
            value.grad = gradients[name]
            # A count of steps is a tensor without dimensions, which lies on the CPU everywhere.
            optimiser.state[value].update(
                {
                    key: (kept if kept.ndim else kept.cpu()).clone()
                    for key, kept in moments.get(name, {}).items()
                }
            )
        optimiser.step()
        kept = {
            name: {
                key: entry
                for key, entry in optimiser.state[value].items()
                if isinstance(entry, Tensor)
            }
            for name, value in moved.items()
        }
        return {name: value.detach() for name, value in moved.items()}, kept
