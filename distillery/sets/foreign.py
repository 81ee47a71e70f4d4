"""Files of others, read into tensors within plain containers. Nothing in a file is trusted, and no
code in it runs.

Read are what ``torch.save`` writes (zipped, as since torch 1.6, or older), safetensors (our own
sets with their header),
NumPy's ``.npy`` and ``.npz``, and folders: pictures in a folder for each class, and what
``distillery export`` writes.
What the numbers mean is not decided here.
"""

import csv
import io
import json
import math
import os
import pickletools
import re
import stat
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import safe_open

from distillery.errors import UserError
from distillery.images.whitening import Whitening
from distillery.sets.synthetic import SyntheticSet

# Five sets of CIFAR-100 at 50 images per class are 0.3 GB. The file and a float32 copy of one set
# must fit the memory of the rule import_synthetic, 4 GB.
FILE_BYTES = 1 << 31
# The pickle lists tensors and accuracies but holds no pixels: that of a released file has some tens
# of KB.
PICKLE_BYTES = 1 << 20
# As many as 10,000 NumPy scalars need. A tuple nested 200,000 deep, as a key, would overflow the
# interpreter's stack.
PICKLE_TUPLES = 20_000
PICTURES = 200_000
SUFFIXES = (".png", ".jpg", ".jpeg")

NEEDED = "a whole file of torch.save, safetensors or NumPy, or a folder of pictures, is needed"

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch's magic number, pickled
_LEGACY_PICKLES = (
    5  # the magic number, the version, the system, the object, the keys of the numbers that follow
)

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


@dataclass
class Found:
    """What a file or a folder holds.

    Attributes:
        form: what it is, in words.
        value: tensors on the CPU and numbers, in lists, tuples and dictionaries.
        header: of a set of our own; ``None`` for what others wrote.
        whitening: that a set of our own carries.
        folders: of pictures: the names of the folders that the labels count, in order.
    """

    form: str
    value: Any
    header: dict[str, Any] | None = None
    whitening: Whitening | None = None
    folders: list[str] = field(default_factory=list)


def load(path: str | os.PathLike, where: str) -> Found:
    """Read a file or a folder.

    Memory is bounded by the file's size, but for what torch gives no say in: it reserves one
    tensor's numbers before
    ``bounded`` below hears of them (a lie about their size reserves addresses, and fails before the
    memory is written
    to), and a file made for it could still waste time and memory in ``_codecs.encode`` or in
    hashing.

    Args:
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
            warnings.simplefilter(
                "ignore"
            )  # those of torch and NumPy are for whoever wrote the file
            return _file(file, path, status.st_size, where)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{where}: is missing; give the path of a file that exists") from error
    except Exception as error:  # a malformed file may make torch raise anything
        raise UserError(f"{where}: cannot be read ({_reason(error)}); {NEEDED}") from error


def shown(text: str, length: int) -> str:
    """A text of a foreign file as it may stand in a message: printable, and at most ``length``
    characters of it.
    """
    text = "".join(
        character if character.isprintable() else "?" for character in text[: length + 1]
    )
    return text if len(text) <= length else text[:length] + "..."


def _file(file: BinaryIO, path: str | os.PathLike, size: int, where: str) -> Found:
    head = file.read(PICKLE_BYTES)
    file.seek(0)
    if head.startswith(b"\x93NUMPY"):
        return Found("a NumPy array (.npy)", _npy(file.read(), where))
    if head[8:9] == b"{":
        return _safetensors(path, where)
    if head.startswith(b"PK\x03\x04"):
        return _zipped(file, where)
    if not head.startswith(_LEGACY):
        raise UserError(f"{where}: {_kind(head)}, which is not read; {NEEDED}")
    _scan(head, _LEGACY_PICKLES, where)
    return Found("what torch.save writes (before 1.6)", _torch(file, size, where))


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


def _reason(error: Exception) -> str:
    """The kind of the error and the first line of what it says, without torch's advice."""
    try:
        text = (getattr(error, "strerror", None) or str(error)).rpartition(
            "WeightsUnpickler error:"
        )[2]
    except Exception:  # of what the file made it hold
        text = ""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return shown(f"{type(error).__name__}: {line.strip()}" if line else type(error).__name__, 160)


# ---- what torch.save writes ----------------------------------------------------------------------


