"""What a study asks of continual learning: how the classes arrive, which jobs there are, and what
these read. Imports no torch."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from distillery.errors import UserError
from distillery.seeds import derive
from distillery.store.layout import SET, filled
from distillery.study.cells import Cell
from distillery.study.study import Study
from distillery.vocabulary import AFTERWARDS, ALONE, FINETUNE, GDUMB, GIVEN, INITS, PER_STEP, REPLAY

if TYPE_CHECKING:
    from distillery.study.jobs import Jobs

Groups = list[list[int]]
# A job: its rule, the pattern of its folder, and its wildcards.
Planned = tuple[str, str, dict[str, Any]]
# Settings that no network reads.
_PLAN = frozenset({"groups", "orders", "network"})
# What a strategy does not read: only replay draws from a memory at each step, only afterwards and
# gdumb train on a memory alone.
_ON_IMAGES = frozenset({"epochs", "batch", "images_per_class"})
_ON_MEMORY = {
    strategy: frozenset({f"{strategy}_epochs", f"{strategy}_batch"})
    for strategy in (AFTERWARDS, GDUMB)
}


# ---- how classes arrive --------------------------------------------------------------------------


def groupings(classes: int, groups: int | list[Any]) -> dict[int, Groups]:
    """Return the splits of ``classes`` classes into groups, by their number of groups.

    Args:
        classes: how many there are.
        groups: the number of groups of (nearly) equal size, in order; several such numbers; or the
            groups in full.

    Raises:
        UserError: a class is missing or named twice, or there are more groups than classes.
    """
    if isinstance(groups, int):
        return {groups: _equal(classes, groups)}
    if all(isinstance(each, int) for each in groups):
        return {number: _equal(classes, number) for number in groups}
    given = [cast(list[int], each) for each in groups if isinstance(each, list)]
    if (
        len(given) < len(groups)
        or sorted(c for group in given for c in group) != list(range(classes))
        or not all(given)
    ):
        raise UserError(
            f"config: continual.groups: {groups} must name each class 0 to {classes - 1} once, in "
            "groups that are not empty"
        )
    return {len(given): [list(group) for group in given]}


def _equal(classes: int, groups: int) -> Groups:
    if not 1 <= groups <= classes:
        raise UserError(
            f"config: continual.groups: {groups} groups of {classes} classes; 1 to {classes} "
            "is possible"
        )
    bounds = [round(classes * i / groups) for i in range(groups + 1)]
    return [list(range(bounds[i], bounds[i + 1])) for i in range(groups)]


def reordered(groups: Groups, seed: int, dataset: str, order: int) -> Groups:
    """Return groups of the same sizes with the classes in another order; order 0 is the given one.

    The classes of another order are drawn by name from the study's seed: the same ones for each
    number of groups.
    """
    if not order:
        return groups
    classes = sorted(c for group in groups for c in group)
    drawn = iter(
        sorted(classes, key=lambda c: derive(seed, "continual", dataset, "order", order, c))
    )
    return [[next(drawn) for _ in group] for group in groups]


def splits(study: Study, dataset: str) -> dict[tuple[int, int], Groups]:
    """Return the groups of each number of steps and order."""
    settings, seed = study.continual(dataset), study.config["seed"]
    by_steps = groupings(len(study.datasets[dataset].classes), settings["groups"])
    return {
        (steps, order): reordered(groups, seed, dataset, order)
        for steps, groups in by_steps.items()
        for order in range(settings["orders"])
    }


def _groups(study: Study, wildcards: Mapping[str, str]) -> Groups:
    at = int(wildcards["steps"]), int(wildcards["order"])
    found = splits(study, wildcards["dataset"])
    if at not in found:
        raise UserError(
            f"continual learning of {wildcards['dataset']} in {at[0]} steps, order {at[1]}: the "
            "study has no such job"
        )
    return found[at]


# ---- what jobs are asked -------------------------------------------------------------------------


def learning(jobs: "Jobs", wildcards: Mapping[str, str]) -> dict[str, Any]:
    """Return what learning the groups by one strategy is asked, beside seed and compute."""
    dataset, strategy = wildcards["dataset"], wildcards["strategy"]
    settings = jobs.study.continual(dataset)
    unread = _PLAN.union(*(keys for name, keys in _ON_MEMORY.items() if name != strategy))
    if strategy != REPLAY:
        unread |= {"replay_batch"}
    if strategy in _ON_MEMORY:
        unread |= _ON_IMAGES
    if strategy == AFTERWARDS:
        unread |= {"models"}
    return {
        "network": jobs.network(dataset, settings["network"]),
        "groups": _groups(jobs.study, wildcards),
        "settings": {key: value for key, value in settings.items() if key not in unread},
    }


def step(jobs: "Jobs", wildcards: Mapping[str, str], asked: dict[str, Any]) -> dict[str, Any]:
    """Return what making a part of a memory is asked: what its method, or its recipe, is asked with
    all classes present, on the classes of one step."""
    classes = _groups(jobs.study, wildcards)[int(wildcards["step"])]
    changed = {
        "network": {**asked["network"], "classes": len(classes)},
        "classes": classes,
        "images_per_class": jobs.study.continual(wildcards["dataset"])["images_per_class"],
    }
    if "cell" in asked:
        at = {name: int(wildcards[name]) for name in ("steps", "order", "step")}
        changed |= {"cell": {**asked["cell"], **at}, "snapshots": 1}
    return asked | changed


# ---- what jobs read ------------------------------------------------------------------------------


def memory_files(jobs: "Jobs", wildcards: Mapping[str, str]) -> list[str]:
    """Return the files of a memory: its one set, or the parts of its steps."""
    if wildcards["memory"] == GIVEN:
        return [f"{filled(jobs.layout.synthetic, wildcards)}/{SET}"]
    return [
        f"{filled(jobs.layout.step_set, {**wildcards, 'step': step})}/{SET}"
        for step in range(int(wildcards["steps"]))
    ]


def expert_files(jobs: "Jobs", wildcards: Mapping[str, str], cell: Cell) -> list[str]:
    """Return the experts that a part of a memory learns from: of the same step."""
    if not jobs.study.learns(cell):
        return []
    recipe = jobs.study.recipe(cell)
    return [
        filled(jobs.layout.step_shard, {**wildcards, "recipe": recipe, "shard": shard})
        + "/trajectories.safetensors"
        for shard in range(len(jobs.shards(cell.dataset, recipe)))
    ]


def finetuned_files(jobs: "Jobs", wildcards: Mapping[str, str], cell: Cell) -> list[str]:
    """Return the networks that ``afterwards`` goes on from: they have seen real images as the
    memory is normalised."""
    if wildcards["strategy"] != AFTERWARDS:
        return []
    whitened = jobs.study.normalization(cell) == "zca"
    pattern = jobs.layout.continual_whitened if whitened else jobs.layout.continual
    return [f"{filled(pattern, {**wildcards, 'strategy': FINETUNE})}/finetuned.safetensors"]


# ---- memories -----------------------------------------------------------------------------------


def memories(study: Study, dataset: str) -> Iterator[tuple[str, Cell]]:
    """Return the memories of a dataset, each with how it comes about."""
    for kind in study.memory_kinds:
        for cell in study.memories(dataset):
            if kind == GIVEN or can_be_parted(study, cell):
                yield kind, cell


def can_be_parted(study: Study, cell: Cell) -> bool:
    """Return whether a set can be made step by step: it is made here, starts from no set that knew
    all classes, and is not whitened by what all classes have in common."""
    return (
        not study.is_imported(cell.method)
        and cell.init in INITS
        and study.normalization(cell) == "channel"
    )


# ---- all of them ---------------------------------------------------------------------------------


def measuring(jobs: "Jobs") -> Iterator[Planned]:
    """Return the jobs that measure, in a fixed order."""
    study, layout = jobs.study, jobs.layout
    for dataset in study.continual_datasets:
        for steps, order in splits(study, dataset):
            at = {"dataset": dataset, "steps": steps, "order": order}
            for strategy in study.strategies:
                if strategy in ALONE:
                    yield "continual_alone", layout.continual, at | {"strategy": strategy}
                    continue
                for kind, cell in memories(study, dataset):
                    more = {"strategy": strategy, "memory": kind, **cell.__dict__}
                    yield "continual_memory", layout.remembered, at | more


def before(jobs: "Jobs") -> Iterator[Planned]:
    """Return the jobs that make what others measure: the parts of memories, their experts, and the
    networks that ``afterwards`` goes on from with a whitened memory."""
    study, layout = jobs.study, jobs.layout
    remembering = set(study.strategies) - set(ALONE)
    for dataset in study.continual_datasets:
        found = list(memories(study, dataset))
        whitened = any(study.normalization(cell) == "zca" for _, cell in found)
        parted = [cell for kind, cell in found if kind == PER_STEP]
        for (steps, order), groups in splits(study, dataset).items():
            at = {"dataset": dataset, "steps": steps, "order": order}
            if AFTERWARDS in remembering and whitened:
                yield "continual_whitened", layout.continual_whitened, at | {"strategy": FINETUNE}
            for number in range(len(groups) if remembering and parted else 0):
                yield from _parts(jobs, at | {"step": number}, parted)


def _parts(jobs: "Jobs", at: dict[str, Any], cells: list[Cell]) -> Iterator[Planned]:
    """Return the jobs that make the parts of one step."""
    learning = [cell for cell in cells if jobs.study.learns(cell)]
    for recipe in dict.fromkeys(jobs.study.recipe(cell) for cell in learning):
        for shard in range(len(jobs.shards(at["dataset"], recipe))):
            yield "step_experts", jobs.layout.step_shard, at | {"recipe": recipe, "shard": shard}
    for cell in cells:
        yield "step_distill", jobs.layout.step_set, at | cell.__dict__
