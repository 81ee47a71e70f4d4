"""Networks from outside, tried before any job starts: by a process of its own, which imports what
the parse of a workflow does not."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from distillery import literals, outside
from distillery.errors import UserError
from distillery.study.study import Study

_MINUTES = 10


def check(study: Study) -> None:
    """Try every network from outside on the images of each dataset that it meets.

    Raises:
        UserError: one cannot do what the study asks of it.
    """
    asked: dict[str, list[dict[str, Any]]] = {}
    for dataset in study.dataset_names:
        for name in dict.fromkeys(study.networks_on(dataset)):
            source = study.networks[name].source
            if source:
                asked.setdefault(source, []).append(_asked(study, dataset, name))
    for source, entries in asked.items():
        for entry, problem in zip(entries, _tried(source, entries), strict=True):
            if problem:
                raise UserError(f"config: on {entry['dataset']}: {problem}")


def _asked(study: Study, dataset: str, name: str) -> dict[str, Any]:
    """Return what a study asks of a network on a dataset."""
    cells = [
        cell
        for cell in study.cells
        if cell.dataset == dataset
        and name == study.config["network"]
        and not study.is_imported(cell.method)
        and study.methods[cell.method].needs_network
    ]
    return {
        "dataset": dataset,
        "network": study.network(dataset, name),
        "distils": bool(cells),
        "embeds": any(study.needs_embedding(cell) for cell in cells),
    }


def _tried(source: str, entries: list[dict[str, Any]]) -> list[str | None]:
    names = ", ".join(dict.fromkeys(entry["network"]["name"] for entry in entries))
    what = f"config: network {names}: trying {outside.shown(source)}"
    library = str(literals.LIBRARY.parent)
    path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked.json", Path(folder) / "answer.json"
        question.write_text(json.dumps(entries), encoding="utf-8")
        command = [sys.executable.strip("'"), "-P", "-m", "distillery.networks._trial"]
        try:
            done = subprocess.run(
                [*command, str(question), str(answer)],
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
