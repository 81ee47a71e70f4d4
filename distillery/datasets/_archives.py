"""Places that hold files: folders, tar archives, Debian packages. They are read within bounds."""

import contextlib
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from distillery.errors import UserError

Read = Callable[[str, int], bytes]
"""Gives the bytes of a file by its name, at most so many; a ``.gz`` beside it or in its name is
unpacked."""


MEMBER_BYTES, ARCHIVE_BYTES, ARCHIVE_MEMBERS = 1 << 28, 1 << 30, 10_000


def in_folder(folder: Path) -> Read:
    """Read files of a folder, plain or gzipped.

    The function that is returned raises UserError where a file is missing, unreadable or larger
    than asked for.
    """

    def read(name: str, limit: int) -> bytes:
        path = folder / name
        if not path.exists() and path.with_name(f"{name}.gz").exists():
            path = path.with_name(f"{name}.gz")
        if not path.is_file():
            raise UserError(f"{path} is missing")
        with open(path, "rb") as file:
            return _bounded(file, str(path), limit)

    return read


def in_tar(archive: Path, prefix: str, names: Iterable[str]) -> Read:
    """Read files of a tar archive, of any compression, in memory and within bounds; none is
    unpacked to the disk.

    Raises:
        UserError: the archive is damaged, beyond the bounds, or lacks one of ``names`` under
            ``prefix``.
    """
    with _damage(archive.name), tarfile.open(archive, mode="r|*") as tar:
        return _in_members(tar, archive.name, prefix, names)


def in_deb(package: Path, prefix: str, names: Iterable[str]) -> Read:
    """Read files of a Debian package, streamed from ``dpkg-deb``; as :func:`in_tar`."""
    command = [client("dpkg-deb"), "--fsys-tarfile", str(package)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        try:
            with _damage(package.name), tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                return _in_members(tar, package.name, prefix, names)
        finally:
            process.kill()


def in_folder_or_tar(folder: Path, inside: str, archive: str, names: Iterable[str]) -> Read:
    """Read files of ``folder/inside``, or of the archive that unpacks to it, where only that is
    there."""
    if not (folder / inside).is_dir() and (folder / archive).is_file():
        return in_tar(folder / archive, inside, names)
    return in_folder(folder / inside)


def _in_members(tar: tarfile.TarFile, label: str, prefix: str, names: Iterable[str]) -> Read:
    wanted, members, total = {f"{prefix}/{name}": name for name in names}, {}, 0
    for number, member in enumerate(tar):
        total += member.size
        if number >= ARCHIVE_MEMBERS or total > ARCHIVE_BYTES:
            raise UserError(
                f"{label}: holds over {ARCHIVE_MEMBERS} files or {ARCHIVE_BYTES} bytes: it is not "
                "the published archive"
            )
        name = wanted.get(member.name.removeprefix("./"))
        if name is None or not member.isreg() or member.size > MEMBER_BYTES:
            continue
        if (content := tar.extractfile(member)) is not None:
            members[name] = content.read()
            if len(members) == len(wanted):
                break
    lacking = [name for name in wanted.values() if name not in members]
    if lacking:
        raise UserError(f"{label}: lacks {prefix}/{lacking[0]}")

    def read(name: str, limit: int) -> bytes:
        name = name if name in members else f"{name}.gz"
        return _bounded(io.BytesIO(members[name]), f"{label}: {name}", limit)

    return read


def _bounded(file: BinaryIO, label: str, limit: int) -> bytes:
    """Read at most ``limit`` bytes, unpacked where ``label`` ends in ``.gz``: a small file may
    unpack to a huge one."""
    with _damage(label):
        content = (gzip.GzipFile(fileobj=file) if label.endswith(".gz") else file).read(limit + 1)
    if len(content) > limit:
        raise UserError(f"{label}: holds more than {limit} bytes: not the file that was published")
    return content


@contextlib.contextmanager
def _damage(label: str) -> Iterator[None]:
    try:
        yield
    # TypeError is what `tarfile` says of a gzip header that ends early; LZMAError that of an xz
    # stream.
    except (tarfile.TarError, OSError, EOFError, TypeError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{label}: is damaged or cut short ({error})") from error


def client(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise UserError(f"{name} is not installed")
    return path
