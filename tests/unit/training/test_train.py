"""Training and testing against plain loops written out by hand."""

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from distillery import augmentations, networks, streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.training import mixing
from distillery.training import stack as stacks
from distillery.training import train as training
from distillery.training.train import Bench, Replay

CLASSES = 3
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 8, "depth": 2})
BATCH_NORM = replace(NETWORK, options={**NETWORK.options, "norm": "batch"})
COMPUTE = Compute("float32", "off")
CPU = torch.device("cpu")


def stream(*identity):
    return streams.generator(0, *identity)


def data(count=20, seed=1, soft=False):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    logits = torch.randn(count, CLASSES, generator=generator)
    return images, logits.softmax(1) if soft else logits.argmax(1)


BENCH = Bench(network=NETWORK, stream=stream, compute=COMPUTE)


def run(recipe, models=range(1), images=None, labels=None, bench=BENCH, **arguments):
    images = Images(*(data() if images is None else (images, labels)))
    return training.train(bench, recipe, images, models, **arguments)


def judged(stack, images, labels, compute=COMPUTE):
    return training.test(stack, Images(images, labels), compute)


def plain(network=NETWORK, model=0):
    """The module that the library trains as number ``model``, and how it starts."""
    module = networks.from_spec(network)
    return networks.initialise(module, stream("initialise", model)).train()


def flat(module):
    return networks.flatten(networks.parameters(module))[None]


def by_hand(module, batches, rates, momentum=0.0, weight_decay=0.0, loss=functional.cross_entropy):
    """SGD written out: one (images, labels) a step at its rate; a rate of another epoch sets the
    momentum back to 0."""
    weights = list(module.parameters())
    velocity, before = None, None
    for (x, y), rate in zip(batches, rates, strict=True):
        if rate != before:
            velocity, before = [torch.zeros_like(w) for w in weights], rate
        gradients = torch.autograd.grad(loss(module(x), y), weights)
        with torch.no_grad():
            for w, v, g in zip(weights, velocity, gradients, strict=True):
                v.mul_(momentum).add_(g + weight_decay * w)
                w.sub_(rate * v)
    return flat(module)


def apart(first, second):
    return float((first - second).abs().max())


# ---- recipes -------------------------------------------------------------------------------------


def test_the_rate_drops_to_a_tenth_after_half_and_one():
    recipe = Recipe(epochs=10, lr=0.5, decay="half")
    assert [recipe.rate(epoch) for epoch in range(1, 11)] == [0.5] * 6 + [0.05] * 4
    assert [Recipe(epochs=3, lr=0.5, decay="half").rate(epoch) for epoch in (1, 2, 3)] == [
        0.5,
        0.5,
        0.05,
    ]
    assert {Recipe(epochs=10, lr=0.5).rate(epoch) for epoch in range(1, 11)} == {0.5}


def rates(recipe):
    return [recipe.rate(epoch) for epoch in range(1, recipe.trained_epochs + 1)]


def authors_rates(epochs, lr):
    """The rate of each epoch that ``evaluate_synset`` of arXiv 2006.05929's code trains when it is
    told ``epochs``."""
    rates = []
    for number in range(epochs + 1):
        rates.append(lr)
        if number in [epochs // 2 + 1]:
            lr *= 0.1
    return rates


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 20, 300, 1000])
def test_the_published_decay_trains_the_epochs_of_the_authors_code(epochs):
    recipe = Recipe(epochs=epochs, lr=0.5, batch=8, decay="published")
    assert rates(recipe) == authors_rates(epochs, 0.5)
    assert recipe.steps(20) == 3 * (epochs + 1)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [4, 20, 300, 1000])
