"""Stacks of networks: what they hold, how large they are, and what they answer."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from distillery import networks, streams
from distillery.networks import NetworkSpec
from distillery.training import stack as stacks

CLASSES = 3
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 8, "depth": 2})
BATCH_NORM = replace(NETWORK, options={**NETWORK.options, "norm": "batch"})
CPU = torch.device("cpu")


def stream(*identity):
    return streams.generator(0, *identity)


def data(count=20, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    return images, torch.randint(CLASSES, (count,), generator=generator)


def plain(model):
    """The module that is number ``model`` of a stack."""
    return networks.initialise(networks.from_spec(NETWORK), stream("initialise", model)).train()


def flat(module):
    return networks.flatten(networks.parameters(module))[None]


def apart(first, second):
    return float((first - second).abs().max())


def test_a_fresh_stack_holds_the_networks_of_its_generators():
    stack = stacks.initialise(NETWORK, [stream("initialise", model) for model in (4, 2)], CPU)
    assert stack.count == 2
    assert torch.equal(stack.flat(), torch.cat([flat(plain(model=4)), flat(plain(model=2))]))
    images = torch.stack([data(seed=seed)[0] for seed in (1, 2)])
    logits = stack.logits(images)
    for e, model in enumerate((4, 2)):
        assert torch.allclose(logits[e], plain(model=model)(images[e]), atol=1e-5)
    first = stack.first()
    assert first.count == 1 and torch.equal(first.flat(), stack.flat()[:1])
    assert torch.allclose(first.logits(images[:1]), logits[:1], atol=1e-5)


@pytest.mark.slow
def test_stacks_are_for_gpus_and_for_networks_without_running_statistics(monkeypatch):
    cuda = torch.device("cuda")
    free = {"bytes": 2**36}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free["bytes"], 2**37))
    assert stacks.stack_size(NETWORK, 7, CPU) == 1
    assert stacks.stack_size(NETWORK, 7, cuda) == 7
    free["bytes"] = 2**26
    assert (
        stacks.stack_size(NETWORK, 1000, cuda)
        < stacks.stack_size(NETWORK, 1000, cuda, batch=1) * 2
        < 2000
    )
    free["bytes"] = 0
    assert stacks.stack_size(NETWORK, 7, cuda) == 1
    free["bytes"] = 2**36
    assert stacks.stack_size(BATCH_NORM, 7, cuda) == 1
    assert stacks.stack_size(NetworkSpec("ResNet18BN", 1, 16, CLASSES), 7, cuda) == 1


def test_out_of_memory_halves_the_stack_and_goes_on():
    asked, done = [], []

    def run_some(models):
        asked.append(len(models))
        if len(models) > 2:
            raise torch.OutOfMemoryError("too much")
        done.extend(models)

    stacks.in_stacks(range(11), 11, run_some)
    assert asked == [11, 5, 2, 2, 2, 2, 2, 1] and done == list(range(11))
    with pytest.raises(torch.OutOfMemoryError):
        stacks.in_stacks(
            range(1), 1, lambda models: (_ for _ in ()).throw(torch.OutOfMemoryError("too much"))
        )


def test_what_is_compiled_for_a_network_is_kept_for_its_equals():
    alike = NetworkSpec("ConvNet", 1, 8, CLASSES, {"depth": 2, "width": 8})
    assert stacks.architecture_of(NETWORK, CPU) is stacks.architecture_of(alike, CPU)
    others = [
        BATCH_NORM,
        replace(NETWORK, classes=CLASSES + 1),
        replace(NETWORK, size=12),
        replace(NETWORK, options={"width": 8, "depth": 1}),
    ]
    made = {id(stacks.architecture_of(each, CPU)) for each in (NETWORK, *others)}
    assert len(made) == len({NETWORK, *others}) == 5


@pytest.mark.parametrize("count", [1, 2])
def test_low_precision_stays_near_float32(count):
    images, labels = data()
    stack = stacks.initialise(NETWORK, [stream("initialise", model) for model in range(count)], CPU)
    for tensor in stack.parameters.values():
        tensor.requires_grad_()
    x, y = images.expand(count, *images.shape), labels.expand(count, 20)
    gradients, losses = [], []
    for low in (None, torch.bfloat16):
        logits = stack.architecture.stacked(stack.parameters, stack.buffers, x, low)
        assert logits.dtype == torch.float32
        loss = functional.cross_entropy(logits.transpose(1, 2), y, reduction="none").mean(1)
        losses.append(loss.detach())
        gradient = torch.autograd.grad(
            loss.sum(), [v for v in stack.parameters.values() if v.ndim > 2]
        )
        gradients.append(torch.cat([g.flatten() for g in gradient]))
    assert apart(losses[0], losses[1]) < 0.02
    assert float(functional.cosine_similarity(*gradients, dim=0)) > 0.99
    assert not torch.equal(*gradients)
