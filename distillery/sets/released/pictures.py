"""Read folders of pictures: one folder for each class, or what ``distillery export`` wrote."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery.errors import UserError
from distillery.sets.released.contents import FILE_BYTES, PICTURES, Contents, reason, shown

SUFFIXES = (".png", ".jpg", ".jpeg")


def pictures(path: Path, where: str) -> Contents:
    """Read pictures in a folder for each class, as torchvision's ``ImageFolder`` reads them."""
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
            "without a set of Distillery; name a file in it, or such a folder"
        )
    images = _decoded([file for file, _ in files], where)
    labels = torch.tensor([number for _, number in files])
    return Contents("a folder of pictures", {"images": images, "labels": labels}, folders=folders)


def exported(path: Path, where: str) -> Contents:
    """Read what ``distillery export --as images`` wrote: its pictures, labels, step size and
    header."""
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
    value: dict[str, Any] = {"images": _decoded(files, where), "labels": labels}
    if header.get("step_size") is not None:
        value["step_size"] = float(header["step_size"])
    return Contents("an export of Distillery (pictures)", value, header)


def _text(path: Path) -> str:
    if path.stat().st_size > FILE_BYTES >> 4:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes")
    return path.read_text(encoding="utf-8")


def _decoded(files: list[Path], where: str) -> torch.Tensor:
    """Decode pictures of one size to (N, C, H, W) uint8; C is 1 where all are grey, else 3.

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
                f"{where}: {path.name} is not a PNG or JPEG, or is cut short ({reason(error)})"
            ) from error
    if any(array.ndim == 3 for array in arrays):
        arrays = [
            array if array.ndim == 3 else np.repeat(array[..., None], 3, 2) for array in arrays
        ]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.stack(arrays))[:, None]


def _plain_picture(picture: Any, where: str) -> np.ndarray:
    """Convert a picture to (H, W) or (H, W, 3) uint8."""
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