def test_no_number_of_epochs_gives_the_authors_rates_by_the_other_decay(epochs):
    others = [rates(Recipe(epochs=other, lr=0.5, decay="half")) for other in range(1, epochs + 3)]
    assert authors_rates(epochs, 0.5) not in others


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [2, 5, 8])
def test_the_published_decay_is_the_authors_loop_to_the_digit(epochs):
    """Order of images, rates, and a new optimiser at the drop."""
    images, labels = data()
    recipe = Recipe(
        epochs=epochs, lr=0.2, momentum=0.9, weight_decay=5e-4, batch=10, decay="published"
    )
    seen = []
    stack = run(
        recipe,
        images=images,
        labels=labels,
        after_epoch=lambda epoch, stack, summary: seen.append(float(summary.get("loss", -1))),
    )
    module, order, losses = networks.for_device(plain(), CPU), stream("order", 0), []
    lr, dropped = 0.2, epochs // 2 + 1
    optimiser = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    for number in range(epochs + 1):
        total = torch.zeros(())
        for chosen in torch.randperm(20, generator=order).split(10):
            loss = functional.cross_entropy(
                module(images[chosen]), labels[chosen], reduction="none"
            )
            optimiser.zero_grad()
            (loss * 0.1).sum().backward()
            optimiser.step()
            total += loss.detach().sum()
        losses.append(float(total / 20))
        if number == dropped:
            lr *= 0.1
            optimiser = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    assert (
        apart(stack.flat(), flat(module)) < 2e-6
    )  # rounding; a step left out is a thousand times that
    assert seen[1:] == pytest.approx(losses, abs=2e-6)
    held, truth = data(200, seed=7)
    accuracy = float((module.eval()(held).argmax(1) == truth).double().mean())
    assert judged(stack, held, truth)["accuracy"].tolist() == [accuracy]


def test_steps_count_the_smaller_last_batch():
    assert [Recipe(epochs=3, batch=8).steps(count) for count in (1, 8, 9, 16, 20)] == [
        3,
        3,
        6,
        6,
        9,
    ]


# ---- the optimiser -------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum, weight_decay", [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.9, 0.1)])
def test_steps_are_gradient_descent_with_momentum_and_weight_decay(momentum, weight_decay):
    images, labels = data()
    stack = run(Recipe(epochs=3, lr=0.1, momentum=momentum, weight_decay=weight_decay, batch=20))
    start = flat(plain())
    expected = by_hand(plain(), [(images, labels)] * 3, [0.1] * 3, momentum, weight_decay)
    assert apart(stack.flat(), expected) < 1e-5 < 0.01 < apart(start, expected)


@pytest.mark.slow
def test_a_short_training_imports_neither_the_compiler_nor_what_it_needs():
    """Together they take longer than many a job computes."""
    code = (
        "import sys, torch\n"
        "from distillery import streams\n"
        "from distillery.compute.device import Compute\n"
        "from distillery.images.labelled import Images\n"
        "from distillery.networks import NetworkSpec\n"
        "from distillery.recipe import Recipe\n"
        "from distillery.training import train as training\n"
        "images = Images(torch.randn(6, 1, 8, 8), torch.arange(6) % 3)\n"
        f"bench = training.Bench(network={NETWORK}, compute=Compute(),"
        " stream=lambda *of: streams.generator(0, *of))\n"
        "recipe = Recipe(epochs=1, momentum=0.9)\n"
        "stack = training.train(bench, recipe, images, range(2))\n"
        "training.test(stack, images, bench.compute)\n"
        "print(sorted({'torch._dynamo', 'torch._inductor', 'sympy', 'sklearn', 'pandas', "
        "'torchvision'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "[]"


def test_after_the_drop_the_momentum_starts_over():
    images, labels = data()
    stack = run(Recipe(epochs=6, lr=0.2, momentum=0.9, decay="half"))
    batches, rates = [(images, labels)] * 6, [0.2] * 4 + [0.02] * 2
    expected = by_hand(plain(), batches, rates, momentum=0.9)
    assert apart(stack.flat(), expected) < 2e-5
    # A momentum kept over the drop would be seen.
    module = plain()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.2, momentum=0.9)
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        functional.cross_entropy(module(images), labels).backward()
        optimiser.step()
    assert apart(flat(module), expected) > 1e-3


