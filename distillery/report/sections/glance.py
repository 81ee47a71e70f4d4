"""The first section: the headlines, and how much was measured."""

import math
from collections.abc import Sequence

import numpy as np

from distillery.report.cells import cell_rows
from distillery.report.comparison import pairs_in_words
from distillery.report.effort import flops_of, making_of, pays_after, pays_text, spent
from distillery.report.results import Results, short_name
from distillery.report.sections.images import class_strips
from distillery.report.words import (
    CORESETS,
    blank,
    counts_in_words,
    dataset_title,
    duration,
    fewer,
    full_counts,
    full_text,
    images_per_class,
    listed,
    method_title,
    network_rank,
    plus_minus,
    quantity,
    si_number,
    signed,
)


def headlines(results: Results) -> list[dict]:
    found = []
    for dataset in results.datasets:
        networks = results.networks(dataset)
        if not networks:
            continue
        network, sentences, best_cell = networks[0], [], None
        full = results.full(dataset, network)
        for ipc in results.ipcs(dataset):
            rows = results.summary[
                (results.summary["dataset"] == dataset)
                & (results.summary["network"] == network)
                & (results.summary["ipc"] == ipc)
                & (results.summary["selection"] == "last")
                & ~results.summary["method"].isin([*CORESETS, "whole"])
            ]
            rows = rows[rows["init"] != "imported"] if (rows["init"] != "imported").any() else rows
            if rows.empty:
                continue
            # Means of the same accuracies in another order differ in their last bit.
            level = rows[np.isclose(rows["mean"], rows["mean"].max(), rtol=0, atol=1e-9)]
            best = level.iloc[0]
            cell, *ties = zip(level["method"], level["init"])
            best_cell = (*cell, ipc)
            facts = [_best_of(results, dataset, network, ipc, cell, ties, len(rows))]
            facts += [_above_random(results, dataset, network, ipc, cell)]
            if full is not None and full["mean"] > 0 and not full["caveats"]:
                share = f"{100 * best['mean'] / full['mean']:.1f} %"
                facts.append(f"{share} of the {full_text(full)} that the full training set reaches")
            facts += [
                _training_fact(results, dataset, network, *cell, ipc),
                paid_fact(results, dataset, network, *cell, ipc),
            ]
            sentences.append(
                {
                    "lead": f"{short_name(results, *cell)} at {images_per_class(ipc)}:",
                    "value": f"{plus_minus(best['mean'], best['std'], best['count'], 1)} %",
                    "facts": [fact for fact in facts if fact],
                    "counts": counts_in_words(best),
                }
            )
        tiles = []
        if best_cell is not None:
            smallest = next(
                (h for h in results.sets if results.key(h[1])[:3] == (dataset, *best_cell[:2])),
                None,
            )
            chosen = next(
                (
                    s
                    for s in results.sets
                    if results.key(s[1]) == (dataset, *best_cell[:2], int(best_cell[2]))
                ),
                smallest,
            )
            if chosen is not None:
                tiles = class_strips(results, chosen, one=True)
        if sentences or full is not None:
            found.append(
                {
                    "dataset": dataset_title(dataset),
                    "network": network,
                    "sentences": sentences,
                    "whole": ""
                    if full is None
                    else f"{plus_minus(full['mean'], full['std'], full['count'], 1)} %",
                    "whole_counts": "" if full is None else full_counts(full),
                    "caveats": ([] if full is None else full["caveats"])
                    + _numberless_notes(results, dataset, network),
                    "tiles": tiles,
                    "tiles_of": ""
                    if not tiles
                    else (
                        f"{'one of the best sets' if ties else 'the best set'}: "
                        f"{results.name(*best_cell[:2])}, {images_per_class(best_cell[2])}"
                    ),
                }
            )
    return found


def _numberless_notes(results: Results, dataset: str, network: str) -> list[str]:
    """The cells that have accuracies without a number, which no mean holds."""
    rows = results.numberless
    rows = rows[
        (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["selection"] == "last")
    ]
    notes = [
        f"{len(found)} of {results.name(cell['method'], cell['init'])}, {images_per_class(cell['ipc'])}"
        for cell, found in cell_rows(rows)
    ]
    return (
        [f"Test accuracies that are no number, and count nowhere: {listed(notes)}."]
        if notes
        else []
    )


def _best_of(
    results: Results,
    dataset: str,
    network: str,
    ipc: float,
    best: tuple[str, str],
    ties: Sequence[tuple[str, str]],
    count: int,
) -> str:
    """That the headline's cell was picked by its test accuracy, among how many, which others
    reached the same, and which it is not shown to be above."""
    comparison = results.compared(dataset, network, ipc)
    found = (
        comparison.verdicts(best)
        if best in comparison.cells
        else dict.fromkeys(("better", "worse", "not significant", "untested"), ())
    )
    others = {
        verdict: listed([short_name(results, *cell) for cell in cells])
        for verdict, cells in found.items()
    }
    same = f", level with {listed([short_name(results, *cell) for cell in ties])}" if ties else ""
    said = [f"best of {count} by test accuracy{same}"] if count > 1 else []
    if found["worse"]:
        said.append(f"significantly worse than {others['worse']}")
    if found["not significant"]:
        said.append(f"not significantly better than {others['not significant']}")
    elif found["better"] and not found["worse"]:
        rest = "all others" if len(found["better"]) > 1 else others["better"]
        said.append(
            f"significantly better than {rest}"
            if not found["untested"]
            else f"significantly better than {others['better']}"
        )
    if found["untested"]:
        tested = any(found[verdict] for verdict in found if verdict != "untested")
        whom = others["untested"] if tested else "any other"
        said.append(f"not tested against {whom}, since one pair of networks shows no spread")
    return "; ".join(said) + (f" ({comparison.how()})" if comparison.tested and said else "")


