"""The methods as a user runs them, on small images."""

import importlib
import itertools
from dataclasses import replace

import pytest
import torch

from distillery import networks, plugins, streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.methods import (
    _driver,
    _gradient_matching,
    _trajectory_matching,
    base,
    dc,
    dm,
    dsa,
    herding,
    mtt,
    ncfm,
    tesla,
)
from distillery.methods import random as random_method
from distillery.networks import NetworkSpec
from distillery.store import tree

CLASSES, SIZE = 3, 8
SPEC = NetworkSpec("ConvNet", 1, SIZE, CLASSES, {"width": 8, "depth": 2})


def _data(a_class=20, seed=0):
    """Blobs at a place of their own for each class, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat(a_class)[
        torch.randperm(CLASSES * a_class, generator=generator)
    ]
    images = 0.5 * torch.randn(len(labels), 1, SIZE, SIZE, generator=generator)
    for c in range(CLASSES):
        images[labels == c, :, 2 * c : 2 * c + 3, 2 * c : 2 * c + 3] += 2
    return images, labels


class Recorder:
    def __init__(self):
        self.losses, self.images, self.step_sizes, self.labels = [], [], [], []

    def iteration(self, iteration, loss, images, step_size=None, labels=None):
        assert iteration == len(self.losses)
        self.labels.append(labels)
        self.losses.append(float(loss))
        self.images.append(images.clone())
        self.step_sizes.append(None if step_size is None else float(step_size))


def _settings(module, **changes):
    return {name: value["default"] for name, value in module.SETTINGS.items()} | changes


def _task(module, *, seed=0, ipc=1, experts=None, initial=None, data=None, network=SPEC, **changes):
    images, labels = data or _data()
    if initial is None:
        initial = base.initial_images(
            "noise", images, labels, CLASSES, ipc, streams.generator(seed, "initial")
        )
    return base.Task(
        images=images,
        labels=labels,
        initial=initial,
        classes=CLASSES,
        ipc=ipc,
        network=network,
        settings=_settings(module, **changes),
        stream=lambda *identity: streams.generator(seed, *identity),
        compute=Compute("float32", "off"),
        experts=experts,
    )


def _run(module, **of_task):
    recorder = Recorder()
    return _driver.run(module, _task(module, **of_task), recorder), recorder


class Experts:
    """Trajectories of small networks trained on the data, all images a step."""

    def __init__(self, number=2, epochs=3, steps=10, rate=0.1):
        images, labels = _data()
        module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
        self.number, self.epochs, self._rows = number, epochs, []
        for expert in range(number):
            networks.initialise(module, torch.Generator().manual_seed(expert))
            optimiser = torch.optim.SGD(module.parameters(), lr=rate)
            rows = [networks.flatten(networks.parameters(module))]
            for _ in range(epochs):
                for _ in range(steps):
                    optimiser.zero_grad()
                    torch.nn.functional.cross_entropy(module(images), labels).backward()
                    optimiser.step()
                rows.append(networks.flatten(networks.parameters(module)))
            self._rows.append(rows)

    def pair(self, expert, start, stop):
        return self._rows[expert][start], self._rows[expert][stop]


@pytest.fixture(scope="module")
def experts():
    return Experts()


# ---- the parts that methods share


def test_every_method_declares_settings_whose_defaults_its_own_schema_accepts():
    import jsonschema

    found = plugins.methods()
    assert {"dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding"} <= set(found)
    for name, method in found.items():
        for setting, schema in method.settings.items():
            assert schema["description"], (name, setting)
            jsonschema.validate(schema["default"], schema)
    assert found["mtt"].needs_experts and not found["dc"].needs_experts
    assert {"random", "herding"} <= {name for name, method in found.items() if method.is_coreset}
    assert not found["dc"].is_coreset and not found["mtt"].is_coreset


QUICK = {
    "iterations": 2,
    "outer": 1,
    "inner": 1,
    "syn_steps": 2,
    "expert_epochs": 1,
    "max_start_epoch": 1,
}


@pytest.mark.parametrize(
    "name", [name for name, method in plugins.methods().items() if not method.is_coreset]
)
def test_noise_starts_more_images_of_a_class_than_there_are_real_ones(experts, name):
    module = importlib.import_module(f"distillery.methods.{name}")
    changes = {key: value for key, value in QUICK.items() if key in module.SETTINGS}
    result, _ = _run(module, ipc=7, data=_data(a_class=3), experts=experts, **changes)
    assert len(result.images) == 7 * CLASSES and torch.isfinite(result.images).all()


@pytest.mark.parametrize(
    "name", [name for name, method in plugins.methods().items() if not method.is_coreset]
)
def test_a_step_leaves_the_state_before_it_and_the_task_as_they_are(experts, name):
    """But for the generators that the state holds."""
    module = importlib.import_module(f"distillery.methods.{name}")
    changes = {key: value for key, value in QUICK.items() if key in module.SETTINGS} | {
        key: value
        for key, value in {"outer": 2, "lr_labels": 0.5, "sampling": "learned"}.items()
        if key in module.SETTINGS
    }
    task = _task(module, ipc=2, experts=experts, **changes)
    initial, method = task.initial.clone(), module.build(task)
    state = method.init()
    for t in (1, 2):
        before = {key: value.clone() for key, value in tree.take_apart(state)[0].items()}
        after, _ = method.step(state, t)
        for key, value in tree.take_apart(state)[0].items():
            assert key.startswith("streams/") or torch.equal(value, before[key]), key
        state = after
    assert torch.equal(task.initial, initial)
    assert not torch.equal(method.result(after).images, initial)


def test_real_start_takes_different_training_images_of_the_right_class():
    images, labels = _data()
    ipc = 7
    start = base.initial_images(
        "real", images, labels, CLASSES, ipc, torch.Generator().manual_seed(1)
    )
    assert start.shape == (CLASSES * ipc, 1, SIZE, SIZE)
    numbers = [(images == row).flatten(1).all(1).nonzero().item() for row in start]
    assert len(set(numbers)) == len(numbers)
    assert torch.equal(labels[numbers], base.synthetic_labels(CLASSES, ipc))
    other = base.initial_images(
        "real", images, labels, CLASSES, ipc, torch.Generator().manual_seed(2)
    )
    assert not torch.equal(start, other)


def test_real_start_can_take_a_whole_class_and_no_more():
    images, labels = _data(a_class=4)
    start = base.initial_images(
        "real", images, labels, CLASSES, 4, torch.Generator().manual_seed(1)
    )
    for c in range(CLASSES):
        assert torch.allclose(
            start[4 * c : 4 * c + 4].sum(0), images[labels == c].sum(0), atol=1e-5
        )
    with pytest.raises(UserError, match="has only 4"):
        base.initial_images("real", images, labels, CLASSES, 5, torch.Generator())


def test_noise_start_is_standard_gaussian():
    images, labels = torch.zeros(3, 3, 32, 32), torch.arange(3)
    noise = base.initial_images(
        "noise", images, labels, CLASSES, 20, torch.Generator().manual_seed(1)
    )
    assert noise.dtype == torch.float32 and noise.shape == (60, 3, 32, 32)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert float((noise**4).mean()) == pytest.approx(3, abs=0.1)


def test_unknown_start_and_empty_class_are_refused():
    images, labels = _data()
    with pytest.raises(UserError, match="real, noise"):
        base.initial_images("zeros", images, labels, CLASSES, 1, torch.Generator())
    with pytest.raises(UserError, match="class 3"):
        base.ClassIndex(labels, CLASSES + 1)


def test_real_batches_are_of_their_class_without_repeats_and_weigh_one():
    labels = torch.tensor([0, 1, 0, 0, 1, 2, 0, 0])
    index = base.ClassIndex(labels, 3)
    chosen, weights = index.draw(4, torch.Generator().manual_seed(0))
    assert chosen.shape == weights.shape == (3, 4)
    assert torch.allclose(weights.sum(1), torch.ones(3))
    assert (weights > 0).sum(1).tolist() == [4, 2, 1]
    for c in range(3):
        assert (labels[chosen[c]] == c).all()
        used = chosen[c][weights[c] > 0].tolist()
        assert len(set(used)) == len(used)


@pytest.mark.parametrize(
    "size, channels, name",
    [(28, 1, "ConvNet"), (32, 3, "ConvNet"), (28, 1, "AlexNet"), (28, 1, "LeNet")],
)
def test_the_network_that_distils_is_the_network_that_was_asked_for(size, channels, name):
    options = {"width": 4} if name == "ConvNet" else {}
    spec = NetworkSpec(name, channels, size, 3, options)
    ours = base.network(spec, torch.device("cpu"))
    plain = networks.build(name, channels=channels, size=size, classes=3, **spec.options)
    params = base.fresh_parameters(ours, torch.Generator().manual_seed(0))
    assert list(params) == [parameter for parameter, _ in plain.named_parameters()]
    plain.load_state_dict(params)
    images = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(ours(images), plain(images), atol=1e-5)


@pytest.mark.parametrize("module", [dc, dm, dsa, mtt, ncfm, tesla, herding])
def test_batch_normalisation_is_refused(module, experts):
    spec = replace(SPEC, options={"width": 8, "depth": 2, "norm": "batch"})
    with pytest.raises(UserError, match="batch normalisation"):
        _run(module, network=spec, experts=experts)


# ---- DC


def test_loops_follow_the_published_table():
    published = {
        1: (1, 1),
        10: (10, 50),
        20: (20, 25),
        30: (30, 20),
        40: (40, 15),
        50: (50, 10),
        100: (100, 2),
    }
    assert {ipc: _gradient_matching.loops(ipc) for ipc in published} == published


def test_loops_are_sensible_for_any_number_of_images():
    found = [_gradient_matching.loops(ipc) for ipc in range(1, 300)]
    outer, inner = zip(*found, strict=True)
    assert list(outer) == [min(ipc, 100) for ipc in range(1, 300)]
    assert all(isinstance(value, int) and value >= 1 for value in inner)
    # Up to the table's peak at 10 the inner epochs grow, then they fall.
    assert list(inner[:10]) == sorted(inner[:10])
    assert list(inner[9:]) == sorted(inner[9:], reverse=True)
    assert (
        _gradient_matching.loops(15) == (15, 38)
        and _gradient_matching.loops(75) == (75, 6)
        and _gradient_matching.loops(250) == (100, 2)
    )


def test_dc_reduces_the_matching_loss_and_leaves_its_start_alone():
    images, labels = _data()
    initial = base.initial_images(
        "noise", images, labels, CLASSES, 1, torch.Generator().manual_seed(0)
    )
    before = initial.clone()
    result, recorder = _run(dc, initial=initial, iterations=60)
    assert torch.equal(initial, before) and torch.equal(recorder.images[0], before)
    losses = recorder.losses[1:]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert torch.equal(result.images, recorder.images[-1])
    assert torch.equal(result.labels, torch.arange(CLASSES)) and result.step_size is None


def test_dc_gives_the_same_bits_for_the_same_stream_and_others_for_another():
    settings = {
        "ipc": 2,
        "iterations": 2,
        "outer": 2,
        "inner": 2,
        "batch_real": 8,
        "batch_train": 4,
    }
    initial = torch.zeros(CLASSES * 2, 1, SIZE, SIZE)
    first, second, other = (
        _run(dc, seed=seed, initial=initial + 0.1, **settings)[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)


def test_dc_handles_classes_in_parts(monkeypatch):
    monkeypatch.setitem(_gradient_matching._TOGETHER, "cpu", 2)
    parts, _ = _run(dc, ipc=2, iterations=2, outer=2, inner=1)
    monkeypatch.setitem(_gradient_matching._TOGETHER, "cpu", 100)
    whole, _ = _run(dc, ipc=2, iterations=2, outer=2, inner=1)
    assert torch.allclose(parts.images, whole.images, atol=1e-4)


def test_dc_says_that_it_diverged():
    with pytest.raises(UserError, match=r"dc diverged by iteration 10: .*lr_images"):
        _run(dc, iterations=30, lr_images=1e38)


# ---- MTT


def test_mtt_reduces_the_matching_loss(experts):
    result, recorder = _run(
        mtt,
        ipc=2,
        experts=experts,
        iterations=40,
        syn_steps=5,
        expert_epochs=1,
        max_start_epoch=1,
        lr_images=5,
        step_size=0.1,
    )
    losses = recorder.losses[1:]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert result.step_size == recorder.step_sizes[-1] > 0


class Numbered:
    """Made experts whose epochs are told apart: each is a network of its own, far from the others.
    Remembers what it was asked for."""

    def __init__(self, number=2, epochs=6):
        module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
        self.number, self.epochs, self.asked, self.rows = number, epochs, [], {}
        for expert in range(number):
            for epoch in range(epochs + 1):
                networks.initialise(module, torch.Generator().manual_seed(100 * expert + epoch))
                self.rows[expert, epoch] = networks.parameters(module)

    def pair(self, expert, start, stop):
        self.asked.append((expert, start, stop))
        return networks.flatten(self.rows[expert, start]), networks.flatten(self.rows[expert, stop])


@pytest.mark.parametrize("module", [mtt, tesla])
def test_the_student_starts_at_one_epoch_and_is_compared_with_that_some_epochs_later(
    module, monkeypatch
):
    """Start below T+, target M epochs on, of the same expert; the loss is that of a student run by
    hand from there."""
    experts, latest, ahead, steps = Numbered(), 3, 2, 2
    monkeypatch.setattr(
        tesla, "teach", lambda task, apply, like: torch.zeros(len(task.initial), CLASSES)
    )
    settings = {
        "iterations": 40,
        "syn_steps": steps,
        "expert_epochs": ahead,
        "max_start_epoch": latest,
        "lr_images": 1.0,
        "step_size": 0.05,
    }
    _, recorder = _run(module, ipc=2, experts=experts, **settings)
    asked = [
        pair for pair in experts.asked if pair[1] != pair[2]
    ]  # the others look at the experts' size
    assert len(asked) == 40
    assert {start for _, start, _ in asked} == set(range(latest))
    assert {expert for expert, _, _ in asked} == {0, 1}
    assert {stop - start for _, start, stop in asked} == {ahead}
    network = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    labels = base.synthetic_labels(CLASSES, 2)
    for iteration, (expert, start, stop) in enumerate(asked, 1):
        images, rate = recorder.images[iteration - 1], recorder.step_sizes[iteration - 1]
        targets = labels if module is mtt else recorder.labels[iteration - 1]
        network.load_state_dict(experts.rows[expert, start])
        for _ in range(steps):
            gradients = torch.autograd.grad(
                torch.nn.functional.cross_entropy(network(images), targets),
                list(network.parameters()),
            )
            with torch.no_grad():
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    parameter -= rate * gradient
        end = networks.flatten(networks.parameters(network))
        first, goal = (
            networks.flatten(experts.rows[expert, start]),
            networks.flatten(experts.rows[expert, stop]),
        )
        expected = float((end - goal).square().sum() / (first - goal).square().sum())
        assert recorder.losses[iteration] == pytest.approx(expected, rel=1e-4)


def test_the_last_target_is_the_experts_last_epoch():
    """T+ - 1 + M epochs are enough, and one fewer is refused."""
    settings = {"iterations": 20, "syn_steps": 1, "expert_epochs": 2, "max_start_epoch": 3}
    experts = Numbered(number=1, epochs=4)
    _run(mtt, experts=experts, **settings)
    assert max(stop for _, _, stop in experts.asked) == 4
    with pytest.raises(UserError, match="reach to epoch 4"):
        _run(mtt, experts=Numbered(number=1, epochs=3), **settings)


def test_mtt_steps_with_batches_and_augmentation_give_the_same_bits_again(experts):
    settings = {
        "iterations": 2,
        "syn_steps": 4,
        "expert_epochs": 1,
        "max_start_epoch": 2,
        "batch_syn": 4,
        "augment": "dsa",
    }
    first, second = (_run(mtt, ipc=2, experts=experts, **settings)[0] for _ in range(2))
    assert torch.equal(first.images, second.images) and first.step_size == second.step_size
    other, _ = _run(mtt, seed=1, ipc=2, experts=experts, **settings)
    assert not torch.equal(first.images, other.images)


def test_the_step_size_stays_positive_under_a_hostile_learning_rate(experts):
    _, recorder = _run(
        mtt,
        experts=experts,
        iterations=8,
        syn_steps=3,
        expert_epochs=1,
        max_start_epoch=1,
        lr_images=0.01,
        lr_step_size=1e6,
    )
    assert all(size > 0 for size in recorder.step_sizes)
    ratios = [b / a for a, b in itertools.pairwise(recorder.step_sizes)]
    assert all(1 / 2.72 < ratio < 2.72 for ratio in ratios) and ratios[0] != 1


def test_a_small_step_is_the_plain_one():
    alpha, change = torch.tensor(0.01, dtype=torch.float64), torch.tensor(1e-7, dtype=torch.float64)
    assert float(_trajectory_matching.positive_step(alpha, change)) == pytest.approx(
        0.01 - 1e-7, abs=1e-12
    )


def test_mtt_says_that_it_diverged(experts):
    with pytest.raises(UserError, match=r"mtt diverged by iteration \d+: .*lr_images .*step_size"):
        _run(
            mtt,
            experts=experts,
            iterations=20,
            syn_steps=3,
            expert_epochs=1,
            max_start_epoch=1,
            lr_images=1e38,
        )


@pytest.mark.parametrize("factor, iteration, word", [(2.7, 10, "grew"), (0.37, 20, "fell")])
def test_mtt_stops_when_the_step_size_explodes_or_collapses(
    experts, monkeypatch, factor, iteration, word
):
    """Whatever makes it: each iteration may multiply it by e, or divide."""
    monkeypatch.setattr(
        _trajectory_matching, "positive_step", lambda step_size, change: step_size * factor
    )
    with pytest.raises(
        UserError,
        match=rf"mtt diverged by iteration {iteration}: the step size {word} to \d.*matching loss.*lr_step_size",
    ):
        _run(
            mtt,
            experts=experts,
            iterations=20,
            syn_steps=1,
            expert_epochs=1,
            max_start_epoch=1,
            lr_images=1e-3,
        )


def test_mtt_refuses_experts_that_do_not_fit(experts):
    with pytest.raises(UserError, match="none were given"):
        _run(mtt, iterations=1)
    with pytest.raises(UserError, match="trained for 3"):
        _run(mtt, experts=experts, iterations=1, expert_epochs=3, max_start_epoch=2)
    with pytest.raises(UserError, match="same network"):
        _run(
            mtt,
            experts=experts,
            iterations=1,
            expert_epochs=1,
            network=replace(SPEC, options={"width": 4, "depth": 2}),
        )


def test_mini_batches_pass_over_the_set():
    batches = _trajectory_matching._batches(
        10, 4, 6, torch.Generator().manual_seed(0), torch.device("cpu")
    )
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    assert (
        sorted(torch.cat(batches[:3]).tolist())
        == sorted(torch.cat(batches[3:]).tolist())
        == list(range(10))
    )


# ---- Siamese augmentation, DSA and DM


def test_a_siamese_augmentation_changes_real_and_synthetic_images_alike_and_leads_derivatives_back():
    images = torch.randn(
        CLASSES, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    for seed in range(6):  # six draws meet several of the operations
        siamese = base.Siamese("dsa", CLASSES, torch.Generator().manual_seed(seed), images[0], True)
        seen, pull = siamese.synthetic(images)
        assert all(torch.equal(seen[c], siamese.real(c, images[c])) for c in range(CLASSES))
        weights = torch.randn(
            images.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64
        )
        leaf = images.clone().requires_grad_()
        (expected,) = torch.autograd.grad((siamese.synthetic(leaf)[0] * weights).sum(), leaf)
        assert torch.allclose(pull(weights), expected, atol=1e-12)
    assert not torch.equal(seen, images)


def test_no_siamese_augmentation_draws_nothing():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    images = torch.randn(CLASSES, 2, 1, 8, 8)
    seen, _ = base.Siamese("none", CLASSES, generator, images[0], False).synthetic(images)
    assert seen is images and torch.equal(generator.get_state(), before)


def test_dsa_reduces_the_matching_loss_with_an_inner_training():
    result, recorder = _run(dsa, ipc=2, iterations=40, outer=2, inner=1)
    losses = recorder.losses[1:]
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])
    again, _ = _run(dsa, ipc=2, iterations=40, outer=2, inner=1)
    assert torch.equal(result.images, again.images)


def test_one_iteration_of_dm_is_the_published_algorithm_written_out():
    images, labels = _data()
    initial = base.initial_images(
        "noise", images, labels, CLASSES, 2, torch.Generator().manual_seed(0)
    )
    result, recorder = _run(
        dm, ipc=2, initial=initial, iterations=1, lr_images=0.7, augment="none", batch_real=20
    )
    model = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    networks.initialise(model, streams.generator(0, "iteration", 1, "network"))
    leaf = initial.clone().requires_grad_()
    loss = sum(
        (model.embed(images[labels == c]).mean(0) - model.embed(leaf[2 * c : 2 * c + 2]).mean(0))
        .square()
        .sum()
        for c in range(CLASSES)
    )
    loss.backward()
    assert recorder.losses[1] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert torch.allclose(result.images, initial - 0.7 * leaf.grad, atol=1e-5)


def test_dm_reduces_its_loss_and_says_that_it_diverged():
    _, recorder = _run(dm, ipc=2, iterations=60)
    losses = recorder.losses[1:]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    with pytest.raises(UserError, match=r"dm diverged by iteration 10: .*lr_images"):
        _run(dm, iterations=20, lr_images=1e38)


# ---- NCFM


def test_the_characteristic_function_is_the_mean_of_the_exponentials():
    generator = torch.Generator().manual_seed(0)
    features, frequencies = (
        torch.randn(5, 3, generator=generator, dtype=torch.float64),
        torch.randn(7, 3, generator=generator, dtype=torch.float64),
    )
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0], dtype=torch.float64)
    found = ncfm.characteristic(features, weights, frequencies)
    expected = (torch.exp(1j * (frequencies @ features.T)) * weights).sum(1)
    assert torch.allclose(torch.complex(*found), expected)


@pytest.mark.parametrize("amplitude", [0.0, 0.3, 0.5, 1.0])
def test_the_distance_of_characteristic_functions_is_its_formula(amplitude):
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(2, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    x, y = torch.complex(*a), torch.complex(*b)
    phases = 2 * x.abs() * y.abs() * (1 - torch.cos(x.angle() - y.angle()))
    expected = (amplitude * (x.abs() - y.abs()) ** 2 + (1 - amplitude) * phases).sqrt().mean()
    assert float(ncfm.distance(a, b, amplitude)) == pytest.approx(float(expected), abs=1e-9)
    if amplitude == 0.5:  # equal weights: the distance of two points of the plane
        assert float(expected) == pytest.approx(float((x - y).abs().mean() / 2**0.5))


NCFM_SMALL = {"frequencies": 64, "batch_real": 16, "lr_images": 0.05}


@pytest.mark.parametrize("sampling", ["gaussian", "learned"])
def test_ncfm_reduces_its_loss(experts, sampling):
    _, recorder = _run(ncfm, ipc=2, experts=experts, iterations=40, sampling=sampling, **NCFM_SMALL)
    losses = recorder.losses[1:]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_the_sampling_network_learns_frequencies_that_tell_more(experts):
    generator = torch.Generator().manual_seed(0)
    sampler = ncfm.Sampler(6, 1e-2)
    learned = sampler.init(generator, "cpu")
    first, second = (
        torch.randn(20, 6, generator=generator),
        torch.randn(20, 6, generator=generator) + torch.tensor([2.0, 0, 0, 0, 0, 0]),
    )
    given = {
        "seeds": torch.randn(4, 6, generator=generator),
        "noise": torch.randn(64, 6, generator=generator),
    }
    weights = torch.full((20,), 1 / 20)

    def distance(t):
        return ncfm.distance(
            ncfm.characteristic(first, weights, t), ncfm.characteristic(second, weights, t), 0.5
        )

    before = float(distance(sampler(learned["weights"], given["seeds"], given["noise"])))
    for _ in range(30):
        learned = sampler.ascend(learned, distance, given)
    after = float(distance(sampler(learned["weights"], given["seeds"], given["noise"])))
    assert after > before + 0.01


def test_ncfm_refuses_experts_that_do_not_fit(experts):
    with pytest.raises(UserError, match="none were given"):
        _run(ncfm, iterations=1)
    with pytest.raises(UserError, match="same network"):
        _run(
            ncfm,
            experts=experts,
            iterations=1,
            network=replace(SPEC, options={"width": 4, "depth": 2}),
        )


# ---- TESLA

TESLA_SMALL = {"syn_steps": 3, "expert_epochs": 1, "max_start_epoch": 1}


def test_a_teacher_labels_what_it_knows_by_itself_and_the_rest_by_its_class(experts):
    images, labels = _data()
    module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    with torch.no_grad():
        rows = [experts.pair(e, 3, 3)[0] for e in range(2)]
        apply, like = networks.functional(module)[0], networks.parameters(module)
        logits = torch.stack([apply(networks.unflatten(row, like), images) for row in rows]).mean(0)
    known = [int(((labels == c) & (logits.argmax(1) == c)).nonzero()[0]) for c in range(CLASSES)]
    initial = images[known].clone()
    initial[1] = images[known[2]]  # an image of another class than it stands for
    result, _ = _run(
        tesla, initial=initial, experts=experts, iterations=1, lr_images=1e-6, **TESLA_SMALL
    )
    assert result.labels.dtype == torch.float32
    assert torch.allclose(result.labels[[0, 2]], logits[[known[0], known[2]]].softmax(1), atol=1e-5)
    assert torch.allclose(result.labels[1], logits[labels == 1].mean(0).softmax(0), atol=1e-5)


def test_labels_learn_by_the_derivative_through_the_softmax(experts):
    settings = {
        "ipc": 2,
        "experts": experts,
        "iterations": 1,
        "lr_images": 1e-6,
        "momentum": 0.0,
        **TESLA_SMALL,
    }
    kept, _ = _run(tesla, **settings)
    learned, recorder = _run(tesla, lr_labels=0.5, **settings)
    assert torch.allclose(learned.labels.sum(1), torch.ones(6), atol=1e-5) and torch.equal(
        recorder.labels[-1], learned.labels
    )

    # The textbook: unroll three steps, differentiate in the logits.
    module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    apply, like = networks.functional(module)[0], networks.parameters(module)
    images, labels = _data()
    initial = base.initial_images(
        "noise", images, labels, CLASSES, 2, streams.generator(0, "initial")
    )
    logits = kept.labels.log().requires_grad_()
    choice = streams.generator(0, "iteration", 1, "expert")
    start, goal = experts.pair(int(torch.randint(2, (), generator=choice)), 0, 1)
    theta = start.clone().requires_grad_()
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(
            apply(networks.unflatten(theta, like), initial), logits.softmax(1)
        )
        theta = (
            theta
            - tesla.SETTINGS["step_size"]["default"]
            * torch.autograd.grad(loss, theta, create_graph=True)[0]
        )
    (derivative,) = torch.autograd.grad(
        (theta - goal).square().sum() / (start - goal).square().sum(), logits
    )
    expected = (logits - 0.5 * derivative).softmax(1).detach()
    moved = (learned.labels - kept.labels).norm()
    assert float(moved) > 0 and float((learned.labels - expected).norm() / moved) < 1e-2


def test_experts_that_know_nothing_may_not_label(experts):
    images, labels = _data()
    with pytest.raises(UserError, match="train them longer"):
        _run(
            tesla,
            data=(images, (labels + 1) % CLASSES),
            experts=experts,
            iterations=1,
            **TESLA_SMALL,
        )


# ---- coresets


def test_random_chooses_real_images_of_each_class():
    images, labels = _data()
    result, recorder = _run(random_method, ipc=5)
    numbers = [(images == row).flatten(1).all(1).nonzero().item() for row in result.images]
    assert len(set(numbers)) == 15 and torch.equal(labels[numbers], result.labels)
    assert torch.equal(recorder.images[0], result.images)
    assert torch.equal(_run(random_method, ipc=5)[0].images, result.images)


def test_herding_is_greedy_in_the_distance_of_the_means():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    chosen = []
    for _ in range(6):
        rest = [i for i in range(9) if i not in chosen]
        chosen.append(
            min(
                rest,
                key=lambda i: float((features.mean(0) - features[[*chosen, i]].mean(0)).norm()),
            )
        )
    assert herding.herd(features, 6).tolist() == chosen


@pytest.mark.parametrize("features", ["pixels", "random_network"])
def test_herding_chooses_distinct_real_images_of_each_class(features):
    images, labels = _data()
    result, _ = _run(herding, ipc=4, features=features)
    numbers = [(images == row).flatten(1).all(1).nonzero().item() for row in result.images]
    assert len(set(numbers)) == 12 and torch.equal(labels[numbers], result.labels)
    if features == "pixels":
        of_class = (labels == 0).nonzero()[:, 0]
        assert numbers[:4] == of_class[herding.herd(images[of_class].flatten(1), 4)].tolist()
