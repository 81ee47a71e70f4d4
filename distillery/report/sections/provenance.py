"""Which jobs, sets, datasets and settings the figures come from."""

from typing import Any

import yaml

from distillery.report.cells import cell_order
from distillery.report.results import Results
from distillery.report.words import (
    DATASET_ORDER,
    blank,
    dataset_title,
    duration,
    images_per_class,
    rank,
)


def _plain(value: Any) -> Any:
    """Only what YAML and JSON know, so that any config can be shown."""
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
    if isinstance(value, dict):
        return [
            pair
            for k, v in value.items()
            for pair in _flat(v, f"{prefix}{' · ' if prefix else ''}{k}")
        ]
    if isinstance(value, list | tuple):
        return [(prefix, ", ".join(str(v) for v in value))]
    return [(prefix, "" if value is None else str(value))]


def view(results: Results) -> dict:
    jobs = []
    for cost in sorted(
        results.costs,
        key=lambda c: (
            str(c.get("started") or ""),
            str(c.get("rule")),
            cell_order(c),
            str(c.get("seed")),
        ),
    ):
        what = [dataset_title(str(cost.get("dataset") or ""))]
        method, init = str(cost.get("method") or ""), str(cost.get("init") or "")
        what += [results.name(method, init)] if method else []
        what += [images_per_class(cost["ipc"])] if not blank(cost.get("ipc")) else []
        what += [f"seed {cost['seed']}"] if not blank(cost.get("seed")) else []
        what += [str(cost[name]) for name in ("network", "strategy") if not blank(cost.get(name))]
        jobs.append(
            {
                "rule": str(cost.get("rule") or ""),
                "what": ", ".join(part for part in what if part),
                "seconds": duration(cost.get("seconds")),
                "device": str(cost.get("device_name") or cost.get("device") or ""),
                "code": str(cost.get("code") or "")[:12],
                "code_full": str(cost.get("code") or ""),
                "started": str(cost.get("started") or "").replace("T", " ")[:19],
            }
        )
    versions: dict[str, set[str]] = {}
    for cost in results.costs:
        for name, version in (cost.get("versions") or {}).items():
            versions.setdefault(str(name), set()).add(str(version))
    data = []
    for name, dataset in sorted(
        results.data.items(), key=lambda item: rank(DATASET_ORDER, item[0])
    ):
        data.append(
            {
                "name": dataset_title(name),
                "train": f"{len(dataset.images):,}".replace(",", " "),
                "test": f"{len(dataset.test_images):,}".replace(",", " "),
                "classes": len(dataset.classes),
                "source": str(getattr(dataset, "source", "") or ""),
                "licence": str(getattr(dataset, "licence", "") or ""),
            }
        )
    sets = []
    for tensors, header in results.sets:
        key = results.key(header)
        sets.append(
            {
                "what": (
                    f"{dataset_title(key[0])}, {results.name(*key[1:3])}, {images_per_class(key[3])}, seed "
                    f"{header.get('seed', '')}"
                ),
                "count": len(tensors["images"]),
                "code": str(header.get("code") or "")[:12],
                "content": str(header.get("sha256") or "")[:12],
                "settings": ", ".join(
                    f"{k} {v}" for k, v in _flat(_plain(header.get("settings") or {}))
                ),
            }
        )
    config = (
        yaml.safe_dump(_plain(results.config), sort_keys=False, allow_unicode=True, width=100)
        if results.config
        else ""
    )
    return {
        "facts": [
            (k, v)
            for k, v in _flat(
                _plain({k: v for k, v in results.provenance.items() if k != "packages"})
            )
            if v != ""
        ],
        "packages": results.provenance.get("packages", []),
        "versions": [(name, ", ".join(sorted(found))) for name, found in sorted(versions.items())],
        "config": config,
        "jobs": jobs,
        "sets": sets,
        "data": data,
    }
