"""Artefacts appear whole: written beside their place, flushed to the disk, then renamed."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path

from distillery.errors import UserError


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield a temporary path in the folder of ``path``; on success it is fsynced and renamed to
    ``path``, on failure removed.

    Readers therefore see the old file, the new file or none, never a part. Missing parent folders
    are made.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part" + path.suffix
        )
    except OSError as error:
        error.filename = str(path)
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, _usual(0o666))
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if (
            isinstance(error, OSError)
            and error.errno is not None
            and error.filename in (None, name)
        ):
            error.filename = str(
                path
            )  # the reader knows the file's own name, not that of its beginnings
        raise


def _usual(mode: int) -> int:
    """Return ``mode`` under the usual mask. What ``tempfile`` makes is private, but a shared study
    is read by colleagues."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield a temporary folder beside ``path``; on success its files are fsynced and it is renamed
    to ``path``, on failure removed. Missing parent folders are made.

    Raises:
        UserError: ``path`` exists and is no empty folder; nothing of it was touched.
        OSError: the parent folder cannot be written to, or the disk is full.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file; name a new folder")
    if path.exists() and any(path.iterdir()):
        raise UserError(f"{path}: is not empty; name a new folder, or empty this one first")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with open(file, "rb+") as opened:
                    os.fsync(opened.fileno())
        os.chmod(temporary, _usual(0o777))
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_changed(path: str, text: str) -> None:
    """Write ``text`` to ``path`` unless that is what stands there.

    Raises:
        OSError: it cannot be written.
    """
    try:
        if Path(path).read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    write_text(path, text)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``, atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_sums(path: str | os.PathLike[str], files: Iterable[str | os.PathLike[str]]) -> None:
    """Write the SHA-256 of files that stand beside ``path``, one a line, as ``sha256sum`` writes
    and checks them."""
    write_text(path, "".join(map(_sum, files)))


def check_sums(
    path: str | os.PathLike[str], files: Iterable[str | os.PathLike[str]], *, rule: str
) -> None:
    """Check that ``files`` are what :func:`write_sums` has seen.

    Args:
        path: the file with the sums.
        files: those that stand beside it.
        rule: the rule that re-creates the files and ``path``, for the message.

    Raises:
        UserError: a file or ``path`` cannot be read, or a file is not the one that ``path`` speaks
            of.
    """
    advice = f"delete it and run snakemake again: the rule {rule} re-creates it"
    try:
        sums = Path(path).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the sums cannot be read ({error}); {advice}") from error
    for file in files:
        try:
            line = _sum(file)
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error}); {advice}") from error
        if line not in sums:
            raise UserError(f"{file}: does not match {Path(path).name} beside it; {advice}")


def _sum(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {Path(path).name}\n"
