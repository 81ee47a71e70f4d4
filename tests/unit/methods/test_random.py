"""Random images are real ones of their class."""

import torch

from distillery.methods import random as random_method
from tests.unit.methods.conftest import blobs, run


def test_random_chooses_real_images_of_each_class():
    images, labels = blobs()
    result, recorder = run(random_method, ipc=5)
    numbers = [(images == row).flatten(1).all(1).nonzero().item() for row in result.images]
    assert len(set(numbers)) == 15 and torch.equal(labels[numbers], result.labels)
    assert torch.equal(recorder.images[0], result.images)
    assert torch.equal(run(random_method, ipc=5)[0].images, result.images)
