"""The same mathematics, written the obvious way: what a careful reader of the papers would write,
eager and in float32.

The loops have the shape that the published implementations have (a Python loop over classes,
``torch.autograd.grad`` with ``create_graph``, a ``DataLoader`` in the training loop, the whole
unrolled graph kept); the code is our own.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from distillery.networks import NetworkSpec


class ConvNet(nn.Module):
    """Blocks of 3 x 3 convolution, instance normalisation, ReLU and average pooling, then a linear
    layer."""

    def __init__(
        self, channels: int, size: int, classes: int, width: int = 128, depth: int = 3
    ) -> None:
        super().__init__()
        padding, side = (3, 32) if size == 28 else (1, size)
        blocks: list[nn.Module] = []
        for block in range(depth):
            blocks.append(
                nn.Conv2d(width if block else channels, width, 3, padding=1 if block else padding)
            )
            blocks += [nn.GroupNorm(width, width), nn.ReLU(), nn.AvgPool2d(2)]
            side //= 2
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width * side * side, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (N, K) of ``images``."""
        return self.classifier(self.features(images).flatten(1))


def shape(network: "NetworkSpec") -> dict[str, Any]:
    """The arguments of :class:`ConvNet` for a network of the library."""
    return {
        "channels": network.channels,
        "size": network.size,
        "classes": network.classes,
        **network.options,
    }


def parameters(network: "NetworkSpec") -> int:
    """How many parameters it has."""
    return sum(value.numel() for value in ConvNet(**shape(network)).parameters())


@torch.no_grad()
def load(model: nn.Module, params: Mapping[str, Tensor]) -> nn.Module:
    """Give ``model`` the values of ``params``, which are in the same order."""
    for own, value in zip(model.parameters(), params.values(), strict=True):
        own.copy_(value.reshape(own.shape))
    return model


def loss_gradient(
    model: nn.Module, images: Tensor, labels: Tensor, create_graph: bool = False
) -> Sequence[Tensor]:
    """The gradient of the mean cross-entropy in the model's parameters."""
    loss = functional.cross_entropy(model(images), labels)
    return torch.autograd.grad(loss, list(model.parameters()), create_graph=create_graph)


def distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """One minus the cosine of each output row, summed over rows and layers."""
    total = torch.zeros((), dtype=first[0].dtype, device=first[0].device)
    for a, b in zip(first, second, strict=True):
        if a.dim() > 1:
            a, b = a.flatten(1), b.flatten(1)
            total = total + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    return total


def match(model: nn.Module, synthetic: Tensor, labels: Tensor, target: Sequence[Tensor]) -> Tensor:
    """The distance of the gradient on ``synthetic`` from ``target``, to be differentiated in
    ``synthetic``."""
    return distance(loss_gradient(model, synthetic, labels, create_graph=True), target)


class GradientMatching:
    """Dataset condensation, one outer step a call.

    Args:
        network: the arguments of :class:`ConvNet`.
        outer: steps that a network lives for.
        inner: epochs that it trains on the synthetic images after a step.
    """

    def __init__(
        self,
        network: Mapping[str, int],
        images: Tensor,
        labels: Tensor,
        initial: Tensor,
        targets: Tensor,
        *,
        outer: int,
        inner: int,
        batch: int,
        lr: float,
    ) -> None:
        self._network, self._images, self._batch = dict(network), images, batch
        self._targets, self._outer, self._inner, self._lr = targets, outer, inner, lr
        self._members: list[list[int]] = [[] for _ in range(network["classes"])]
        for index, label in enumerate(labels.tolist()):
            self._members[label].append(index)
        self.synthetic = initial.clone().requires_grad_()
        self._optimiser = torch.optim.SGD([self.synthetic], lr=0.1, momentum=0.5)
        self._taken = 0
        self.model: nn.Module | None = None

    def fresh(self) -> nn.Module:
        """A new random network."""
        self._taken = 0
        self.model = ConvNet(**self._network).to(self._images)
        return self.model

    def _real(self, label: int) -> Tensor:
        return self._images[np.random.permutation(self._members[label])[: self._batch]]

    def step(self) -> Tensor:
        """Match every class, move the images, train the network; returns the gradient in the
        images."""
        model = self.model
        if model is None or self._taken == self._outer:
            model = self.fresh()
        self._taken += 1
        loss = torch.zeros((), dtype=self._images.dtype, device=self._images.device)
        for label in range(len(self._members)):
            real = self._real(label)
            labels = torch.full((len(real),), label, device=real.device)
            target = [gradient.detach().clone() for gradient in loss_gradient(model, real, labels)]
            mine = self._targets == label
            loss = loss + match(model, self.synthetic[mine], self._targets[mine], target)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        loss.item()
        if self._inner:
            dataset = TensorDataset(
                copy.deepcopy(self.synthetic.detach()), copy.deepcopy(self._targets)
            )
            loader = DataLoader(dataset, batch_size=256, shuffle=True)
            optimiser = torch.optim.SGD(model.parameters(), lr=self._lr)
            for _ in range(self._inner):
                train_epoch(model, loader, optimiser)
        assert self.synthetic.grad is not None  # after `backward`
        return self.synthetic.grad.detach().clone()


def train_epoch(
    model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], optimiser: torch.optim.Optimizer
) -> tuple[float, float]:
    """One pass over ``loader``; returns mean loss and accuracy."""
    model.train()
    device = next(model.parameters()).device
    loss_sum = right = seen = 0.0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)
        loss = functional.cross_entropy(logits, labels)
        right += (logits.argmax(1) == labels).sum().item()
        loss_sum += loss.item() * len(labels)
        seen += len(labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss_sum / seen, right / seen


@torch.no_grad()
def test_epoch(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy on what ``loader`` gives."""
    model.eval()
    device = next(model.parameters()).device
    loss_sum = right = seen = 0.0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)
        loss_sum += functional.cross_entropy(logits, labels, reduction="sum").item()
        right += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    return loss_sum / seen, right / seen


def unrolled(
    model: nn.Module,
    start: Tensor,
    goal: Tensor,
    images: Tensor,
    labels: Tensor,
    step_size: Tensor,
    *,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Trajectory matching with the graph of all steps kept: the loss, and its gradients in the
    images and the step size."""
    named = dict(model.named_parameters())
    sizes = [value.numel() for value in named.values()]

    def logits(theta: Tensor) -> Tensor:
        parts = theta.split(sizes)
        return torch.func.functional_call(
            model,
            {
                name: part.view(value.shape)
                for (name, value), part in zip(named.items(), parts, strict=True)
            },
            (images,),
        )

    images = images.clone().requires_grad_()
    step_size = step_size.clone().requires_grad_()
    theta = start.clone().requires_grad_()
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(
            functional.cross_entropy(logits(theta), labels), theta, create_graph=True
        )
        theta = theta - step_size * gradient
    loss = (theta - goal).square().sum() / (start - goal).square().sum()
    loss.backward()
    assert images.grad is not None and step_size.grad is not None  # after `backward`
    return loss.detach(), images.grad, step_size.grad
