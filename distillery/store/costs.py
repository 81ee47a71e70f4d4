"""The cost records of jobs: one JSON object a job, sealed by a digest."""

import hashlib
import json
import os
from typing import Any, cast

from distillery.errors import UserError
from distillery.store.files import write_text

SEAL = "sha256"


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of JSON types with the SHA-256 of the rest under ``SEAL``, by which a damaged
    file is found."""
    return {**record, SEAL: hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}


def named(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the rule whose job it is of. Earlier records say ``continual`` for three
    rules, which what the job was asked and what it read tell apart."""
    if record.get("rule") != "continual":
        return record
    if record.get("memory") or record.get("method"):
        return {**record, "rule": "continual_memory"}
    inputs: Any = record.get("inputs") or {}
    whitened = inputs.get("whitening")
    return {**record, "rule": "continual_whitened" if whitened else "continual_alone"}


def collect_costs(paths: list[str | os.PathLike[str]], output: str | os.PathLike[str]) -> None:
    """Put the cost records (one JSON object a file) into one JSON list, in the order given.

    Raises:
        UserError: a file is missing, or is not one JSON object as :func:`sealed` gives it.
    """
    records = [read_cost(path) for path in paths]
    write_text(output, json.dumps(records, indent=1, sort_keys=True) + "\n")


def read_cost(path: str | os.PathLike[str], *, unsealed: bool = False) -> dict[str, Any]:
    """Read one job's cost record, without its seal, :func:`named`.

    Args:
        path: the record.
        unsealed: a record without a seal, or with another, is read too: those of earlier versions
            have none.

    Raises:
        UserError: the file is missing, is no JSON object, or (unless ``unsealed``) is not what
            :func:`sealed` gave.
    """
    try:
        with open(path, encoding="utf-8") as file:
            held: Any = json.load(file)
        if not isinstance(held, dict):
            raise ValueError(f"it holds a {type(held).__name__}, not an object")
        record = cast(dict[str, Any], held)
        content = {name: value for name, value in record.items() if name != SEAL}
        if not unsealed and record != sealed(content):
            raise ValueError("it is not what was written")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: is not a cost record ({error}); delete it and run snakemake again: its rule "
            "re-creates it"
        ) from error
    return named(content)