class _Dtype:
    """Takes the place of ``numpy.dtype``: none of NumPy's own code runs on foreign state.

    Raises:
        ValueError: it is not of a plain number.
    """

    def __init__(self, name: str, align: bool = False, copy: bool = False):
        if not isinstance(name, str) or not re.fullmatch(
            r"[<>=|]?(b1|[iu][1248]|f(2|4|8|12|16))", name
        ):
            raise ValueError("a NumPy scalar is not a plain number")
        self.name, self.order = name.lstrip("<>=|"), "="

    def __setstate__(self, state: Any):
        # (version, byte order, …): a scalar of the other order says so here.
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "=", "|"):
            self.order = state[1]


def _scalar(dtype: _Dtype, data: bytes) -> float | int | bool | None:
    """Takes the place of NumPy's ``scalar``: a number, or ``None`` for one wider than Python's."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or dtype.name in ("f12", "f16"):
        return None
    kind = np.dtype(dtype.order.replace("|", "=") + dtype.name)
    return np.frombuffer(data, kind)[0].item() if len(data) == kind.itemsize else None


# As NumPy 1 and NumPy 2 name them. No pickle names NumPy's classes of dtypes
# (`numpy.dtypes.Float64DType`): torch needs to be told of those only where the real `numpy.dtype`
# makes them.
_NUMPY = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_Dtype, "numpy.dtype"),
]
_STORAGES = ("Half", "BFloat16", "Float", "Double", "Byte", "Char", "Short", "Int", "Long", "Bool")
# All that a pickle may name, which is less than `torch.load` itself allows.
_NAMES = {
    *(name for _, name in _NUMPY),
    *(f"torch.{kind}Storage" for kind in _STORAGES),
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",  # a tensor's hooks, always empty
    "_codecs.encode",  # the bytes of a NumPy scalar
}


def _torch(file: BinaryIO, most: int, where: str) -> Any:
    """What ``torch.save`` wrote, where it holds at most ``most`` bytes of numbers."""
    total = 0

    def bounded(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        """A `map_location` of "cpu" (where a storage already is) that counts."""
        nonlocal total
        total += storage.nbytes()
        if total > most:
            raise UserError(
                f"{where}: names {total} bytes of numbers or more and holds {most} at most; "
                f"{NEEDED}"
            )
        return storage

    file.seek(0)
    with torch.serialization.safe_globals(_NUMPY):
        return torch.load(file, map_location=bounded, weights_only=True, mmap=False)


def _zipped(file: BinaryIO, where: str) -> Found:
    """A zip: what ``torch.save`` writes, or NumPy's ``.npz``.

    Raises:
        UserError: it is another kind of zip, is too large, or its pickle asks for what no released
            set needs.
        Exception: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = {member.filename.rpartition("/")[2].lower() for member in members}
        arrays = [member for member in members if member.filename.endswith(".npy")]
        pickled = "data.pkl" in names and "constants.pkl" not in names
        if not pickled and not arrays:
            what = "a TorchScript archive" if "constants.pkl" in names else "a zip archive"
            raise UserError(f"{where}: is {what}, which is not read; {NEEDED}")
        declared = sum(member.file_size for member in members)
        if declared > FILE_BYTES:
            raise UserError(
                f"{where}: unpacks to {declared} bytes; at most {FILE_BYTES} are read, more than "
                "any released set has"
            )
        for member in members if pickled else ():
            if member.filename.lower().endswith("data.pkl"):
                if member.file_size > PICKLE_BYTES:
                    raise UserError(
                        f"{where}: its pickle has {member.file_size} bytes; at most {PICKLE_BYTES} "
                        "are read"
                    )
                _scan(archive.read(member), 1, where)
        damaged = (
            archive.testzip()
        )  # torch compares no checksums, and a wrong pixel would be measured in silence
        if damaged is not None:
            raise UserError(
                f"{where}: the checksum of `{shown(damaged, 60)}` is wrong, so it is damaged; "
                f"{NEEDED}"
            )
        if not pickled:
            value = {
                member.filename.removesuffix(".npy"): _npy(archive.read(member), where)
                for member in arrays
            }
            return Found("a NumPy archive (.npz)", value)
    return Found("what torch.save writes", _torch(file, declared, where))


