"""Near-copies and membership, on made images and losses where the answer is known."""

import math

import pytest
import torch

from distillery import streams
from distillery.compute.device import Compute
from distillery.evaluation import privacy
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.training.train import Bench


def noise(count, seed, size=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, size, size), generator=generator, dtype=torch.uint8)


def plain(images, others):
    """The nearest by a plain loop in double precision, all distances sorted."""
    found = []
    for image in images.double() / 255:
        distances = ((others.double() / 255 - image) ** 2).sum((1, 2, 3)).sqrt()
        ordered = distances.sort().values[: privacy.NEIGHBOURS + 1]
        found.append(
            (int(distances.argmin()), float(ordered[0]), float(ordered[0] / ordered[1:].mean()))
        )
    return [torch.tensor(each) for each in zip(*found)]


def test_the_nearest_is_that_of_a_plain_loop_whatever_the_chunks(monkeypatch):
    images, others = noise(23, 1), noise(311, 2)
    rows, distances, ratios = plain(images, others)
    for chunks in ((4096, 256), (7, 5), (60, 23)):
        monkeypatch.setattr(privacy, "_TO", chunks[0])
        monkeypatch.setattr(privacy, "_FROM", chunks[1])
        found = privacy.nearest(images, others)
        assert torch.equal(found.rows, rows)
        torch.testing.assert_close(found.distances, distances.float(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.ratios, ratios.float(), rtol=1e-5, atol=1e-6)


def test_a_single_other_image_is_the_nearest():
    found = privacy.nearest(noise(3, 1), noise(1, 2))
    assert found.rows.tolist() == [0, 0, 0] and found.ratios.tolist() == [1, 1, 1]


def test_an_exact_copy_and_one_that_is_hardly_changed_are_flagged_and_far_images_are_not():
    training, reference = noise(500, 1), noise(300, 2)
    copy, hardly = training[77:78], training[201:202].clone()
    hardly[0, 0, 0, 0] ^= 8
    # A smooth image lies nearer to all than any sharp one does, and is a copy of none.
    smooth = torch.full_like(copy, 128)
    images = torch.cat([copy, hardly, noise(3, 3), smooth])
    found = privacy.nearest(images, training)
    compared = privacy.nearest(reference, training)
    assert found.rows[:2].tolist() == [77, 201] and found.distances[0] == 0
    assert privacy.copies(found, compared).tolist() == [True, True, False, False, False, False]
    assert found.distances[-1] < compared.distances.min()


def test_an_exact_copy_is_flagged_even_where_test_images_are_copies():
    training = noise(100, 1)
    found, compared = (
        privacy.nearest(images, training) for images in (training[:2], training[:50])
    )
    assert privacy.copies(found, compared).all()


def test_the_area_is_1_where_every_member_has_the_lower_loss_and_0_where_none_has():
    low, high = torch.linspace(0, 1, 40), torch.linspace(2, 3, 30)
    assert privacy.attack(low, high) == (1, 1, 1)
    assert privacy.attack(high, low) == (0, 0, 0)


def test_the_area_is_a_half_where_members_are_as_others():
    losses = torch.linspace(0, 1, 50)
    area = privacy.attack(losses, losses)
    assert area.value == pytest.approx(0.5) and area.low < 0.45 < 0.55 < area.high
    # All alike: nothing tells them apart, and nothing varies.
    assert privacy.attack(torch.ones(9), torch.ones(7)) == (0.5, 0.5, 0.5)


def test_area_and_interval_follow_their_definitions():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(60, generator=generator), torch.randn(45, generator=generator) + 0.5
    ours[:9], theirs[:5] = 0.25, 0.25  # ties
    wins = (ours[:, None] < theirs).double() + 0.5 * (ours[:, None] == theirs).double()
    area = privacy.attack(ours, theirs)
    assert area.value == pytest.approx(float(wins.mean()))
    variance = wins.mean(1).var() / 60 + wins.mean(0).var() / 45
    assert area.high - area.value == pytest.approx(1.959964 * math.sqrt(float(variance)))
    assert area.value - area.low == pytest.approx(area.high - area.value)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator, covered = torch.Generator().manual_seed(1), 0
    for _ in range(400):
        area = privacy.attack(*torch.randn(2, 80, generator=generator))
        covered += area.low <= 0.5 <= area.high
    assert 0.91 <= covered / 400 <= 0.98


@pytest.mark.slow
def test_networks_have_the_lower_losses_on_what_they_learned():
    network = NetworkSpec("ConvNet", 1, 8, 3, {"width": 8, "depth": 1})
    compute = Compute("float32", "off")
    bench = Bench(network=network, stream=lambda *n: streams.generator(0, *n), compute=compute)
    labels = torch.arange(24) % 3
    ours, theirs = (Images(noise(24, seed, size=8) / 255.0, labels) for seed in (1, 2))
    recipe = Recipe(epochs=60, lr=0.1, batch=8)
    found = privacy.losses(bench, recipe, ours, [ours, theirs], 2)
    assert [len(losses) for losses in found] == [24, 24]
    (area, *_) = (row["value"] for row in privacy.judged("members", *found).rows)
    assert area > 0.9
    # The sum over two networks is that of each.
    one = privacy.losses(bench, recipe, ours, [theirs], 1)[0]
    assert (found[1] > one).all()


def test_a_single_image_is_no_attack():
    assert privacy.judged("nearest", torch.ones(1), torch.ones(9)).rows == []
