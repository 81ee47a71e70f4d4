"""A set as a folder of pictures, and as a dataset hub takes it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import distillery
from distillery.errors import UserError
from distillery.sets import folder
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, files
from tests.unit.sets.toys import CLASSES, front, levels, made, rows_of


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_hold_the_pixels_bit_for_bit(tmp_path, channels):
    folder.image_folder(made(channels), tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    names = (
        "2_a_b/0",
        "2_a_b/1",
        "0_T-shirt_top/2",
        "0_T-shirt_top/3",
        "1_ankle_boot/4",
        "1_ankle_boot/5",
    )
    assert [row["file"] for row in rows] == [f"{name}.png" for name in names]
    for row, expected in zip(rows, levels(channels)):
        with Image.open(tmp_path / "out" / row["file"]) as picture:
            assert picture.mode == {1: "L", 3: "RGB"}[channels]
            assert np.array_equal(
                np.asarray(picture).reshape(16, 16, channels), expected.permute(1, 2, 0).numpy()
            )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "0_T-shirt_top",
        "1_ankle_boot",
        "2_a_b",
        "README.md",
        "labels.csv",
        "set.json",
    ]


def test_labels_of_hard_labels(tmp_path):
    folder.image_folder(made(), tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    assert list(rows[0]) == ["file", "class", "name"]
    assert [(row["class"], row["name"]) for row in rows] == [
        (str(label), CLASSES[label]) for label in (2, 2, 0, 0, 1, 1)
    ]


def test_soft_labels_come_back_to_the_last_bit_and_stand_under_their_likeliest_class(tmp_path):
    synthetic = made(soft=True)
    folder.image_folder(synthetic, tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    assert list(rows[0]) == [
        "file",
        "class",
        "name",
        "probability_0",
        "probability_1",
        "probability_2",
    ]
    found = torch.tensor(
        [[float(row[f"probability_{index}"]) for index in range(3)] for row in rows],
        dtype=torch.float32,
    )
    assert torch.equal(found, synthetic.labels)
    assert [int(row["class"]) for row in rows] == synthetic.labels.argmax(1).tolist()


def test_numbers_of_pictures_sort_as_the_set_does(tmp_path):
    few = made()
    many = SyntheticSet(
        few.images[[0] * 101], torch.zeros(101, dtype=torch.int64), None, few.header
    )
    folder.image_folder(many, tmp_path)
    assert sorted(path.name for path in (tmp_path / "0_T-shirt_top").iterdir())[::50] == [
        "000.png",
        "050.png",
        "100.png",
    ]


def test_the_header_stands_beside_the_pictures(tmp_path):
    synthetic = made()
    folder.image_folder(synthetic, tmp_path / "out")
    found = json.loads((tmp_path / "out/set.json").read_text(encoding="utf-8"))
    assert found == {
        **synthetic.header,
        "step_size": 0.03,
        "sha256": artefact.digest(synthetic.tensors()),
    }
    assert found["sha256"] in (tmp_path / "out/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "classes, expected",
    [
        (["a/b", "a b", "a_b"], ["a_b", "a_b_1", "a_b_2"]),
        (["cat", "Cat", "cat_1"], ["0_cat", "1_Cat_1", "2_cat_1_2"]),
        (["../..", "", "/"], ["class", "class_1", "class_2"]),
        (["con", "README.md", "été"], ["0_con_0", "1_README_md", "2_été"]),
        (["1", "0", "2"], ["0_1", "1_0", "2_2"]),
        (["x" * 200, "x" * 201, ".hidden"], ["0_" + "x" * 60, "1_" + "x" * 60 + "_1", "2_hidden"]),
    ],
)
def test_names_of_classes_become_safe_and_stay_apart(tmp_path, classes, expected):
    assert folder.safe_names(classes) == expected
    folder.image_folder(made(classes=classes), tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    assert {(int(row["class"]), row["name"], row["file"].split("/")[0]) for row in rows} == {
        (i, classes[i], expected[i]) for i in range(3)
    }
    assert all((tmp_path / "out" / row["file"]).is_file() for row in rows)


@pytest.fixture(scope="module")
def torchvision_s():
    """Torchvision's reader. Its import takes longer than the rest of this file."""
    from torchvision.datasets import ImageFolder

    return ImageFolder


@pytest.mark.slow
@pytest.mark.parametrize(
    "classes",
    [
        list(map(str, range(12))),
        [f"n{7 * n % 12}" for n in range(12)],
        sorted("abcdefghijkl"),
        list("ABcdefghijKl"),
    ],
)
def test_torchvision_numbers_the_classes_as_the_table_does(tmp_path, torchvision_s, classes):
    few = made()
    labels = torch.arange(24) * 5 % 12
    folder.image_folder(
        SyntheticSet(
            few.images[torch.arange(24) % 6], labels, None, {**few.header, "classes": classes}
        ),
        tmp_path / "out",
    )
    theirs = torchvision_s(tmp_path / "out")
    numbers = {
        Path(path).relative_to(tmp_path / "out").as_posix(): number
        for path, number in theirs.samples
    }
    assert numbers == {
        row["file"]: int(row["class"]) for row in rows_of(tmp_path / "out/labels.csv")
    }
    assert sorted(numbers.values()) == sorted(labels.tolist())


