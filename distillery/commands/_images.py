"""The real images that a command is given: a folder of pictures, a table, arrays, Parquet, or a
built-in dataset."""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.commands import _settings
from distillery.errors import UserError, hint

if TYPE_CHECKING:
    from distillery.images.dataset import Arrays
    from distillery.study.study import Study

# What pictures are brought to. Arrays stay as they are.
SIZE, CHANNELS = 32, 3
ARRAYS, TABLES, HUB = (".npz", ".safetensors"), (".csv", ".tsv"), ".parquet"
# What may be named, as help says it.
IMAGES = (
    "a folder of pictures, a table of files and labels (.csv), arrays (.npz, .safetensors), "
    "Parquet of a dataset hub, or a built-in dataset"
)
# An example of a key of a dataset's block.
LABEL = "label=diagnosis"
# What a config says where an option does not.
DEFAULTS = {"fit": "crop", "on_error": "fail"}
# Where built-in datasets come from, in this order, as a study's `data.sources`.
SOURCES = ("local", "torchvision", "registry")
LOCAL = "data"


def declare(parser: argparse.ArgumentParser, shape: bool) -> None:
    """Declare how pictures and arrays are read.

    Args:
        parser: of the command.
        shape: whether the command may choose the shape of the images.
    """
    if shape:
        parser.add_argument(
            "--size",
            type=size,
            metavar="PIXELS",
            help="pixels a side, or HEIGHTxWIDTH, that images are brought to "
            f"(default: {SIZE}, and of arrays their own)",
        )
        parser.add_argument(
            "--channels",
            type=int,
            choices=[1, 2, 3, 4],
            help=f"1 is grey, 2 grey with alpha, 3 colours, 4 colours with alpha (default: "
            f"{CHANNELS}, and of arrays their own)",
        )
    parser.add_argument(
        "--data",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"what else a config would say of them under `datasets`, such as {LABEL}; may be "
        "given several times",
    )
    parser.add_argument(
        "--test",
        type=float,
        metavar="SHARE",
        help="the share of each class that is tested on, where there is no test part "
        "(default: 0.2)",
    )
    parser.add_argument(
        "--fit",
        choices=["crop", "pad", "stretch"],
        default=DEFAULTS["fit"],
        help="how a picture of another shape becomes one of the size (default: crop)",
    )
    parser.add_argument(
        "--on-error",
        choices=["fail", "skip"],
        default=DEFAULTS["on_error"],
        help="what becomes of pictures that cannot be read (default: fail)",
    )


def declare_sources(parser: argparse.ArgumentParser) -> None:
    """Declare where a built-in dataset comes from, of commands that may be given one."""
    parser.add_argument(
        "--source",
        choices=SOURCES,
        action="append",
        default=[],
        help="where a built-in dataset comes from; may be given several times, in the order of "
        f"trial (default: {', '.join(SOURCES)})",
    )


def again(given: argparse.Namespace) -> list[str]:
    """Return the words by which another command reads the same images."""
    usual = {"test": None, **DEFAULTS}
    chosen = [(name, getattr(given, name)) for name in usual if getattr(given, name) != usual[name]]
    repeated = [(name, one) for name in ("data", "source") for one in getattr(given, name)]
    options = repeated + chosen
    return [word for name, value in options for word in (f"--{name.replace('_', '-')}", str(value))]


