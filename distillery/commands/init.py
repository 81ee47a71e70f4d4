"""Make a folder for a study of one's own."""

import argparse
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from distillery import places
from distillery.commands import _images
from distillery.datasets._listing import PLACES
from distillery.errors import UserError

EXAMPLES = """\
  distillery init study --images pictures
  distillery init study --images pictures --size 28x56 --channels 1
  distillery init study

The second and third command, `cd study` and `distillery run`, end in a report. Without --images the
study is of the digits that come with Distillery.
"""
TEMPLATES = Path(__file__).with_name("study")
CONFIG = "config.yaml"
IPC = (1, 10)
# What keys of a dataset mean, where they are written.
_MEANS = {
    "size": " # pixels a side, or [height, width], that images are brought to",
    "channels": " # 1 is grey, 3 colours",
}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="a new or an empty folder")
    parser.add_argument(
        "--images",
        metavar="PICTURES",
        help="a folder with a sub-folder for each class, or with train and test that have these; "
        "a .csv with columns file and label; an .npz with images and labels; or Parquet of a hub",
    )
    parser.add_argument("--title", help="of the study, on its report")
    _images.declare(parser, shape=True)


def run(given: argparse.Namespace) -> None:
    """Write the folder, after the study was checked.

    Raises:
        UserError: the folder is not empty, or the pictures are no dataset.
    """
    folder = Path(given.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"init: {folder} is there already; name a new or an empty folder")
    title, few = given.title or folder.resolve().name, ""
    if given.images is None:
        name, datasets, ipc = "digits", _template("digits.yaml").rstrip("\n") + "\n", list(IPC)
    else:
        name = _images.name_of(given.images)
        block = _images.block(given, given.images, given.size, given.channels)
        most = _most(name, block)
        ipc = [size for size in IPC if size <= most]
        few = "" if ipc == list(IPC) else f", for its smallest class has {most} to start from"
        datasets = _datasets(block, name, folder)
    config = _template(
        CONFIG, title=json.dumps(title, ensure_ascii=False), datasets=datasets, name=name, ipc=ipc
    )
    profile = "profiles/default/config.yaml"
    (folder / profile).parent.mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / CONFIG).write_text(config, encoding="utf-8")
    (folder / "README.md").write_text(_template("README.md", title=title), encoding="utf-8")
    shutil.copyfile(places.workflow() / profile, folder / profile)
    each = "image" if ipc == [1] else "images"
    sizes = f"{' and '.join(map(str, ipc))} {each} per class"
    print(f"{folder / CONFIG}: a study of {name}, {sizes}{few}")
    print(f"Run it: cd {shlex.quote(str(folder))} && distillery run")


def _template(file: str, **values: Any) -> str:
    """Return a file of a study, with values in the places of their names."""
    text = (TEMPLATES / file).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", str(value))
    return text


def _most(name: str, block: dict[str, Any]) -> int:
    """Return how many images per class the pictures allow: as many as the smallest class has.

    Raises:
        UserError: they are no dataset.
    """
    study = _images.study(
        name, block, data={"validation": 0.1}, evaluate={"selection": {"models": 0}}
    )
    smallest, held_out = study.to_draw(name)
    return smallest - held_out


def _datasets(block: dict[str, Any], name: str, folder: Path) -> str:
    """Return the part of the config that says what the images are."""
    lines = []
    for key, value in block.items():
        # Else of the home, or a hub's name.
        if key in PLACES and os.path.exists(value) and not os.path.isabs(value):
            value = os.path.relpath(value, folder)
        if _images.DEFAULTS.get(key) != value:
            text = value if key == "kind" else json.dumps(value, ensure_ascii=False)
            lines.append(f"    {key}: {text}{_MEANS.get(key, '')}")
    return _template("datasets.yaml", name=name, block="\n".join(lines))