@pytest.mark.slow
def test_a_class_without_images_keeps_its_number_for_torchvision(tmp_path, torchvision_s):
    few = made()
    folder.image_folder(
        SyntheticSet(few.images, torch.tensor([2, 2, 0, 0, 2, 2]), None, few.header),
        tmp_path / "out",
    )
    with pytest.raises(
        FileNotFoundError, match="1_ankle_boot"
    ):  # rather than numbering the others again
        torchvision_s(tmp_path / "out")
    assert {number for _, number in torchvision_s(tmp_path / "out", allow_empty=True).samples} == {
        0,
        2,
    }


def test_images_that_are_no_pictures_are_refused(tmp_path):
    space = {"kind": "channel", "mean": [0] * 5, "std": [1] * 5}
    synthetic = SyntheticSet(
        torch.zeros(3, 5, 4, 4), torch.arange(3), None, {**made().header, "normalization": space}
    )
    for form in (folder.image_folder, folder.hub):
        with pytest.raises(UserError, match="1 to 4 channels, not 5"):
            form(synthetic, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_hubs_copy_is_the_set_and_brings_a_picture(tmp_path):
    made(soft=True).save(tmp_path / "set.safetensors")
    loaded = distillery.load(tmp_path / "set.safetensors")
    folder.hub(loaded, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "data",
        "synthetic.png",
        "synthetic.safetensors",
    ]
    assert (tmp_path / "out/synthetic.safetensors").read_bytes() == (
        tmp_path / "set.safetensors"
    ).read_bytes()
    again = distillery.load(tmp_path / "out/synthetic.safetensors")
    assert (
        torch.equal(again.images, loaded.images)
        and torch.equal(again.labels, loaded.labels)
        and again.step_size == loaded.step_size
    )
    with Image.open(tmp_path / "out/synthetic.png") as picture:
        assert picture.size == (
            2 * (64 + 2) - 2,
            3 * (64 + 2) - 2,
        )  # a row a class, two images each


@pytest.mark.slow
@pytest.mark.parametrize("channels, soft", [(1, False), (3, True)])
def test_datasets_loads_every_row_of_the_hubs_copy_with_its_names_and_asks_no_network(
    tmp_path, channels, soft
):
    synthetic = made(channels, soft=soft)
    folder.hub(synthetic, tmp_path / "out")
    code = """
import json, socket, sys
def refused(*_):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
import numpy, datasets
rows = datasets.load_dataset(sys.argv[1])
assert list(rows) == ["train"], rows
rows = rows["train"]
told = {"label": rows["label"][:], "names": rows.features["label"].names}
told["images"] = [numpy.asarray(image).tolist() for image in rows["image"]]
told |= {"kind": type(rows.features["image"]).__name__, "columns": rows.column_names}
told["soft"] = rows["probabilities"][:] if "probabilities" in rows.column_names else None
print(json.dumps(told))
"""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (
        told["kind"] == "Image" and told["names"] == CLASSES and told["label"] == [2, 2, 0, 0, 1, 1]
    )
    images = torch.tensor(told["images"], dtype=torch.uint8)
    assert torch.equal(
        images[:, None] if channels == 1 else images.permute(0, 3, 1, 2), synthetic.pixels()
    )
    assert told["columns"] == ["image", "label", *["probabilities"] * soft]
    assert not soft or torch.equal(
        torch.tensor(told["soft"], dtype=torch.float32), synthetic.labels
    )


def test_without_pyarrow_a_line_says_what_to_install_and_pictures_need_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pyarrow is needed: pip install pyarrow") as told:
        folder.hub(made(), tmp_path / "out")
    assert "\n" not in str(told.value) and not (tmp_path / "out").exists()
    folder.image_folder(made(), tmp_path / "out")


def test_classes_of_one_name_are_distinguished_for_a_hub(tmp_path):
    folder.hub(made(classes=["a", "b", "a"]), tmp_path / "out")
    found, _ = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert found["dataset_info"]["features"][1]["dtype"]["class_label"]["names"] == {
        "0": "a (0)",
        "1": "b",
        "2": "a (2)",
    }


@pytest.mark.parametrize("form", [folder.image_folder, folder.hub])
def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(tmp_path, form):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(UserError, match="out: is not empty"):
        form(made(), tmp_path / "out")
    with pytest.raises(UserError, match="mine: is a file"):
        form(made(), tmp_path / "out/mine")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/mine",
    ]
    assert (tmp_path / "out/mine").read_text() == "mine"


@pytest.mark.parametrize("form", [folder.image_folder, folder.hub])
def test_an_empty_folder_is_filled_and_an_export_gives_the_same_bytes_again(tmp_path, form):
    (tmp_path / "a").mkdir()
    digests = []
    for name in ("a", "deeper/b"):
        form(made(), tmp_path / name)
        found = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append(
            [
                (path.relative_to(tmp_path / name), hashlib.sha256(path.read_bytes()).hexdigest())
                for path in found
            ]
        )
    assert digests[0] == digests[1] and len(digests[0]) > 2
    # As readable as the usual mask makes a folder.
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "deeper").stat().st_mode


@pytest.mark.parametrize("form", [folder.image_folder, folder.hub])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch, form, existing):
    if existing:
        (tmp_path / "out").mkdir()
    wrote = []

    def fail(path, text):
        wrote.extend(Path(path).parent.rglob("*.png"))
        raise OSError("no space left")

    monkeypatch.setattr(files, "write_text", fail)
    with pytest.raises(OSError, match="no space left"):
        form(made(), tmp_path / "out")
    assert wrote  # it had begun
    assert [path.name for path in tmp_path.rglob("*")] == ["out"] * existing
