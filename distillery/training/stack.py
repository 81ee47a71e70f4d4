"""Networks of one architecture, several at a time where the device gains from it."""

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map

from distillery import networks
from distillery.compute.device import Compute
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store import checkpoint as checkpoints

TEST_BATCH = 512

log = logging.getLogger("distillery")


@dataclass
class Stack:
    """E networks of one architecture whose parameters (and buffers) are stacked on a leading axis.

    Attributes:
        architecture: what the networks have in common.
        parameters, buffers: name to tensor (E, ...).
    """

    architecture: "Architecture"
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor] = field(default_factory=dict)

    @property
    def module(self) -> torch.nn.Module:
        """The architecture as a module; its own values are not used."""
        return self.architecture.module

    @property
    def count(self) -> int:
        """How many networks there are, E."""
        return len(next(iter(self.parameters.values())))

    def first(self) -> "Stack":
        """Give the first network alone; it shares the values."""
        return Stack(
            self.architecture,
            *(
                {n: tensor[:1] for n, tensor in part.items()}
                for part in (self.parameters, self.buffers)
            ),
        )

    def named(self) -> dict[str, Tensor]:
        """Give all values by name, for :meth:`of_named`; they are shared."""
        return checkpoints.prefixed("parameters", self.parameters) | checkpoints.prefixed(
            "buffers", self.buffers
        )

    @classmethod
    def of_named(
        cls, architecture: "Architecture", values: dict[str, Tensor], device: torch.device
    ) -> "Stack":
        """Undo :meth:`named`, with the values on a device."""
        parts = (
            checkpoints.part(part, values, lambda tensor: tensor.to(device))
            for part in ("parameters", "buffers")
        )
        return cls(architecture, *parts)

    def logits(self, images: Tensor) -> Tensor:
        """Answer (E, B, C, H, W) with (E, B, K); each network sees its own images."""
        return self.architecture.stacked(self.parameters, self.buffers, images, None)

    def flat(self) -> Tensor:
        """Give each network's parameters as one vector, (E, P) float32, in ``networks.flatten``'s
        order."""
        return torch.stack([networks.flatten(_row(self.parameters, e)) for e in range(self.count)])