def _scan(content: bytes, pickles: int, where: str) -> None:
    """Read the instructions of the pickles that ``content`` begins with, and carry none out.

    torch refuses to call anything outside a list of its own, but that has more on it than a set
    needs, such as a
    ``bytearray`` of any size, and tells of a refusal in several lines of advice on how to go round
    it.

    Raises:
        UserError: one asks for a name that no released set needs, or is too deep.
        ValueError: one is damaged.
    """
    stream, tuples = io.BytesIO(content), 0
    for _ in range(pickles):
        for instruction, argument, _ in pickletools.genops(stream):
            if instruction.name == "GLOBAL" and argument.replace(" ", ".", 1) not in _NAMES:
                name = argument.replace(" ", ".", 1)
                remedy = (
                    "save the arrays as tensors (torch.from_numpy), or by numpy.savez"
                    if name.startswith("numpy")
                    else "tensors, lists and numbers are read"
                )
                raise UserError(
                    f"{where}: asks for {shown(name, 80)}, which is refused and has not run; "
                    f"{remedy}"
                )
            tuples += instruction.name.startswith("TUPLE")
    if tuples > PICKLE_TUPLES:
        raise UserError(
            f"{where}: its pickle has {tuples} tuples; at most {PICKLE_TUPLES} are read"
        )


# ---- NumPy and safetensors -----------------------------------------------------------------------


def _npy(content: bytes, where: str) -> torch.Tensor:
    """An array of plain numbers; none of pickled objects is read.

    Raises:
        UserError: it holds other things, or not as many numbers as it says.
        ValueError: its header is damaged.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = header(stream)
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.subdtype is not None:
        raise UserError(f"{where}: holds {shown(str(dtype), 40)}; arrays of plain numbers are read")
    start = stream.tell()
    if len(content) - start != math.prod(shape) * dtype.itemsize:
        raise UserError(
            f"{where}: names {math.prod(shape)} numbers and holds "
            f"{(len(content) - start) // dtype.itemsize}; {NEEDED}"
        )
    flat = np.frombuffer(content, dtype, offset=start)
    if (
        dtype.kind == "u" and dtype.itemsize > 1
    ):  # torch computes with few of the wider unsigned numbers
        if dtype.itemsize == 8 and flat.size and int(flat.max()) >= 1 << 63:
            raise UserError(
                f"{where}: holds whole numbers of 2 ** 63 or more; these are no pixels and no "
                "classes"
            )
        dtype = np.dtype("i8")
    wide = dtype.kind == "f" and dtype.itemsize > 8
    array = flat.reshape(shape, order="F" if fortran else "C").astype(
        "f8" if wide else dtype.newbyteorder("=")
    )
    return torch.from_numpy(np.ascontiguousarray(array))


def _safetensors(path: str | os.PathLike, where: str) -> Found:
    with safe_open(str(path), framework="pt") as file:
        own = "header" in (file.metadata() or {})
        tensors = {} if own else {name: file.get_tensor(name) for name in file.keys()}
    if not own:
        return Found("a safetensors file", tensors)
    try:
        synthetic = SyntheticSet.load(path, rule=None)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{path}: ')}") from error
    value = {"images": synthetic.images, "labels": synthetic.labels}
    if synthetic.step_size is not None:
        value["step_size"] = synthetic.step_size
    return Found("a synthetic set of Distillery", value, synthetic.header, synthetic.whitening)


# ---- folders -------------------------------------------------------------------------------------


def _folder(path: Path, where: str) -> Found:
    """A folder as ``distillery export`` or the trajectory-matching authors write it, or one of
    pictures.

    Raises:
        UserError: it is none of these.
    """
    if (path / "set.json").is_file() and (path / "labels.csv").is_file():
        return _exported(path, f"{where}: {path}")
    if (path / "synthetic.safetensors").is_file():
        return load(path / "synthetic.safetensors", where)
    best = {name: path / f"{name}_best.pt" for name in ("images", "labels", "lr")}
    if best["images"].is_file() and best["labels"].is_file():
        value = {name: load(file, where).value for name, file in best.items() if file.is_file()}
        return Found("a folder with images_best.pt and labels_best.pt", value)
    return _pictures(path, f"{where}: {path}")


def _pictures(path: Path, where: str) -> Found:
    """Pictures in a folder for each class, as torchvision's ``ImageFolder`` reads them."""
    folders = sorted(
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir() and not entry.name.startswith(".")
    )
    files: list[tuple[Path, int]] = []
    for number, name in enumerate(folders):
        for folder, inner, names in os.walk(path / name):
            inner.sort()
            files += [
                (Path(folder) / one, number)
                for one in sorted(names)
                if one.lower().endswith(SUFFIXES)
            ]
            if len(files) > PICTURES:
                raise UserError(
                    f"{where}: holds more than {PICTURES} pictures, more than any synthetic set has"
                )
    if {"train", "test"} <= set(folders) or {"train", "val"} <= set(folders):
        raise UserError(f"{where}: has a folder train beside others; name {path / 'train'}")
    if not files:
        raise UserError(
            f"{where}: is a folder without pictures in folders of its own (CLASS/NAME.png) and "
            "without a set of "
            "Distillery; name a file in it, or such a folder"
        )
    images = _decoded([file for file, _ in files], where)
    labels = torch.tensor([number for _, number in files])
    return Found("a folder of pictures", {"images": images, "labels": labels}, folders=folders)


