"""Make tensors of what files hold, within bounds: tensors, or lists of numbers in lists."""

from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGER = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_DEPTH = 8  # of lists in lists


def ndim(value: Any, depth: int = 0) -> int:
    """Count the dimensions of a tensor, or of lists of numbers in lists; -1 for what is neither."""
    if isinstance(value, Tensor):
        return value.ndim
    if isinstance(value, (list, tuple)):
        if not value or depth > _DEPTH:
            return 1
        inner = ndim(value[0], depth + 1)
        return -1 if inner < 0 else inner + 1
    return 0 if isinstance(value, (int, float)) else -1


def numbers(value: Any, most: int, what: str, shape: str) -> Tensor:
    """Make one tensor of a tensor or of lists, of at most ``most`` numbers where they are to be put
    together.

    Raises:
        UserError: it is neither, or its parts have different lengths.
    """
    if isinstance(value, (list, tuple)) and value and 0 < ndim(value) < _DEPTH:
        total = _count(value, most)
        if total > most:
            raise UserError(
                f"{what} more numbers in lists than are needed; a tensor {shape} is needed"
            )
        try:
            if isinstance(value[0], Tensor):
                rows = [_plain(item, what, shape) for item in value]
                return torch.cat(rows) if rows[0].ndim == 4 else torch.stack(rows)
            return torch.tensor(value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UserError(
                f"{what} lists of different lengths or kinds; a tensor {shape} is needed"
            ) from error
    return _plain(value, what, shape)


def _count(value: Any, most: int, depth: int = 0) -> int:
    """Count the numbers in lists, as far as ``most``: the same list may stand in many places."""
    if isinstance(value, Tensor):
        return value.numel()
    if not isinstance(value, (list, tuple)) or depth > _DEPTH:
        return 1
    total = 0
    for item in value:
        total += _count(item, most - total, depth + 1)
        if total > most:
            break
    return max(total, 1)  # empty lists in lists have no end either


def _plain(value: Any, what: str, shape: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise UserError(f"{what} a {type(value).__name__}; a tensor {shape} is needed")
    if value.layout != torch.strided or value.device.type != "cpu":
        raise UserError(
            f"{what} {value.layout} on {value.device}; a dense tensor {shape} is needed"
        )
    return value.detach()


def copy(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a contiguous copy of a tensor, as ``dtype``."""
    # A copy even of the right type: what was loaded may be a view of a larger one.
    return tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)