def _row(tensors: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    return {name: tensor[index] for name, tensor in tensors.items()}


def initialise(
    network: NetworkSpec, generators: Iterable[torch.Generator], device: torch.device
) -> Stack:
    """Draw freshly initialised networks, one per generator."""
    architecture = architecture_of(network, device)
    members = []
    for generator in generators:
        module = networks.initialise(architecture.module, generator)
        members.append(
            [
                {name: value.detach().clone() for name, value in part}
                for part in (module.named_parameters(), module.named_buffers())
            ]
        )
    return Stack(
        architecture,
        *(
            {
                name: torch.stack([member[part][name] for member in members])
                for name in members[0][part]
            }
            for part in (0, 1)
        ),
    )


class Architecture:
    """One architecture on one device, with the functions that were made of it: each is compiled
    once per process."""

    def __init__(self, network: NetworkSpec, device: torch.device) -> None:
        self.module = networks.for_device(networks.from_spec(network), device)
        self.running_statistics = any(True for _ in self.module.buffers())
        image = torch.zeros(*network.image, device=device)
        self.classes = network.classes
        self.forward_flops, self.activations = networks.count(self.module, image)
        self.parameters = sum(parameter.numel() for parameter in self.module.parameters())
        self._made: dict[tuple, Callable] = {}

    def logits(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        images: Tensor,
        low: torch.dtype | None,
        *,
        alone: bool = True,
    ) -> Tensor:
        """Answer (B, C, H, W) with (B, K) float32 by one network, with convolutions and products in
        ``low`` if given; not ``alone``: under ``vmap``."""

        def apply(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            # It takes any mapping: to make it a dict would be work in every compiled step.
            values: Any = (params, buffers)
            return torch.func.functional_call(self.module, values, (x,))

        return networks.cast(apply, low, alone=alone)(parameters, images)

    def stacked(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        images: Tensor,
        low: torch.dtype | None,
    ) -> Tensor:
        """Answer (E, B, C, H, W) with (E, B, K) by a stack; each network sees its own images."""
        if len(images) == 1:
            return self.logits(_row(parameters, 0), _row(buffers, 0), images[0], low)[None]
        return torch.vmap(lambda p, b, x: self.logits(p, b, x, low, alone=False))(
            parameters, buffers, images
        )

    def descent(
        self,
        recipe: Recipe,
        count: int,
        low: torch.dtype | None,
        compute: Compute,
        device: torch.device,
        seconds: float,
        temperature: float = 1.0,
    ) -> Callable:
        """Compile one step of SGD with momentum as a pure function.

        ``f(parameters, velocity, x (E, B, C, H, W), y, weights (B,), rate)`` gives the next
        parameters and velocity (dicts of (E, …)), the losses (E, B) before the step, as
        :func:`softened` has them, and whether each answer was right (E, B).
        """
        momentum, decay = recipe.momentum, recipe.weight_decay

        def one(
            parameters: dict[str, Tensor],
            velocity: dict[str, Tensor],
            x: Tensor,
            y: Tensor,
            weights: Tensor,
            rate: Tensor,
        ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
            def objective(p: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
                logits = self.logits(p, {}, x, low, alone=count == 1)
                losses = softened(logits, y, temperature)
                return (losses * weights).sum(), (losses, are_right(logits, y))

            gradients, (losses, right) = torch.func.grad(objective, has_aux=True)(parameters)
            velocity = {
                n: momentum * velocity[n] + (gradients[n] + decay * p)
                for n, p in parameters.items()
            }
            return (
                {n: p - rate * velocity[n] for n, p in parameters.items()},
                velocity,
                losses,
                right,
            )

        def alone(
            parameters: dict[str, Tensor],
            velocity: dict[str, Tensor],
            x: Tensor,
            y: Tensor,
            weights: Tensor,
            rate: Tensor,
        ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
            stepped = one(_row(parameters, 0), _row(velocity, 0), x[0], y[0], weights, rate)
            return tree_map(lambda tensor: tensor[None], stepped)

        many = torch.vmap(one, in_dims=(0, 0, 0, 0, None, None))
        key = ("descent", momentum, decay, low, count == 1, compute, temperature)
        return self._once(
            key,
            lambda: compute.compiled(
                alone if count == 1 else many, device=device, expected_seconds=seconds
            ),
        )

    def tester(
        self, low: torch.dtype | None, compute: Compute, device: torch.device, seconds: float
    ) -> Callable:
        """Compile ``f(parameters, buffers, x (E, B, C, H, W))``, which gives logits (E, B, K)."""

        def stacked(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor
        ) -> Tensor:
            return self.stacked(parameters, buffers, images, low)

        compiles = compute.compiles(device, seconds)
        return self._once(
            ("tester", low, compute, compiles),
            lambda: compute.compiled(stacked, device=device, expected_seconds=seconds),
        )

    def _once(self, key: tuple, make: Callable[[], Callable]) -> Callable:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


@functools.lru_cache(maxsize=16)
def architecture_of(network: NetworkSpec, device: torch.device) -> Architecture:
    """Build an architecture, once for each network and device."""
    return Architecture(network, device)


def stack_size(network: NetworkSpec, count: int, device: torch.device, batch: int = 256) -> int:
    """Tell how many of ``count`` networks to train at once: what fits the free memory of a CUDA
    device, one on a CPU, where a stack only costs.

    Networks with running statistics are trained one by one.

    Args:
        network: that is trained.
        count: how many networks there are.
        device: where they are trained.
        batch: images per step.
    """
    if device.type != "cuda":
        return 1
    architecture = architecture_of(network, torch.device("cpu"))
    if architecture.running_statistics:
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    # Parameters, gradients, velocity and their successors; activations forward, backward and as the
    # normalisations keep them; a test batch.
    each = 4 * (6 * architecture.parameters + 4 * architecture.activations * max(batch, TEST_BATCH))
    return max(1, min(count, int(0.7 * free / each)))


def in_stacks(models: range, size: int, run: Callable[[range], None]) -> None:
    """Call ``run`` for consecutive parts of ``models``, ``size`` at a time; out of memory, half as
    many, and again.

    ``run`` must leave nothing behind where it fails.

    Raises:
        torch.OutOfMemoryError: one network alone does not fit.
    """
    while models:
        part = models[:size]
        try:
            run(part)
        except torch.OutOfMemoryError:
            if len(part) == 1:
                raise
            size = len(part) // 2
            log.info("out of memory with %d networks at once: trying %d", len(part), size)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        models = models[len(part) :]


def softened(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of each answer, its logits divided by ``temperature`` T, times T².

    Args:
        logits: (B, K), or (E, K, B), the classes second.
        labels: hard ones without the classes' axis, or probabilities of the logits' shape.
        temperature: 1 for the cross-entropy itself.
    """
    if temperature == 1:
        return functional.cross_entropy(logits, labels, reduction="none")
    losses = functional.cross_entropy(logits / temperature, labels, reduction="none")
    return temperature**2 * losses


def are_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Tell whether each answer (…, K) is the label's: hard (…), or the likeliest of soft ones
    (…, K)."""
    return logits.argmax(-1) == (labels.argmax(-1) if labels.ndim == logits.ndim else labels)
