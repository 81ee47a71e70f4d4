"""Read the pickles of CIFAR without running what a pickle may ask for."""

import io
import pickle
from typing import Any, Never

import numpy as np

from distillery.errors import UserError


class _Standin:
    """Takes a class's place in a pickle and notes what it is given: none of NumPy's own code runs
    on foreign state."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dtype(_Standin):
    """For ``numpy.dtype``."""


class _Array(_Standin):
    """For an array under reconstruction; its state is (version, shape, dtype, Fortran order,
    bytes)."""


class _Bytes(_Standin):
    """How Python 3 writes bytes in protocol 2: text and the name of its encoding."""


class _Unpickler(pickle.Unpickler):
    """Knows the names that an array in a pickle needs, each replaced by a stand-in."""

    NAMES = {  # noqa: RUF012 (a constant)
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): "ndarray",
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _Bytes,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no published batch does"
            ) from None

    def persistent_load(self, pid: Any) -> Never:
        raise pickle.UnpicklingError("it refers to something outside itself")


def unpickle(pickled: bytes, name: str) -> Any:
    """Read a pickle of containers, strings, numbers and uint8 arrays (as values of the outermost
    dictionary).

    Nothing else is constructed or called, so the file may come from anyone.

    Raises:
        UserError: the pickle asks for anything else, or is damaged.
    """
    try:
        content = _Unpickler(io.BytesIO(pickled), encoding="latin1").load()
        if isinstance(content, dict):
            content = {
                key: _array(value) if isinstance(value, _Array) else value
                for key, value in content.items()
            }
    except Exception as error:  # a malformed pickle may raise anything
        raise UserError(
            f"{name}: is refused: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    return content


def _array(standin: _Array) -> np.ndarray:
    _, shape, dtype, fortran, data = standin.state
    if not isinstance(dtype, _Dtype) or dtype.arguments[:1] not in (("u1",), ("|u1",)):
        raise ValueError("an array is not uint8")
    if isinstance(data, _Bytes):
        data, _ = data.arguments
    data = data.encode("latin1") if isinstance(data, str) else data
    # The shape is checked against the bytes that are there, so a lie about it allocates nothing.
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")