def test_an_epoch_sees_every_image_once_in_mini_batches_of_its_own_order(monkeypatch):
    images, labels = data()
    images[:, 0, 0, 0] = torch.arange(20.0)
    seen, real = [], training.Plain.__call__

    def spy(stepper, x, y, weights):
        own = weights > 0
        assert torch.allclose(weights[own], 1 / own.sum())
        seen.append((x[:, own, 0, 0, 0].int(), y[:, own]))
        return real(stepper, x, y, weights)

    monkeypatch.setattr(training.Plain, "__call__", spy)
    run(Recipe(epochs=2, batch=8), range(2), images=images, labels=labels)
    assert [x.shape for x, _ in seen] == [(2, 8), (2, 8), (2, 4)] * 2
    orders = []
    for epoch in range(2):
        for network in range(2):
            numbers = torch.cat([x[network] for x, _ in seen[3 * epoch : 3 * epoch + 3]]).tolist()
            assert sorted(numbers) == list(range(20))
            orders.append(tuple(numbers))
    assert len(set(orders)) == 4
    assert all(torch.equal(y, labels[x.long()]) for x, y in seen)


def test_the_losses_of_an_epoch_weigh_every_image_alike():
    """At rate 0 the network stands still, so that the mean over unequal batches must be that of the
    full set."""
    images, labels = data()
    noted = {}
    run(
        Recipe(epochs=2, lr=0.0, batch=8),
        range(2),
        after_epoch=lambda epoch, stack, summary: noted.update({epoch: summary}),
    )
    assert list(noted) == [0, 1, 2] and noted[0] == {}
    for model in range(2):
        logits = plain(model=model)(images).detach()
        for epoch in (1, 2):
            expected = float(functional.cross_entropy(logits, labels))
            assert float(noted[epoch]["loss"][model]) == pytest.approx(expected, rel=1e-5)
            assert float(noted[epoch]["accuracy"][model]) == pytest.approx(
                float((logits.argmax(1) == labels).float().mean())
            )


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["none", "dsa", "dc_mnist"])
def test_a_stack_trains_each_network_as_if_alone(strategy):
    recipe = Recipe(epochs=2, lr=0.05, momentum=0.9, weight_decay=0.01, batch=8, augment=strategy)
    losses = {}

    def note(key):
        return lambda epoch, stack, summary: losses.update({(key, epoch): summary.get("loss")})

    together = run(
        recipe, range(3), bench=replace(BENCH, flip=True), after_epoch=note("together")
    ).flat()
    for model in range(3):
        alone = run(
            recipe,
            range(model, model + 1),
            bench=replace(BENCH, flip=True),
            after_epoch=note(model),
        ).flat()
        assert apart(alone[0], together[model]) < 1e-4
        for epoch in (1, 2):
            assert float(losses[model, epoch]) == pytest.approx(
                float(losses["together", epoch][model]), abs=1e-4
            )
    assert all(
        apart(together[a], together[b]) > 0.01 for a, b in itertools.combinations(range(3), 2)
    )


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("model", [0, 2])
def test_training_images_are_augmented_as_drawn(allowed, model):
    """One full batch a step: the steps are those on the images as the network's own stream changes
    them."""
    images, labels = data()
    stack = run(
        Recipe(epochs=2, lr=0.1, batch=20, augment="dsa"),
        range(model, model + 1),
        bench=replace(BENCH, flip=allowed),
    )
    order, draws = stream("order", model), stream("augment", model)
    batches = []
    for _ in range(2):
        index = torch.randperm(20, generator=order)
        batches.append(
            (
                augmentations.augment("dsa", images[index], draws, flip_allowed=allowed),
                labels[index],
            )
        )
    assert apart(stack.flat(), by_hand(plain(model=model), batches, [0.1] * 2)) < 1e-5


@pytest.mark.parametrize("network", [NETWORK, BATCH_NORM])
def test_the_same_seed_gives_the_same_bits(network):
    recipe = Recipe(epochs=2, lr=0.1, momentum=0.9, batch=8, augment="dsa")
    images, labels = data()
    kept = images.clone()
    before = torch.get_rng_state()
    bench = replace(BENCH, network=network)
    first, again = (run(recipe, bench=bench, images=images, labels=labels) for _ in range(2))
    bench = replace(bench, stream=lambda *identity: streams.generator(1, *identity))
    other = run(recipe, bench=bench)
    assert torch.equal(first.flat(), again.flat())
    assert apart(first.flat(), other.flat()) > 0.01
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(images, kept)
    assert not any(tensor.requires_grad for tensor in first.parameters.values())


