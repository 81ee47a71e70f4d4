"""Whether the parts of a study go together: what no setting shows by itself, and would end a job
hours later."""

import math
from typing import Any, NoReturn

from distillery import limits
from distillery.errors import UserError
from distillery.store import paths
from distillery.study import continual, reading, search, starts
from distillery.study.cells import Cell
from distillery.study.messages import known
from distillery.study.overrides import listed
from distillery.study.study import Study
from distillery.vocabulary import INITS, PER_STEP, REAL, REMEMBERING, TEACHER, WHOLE

# More than Snakemake can be asked for in reasonable time.
MOST_SHARDS = 1000
# Numbers of an image that can be whitened: its covariance has their square. 64 x 64 x 3 take 1.2 GB
# in double precision.
MOST_WHITENED = 12_288


def check(study: Study) -> None:
    """Check what the settings of a study ask of each other, of its images and of its networks.

    Raises:
        UserError: two of them do not go together.
    """
    _check_networks(study)
    _check_imported(study)
    starts.check(study.starts, {cell.init for cell in study.cells}, study.config["results"])
    _check_distillation_network(study)
    for cell in study.cells:
        if study.is_imported(cell.method):
            _check_imported_cell(study, cell)
        else:
            _check_cell(study, cell)
            if study.learns(cell):
                _check_experts(study, cell)
    _check_evaluation(study)
    _check_continual(study)
    search.check(study)
    _check_privacy(study)


# ---- networks ------------------------------------------------------------------------------------


def _check_networks(study: Study) -> None:
    for name in study.config["networks"]:
        clash = limits.clash(study.networks[name].spec, study.options(name))
        if clash:
            raise UserError(f"config: networks.{name}: {clash}")


def _check_distillation_network(study: Study) -> None:
    name = study.config["network"]
    mixes = limits.mixes_images(study.networks[name].spec, study.options(name))
    if mixes and any(map(study.is_distilled, study.cells)):
        raise UserError(
            f"config: network: {name} has batch normalisation, whose statistics would mix the "
            "images of a batch, so nothing can be distilled with it; "
            "take ConvNet with norm instance, and use the other in evaluate.networks"
        )


def _check_fits(study: Study, where: str, dataset: str, network: str) -> None:
    if not study.fits(dataset, network):
        _too_small(study, where, dataset, network)


def _too_small(study: Study, where: str, dataset: str, network: str) -> NoReturn:
    raise UserError(
        f"config: {where}: {network} {study.too_small(dataset, network)}; {dataset} has "
        f"{limits.by(study.datasets[dataset].size)}"
    )


# ---- sets ----------------------------------------------------------------------------------------


def _check_imported(study: Study) -> None:
    names = [entry["name"] for entry in study.config["imported"]]
    for number, entry in enumerate(study.config["imported"]):
        where = f"config: imported[{number}]"
        known(where, "dataset", entry["dataset"], study.datasets)
        if entry["name"] in study.methods or entry["name"] == WHOLE:
            raise UserError(
                f"{where}: the name {entry['name']!r} is taken; give the imported set another"
            )
        if names.count(entry["name"]) > 1:
            raise UserError(
                f"{where}: the name {entry['name']!r} is used twice; names of imported sets "
                "must differ"
            )
        for key in ("file", "labels", "step_size"):
            if isinstance(entry.get(key), (str, list)):
                paths.named(entry[key], f"{where}: {key}")
        if entry["sets"] > 1 and "labels" in entry:
            raise UserError(
                f"{where}: an images-and-labels pair holds one set; `sets: {entry['sets']}` "
                "goes with a file that holds several"
            )


def _has_robust(study: Study, cell: Cell) -> bool:
    """Return whether the robust scores of a set are measured.

    Raises:
        UserError: they would be compared with themselves.
    """
    robust = study.robust(cell)
    if robust and robust["robust"]["augment"] == "none":
        raise UserError(
            "config: evaluate.robust: augment none is what the other half of the score is "
            "measured with; name an augmentation, such as dsa"
        )
    return robust is not None


