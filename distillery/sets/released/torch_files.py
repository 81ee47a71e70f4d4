"""Read what ``torch.save`` wrote, and NumPy's zips. Pickles are read before torch does, so that
none may name what no released set needs."""

import io
import pickletools
import re
import zipfile
from typing import Any, BinaryIO

import numpy as np
import torch

from distillery.errors import UserError
from distillery.sets.released.arrays import npy
from distillery.sets.released.contents import FILE_BYTES, NEEDED, Contents, shown

# The pickle lists tensors and accuracies but holds no pixels: that of a released file has some tens
# of KB.
PICKLE_BYTES = 1 << 20
# As many as 10,000 NumPy scalars need. A tuple nested 200,000 deep, as a key, would overflow the
# interpreter's stack.
PICKLE_TUPLES = 20_000


class _Dtype:
    """Take the place of ``numpy.dtype``: none of NumPy's own code runs on foreign state.

    Raises:
        ValueError: it is not of a plain number.
    """

    def __init__(self, name: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not re.fullmatch(
            r"[<>=|]?(b1|[iu][1248]|f(2|4|8|12|16))", name
        ):
            raise ValueError("a NumPy scalar is not a plain number")
        self.name, self.order = name.lstrip("<>=|"), "="

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, …): a scalar of the other order says so here.
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "=", "|"):
            self.order = state[1]


def _scalar(dtype: _Dtype, data: bytes) -> float | int | bool | None:
    """Take the place of NumPy's ``scalar``: a number, or ``None`` for one wider than Python's."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or dtype.name in ("f12", "f16"):
        return None
    kind = np.dtype(dtype.order.replace("|", "=") + dtype.name)
    return np.frombuffer(data, kind)[0].item() if len(data) == kind.itemsize else None


# As NumPy 1 and NumPy 2 name them. No pickle names NumPy's classes of dtypes
# (`numpy.dtypes.Float64DType`): torch needs to know of those only where the real `numpy.dtype`
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


def torch_file(file: BinaryIO, most: int, where: str) -> Any:
    """Read what ``torch.save`` wrote, where it holds at most ``most`` bytes of numbers."""
    total = 0

    def bounded(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        """Serve as a `map_location` of "cpu" (where a storage already is), and count."""
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
        # Torch declares a function of storages as one of tensors.
        location: Any = bounded
        return torch.load(file, map_location=location, weights_only=True, mmap=False)


def zipped(file: BinaryIO, where: str) -> Contents:
    """Read a zip: what ``torch.save`` writes, or NumPy's ``.npz``.

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
                scan(archive.read(member), 1, where)
        # torch compares no checksums, and a wrong pixel would be measured in silence.
        damaged = archive.testzip()
        if damaged is not None:
            raise UserError(
                f"{where}: the checksum of `{shown(damaged, 60)}` is wrong, so it is damaged; "
                f"{NEEDED}"
            )
        if not pickled:
            value = {
                member.filename.removesuffix(".npy"): npy(archive.read(member), where)
                for member in arrays
            }
            return Contents("a NumPy archive (.npz)", value)
    return Contents("what torch.save writes", torch_file(file, declared, where))


def scan(content: bytes, pickles: int, where: str) -> None:
    """Read the instructions of the pickles that ``content`` begins with, and carry none out.

    torch refuses to call anything outside its list, but that has more on it than a set needs, such
    as a ``bytearray`` of any size, and its refusal is several lines of advice on how to go round
    it.

    Raises:
        UserError: one asks for a name that no released set needs, or is too deep.
        ValueError: one is damaged.
    """
    stream, tuples = io.BytesIO(content), 0
    for _ in range(pickles):
        for instruction, argument, _ in pickletools.genops(stream):
            name = str(argument).replace(" ", ".", 1) if instruction.name == "GLOBAL" else None
            if name is not None and name not in _NAMES:
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
