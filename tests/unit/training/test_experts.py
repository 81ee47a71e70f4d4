"""Expert trajectories: what is remembered, and what is read back."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from distillery import networks, streams
from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store import artefact
from distillery.training import experts, trajectories
from distillery.training import train as training
from distillery.training.train import Bench

CLASSES = 3
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, {"width": 4, "depth": 2})
RECIPE = Recipe(epochs=3, lr=0.1, batch=8, augment="dsa")
BENCH = Bench(
    network=NETWORK,
    stream=lambda *identity: streams.generator(0, *identity),
    compute=Compute("float32", "off"),
)


def data():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(20, 1, 8, 8, generator=generator)
    return Images(images, torch.randint(CLASSES, (20,), generator=generator))


def trained(numbers, bench=BENCH, **arguments):
    return experts.train_experts(bench, RECIPE, data(), numbers, **arguments)


# ---- training ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_trajectory_starts_at_the_initial_network_and_ends_at_the_trained_one():
    found = trained([3])
    assert found.dtype == torch.float32 and found.shape[:2] == (1, 4)
    start = networks.initialise(networks.from_spec(NETWORK), BENCH.stream("initialise", 3))
    assert torch.equal(found[0, 0], networks.flatten(networks.parameters(start)))
    for epochs in (1, 2, 3):
        recipe = Recipe(epochs=epochs, lr=0.1, batch=8, augment="dsa")
        stack = training.train(BENCH, recipe, data(), range(3, 4))
        assert torch.equal(found[0, epochs], stack.flat()[0])


@pytest.mark.slow
def test_experts_that_ran_out_of_memory_are_reported_once_and_come_out_the_same(monkeypatch):
    monkeypatch.setattr(experts, "stack_size", lambda *_: 4)
    whole = trained([0, 1, 2, 3])
    told = []

    def tell(first, epoch, summary):
        told.extend((first + e, epoch) for e in range(len(summary["loss"])))

    kept = experts._Shard.note

    def short_of_memory(self, epoch, parameters, summary):
        if epoch == 2 and len(parameters) > 1:
            raise torch.OutOfMemoryError("too much")
        kept(self, epoch, parameters, summary)

    monkeypatch.setattr(experts._Shard, "note", short_of_memory)
    found = trained([0, 1, 2, 3], after_epoch=tell)
    assert sorted(told) == [(expert, epoch) for expert in range(4) for epoch in (1, 2, 3)]
    assert torch.allclose(found, whole, atol=1e-5)


def test_snapshots_are_copies_and_not_the_live_weights():
    """On a CPU, moving weights to the CPU copies nothing: snapshots that share them all end as the
    last."""
    found = trained([0, 1])
    for expert in found:
        for epoch in range(3):
            assert float((expert[epoch + 1] - expert[epoch]).abs().max()) > 1e-3
    kept = found.clone()
    found[0, 0] += 1
    assert torch.equal(found[0, 1:], kept[0, 1:]) and torch.equal(found[1], kept[1])


def test_a_snapshot_is_a_copy_even_of_a_vector_that_goes_on_changing(monkeypatch):
    class Live:
        weights = torch.zeros(1, 5)

        def flat(self):
            return self.weights

    def train(*arguments, after_epoch, **named):
        stack = Live()
        for epoch in range(4):
            stack.weights += epoch
            after_epoch(epoch, stack, {"loss": torch.zeros(1), "accuracy": torch.zeros(1)})

    monkeypatch.setattr(experts, "train", train)
    assert trained([0])[0, :, 0].tolist() == [0, 1, 3, 6]


@pytest.mark.slow
def test_the_size_of_a_shard_changes_no_expert(monkeypatch):
    whole = trained([0, 1, 2, 3])
    assert torch.equal(whole, torch.cat([trained([0, 1]), trained([2, 3])]))
    assert torch.equal(whole[2:3], trained([2]))
    # Trained together they are the same up to rounding.
    monkeypatch.setattr(experts, "stack_size", lambda *_: 3)
    together = trained([0, 1, 2, 3])
    assert float((together - whole).abs().max()) < 1e-4
    assert float((whole[0] - whole[1]).abs().max()) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 2])
def test_every_epoch_of_every_expert_is_reported(together, monkeypatch):
    monkeypatch.setattr(experts, "stack_size", lambda *_: together)
    told, done = [], []
    bench = replace(BENCH, progress=done.append)
    trained([4, 5, 6], bench, after_epoch=lambda *all_: told.append(all_))
    assert sum(done) == 3 * 3
    found = [
        (first + e, epoch) for first, epoch, summary in told for e in range(len(summary["loss"]))
    ]
    assert sorted(found) == [(number, epoch) for number in (4, 5, 6) for epoch in (1, 2, 3)]
    assert all(summary["accuracy"].shape == summary["loss"].shape for _, _, summary in told)


class Memory:
    """A checkpoint in memory that is due at every step and kills the job at one save."""

    def __init__(self):
        self.saved, self.left = None, 0

    def load(self):
        return self.saved

    def due(self):
        return True

    def save(self, tensors, values, note):
        self.saved = (
            {name: value.clone() for name, value in tensors.items()},
            json.loads(json.dumps(values)),
        )
        self.left -= 1
        if self.left == 0:
            raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("kills", [[1], [5], [9], [3, 6]])
def test_a_killed_shard_resumes_with_the_same_bits(together, kills, monkeypatch):
    """Two saves an epoch of three steps: within the first stack, in the second, which may be
    smaller, and twice on the way."""
    monkeypatch.setattr(experts, "stack_size", lambda *_: together)
    expected = []
    numbers = [4, 5, 6, 7, 8]
    whole = trained(numbers, after_epoch=lambda *all_: expected.append(all_))
    checkpoint = Memory()
    for kill in kills:
        checkpoint.left = kill
        with pytest.raises(InterruptedError):
            trained(numbers, checkpoint=checkpoint)
    # The memory that is free may be another then: a network of another stack would have other bits.
    monkeypatch.setattr(experts, "stack_size", lambda *_: 4)
    told, done = [], []
    checkpoint.left = 0
    bench = replace(BENCH, progress=done.append)
    again = trained(
        numbers, bench, checkpoint=checkpoint, after_epoch=lambda *all_: told.append(all_)
    )
    assert torch.equal(again, whole)
    # Every epoch is reported once, those before the interruption too.
    assert [all_[:2] for all_ in told] == [all_[:2] for all_ in expected]
    assert sum(done) == len(numbers) * RECIPE.epochs
    for (*_, first), (*_, second) in zip(told, expected, strict=True):
        assert all(torch.equal(first[name], second[name]) for name in ("loss", "accuracy"))


@pytest.mark.parametrize("numbers", [[0, 2], [1, 0], []])
def test_a_shard_is_a_run_of_numbers(numbers):
    with pytest.raises(UserError, match="numbered consecutively"):
        trained(numbers)


# ---- shards on disk ------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path):
    """Two shards, of two experts and one, whose every value tells its place."""
    numbers = torch.arange(3 * 5 * 7, dtype=torch.float32).view(3, 5, 7)
    paths = [tmp_path / "shard0.safetensors", tmp_path / "shard1.safetensors"]
    trajectories.save(paths[0], numbers[:2], {"dataset": "toy"})
    trajectories.save(paths[1], numbers[2:], {"dataset": "toy"})
    return paths, numbers


def test_pairs_are_the_rows_asked_for_across_shards(shards):
    paths, numbers = shards
    found = trajectories.Experts(paths)
    assert (found.number, found.epochs, found.parameters) == (3, 4, 7)
    for expert in range(3):
        for start in range(5):
            for stop in range(5):
                first, second = found.pair(expert, start, stop)
                assert torch.equal(first, numbers[expert, start]) and torch.equal(
                    second, numbers[expert, stop]
                )
    # What is read may be changed without harm to the file or the next reading.
    first.zero_()
    assert torch.equal(found.pair(2, 4, 4)[0], numbers[2, 4])


def test_a_pair_without_a_way_between_is_refused(tmp_path):
    trajectories.save(tmp_path / "shard0.safetensors", torch.ones(1, 3, 7), {"dataset": "toy"})
    experts = trajectories.Experts([tmp_path / "shard0.safetensors"])
    with pytest.raises(
        UserError, match="expert 0: its parameters after 0 and after 2 epochs are eq"
    ):
        experts.pair(0, 0, 2)
    assert torch.equal(*experts.pair(0, 1, 1))


@pytest.mark.parametrize("expert, start, stop", [(3, 0, 1), (-1, 0, 1), (0, 0, 5), (0, -1, 0)])
def test_what_is_not_there_is_not_read(shards, expert, start, stop):
    with pytest.raises(IndexError, match="3 experts of 4 epochs"):
        trajectories.Experts(shards[0]).pair(expert, start, stop)


def test_a_row_is_a_network(tmp_path):
    path = tmp_path / "shard.safetensors"
    trajectories.save(path, trained([0]), {})
    last = trajectories.Experts([path]).pair(0, 0, 3)[1]
    module = networks.from_spec(NETWORK)
    apply, _ = networks.functional(module)
    stack = training.train(BENCH, RECIPE, data(), range(1))
    images = data().images
    logits = apply(networks.unflatten(last, networks.parameters(module)), images)
    assert torch.equal(logits, stack.logits(images[None])[0])


def test_a_damaged_shard_is_named_with_its_rule(shards):
    paths, _ = shards
    whole = paths[1].read_bytes()
    for left in (b"", whole[:5], whole[: len(whole) // 2], whole[:-1], b"PK" + whole[2:]):
        paths[1].write_bytes(left)
        with pytest.raises(UserError, match=r"shard1\.safetensors.*train_experts"):
            trajectories.Experts(paths)
    paths[1].unlink()
    with pytest.raises(UserError, match=r"shard1\.safetensors: is missing.*train_experts"):
        trajectories.Experts(paths)
    for tensors in ({"others": torch.zeros(1, 5, 7)}, {"trajectories": torch.zeros(7)}):
        artefact.save(paths[1], tensors, {})
        with pytest.raises(UserError, match=r"shard1\.safetensors.*train_experts"):
            trajectories.Experts(paths)


def test_shards_of_different_recipes_or_networks_are_refused(shards):
    paths, _ = shards
    for shape in ((1, 6, 7), (1, 5, 8)):
        trajectories.save(paths[1], torch.zeros(shape), {})
        with pytest.raises(UserError, match="disagree"):
            trajectories.Experts(paths)


def shard(path, numbers, **header):
    about = {
        "recipe": "few",
        "settings": {"epochs": 3, "lr": 0.1},
        "network": asdict(NETWORK),
        "seed": 0,
        "code": "abc",
    }
    trajectories.save(path, trained(numbers), {**about, "numbers": numbers, **header})
    return path


@pytest.mark.slow
def test_a_set_is_reported_its_experts_by_their_shards(tmp_path):
    paths = [shard(tmp_path / "0", [0, 1]), shard(tmp_path / "1", [2])]
    assert trajectories.about(paths) == {
        "recipe": "few",
        "number": 3,
        "epochs": 3,
        "settings": {"epochs": 3, "lr": 0.1},
        "shards": artefact.digests(paths),
    }
    assert trajectories.about([]) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [{"settings": {"epochs": 3, "lr": 0.2}}, {"seed": 1}, {"code": "abd"}, {"recipe": "many"}],
)
def test_shards_that_were_not_trained_alike_are_refused(tmp_path, other):
    paths = [shard(tmp_path / "0", [0]), shard(tmp_path / "1", [1], **other)]
    with pytest.raises(
        UserError,
        match=f"its {next(iter(other))} is not that of .*: the rule train_experts re-creates them",
    ):
        trajectories.about(paths)
