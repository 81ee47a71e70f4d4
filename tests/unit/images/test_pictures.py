"""Images of one to four channels as pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.errors import UserError
from distillery.images import pictures


@pytest.mark.parametrize("channels, mode", [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_a_picture_holds_every_channel_without_loss(channels, mode, tmp_path):
    pixels = torch.arange(channels * 6 * 5, dtype=torch.uint8).view(channels, 6, 5)
    pictures.picture(pixels).save(tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as read:
        assert read.mode == mode
        bands = np.asarray(read).reshape(6, 5, channels)
    assert torch.equal(torch.tensor(bands).permute(2, 0, 1), pixels)


def test_more_channels_are_no_picture():
    for show in (pictures.picture, pictures.visible):
        with pytest.raises(UserError, match="1 to 4 channels, not 5"):
            show(torch.zeros(5, 4, 4, dtype=torch.uint8))


@pytest.mark.parametrize("channels", [2, 4])
def test_a_grid_of_rectangles_has_a_row_a_class_and_no_alpha(channels, tmp_path):
    pixels = torch.full((6, channels, 8, 16), 200, dtype=torch.uint8)
    pictures.save_grid(tmp_path / "grid.png", pixels, torch.tensor([0, 0, 0, 1, 1, 2]))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.mode == "RGB" and grid.size == (3 * 66 - 2, 3 * 34 - 2)
        assert grid.getpixel((0, 0)) == ((200, 200, 0) if channels == 2 else (200, 200, 200))


def test_a_grid_stops_at_a_hundred_classes(tmp_path):
    pixels = torch.zeros(150, 1, 8, 8, dtype=torch.uint8)
    pictures.save_grid(tmp_path / "grid.png", pixels, torch.arange(150))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.height == pictures.CLASSES * 66 - 2
