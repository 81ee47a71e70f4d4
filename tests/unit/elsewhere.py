"""A device that is not the CPU, without one: torch's ``meta`` device, whose tensors have shapes and
no values, watched by a mode that sees every operation.

What a GPU would refuse fails: tensors of two devices in one operation, a generator of the wrong
one. What a GPU would wait for is noted: a value that is read, a copy to the host, an operation
whose shape depends on values, a host's tensor that indexes a device's. Values that are read are
made up, or those that ``known`` has.
"""

import traceback
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
ROOT = Path(__file__).resolve().parents[2]
_COPIES = {"aten::_to_copy", "aten::copy_"}
_READ = {"aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::is_nonzero"}
_SHAPED_BY_VALUES = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::bincount"}
_INDEXED = {"aten::index", "aten::index_put_", "aten::index_put"}


class Elsewhere(TorchDispatchMode):
    """Watches what runs within.

    Attributes:
        waits: where in the library the host waited for the device, and for what.
    """

    def __init__(self):
        super().__init__()
        self.waits = []
        self._known = []

    def put(self, tensor):
        """Put a tensor of the host on the device; where it is read again, these are its values."""
        there = tensor.to(DEVICE)
        self._known.append((there, tensor))
        return there

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name
        tensors = [each for each in tree_flatten((args, kwargs))[0] if torch.is_tensor(each)]
        here = [each for each in tensors if each.device.type == "cpu"]
        there = [each for each in tensors if each.device == DEVICE]
        if not there:
            return func(*args, **kwargs)
        if name in _READ:
            self._wait(name)
            return True if name == "aten::equal" else self._values(there[0]).item()
        masks = name in _INDEXED and any(each.dtype == torch.bool for each in there[1:])
        if name in _SHAPED_BY_VALUES or masks:
            self._wait(name)
            values = {id(each): self._values(each) for each in there}
            args, kwargs = tree_map(lambda x: values.get(id(x), x), (args, kwargs))
            given = func(*args, **kwargs)
            return tree_map(lambda x: self.put(x) if torch.is_tensor(x) else x, given)
        if name == "aten::_to_copy" and torch.device(kwargs.get("device") or DEVICE).type == "cpu":
            self._wait(name)
            values = self._values(there[0])
            return values.to(kwargs.get("dtype") or values.dtype, copy=True)
        if name == "aten::copy_" and args[0].device.type == "cpu":
            self._wait(name)
            return args[0]
        if name in _COPIES:
            return func(*args, **kwargs)
        if name in _INDEXED and there[0] is args[0]:
            if any(each.ndim for each in here):
                self._wait(f"{name} by a tensor of the host")
        elif any(each.ndim for each in here):
            shapes = ", ".join(f"{each.device.type} {tuple(each.shape)}" for each in tensors)
            raise AssertionError(f"{name} of tensors of two devices: {shapes}")
        return func(*args, **kwargs)

    def _values(self, tensor):
        """What a tensor holds: what was put there, else ones."""
        for there, values in self._known:
            same = there.untyped_storage()._cdata == tensor.untyped_storage()._cdata
            if there is tensor or (same and there.shape == tensor.shape):
                return values
        return torch.ones(tensor.shape, dtype=tensor.dtype)

    def _wait(self, name):
        frames = [
            frame
            for frame in traceback.extract_stack()
            if frame.filename.startswith(str(ROOT / "distillery"))
        ]
        where = "a test"
        if frames:
            place = frames[-1]
            where = f"{Path(place.filename).relative_to(ROOT)}: {place.name}: {place.line}"
        self.waits.append(f"{name} at {where}")
