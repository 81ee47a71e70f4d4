"""Feeds every reader of foreign files with damaged and forged ones for a while: a refusal in one
line or a good result, nothing else.

    python tests/faults/fuzz.py [MINUTES A READER] [READER …]

Minutes are those of the processor that the reader's process spends, so that a busy machine shortens
nothing; 10 unless said. Each reader runs in a process of its own that may take 2 GB beyond what its
imports need and 20 s a file; a crash, a hang, a traceback, a file made outside, or a refusal that
is no single line is a failure, printed with the bytes that made it (and kept as
`fuzz-failure-READER.bin`).
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from PIL import Image  # noqa: E402

from distillery.datasets import _archives, _formats, _unpickle  # noqa: E402
from distillery.errors import UserError  # noqa: E402
from distillery.sets import folder as export  # noqa: E402
from distillery.sets.evolution import Evolution, load_evolution  # noqa: E402
from distillery.sets.released import describe  # noqa: E402
from distillery.sets.released import read as released  # noqa: E402
from distillery.sets.synthetic import SyntheticSet  # noqa: E402
from distillery.store import artefact, costs, measurements, metrics  # noqa: E402
from distillery.study import load  # noqa: E402
from distillery.training.trajectories import Experts  # noqa: E402

MEMORY, SECONDS = 2 << 30, 20
SPEC = {
    "name": "toy",
    "channels": 3,
    "size": 4,
    "classes": ["a", "b"],
    "train": 6,
    "test": 2,
    "smallest_class": 3,
    "md5": {},
}
SPEC |= {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3)}
GREY = {**SPEC, "channels": 1}


# ---- whole files to begin with -------------------------------------------------------------------


def _saved(value, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _file(write) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole"
        write(path)
        return path.read_bytes()


def _idx() -> bytes:
    return bytes([0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 4]) + bytes(range(96))


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(6 * 16 * 3, dtype=np.uint8).reshape(6, 16, 3)).save(file, "PNG")
    return file.getvalue()


@functools.cache  # it holds the time
def _mat() -> bytes:
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(
        file,
        {"X": np.zeros((4, 4, 3, 6), np.uint8), "y": np.array([[1], [2]] * 3, np.uint8)},
        do_compression=True,
    )
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo("inside/train")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"12345"))
    return file.getvalue()


def _set() -> SyntheticSet:
    about = {
        "classes": ["a", "b"],
        "normalization": {"kind": "channel", "mean": [0.5], "std": [0.5]},
        "protocol": None,
    }
    return SyntheticSet(torch.zeros(2, 1, 4, 4), torch.arange(2), 0.1, about)


def _evolution(path: Path) -> None:
    evolution = Evolution(1, 1)
    for iteration in (0, 1):
        evolution.iteration(iteration, torch.tensor(0.5), torch.zeros(2, 1, 4, 4), step_size=0.1)
    evolution.save(path, {})


def _rows(path: Path) -> None:
    found = metrics.Metrics(dataset="digits", method="dc", ipc=1)
    found.add("accuracy", 0.5, selection="last", split="test")
    found.save(path)


PAIR = [torch.zeros(4, 3, 4, 4), torch.tensor([0, 0, 1, 1])]
CIFAR = pickle.dumps({b"data": np.zeros((6, 48), np.uint8), b"labels": [0, 1] * 3}, protocol=2)


def _array(save) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def _colour() -> SyntheticSet:
    space = {"kind": "channel", "mean": list(SPEC["mean"]), "std": list(SPEC["std"])}
    about = {"dataset": "toy", "classes": ["a", "b"], "normalization": space, "protocol": None}
    soft = torch.tensor([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 2)
    return SyntheticSet(torch.randn(4, 3, 4, 4), soft, 0.1, about)


@functools.cache
def _exported() -> Path:
    """A folder as the export makes it, beside the one that is watched."""
    folder = Path(tempfile.mkdtemp(prefix="export-")) / "set"
    export.image_folder(_colour(), folder)
    return folder


# ---- readers: bytes in a file, to a result or a UserError ----------------------------------------


def _read_imported(path: Path) -> None:
    entry = {"name": "x", "dataset": "toy", "file": str(path), "ipc": 2, "sets": 1}
    released.check(entry, SPEC, "config: imported[0]")
    with contextlib.suppress(UserError):
        describe.describe(str(path))


def _read_array(path: Path) -> None:
    labels = path.with_suffix(".out")
    with labels.open("wb") as file:
        np.save(file, np.array([0, 0, 1, 1]))
    entry = {"name": "x", "dataset": "toy", "file": str(path), "labels": str(labels), "ipc": 2}
    released.check(entry, SPEC, "config: imported[0]")


def _read_step_size(path: Path) -> None:
    whole = path.with_suffix(".out")
    torch.save(PAIR, whole)
    entry = {"name": "x", "dataset": "toy", "file": str(whole), "step_size": str(path), "ipc": 2}
    released.check(entry, SPEC, "config: imported[0]")


def _in_folder(name: str):
    """A reader of a folder, exported by us, in which the file ``name`` is the damaged one."""

    def read(path: Path) -> None:
        with tempfile.TemporaryDirectory() as outside:
            folder = Path(outside) / "set"
            shutil.copytree(_exported(), folder)
            (folder / name).write_bytes(path.read_bytes())
            if name.endswith(".png"):  # as others release pictures
                (folder / "set.json").unlink()
            entry = {"name": "x", "dataset": "toy", "file": str(folder), "ipc": 2}
            released.check(entry, SPEC, "config: imported[0]")

    return read


def _read_idx(path: Path) -> None:
    content = path.read_bytes()
    _formats.read_idx(lambda name, limit: content[: limit + 1], GREY)


def _read_json(path: Path) -> None:
    def read(name: str, limit: int) -> bytes:
        return path.read_bytes() if name.endswith("json") else _png()

    _formats.read_png_rows(read, SPEC, ["a.png"], ["a.png"], ("train.json", "test.json"))


def _read_study(path: Path) -> None:
    try:
        config = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, UnicodeDecodeError, RecursionError):
        return  # Snakemake reads the YAML and refuses it
    if isinstance(config, dict):
        load.study(config)


def _read_mat(path: Path) -> None:
    """As a source does: only a file of the published MD5 is decoded."""
    published = {
        **SPEC,
        "md5": dict.fromkeys(("train.mat", "test.mat"), hashlib.md5(_mat()).hexdigest()),
    }
    _formats.read_svhn(lambda name, limit: path.read_bytes(), published, "train.mat", "test.mat")


def _read_collected(path: Path) -> None:
    metrics.collect([path], path.with_suffix(".out"))


READERS = {
    "imported-legacy": (lambda: _saved({"data": [PAIR]}, False), _read_imported),
    "imported-zip": (lambda: _saved({"data": [PAIR]}, True), _read_imported),
    "imported-list": (lambda: _saved([PAIR[0].tolist(), PAIR[1].tolist()], True), _read_imported),
    "imported-npz": (
        lambda: _array(lambda file: np.savez(file, images=PAIR[0].numpy(), labels=PAIR[1].numpy())),
        _read_imported,
    ),
    "imported-npy": (lambda: _array(lambda file: np.save(file, PAIR[0].numpy())), _read_array),
    "imported-safetensors": (
        lambda: safetensors.torch.save({"images": PAIR[0], "labels": PAIR[1]}),
        _read_imported,
    ),
    "imported-own": (lambda: _file(_colour().save), _read_imported),
    "imported-step": (lambda: _saved(torch.tensor(0.1), True), _read_step_size),
    "imported-header": (lambda: (_exported() / "set.json").read_bytes(), _in_folder("set.json")),
    "imported-table": (lambda: (_exported() / "labels.csv").read_bytes(), _in_folder("labels.csv")),
    "imported-picture": (lambda: (_exported() / "a/0.png").read_bytes(), _in_folder("a/0.png")),
    "idx": (_idx, _read_idx),
    "png": (_png, lambda path: _formats._png(path.read_bytes(), path.name, 6, 4)),
    "json": (lambda: json.dumps([0, 1] * 3).encode(), _read_json),
    "cifar-pickle": (lambda: CIFAR, lambda path: _unpickle.unpickle(path.read_bytes(), path.name)),
    "mat": (_mat, _read_mat),
    "tar": (_tar, lambda path: _archives.in_tar(path, "inside", ["train"])("train", 100)),
    "set": (lambda: _file(_set().save), lambda path: SyntheticSet.load(path).pixels()),
    "evolution": (
        lambda: _file(_evolution),
        lambda path: load_evolution(path, torch.arange(2), "cpu"),
    ),
    "experts": (
        lambda: _file(lambda path: artefact.save(path, {"trajectories": torch.zeros(1, 2, 3)}, {})),
        lambda path: Experts([path]),
    ),
    "metrics": (lambda: _file(_rows), _read_collected),
    "summary": (lambda: _file(_rows), measurements.read_metrics),
    "costs": (
        lambda: json.dumps(costs.sealed({"seconds": 1.5})).encode(),
        lambda path: costs.collect_costs([path], path.with_suffix(".out")),
    ),
    "config": (lambda: (ROOT / "config/quickstart.yaml").read_bytes(), _read_study),
}


# ---- damage --------------------------------------------------------------------------------------

PLACE = st.integers(0, 1 << 16)
WORDS = [
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x00" * 4,
    b"\x7f\xff\xff\xff",
    b"9" * 12,
    b"-1",
    b"1e999",
    b"nan",
    b"{{",
    b"[[[",
]
STEP = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.integers(1, 255)),
    st.tuples(st.just("cut"), PLACE, st.just(0)),
    st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("write"), PLACE, st.sampled_from(WORDS)),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 4)),
)
DAMAGE = st.one_of(st.lists(STEP, min_size=1, max_size=6), st.binary(max_size=400))


def _forged(content: bytes, damage) -> bytes:
    if isinstance(damage, bytes):
        return damage
    for kind, place, what in damage:
        at = place % (len(content) + 1)
        if kind == "flip" and at < len(content):
            content = content[:at] + bytes([content[at] ^ what]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + what + content[at:]
        elif kind == "write":
            content = content[:at] + what + content[at + len(what) :]
        elif kind == "repeat":
            content = content[:at] + content[at : at + 64] * (1 << what) + content[at + 64 :]
    return content[: 1 << 20]


def _resealed(content: bytes) -> bytes:
    """A safetensors file of ours with its digest and seal made to match, as a forger would; as it
    is if it cannot be read."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Exception):
        path = Path(folder) / "forged"
        path.write_bytes(content)
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
            header = json.loads((file.metadata() or {})["header"])
        artefact.save(
            path,
            tensors,
            {name: value for name, value in header.items() if name not in ("sha256", "seal")},
        )
        return path.read_bytes()
    return content


