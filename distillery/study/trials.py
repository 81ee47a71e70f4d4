"""Code from outside, tried before any job starts: by a process of its own, which imports what the
parse of a workflow does not."""

# A config, and what was kept of an earlier trial, hold values of any type.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from distillery import outside, places
from distillery.errors import UserError
from distillery.store.files import write_text
from distillery.study import fingerprint
from distillery.study.cells import Cell
from distillery.study.study import Study

_MINUTES = 10
# What tries, relative to the library.
_TRIAL = "networks/_trial.py"


def check(study: Study, kept: str | None = None) -> None:
    """Try the code from outside that a study uses: networks on the images of each dataset that they
    meet; of other plug-ins, whether they can be imported.

    Args:
        study: the study.
        kept: a file of what was found good before, which is not tried again: the same code and
            packages, asked the same.

    Raises:
        UserError: something cannot do what the study asks of it.
    """
    known = _known(kept)
    good = {}
    for group, entries in _asked(study).items():
        sources = sorted({entry["source"] for entry in entries})
        code = fingerprint.of_modules(_TRIAL, *sources)
        versions = [importlib.metadata.version(name) for name in ("torch", "numpy")]
        text = json.dumps([code, versions, entries], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in known:
            for entry, problem in zip(entries, _tried(group, entries), strict=True):
                if problem:
                    on = f"on {entry['dataset']}: " if "dataset" in entry else ""
                    raise UserError(f"config: {on}{problem}")
        good[key] = group
    if kept is not None and good.keys() - known.keys():
        try:
            write_text(kept, json.dumps({**known, **good}, indent=1, sort_keys=True) + "\n")
        except OSError:  # as a dry run may find
            return


def _known(kept: str | None) -> dict[str, str]:
    if kept is None:
        return {}
    try:
        known: Any = json.loads(Path(kept).read_text(encoding="utf-8"))
        return {str(key): str(group) for key, group in known.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _asked(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Return what a study asks of code from outside, by what goes into one process: files may have
    modules of one name beside them."""
    entries: list[dict[str, Any]] = []
    sources: dict[str, None] = {}
    for dataset in study.dataset_names:
        for name in dict.fromkeys(study.networks_on(dataset)):
            if study.networks[name].source:
                entries.append(_of_network(study, dataset, name))
        sources[study.datasets[dataset].source] = None
    for cell in study.cells:
        if not study.is_imported(cell.method):
            sources[study.methods[cell.method].source] = None
    sources |= dict.fromkeys(_augmentations(study, study.config))
    entries += [{"source": source} for source in sources if source]
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry["source"].partition(":")[0], []).append(entry)
    return groups


def _augmentations(study: Study, block: Any) -> list[str]:
    """Return the sources of the augmentations that a config names, at any depth."""
    items: dict[Any, Any] = {}
    if isinstance(block, dict):
        items = {**block}
    elif isinstance(block, list):
        items = dict(enumerate(cast("list[Any]", block)))
    found: list[str] = []
    for key, value in items.items():
        if key == "augment" and isinstance(value, str) and value in study.augmentations:
            found.append(study.augmentations[value].source)
        found += _augmentations(study, value)
    return found


def _of_network(study: Study, dataset: str, name: str) -> dict[str, Any]:
    """Return what a study asks of a network on a dataset."""
    cells = [cell for cell in study.cells if cell.dataset == dataset and _distils(study, cell)]
    if name != study.config["network"]:
        cells = []
    return {
        "source": study.networks[name].source,
        "dataset": dataset,
        "network": study.network(dataset, name),
        "distils": bool(cells),
        "embeds": any(study.needs_embedding(cell) for cell in cells),
    }


def _distils(study: Study, cell: Cell) -> bool:
    return not study.is_imported(cell.method) and study.methods[cell.method].needs_network


def _tried(group: str, entries: list[dict[str, Any]]) -> list[str | None]:
    """Return what is wrong with each entry, by a process of its own."""
    what = f"config: trying {outside.shown(group)}"
    path = os.pathsep.join(filter(None, [str(places.ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked.json", Path(folder) / "answer.json"
        question.write_text(json.dumps(entries), encoding="utf-8")
        # Snakemake's process has the path of its interpreter quoted where that has a space in it.
        python = sys.executable.strip("'")
        try:
            done = subprocess.run(
                [python, "-P", "-m", "distillery.networks._trial", str(question), str(answer)],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60 * _MINUTES,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{what} took more than {_MINUTES} minutes") from None
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise UserError(f"{what} ended with status {done.returncode}: {last}")
        return json.loads(answer.read_text(encoding="utf-8"))