def test_work_this_small_is_neither_compiled_nor_in_low_precision():
    """Whatever the study allows: so the small sets of a study do not depend on what a processor can
    do."""
    images, labels = data(100)
    recipe = Recipe(epochs=2, lr=0.1, batch=8)
    found = [
        run(recipe, images=images, labels=labels, bench=replace(BENCH, compute=compute))
        for compute in (Compute("auto", "auto"), COMPUTE)
    ]
    assert torch.equal(found[0].flat(), found[1].flat())
    first, other = (
        judged(found[0], images, labels, compute) for compute in (Compute("auto", "auto"), COMPUTE)
    )
    assert torch.equal(first["loss"], other["loss"])


def test_soft_labels_that_are_hard_train_the_same_and_others_by_their_cross_entropy():
    images, labels = data()
    recipe = Recipe(epochs=2, lr=0.1, batch=20)
    hard = run(recipe).flat()
    one_hot = functional.one_hot(labels, CLASSES).float()
    assert apart(run(recipe, images=images, labels=one_hot).flat(), hard) < 1e-5

    images, soft = data(soft=True)
    found = run(recipe, images=images, labels=soft).flat()

    def loss(logits, targets):
        return -(targets * logits.log_softmax(1)).sum(1).mean()

    assert apart(found, by_hand(plain(), [(images, soft)] * 2, [0.1] * 2, loss=loss)) < 1e-5
    noted = []
    run(
        Recipe(epochs=1, lr=0.0),
        images=images,
        labels=soft,
        after_epoch=lambda *all_: noted.append(all_[2]),
    )
    right = plain()(images).argmax(1) == soft.argmax(1)
    assert float(noted[1]["accuracy"]) == pytest.approx(float(right.float().mean()))


def test_replay_averages_the_loss_of_the_batch_and_of_the_memory():
    images, labels = data()
    # A memory of one image: whatever is drawn from it is known.
    memory = 2 * torch.ones(1, 1, 8, 8), torch.tensor([1])
    noted = []
    stack = run(
        Recipe(epochs=2, lr=0.1, batch=20),
        replay=Replay(Images(*memory), 5),
        after_epoch=lambda *all_: noted.append(all_[2].get("loss")),
    )

    def loss(logits, targets):
        return 0.5 * (
            functional.cross_entropy(logits[:20], targets[:20])
            + functional.cross_entropy(logits[20:], targets[20:])
        )

    joined = torch.cat([images, memory[0]]), torch.cat([labels, memory[1]])
    assert apart(stack.flat(), by_hand(plain(), [joined] * 2, [0.1] * 2, loss=loss)) < 1e-5
    # The loss that is reported is that of the images, not of the memory.
    assert float(noted[1]) == pytest.approx(
        float(functional.cross_entropy(plain()(images), labels).detach()), rel=1e-5
    )


def test_replay_draws_the_size_asked_for_from_the_whole_memory(monkeypatch):
    memory, labels = data(6, seed=2)
    memory[:, 0, 0, 0] = 100 + torch.arange(6.0)
    drawn, real = [], training.Plain.__call__

    def spy(stepper, x, y, weights):
        drawn.append(x[0, 8:, 0, 0, 0].int() - 100)
        assert torch.equal(y[0, 8:], labels[drawn[-1].long()])
        assert float(weights[:8].sum()) == pytest.approx(0.5) and torch.allclose(
            weights[8:], torch.tensor(0.5 / 9)
        )
        return real(stepper, x, y, weights)

    monkeypatch.setattr(training.Plain, "__call__", spy)
    run(Recipe(epochs=4, batch=8), replay=Replay(Images(memory, labels), 9))
    assert [len(numbers) for numbers in drawn] == [9] * 12
    assert set(torch.cat(drawn).tolist()) == set(range(6))
    assert not torch.equal(drawn[0], drawn[1])


