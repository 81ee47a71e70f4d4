"""Keep tensors and a header in one safetensors file: it appears whole, is the same for the same
content, and is checked when read."""

# safetensors does not state all of its types.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from distillery.errors import UserError
from distillery.store.files import atomic


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 (hex) over names, dtypes, shapes and raw bytes, in order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def save(
    path: str | os.PathLike[str], tensors: dict[str, torch.Tensor], header: dict[str, Any]
) -> None:
    """Write ``tensors`` and a JSON ``header`` to ``path``; the same content gives the same bytes.

    The header goes under one metadata key, because safetensors does not keep the order of several.

    Raises:
        OSError: it cannot be written; it names ``path``.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # As JSON gives it back: a seal over other keys or types would not match what is read.
    header = json.loads(_text({**header, "sha256": digest(tensors)}))
    text = _text({**header, "seal": _seal(header)})
    with atomic(path) as temporary:
        try:
            save_file(tensors, str(temporary), metadata={"header": text})
        except SafetensorError as error:
            # It tells the system's error by its text alone.
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def header(path: str | os.PathLike[str], *, rule: str | None) -> dict[str, Any]:
    """Return the header of an artefact, without its tensors.

    Raises:
        UserError: the file is missing, not an artefact of ours, or cut short, or its header is not
            what was written; ``rule`` is the rule that re-creates it, ``None`` where no rule of a
            study made it.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            fields = json.loads((file.metadata() or {})["header"])
        seal = fields.pop("seal")
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, rule, error) from error
    if seal != _seal(fields):
        raise _damaged(path, rule, "its header is not what was written")
    return fields


def is_one(path: str | os.PathLike[str]) -> bool:
    """Say whether a file begins as an artefact of ours does, complete or not."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 12)[8:].lstrip(b" ").startswith(b'{"__metadata__":{"header":')
    except OSError:
        return False


def load(
    path: str | os.PathLike[str], *, rule: str | None, check: bool = True
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return all tensors (on the CPU) and the header of an artefact.

    Args:
        path: the file.
        rule: the rule that makes the file, named when the file is damaged; ``None`` where no rule
            of a study made it.
        check: compare the tensors with the digest in the header.

    Raises:
        UserError: the file is missing, cut short, or its bytes are not those that were written.
    """
    fields = header(path, rule=rule)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise _damaged(path, rule, error) from error
    if check and digest(tensors) != fields.get("sha256"):
        raise _damaged(path, rule, "its fields does not match the digest in its header")
    return tensors, fields


class Arrays(Mapping[str, np.ndarray]):
    """Tensors of an artefact as arrays, each read when it is asked for.

    What nobody holds takes no memory: the sets of a large study and their snapshots are gigabytes.

    Args:
        path: the file; :func:`load` has checked it.
        names: of the tensors.
        rule: as for :func:`load`.

    Raises:
        UserError: the file has gone when an array is asked for.
    """

    def __init__(
        self, path: str | os.PathLike[str], names: Iterable[str], *, rule: str | None
    ) -> None:
        self._path, self._names, self._rule = path, tuple(names), rule

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        try:
            with safe_open(str(self._path), framework="pt") as file:
                return file.get_tensor(name).numpy()
        except (OSError, SafetensorError) as error:
            raise _damaged(self._path, self._rule, error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _text(header: dict[str, Any]) -> str:
    return json.dumps(header, sort_keys=True, ensure_ascii=False)


def _seal(header: dict[str, Any]) -> str:
    """Return the SHA-256 (hex) of a header: ``sha256`` in it speaks for the tensors, the seal for
    the rest."""
    return hashlib.sha256(_text(header).encode()).hexdigest()


def digests(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the content digests that the headers of artefacts state, in order.

    Raises:
        UserError: as :func:`header`.
    """
    return [header(path, rule="that made it")["sha256"] for path in paths]


def content(path: str | os.PathLike[str]) -> str:
    """Return the digest of a file's content: what the header of an artefact states, and of any
    other file the SHA-256 (hex) of its bytes.

    Raises:
        OSError: it cannot be read.
    """
    if Path(path).suffix == ".safetensors":
        try:
            return header(path, rule=None)["sha256"]
        except UserError:  # others write such files too
            pass
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents(named: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the digests of files by name: of one path, or of several."""
    return {
        name: [
            content(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)
        ]
        for name, paths in named.items()
    }


def _damaged(path: str | os.PathLike[str], rule: str | None, reason: object) -> UserError:
    # The words stand within the call, where they are no part of a job's code (see `fingerprint`).
    missing = not Path(path).exists()
    return UserError(
        f"{path}: "
        + ("is missing; " if missing else f"cannot be read ({reason}); ")
        + (
            f"delete it and run snakemake again: the rule {rule} re-creates it"
            if rule is not None
            else "give the path of a file that exists"
            if missing
            else "get it again from where it came"
        )
    )
