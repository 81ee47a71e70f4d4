"""A set in Python: pixels, spaces, recipes, loading."""

import subprocess
import sys

import pytest
import torch

import distillery
from distillery.errors import UserError
from distillery.recipe import Recipe
from tests.unit.sets.toys import MEAN, PROTOCOL, ROOT, STD, levels, made


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_the_inverse_of_normalise_for_every_level(channels):
    found = made(channels)
    assert torch.equal(found.pixels(), levels(channels))
    again = found.normalise(levels(channels))
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, found.images, rtol=0, atol=1e-6)


def test_pixels_are_clipped_and_rounded():
    found = made()
    found.images = torch.full((6, 1, 4, 4), 100.0)
    found.images[0] = -100
    found.images[1] = (0.6 / 255 - MEAN[1][0]) / STD[1][0]
    assert found.pixels().flatten(1).unique(dim=1).flatten().tolist() == [0, 1, 255, 255, 255, 255]


@pytest.mark.parametrize(
    "images, message",
    [
        (
            torch.zeros(2, 1, 4, 4),
            r"float32 of shape \(2, 1, 4, 4\); uint8 \(N, 1, H, W\) is needed",
        ),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), r"shape \(2, 3, 4, 4\)"),
        (torch.zeros(1, 4, 4, dtype=torch.uint8), r"shape \(1, 4, 4\)"),
    ],
)
def test_images_that_the_set_cannot_normalise_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        made().normalise(images)


@pytest.mark.parametrize(
    "normalization",
    [None, {"kind": "other", "mean": [0.1], "std": [0.3]}, {"kind": "channel", "mean": [0.1]}],
)
def test_a_normalisation_that_is_not_known_is_refused_rather_than_guessed(normalization):
    found = made(normalization=normalization)
    for convert in (found.pixels, lambda: found.normalise(levels())):
        with pytest.raises(UserError, match="its normalization is"):
            convert()


def test_the_recipe_is_the_sets_protocol_with_its_own_rate():
    fixed = {**PROTOCOL, "lr": 0.5}
    expected = {
        "epochs": 20,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch": 4,
        "decay": "half",
        "augment": "none",
    }
    assert made().recipe() == Recipe(lr=0.03, **expected)
    assert made(step_size=None).recipe() == Recipe(lr=0.01, **expected)
    assert made(protocol=fixed).recipe() == Recipe(lr=0.5, **expected)
    with pytest.raises(UserError, match="brings no protocol"):
        made(protocol=None).recipe()
    with pytest.raises(UserError, match="lacks 'momentum'"):
        made(protocol={"epochs": 1, "lr": 0.1}).recipe()


def test_a_set_is_loaded_in_a_line_and_a_missing_or_damaged_one_is_reported_without_a_study(
    tmp_path,
):
    made().save(tmp_path / "set.safetensors")
    found = distillery.load(tmp_path / "set.safetensors")
    assert torch.equal(found.images, made().images) and found.recipe().lr == 0.03
    with pytest.raises(UserError, match=r"none\.safetensors: is missing; give the path") as told:
        distillery.load(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "set.safetensors").read_bytes()[:-9])
    with pytest.raises(
        UserError, match=r"cut\.safetensors: cannot be read .* get it again"
    ) as told_of_cut:
        distillery.load(tmp_path / "cut.safetensors")
    assert "snakemake" not in f"{told.value}{told_of_cut.value}"


def test_importing_the_package_loads_neither_torch_nor_anything_else_that_is_large():
    code = (
        "import sys, distillery; from distillery import load; print(sorted({'torch', 'numpy', "
        "'pandas'} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
