"""`distillery check`: whether a set can be used, and how."""

import re

import pytest
import torch

from distillery import __main__ as shell
from tests.unit.sets.toys import made


def checked(capsys, *words):
    """The status, and (level, text) by the thing that was looked at."""
    status = shell.main(["check", *map(str, words)])
    lines = capsys.readouterr().out.splitlines()
    rows = (re.fullmatch(r"(\w+) +(\w+) +(.*)", line).groups() for line in lines)
    return status, {what: (level, text) for level, what, text in rows}


def test_a_set_that_is_whole_can_be_used_and_says_how(tmp_path, capsys):
    made().save(tmp_path / "synthetic.safetensors")
    for path in (tmp_path, tmp_path / "synthetic.safetensors"):
        status, found = checked(capsys, path)
        assert status == 0 and {level for level, _ in found.values()} == {"ok"}
    assert found["classes"][1] == "3, of 2 images each"
    assert "mean 0.1307 and std 0.3081; set.normalise(images)" in found["space"][1]
    assert "epochs 20; learning rate 0.03 (learned with the set)" in found["protocol"][1]
    assert found["licence"][1] == "of the images: MIT"


@pytest.mark.parametrize(
    ("change", "what", "level", "said"),
    [
        ({"protocol": None}, "protocol", "note", "none: train on it by a recipe of your own"),
        ({"licence": "not stated"}, "licence", "note", "of the images: not stated"),
        ({"normalization": {}}, "space", "bad", "does not say how the images were normalised"),
        (
            {"normalization": {"kind": "channel", "mean": [0.0], "std": [0.0]}},
            "space",
            "bad",
            "no such deviation exists",
        ),
        ({"classes": ["a", "b", "c", "d"]}, "classes", "bad", "no image of d, of 4"),
    ],
)
def test_what_a_set_lacks_is_reported(change, what, level, said, tmp_path, capsys):
    made(**change).save(tmp_path / "set.safetensors")
    status, found = checked(capsys, tmp_path / "set.safetensors")
    assert found[what][0] == level and said in found[what][1]
    assert status == (level == "bad")


def test_soft_labels_and_uneven_classes_are_reported(tmp_path, capsys):
    made(soft=True).save(tmp_path / "set.safetensors")
    assert "set.hard()" in checked(capsys, tmp_path / "set.safetensors")[1]["labels"][1]
    uneven = made()
    uneven.labels = torch.tensor([2, 2, 2, 0, 1, 1])
    uneven.save(tmp_path / "set.safetensors")
    status, found = checked(capsys, tmp_path / "set.safetensors")
    assert status == 0 and found["classes"] == ("note", "3, of 1 to 3 images each")


def test_a_file_of_others_is_described_and_cannot_be_used_as_it_is(tmp_path, capsys):
    torch.save(torch.rand(20, 1, 8, 8), tmp_path / "images.pt")
    assert shell.main(["check", str(tmp_path / "images.pt")]) == 1
    said = capsys.readouterr().out
    assert "pixels that were not normalised" in said and "`imported`" in said
    assert shell.main(["check", str(tmp_path / "none")]) == 1
    assert "is missing" in capsys.readouterr().err
