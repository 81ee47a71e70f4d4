"""Released synthetic sets of others, read so that they are measured like our own. Nothing in a file is trusted.

Two kinds are read: a ``res_*.pt``, a dictionary whose ``data`` lists one (images, labels) pair an experiment, and an
``images_*.pt`` with its ``labels_*.pt``, one tensor each; zipped, as torch writes since 1.6, or in the older format.
"""

import io
import os
import pickletools
import re
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from distillery import synthetic
from distillery.errors import UserError

# Five sets of CIFAR-100 at 50 images a class are 0.3 GB. The file and a float32 copy of one set must fit the memory of
# the rule import_synthetic, 4 GB.
FILE_BYTES = 1 << 31
# The pickle lists tensors and accuracies but holds no pixels: that of a released file has some tens of KB.
PICKLE_BYTES = 1 << 20
# As many as 10,000 NumPy scalars need. A tuple nested 200,000 deep, as a key, would overflow the interpreter's stack.
PICKLE_TUPLES = 20_000

NEEDED = "a whole res_*.pt, or an images_*.pt with its labels_*.pt, is needed"

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch's magic number, pickled
_LEGACY_PICKLES = 5  # the magic number, the version, the system, the object, the keys of the numbers that follow
_FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGER = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

_KINDS = (
    (0, b"\x93NUMPY", "a NumPy array (.npy)"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\x1f\x8b", "gzipped"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"%PDF", "a PDF"),
    (0, b"version https://git-lfs", "a Git LFS pointer, which stands for the file"),
    (8, b'{"', "a safetensors file"),
    (257, b"ustar", "a tar archive"),
    *((0, bytes((0x80, protocol)), "a plain pickle") for protocol in range(2, 6)),
)


# ---- what rules and scripts call -------------------------------------------------------------------------------------


def read(
    file: str | os.PathLike,
    labels: str | os.PathLike | None = None,
    *,
    dataset_spec: dict[str, Any],
    ipc: int,
    number: int = 0,
    sets: int = 1,
    where: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One set of a released file, checked.

    Args:
        file: a ``res_*.pt``, or an ``images_*.pt``.
        labels: the ``labels_*.pt`` that goes with an ``images_*.pt``.
        dataset_spec: the ``SPEC`` of the dataset that the set stands for.
        ipc: images per class.
        number: of the set, from 0. The others are not checked: :func:`check` is for that.
        sets: how many sets the file must hold.
        where: what its errors begin with, such as ``config: imported[0]``.

    Returns:
        The images, (N, C, H, W) float32, and the labels, (N,) int64 or (N, K) float32, on the CPU, in their own memory.

    Raises:
        UserError: the file is missing, damaged, of another kind, asks for code, or is no set of this dataset and ipc.
    """
    pairs = _pairs(file, labels, max(sets, number + 1), where)
    return _checked(pairs, number, file, labels, dataset_spec, ipc, where)


def check(entry: dict[str, Any], spec: dict[str, Any], where: str) -> None:
    """Read every set that an entry of the config's ``imported`` names, and refuse what could not be measured.

    Args:
        entry: ``file`` and ``ipc``, and where given ``labels`` and ``sets``.
        spec: the ``SPEC`` of the entry's dataset.
        where: what the error begins with, such as ``config: imported[0]``.

    Raises:
        UserError: as :func:`read`, in one line that names the file.
    """
    file, labels, sets = entry["file"], entry.get("labels"), entry.get("sets", 1)
    pairs = _pairs(file, labels, sets, where)
    for number in range(sets):
        _checked(pairs, number, file, labels, spec, entry["ipc"], where)


# ---- what the files hold ---------------------------------------------------------------------------------------------


def _pairs(file: str | os.PathLike, labels: str | os.PathLike | None, sets: int, where: str) -> list[tuple[Any, Any]]:
    """At least ``sets`` pairs, of which nothing else is known yet.

    Raises:
        UserError: the files do not hold them.
    """
    found, labels_found = _load(file, where), None if labels is None else _load(labels, where)
    where = f"{where}: {file}"
    if labels is not None:
        if isinstance(found, dict):
            raise UserError(f"{where}: is a dictionary, as a res_*.pt is, which has labels of its own; drop `labels`")
        if sets > 1:
            raise UserError(f"{where}: with `labels` it is one set, but {sets} are asked for; `sets: 1` goes with it")
        return [(found, labels_found)]
    if isinstance(found, torch.Tensor):
        raise UserError(f"{where}: is one tensor, as an images_*.pt is; name its labels_*.pt as `labels`")
    if not isinstance(found, dict):
        raise UserError(f"{where}: holds a {type(found).__name__}, not a dictionary with the key `data`; {NEEDED}")
    if "data" not in found:
        keys = ", ".join(f"`{_shown(key, 30)}`" for key in list(found)[:5] if isinstance(key, str)) or "none"
        raise UserError(f"{where}: has no key `data` (its keys: {keys}); {NEEDED}")
    pairs = found["data"]
    if not isinstance(pairs, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        raise UserError(f"{where}: `data` is not a list of (images, labels) pairs; {NEEDED}")
    if len(pairs) < sets:
        held = f"{len(pairs)} set{'' if len(pairs) == 1 else 's'}"
        remedy = f"`sets: {len(pairs)}` or less" if pairs else "a file with at least one"
        raise UserError(f"{where}: holds {held}, but {sets} are asked for; {remedy} would do")
    return [tuple(pair) for pair in pairs]


def _checked(
    pairs: list[tuple[Any, Any]],
    number: int,
    file: str | os.PathLike,
    labels_file: str | os.PathLike | None,
    spec: dict[str, Any],
    ipc: int,
    where: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Set ``number`` as ``read`` returns it. Shapes are compared first: one may claim more memory than the file has.

    Raises:
        UserError: it is no set of ``ipc`` images for each class of ``spec``.
    """
    images, labels = pairs[number]
    place = f": set {number}" if len(pairs) > 1 else ""
    labels_where = f"{where}: {file if labels_file is None else labels_file}{place}"
    where = f"{where}: {file}{place}"
    classes, image = len(spec["classes"]), (spec["channels"], spec["size"], spec["size"])

    images = _plain(images, f"{where}: images are", "(N, C, H, W)")
    if images.dtype not in _FLOATING:
        raise UserError(
            f"{where}: images are {images.dtype}, but a set lives in normalised space (of the dataset's mean and "
            "standard deviation), where pixels are not whole numbers; float32 is needed"
        )
    if images.ndim != 4 or tuple(images.shape[1:]) != image:
        needed = ", ".join(map(str, image))
        raise UserError(f"{where}: images are {tuple(images.shape)}; {spec['name']} needs (N, {needed})")
    if len(images) != ipc * classes:
        fits = len(images) > 0 and len(images) % classes == 0
        raise UserError(
            f"{where}: holds {len(images)} images; `ipc: {ipc}` for the {classes} classes of {spec['name']} needs "
            f"{ipc * classes}" + (f" (`ipc: {len(images) // classes}` would fit)" if fits else "")
        )
    images = _copy(images, torch.float32)
    if not torch.isfinite(images).all():
        raise UserError(f"{where}: images hold NaN or infinite values; finite float32 is needed")
    labels = _plain(labels, f"{labels_where}: labels are", "(N,) or (N, K)")
    if labels.shape == (len(images),) and labels.dtype in _INTEGER:
        labels = _copy(labels, torch.int64)
    elif labels.shape == (len(images), classes) and labels.dtype in _FLOATING:
        labels = _copy(labels, torch.float32)
    # Nothing can be wrong with the images by now, so whatever is wrong is told of the labels' file.
    synthetic.check(images, labels, classes=classes, where=labels_where)
    if labels.ndim == 1:
        counts = torch.bincount(labels, minlength=classes)
        wrong = int((counts != ipc).int().argmax())
        if counts[wrong] != ipc:
            raise UserError(
                f"{labels_where}: class {wrong} has {int(counts[wrong])} images; `ipc: {ipc}` needs {ipc} of each class"
            )
    return images, labels


def _plain(value: Any, what: str, shape: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise UserError(f"{what} a {type(value).__name__}; a tensor {shape} is needed")
    if value.layout != torch.strided or value.device.type != "cpu":
        raise UserError(f"{what} {value.layout} on {value.device}; a dense tensor {shape} is needed")
    return value.detach()


def _copy(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # A copy even of the right type: what was loaded may be a view of a larger one.
    return tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)


# ---- reading without running -----------------------------------------------------------------------------------------


class _Dtype:
    """Takes the place of ``numpy.dtype``: none of NumPy's own code runs on foreign state.

    Raises:
        ValueError: it is not of a plain number.
    """

    def __init__(self, name: str, align: bool = False, copy: bool = False):
        if not isinstance(name, str) or not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f(2|4|8|12|16))", name):
            raise ValueError("a NumPy scalar is not a plain number")

    def __setstate__(self, state: Any):
        pass


def _scalar(dtype: _Dtype, data: bytes) -> None:
    """Takes the place of NumPy's ``scalar``. Nothing here reads the accuracies in a file: ours are measured."""


# As NumPy 1 and NumPy 2 name them. No pickle names NumPy's classes of dtypes (`numpy.dtypes.Float64DType`): torch needs
# to be told of those only where the real `numpy.dtype` makes them.
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


def _load(path: str | os.PathLike, where: str) -> Any:
    """What ``torch.save`` wrote: tensors on the CPU, in containers. No code from the file runs.

    Memory is bounded by the file's size, but for what torch gives no say in: it reserves one tensor's numbers before
    ``bounded`` below hears of them (a lie about their size reserves addresses, and fails before the memory is written
    to), and a file made for it could still waste time and memory in ``_codecs.encode`` or in hashing.

    Raises:
        UserError: whatever goes wrong.
    """
    where = f"{where}: {path}"
    total = 0

    def bounded(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        """A `map_location` of "cpu" (where a storage already is) that counts."""
        nonlocal total
        total += storage.nbytes()
        if total > most:
            raise UserError(f"{where}: names {total} bytes of numbers or more and holds {most} at most; {NEEDED}")
        return storage

    try:
        status = os.stat(path)  # before it is opened: a pipe would wait
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{where}: is {'a folder' if Path(path).is_dir() else 'not a regular file'}; {NEEDED}")
        if status.st_size > FILE_BYTES:
            raise UserError(
                f"{where}: has {status.st_size} bytes; at most {FILE_BYTES} are read, more than any released set has"
            )
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's are for whoever wrote the file
            most = _inspect(file, status.st_size, where)
            file.seek(0)
            with torch.serialization.safe_globals(_NUMPY):
                return torch.load(file, map_location=bounded, weights_only=True, mmap=False)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{where}: is missing; give the path of a file that exists") from error
    except Exception as error:  # a malformed file may make torch raise anything
        raise UserError(f"{where}: cannot be read ({_reason(error)}); {NEEDED}") from error


def _inspect(file: BinaryIO, size: int, where: str) -> int:
    """Look at what ``torch.load`` would be given. Returns how many bytes of numbers it can hold.

    Raises:
        UserError: it is not of ``torch.save``, is too large, or its pickle asks for what no released set needs.
        Exception: it is damaged.
    """
    head = file.read(PICKLE_BYTES)
    if head.startswith(_LEGACY):
        _scan(head, _LEGACY_PICKLES, where)
        return size
    if not head.startswith(b"PK\x03\x04"):
        raise UserError(f"{where}: {_kind(head)}, not what torch.save writes; {NEEDED}")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = {member.filename.rpartition("/")[2].lower() for member in members}
        if "data.pkl" not in names or "constants.pkl" in names:
            what = "a NumPy archive (.npz)" if any(name.endswith(".npy") for name in names) else "a zip archive"
            what = "a TorchScript archive" if "constants.pkl" in names else what
            raise UserError(f"{where}: is {what}, not what torch.save writes; {NEEDED}")
        declared = sum(member.file_size for member in members)
        if declared > FILE_BYTES:
            raise UserError(
                f"{where}: unpacks to {declared} bytes; at most {FILE_BYTES} are read, more than any released set has"
            )
        for member in members:
            if member.filename.lower().endswith("data.pkl"):
                if member.file_size > PICKLE_BYTES:
                    raise UserError(
                        f"{where}: its pickle has {member.file_size} bytes; at most {PICKLE_BYTES} are read"
                    )
                _scan(archive.read(member), 1, where)
        damaged = archive.testzip()  # torch compares no checksums, and a wrong pixel would be measured in silence
        if damaged is not None:
            raise UserError(f"{where}: the checksum of `{_shown(damaged, 60)}` is wrong, so it is damaged; {NEEDED}")
    return declared


def _scan(content: bytes, pickles: int, where: str) -> None:
    """Read the instructions of the pickles that ``content`` begins with, and carry none out.

    torch refuses to call anything outside a list of its own, but that has more on it than a set needs, such as a
    ``bytearray`` of any size, and tells of a refusal in several lines of advice on how to go round it.

    Raises:
        UserError: one asks for a name that no released set needs, or is too deep.
        ValueError: one is damaged.
    """
    stream, tuples = io.BytesIO(content), 0
    for _ in range(pickles):
        for instruction, argument, _ in pickletools.genops(stream):
            if instruction.name == "GLOBAL" and argument.replace(" ", ".", 1) not in _NAMES:
                name = _shown(argument.replace(" ", ".", 1), 80)
                raise UserError(
                    f"{where}: asks for {name}, which is refused and has not run; tensors, lists and numbers are read"
                )
            tuples += instruction.name.startswith("TUPLE")
    if tuples > PICKLE_TUPLES:
        raise UserError(f"{where}: its pickle has {tuples} tuples; at most {PICKLE_TUPLES} are read")


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
        text = (getattr(error, "strerror", None) or str(error)).rpartition("WeightsUnpickler error:")[2]
    except Exception:  # of what the file made it hold
        text = ""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return _shown(f"{type(error).__name__}: {line.strip()}" if line else type(error).__name__, 160)


def _shown(text: str, length: int) -> str:
    text = "".join(character if character.isprintable() else "?" for character in text[: length + 1])
    return text if len(text) <= length else text[:length] + "..."
