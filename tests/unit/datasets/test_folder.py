"""What a folder of images holds, found without opening one."""

import os
import time
import unicodedata

import pytest

from distillery.datasets import _folder
from distillery.errors import UserError
from tests.unit.datasets import drawn


def scan(root):
    return _folder.scan("config: datasets.pets", {"path": str(root)}, {})


def refusal(root):
    with pytest.raises(UserError) as caught:
        scan(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def touch(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_each_folder_is_a_class_and_deeper_ones_belong_to_it(tmp_path):
    for name in ("dog/a.png", "cat/x/y/b.JPG", "cat/c.webp", "10/d.tiff", "9/e.jpeg"):
        touch(tmp_path / name)
    found = scan(tmp_path)
    assert found.classes == ["9", "10", "cat", "dog"]
    assert found.files == ["10/d.tiff", "9/e.jpeg", "cat/c.webp", "cat/x/y/b.JPG", "dog/a.png"]
    assert [found.classes[label] for label in found.labels] == ["10", "9", "cat", "cat", "dog"]
    assert set(found.parts) == {""} and found.notes == [] and found.watched == found.files


def test_what_is_no_image_is_said_once_and_left_out(tmp_path):
    for name in ("cat/a.png", "dog/b.png", "cat/notes.txt", "README.md", "cat/.DS_Store"):
        touch(tmp_path / name)
    for name in ("cat/Thumbs.db", "__MACOSX/cat/a.png", ".cache/c.png", "dog/c", "loose.png"):
        touch(tmp_path / name)
    found = scan(tmp_path)
    assert found.files == ["cat/a.png", "dog/b.png"]
    assert found.notes == [
        "3 files left out, for they are no images by the ending of their names: README.md, "
        "cat/notes.txt, dog/c",
        "4 hidden files left out: .cache, __MACOSX, cat/.DS_Store, cat/Thumbs.db",
        "1 image left out, for they lie outside the folders of the classes: loose.png",
    ]


def test_a_long_list_is_cut(tmp_path):
    for name in ("cat/a.png", "dog/b.png", *(f"{number}.txt" for number in range(12))):
        touch(tmp_path / name)
    (note,) = scan(tmp_path).notes
    assert note.endswith("0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 7 more")


def test_a_folder_without_images_is_no_class(tmp_path):
    for name in ("cat/a.png", "dog/b.png", "bird/notes.txt"):
        touch(tmp_path / name)
    (tmp_path / "fish").mkdir()
    found = scan(tmp_path)
    assert found.classes == ["cat", "dog"]
    assert found.notes[-1] == "2 folders without images left out, so no class: bird, fish"


@pytest.mark.parametrize("test", ["test", "Testing"])
def test_train_and_test_and_val_are_parts(tmp_path, test):
    for name in ("train/cat/a.png", f"{test}/cat/a.png", "valid/cat/a.png", "train/dog/b.png"):
        touch(tmp_path / name)
    touch(tmp_path / "other/cat/a.png")
    (tmp_path / "train/fish").mkdir()
    found = scan(tmp_path)
    assert found.classes == ["cat", "dog"]
    parts = dict(zip(found.files, found.parts, strict=True))
    assert parts == {
        "train/cat/a.png": "train",
        "train/dog/b.png": "train",
        f"{test}/cat/a.png": "test",
        "valid/cat/a.png": "validation",
    }
    assert any(
        "lie outside the folders" in note and "other/cat/a.png" in note for note in found.notes
    )
    assert any("no class: fish" in note for note in found.notes)


def test_train_alone_is_a_part(tmp_path):
    touch(tmp_path / "train/cat/a.png")
    touch(tmp_path / "train/dog/a.png")
    assert set(scan(tmp_path).parts) == {"train"}


def test_train_may_be_a_class(tmp_path):
    for name in ("train/a.png", "plane/b.png", "test/c.png"):
        touch(tmp_path / name)
    assert scan(tmp_path).classes == ["plane", "test", "train"]
    assert set(scan(tmp_path).parts) == {""}
    # A class of vehicles with folders in it, and no other part.
    touch(tmp_path / "x/train/steam/a.png")
    touch(tmp_path / "x/plane/b.png")
    assert scan(tmp_path / "x").classes == ["plane", "train"]


def test_links_are_followed_and_those_that_never_end_are_left_out(tmp_path):
    touch(tmp_path / "elsewhere/b.png")
    touch(tmp_path / "there/cat/a.png")
    (tmp_path / "there/dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "there/cat/link.png").symlink_to(tmp_path / "elsewhere/b.png")
    (tmp_path / "there/cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "there/cat/up").symlink_to(tmp_path / "there")
    (tmp_path / "there/cat/self").symlink_to(tmp_path / "there/cat/self")
    found = scan(tmp_path / "there")
    assert found.files == ["cat/a.png", "cat/link.png", "dog/b.png"]
    assert found.notes == [
        "3 links left out, for they lead nowhere, or back to where they lie: cat/gone.png, "
        "cat/self, cat/up"
    ]


def test_names_are_one_in_either_form_of_unicode(tmp_path):
    """A Mac writes é in two characters."""
    for form in ("NFC", "NFD"):
        touch(tmp_path / form / unicodedata.normalize(form, "élan vital/été 1.png"))
        touch(tmp_path / form / "b c/ß.png")
    one, other = scan(tmp_path / "NFC"), scan(tmp_path / "NFD")
    assert one.classes == other.classes == ["b c", unicodedata.normalize("NFC", "élan vital")]
    assert one.files == other.files and one.watched != other.watched
    for path in [*tmp_path.rglob("*.png")]:
        os.utime(path, (1, 1))
    assert one.digest() == other.digest()


def test_a_name_that_is_no_text_is_refused_where_it_would_be_a_class(tmp_path):
    touch(tmp_path / "cat/a.png")
    folder = os.path.join(os.fsencode(tmp_path), b"d\xffg")
    os.mkdir(folder)
    with open(os.path.join(folder, b"\xfe.png"), "wb"):
        pass
    assert "'d\\udcffg' is not text in UTF-8; rename it" in refusal(tmp_path)
    os.rename(folder, os.path.join(os.fsencode(tmp_path), b"dog"))
    found = scan(tmp_path)  # a file's name may be anything
    assert len(found.files) == 2 and found.digest()


# ---- what makes it another dataset ---------------------------------------------------------------


def test_the_digest_is_of_names_sizes_and_times(tmp_path):
    for name in ("cat/a.png", "cat/b.png", "dog/c.png"):
        os.utime(touch(tmp_path / "one" / name, b"x"), ns=(5, 1_700_000_000_123_456_789))
    # Made in another order, read at another time, with a file that is no image.
    for name in ("dog/c.png", "cat/b.png", "cat/a.png", "cat/notes.txt"):
        os.utime(touch(tmp_path / "two" / name, b"x"), ns=(9, 1_700_000_000_123_456_789))
    digest = scan(tmp_path / "one").digest()
    assert scan(tmp_path / "two").digest() == digest
    path = tmp_path / "one/cat/a.png"
    changes = [
        lambda: path.write_bytes(b"xy"),
        lambda: os.utime(path, ns=(5, 1_700_000_000_123_456_790)),
        lambda: path.rename(path.with_name("z.png")),
        lambda: path.with_name("z.png").rename(tmp_path / "one/dog/z.png"),
        lambda: (tmp_path / "one/dog/z.png").unlink(),
        lambda: touch(tmp_path / "one/dog/new.png"),
    ]
    seen = {digest}
    for change in changes:
        change()
        seen.add(scan(tmp_path / "one").digest())
    assert len(seen) == 1 + len(changes)


def test_a_file_that_is_gone_since_it_was_listed_is_named(tmp_path):
    drawn.folder(tmp_path, {"cat": 1, "dog": 1})
    found = scan(tmp_path)
    (tmp_path / "cat/0.png").unlink()
    with pytest.raises(UserError, match=r"cat/0\.png: cannot be read: No such file"):
        found.digest()


@pytest.mark.slow
def test_a_hundred_thousand_files_are_listed_in_linear_time(tmp_path):
    """Twice as many take about twice as long: no list is gone through for each image."""

    def seconds(classes):
        root = tmp_path / str(classes)
        for number in range(classes):
            (root / f"class{number}").mkdir(parents=True)
            for index in range(500):
                (root / f"class{number}/{index}.jpg").touch()
        began = time.process_time()
        scan(root).digest()
        return time.process_time() - began

    assert seconds(80) < 8 * seconds(20) + 1


# ---- what is no dataset --------------------------------------------------------------------------


def test_what_is_no_folder_of_classes_is_refused(tmp_path):
    where = "config: datasets.pets.path: "
    assert refusal(tmp_path / "no").startswith(f"{where}there is no folder {tmp_path}/no (looked")
    assert refusal(touch(tmp_path / "a.txt")) == (
        f"{where}{tmp_path}/a.txt is a file; a folder is needed"
    )
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert refusal(tmp_path / "link") == f"{where}{tmp_path}/link is a link that leads nowhere"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty) == (
        f"{where}{empty} holds no images; put those of each class into a folder of its name"
    )
    (empty / "cat").mkdir()
    assert refusal(empty) == f"{where}{empty} holds no images: the folders cat are empty"
    touch(empty / "cat/a.txt")
    assert refusal(empty) == (
        f"{where}{empty} holds no images: 1 file of other kinds (cat/a.txt); JPEG, PNG, WebP, BMP, "
        "GIF and TIFF are read"
    )
    touch(empty / "a.png")
    assert "holds 1 image and no folders of classes" in refusal(empty)
    assert "`kind: table`" in refusal(empty)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    touch(tmp_path / "cat/a.png")
    (tmp_path / "dog").mkdir(mode=0)
    assert refusal(tmp_path).endswith("/dog: cannot be read: Permission denied")
