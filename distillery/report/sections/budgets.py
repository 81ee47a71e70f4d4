"""With how much work sets were made and evaluated, beside the published budgets."""

import math
from collections.abc import Mapping
from typing import Any

from distillery.published import figures as published
from distillery.report.cells import cell_rows
from distillery.report.effort import first_setting
from distillery.report.results import Results
from distillery.report.words import blank, images_per_class, method_rank, method_title
from distillery.vocabulary import IMPORTED

PUBLISHED, COURSE = published.PROTOCOLS
BUDGET_COLUMNS = {
    "iterations": "iterations",
    "outer": "outer loops",
    "inner": "inner loops",
    "experts": "experts",
    "epochs": "evaluation epochs",
    "networks": "networks per set",
    "sets": "sets",
}
# What settings the work of a set may be called.
WORK = {
    "iterations": ("iterations",),
    "outer": ("outer", "outer_loops"),
    "inner": ("inner", "inner_loops", "inner_epochs"),
}


def _our_budget(results: Results, dataset: str, method: str, ipc: int | None) -> dict[str, Any]:
    """Say with what a method's sets of a size were made and evaluated: the settings in the sets'
    headers and in the records of the evaluations."""
    key = (dataset, method, ipc)
    headers = results.once("headers by method", lambda: _by_method(results)).get(key, [])
    budget = {}
    if headers and not results.is_coreset(method):
        budget |= _making_budget(headers[0])
    # As the protocol counts them, not as many as were trained: the published code trains one more
    # than it says.
    epochs = {
        count
        for cost in results.once("jobs by method", lambda: _trainings(results)).get(key, [])
        if (count := (cost.get("settings") or {}).get("epochs")) is not None
    }
    if epochs:
        budget["epochs"] = " or ".join(map(str, sorted(epochs)))  # networks may have others
    counts = results.once("counts by method", lambda: _counts(results)).get(key)
    if counts is not None:
        budget |= {"networks": counts[0], "sets": counts[1]}
    return budget


def _by_method(results: Results) -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    for cell, header in results.headers.items():
        if cell.init != IMPORTED:
            found.setdefault((cell.dataset, cell.method, cell.ipc), []).append(header)
    return found


def _trainings(results: Results) -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    for cost in results.costs:
        if cost.get("rule") in ("evaluate_synthetic", "train_vanilla"):
            key = cost.get("dataset"), cost.get("method"), cost.get("ipc")
            found.setdefault(key, []).append(cost)
    return found


def _counts(results: Results) -> dict[tuple, tuple[int, int]]:
    """Return the most networks of a set and the most sets of each dataset, method and size."""
    rows, found = results.summary, {}
    names = ("dataset", "method", "ipc", "models", "sets")
    for dataset, method, ipc, models, sets in zip(*(rows[name] for name in names)):
        key = dataset, method, None if blank(ipc) else int(ipc)
        most, many = found.get(key, (0, 0))
        found[key] = max(most, int(models)), max(many, int(sets))
    return found


def _making_budget(header: Mapping[str, Any]) -> dict[str, Any]:
    """Say with how much work a set was made, as its header tells."""
    about = {"settings": header.get("settings"), "iterations": header.get("iterations")}
    work = {name: first_setting(about, *names) for name, names in WORK.items()}
    work["experts"] = (header.get("experts") or {}).get("number")
    return {name: value for name, value in work.items() if value is not None}


def budget_table(results: Results, dataset: str) -> dict | None:
    """Return our budgets beside those of the methods' authors and of the course project; ``None``
    where there are none."""
    rows = results.summary[results.summary["dataset"] == dataset]
    pairs = {(m, None if blank(i) else int(i)) for m, i in zip(rows["method"], rows["ipc"])}
    lines = []
    for method, ipc in sorted(
        pairs, key=lambda pair: (math.inf if pair[1] is None else pair[1], method_rank(pair[0]))
    ):
        budgets = {
            "this study": _our_budget(results, dataset, method, ipc),
            PUBLISHED: published.budget(method, dataset, ipc),
            COURSE: {},
        }
        if not published.lookup(dataset, method, ipc=ipc, protocol=COURSE).empty:
            budgets[COURSE] = published.budget(method, dataset, ipc, COURSE)
        if budgets[PUBLISHED] or budgets[COURSE]:
            size = images_per_class(ipc)
            lines.append({"title": method_title(method), "size": size, "budgets": budgets})
    if not lines:
        return None
    columns = [
        name
        for name in BUDGET_COLUMNS
        if any(name in budget for line in lines for budget in line["budgets"].values())
    ]
    for line in lines:
        line["rows"] = [
            {"who": who, "values_": [budget.get(name, "") for name in columns]}
            for who, budget in line.pop("budgets").items()
            if budget
        ]
    return {"columns": [BUDGET_COLUMNS[name] for name in columns], "lines": lines}


def expert_notes(results: Results, dataset: str) -> list[str]:
    """Say where a method that learns from experts had less than its authors gave it."""
    sizes: dict[tuple, list[int]] = {}
    for (name, method, init, ipc), header in results.headers.items():
        theirs = published.budget(header.get("of") or method, dataset, ipc)
        if name != dataset or init == IMPORTED or ipc is None or "experts" not in theirs:
            continue
        ours = _our_budget(results, dataset, method, ipc)
        pairs = tuple(
            (ours[word], theirs[word], word) for word in ("experts", "iterations") if word in ours
        )
        if any(mine < full for mine, full, _ in pairs):
            alike = sizes.setdefault((method, pairs), [])
            alike += [ipc] if ipc not in alike else []
    notes = []
    for (method, pairs), ipcs in sizes.items():
        size = images_per_class(ipcs[0])
        if len(ipcs) > 1:
            size = f"{' and '.join(str(ipc) for ipc in sorted(ipcs))} images per class"
        notes.append(
            f"{method_title(method)} at {size} ran with "
            f"{' and '.join(f'{mine} {word}' for mine, _, word in pairs)}; "
            f"published: {' and '.join(f'{full} {word}' for _, full, word in pairs)}."
        )
    return notes


def astray_notes(results: Results, dataset: str) -> list[str]:
    """Say where trajectory matching (what learns a step size) had a loss above 1 over its last
    tenth: its students end farther from the target than they began, and the set can be worse than
    its start."""
    learned = {cell for cell, _ in cell_rows(results.measured("step_size", dataset=dataset))}
    losses = results.measured("matching_loss", dataset=dataset)
    losses = losses[losses["method"].isin({cell.method for cell in learned})]
    notes = []
    for cell, rows in cell_rows(losses):
        late = float(rows[rows["iteration"] > 0.9 * rows["iteration"].max()]["value"].mean())
        if cell in learned and late > 1:
            notes.append(
                f"{results.name(cell.method, cell.init)}, {images_per_class(cell.ipc)}: the "
                f"matching loss ended at {late:.2f}. Above 1 the student ends farther from the "
                "expert than it began, and the set may be worse than its start; lower step_size, "
                "lr_images or max_start_epoch."
            )
    return notes