def test_training_goes_on_from_a_stack():
    images, labels = data()
    recipe = Recipe(epochs=1, lr=0.1)
    stack = run(recipe)
    half = stack.flat().clone()
    again = run(recipe, start=stack)
    assert again is stack
    module = plain()
    assert apart(half, by_hand(module, [(images, labels)], [0.1])) < 1e-5
    assert apart(stack.flat(), by_hand(module, [(images, labels)], [0.1])) < 1e-5


@pytest.mark.parametrize("epochs", [1, 5])
def test_divergence_is_reported(epochs):
    """With one epoch of one step no loss is seen after the step: the parameters tell."""
    with pytest.raises(
        UserError, match=r"training of ConvNet diverged in epoch \d.*learning rate 1e\+38.*`lr`"
    ):
        run(Recipe(epochs=epochs, lr=1e38, weight_decay=1e3, batch=20))


def test_a_tolerant_training_goes_on_without_the_network_that_diverged():
    images, labels = data()
    start = stacks.initialise(NETWORK, [stream("initialise", model) for model in range(2)], CPU)
    start.parameters["classifier.weight"][1, 0, 0] = float("inf")
    noted = []
    recipe = Recipe(epochs=2, lr=0.1)
    stack = run(
        recipe,
        range(2),
        start=start,
        tolerant=True,
        after_epoch=lambda *all_: noted.append(all_[0]),
    )
    assert noted == [0, 1, 2] and not torch.isfinite(stack.flat()[1]).all()
    assert apart(stack.flat()[:1], by_hand(plain(), [(images, labels)] * 2, [0.1] * 2)) < 1e-5


# ---- batch normalisation -------------------------------------------------------------------------


def test_batch_normalisation_trains_as_the_module_does():
    images, labels = data()
    stack = run(Recipe(epochs=3, lr=0.1), bench=replace(BENCH, network=BATCH_NORM))
    module = plain(BATCH_NORM)
    expected = by_hand(module, [(images, labels)] * 3, [0.1] * 3)
    assert apart(stack.flat(), expected) < 1e-5
    for name, value in module.named_buffers():
        assert torch.allclose(stack.buffers[name][0].float(), value.float(), atol=1e-5), name
    assert int(stack.buffers["features.1.num_batches_tracked"][0]) == 3


def test_batch_normalisation_is_tested_by_its_running_statistics():
    images, labels = data()
    stack = run(Recipe(epochs=2, lr=0.1), bench=replace(BENCH, network=BATCH_NORM))
    kept = {name: value.clone() for name, value in stack.buffers.items()}
    whole = judged(stack, images, labels)
    parts = [judged(stack, images[n : n + 1], labels[n : n + 1]) for n in range(20)]
    assert float(whole["loss"]) == pytest.approx(
        sum(float(part["loss"]) for part in parts) / 20, rel=1e-4
    )
    assert all(torch.equal(stack.buffers[name], kept[name]) for name in kept)
    assert stack.module.training


# ---- other recipes -------------------------------------------------------------------------------


def by_torch(module, make, batches, rates, loss=functional.cross_entropy):
    """An optimiser of torch's own, whose rate is set before each step."""
    optimiser = make(module.parameters())
    for (x, y), rate in zip(batches, rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        loss(module(x), y).backward()
        optimiser.step()
    return flat(module)


# A bias before a normalisation has no gradient but what rounding leaves, which AdamW scales up.
WITHOUT_NORM = replace(NETWORK, options={**NETWORK.options, "norm": "none"})


def test_adamw_is_torch_s():
    images, labels = data()
    recipe, network = Recipe(epochs=5, lr=0.01, weight_decay=0.1, optimiser="adamw"), WITHOUT_NORM
    stack = run(recipe, range(2), bench=replace(BENCH, network=network))
    for model in range(2):
        expected = by_torch(
            plain(network, model),
            lambda weights: torch.optim.AdamW(weights, weight_decay=0.1),
            [(images, labels)] * 5,
            [0.01] * 5,
        )
        assert apart(stack.flat()[model], expected) < 2e-5


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_cosine_falls_epoch_by_epoch_and_keeps_the_momentum(optimiser):
    images, labels = data()
    recipe = Recipe(epochs=4, lr=0.1, momentum=0.9, decay="cosine", optimiser=optimiser)
    assert recipe.trained_epochs == 4
    rates = [recipe.rate(epoch) for epoch in range(1, 5)]
    assert rates == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], rel=1e-5)
    make = {
        "sgd": lambda weights: torch.optim.SGD(weights, momentum=0.9),
        "adamw": lambda weights: torch.optim.AdamW(weights, weight_decay=0.0),
    }[optimiser]
    expected = by_torch(plain(WITHOUT_NORM), make, [(images, labels)] * 4, rates)
    found = run(recipe, bench=replace(BENCH, network=WITHOUT_NORM)).flat()
    assert apart(found, expected) < 5e-5


