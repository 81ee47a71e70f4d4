"""The loop of distribution matching, which DM and NCFM share: no network is trained and no gradient
is compared.

An iteration takes a network, embeds a batch of real images of every class and the synthetic images,
both under one Siamese augmentation a class, and moves the synthetic images so that a statistic of
their features comes nearer to that of the real ones. Real features are computed without a graph, in
bfloat16 where ``Compute`` allows it; the synthetic images of all classes pass the network as one
batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distillery import networks
from distillery.compute.device import nominal_seconds
from distillery.methods import base
from distillery.store import checkpoint as checkpoints

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Matching:
    """What a method of this family is made of.

    Attributes:
        name: the method's, for messages.
        feature_network: ``(iteration, stream) -> parameters`` of the network that embeds, by name.
        summary: ``(features (B, D), weights (B,), given) -> statistic``, of one class, a tensor.
            Weights add up to 1.
        loss: ``(features (K, I, D), statistics (K, …), images (K, I, C, H, W), given) -> (K,)``, in
            the synthetic images' features; the sum is minimised.
        given: ``(iteration, stream) -> dict of tensors`` that summary and loss take besides: what
            is drawn in each iteration, say.
        after: ``(features (K, I, D), statistics (K, …), given) -> None`` after each step, to learn
            something of the method's own.
        state, restore: what ``after`` learned, as a dict of tensors, to be kept in a checkpoint and
            taken up again.
    """

    name: str
    feature_network: Callable[[int, Callable], Parameters]
    summary: Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]
    loss: Callable[[Tensor, Tensor, Tensor, Mapping[str, Any]], Tensor]
    given: Callable[[int, Callable], dict[str, Any]] = lambda iteration, stream: {}
    after: Callable[[Tensor, Tensor, Mapping[str, Any]], None] | None = None
    state: Callable[[], dict[str, Tensor]] = dict
    restore: Callable[[dict[str, Tensor]], None] = lambda tensors: None


def distill(
    make: Callable[[torch.nn.Module], Matching],
    optimiser: Callable[[list[Tensor]], torch.optim.Optimizer],
    task: base.Task,
) -> base.Result:
    """Distil a set by matching distributions of features.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t; the settings
    ``iterations``, ``batch_real`` and ``augment`` are read here. The loss that it reports is the
    sum over classes. The state is kept between two iterations.

    Args:
        make: the method, made for the network that is given to it (on the device that computes).
        optimiser: of the images, made for a list of them; its state must be tensors.

    Returns:
        The images after the last iteration, with hard labels.

    Raises:
        UserError: the images diverge, a class has no image, or the network has batch normalisation.
    """
    images, classes, ipc = task.images, task.classes, task.ipc
    settings, compute, device, shape = task.settings, task.compute, task.device, task.initial.shape
    index = base.ClassIndex(task.labels, classes)
    module = base.network(task.network, device)
    method = make(module)
    embed = networks.functional_embed(module)
    iterations = settings["iterations"]

    one_image = networks.count(module, images[0])[0]
    batch = min(settings["batch_real"], max(index.counts))
    seconds = nominal_seconds(one_image * classes * batch * iterations, device)
    answer = networks.cast(embed, compute.low_precision(device, seconds))

    def summary(params, x, weights, given):
        return method.summary(answer(params, x), weights, given)

    def objective(x, params, statistics, given):
        features = embed(params, x.flatten(0, 1)).view(*x.shape[:2], -1)
        losses = method.loss(features, statistics, x, given)
        return losses.sum(), features

    summarise = compute.compiled(summary, device=device, expected_seconds=seconds)
    seconds = nominal_seconds(3 * one_image * classes * ipc * iterations, device)
    image_gradient = compute.compiled(
        torch.func.grad_and_value(objective, has_aux=True), device=device, expected_seconds=seconds
    )

    synthetic = task.initial.detach().clone().view(classes, ipc, *shape[1:])
    descent = optimiser([synthetic])
    finite_loss, first = None, 1
    saved = task.checkpoint.load()
    if saved is None:
        task.recorder.iteration(0, loss=torch.tensor(float("nan")), images=synthetic.view(shape))
    else:
        tensors, values = saved
        task.recorder.restore(checkpoints.part("evolution", tensors))
        method.restore(checkpoints.part("method", tensors, lambda tensor: tensor.to(device)))
        synthetic.copy_(tensors["images"])
        # Adam counts its steps on the CPU; everything else lies with the images.
        descent.state[synthetic].update(
            checkpoints.part(
                "optimiser", tensors, lambda tensor: tensor.to(device) if tensor.ndim else tensor
            )
        )
        finite_loss, first = values["finite_loss"], values["iteration"] + 1

    for iteration in range(first, iterations + 1):

        def drawn(purpose: str, iteration=iteration) -> torch.Generator:
            return task.stream("iteration", iteration, purpose)

        params, given = method.feature_network(iteration, drawn), method.given(iteration, drawn)
        chosen, weights = index.draw(settings["batch_real"], drawn("real"))
        siamese = base.Siamese(
            settings["augment"], classes, drawn("augment"), images, task.flip_allowed
        )
        with torch.no_grad():
            statistics = torch.stack(
                [
                    summarise(params, siamese.real(c, images[chosen[c]]), weights[c], given)
                    for c in range(classes)
                ]
            )
        seen, pull = siamese.synthetic(synthetic)
        gradient, (loss, features) = image_gradient(seen, params, statistics, given)
        synthetic.grad = pull(gradient)
        descent.step()
        if method.after is not None:
            method.after(features.detach(), statistics, given)
        loss = loss.detach()
        if iteration % base.CHECK_EVERY == 0 or iteration == iterations:
            finite_loss = base.finite(
                method.name, iteration, loss, synthetic, finite_loss, "lr_images"
            )
        task.recorder.iteration(iteration, loss=loss, images=synthetic.view(shape))
        if task.checkpoint.due():
            state = {
                "images": synthetic,
                **checkpoints.prefixed("evolution", task.recorder.state()),
                **checkpoints.prefixed("method", method.state()),
            }
            held = {
                name: value
                for name, value in descent.state[synthetic].items()
                if isinstance(value, Tensor)
            }
            state |= checkpoints.prefixed("optimiser", held)
            task.checkpoint.save(
                state,
                {"finite_loss": finite_loss, "iteration": iteration},
                f"iteration {iteration}",
            )
    return base.Result(synthetic.reshape(shape), task.targets)
