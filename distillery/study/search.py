"""What a study asks of a search among networks: which there are, and the jobs that rank them.
Imports no torch."""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from distillery import limits
from distillery.errors import UserError
from distillery.study.cells import Cell
from distillery.study.messages import known
from distillery.study.study import Study

if TYPE_CHECKING:
    from distillery.study.jobs import Jobs

# Networks whose ranks are compared.
LEAST_RANKED = 3
# Keys that say what is searched, not how networks are trained.
_PLAN = ("datasets", "network", "options", "sets", "full")


def grid(study: Study, dataset: str) -> list[dict[str, Any]]:
    """Return the options of the networks of a search: the product of the lists, without those that
    do not go together or need larger images."""
    section, size = study.config["search"], study.datasets[dataset].size
    spec = study.networks[section["network"]].spec
    options = study.options(section["network"], size)
    lists = dict(sorted(section["options"].items()))  # whatever their order in the config
    product = (
        options | dict(zip(lists, values, strict=True))
        for values in itertools.product(*lists.values())
    )
    return [
        each
        for each in product
        if limits.clash(spec, each) is None and limits.too_small(spec, each, size) is None
    ]


def cells(study: Study, dataset: str) -> list[Cell]:
    """Return the sets that networks are ranked by."""
    wanted = study.config["search"]["sets"]
    return [cell for cell in study.cells if cell.dataset == dataset and cell.among(wanted)]


def check(study: Study) -> None:
    """Check what a search asks for.

    Raises:
        UserError: a dataset or a set is not in the grid, or there are too few networks.
    """
    section = study.config["search"]
    names: list[str] = [] if section["datasets"] == "all" else section["datasets"]
    for name in names:
        known("config: search.datasets", "dataset", name, study.dataset_names)
    for dataset in study.search_datasets:
        count = len(grid(study, dataset))
        if count < LEAST_RANKED:
            raise UserError(
                f"config: search.options: {count} networks fit {dataset}, and fewer than "
                f"{LEAST_RANKED} have no ranks to compare; give more values"
            )
        for key, values in section["sets"].items():
            there = [getattr(cell, key) for cell in study.cells if cell.dataset == dataset]
            for value in values:
                known("config: search.sets", key, value, dict.fromkeys(there))
        if not cells(study, dataset):
            raise UserError(
                "config: search.sets: no set of the grid is all that it asks for; name less"
            )


def asked(jobs: "Jobs", wildcards: Mapping[str, str], *, full: bool = False) -> dict[str, Any]:
    """Return what a job of a search is asked.

    Args:
        jobs: of the study.
        wildcards: of the job.
        full: whether it trains on the full training set.
    """
    config, dataset = jobs.study.config, wildcards["dataset"]
    section = config["search"]
    settings = {key: value for key, value in section.items() if key not in _PLAN}
    return {
        "seed": config["seed"],
        "network": jobs.network(dataset, section["network"]),
        "grid": grid(jobs.study, dataset),
        "settings": settings | (section["full"] if full else {}),
        "compute": {key: config["compute"][key] for key in ("precision", "compile", "threads")},
    }


def measuring(jobs: "Jobs") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return the jobs, each its rule, the pattern of its folder, and its wildcards."""
    for dataset in jobs.study.search_datasets:
        yield "search_full", jobs.layout.search_full, {"dataset": dataset}
        for cell in cells(jobs.study, dataset):
            yield "search", jobs.layout.searched, dict(cell.__dict__)
