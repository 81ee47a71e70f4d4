"""Herding follows the mean greedily."""

import pytest
import torch

from distillery.methods import (
    herding,
)
from tests.unit.methods.conftest import blobs, run


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
    images, labels = blobs()
    result, _ = run(herding, ipc=4, features=features)
    numbers = [(images == row).flatten(1).all(1).nonzero().item() for row in result.images]
    assert len(set(numbers)) == 12 and torch.equal(labels[numbers], result.labels)
    if features == "pixels":
        of_class = (labels == 0).nonzero()[:, 0]
        assert numbers[:4] == of_class[herding.herd(images[of_class].flatten(1), 4)].tolist()