def _check_imported_cell(study: Study, cell: Cell) -> None:
    if not _has_robust(study, cell):
        return
    _check_fits(study, "evaluate.robust: network", cell.dataset, study.config["network"])
    smallest, held_out = study.to_draw(cell.dataset)
    if cell.ipc > smallest - held_out:
        raise UserError(
            f"config: evaluate.robust: {cell.method} has {cell.ipc} images of each class, "
            f"and the smallest class of {cell.dataset} only "
            f"{smallest - held_out} to draw as many from; set robust.models to 0 by an "
            "override for it"
        )


def _check_whitening(study: Study, cell: Cell) -> None:
    spec = study.datasets[cell.dataset]
    numbers = spec.channels * math.prod(limits.sides(spec.size))
    if study.normalization(cell) == "zca" and numbers > MOST_WHITENED:
        raise UserError(
            f"config: methods.{cell.method}: normalization zca would decorrelate the {numbers} "
            f"numbers of an image of {cell.dataset} from each other; {MOST_WHITENED} is the most "
            "that is possible; take channel"
        )


def _check_factor(study: Study, cell: Cell) -> None:
    factor, sides = study.factor(cell), limits.sides(study.datasets[cell.dataset].size)
    where = f"config: methods.{cell.method}: factor {factor}"
    if any(side % factor for side in sides):
        high, wide = sides
        fitting = [f for f in range(1, reading.MOST_PARTS + 1) if not (high % f or wide % f)]
        raise UserError(
            f"{where} does not divide the {high} x {wide} pixels of {cell.dataset}; "
            f"{', '.join(map(str, fitting))} would"
        )
    if factor != 1 and cell.init not in INITS:
        raise UserError(
            f"{where} goes with init real or noise: the set {cell.init} is none whose images hold "
            "several; take factor 1 for it by an override"
        )


def _check_cell(study: Study, cell: Cell) -> None:
    _check_whitening(study, cell)
    _check_factor(study, cell)
    robust = _has_robust(study, cell)
    smallest, held_out = study.to_draw(cell.dataset)
    # Only these need real images to start from; methods draw as many as there are.
    needed, factor = study.seen_ipc(cell), study.factor(cell)
    if needed > smallest - held_out and (cell.init == REAL or robust):
        without = "" if study.methods[cell.method].is_coreset else "; init noise needs none of them"
        drawn = (
            without
            if cell.init == REAL
            else ", and evaluate.robust compares with as many real images; set its models "
            "to 0 there"
        )
        raise UserError(
            f"config: grid: ipc {cell.ipc} {'' if factor == 1 else f'with factor {factor} '}is "
            f"above the smallest class of {cell.dataset}: "
            f"{smallest} training images, {held_out} of them held out for validation; at most "
            f"{(smallest - held_out) // factor**2} is possible{drawn}"
        )
    method = study.methods[cell.method]
    if not study.validates(cell.dataset) and method.validates(study.method_settings(cell)):
        raise UserError(
            f"config: methods.{cell.method}: decides on validation images, and data.validation "
            f"{study.config['data']['validation']} leaves none of {cell.dataset}; raise it"
        )
    _check_fits(study, "network", cell.dataset, study.config["network"])


