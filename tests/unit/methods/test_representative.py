"""Real images that represent their class: which are chosen, for how long, and by which methods."""

import pytest
import torch

from distillery.methods import _representative, base, dc, dm
from tests.unit.methods.conftest import CLASSES, blobs, run, settings_of, task_of


def batches(number=4, seed=0, data=None, **settings):
    """The batches of a task whose features are its pixels, and what was asked of its network."""
    task = task_of(
        dm, seed=seed, data=data, batch_real=number, real_images="representative", **settings
    )
    asked = []

    def network(t):
        asked.append(t)
        return {"scale": torch.tensor(float(t))}

    index = base.ClassIndex(task.labels, CLASSES)
    embed = lambda params, images: params["scale"] * images.flatten(1)  # noqa: E731
    return _representative.RealBatches(task, index, embed, network), task, asked


@pytest.mark.slow
def test_of_each_cluster_the_row_nearest_to_its_centre_is_taken():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    rows = torch.cat([centre + torch.randn(9, 2, generator=generator) for centre in centres])
    shuffled = torch.randperm(27, generator=generator)
    expected = set()
    for part in rows.split(9):
        best = part[(part - part.mean(0)).square().sum(1).argmin()]
        expected.add(tuple(best.tolist()))
    chosen = _representative.nearest_to_centres(rows[shuffled], 3, 0)
    assert {tuple(row) for row in rows[shuffled][chosen].tolist()} == expected
    assert chosen.tolist() == sorted(set(chosen.tolist()))


@pytest.mark.slow
def test_a_choice_holds_for_its_iterations_and_is_made_by_the_network_of_the_first():
    made, task, asked = batches(renew_every=3)
    generator = torch.Generator()
    given = [made.draw(t, generator) for t in range(1, 8)]
    assert asked == [1, 4, 7]
    assert all(torch.equal(given[t][0], given[t - t % 3][0]) for t in range(7))
    assert not torch.equal(given[0][0], given[3][0]), "clusters begin elsewhere each time"
    index, weights = given[0]
    assert index.shape == weights.shape == (CLASSES, 4) and bool((weights == 0.25).all())
    for c in range(CLASSES):
        assert set(task.labels[index[c]].tolist()) == {c} and len(set(index[c].tolist())) == 4


@pytest.mark.slow
def test_a_run_that_resumes_within_the_iterations_of_a_choice_makes_it_again():
    generator = torch.Generator()
    whole, resumed = batches(renew_every=3)[0], batches(renew_every=3)[0]
    for t in range(1, 6):
        expected = whole.draw(t, generator)
    assert torch.equal(resumed.draw(5, generator)[0], expected[0])


def test_all_images_of_a_small_class_are_taken():
    images, labels = blobs()
    kept = torch.cat([torch.nonzero(labels != 1).flatten(), torch.nonzero(labels == 1)[:2, 0]])
    made, task, _ = batches(number=3, data=(images[kept], labels[kept]))
    index, weights = made.draw(1, torch.Generator())
    assert weights[1].tolist() == [0.5, 0.5, 0.0]
    assert set(index[1].tolist()) == set(torch.nonzero(task.labels == 1).flatten().tolist())


def test_random_images_are_drawn_as_ever():
    task = task_of(dm, batch_real=5)
    index = base.ClassIndex(task.labels, CLASSES)
    made = _representative.RealBatches(task, index, None, None)
    ours, theirs = (
        source(torch.Generator().manual_seed(1))
        for source in (lambda g: made.draw(3, g), lambda g: index.draw(5, g))
    )
    assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])


@pytest.mark.slow
@pytest.mark.parametrize("method", [dc, dm])
def test_a_method_learns_from_them(method):
    changes = {"iterations": 6, "batch_real": 4}
    plain, _ = run(method, **changes)
    represented, noted = run(method, **changes, real_images="representative", renew_every=2)
    assert bool(torch.isfinite(represented.images).all()) and noted.losses[-1] > 0
    assert not torch.equal(plain.images, represented.images)
    assert settings_of(method)["real_images"] == "random"