def test_other_decays_are_those_of_torch_s_schedulers_and_of_the_authors():
    """MultiStepLR at the fifths (NCFM), StepLR by quarters (2406.10485), RDED's quarter cosine."""
    schedulers = torch.optim.lr_scheduler
    for epochs in (5, 7, 20, 33):
        fifths = [epochs * n // 5 for n in range(1, 5)]
        for decay, make in (
            ("fifths", lambda o, at=fifths: schedulers.MultiStepLR(o, at, gamma=0.5)),
            (
                "cosine_to_half",
                lambda o, n=epochs: schedulers.LambdaLR(
                    o, lambda step: 0.5 * (1 + math.cos(math.pi * step / n / 2))
                ),
            ),
        ):
            optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
            scheduler, wanted = make(optimiser), []
            for _ in range(epochs):
                wanted.append(optimiser.param_groups[0]["lr"])
                optimiser.step()
                scheduler.step()
            assert rates(Recipe(epochs=epochs, lr=0.5, decay=decay)) == pytest.approx(wanted)
    found = rates(Recipe(epochs=8, lr=1.0, decay="quarters"))
    assert found == pytest.approx([1, 1, 0.3, 0.3, 0.09, 0.09, 0.027, 0.027])


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_every_step_mixes_its_images_by_a_stream_of_its_own(kind):
    images, labels = data()
    recipe = Recipe(epochs=2, lr=0.1, batch=8, mix=kind)
    stack = run(recipe, range(2))
    for model in range(2):
        order, drawn, batches = stream("order", model), stream("mix", model), []
        for _ in range(2):
            rows = torch.randperm(20, generator=order)
            batches += [
                mixing.mixed(kind, images[part], labels[part], CLASSES, drawn)
                for part in rows.split(8)
            ]
        expected = by_hand(plain(model=model), batches, [0.1] * 6)
        assert apart(stack.flat()[model], expected) < 2e-5
    assert apart(stack.flat(), run(replace(recipe, mix="none"), range(2)).flat()) > 1e-3


# ---- checkpoints ---------------------------------------------------------------------------------


class Memory:
    """A checkpoint that is due at one step, keeps what it is given, and ends the training there."""

    def __init__(self, at):
        self.left, self.kept = at, None

    def load(self):
        return self.kept

    def due(self):
        self.left -= 1
        return self.left == 0

    def save(self, tensors, values, note):
        self.kept = {name: value.clone() for name, value in tensors.items()}, values
        raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize("network", [NETWORK, BATCH_NORM], ids=["instance", "batch"])
@pytest.mark.parametrize("at", [1, 4, 5, 8, 11])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_taken_up_from_a_checkpoint_ends_with_the_same_bits(
    monkeypatch, network, at, compiled
):
    if compiled:  # the compiled step, run eagerly
        monkeypatch.setattr(Compute, "compiles", lambda *_: True)
        monkeypatch.setattr(Compute, "compiled", lambda self, function, **_: function)
        monkeypatch.setattr(training, "architecture_of", stacks.Architecture)
    images, labels = data()
    recipe = Recipe(
        epochs=4, lr=0.1, momentum=0.9, weight_decay=0.01, batch=8, decay="half", augment="dsa"
    )
    arguments = {
        "bench": replace(BENCH, network=network),
        "images": images,
        "labels": labels,
        "replay": Replay(Images(images[:5], labels[:5]), 3),
    }
    whole = run(recipe, **arguments)
    memory = Memory(at)
    with pytest.raises(InterruptedError):
        run(recipe, checkpoint=memory, **arguments)
    again = run(recipe, checkpoint=memory, **arguments)
    assert torch.equal(whole.flat(), again.flat())
    for name, value in whole.buffers.items():
        assert torch.equal(value, again.buffers[name])


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 3, 4, 8])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_another_recipe_taken_up_from_a_checkpoint_ends_with_the_same_bits(at, optimiser):
    recipe = Recipe(
        epochs=4, lr=0.05, momentum=0.9, batch=8, decay="cosine", optimiser=optimiser, mix="cutmix"
    )
    whole, memory = run(recipe, range(2)), Memory(at)
    with pytest.raises(InterruptedError):
        run(recipe, range(2), checkpoint=memory)
    assert torch.equal(whole.flat(), run(recipe, range(2), checkpoint=memory).flat())


