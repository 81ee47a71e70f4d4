"""With how much work sets were made and evaluated, beside the published budgets."""

import math
from typing import Any

from distillery.published import figures as published
from distillery.report.cells import cell_rows
from distillery.report.results import Results, first_setting
from distillery.report.words import CORESETS, blank, images_per_class, method_rank, method_title


def _our_budget(results: Results, dataset: str, method: str, ipc: float | None) -> dict:
    """With what a method's sets of a size were made and evaluated: the settings in the sets'
    headers and in the records of the evaluations."""
    budget: dict[str, Any] = {}
    headers = [
        h
        for k, h in results.headers.items()
        if k[0] == dataset and k[1] == method and k[2] != "imported" and k[3] == ipc
    ]
    if headers:
        header = headers[0]
        for name, others in (
            ("iterations", ()),
            ("outer", ("outer_loops",)),
            ("inner", ("inner_loops", "inner_epochs")),
        ):
            value = first_setting(
                {"settings": header.get("settings"), "iterations": header.get("iterations")},
                name,
                *others,
            )
            if value is not None and method not in CORESETS:
                budget[name] = value
        experts = _experts(header)
        if experts is not None and method not in CORESETS:
            budget["experts"] = experts
    # As the protocol counts them, not as many as were trained: the published code trains one more
    # than it says.
    epochs = {
        (cost.get("settings") or {}).get("epochs")
        for cost in results.costs
        if cost.get("rule") in ("evaluate_synthetic", "train_vanilla")
        and (cost.get("dataset"), cost.get("method")) == (dataset, method)
        and cost.get("ipc") == (None if ipc is None else int(ipc))
    } - {None}
    if epochs:
        budget["epochs"] = " or ".join(map(str, sorted(epochs)))  # networks may have others
    summary = results.summary[
        (results.summary["dataset"] == dataset) & (results.summary["method"] == method)
    ]
    summary = summary[summary["ipc"].isna() if ipc is None else summary["ipc"] == ipc]
    if len(summary):
        budget["networks"], budget["sets"] = (
            int(summary["models"].max()),
            int(summary["sets"].max()),
        )
    return budget


def _experts(header: dict) -> int | None:
    """How many experts a set learned from."""
    return (header.get("experts") or {}).get("number")


BUDGET_COLUMNS = {
    "iterations": "iterations",
    "outer": "outer loops",
    "inner": "inner loops",
    "experts": "experts",
    "epochs": "evaluation epochs",
    "networks": "networks per set",
    "sets": "sets",
}


def budget_table(results: Results, dataset: str) -> dict | None:
    rows = results.summary[results.summary["dataset"] == dataset]
    pairs = {(m, None if blank(i) else int(i)) for m, i in zip(rows["method"], rows["ipc"])}
    lines = []
    for method, ipc in sorted(
        pairs, key=lambda p: (math.inf if p[1] is None else p[1], method_rank(p[0]))
    ):
        ours = _our_budget(results, dataset, method, ipc)
        theirs = published.budget(method, dataset, ipc)
        course = {}
        if not published.lookup(dataset, method, ipc=ipc, protocol="course project").empty:
            course = published.budget(method, dataset, ipc, "course project")
        if theirs or course:
            title = method_title(method, results.titles)
            lines.append(
                {
                    "title": title,
                    "size": images_per_class(ipc),
                    "budgets": [
                        ("this study", ours),
                        ("published", theirs),
                        ("course project", course),
                    ],
                }
            )
    if not lines:
        return None
    columns = [
        name
        for name in BUDGET_COLUMNS
        if any(name in b for line in lines for _, b in line["budgets"])
    ]
    for line in lines:
        line["rows"] = [
            {"who": who, "values_": [b.get(name, "") for name in columns]}
            for who, b in line["budgets"]
            if b
        ]
    return {"columns": [BUDGET_COLUMNS[name] for name in columns], "lines": lines}


def expert_notes(results: Results, dataset: str) -> list[str]:
    """Where a method that learns from experts had less than its authors gave it."""
    found: dict[tuple, list[int]] = {}
    for (name, method, init, ipc), header in results.headers.items():
        theirs = published.budget(header.get("of") or method, dataset, ipc)
        if name != dataset or init == "imported" or ipc is None or "experts" not in theirs:
            continue
        ours = _our_budget(results, dataset, method, ipc)
        pairs = tuple(
            (ours[word], theirs[word], word) for word in ("experts", "iterations") if word in ours
        )
        if any(own < full for own, full, _ in pairs) and ipc not in found.setdefault(
            (method, pairs), []
        ):
            found[method, pairs].append(ipc)
    notes = []
    for (method, pairs), ipcs in found.items():
        sizes = " and ".join(str(ipc) for ipc in sorted(ipcs)) if len(ipcs) > 1 else ""
        size = f"{sizes} images per class" if sizes else images_per_class(ipcs[0])
        notes.append(
            f"{method_title(method, results.titles)} at {size} ran with "
            f"{' and '.join(f'{own} {word}' for own, _, word in pairs)}; "
            f"published: {' and '.join(f'{full} {word}' for _, full, word in pairs)}."
        )
    return notes


def astray_notes(results: Results, dataset: str) -> list[str]:
    """Where trajectory matching (what learns a step size) had a loss above 1 over its last tenth:
    its students end farther from the target than they began, and the set can be worse than its
    start."""
    learned = {
        results.key(cell) for cell, _ in cell_rows(results.measured("step_size", dataset=dataset))
    }
    notes = []
    for cell, rows in cell_rows(results.measured("matching_loss", dataset=dataset)):
        late = float(rows[rows["iteration"] > 0.9 * rows["iteration"].max()]["value"].mean())
        if results.key(cell) in learned and late > 1:
            notes.append(
                f"{results.name(cell['method'], cell['init'])}, {images_per_class(cell['ipc'])}: the matching "
                f"loss ended at {late:.2f}. Above 1 the "
                "student ends farther from the expert than it began, and the set may be worse than "
                "its start; lower step_size, "
                "lr_images or max_start_epoch."
            )
    return notes
