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

import torch
from torch import Tensor

from distillery import augmentations, networks
from distillery.compute.device import nominal_seconds
from distillery.methods import _gradient_distance as matching
from distillery.methods import base
from distillery.store import checkpoint as checkpoints

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
        "description": "Real images of a class a step.",
    },
    "batch_train": {
        "type": "integer",
        "minimum": 1,
        "default": 256,
        "description": "Synthetic images a network step.",
    },
    "outer": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
        "default": "auto",
        "description": "Image steps an iteration; auto follows the published table.",
    },
    "inner": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
        "default": "auto",
        "description": "Epochs of network training between two image steps; auto follows the published table.",
    },
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

# Images whose second-order graph is alive at once on the synthetic side (about 5 MB an image at
# width 128).
_TOGETHER = {"cpu": 200, "cuda": 2000}


def loops(ipc: int) -> tuple[int, int]:
    """How many image steps an iteration has, and how many training epochs lie between two, at
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


def distill(name: str, task: base.Task, *, strategy: str) -> base.Result:
    """Distil a set by gradient matching.

    ``task.stream("iteration", t, purpose)`` draws for a purpose in iteration t. The loss that it
    reports is the distance summed over classes and averaged over the iteration's image steps. The
    state is kept between two image steps.

    Args:
        name: the method's, for messages.
        strategy: the augmentation's name.

    Returns:
        The images after the last iteration, with hard labels.

    Raises:
        UserError: the images diverge, a class has no image, or the network has batch normalisation.
    """
    images, labels, classes, ipc = task.images, task.labels, task.classes, task.ipc
    settings, compute, device, shape = task.settings, task.compute, task.device, task.initial.shape
    index = base.ClassIndex(labels, classes)
    module = base.network(task.network, device)
    apply, _ = networks.functional(module)
    outer, inner = (
        settings[name] if settings[name] != "auto" else value
        for name, value in zip(("outer", "inner"), loops(ipc), strict=True)
    )
    iterations, rate, momentum = settings["iterations"], settings["lr_images"], settings["momentum"]

    one_image = networks.count(module, images[0])[0]
    # A gradient costs three forwards.
    work = one_image * classes * outer * iterations
    seconds = nominal_seconds(3 * work * min(settings["batch_real"], max(index.counts)), device)
    real_gradient = compute.compiled(
        matching.class_gradient(apply, compute.low_precision(device, seconds)),
        device=device,
        expected_seconds=seconds,
    )
    image_gradient = compute.compiled(
        # Eagerly a second-order step on few images is mostly overhead: 1 s for ten classes of one
        # image, 3.8 s for ten of ten.
        matching.image_gradient(apply),
        device=device,
        expected_seconds=nominal_seconds((35 * ipc + 58) * work, device),
    )
    seconds = nominal_seconds(
        3 * one_image * classes * ipc * inner * (outer - 1) * iterations, device
    )
    train_gradient = compute.compiled(
        matching.class_gradient(apply, compute.low_precision(device, seconds)),
        device=device,
        expected_seconds=seconds,
    )
    together = _together(classes, ipc, device)

    synthetic = task.initial.detach().clone().view(classes, ipc, *shape[1:])
    targets = task.targets
    by_class = targets.view(classes, ipc)
    velocity = torch.zeros_like(synthetic)
    finite_loss, first, first_step = None, 1, 0
    saved = task.checkpoint.load()
    if saved is None:
        task.recorder.iteration(0, loss=torch.tensor(float("nan")), images=synthetic.view(shape))
    else:
        tensors, values = saved
        task.recorder.restore(checkpoints.part("evolution", tensors))
        synthetic, velocity = tensors["images"].to(device), tensors["velocity"].to(device)
        finite_loss, first, first_step = values["finite_loss"], values["iteration"], values["step"]

    for iteration in range(first, iterations + 1):
        streams = {
            purpose: task.stream("iteration", iteration, purpose)
            for purpose in ("real", "order", "augment")
        }
        if iteration == first and first_step:
            params = checkpoints.part("params", tensors, lambda tensor: tensor.to(device))
            total = tensors["total"].to(device)
            checkpoints.restore(streams, tensors)
        else:
            params = base.fresh_parameters(module, task.stream("iteration", iteration, "network"))
            total = torch.zeros((), device=device)
        for step in range(first_step if iteration == first else 0, outer):
            chosen, weights = index.draw(settings["batch_real"], streams["real"])
            siamese = base.Siamese(strategy, classes, streams["augment"], images, task.flip_allowed)
            real = [
                real_gradient(
                    params, siamese.real(c, images[chosen[c]]), labels[chosen[c]], weights[c]
                )
                for c in range(classes)
            ]
            real = {
                name: torch.stack([gradient[name] for gradient in real])
                for name in params
                if params[name].ndim > 1
            }
            seen, pull = siamese.synthetic(synthetic)
            gradients = []
            for begin in range(0, classes, together):
                part = slice(begin, begin + together)
                gradient, distances = image_gradient(
                    params,
                    seen[part],
                    by_class[part],
                    {name: value[part] for name, value in real.items()},
                )
                gradients.append(gradient)
                total += distances.sum()
            velocity = momentum * velocity + pull(torch.cat(gradients))
            synthetic = synthetic - rate * velocity
            within = step < outer - 1
            if within:
                flat = synthetic.view(shape)

                def augmented(x, generator=streams["augment"]):
                    return augmentations.augment(
                        strategy, x, generator, flip_allowed=task.flip_allowed
                    )

                rate_network, batch = settings["lr_network"], settings["batch_train"]
                params = _train(
                    params,
                    flat,
                    targets,
                    train_gradient,
                    rate_network,
                    inner,
                    batch,
                    streams["order"],
                    augmented,
                )
            else:
                loss = total / outer
                if iteration % base.CHECK_EVERY == 0 or iteration == iterations:
                    finite_loss = base.finite(
                        name,
                        iteration,
                        loss,
                        synthetic,
                        finite_loss,
                        "lr_images, then a smaller lr_network",
                    )
                task.recorder.iteration(iteration, loss=loss, images=synthetic.view(shape))
            if task.checkpoint.due():
                # Between two image steps the network, its streams and the sum so far belong to the
                # state; after the last, none does.
                state = {
                    "images": synthetic,
                    "velocity": velocity,
                    **checkpoints.prefixed("evolution", task.recorder.state()),
                }
                if within:
                    state |= {
                        "total": total,
                        **checkpoints.prefixed("params", params),
                        **checkpoints.generators(streams),
                    }
                place = (
                    {"iteration": iteration, "step": step + 1}
                    if within
                    else {"iteration": iteration + 1, "step": 0}
                )
                task.checkpoint.save(
                    state,
                    {"finite_loss": finite_loss, **place},
                    f"iteration {iteration}, image step {step + 1} of {outer}",
                )
    return base.Result(synthetic.reshape(shape), targets)


def _together(classes: int, ipc: int, device: torch.device) -> int:
    """How many classes to differentiate at once: all that fit, in equal parts so that one compiled
    shape serves."""
    limit = max(1, _TOGETHER.get(device.type, 200) // ipc)
    return max(
        count for count in range(1, classes + 1) if classes % count == 0 and count <= max(limit, 1)
    )


def _train(
    params, images, labels, gradient, rate, epochs, batch, order, augmented
) -> dict[str, Tensor]:
    """``epochs`` passes of plain gradient descent over the synthetic set in shuffled mini-batches;
    returns new parameters."""
    count = len(images)
    for _ in range(epochs):
        shuffled = torch.randperm(count, generator=order).to(images.device)
        for begin in range(0, count, batch):
            chosen = shuffled[begin : begin + batch]
            weights = torch.full((len(chosen),), 1 / len(chosen), device=images.device)
            gradients = gradient(params, augmented(images[chosen]), labels[chosen], weights)
            params = {name: value - rate * gradients[name] for name, value in params.items()}
    return params
