"""Archives are read in memory, within bounds."""

import io
import os
import tarfile

import pytest

from distillery.datasets import _archives
from distillery.errors import UserError
from tests.unit.datasets.toys import COLOUR, toy, write_cifar


def test_cifar_is_read_from_its_archive_without_unpacking(tmp_path):
    raw = toy(COLOUR)
    write_cifar(tmp_path / "elsewhere" / "inside", raw)
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "elsewhere" / "inside", "inside")
    read = _archives.in_folder_or_tar(tmp_path, "inside", "cifar.tar.gz", ("one", "two", "test"))
    for name in ("one", "two", "test"):
        assert read(name, 1 << 20) == (tmp_path / "elsewhere" / "inside" / name).read_bytes()
    assert not (tmp_path / "inside").exists()


def test_an_archive_whose_gzip_header_ends_early_is_refused(tmp_path):
    """What a fuzzer found: `tarfile` says a TypeError."""
    archive = tmp_path / "a.tar.gz"
    for length in range(1, 20):
        archive.write_bytes(b"\x1f\x8b\x08\x08\0\0\0\0\x02\xffname-without-end"[:length])
        with pytest.raises(UserError, match="damaged or cut short"):
            _archives.in_tar(archive, "inside", ["train"])


def test_archives_that_lack_a_file_are_cut_short_or_hide_a_link_are_refused(tmp_path):
    archive = tmp_path / "package.tgz"
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("package/data")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("../../outside"))
    with pytest.raises(UserError, match=r"package\.tgz: lacks package/data"):
        _archives.in_tar(archive, "package", ["data"])
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("package/data")
        info.size = 100_000
        tar.addfile(info, io.BytesIO(os.urandom(100_000)))
    assert len(_archives.in_tar(archive, "package", ["data"])("data", 100_000)) == 100_000
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(UserError, match=r"package\.tgz: is damaged or cut short"):
        _archives.in_tar(archive, "package", ["data"])
    archive.write_bytes(b"not an archive")
    with pytest.raises(UserError, match=r"package\.tgz: is damaged"):
        _archives.in_tar(archive, "package", ["data"])
