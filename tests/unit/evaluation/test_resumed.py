"""Jobs of many trainings that are interrupted: each resumes with the same bits."""

import json
from dataclasses import replace

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.evaluation import continual, evaluate, privacy, robust, search
from distillery.evaluation.confusion import Confusion
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.store.checkpoint import Checkpoint
from distillery.store.ledger import Ledger
from distillery.training import stack as stacks
from distillery.training.train import Bench, Replay

pytestmark = pytest.mark.slow  # each job is interrupted some twenty times

CLASSES = 4
OPTIONS = {"width": 4, "depth": 1, "norm": "none"}
NETWORK = NetworkSpec("ConvNet", 1, 8, CLASSES, OPTIONS)
RECIPE = Recipe(epochs=3, lr=0.1, batch=8, augment="dsa")
GROUPS = [[2, 0], [3], [1]]


def data(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    images = torch.randn(count, 1, 8, 8, generator=generator)
    for c in range(CLASSES):
        images[labels == c, :, :, 2 * c : 2 * c + 2] += 2
    return Images(images, labels)


def measured(bench):
    splits, counts = {"test": data(12, 2), "validation": data(8, 3)}, Confusion()
    rows = evaluate.measure(bench, RECIPE, data(16, 1), splits, 3, 2, counts).rows
    return [rows, counts.pairs.tolist()]


def measured_uneven(bench):
    return evaluate.measure(bench, RECIPE, data(16, 1), {"test": data(9, 2)}, 2).rows


def selected(bench, test_all=True):
    snapshots = [
        evaluate.Snapshot(n, data(16, n), replace(RECIPE, lr=0.1 / n)) for n in (1, 2, 3, 4)
    ]
    chosen = evaluate.select(bench, snapshots, data(8, 3), data(12, 2), 2, test_all)
    return chosen.rows


def selected_on_held_out(bench):
    return selected(bench, test_all=False)


def robustness(bench):
    images = data(8, 1)
    labels = torch.rand(8, CLASSES, generator=torch.manual_seed(0)).softmax(1)
    soft = Images(images.images, labels.to(images.device))
    random = [data(8, seed).images for seed in (5, 6)]
    return robust.measure(bench, RECIPE, soft, random, data(12, 2), "flip").rows


def attacked(bench):
    judged = [data(5, 8), data(7, 9)]
    return [each.tolist() for each in privacy.losses(bench, RECIPE, data(16, 1), judged, 3)]


def searched(bench):
    grid = [{**OPTIONS, "width": width, "pooling": "max"} for width in (2, 3, 4)]
    network = {"name": "ConvNet", "channels": 1, "size": 8, "classes": CLASSES}
    specs = search.specs(network, grid)
    return search.train(bench, specs, RECIPE, data(16, 1), {"test": data(12, 2)}, 2).rows


def learned(bench, strategy, replay=None):
    rows, networks = continual.learn(
        bench, RECIPE, strategy, data(24, 1), data(12, 2), GROUPS, 2, replay
    )
    tensors, header = networks.packed()
    return [rows.rows, {name: value.tolist() for name, value in tensors.items()}, header]


def finetuned(bench):
    return learned(bench, "finetune")


def joint(bench):
    return learned(bench, "joint")


def replayed(bench):
    return learned(bench, "replay", Replay(data(8, 7), 4))


def learned_afterwards(bench):
    _, networks = continual.learn(
        replace(bench, ledger=Ledger(), progress=lambda epochs: None),
        RECIPE,
        "finetune",
        data(24, 1),
        data(12, 2),
        GROUPS,
        2,
    )
    memory = data(16, 7)
    return continual.afterwards(bench, RECIPE, memory, networks, data(12, 2), GROUPS).rows


class Interrupted(Checkpoint):
    """A checkpoint that is due at every step, and whose job ends at the save that it is given."""

    def __init__(self, path, at):
        super().__init__(path, {"job": 1}, every=0.0)
        self.left = at

    def save(self, tensors, values, note):
        super().save(tensors, values, note)
        self.left -= 1
        if not self.left:
            raise InterruptedError


def bench_with(ledger, reported):
    return Bench(
        network=NETWORK,
        stream=lambda *identity: streams.generator(0, *identity),
        compute=Compute("float32", "off"),
        progress=reported.append,
        flip=True,
        ledger=ledger,
    )


JOBS = [
    measured,
    measured_uneven,
    selected,
    selected_on_held_out,
    robustness,
    attacked,
    searched,
    finetuned,
    joint,
    replayed,
    learned_afterwards,
]


def run_interrupted(job, path, at):
    """Run a job that is interrupted at each ``at``-th save until it is done. Return what it gave,
    the epochs that the last run reported, and how often it was interrupted."""
    for times in range(1000):
        reported = []
        try:
            return job(bench_with(Ledger(Interrupted(path, at)), reported)), reported, times
        except InterruptedError:
            pass
    raise AssertionError("the job makes no headway")


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_it_resumes_with_the_same_bits(tmp_path, job, at):
    epochs = []
    whole = job(bench_with(Ledger(), epochs))
    again, reported, times = run_interrupted(job, tmp_path / "state.safetensors", at)
    assert json.dumps(again, sort_keys=True) == json.dumps(whole, sort_keys=True)
    assert sum(reported) == sum(epochs), "each epoch is reported once, those from before too"
    assert times >= 12 // at


@pytest.mark.parametrize("job", [measured, selected_on_held_out], ids=lambda job: job.__name__)
def test_stacks_of_several_resume_with_the_same_bits(tmp_path, job, monkeypatch):
    """As on a device that gains from them; the job resumes with the stack that it had, where there
    is room for another by then."""
    sizes = iter([2] * 8 + [1] * 1000)
    whole = job(bench_with(Ledger(), []))
    for module in (evaluate, stacks):
        monkeypatch.setattr(module, "stack_size", lambda *_: next(sizes))
    again, _, _ = run_interrupted(job, tmp_path / "state.safetensors", 2)
    if job is measured:
        (again, counts), (whole, expected) = again, whole
        assert counts == expected
    values = [
        {json.dumps({**row, "value": 0}, sort_keys=True): row["value"] for row in rows}
        for rows in (again, whole)
    ]
    assert values[0] == pytest.approx(values[1]) and len(values[0]) == len(again)


def test_a_finished_training_is_not_made_again(tmp_path, monkeypatch):
    path, trained = tmp_path / "state.safetensors", []
    train = evaluate.train

    def counting(bench, recipe, images, models, **named):
        trained.append(models)
        return train(bench, recipe, images, models, **named)

    monkeypatch.setattr(evaluate, "train", counting)
    # Three models of six steps each; a network's end is a save as its steps are, but for the last.
    with pytest.raises(InterruptedError):
        measured(bench_with(Ledger(Interrupted(path, 8)), []))
    assert trained == [range(1), range(1, 2)]
    trained.clear()
    measured(bench_with(Ledger(Interrupted(path, 0)), []))
    assert trained == [range(1, 2), range(2, 3)]


def test_tensors_that_no_later_training_needs_are_not_kept(tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(InterruptedError):
        finetuned(bench_with(Ledger(Interrupted(path, 24)), []))
    tensors, _ = Checkpoint(path, {"job": 1}).load()
    of_calls = {name.split(".")[1] for name in tensors if name.startswith("done.")}
    # The first network is needed as it was after its last stage, the third, the second after the
    # last that it finished; at the save that ends that stage, the one before it is still there.
    assert of_calls == {"2", "4", "5"}
