"""The jobs behind the figures, as one block of data that the page's script reads."""

import json
from collections.abc import Mapping
from typing import Any

from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.words import blank, byte_count, si_number
from distillery.store.layout import Layout
from distillery.times import duration

# What many jobs have in common: each value stands once.
_SHARED = ("settings", "versions", "code", "commit", "device", "host", "memory_kind", "threads")
_PLACES = ("dataset", "recipe", "shard", "method", "init", "ipc", "seed", "network")


def view(results: Results) -> str:
    """Return the block, as JSON that may stand within HTML: ``jobs``, each with what of it is its
    own and the numbers of what it shares; ``shared``, of each kind the values; ``places``, by rule
    the patterns of its folder and its log, from the folder of the page.
    """
    shared: dict[str, dict[str, int]] = {kind: {} for kind in _SHARED}
    jobs = [_job(cost, shared) for cost in results.costs]
    layout = Layout(".")
    rules = sorted({job["rule"] for job in jobs})
    places = {
        rule: {"folder": layout.folder(rule), "log": layout.log(rule)}
        for rule in rules
        if layout.folder(rule)
    }
    block = {
        "jobs": jobs,
        "shared": {kind: list(map(json.loads, values)) for kind, values in shared.items()},
        "places": places,
        "results": str(results.config.get("results") or "results"),
    }
    text = json.dumps(block, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c")


def key_of(cell: Cell) -> str:
    """Return a cell as the page's rows name it."""
    return "|".join("" if part is None else str(part) for part in cell)


def _job(cost: Mapping[str, Any], shared: dict[str, dict[str, int]]) -> dict[str, Any]:
    asked = (cost.get("asked") or {}).get("job") or {}
    wildcards = {name: str(cost[name]) for name in _PLACES if not blank(cost.get(name))}
    joules = cost.get("energy_joules")
    job = {
        "rule": str(cost.get("rule") or ""),
        "job": {name: str(value) for name, value in (asked or wildcards).items()},
        "files": sorted(cost.get("outputs") or {}),
        "started": str(cost.get("started") or "").replace("T", " ")[:19],
        "took": duration(cost.get("seconds")),
        "energy": "" if blank(joules) else si_number(float(joules), "J"),
        "memory": byte_count(cost.get("peak_memory_bytes")),
    }
    values = dict(cost) | {"device": cost.get("device_name") or cost.get("device")}
    for kind, known in shared.items():
        if not blank(values.get(kind)):
            text = json.dumps(values[kind], sort_keys=True, ensure_ascii=False)
            job[kind] = known.setdefault(text, len(known))
    return {name: value for name, value in job.items() if value not in ("", [], {})}
