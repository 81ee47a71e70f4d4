"""What a process settles before it computes: where compiled code is kept, what becomes of freed
memory, and that the CPU repeats its bits."""

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch


def keep_compiled() -> None:
    """Let compiled code outlive the process, so that a machine compiles each function once.

    It is kept in ``TORCHINDUCTOR_CACHE_DIR`` where that is set, else in the user's cache folder. If
    that cannot be written to, torch keeps its own temporary place. ``CXX`` becomes a script that
    runs the compiler, see ``whole_outputs``.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        place = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or home / "distillery" / "compiled")
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except (OSError, RuntimeError):  # RuntimeError: a user without a home, as in a container
        return
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place)
    os.environ.setdefault("TRITON_CACHE_DIR", str(place / "triton"))
    # The order is that of `winograd.compiler`, which tries this one first and then the others. It
    # does not ask here: what it imports decides whether results are stale, and this does not.
    names = (os.environ.get("CXX", ""), "g++", "clang++", "c++")
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler:
        os.environ["CXX"] = whole_outputs(compiler)


# Runs a compiler so that its output, the word after -o, appears when it is whole.
_WHOLE = """\
#!/bin/sh
output= before=
for word; do
  shift
  if [ "$before" = -o ]; then
    output=$word
    case $word in /dev/*) ;; *) word=$word.$$ ;; esac
  fi
  set -- "$@" "$word"
  before=$word
done
case $output in "" | /dev/*) exec {compiler} "$@" ;; esac
{compiler} "$@" && exec mv -f "$output.$$" "$output"
status=$?
rm -f "$output.$$"
exit $status
"""
_SCRIPTS = "compilers"


def whole_outputs(compiler: str) -> str:
    """Write a script that runs a C++ compiler and lets its output appear when it is whole, and
    return its path; ``compiler`` itself where no script can be kept. Whether it runs,
    ``winograd.compiler`` tries.

    A compiler that is killed leaves a part of a library, and torch loads whatever lies in its
    cache: every later job then fails ("file too short") or ends by SIGBUS, until somebody empties
    the cache. torch's workers compile in processes of their own, so this is no patch of torch.

    Args:
        compiler: its path. It runs 2 ms later, a library takes 700.
    """
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if not cache or os.name != "posix" or Path(compiler).parent.parent.name == _SCRIPTS:
        return compiler
    text = _WHOLE.format(compiler=shlex.quote(compiler))
    folder = Path(cache) / _SCRIPTS / hashlib.sha256(text.encode()).hexdigest()[:8]
    script = folder / Path(compiler).name  # torch reads from the name what kind it is
    try:
        if not script.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                fresh = Path(place, "script")
                fresh.write_text(text, encoding="utf-8")
                fresh.chmod(0o755)
                fresh.replace(script)
    except OSError:  # read-only or full
        return compiler
    return str(script)


@functools.cache
def keep_host_memory() -> None:
    """Let glibc keep freed memory instead of giving large blocks back to the kernel at once.

    A step allocates and frees the same large activations again and again; by default each is
    mapped, zeroed page by page and unmapped. Measured on 256 MNIST images, gradient of the ConvNet:
    eager float32 1.50 s to 0.72 s, compiled bfloat16 0.33 s to 0.25 s. It changes no result.
    Elsewhere than on Linux with glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 * 2**20)


def repeatable(wanted: bool) -> None:
    """Make the CPU repeat its bits; elsewhere the deterministic kernels cost too much.

    ``torch.use_deterministic_algorithms`` would do, but imports the compiler: 3 s of a job that may
    have nothing to compile.
    """
    torch.set_deterministic_debug_mode("warn" if wanted else "default")
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
    os.environ["TORCHINDUCTOR_DETERMINISTIC"] = str(int(wanted))
