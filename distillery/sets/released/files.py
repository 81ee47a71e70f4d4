"""Read files of others into tensors within plain containers. What the numbers mean is not decided
here.

Read are what ``torch.save`` writes (zipped, as since torch 1.6, or older), safetensors (our own
sets with their header), NumPy's ``.npy`` and ``.npz``, and folders: pictures in a folder for each
class, and what ``distillery export`` writes.
"""

import os
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

from distillery.errors import UserError
from distillery.sets.released.arrays import npy, safetensors
from distillery.sets.released.contents import FILE_BYTES, NEEDED, Contents, reason
from distillery.sets.released.pictures import exported, pictures
from distillery.sets.released.torch_files import PICKLE_BYTES, scan, torch_file, zipped

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch's magic number, pickled
# The magic number, the version, the system, the object, the keys of the numbers that follow.
_LEGACY_PICKLES = 5
_KINDS = (
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\x1f\x8b", "gzipped"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"%PDF", "a PDF"),
    (0, b"version https://git-lfs", "a Git LFS pointer, which stands for the file"),
    (257, b"ustar", "a tar archive"),
    *((0, bytes((0x80, protocol)), "a plain pickle") for protocol in range(2, 6)),
)


def load(path: str | os.PathLike[str], where: str) -> Contents:
    """Read a file or a folder.

    Memory is bounded by the file's size, but for what torch gives no say in: it reserves one
    tensor's numbers before ``torch_files`` hears of them (a lie about their size reserves
    addresses, and fails before the memory is written to), and a file made for it could still waste
    time and memory in ``_codecs.encode`` or in hashing.

    Args:
        path: the file or the folder.
        where: what the errors begin with, such as ``config: imported[0]``; the path follows.

    Raises:
        UserError: whatever goes wrong, in one line.
    """
    outer, where = where, f"{where}: {path}"
    try:
        status = os.stat(path)  # before it is opened: a pipe would wait
        if stat.S_ISDIR(status.st_mode):
            return _folder(Path(path), outer)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{where}: is not a regular file; {NEEDED}")
        if status.st_size > FILE_BYTES:
            raise UserError(
                f"{where}: has {status.st_size} bytes; at most {FILE_BYTES} are read, more than "
                "any released set has"
            )
        with open(path, "rb") as file, warnings.catch_warnings():
            # Those of torch and NumPy are for whoever wrote the file.
            warnings.simplefilter("ignore")
            return _file(file, path, status.st_size, where)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{where}: is missing; give the path of a file that exists") from error
    except Exception as error:  # a malformed file may make torch raise anything
        raise UserError(f"{where}: cannot be read ({reason(error)}); {NEEDED}") from error


def _file(file: BinaryIO, path: str | os.PathLike[str], size: int, where: str) -> Contents:
    head = file.read(PICKLE_BYTES)
    file.seek(0)
    if head.startswith(b"\x93NUMPY"):
        return Contents("a NumPy array (.npy)", npy(file.read(), where))
    if head[8:9] == b"{":
        return safetensors(path, where)
    if head.startswith(b"PK\x03\x04"):
        return zipped(file, where)
    if not head.startswith(_LEGACY):
        raise UserError(f"{where}: {_kind(head)}, which is not read; {NEEDED}")
    scan(head, _LEGACY_PICKLES, where)
    return Contents("what torch.save writes (before 1.6)", torch_file(file, size, where))


def _kind(head: bytes) -> str:
    for offset, magic, name in _KINDS:
        if head.startswith(magic, offset):
            return f"is {name}"
    if not head:
        return "is empty"
    start = head[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page"
    return "is of an unknown kind"


def _folder(path: Path, where: str) -> Contents:
    """Read a folder as ``distillery export`` or the trajectory-matching authors write it, or one of
    pictures.

    Raises:
        UserError: it is none of these.
    """
    if (path / "set.json").is_file() and (path / "labels.csv").is_file():
        return exported(path, f"{where}: {path}")
    if (path / "synthetic.safetensors").is_file():
        return load(path / "synthetic.safetensors", where)
    best = {name: path / f"{name}_best.pt" for name in ("images", "labels", "lr")}
    if best["images"].is_file() and best["labels"].is_file():
        value = {name: load(file, where).value for name, file in best.items() if file.is_file()}
        return Contents("a folder with images_best.pt and labels_best.pt", value)
    return pictures(path, f"{where}: {path}")