def _above_random(
    results: Results, dataset: str, network: str, ipc: float, cell: tuple[str, str]
) -> str:
    comparison = results.compared(dataset, network, ipc)
    random = next((other for other in comparison.cells if other[0] == "random"), None)
    found = (
        comparison.between(cell, random)
        if random is not None and cell in comparison.cells
        else None
    )
    if found is None:
        return ""
    side = "above" if found.difference > 0 else "below"
    if f"{abs(100 * found.difference):.1f}" == "0.0":
        side = "from"
    interval = ""
    if math.isfinite(found.low):
        interval = (
            f" (95 % interval {signed(100 * found.low, 1)} to {signed(100 * found.high, 1)}, "
            f"{pairs_in_words(found)})"
        )
    return (
        f"{abs(100 * found.difference):.1f} points {side} random images of the same "
        f"size{interval or ' (one pair of networks)'}"
    )


def _training_fact(
    results: Results, dataset: str, network: str, method: str, init: str, ipc: float
) -> str:
    """What training on the set takes instead of training on the full training set, whichever way it
    falls."""
    ours, whole = (
        flops_of(results, dataset, network, method, init, ipc),
        flops_of(results, dataset, network, "whole", "", None),
    )
    said = []
    if ours and whole:
        said.append(
            f"{fewer(whole / ours, 'FLOPs', 'fewer')} ({si_number(ours, 'FLOP')} instead of "
            f"{si_number(whole, 'FLOP')})"
        )
    mine, theirs = (
        spent(results, dataset, network, [(method, init, int(ipc))]),
        spent(results, dataset, network, None),
    )
    if mine["seconds"] and theirs["seconds"]:
        counts = (
            f"mean of {quantity(mine['networks'], 'network')} and of {theirs['networks']}, tests "
            "included"
        )
        said.append(
            f"{fewer(theirs['seconds'] / mine['seconds'], 'time', 'less')} "
            f"({duration(mine['seconds'])} instead of {duration(theirs['seconds'])} a network; "
            f"{counts})"
        )
    elif said:
        said.append("a time that was not measured")
    return f"training on it takes {' and '.join(said)}" if said else ""


def overview(results: Results) -> list[dict]:
    networks = sorted({name for name in results.summary["network"] if name}, key=network_rank)
    methods = [method_title(name, results.titles) for name in results.methods if name != "whole"]
    runs = results.measured("accuracy", selection="last", split="test")
    runs = runs[runs[["epoch", "stage", "class"]].isna().all(axis=1)]
    seconds = [float(cost["seconds"]) for cost in results.costs if not blank(cost.get("seconds"))]
    devices = sorted(
        {str(cost.get("device_name") or cost.get("device") or "") for cost in results.costs} - {""}
    )
    if not devices and results.provenance.get("device"):
        devices = [str(results.provenance["device"])]
    facts = [
        (
            "Datasets",
            len(results.datasets),
            ", ".join(dataset_title(name) for name in results.datasets),
        ),
        ("Methods", len(methods), ", ".join(methods)),
        (
            "Synthetic sets",
            len(results.sets),
            ", ".join(images_per_class(i) for i in sorted({k[3] for k in results.headers if k[3]})),
        ),
        ("Networks", len(networks), ", ".join(networks)),
        (
            "Networks trained",
            len(runs),
            "for the accuracy tables, each tested on all test images" if len(runs) else "",
        ),
        (
            "Compute time",
            duration(sum(seconds)) if seconds else "",
            f"{len(seconds)} jobs" if seconds else "",
        ),
        ("Device", "", "; ".join(devices)),
    ]
    return [
        {"name": n, "value": v, "note": t} for n, v, t in facts if ((v or v == 0) and v != 0) or t
    ]


def paid_fact(
    results: Results, dataset: str, network: str, method: str, init: str, ipc: float
) -> str:
    key = (dataset, method, init, int(ipc))
    made = making_of(results, key)
    if made is None:
        return ""
    took = f"making it took {duration(made['distilling'])}"
    if made["experts"] is None:
        return f"{took}, without its experts, whose time is not known"
    if made["experts"]:
        took += (
            f" and {duration(made['together'] - made['distilling'])} as its share of the experts"
        )
    times = [spent(results, dataset, network, cells)["seconds"] for cells in ([key[1:]], None)]
    pays = pays_after(made["together"], *times)
    if pays is None:
        return took
    if pays == "never":
        return f"{took}, which never pays in time: a training on it is no faster"
    alone = pays_after(made["alone"], *times)
    if_alone = f"; {pays_text(alone)} if the experts served it alone" if alone != pays else ""
    return f"{took}, which has paid after {quantity(pays, 'training')}{if_alone}"