def _exported(path: Path, where: str) -> Found:
    """What ``distillery export --as images`` wrote: its pictures, labels, step size and header."""
    header = json.loads(_text(path / "set.json"))
    rows = list(csv.DictReader(io.StringIO(_text(path / "labels.csv"))))
    if not isinstance(header, dict) or not isinstance(header.get("classes"), list) or not rows:
        raise UserError(
            f"{where}: set.json or labels.csv is not what distillery export writes; export the set "
            "again"
        )
    if len(rows) > PICTURES:
        raise UserError(
            f"{where}: labels.csv has more than {PICTURES} rows, more than any synthetic set has"
        )
    files, root = [], path.resolve()
    for row in rows:
        file = path / row["file"]
        if root not in file.resolve().parents:
            raise UserError(
                f"{where}: labels.csv names {shown(row['file'], 60)}, which is outside the folder"
            )
        files.append(file)
    soft = [f"probability_{number}" for number in range(len(header["classes"]))]
    if soft and soft[0] in rows[0]:
        labels = torch.tensor(
            [[float(row[name]) for name in soft] for row in rows], dtype=torch.float32
        )
    else:
        labels = torch.tensor([int(row["class"]) for row in rows])
    value = {"images": _decoded(files, where), "labels": labels}
    if header.get("step_size") is not None:
        value["step_size"] = float(header["step_size"])
    return Found("an export of Distillery (pictures)", value, header)


def _text(path: Path) -> str:
    if path.stat().st_size > FILE_BYTES >> 4:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes")
    return path.read_text(encoding="utf-8")


def _decoded(files: list[Path], where: str) -> torch.Tensor:
    """(N, C, H, W) uint8: pictures of one size, grey ones with C 1 and others with C 3.

    Raises:
        UserError: one is no PNG or JPEG, is cut short, has another size than the first, is
            transparent, or all are too large together.
    """
    from PIL import Image

    arrays: list[np.ndarray] = []
    size = None
    for path in files:
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                size = size or picture.size
                if picture.size != size:
                    raise UserError(
                        f"{where}: {path.name} is {_by(picture.size)} pixels and others are "
                        f"{_by(size)}; one size is needed"
                    )
                if len(files) * size[0] * size[1] * 3 > FILE_BYTES:
                    raise UserError(
                        f"{where}: {len(files)} pictures of {_by(size)} pixels are more than any "
                        "synthetic set has"
                    )
                arrays.append(_plain_picture(picture, f"{where}: {path.name}"))
        except UserError:
            raise
        except Exception as error:  # a malformed picture may make Pillow raise anything
            raise UserError(
                f"{where}: {path.name} is not a PNG or JPEG, or is cut short ({_reason(error)})"
            ) from error
    if any(array.ndim == 3 for array in arrays):
        arrays = [
            array if array.ndim == 3 else np.repeat(array[..., None], 3, 2) for array in arrays
        ]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.stack(arrays))[:, None]


def _plain_picture(picture: Any, where: str) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8."""
    if picture.mode in ("RGBA", "LA"):
        if np.asarray(picture)[..., -1].min() < 255:
            raise UserError(f"{where} is transparent; pictures without an alpha channel are needed")
        picture = picture.convert(picture.mode[:-1])
    if picture.mode in ("1", "P"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    if picture.mode not in ("L", "RGB"):
        raise UserError(
            f"{where} has pixels of mode {picture.mode}; 8 bits, grey or colour, are needed"
        )
    return np.array(picture)


def _by(size: tuple[int, int]) -> str:
    return " by ".join(map(str, size))
