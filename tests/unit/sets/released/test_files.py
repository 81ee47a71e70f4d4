"""Files that are no released set are named for what they are."""

import io
import os
import pickle
import zipfile

import pytest

from tests.unit.sets.released.toys import WHOLE, check, put, read, refusal


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(
                name.replace("__", "/").replace("_pkl", ".pkl").replace("_npy", ".npy"), content
            )
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    (
        (b"", "is empty"),
        (archive(readme=b"x"), "is a zip archive"),
        (archive(a__data_pkl=b"\x80\x02N.", a__constants_pkl=b""), "is a TorchScript archive"),
        (b"\x89PNG\r\n", "is a PNG image"),
        (b"\x1f\x8b\x08", "is gzipped"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer, which stands for the file",
        ),
        (pickle.dumps({"data": []}), "is a plain pickle"),
        (b"hello", "is of an unknown kind"),
    ),
)
def test_another_kind_of_file_is_named(tmp_path, content, kind):
    assert refusal(check, put(tmp_path, content)) == f"res.pt: {kind}, which is not read; {WHOLE}"


def test_what_is_no_file_is_refused_without_opening_it(tmp_path):
    assert refusal(check, tmp_path / "no.pt").endswith(
        "no.pt is missing; give the path of a file that exists"
    )
    (tmp_path / "folder.pt").mkdir()
    assert refusal(check, tmp_path / "folder.pt").startswith(
        "folder.pt: is a folder without pictures in folders of its own"
    )
    os.mkfifo(tmp_path / "pipe.pt")
    assert refusal(check, tmp_path / "pipe.pt") == f"pipe.pt: is not a regular file; {WHOLE}"
    assert "is missing" in refusal(check, tmp_path / ("x" * 300))
    assert "file 'nul\\x00.pt' is missing" in refusal(read, "nul\0.pt")
