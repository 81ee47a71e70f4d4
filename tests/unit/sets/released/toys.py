"""Made-up released sets, as the authors' code saves them."""

import io
import os
import zipfile

import numpy as np
import pytest
import torch

from distillery.errors import UserError
from distillery.sets.released import read as released

SPEC = {
    "name": "toy",
    "channels": 3,
    "size": 4,
    "classes": ("a", "b"),
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.25, 0.3),
}
IPC = 2
WHERE = "config: imported[0]"
ZIPPED = pytest.mark.parametrize("zipped", (True, False), ids=("zip", "legacy"))


def one(seed=0, ipc=IPC, classes=2, channels=3, size=4):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(ipc * classes, channels, size, size, generator=generator)
    return [images, torch.arange(classes).repeat_interleave(ipc)]


def result(*pairs):
    """What the gradient-matching authors save, their NumPy scalars included."""
    accuracies = [
        np.float64(0.31),
        np.float32(0.25),
        np.float16(0.5),
        np.int64(3),
        np.int32(-3),
        np.bool_(True),
    ]
    return {
        "data": list(pairs),
        "accs_all_exps": {"ConvNet": accuracies * 3, "MLP": []},
        "note": "done",
        "step": 1000,
    }


def torch_bytes(content, zipped, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped, **options)
    return buffer.getvalue()


def with_pickle(content, change):
    """A zip with its pickle changed and every checksum right."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.infolist():
            part = old.read(member)
            new.writestr(
                member.filename, change(part) if member.filename.endswith("data.pkl") else part
            )
    return changed.getvalue()


def renamed(content, zipped, module):
    """As an older or newer NumPy would name the scalars; nothing else in their pickles differs."""

    def change(part):
        part = part.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        return part.replace(b"cnumpy.core.multiarray\n", b"c" + module + b"\n")

    changed = with_pickle(content, change) if zipped else change(content)
    assert b"c" + module + b"\nscalar\n" in changed
    return changed


def put(folder, content, name="res.pt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else torch_bytes(content, True))
    return path


def read(path, labels=None, number=0, **changes):
    entry = {
        "name": "theirs",
        "dataset": "toy",
        "file": str(path),
        "ipc": IPC,
        **({"labels": str(labels)} if labels else {}),
        **changes,
    }
    found = released.read(entry, SPEC, number, where=WHERE)
    return found.images, found.labels


def check(path, **entry):
    return released.check(
        {"name": "theirs", "dataset": "toy", "file": str(path), "ipc": IPC, **entry}, SPEC, WHERE
    )


def refusal(call, *arguments, **keywords):
    """The one line of a refusal, less the file's folder."""
    with pytest.raises(UserError) as error:
        call(*arguments, **keywords)
    line = str(error.value)
    assert (
        line.startswith(f"{WHERE}: ")
        and "\n" not in line
        and "\x1b" not in line
        and len(line) < 600
    )
    assert "weights_only" not in line and "safe_globals" not in line
    path = line.removeprefix(f"{WHERE}: ").partition(": ")[0]
    return line.replace(path, os.path.basename(path)).removeprefix(f"{WHERE}: ")


def same(first, second):
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(first, second, strict=True))


IMAGES, LABELS = one()
WHOLE = "a whole file of torch.save, safetensors or NumPy, or a folder of pictures, is needed"
