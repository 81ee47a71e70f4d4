"""Record a study: read what its results folder measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import UserError
from distillery.published.records import Cell, Job, Measured, Record, moment
from distillery.store import artefact, layout
from distillery.store.costs import read_cost
from distillery.store.measurements import finished, read_metrics
from distillery.vocabulary import LAST, PER_STEP, SELECTIONS

# The folders of measurements, and the rules that fill them with what is recorded.
STAGES = {
    "evaluate": ("evaluate_synthetic",),
    "vanilla": ("train_vanilla",),
    "continual": ("continual_alone", "continual_memory"),
}


@dataclass
class _Set:
    """A synthetic set that stands in a results folder: its header and the cost record of the job
    that made it, each empty where there is none."""

    header: Mapping[str, Any]
    cost: Mapping[str, Any]


# Of training on the full training set, and of continual learning without a memory set.
_NO_SET = _Set({}, {})


def record(results: str | Path, command: str) -> Record:
    """Record what a results folder has measured so far; the same folder gives the same record.

    Args:
        results: the folder of one study, finished or not: what exists is recorded.
        command: how the study was run, as one would type it.

    Raises:
        UserError: there is no such folder, nothing was measured in it, or an artefact in it is
            damaged.
    """
    results = Path(results)
    if not results.is_dir():
        raise UserError(
            f"{results}: is no folder; give the results folder of a study, such as "
            "results/quickstart"
        )
    sets, steps, shards = _sets(results), _step_sets(results), _shard_seconds(results)
    cells: dict[str, Cell] = {}
    left_out = 0
    for cost, accuracies, groups in _measurements(results):
        if cost.get("memory") == PER_STEP:
            synthetic = _made_per_step(cost, steps)
        else:
            synthetic = sets.get(_key(cost)) if cost.get("ipc") else _NO_SET
            synthetic = synthetic if synthetic and _measured_on(cost, synthetic) else None
        if synthetic is None:
            left_out += 1
            continue
        cell = _cell(cost, synthetic.header, groups, shards)
        one = Measured(
            seed=cost.get("seed"),
            set=_job(synthetic.cost, synthetic.header.get("version")) if synthetic.cost else None,
            evaluation=_job(cost),
            accuracies=accuracies,
            order=cost.get("order") or None,
        )
        cells.setdefault(cell.recipe, cell).sets.append(one)
    if not cells:
        raise UserError(
            f"{results}: holds no measured set and no training on a whole dataset yet; run the "
            "study first"
        )
    return Record(command, list(cells.values()), left_out)


def _sets(results: Path) -> dict[tuple, _Set]:
    """Read the headers and costs of the sets in a results folder."""
    sets = {}
    for path in layout.standing(results, "synthetic", layout.SET):
        header = artefact.header(path, rule="distill or import_synthetic")
        # A set that others released has cost us nothing.
        cost = path.with_name(layout.COST)
        sets[_key(header)] = _Set(header, read_cost(cost, unsealed=True) if cost.exists() else {})
    return sets


def _step_sets(results: Path) -> dict[str, _Set]:
    """Read the headers and costs of the sets that were made per step, by digest."""
    sets = {}
    for path in layout.standing(results, "step_sets", layout.SET):
        header = artefact.header(path, rule="step_distill")
        sets[header["sha256"]] = _Set(header, read_cost(path.with_name(layout.COST), unsealed=True))
    return sets


def _made_per_step(cost: Mapping[str, Any], steps: Mapping[str, _Set]) -> _Set | None:
    """Join the sets of all steps that a training remembered: the header of the first, the time of
    all; ``None`` where one is not there."""
    digests = (cost.get("inputs") or {}).get("memory") or []
    if not digests or not steps.keys() >= set(digests):
        return None
    parts = [steps[digest] for digest in digests]
    seconds = sum(part.cost.get("seconds") or 0 for part in parts)
    return _Set(parts[0].header, {**parts[0].cost, "seconds": seconds})


def _measurements(results: Path) -> Iterator[tuple[dict[str, Any], dict[str, list[float]], int]]:
    """Read the measurements in a results folder: the cost record of each, its accuracies, and of
    continual learning the number of groups, else 0."""
    for stage, rules in STAGES.items():
        for path in layout.standing(results, stage, layout.COST):
            cost = read_cost(path, unsealed=True)
            accuracies, groups = _accuracies(path.with_name(layout.METRICS), stage == "continual")
            if cost.get("rule") in rules and accuracies:
                yield cost, accuracies, groups


def _cell(
    cost: Mapping[str, Any], header: Mapping[str, Any], groups: int, shards: Mapping[str, float]
) -> Cell:
    """Make the cell of a measurement, without its sets."""
    dataset, method, init, ipc, _ = _key(cost)
    return Cell(
        dataset=dataset,
        method=method,
        init=init,
        ipc=ipc,
        network=cost.get("network"),
        of=header.get("of") or None,
        strategy=cost.get("strategy") if groups else None,
        groups=groups or None,
        memory=PER_STEP if cost.get("memory") == PER_STEP else None,
        settings=header.get("settings") or {},
        distilled_with=header.get("network") or (cost.get("asked") or {}).get("network"),
        normalization=(header.get("normalization") or {}).get("kind"),
        experts=_experts(header, shards),
        # Of what was selected the accuracies tell.
        evaluation={
            name: value
            for name, value in (cost.get("settings") or {}).items()
            if name != "selection"
        },
    )


def _key(about: Mapping[str, Any]) -> tuple:
    """Take dataset, method, init, ipc and seed from a header or a cost record."""
    return (
        str(about.get("dataset")),
        str(about.get("method") or ""),
        about.get("init") or "",
        about.get("ipc"),
        about.get("seed"),
    )


def _accuracies(path: Path, continual: bool) -> tuple[dict[str, list[float]], int]:
    """Read every network's final figures in percent, by name, and of continual learning the number
    of groups."""
    if not path.exists():
        return {}, 0
    rows, groups = read_metrics(path).sort_values("model", kind="stable"), 0
    if continual:
        groups = int(rows["group"].max()) + 1
        end = rows[rows["stage"] == rows["stage"].max()]
        parts = {
            name: end[end["measure"] == measure]["value"]
            for name, measure in ((LAST, "overall_accuracy"), ("forgetting", "forgetting"))
        }
        # Over the steps: it stands with none of them.
        parts["incremental"] = rows[rows["measure"] == "average_incremental_accuracy"]["value"]
    else:
        rows = finished(rows)
        parts = {name: rows[rows["selection"] == name]["value"] for name in SELECTIONS}
    return {
        name: [round(100 * value, 2) for value in values]
        for name, values in parts.items()
        if len(values)
    }, groups


def _job(cost: Mapping[str, Any], version: str | None = None) -> Job:
    """Take what a record keeps of a job from its cost record."""
    versions = cost.get("versions") or {}
    context = {
        name: cost.get(name) for name in ("device", "device_name", "threads", "code", "commit")
    }
    context |= {name: versions[name] for name in ("python", "torch", "cuda") if name in versions}
    context |= {"distillery": version} if version else {}
    context |= {"changed": bool(cost.get("changed"))} if cost.get("commit") else {}
    seconds = cost.get("seconds")
    return Job(
        None if seconds is None else round(seconds, 2),
        cost.get("started"),
        {name: value for name, value in context.items() if value is not None},
    )


def _measured_on(cost: Mapping[str, Any], synthetic: _Set) -> bool:
    """Return whether an evaluation is of the set that is there: by the digest of what it read, or
    where an earlier version noted none, by the times."""
    inputs = cost.get("inputs") or {}
    digests = inputs.get("synthetic") or inputs.get("memory")
    if digests:
        return synthetic.header.get("sha256") in digests
    evaluated, distilled = moment(cost.get("started")), moment(synthetic.cost.get("started"))
    return evaluated is None or distilled is None or evaluated >= distilled


def _shard_seconds(results: Path) -> dict[str, float]:
    """Read what each shard of experts in the folder took, by the digest of its content."""
    seconds = {}
    for path in layout.standing(results, "experts", layout.COST):
        cost = read_cost(path, unsealed=True)
        seconds |= dict.fromkeys((cost.get("outputs") or {}).values(), cost.get("seconds") or 0)
    return seconds


def _experts(header: Mapping[str, Any], shards: Mapping[str, float]) -> dict[str, Any] | None:
    """Take from a header the experts that a set learned from, and add what their training took;
    without ``seconds`` where not all shards are there."""
    stated = header.get("experts")
    if not stated:
        return None
    experts = {name: stated[name] for name in ("number", "epochs", "recipe", "settings")}
    if set(stated["shards"]) <= shards.keys():
        experts["seconds"] = round(sum(shards[shard] for shard in stated["shards"]), 2)
    return experts
