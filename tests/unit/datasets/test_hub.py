"""Images and labels in Parquet files, as dataset hubs keep them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from distillery.datasets import _hub, _prepare
from distillery.errors import UserError
from tests.unit.datasets import drawn

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

FEATURES = {
    "image": {"_type": "Image"},
    "label": {"_type": "ClassLabel", "names": ["ant", "bee", "cow"]},
}


def png(number):
    content = io.BytesIO()
    Image.fromarray(drawn.pixels(number)).save(content, "PNG")
    return content.getvalue()


def write(path, numbers, labels=None, features=FEATURES, **columns):
    """Write images of these numbers; each of the class `number % 3` unless said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "image": [{"bytes": png(number), "path": f"{number}.png"} for number in numbers],
        "label": [number % 3 for number in numbers] if labels is None else labels,
        **columns,
    }
    about = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    parquet.write_table(pyarrow.table(table).replace_schema_metadata(about), path, row_group_size=4)
    return path


def settings(**changes):
    return drawn.settings(kind="hub", **changes)


def scan(path, **changes):
    return _hub.scan("config: datasets.pets", {"path": str(path)}, settings(**changes))


def prepare(path, **changes):
    return _prepare.prepare(
        "pets",
        {"path": str(path)},
        settings(**changes),
        listing=scan(path, **changes).digest(),
        workers=3,
        progress=lambda total: lambda number: None,
    )


def refusal(path, **changes):
    with pytest.raises(UserError) as caught:
        scan(path, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parts_classes_and_pixels_are_those_of_the_files(tmp_path):
    write(tmp_path / "data/train-00000-of-00002.parquet", range(10))
    write(tmp_path / "data/train-00001-of-00002.parquet", range(10, 19))
    write(tmp_path / "data/test-00000-of-00001.parquet", range(20, 26))
    arrays = prepare(tmp_path)
    assert arrays.spec["classes"] == ["ant", "bee", "cow"] and arrays.source == "hub"
    assert (arrays.spec["train"], arrays.spec["test"]) == (19, 6)
    assert arrays.train_labels.tolist() == [number % 3 for number in range(19)]
    wanted = [drawn.pixels(number) for number in range(19)]
    assert np.array_equal(np.moveaxis(arrays.train_images, 1, 3), wanted)


def test_one_file_without_a_schema_of_a_hub_is_shared(tmp_path):
    names = ["eel", "fox"]
    path = write(
        tmp_path / "a.parquet", range(10), [names[number % 2] for number in range(10)], None
    )
    found = scan(path)
    assert found.classes == names and set(found.parts) == {""}
    assert prepare(path).spec["test"] == 2
    other = write(tmp_path / "b.parquet", range(6), features=None, kind=[0, 5, 10] * 2)
    assert scan(other, label="kind").classes == ["0", "5", "10"]


def test_rows_without_a_label_are_left_out_and_reported(tmp_path):
    path = write(tmp_path / "a.parquet", range(9), [0, 1, None, -1, 0, 1, 0, 1, 2])
    found = scan(path)
    assert found.notes == ["2 rows without a label left out"] and len(found.files) == 7
    made = prepare(path, classes=["ant", "bee"], test=0.34)
    assert np.array_equal(np.moveaxis(made.train_images[0], 0, 2), drawn.pixels(0))


def test_a_dataset_that_was_downloaded_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert "run `hf download --repo-type dataset some-one/pets` where there is" in refusal(
        "some-one/pets"
    )
    folder = tmp_path / "hub/datasets--some-one--pets"
    write(folder / "snapshots/abc/data/train-00000-of-00001.parquet", range(9))
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc\n", encoding="utf-8")
    assert len(scan("some-one/pets").files) == 9


def test_an_image_that_cannot_be_read_is_named_by_its_row(tmp_path):
    path = write(tmp_path / "a.parquet", range(9))
    table = parquet.read_table(path).to_pydict()
    table["image"][4]["bytes"] = b"no image"
    table["image"][5]["bytes"] = None
    parquet.write_table(pyarrow.table(table), path)
    with pytest.raises(UserError, match=r"2 images cannot be read: a\.parquet:4 \(is no image"):
        prepare(path)
    (tmp_path / "5.png").write_bytes(png(5))  # the picture may lie beside
    with pytest.raises(UserError, match=r"1 image cannot be read: a\.parquet:4"):
        prepare(path)


def test_what_is_no_dataset_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there is no file" in refusal("no/such/folder here")
    (tmp_path / "empty").mkdir()
    assert "holds no .parquet file; pictures in folders are `kind: folder`" in refusal("empty")
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    assert "a.parquet cannot be read: " in refusal("a.parquet")
    path = write(tmp_path / "b.parquet", range(3), features=None)
    assert "label: b.parquet has no column 'lable'; did you mean 'label'? the columns" in refusal(
        path, label="lable"
    )
    write(tmp_path / "c/train.parquet", range(3))
    write(tmp_path / "c/val.parquet", range(3), features={}, classes=[1, 2, 3])
    assert len(scan(tmp_path / "c").files) == 6
    renamed = parquet.read_table(path).rename_columns(["x", "y"])
    parquet.write_table(renamed, tmp_path / "d.parquet")
    assert "image: d.parquet does not say which column it is; the columns are x, y" in refusal(
        tmp_path / "d.parquet"
    )
    beyond = write(tmp_path / "e.parquet", range(3), [0, 1, 3])
    assert "labels from 0 to 3, for 3 classes" in refusal(beyond)
    floats = write(tmp_path / "f.parquet", range(3), [0.5, 1.0, 2.0], None)
    assert "label: labels are whole numbers or texts" in refusal(floats)
    assert "has no row with a label" in refusal(write(tmp_path / "g.parquet", [1], [-1]))


def test_the_digest_is_of_the_files(tmp_path):
    path = write(tmp_path / "a.parquet", range(9))
    first = scan(path).digest()
    assert scan(path).digest() == first
    write(path, range(9), [0, 1, 2, 0, 1, 2, 0, 1, 1])
    assert scan(path).digest() != first
