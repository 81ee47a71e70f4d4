"""Which jobs, sets, datasets and settings the figures come from."""

from collections.abc import Mapping
from typing import Any

import yaml

from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.words import blank, dataset_rank, images_per_class, thousands
from distillery.times import duration


def view(results: Results) -> dict:
    """List everything that a figure can be traced to."""
    facts = {key: value for key, value in results.provenance.items() if key != "packages"}
    config = results.config and yaml.safe_dump(
        _plain(results.config), sort_keys=False, allow_unicode=True, width=100
    )
    jobs = sorted(
        results.costs,
        key=lambda cost: (
            str(cost.get("started") or ""),
            str(cost.get("rule")),
            Cell.of(cost).order,
            str(cost.get("seed")),
        ),
    )
    shown = [(key, value) for key, value in _flat(_plain(facts)) if value != ""]
    data = sorted(results.data.items(), key=lambda item: dataset_rank(item[0]))
    return {
        "facts": shown,
        "packages": results.provenance.get("packages", []),
        "versions": [one for one in _versions(results.costs) if one not in shown],
        "config": config or "",
        "jobs": [_job(results, cost) for cost in jobs],
        "sets": [_set(results, tensors, header) for tensors, header in results.sets],
        "data": [_dataset(results.title(name), dataset) for name, dataset in data],
    }


def _versions(costs: list[dict]) -> list[tuple[str, str]]:
    """List the versions of what the jobs ran with."""
    versions: dict[str, set[str]] = {}
    for cost in costs:
        for name, version in (cost.get("versions") or {}).items():
            versions.setdefault(str(name), set()).add(str(version))
    return [(name, ", ".join(sorted(several))) for name, several in sorted(versions.items())]


def _job(results: Results, cost: Mapping[str, Any]) -> dict:
    what = [results.title(str(cost.get("dataset") or ""))]
    method, init = str(cost.get("method") or ""), str(cost.get("init") or "")
    what += [results.name(method, init)] if method else []
    what += [] if blank(cost.get("ipc")) else [images_per_class(cost["ipc"])]
    what += [] if blank(cost.get("seed")) else [f"seed {cost['seed']}"]
    what += [str(cost[name]) for name in ("network", "strategy") if not blank(cost.get(name))]
    code = str(cost.get("code") or "")
    return {
        "rule": str(cost.get("rule") or ""),
        "what": ", ".join(part for part in what if part),
        "seconds": duration(cost.get("seconds")),
        "device": str(cost.get("device_name") or cost.get("device") or ""),
        "code": code[:12],
        "code_full": code,
        "started": str(cost.get("started") or "").replace("T", " ")[:19],
    }


def _set(results: Results, tensors: Mapping, header: Mapping[str, Any]) -> dict:
    cell = Cell.of(header)
    settings = _flat(_plain(header.get("settings") or {}))
    start = header.get("start") or {}
    of = start.get("of") or {}
    origin = f"; {start['name']} is the set {start['images'][:12]}" if start else ""
    if of:
        origin += f", {of['method']} from {of['init']}, {images_per_class(of['ipc'])}"
    return {
        "what": (
            f"{results.title(cell.dataset)}, {results.name(cell.method, cell.init)}, "
            f"{images_per_class(cell.ipc)}, seed {header.get('seed', '')}{origin}"
        ),
        "count": len(tensors["images"]),
        "code": str(header.get("code") or "")[:12],
        "content": str(header.get("sha256") or "")[:12],
        "settings": ", ".join(f"{key} {value}" for key, value in settings),
    }


def _dataset(title: str, dataset: Any) -> dict:
    return {
        "name": title,
        "train": thousands(len(dataset.images)),
        "test": thousands(len(dataset.test_images)),
        "classes": len(dataset.classes),
        "source": str(getattr(dataset, "source", "") or ""),
        "licence": str(getattr(dataset, "licence", "") or ""),
    }


def _plain(value: Any) -> Any:
    """Keep only what YAML and JSON know, so that any config can be shown."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [
            _plain(v)
            for v in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """List nested blocks as pairs of a path and a text."""
    if isinstance(value, dict):
        return [
            pair
            for k, v in value.items()
            for pair in _flat(v, f"{prefix}{' · ' if prefix else ''}{k}")
        ]
    if isinstance(value, list | tuple):
        return [(prefix, ", ".join(str(v) for v in value))]
    return [(prefix, "" if value is None else str(value))]
