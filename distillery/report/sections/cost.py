"""What jobs, sets and trainings took."""

from typing import Any

import numpy as np

from distillery.report.cells import cell_rows
from distillery.report.effort import making_of, makings, pays_after, pays_text, spent
from distillery.report.results import Results, first_setting
from distillery.report.words import (
    blank,
    byte_count,
    dataset_title,
    duration,
    images_per_class,
    network_rank,
    one_to,
    si_number,
)


def view(results: Results) -> dict:
    return {
        "rules": rules(results),
        "sets": _sets(results),
        "paid": _paid(results),
        "training": _training(results),
    }


def rules(results: Results) -> list[dict]:
    found: dict[str, list[dict]] = {}
    for cost in results.costs:
        found.setdefault(str(cost.get("rule", "")), []).append(cost)
    lines = []
    for rule, jobs in found.items():
        seconds = np.array([float(j["seconds"]) for j in jobs if not blank(j.get("seconds"))])
        memory = {}
        for job in jobs:
            if not blank(job.get("peak_memory_bytes")):
                kind = str(job.get("memory_kind") or "")
                memory[kind] = max(memory.get(kind, 0), float(job["peak_memory_bytes"]))
        energy = [float(j["energy_joules"]) for j in jobs if not blank(j.get("energy_joules"))]
        lines.append(
            {
                "rule": rule,
                "jobs": len(jobs),
                "total": float(seconds.sum()),
                "seconds": duration(float(seconds.sum())) if len(seconds) else "",
                "median": duration(float(np.median(seconds))) if len(seconds) else "",
                "longest": duration(float(seconds.max())) if len(seconds) else "",
                "memory": ", ".join(
                    f"{byte_count(v)} {k}".strip() for k, v in sorted(memory.items())
                ),
                "energy": si_number(sum(energy), "J")
                + f" ({len(energy)} of {len(jobs)} jobs)" * (len(energy) < len(jobs))
                if energy
                else "not measured",
            }
        )
    total = max((line["total"] for line in lines), default=0)
    for line in lines:
        line["bar"] = round(100 * line["total"] / total, 2) if total else 0
    return sorted(lines, key=lambda line: (-line["total"], line["rule"]))


def _sets(results: Results) -> list[dict]:
    lines = []
    for key, jobs in makings(results).items():
        made = making_of(results, key)
        header = results.headers.get(key, {})
        iterations = first_setting(jobs[0].get("settings"), "iterations")
        iterations = header.get("iterations") if iterations is None else iterations
        memory = [
            float(job["peak_memory_bytes"])
            for job in jobs
            if not blank(job.get("peak_memory_bytes"))
        ]
        each = isinstance(iterations, int | float) and iterations
        lines.append(
            {
                "dataset": dataset_title(key[0]),
                "label": results.name(key[1], key[2]),
                "size": images_per_class(key[3]),
                "colour": results.colours.get(key[1], 0),
                "iterations": "" if iterations is None else iterations,
                "jobs": len(jobs),
                "seconds": duration(made["distilling"]),
                "spread": duration(made["spread"]) if len(jobs) > 1 else "",
                "each": f"{made['distilling'] / iterations:.3g} s" if each else "",
                "experts": _expert_text(made),
                "together": "" if made["together"] is None else duration(made["together"]),
                "memory": byte_count(max(memory)) if memory else "",
                "device": ", ".join(
                    sorted(
                        {str(job.get("device_name") or job.get("device") or "") for job in jobs}
                        - {""}
                    )
                ),
            }
        )
    return lines


def _expert_text(made: dict) -> str:
    if made["experts"] is None:
        return "not known"
    if not made["experts"]:
        return ""
    share = made["experts"] / max(1, made["sharing"])
    return f"{duration(share)} (1 of {made['sharing']} of {duration(made['experts'])})"


