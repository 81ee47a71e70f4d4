"""The loop of distribution matching, which DM and NCFM share: no network is trained and no gradient
is compared.

An iteration takes a network, embeds a batch of real images of every class and the synthetic images,
both under one Siamese augmentation per class, and moves the synthetic images so that a statistic of
their features comes nearer to that of the real ones. Real features are computed without a graph, in
bfloat16 where ``Compute`` allows it; the synthetic images of all classes pass the network as one
batch.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from distillery import networks
from distillery.compute.device import nominal_seconds
from distillery.methods import _representative, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

Parameters = Mapping[str, Tensor]
Stream = Callable[[str], torch.Generator]


class State(NamedTuple):
    """Between two iterations.

    Attributes:
        images: (K, I, C, H, W) float32.
        moments: what the optimiser keeps, as ``base.Descent`` gives it.
        learned: what the method learns beside the images.
    """

    images: Tensor
    moments: dict[str, dict[str, Tensor]]
    learned: dict[str, Any]


class DistributionMatching(base.Distillation[State]):
    """Distribution matching at work on a task.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t; the settings
    ``iterations``, ``batch_real``, ``augment`` and those of ``_representative`` are read here. The
    loss is the sum over classes.
    A method of this family says by which network and statistic: it implements what is abstract.

    Args:
        optimiser: of the images, made for a list of them; its state must be tensors.

    Raises:
        UserError: a class has no image, or the network has batch normalisation.
    """

    def __init__(
        self, task: base.Task, optimiser: Callable[[list[Tensor]], torch.optim.Optimizer]
    ) -> None:
        compute, device, classes, settings = task.compute, task.device, task.classes, task.settings
        self.task, self.module = task, base.network(task.network, device)
        self._index = base.ClassIndex(task.labels, classes)
        self._descent = base.Descent(optimiser)
        embed = networks.functional_embed(self.module)

        one_image = networks.count(self.module, task.images[0])[0]
        batch = min(settings["batch_real"], max(self._index.counts))
        seconds = nominal_seconds(one_image * classes * batch * settings["iterations"], device)
        answer = networks.cast(embed, compute.low_precision(device, seconds))

        def summary(
            params: Parameters, x: Tensor, weights: Tensor, given: Mapping[str, Any]
        ) -> Tensor:
            return self.summary(answer(params, x), weights, given)

        def objective(
            x: Tensor, params: Parameters, statistics: Tensor, given: Mapping[str, Any]
        ) -> tuple[Tensor, Tensor]:
            features = embed(params, x.flatten(0, 1)).view(*x.shape[:2], -1)
            losses = self.loss(features, statistics, x, given)
            return losses.sum(), features

        self._real = _representative.RealBatches(
            task,
            self._index,
            embed,
            lambda t: self.network(t, partial(task.stream, "iteration", t)),
        )
        self._summarise = compute.compiled(summary, device=device, expected_seconds=seconds)
        work = 3 * one_image * classes * task.seen_ipc * settings["iterations"]
        self._image_gradient = compute.compiled(
            torch.func.grad_and_value(objective, has_aux=True),
            device=device,
            expected_seconds=nominal_seconds(work, device),
        )

    @abstractmethod
    def network(self, t: int, drawn: Stream) -> Parameters:
        """Return the parameters of the network that embeds in iteration ``t``, by name.
        ``drawn(purpose)`` is the iteration's generator for a purpose."""

    @abstractmethod
    def summary(self, features: Tensor, weights: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Return the statistic of one class's real features (B, D), whose weights (B,) add up to
        1."""

    @abstractmethod
    def loss(
        self, features: Tensor, statistics: Tensor, images: Tensor, given: Mapping[str, Any]
    ) -> Tensor:
        """Return the loss of each class, (K,), in the synthetic features (K, I, D) of the images
        (K, I, C, H, W), decoded, given the statistics (K, …) of the real ones. The sum is
        minimised."""

    def start(self) -> dict[str, Any]:
        """Return what the method has learned beside the images at the start: nothing."""
        return {}

    def given(self, learned: dict[str, Any], t: int, drawn: Stream) -> dict[str, Any]:
        """Return the tensors that summary and loss take besides in iteration ``t``: what is drawn
        for it, say."""
        return {}

    def learn(
        self,
        learned: dict[str, Any],
        features: Tensor,
        statistics: Tensor,
        given: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return what the method has learned after a step, from the features before it."""
        return learned

    def init(self) -> State:
        task = self.task
        images = task.initial.detach().clone()
        return State(images.view(task.classes, task.ipc, *images.shape[1:]), {}, self.start())

    def step(self, state: State, t: int) -> tuple[State, Tensor]:
        task, images = self.task, self.task.images

        def drawn(purpose: str) -> torch.Generator:
            return task.stream("iteration", t, purpose)

        params, given = self.network(t, drawn), self.given(state.learned, t, drawn)
        chosen, weights = self._real.draw(t, drawn("real"))
        siamese = base.Siamese(
            task.settings["augment"], task.classes, drawn("augment"), images, task.flip_allowed
        )
        with torch.no_grad():
            statistics = torch.stack(
                [
                    self._summarise(params, siamese.real(c, images[chosen[c]]), weights[c], given)
                    for c in range(task.classes)
                ]
            )
        decoded, back = task.decoded(state.images)
        seen, pull = siamese.synthetic(decoded)
        gradient, (loss, features) = self._image_gradient(seen, params, statistics, given)
        moved, moments = self._descent(
            {"images": state.images}, {"images": back(pull(gradient))}, state.moments
        )
        learned = self.learn(state.learned, features.detach(), statistics, given)
        return State(moved["images"], moments, learned), loss

    def result(self, state: State) -> base.Result:
        return base.Result(state.images.reshape(self.task.initial.shape), self.task.targets)


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings = sizes.settings
    iterations, batch = settings["iterations"], min(settings["batch_real"], sizes.largest)
    return [
        ("forward", iterations * sizes.classes, batch, True),
        ("gradient", iterations, sizes.classes * sizes.seen_ipc),
        *_representative.expected_work(sizes),
    ]
