"""Images that a table names."""

import os
import unicodedata

import numpy as np
import pytest

from distillery.datasets import _prepare, _table
from distillery.errors import UserError
from tests.unit.datasets import drawn


def settings(**changes):
    return drawn.settings(**{"kind": "table", **changes})


def scan(path, images="", **changes):
    return _table.scan(
        "config: datasets.pets", {"path": str(path), "images": str(images)}, settings(**changes)
    )


def refusal(path, **changes):
    with pytest.raises(UserError) as caught:
        scan(path, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def table(root, text, files=("a.png", "b.png", "c.png", "d.png"), name="t.csv"):
    """Write a table, and files beside it."""
    root.mkdir(exist_ok=True)
    for file in files:
        (root / file).parent.mkdir(exist_ok=True, parents=True)
        (root / file).touch()
    (root / name).write_text(text, encoding="utf-8")
    return root / name


PLAIN = "file,label\nb.png,cat\na.png,dog\nc.png,dog\nd.png,cat\n"


def rows(found):
    return [
        (file, found.classes[label], part)
        for file, label, part in zip(found.files, found.labels, found.parts, strict=True)
    ]


def test_each_row_is_an_image_with_its_label(tmp_path):
    found = scan(table(tmp_path, PLAIN))
    assert rows(found) == [
        ("a.png", "dog", ""),
        ("b.png", "cat", ""),
        ("c.png", "dog", ""),
        ("d.png", "cat", ""),
    ]
    assert found.root == str(tmp_path) and found.notes == []


def test_the_parts_and_classes_of_a_table_are_prepared(tmp_path):
    path = tmp_path / "pictures of cells"
    labels = []
    for number in range(20):
        drawn.write(path / f"{number:02}.jpg", drawn.pixels(number, 20, 16))
        part = "Test" if number % 5 == 0 else "train"
        labels.append(f'"{number:02}",{10 if number % 2 else 2},"x, ""y""",{part}')
    (tmp_path / "t.csv").write_text("id,dx,note,split\n" + "\n".join(labels), encoding="utf-8")
    about = {"file": "id", "label": "dx", "ending": ".jpg"}
    places = {"path": str(tmp_path / "t.csv"), "images": str(path)}
    classes = {2: "benign", 10: "malignant"}
    chosen = settings(**about, classes=classes)
    arrays = _prepare.prepare(
        "cells",
        places,
        chosen,
        listing=_table.scan("", places, chosen).digest(),
        workers=2,
        progress=lambda total: lambda number: None,
    )
    assert arrays.spec["classes"] == ["benign", "malignant"]
    assert (arrays.spec["train"], arrays.spec["test"]) == (16, 4)
    assert arrays.test_labels.tolist() == [0, 1, 0, 1] and arrays.source == "table"
    assert scan(tmp_path / "t.csv", path, **about).classes == ["2", "10"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_ends_of_lines_are_found(separator, end, tmp_path):
    text = "\ufeff" + PLAIN.replace(",", separator).replace("\n", end) + end
    assert len(scan(table(tmp_path, text)).files) == 4


@pytest.mark.parametrize(
    "head", ["filename,Class", "Image,category", "image_path,target", "FILE,diagnosis"]
)
def test_usual_names_of_columns_are_found(head, tmp_path):
    assert len(scan(table(tmp_path, PLAIN.replace("file,label", head))).files) == 4


def test_columns_of_ones_and_zeros_are_classes(tmp_path):
    text = "image,MEL,NV,BCC\na,1.0,0,0\nb,0,1,0\nc,0,0.0,1\nd,,1,\n"
    found = scan(table(tmp_path, text), label=["NV", "MEL", "BCC"], ending=".png")
    assert [row[1] for row in rows(found)] == ["MEL", "NV", "BCC", "NV"]
    for cells in ("1,1,0", "0,0,0", "2,0,0", "yes,0,0"):
        path = table(tmp_path, f"image,MEL,NV,BCC\na.png,{cells}\n")
        text = refusal(path, label=["MEL", "NV", "BCC"])
        assert "line 2: one of the columns of `label` must be 1, the others 0: MEL " in text


def test_rows_without_a_label_and_rows_that_stand_twice_are_reported(tmp_path):
    text = PLAIN + "e.png,\n,dog\n\n   ,\na.png,dog\n"
    found = scan(table(tmp_path, text))
    assert len(found.files) == 4
    assert found.notes == [
        "2 rows without a file or a label left out: e.png, line 7",
        "1 row left out, for the table has them twice: a.png",
    ]
    text = refusal(table(tmp_path, PLAIN + "a.png,cat\n"))
    assert "t.csv: line 6: a.png has two labels, 'dog' and 'cat'; one is needed" in text


def test_the_order_of_rows_is_no_part_of_the_images_and_a_label_is(tmp_path):
    digests = set()
    for number, text in enumerate(
        (
            PLAIN,
            "label,x,file\n"
            + "".join(
                f"{line.split(',')[1]},7,{line.split(',')[0]}\n" for line in PLAIN.split()[:0:-1]
            ),
            PLAIN.replace("c.png,dog", "c.png,cat"),
            PLAIN.replace("d.png,cat\n", ""),
            PLAIN.replace("label", "label,split")
            .replace("cat", "cat,train")
            .replace("dog", "dog,train"),
        )
    ):
        path = table(tmp_path, text, name=f"{number}.csv")
        for file in tmp_path.glob("*.png"):
            os.utime(file, (1, 1))
        digests.add(scan(path).digest())
        if number == 1:
            assert len(digests) == 1
    assert len(digests) == 4


def test_paths_as_other_systems_write_them(tmp_path):
    text = "file,label\n./x/a.png,cat\nx\\b.png,dog\n" + unicodedata.normalize("NFD", "é.png,dog\n")
    files = ("x/a.png", "x/b.png", unicodedata.normalize("NFC", "é.png"))
    found = scan(table(tmp_path, text, files))
    assert found.files == sorted(files)
    assert all((tmp_path / file).exists() for file in found.watched)
    absolute = f"file,label\n{tmp_path}/x/a.png,cat\n{tmp_path}/x/b.png,dog\n"
    assert len(scan(table(tmp_path / "y", absolute, ()), "").files) == 2


def test_files_that_are_not_there_are_named_or_left_out(tmp_path):
    path = table(tmp_path, PLAIN, ("a.png", "b.png", "c.png"))
    assert refusal(path) == (
        f"config: datasets.pets: 1 file of 4 is not in {tmp_path}: d.png; add them, or leave such "
        "rows out by `on_error: skip`"
    )
    (tmp_path / "D.PNG").touch()
    assert "d.png; there is 'D.PNG'; add them" in refusal(path)
    found = scan(path, on_error="skip")
    assert [row[:2] for row in rows(found)] == [
        ("a.png", "dog"),
        ("b.png", "cat"),
        ("c.png", "dog"),
    ]
    assert found.notes == ["1 row left out, for their files are not there: d.png"]
    none = table(tmp_path / "none", PLAIN.replace(".png", ""), ())
    for on_error in ("fail", "skip"):
        text = refusal(none, on_error=on_error)
        assert "4 files of 4 are not in" in text and "name their folder by `images`" in text
        assert "what their names lack by `ending`, such as .jpg" in text
    assert "there is no folder nowhere" in refusal(path, images="nowhere")


UNREADABLE = {
    "an empty file": ("", {}, "t.csv is empty"),
    "a head alone": ("file,label\n", {}, "t.csv names no image"),
    "no column of files": (
        "name,label\n",
        {},
        "datasets.pets.file: {path} has no column 'file' or of a like name; the columns are name, "
        "label: say which by `file`",
    ),
    "no column of labels": ("file,kind\n", {}, "datasets.pets.label: {path} has no column 'label'"),
    "a column that is misspelt": (
        "file,diagnosis\n",
        {"label": "diagnose"},
        "label: {path} has no column 'diagnose'; did you mean 'diagnosis'? the columns are file,",
    ),
    "a column that stands twice": (
        "file,label,label\n",
        {"label": "label"},
        "{path} has 2 columns 'label'",
    ),
    "a line that is too long": (
        "file,label\na.png,cat,x\n",
        {},
        "t.csv: line 2 has 3 fields, the head 2",
    ),
    "a part that is none": (
        "file,label,split\na.png,cat,tset\n",
        {},
        "line 2: split is 'tset'; did you mean 'test'? train, val and test are known",
    ),
    "a quote without its end": ('file,label\n"a.png,cat\n', {}, "t.csv is no CSV: "),
    "no column of parts": ("file,label\n", {"split": "fold"}, "split: {path} has no column 'fold'"),
}


@pytest.mark.parametrize("text, changes, words", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_table_of_images_is_refused(text, changes, words, tmp_path):
    path = table(tmp_path, text)
    assert words.replace("{path}", str(path)) in refusal(path, **changes)


def test_a_file_of_another_kind_is_refused(tmp_path):
    assert "there is no file" in refusal(tmp_path / "none.csv")
    assert "is a folder; a file is needed" in refusal(tmp_path)
    path = tmp_path / "t.csv"
    path.write_bytes("file,label\na.png,é\n".encode("latin1"))
    assert "t.csv is not text in UTF-8 (byte 17); save it as CSV in UTF-8" in refusal(path)
    path.write_bytes(np.random.default_rng(0).bytes(3000))
    assert "t.csv is not text in UTF-8" in refusal(path)
