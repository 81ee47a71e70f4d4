"""Mixup and CutMix on images whose pixels tell where they come from."""

import pytest
import torch

from distillery.training import mixing


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=6, shape=(2, 8, 12)):
    """Image n holds n everywhere; its label is its number."""
    numbers = torch.arange(count)
    return numbers.float().view(-1, 1, 1, 1).expand(-1, *shape).clone(), numbers


@pytest.mark.parametrize("seed", range(5))
def test_mixup_mixes_images_and_labels_by_one_share(seed):
    x, y = images()
    mixed, labels = mixing.mixed("mixup", x, y, 6, generator(seed))
    assert torch.allclose(labels.sum(1), torch.ones(6))
    # A pixel is the mean of the two numbers under the label, and every pixel is the same.
    expected = labels @ torch.arange(6.0)
    assert torch.allclose(mixed, expected.view(-1, 1, 1, 1).expand_as(mixed), atol=1e-5)
    own = labels.diagonal()
    assert len(own[own < 1].round(decimals=4).unique()) <= 1, "one share for all"


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_sets_one_box_and_its_label_by_its_area(seed):
    x, y = images()
    before = x.clone()
    mixed, labels = mixing.mixed("cutmix", x, y, 6, generator(seed))
    assert torch.equal(x, before), "the step's own images stay"
    changed = mixed != before
    boxes = {tuple(each.nonzero()[:, 1].unique().tolist()) for each in changed if each.any()}
    assert len(boxes) <= 1, "one box for all"
    for n in range(6):
        left = (mixed[n] == n).float().mean()
        assert float(labels[n, n]) == pytest.approx(float(left), abs=1e-6)
        other = mixed[n].flatten()[(mixed[n] != n).flatten()].unique()
        assert len(other) <= 1
        if len(other):
            assert float(labels[n, int(other)]) == pytest.approx(1 - float(left), abs=1e-6)


def test_soft_labels_are_mixed_as_they_are():
    x, _ = images()
    soft = torch.rand(6, 4, generator=generator(3)).softmax(1)
    mixed, labels = mixing.mixed("mixup", x, soft, 4, generator(1))
    drawn = generator(1)
    share = torch.rand((), generator=drawn)
    torch.rand(2, generator=drawn)
    partner = torch.randperm(6, generator=drawn)
    assert torch.allclose(labels, share * soft + (1 - share) * soft[partner])
    assert torch.allclose(mixed, share * x + (1 - share) * x[partner])


@pytest.mark.parametrize(
    "share, centre, rows, columns",
    [
        (0.75, (0.5, 0.5), slice(2, 6), slice(3, 9)),  # a quarter of the area
        (0.75, (0.0, 0.99), slice(0, 2), slice(8, 12)),  # cut at the edges
        (1.0, (0.5, 0.5), slice(4, 4), slice(6, 6)),
        (0.0, (0.5, 0.5), slice(0, 8), slice(0, 12)),
    ],
)
def test_a_box_has_the_image_s_proportions_and_the_share_that_is_taken(
    share, centre, rows, columns
):
    assert mixing.box((8, 12), share, centre) == (rows, columns)