def _paid(results: Results) -> list[dict]:
    """For each cell and network the number of trainings after which making the set has paid, with
    the experts shared and not."""
    blocks = []
    for dataset in results.datasets:
        networks = [
            name
            for name in results.networks(dataset)
            if spent(results, dataset, name, None)["seconds"]
        ]
        lines = []
        for key in makings(results):
            if key[0] != dataset or not networks:
                continue
            made, cells = making_of(results, key), []
            for network in networks:
                full = spent(results, dataset, network, None)["seconds"]
                ours = spent(results, dataset, network, [key[1:]])["seconds"]
                together, alone = (
                    pays_after(made[name], ours, full) for name in ("together", "alone")
                )
                cells.append(
                    {
                        "text": pays_text(together),
                        "alone": pays_text(alone) if alone != together else "",
                        "times": f"{duration(ours)} instead of {duration(full)}" if ours else "",
                    }
                )
            lines.append(
                {
                    "label": results.name(key[1], key[2]),
                    "size": images_per_class(key[3]),
                    "colour": results.colours.get(key[1], 0),
                    "together": "" if made["together"] is None else duration(made["together"]),
                    "alone": duration(made["alone"]) if made["alone"] != made["together"] else "",
                    "cells": cells,
                }
            )
        if lines:
            blocks.append({"dataset": dataset_title(dataset), "networks": networks, "rows": lines})
    return blocks


def _spent_texts(ours: dict[str, Any], whole: dict[str, Any] | None) -> dict[str, str]:
    texts = {
        "seconds": duration(ours["seconds"]),
        "memory": byte_count(ours["memory"]),
        "networks": ours["networks"] or "",
    }
    for name in ("seconds", "memory"):
        theirs = None if whole is None else whole[name]
        texts[f"{name}_ratio"] = one_to(theirs / ours[name]) if theirs and ours[name] else ""
    return texts


def _training(results: Results) -> list[dict]:
    lines = []
    for dataset in results.datasets:
        own = results.metrics[
            (results.metrics["dataset"] == dataset) & (results.metrics["strategy"] == "")
        ]
        for network in sorted({n for n in own["network"] if n}, key=network_rank):
            part = own[own["network"] == network]

            def mean(measure, rows=part):
                values = rows[rows["measure"] == measure]["value"]
                return float(values.mean()) if len(values) else None

            if mean("training_flops") is None and mean("macs_per_image") is None:
                continue
            whole = part[part["method"] == "whole"]
            base = mean("training_flops", whole)
            spent_whole = spent(results, dataset, network, None)
            kinds: dict[tuple, list[tuple[str, str]]] = {}
            for cell, rows in cell_rows(part[part["method"] != "whole"]):
                flops = mean("training_flops", rows)
                if flops is not None:
                    kinds.setdefault((cell["ipc"], flops, mean("images_seen", rows)), []).append(
                        (cell["method"], cell["init"])
                    )
            count = max((len(v) for v in kinds.values()), default=0)
            for (ipc, flops, seen), cells in kinds.items():
                alone = len([k for k in kinds if k[0] == ipc]) == 1 and count > 1
                lines.append(
                    {
                        "dataset": dataset_title(dataset),
                        "network": network,
                        "what": images_per_class(ipc)
                        + ("" if alone else f": {'; '.join(results.name(*c) for c in cells)}"),
                        "macs": si_number(mean("macs_per_image"), ""),
                        "parameters": si_number(mean("parameters"), ""),
                        "seen": "" if seen is None else f"{seen:,.0f}".replace(",", " "),
                        "flops": si_number(flops, "FLOP"),
                        "ratio": one_to(base / flops) if base and flops else "",
                        **_spent_texts(
                            spent(results, dataset, network, [(m, i, int(ipc)) for m, i in cells]),
                            spent_whole,
                        ),
                    }
                )
            if base is not None:
                seen = mean("images_seen", whole)
                lines.append(
                    {
                        "dataset": dataset_title(dataset),
                        "network": network,
                        "what": "the full training set",
                        "macs": si_number(mean("macs_per_image"), ""),
                        "parameters": si_number(mean("parameters"), ""),
                        "seen": "" if seen is None else f"{seen:,.0f}".replace(",", " "),
                        "flops": si_number(base, "FLOP"),
                        "ratio": "1 : 1",
                        **_spent_texts(spent_whole, None),
                    }
                )
    return lines