def fuzz(name: str, minutes: float) -> int:
    """Runs in a process of its own; returns how many files were tried."""
    whole, read = READERS[name]
    content = whole()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.chdir(folder)
    path = folder / "file"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        read(path)  # imports what it needs
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    signal.signal(
        signal.SIGALRM,
        lambda number, frame: (_ for _ in ()).throw(TimeoutError(f"more than {SECONDS} s")),
    )
    tried, until = 0, time.process_time() + 60 * minutes

    def one(damage, forge):
        nonlocal tried
        tried += 1
        made = _forged(content, damage)
        if forge and name in ("set", "evolution", "experts", "imported-own"):
            made = _resealed(made)
        path.write_bytes(made)
        signal.alarm(SECONDS)
        try:
            read(path)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000, str(error)
        except BaseException:
            (Path(sys.argv[0]).resolve().parents[2] / f"fuzz-failure-{name}.bin").write_bytes(made)
            raise
        finally:
            signal.alarm(0)
        assert {entry.name for entry in folder.iterdir()} <= {"file", "file.out"}, "a file was made"

    number = 0
    while time.process_time() < until:
        number += 1
        options = settings(
            max_examples=500,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(options(given(DAMAGE, st.booleans())(one)))()
    return tried


def main(words: list[str]) -> int:
    minutes, names = float(words[0]) if words else 10.0, words[1:] or list(READERS)
    failed = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            environment = {**os.environ, "TMPDIR": folder}
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, str(minutes)],
                env=environment,
                capture_output=True,
                text=True,
            )
            if (
                done.returncode < 0
            ):  # the interpreter itself crashed: what it was reading lies there still
                for last in Path(folder).glob("fuzz-*/file"):
                    shutil.copyfile(last, ROOT / f"fuzz-failure-{name}.bin")
        if done.returncode == 0:
            print(
                f"{name}: {done.stdout.strip()} files in {minutes:g} min, nothing but results and "
                "refusals in one line",
                flush=True,
            )
        else:
            failed.append(name)
            print(f"{name}: FAILED (status {done.returncode})\n{done.stderr[-3000:]}", flush=True)
    print(f"{len(names) - len(failed)} of {len(names)} readers held")
    return int(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(fuzz(sys.argv[2], float(sys.argv[3])))
    else:
        sys.exit(main(sys.argv[1:]))
