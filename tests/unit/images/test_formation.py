"""Images of which each holds several: decoded and encoded against plain loops, and the way back."""

import pytest
import torch
from torch.nn import functional

from distillery.images import formation


def looped(images, factor):
    """Decode image by image and part by part."""
    high, wide = images.shape[2] // factor, images.shape[3] // factor
    return torch.stack(
        [
            functional.interpolate(
                image[None, :, down * high : (down + 1) * high, right * wide : (right + 1) * wide],
                size=images.shape[2:],
                mode="bilinear",
                align_corners=False,
            )[0]
            for image in images
            for down in range(factor)
            for right in range(factor)
        ]
    )


@pytest.mark.parametrize(("shape", "factor"), [((3, 2, 8, 8), 2), ((2, 1, 6, 9), 3)])
def test_each_part_is_scaled_up_to_an_image(shape, factor):
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    decoded = formation.decode(images, factor)
    assert torch.equal(decoded, looped(images, factor))
    by_class = images.view(1, *shape)
    assert torch.equal(formation.decode(by_class, factor)[0], decoded)
    assert formation.decode(images, 1) is images


def test_its_gradient_is_that_of_finite_differences():
    images = torch.randn(
        2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    weights = torch.randn(8, 1, 4, 4, dtype=torch.float64, generator=torch.Generator())
    leaf = images.clone().requires_grad_()
    (found,) = torch.autograd.grad((formation.decode(leaf, 2) * weights).sum(), leaf)
    step = torch.eye(images.numel(), dtype=torch.float64).view(-1, *images.shape) * 1e-6
    expected = [
        ((formation.decode(images + d, 2) - formation.decode(images - d, 2)) * weights).sum() / 2e-6
        for d in step
    ]
    torch.testing.assert_close(found.flatten(), torch.stack(expected))


def test_encoded_images_lie_in_the_parts_that_are_decoded():
    images = torch.randn(8, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    stored = formation.encode(images, 2)
    assert stored.shape == (2, 2, 6, 8) and formation.encode(images, 1) is images
    expected = functional.interpolate(images, scale_factor=0.5, mode="area")
    torch.testing.assert_close(stored[1, :, 3:, :4], expected[6])
    flat = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 4, 4)
    torch.testing.assert_close(formation.decode(formation.encode(flat, 2), 2), flat)