def size(text: str) -> int | list[int]:
    """Read ``64`` or ``28x56``."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"must be such as 64 or 28x56, not {text!r}")
    height, width = found[1], found[2]
    return int(height) if width is None else [int(height), int(width)]


def name_of(path: str) -> str:
    """Return what a dataset may be called that lies at ``path``."""
    name = re.sub(r"\W+", "_", Path(path).resolve().stem, flags=re.ASCII).strip("_")
    if not name or not name[0].isalpha():
        name = f"my_{name or 'images'}"
    from distillery import plugins

    taken = {known.lower() for known in plugins.datasets()}
    return f"my_{name}" if name.lower() in taken else name


def block(given: argparse.Namespace, path: str, size: Any, channels: int | None) -> dict[str, Any]:
    """Return what a config says of a folder of pictures, of a table that names them, of arrays, or
    of Parquet.

    Args:
        given: the command's arguments.
        path: of the folder or the file, or the name of what was downloaded from a hub.
        size: of the images; ``None``: the default.
        channels: likewise.

    Raises:
        UserError: ``--data`` says what the command itself does, or is no ``KEY=VALUE``.
    """
    kind, shape = "folder", (size or SIZE, channels or CHANNELS)
    if path.lower().endswith(ARRAYS) or list(Path(path).glob("*.npy")):
        kind, shape = "arrays", (size, channels)
    elif path.lower().endswith(TABLES):
        kind = "table"
    elif _is_of_a_hub(path):
        kind = "hub"
    read = {
        "kind": kind,
        "path": path,
        "size": shape[0],
        "channels": shape[1],
        "fit": given.fit,
        "on_error": given.on_error,
        "test": given.test,
    }
    more = _settings.read(given.data, "--data", "KEY=VALUE", LABEL)
    for key in more.keys() & read.keys():
        raise UserError(
            f"--data: {key}: "
            + (
                "is what the command is given"
                if key in ("kind", "path")
                else f"is said by --{key.replace('_', '-')}"
            )
        )
    return {key: value for key, value in read.items() if value is not None} | more


def _is_of_a_hub(path: str) -> bool:
    """Return whether this is Parquet, of which folders have some at their top or one below, or the
    name of a dataset that was downloaded."""
    if os.path.lexists(path):
        inside = (file for depth in ("*", "*/*") for file in Path(path).glob(depth + HUB))
        return path.lower().endswith(HUB) or next(inside, None) is not None
    from distillery.datasets._hub import cached

    return re.fullmatch(r"[\w.-]+/[\w.-]+", path) is not None and cached(path).is_dir()


def read(
    given: argparse.Namespace, named: str, size: Any = None, channels: int | None = None
) -> "Arrays":
    """Return the images of a folder or a file, of what was downloaded from a hub by that name, or
    of the built-in dataset that has it.

    Args:
        given: the command's arguments.
        named: the folder, the file or the dataset.
        size: that images of a user's own are brought to; ``None``: the default.
        channels: likewise.

    Raises:
        UserError: neither is there, or the images cannot be read.
    """
    from distillery import plugins

    files = (*ARRAYS, *TABLES, HUB)
    if os.path.isfile(named) and not named.lower().endswith(files):
        raise UserError(f"{named}: is no folder of pictures, nor one of {', '.join(files)}")
    if os.path.exists(named) or _is_of_a_hub(named):
        if given.source:
            raise UserError(f"--source: {named} is no built-in dataset; only they have sources")
        return _own(named, block(given, named, size, channels))
    if named in plugins.datasets():
        if given.data:
            raise UserError(f"--data: {named} is built in; only images of your own are described")
        from distillery.datasets._fetch import fetch

        with tempfile.TemporaryDirectory() as workspace:
            return fetch(named, sources=given.source or SOURCES, local=LOCAL, workspace=workspace)
    close = hint(named, plugins.datasets())
    raise UserError(
        f"{named}: there is no such folder or file, nor a built-in dataset; {close}known are "
        f"{', '.join(plugins.datasets())}"
    )


def _own(path: str, block: dict[str, Any]) -> "Arrays":
    from distillery.api.process import Bar
    from distillery.datasets._prepare import prepare

    name = name_of(path)
    own = study(name, block).own[name]
    bars = []

    def progress(total: int) -> Bar:
        bars.append(Bar(total, "decoding", "image"))
        return bars[-1]

    try:
        return prepare(
            name,
            own.places,
            own.settings,
            listing=own.listing.digest(),
            workers=os.cpu_count() or 1,
            progress=progress,
            log=lambda line: print(f"note: {line}", file=sys.stderr),
        )
    except UserError as error:
        raise _without_config(error, name, path) from None
    finally:
        for bar in bars:
            bar.__exit__()


def study(name: str, block: dict[str, Any], **more: Any) -> "Study":
    """Return a study of a dataset, by which its block is checked.

    Raises:
        UserError: the block is wrong, or what lies there is no dataset.
    """
    from distillery.study import load

    config = {
        "study": name,
        "datasets": {name: block},
        "data": {"validation": 0},
        "grid": [{"dataset": name, "method": "random", "init": "real", "ipc": 1}],
        "vanilla": {"networks": []},
        "continual": {"datasets": []},
        **more,
    }
    try:
        return load.study(config)
    except UserError as error:
        raise _without_config(error, name, str(block["path"])) from None


def _without_config(error: UserError, name: str, path: str) -> UserError:
    """Return an error about a dataset's block as one about what lies there: there is no config that
    it could be wrong in."""
    said = re.sub(rf"^(config: )?(datasets\.{name}(\.path: |\.|: ))?", "", str(error), count=1)
    return UserError(said if said.startswith((path, "there is no")) else f"{path}: {said}")