@pytest.mark.slow
def test_the_compiled_step_is_the_plain_one(monkeypatch):
    images, labels = data()
    recipe = Recipe(epochs=3, lr=0.1, momentum=0.9, weight_decay=0.01, batch=8, decay="half")
    replay = Replay(Images(images[:5], labels[:5]), 3)
    plain_ones = [
        run(recipe, range(count), images=images, labels=labels, replay=replay) for count in (1, 2)
    ]
    monkeypatch.setattr(Compute, "compiles", lambda *_: True)
    monkeypatch.setattr(Compute, "compiled", lambda self, function, **_: function)
    monkeypatch.setattr(training, "architecture_of", stacks.Architecture)
    for count, expected in zip((1, 2), plain_ones, strict=True):
        noted = {}
        found = run(
            recipe,
            range(count),
            images=images,
            labels=labels,
            replay=replay,
            after_epoch=lambda e, s, m, noted=noted: noted.update({e: m}),
        )
        assert apart(found.flat(), expected.flat()) < 1e-4
        assert noted[3]["loss"].shape == (count,)


# ---- testing -------------------------------------------------------------------------------------


def test_testing_is_a_plain_loop(monkeypatch):
    """In several parts, the last smaller, with a class that has no image."""
    monkeypatch.setattr(training, "TEST_BATCH", 7)
    images, labels = data()
    network = replace(NETWORK, classes=CLASSES + 1)
    # Trained a little, each on images of its own, so that they answer differently, and often wrong.
    alone = [
        run(
            Recipe(epochs=4, lr=0.1),
            bench=replace(BENCH, network=network),
            images=data(seed=s)[0],
            labels=data(seed=s + 9)[1],
        )
        for s in (1, 2)
    ]
    stack = stacks.Stack(
        alone[0].architecture,
        {name: torch.cat([one.parameters[name] for one in alone]) for name in alone[0].parameters},
    )
    found = judged(stack, images, labels)
    assert {name: value.dtype for name, value in found.items()} == dict.fromkeys(
        ("loss", "accuracy", "class_accuracy"), torch.float64
    )
    for model in range(2):
        module, losses, hits = plain(network), [], [[] for _ in range(CLASSES + 1)]
        module.load_state_dict({name: value[model] for name, value in stack.parameters.items()})
        for image, label in zip(images, labels, strict=True):
            logits = module(image[None]).detach()
            losses.append(float(functional.cross_entropy(logits, label[None])))
            hits[int(label)].append(int(logits.argmax()) == int(label))
        assert float(found["loss"][model]) == pytest.approx(sum(losses) / 20, rel=1e-5)
        assert float(found["accuracy"][model]) == pytest.approx(sum(map(sum, hits)) / 20)
        for c in range(CLASSES):
            assert float(found["class_accuracy"][model, c]) == pytest.approx(
                sum(hits[c]) / len(hits[c])
            )
        assert found["class_accuracy"][model, CLASSES].isnan()
