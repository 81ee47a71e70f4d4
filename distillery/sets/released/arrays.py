"""Read files of plain numbers: NumPy arrays and safetensors."""

import io
import math
import os
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from distillery.errors import UserError
from distillery.sets.released.contents import NEEDED, Contents, shown
from distillery.sets.synthetic import SyntheticSet


def npy(content: bytes, where: str) -> torch.Tensor:
    """Read an array of plain numbers; none of pickled objects is read.

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
    # torch computes with few of the wider unsigned numbers.
    if dtype.kind == "u" and dtype.itemsize > 1:
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


def safetensors(path: str | os.PathLike[str], where: str) -> Contents:
    """Read a file of named tensors, or a synthetic set of Distillery.

    Raises:
        UserError: it is a damaged set of Distillery.
        Exception: it is another damaged file.
    """
    with safe_open(str(path), framework="pt") as file:
        ours = "header" in (file.metadata() or {})
        tensors = {} if ours else {name: file.get_tensor(name) for name in file.keys()}
    if not ours:
        return Contents("a safetensors file", tensors)
    try:
        synthetic = SyntheticSet.load(path, rule=None)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{path}: ')}") from error
    value: dict[str, Any] = {"images": synthetic.images, "labels": synthetic.labels}
    if synthetic.step_size is not None:
        value["step_size"] = synthetic.step_size
    return Contents("a synthetic set of Distillery", value, synthetic.header, synthetic.whitening)