def _check_shards(recipe: str, experts: dict[str, Any]) -> None:
    shards = -(-experts["number"] // experts["shard"])
    if shards > MOST_SHARDS:
        least = -(-experts["number"] // MOST_SHARDS)
        raise UserError(
            f"config: experts.{recipe}: {shards} jobs; at most {MOST_SHARDS} are possible: "
            f"raise shard to {least}, or lower number"
        )


def _check_experts(study: Study, cell: Cell) -> None:
    """Check that the experts of a set reach as far as its method reads, in its space."""
    settings, recipe = study.method_settings(cell), study.recipe(cell)
    if recipe not in study.config["experts"]:
        raise UserError(
            f"config: experts: has no recipe {recipe!r}, which methods.{cell.method} learns from"
        )
    experts = study.experts(cell.dataset, recipe)
    _check_shards(recipe, experts)
    # Starts are drawn below `max_start_epoch`.
    needed = settings.get("max_start_epoch", 1) - 1 + settings.get("expert_epochs", 0)
    if needed > experts["epochs"]:
        raise UserError(
            f"config: methods.{cell.method}: starts below max_start_epoch "
            f"{settings['max_start_epoch']} with expert_epochs {settings['expert_epochs']} reach "
            f"to epoch {needed}, beyond the {experts['epochs']} epochs of experts.{recipe} on "
            f"{cell.dataset}; lower one, or raise experts.{recipe}.epochs to {needed}"
        )
    epoch = settings.get("teacher_epoch", 0)
    if isinstance(epoch, int) and epoch > experts["epochs"]:
        raise UserError(
            f"config: methods.{cell.method}: teacher_epoch {epoch} is beyond the "
            f"{experts['epochs']} epochs of experts.{recipe} on {cell.dataset}; lower it, or raise "
            f"experts.{recipe}.epochs to {epoch}"
        )
    seen, wanted = experts["normalization"], study.normalization(cell)
    if seen != wanted:
        raise UserError(
            f"config: methods.{cell.method}: normalization {wanted!r} at ipc {cell.ipc} on "
            f"{cell.dataset}, but experts.{recipe} has {seen!r}: a set lives in the space of its "
            f"experts; name a recipe with `normalization: {wanted}`, or change one of the two"
        )


# ---- measurements --------------------------------------------------------------------------------


def _check_evaluation(study: Study) -> None:
    share = study.config["data"]["validation"]
    for dataset in study.dataset_names:
        selects = study.config["evaluate"]["selection"]["models"]
        if share and selects and not study.validates(dataset):
            raise UserError(
                f"config: evaluate.selection: needs validation images, and data.validation {share} "
                f"leaves none of {dataset}; raise it, or set it to 0, which leaves out the "
                "selection"
            )
        for where in ("evaluate", "vanilla"):
            names = study.config[where]["networks"]
            if names and not any(study.fits(dataset, name) for name in names):
                _too_small(study, f"{where}.networks", dataset, names[0])
        _check_teachers(study, dataset)


def _check_teachers(study: Study, dataset: str) -> None:
    """Check that each teacher is there, and knows the images that it is to label."""
    for section in ("evaluate", "vanilla"):
        block = study.config[section]
        parts = [block, *block.get("overrides", ())]
        if any(TEACHER in part for part in parts) and not any(
            TEACHER in listed(part.get("labels", [])) for part in parts
        ):
            add = "labels: [own, teacher]" if section == "evaluate" else "labels: teacher"
            raise UserError(
                f"config: {section}.teacher: nobody learns from it, for {section}.labels has no "
                f"teacher; add it, as in {add}"
            )
    seen: list[tuple[str, dict[str, Any], str]] = []
    for section, teacher, space in study.teachers(dataset):
        if (section, teacher, space) not in seen:
            seen.append((section, teacher, space))
            _check_teacher(study, dataset, f"config: {section}.teacher", teacher, space)


def _check_teacher(
    study: Study, dataset: str, where: str, teacher: dict[str, Any], space: str
) -> None:
    recipe, network = teacher["experts"], study.config["network"]
    known(where, "expert recipe", recipe, study.config["experts"])
    experts = study.experts(dataset, recipe)
    _check_shards(recipe, experts)
    for key, there, noun in (("number", experts["number"], ""), ("epoch", experts["epochs"], "s")):
        if teacher[key] != "last" and teacher[key] > there:
            raise UserError(
                f"{where}: {key} {teacher[key]} is beyond the {there} of experts.{recipe}.{key}"
                f"{noun} on {dataset}; lower it, or raise that to {teacher[key]}"
            )
    if experts["normalization"] != space:
        raise UserError(
            f"{where}: labels images in the space {space!r} on {dataset}, but experts.{recipe} has "
            f"{experts['normalization']!r}; name a recipe with `normalization: {space}`, or leave "
            "the teacher out of their labels by an override"
        )
    _check_fits(study, "network", dataset, network)
    if limits.mixes_images(study.networks[network].spec, study.options(network)):
        raise UserError(
            f"{where}: {network}, which the experts are, has batch normalisation, whose statistics "
            "are not kept with experts; take ConvNet with norm instance as `network`"
        )


def _check_continual(study: Study) -> None:
    wanted = study.config["continual"]["datasets"]
    names: list[str] = [] if wanted == "all" else wanted
    for name in names:
        if name not in study.dataset_names:
            raise UserError(
                f"config: continual.datasets: {name!r} is not in the grid, which has "
                f"{', '.join(study.dataset_names)}"
            )
    _check_memory(study)
    for dataset in study.continual_datasets:
        splits = continual.splits(study, dataset)
        _check_fits(study, "continual.network", dataset, study.config["continual"]["network"])
        if set(REMEMBERING) & set(study.strategies):
            alone = any(len(group) == 1 for groups in splits.values() for group in groups)
            for kind, cell in continual.memories(study, dataset):
                if kind == PER_STEP:
                    _check_parts(study, cell, alone)


def _check_memory(study: Study) -> None:
    learned = set(study.continual_datasets)
    candidates = [cell for cell in study.cells if cell.dataset in learned]
    if not candidates:
        return
    _check_sets("continual.memory", study.config["continual"]["memory"], candidates)
    remembering = set(REMEMBERING) & set(study.strategies)
    if remembering and not any(map(study.memories, learned)):
        raise UserError(
            "config: continual.memory: no set of the grid is all that it asks for; name less, "
            "or only strategies without a memory"
        )
    parted = [kind for dataset in learned for kind, _ in continual.memories(study, dataset)]
    if remembering and PER_STEP in study.memory_kinds and PER_STEP not in parted:
        raise UserError(
            "config: continual.memories: per_step: no set of continual.memory can be made step by "
            "step: each is imported, starts from a set, or is whitened; take `given`"
        )


def _check_sets(where: str, wanted: dict[str, list[Any]], candidates: list[Cell]) -> None:
    """Check that each value that sets are chosen by is that of some set."""
    for key, values in wanted.items():
        there = dict.fromkeys(getattr(cell, key) for cell in candidates)
        for value in values:
            known(f"config: {where}", key, value, there)


def _check_privacy(study: Study) -> None:
    _check_sets("privacy.sets", study.config["privacy"]["sets"], study.cells)
    judged = [cell for cell in study.cells if study.privacy(cell)]
    if study.config["privacy"]["models"] and not judged:
        raise UserError(
            "config: privacy.sets: no set of the grid is all that it asks for; name less, or set "
            "privacy.models to 0"
        )
    for cell in judged:
        _check_fits(study, "privacy: network", cell.dataset, study.config["network"])


def _check_parts(study: Study, cell: Cell, alone: bool) -> None:
    """Check that the parts of a memory can be made from the images of one step each. ``alone``:
    some group has a single class."""
    where = f"config: continual.memories: per_step: {cell.method}"
    method, settings = study.methods[cell.method], study.method_settings(cell)
    if alone and (study.learns(cell) or (method.needs_network and not method.embeds(settings))):
        raise UserError(
            f"{where} learns from telling classes apart, and a group has one class only; take "
            "fewer groups, or name other sets in continual.memory"
        )
    limit = study.continual(cell.dataset)["images_per_class"]
    held_out = int(study.config["data"]["validation"] * limit)
    needed = study.seen_ipc(cell)
    if limit and cell.init == REAL and needed > limit - held_out:
        raise UserError(
            f"{where} takes {needed} images per class, and continual.images_per_class {limit} "
            f"leaves about {limit - held_out}, the held-out ones counted off; raise it"
        )
