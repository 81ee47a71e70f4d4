"""A study: what the config asks for, checked, and the settings that each job reads. Imports no
torch: every job parses it."""

import copy
import dataclasses
import itertools
import math
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from distillery import limits, plugins
from distillery.errors import UserError
from distillery.store import paths
from distillery.store.layout import normalised
from distillery.study.values import number as number_in
from distillery.study.values import read as read_values
from distillery.vocabulary import IMPORTED, INITS, NOISE, REAL, REMEMBERING, WHOLE

# Settings that every method has, beside those that it declares: what the job does around it, not
# what the method does.
COMMON = {"normalization": {"type": "string", "enum": ["channel", "zca"], "default": "channel"}}
# Snakemake takes seconds for a thousand jobs to find out what is to be done, and more than its
# share of memory.
MOST_SETS, MOST_SHARDS = 10_000, 1000
_COUNTS = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}
# What the jobs of a section can differ in.
_TOLD_APART = {
    "experts": ("dataset",),
    "evaluate": ("dataset", "method", "init", "ipc", "seed", "network"),
    "vanilla": ("dataset", "network"),
    "continual": ("dataset",),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One synthetic set of the study."""

    dataset: str
    method: str
    init: str
    ipc: int
    seed: int


class Study:
    """A checked config.

    Args:
        config: as loaded from YAML.
        schema: the JSON schema of the config.

    Raises:
        UserError: the config cannot be run; one line says where, what is wrong and what would be
            right.
    """

    def __init__(self, config: dict[str, Any], schema: dict[str, Any]):
        schema = {
            **schema,
            "$defs": {**schema["$defs"], "augment": {"enum": list(plugins.augmentations())}},
        }
        self.config = read_values(copy.deepcopy(config), _with_overrides(schema), schema)
        self._read_plugins()
        _check_finite("config", self.config)
        _validate("config", self.config, schema, fill=True)
        # A name that is said twice is one job, not one that is counted twice.
        for section, key in (
            ("evaluate", "networks"),
            ("vanilla", "networks"),
            ("continual", "strategies"),
        ):
            self.config[section][key] = list(dict.fromkeys(_listed(self.config[section][key])))
        self.methods = plugins.methods() | self._variants(plugins.methods())
        self.datasets = plugins.datasets()
        self.networks = plugins.networks()
        self.imported = {entry["name"]: entry for entry in self.config["imported"]}
        if set("{}") & set(self.config["results"]):
            raise UserError(
                "config: results: a folder without braces, which stand for wildcards, not "
                f"{self.config['results']!r}"
            )
        _check_printable("config: results", self.config["results"])
        self.config["results"] = normalised(self.config["results"])
        _check_folder("config: results", self.config["results"])
        self._check_networks()
        self._check_methods()
        self._check_overrides(schema)
        self.cells = self._expand()
        if not self.cells:
            raise UserError(
                "config: grid: has no block, and `imported` no set; a study has at least one of "
                "them"
            )
        self._check_imported()
        self._check_distillation_network()
        for cell in self.cells:
            self._check_cell(cell)
        self._check_measurements()

    def _read_plugins(self) -> None:
        """Read what methods and networks declare, as :func:`values.read` does what the schema says;
        nothing is known to be well formed yet."""
        methods, networks = self.config.get("methods"), self.config.get("networks")
        for name, block in methods.items() if isinstance(methods, dict) else ():
            base = block.get("of", name) if isinstance(block, dict) else name
            if isinstance(base, str) and base in plugins.methods():
                read_values(
                    block, _overridden({"properties": plugins.methods()[base].settings}), {}
                )
        for name, options in networks.items() if isinstance(networks, dict) else ():
            if name in plugins.networks():
                read_values(options, {"properties": plugins.networks()[name].options}, {})

    def _variants(self, methods: dict[str, Any]) -> dict[str, Any]:
        """The config's own methods: blocks that say which method they are ``of``, and differ from
        it in settings."""
        found = {}
        for name, block in self.config["methods"].items():
            if not isinstance(block, dict) or "of" not in block:
                continue
            where = f"config: methods.{name}"
            if name in methods:
                raise UserError(
                    f"{where}: {name} is a method itself and cannot be a variant of another; give "
                    "the variant a name of its own"
                )
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name == WHOLE:
                raise UserError(
                    f"{where}: a variant's name is made of letters, digits and underscores, begins "
                    f"with a letter, and is not `{WHOLE}`"
                )
            _known(f"{where}.of", "method", block["of"], methods)
            found[name] = dataclasses.replace(
                methods[block["of"]], name=name, title=name, colour=None
            )
        return found

    def _matched(self, cell: Cell, **more: Any) -> dict[str, Any]:
        """What an override's ``when`` is compared with: a variant goes by its own name and by that
        of its method."""
        names = (
            [cell.method]
            if self.is_imported(cell.method)
            else [cell.method, self.methods[cell.method].module]
        )
        return {**cell.__dict__, "method": names, **more}

    def _method_block(self, cell: Cell) -> dict[str, Any]:
        """The config's settings of ``cell``'s method: its block, or for a variant its method's and
        then its own; with the overrides that match."""
        settings: dict[str, Any] = {}
        for name in dict.fromkeys((self.methods[cell.method].module, cell.method)):
            settings |= _resolve(
                self.config["methods"].get(name, {}), self._matched(cell), drop=("of",)
            )
        return settings

    # ---- the grid --------------------------------------------------------------------------------

    def _expand(self) -> list[Cell]:
        cells: dict[Cell, None] = {}
        for number, block in enumerate(self.config["grid"]):
            axes = {name: _listed(value) for name, value in block.items()}
            axes.setdefault("seed", [0])
            size = math.prod(map(len, axes.values()))
            if size > MOST_SETS:
                raise UserError(
                    f"config: grid[{number}]: {size} sets; a block has at most {MOST_SETS}: name "
                    "fewer values, or make several studies of it"
                )
            for dataset, method, init, ipc, seed in itertools.product(
                *(axes[a] for a in ("dataset", "method", "init", "ipc", "seed"))
            ):
                where = f"config: grid[{number}]"
                _known(where, "dataset", dataset, self.datasets)
                _known(where, "method", method, self.methods)
                _known(where, "init", init, INITS)
                if self.methods[method].is_coreset and init != REAL:
                    raise UserError(
                        f"{where}: {method} chooses real images: give it a block of its own with "
                        f"`init: [real]`, not {init!r}"
                    )
                cells[Cell(dataset, method, init, ipc, seed)] = None
        for entry in self.config["imported"]:
            for experiment in range(entry["sets"]):
                cells[Cell(entry["dataset"], entry["name"], IMPORTED, entry["ipc"], experiment)] = (
                    None
                )
        if len(cells) > MOST_SETS:
            raise UserError(
                f"config: grid: {len(cells)} sets; a study has at most {MOST_SETS}: make several "
                "of it"
            )
        return list(cells)

    @property
    def dataset_names(self) -> list[str]:
        """The datasets of the study, in the order of the config."""
        return list(dict.fromkeys(cell.dataset for cell in self.cells))

    def is_imported(self, method: str) -> bool:
        return method in self.imported

    def imported_files(self, name: str) -> list[str]:
        """The files that the imported set ``name`` is read from; of folders all that is in them."""
        entry = self.imported[name]
        named = [
            (key, entry[key])
            for key in ("file", "labels", "step_size")
            if isinstance(entry.get(key), (str, list))
        ]
        return [
            file
            for key, value in named
            for file in paths.files(value, f"imported set {name}: {key}")
        ]

    def _is_distilled(self, cell: Cell) -> bool:
        return not self.is_imported(cell.method) and not self.methods[cell.method].is_coreset

    # ---- settings of one job ---------------------------------------------------------------------

    def network(self, dataset: str, name: str) -> dict[str, Any]:
        """What ``networks.build`` needs: ``name``, ``channels``, ``size``, ``classes``,
        ``options``."""
        spec = self.datasets[dataset]
        return {
            "name": name,
            "channels": spec.channels,
            "size": spec.size,
            "classes": len(spec.classes),
            "options": self._options(name),
        }

    def _options(self, network: str) -> dict[str, Any]:
        defaults = {
            key: schema["default"] for key, schema in self.networks[network].options.items()
        }
        return defaults | self.config["networks"].get(network, {})

    def method_settings(self, cell: Cell) -> dict[str, Any]:
        """Every setting of ``cell``'s method: defaults, then the config's block, then the overrides
        that match the cell."""
        properties = self.methods[cell.method].settings
        settings = {name: schema["default"] for name, schema in properties.items()}
        settings.update(self._method_block(cell))
        return {
            name: value
            for name, value in settings.items()
            if name != "experts" and name not in COMMON
        }

    def normalization(self, cell: Cell) -> str:
        """The space that ``cell``'s images live in: ``channel`` (mean and standard deviation of
        each channel) or ``zca`` (whitened)."""
        if self.is_imported(cell.method):
            return "zca" if self.imported[cell.method].get("normalization") == "zca" else "channel"
        default = COMMON["normalization"]["default"]
        return self._method_block(cell).get("normalization", default)

    def protocol(self, cell: Cell) -> dict[str, Any]:
        """How networks are trained on the sets of ``cell``'s method where it was published: what a
        set's header says, whatever this study does."""
        return _resolve(self.methods[cell.method].protocol, self._matched(cell))

    def recipe(self, cell: Cell) -> str:
        """The name of the expert recipe that ``cell``'s method learns from."""
        return self._method_block(cell).get("experts", "default")

    def experts(self, dataset: str, recipe: str) -> dict[str, Any]:
        """The resolved settings of an expert recipe on a dataset."""
        return _resolve(self.config["experts"][recipe], {"dataset": dataset})

    def shards(self, dataset: str, recipe: str) -> list[list[int]]:
        """The experts' numbers in each shard."""
        settings = self.experts(dataset, recipe)
        numbers = range(settings["number"])
        return [
            list(numbers[i : i + settings["shard"]])
            for i in range(0, len(numbers), settings["shard"])
        ]

    def evaluation(self, cell: Cell, network: str) -> dict[str, Any]:
        """How a set is evaluated on a network."""
        settings = _resolve(
            self.config["evaluate"], self._matched(cell, network=network), drop=("networks",)
        )
        settings.pop("robust")  # a job of its own
        selection = settings.pop("selection")
        chosen = network == self.config["network"] and self._is_distilled(cell)
        # With nothing held out there is nothing to select by.
        settings["selection"] = (
            selection
            if chosen and selection["models"] and self.config["data"]["validation"]
            else None
        )
        return settings

    def robust(self, cell: Cell) -> dict[str, Any] | None:
        """How the robust scores of a set are measured, on the distillation network: its
        evaluation's recipe, and ``robust``. ``None``: not at all."""
        settings = _resolve(
            self.config["evaluate"],
            self._matched(cell, network=self.config["network"]),
            drop=("networks",),
        )
        if not settings["robust"]["models"] or not (
            self._is_distilled(cell) or self.is_imported(cell.method)
        ):
            return None
        return {
            key: value
            for key, value in settings.items()
            if key not in ("models", "curve", "selection")
        }

    def evaluation_networks(self, dataset: str) -> list[str]:
        """The networks that this dataset's sets are evaluated on: those of ``evaluate.networks``
        that its images are large enough for."""
        return [name for name in self.config["evaluate"]["networks"] if self._fits(dataset, name)]

    def vanilla(self, dataset: str, network: str) -> dict[str, Any]:
        return _resolve(
            self.config["vanilla"], {"dataset": dataset, "network": network}, drop=("networks",)
        )

    def vanilla_networks(self, dataset: str) -> list[str]:
        return [name for name in self.config["vanilla"]["networks"] if self._fits(dataset, name)]

    def continual(self, dataset: str) -> dict[str, Any]:
        return _resolve(
            self.config["continual"],
            {"dataset": dataset},
            drop=("datasets", "strategies", "memory"),
        )

    @property
    def continual_datasets(self) -> list[str]:
        wanted = self.config["continual"]["datasets"]
        return [name for name in self.dataset_names if wanted == "all" or name in wanted]

    def memories(self, dataset: str) -> list[Cell]:
        """The sets that continual learning replays from."""
        wanted = self.config["continual"]["memory"]
        return [
            cell
            for cell in self.cells
            if cell.dataset == dataset
            and all(getattr(cell, key) in values for key, values in wanted.items())
        ]

    @property
    def strategies(self) -> list[str]:
        return list(self.config["continual"]["strategies"])

    # ---- checks ----------------------------------------------------------------------------------

    def _fits(self, dataset: str, network: str) -> bool:
        return self._small(dataset, network) is None

    def _small(self, dataset: str, network: str) -> str | None:
        """Why a dataset's images are too small for a network, as the config has it."""
        return limits.too_small(
            self.networks[network].spec, self._options(network), self.datasets[dataset].size
        )

    def _check_networks(self) -> None:
        places = {
            "network": [self.config["network"]],
            "networks": list(self.config["networks"]),
            "evaluate.networks": self.config["evaluate"]["networks"],
            "vanilla.networks": self.config["vanilla"]["networks"],
            "continual.network": [self.config["continual"]["network"]],
        }
        for where, names in places.items():
            for name in names:
                _known(f"config: {where}", "network", name, self.networks)
        for name, options in self.config["networks"].items():
            _check_properties(
                f"config: networks.{name}", "option", options, self.networks[name].options
            )
            clash = limits.clash(self.networks[name].spec, self._options(name))
            if clash:
                raise UserError(f"config: networks.{name}: {clash}")

    def _check_distillation_network(self) -> None:
        name = self.config["network"]
        mixes = limits.mixes_images(self.networks[name].spec, self._options(name))
        if mixes and any(map(self._is_distilled, self.cells)):
            raise UserError(
                f"config: network: {name} has batch normalisation, whose statistics would mix the "
                "images of a batch, so nothing can be distilled with it; "
                "take ConvNet with norm instance, and use the other in evaluate.networks"
            )

    def _check_methods(self) -> None:
        for name, block in self.config["methods"].items():
            where = f"config: methods.{name}"
            _known("config: methods", "method", name, self.methods)
            if not isinstance(block, dict):
                raise UserError(f"{where}: must be a block of settings, not {block!r}")
            properties = {**self.methods[name].settings, **COMMON}
            for place, part in _blocks(where, block):
                if place != where:
                    self._check_when(
                        place, part.pop("when"), ("dataset", "method", "init", "ipc", "seed")
                    )
                extra = {"experts"} if self.methods[name].needs_experts else set()
                if place == where:
                    part.pop("of", None)
                _check_properties(
                    place, "setting", {k: v for k, v in part.items() if k not in extra}, properties
                )
                if "experts" in part and extra:
                    _known(place, "expert recipe", part["experts"], self.config["experts"])

    def _check_overrides(self, schema: dict[str, Any]) -> None:
        """The overrides of every section but the methods', whose settings the methods declare."""
        sections = {
            f"experts.{name}": (block, schema["properties"]["experts"]["additionalProperties"])
            for name, block in self.config["experts"].items()
        }
        sections |= {
            name: (self.config[name], schema["properties"][name])
            for name in ("evaluate", "vanilla", "continual")
        }
        for name, (block, section) in sections.items():
            fixed = ("networks", "overrides", "datasets", "strategies", "memory", "number", "shard")
            told_apart = _TOLD_APART[name.partition(".")[0]]
            properties = {
                key: {**rule, "$defs": schema["$defs"]}
                for key, rule in section["properties"].items()
                if key not in fixed
            }
            for place, part in list(_blocks(f"config: {name}", block))[1:]:
                self._check_when(place, part.pop("when"), told_apart)
                _check_properties(place, "key", part, properties)
                for key, value in part.items():
                    _fill_defaults(value, section["properties"][key], schema)

    def _check_when(self, where: str, when: dict[str, Any], told_apart: Iterable[str]) -> None:
        """What an override names must be something that jobs of its section differ in: it would
        never match otherwise."""
        known = {
            "dataset": self.datasets,
            "method": [*self.methods, *self.imported],
            "network": self.networks,
            "init": (*INITS, IMPORTED),
        }
        for key, values in when.items():
            _known(f"{where}.when", "key", key, told_apart)
            for value in _listed(values):
                if key in known:
                    _known(f"{where}.when", key, value, known[key])
                else:
                    _validate(f"{where}.when.{key}", value, {"type": "integer"})

    def _check_imported(self) -> None:
        names = [entry["name"] for entry in self.config["imported"]]
        for number, entry in enumerate(self.config["imported"]):
            where = f"config: imported[{number}]"
            _known(where, "dataset", entry["dataset"], self.datasets)
            if entry["name"] in self.methods or entry["name"] == WHOLE:
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

    def _check_cell(self, cell: Cell) -> None:
        spec = self.datasets[cell.dataset]
        smallest = spec.smallest_class
        held_out = int(self.config["data"]["validation"] * smallest)
        robust = self.robust(cell)
        if robust and robust["robust"]["augment"] == "none":
            raise UserError(
                "config: evaluate.robust: augment none is what the other half of the score is "
                "measured with; name an augmentation, such as dsa"
            )
        if self.is_imported(cell.method):
            if robust and not self._fits(cell.dataset, self.config["network"]):
                self._too_small("evaluate.robust: network", cell.dataset, self.config["network"])
            if robust and cell.ipc > smallest - held_out:
                raise UserError(
                    f"config: evaluate.robust: {cell.method} has {cell.ipc} images of each class, "
                    f"and the smallest class of {cell.dataset} only "
                    f"{smallest - held_out} to draw as many from; set robust.models to 0 by an "
                    "override for it"
                )
            return
        # Noise needs no image to start from, and methods draw as many real images as there are.
        if cell.ipc > smallest - held_out and (cell.init != NOISE or robust):
            drawn = (
                ""
                if cell.init != NOISE
                else (
                    ", and evaluate.robust compares with as many real images; set its models to 0 "
                    "there"
                )
            )
            raise UserError(
                f"config: grid: ipc {cell.ipc} is above the smallest class of {cell.dataset}: "
                f"{smallest} training images, "
                f"{held_out} of them held out for validation; at most {smallest - held_out} is "
                f"possible{drawn}"
            )
        if not self._fits(cell.dataset, self.config["network"]):
            self._too_small("network", cell.dataset, self.config["network"])
        if self.methods[cell.method].needs_experts:
            settings, recipe = self.method_settings(cell), self.recipe(cell)
            if recipe not in self.config["experts"]:
                raise UserError(
                    f"config: experts: has no recipe {recipe!r}, which methods.{cell.method} "
                    "learns from"
                )
            shards = -(
                -self.experts(cell.dataset, recipe)["number"]
                // self.experts(cell.dataset, recipe)["shard"]
            )
            if shards > MOST_SHARDS:
                least = -(-self.experts(cell.dataset, recipe)["number"] // MOST_SHARDS)
                raise UserError(
                    f"config: experts.{recipe}: {shards} jobs; at most {MOST_SHARDS} are possible: "
                    f"raise shard to {least}, or lower number"
                )
            epochs = self.experts(cell.dataset, recipe)["epochs"]
            needed = last_epoch(settings)
            if needed > epochs:
                raise UserError(
                    f"config: methods.{cell.method}: starts below max_start_epoch "
                    f"{settings['max_start_epoch']} with expert_epochs "
                    f"{settings['expert_epochs']} reach to epoch {needed}, beyond the {epochs} "
                    f"epochs of experts.{recipe} on {cell.dataset}; "
                    f"lower one, or raise experts.{recipe}.epochs to {needed}"
                )
            seen, wanted = (
                self.experts(cell.dataset, recipe)["normalization"],
                self.normalization(cell),
            )
            if seen != wanted:
                raise UserError(
                    f"config: methods.{cell.method}: normalization {wanted!r} at ipc {cell.ipc} on "
                    f"{cell.dataset}, but experts.{recipe} has "
                    f"{seen!r}: a set lives in the space of its experts; name a recipe with "
                    f"`normalization: {wanted}`, or change one of the two"
                )

    def _too_small(self, where: str, dataset: str, network: str) -> None:
        raise UserError(
            f"config: {where}: {network} {self._small(dataset, network)}; {dataset} has "
            f"{self.datasets[dataset].size}"
        )

    def _check_measurements(self) -> None:
        for dataset in self.dataset_names:
            share, smallest = (
                self.config["data"]["validation"],
                self.datasets[dataset].smallest_class,
            )
            if (
                share
                and self.config["evaluate"]["selection"]["models"]
                and int(share * smallest) == 0
            ):
                raise UserError(
                    "config: evaluate.selection: needs validation images, and data.validation "
                    f"{share} leaves none of the {smallest} of "
                    f"{dataset}'s smallest class; raise it, or set it to 0, which leaves out the "
                    "selection"
                )
            for where in ("evaluate", "vanilla"):
                names = self.config[where]["networks"]
                if names and not any(self._fits(dataset, name) for name in names):
                    self._too_small(f"{where}.networks", dataset, names[0])
        wanted = self.config["continual"]["datasets"]
        for name in wanted if wanted != "all" else []:
            if name not in self.dataset_names:
                raise UserError(
                    f"config: continual.datasets: {name!r} is not in the grid, which has "
                    f"{', '.join(self.dataset_names)}"
                )
        self._check_memory()
        for dataset in self.continual_datasets:
            check_groups(len(self.datasets[dataset].classes), self.continual(dataset)["groups"])
            if not self._fits(dataset, self.config["continual"]["network"]):
                self._too_small("continual.network", dataset, self.config["continual"]["network"])

    def _check_memory(self) -> None:
        remembered = set(self.continual_datasets)
        candidates = [cell for cell in self.cells if cell.dataset in remembered]
        for key, values in self.config["continual"]["memory"].items():
            for value in values if candidates else ():
                _known(
                    "config: continual.memory",
                    key,
                    value,
                    dict.fromkeys(getattr(cell, key) for cell in candidates),
                )
        remembering = set(REMEMBERING) & set(self.strategies)
        if (
            remembering
            and candidates
            and not any(self.memories(name) for name in self.continual_datasets)
        ):
            raise UserError(
                "config: continual.memory: no set of the grid is all that it asks for; name less, "
                "or only strategies without a memory"
            )


def check_groups(classes: int, groups: int | list[list[int]]) -> list[list[int]]:
    """The split of ``classes`` classes into groups: given in full, or as the number of groups of
    (nearly) equal size, in order.

    Raises:
        UserError: a class is missing or named twice, or there are more groups than classes.
    """
    if isinstance(groups, int):
        if not 1 <= groups <= classes:
            raise UserError(
                f"config: continual.groups: {groups} groups of {classes} classes; 1 to {classes} "
                "is possible"
            )
        bounds = [round(classes * i / groups) for i in range(groups + 1)]
        return [list(range(bounds[i], bounds[i + 1])) for i in range(groups)]
    if sorted(c for group in groups for c in group) != list(range(classes)) or not all(groups):
        raise UserError(
            f"config: continual.groups: {groups} must name each class 0 to {classes - 1} once, in "
            "groups that are not empty"
        )
    return [list(group) for group in groups]


def last_epoch(settings: dict[str, Any]) -> int:
    """The last epoch of an expert that trajectory matching reads: starts are drawn below
    ``max_start_epoch``."""
    return settings.get("max_start_epoch", 1) - 1 + settings.get("expert_epochs", 0)


def _overridden(section: dict[str, Any]) -> dict[str, Any]:
    """A section's schema with what its overrides may hold: its own keys, and the numbers that
    `when` compares with."""
    when = {"properties": {"ipc": _COUNTS, "seed": _COUNTS}}
    override = {"properties": {**section["properties"], "when": when}}
    return {**section, "properties": {**section["properties"], "overrides": {"items": override}}}


def _with_overrides(schema: dict[str, Any]) -> dict[str, Any]:
    sections = dict(schema["properties"])
    for name in ("evaluate", "vanilla", "continual"):
        sections[name] = _overridden(sections[name])
    sections["experts"] = {
        "additionalProperties": _overridden(sections["experts"]["additionalProperties"])
    }
    return {**schema, "properties": sections}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _blocks(where: str, block: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """A block of settings and each of its overrides, with where they stand."""
    yield where, {key: value for key, value in block.items() if key != "overrides"}
    overrides = block.get("overrides", [])
    if not isinstance(overrides, list):
        raise UserError(
            f"{where}.overrides: must be a list of blocks with `when`, not {overrides!r}"
        )
    for number, override in enumerate(overrides):
        place = f"{where}.overrides[{number}]"
        if not isinstance(override, dict) or not isinstance(override.get("when"), dict):
            raise UserError(
                f"{place}: must have a `when` block that names the cells it is for, such as "
                "{when: {ipc: 10}, …}"
            )
        yield place, dict(override)


def _resolve(
    block: dict[str, Any], cell: dict[str, Any], drop: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A block's settings for one cell: its own, then those of each override whose ``when`` matches,
    in order."""
    settings = {
        key: value for key, value in block.items() if key != "overrides" and key not in drop
    }
    for override in block.get("overrides", []):
        when = override["when"]
        if all(set(_listed(cell.get(key))) & set(_listed(value)) for key, value in when.items()):
            settings.update({key: value for key, value in override.items() if key != "when"})
    return copy.deepcopy(settings)


def _known(where: str, what: str, name: object, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        texts = list(map(str, names))
        raise UserError(
            f"{where}: unknown {what} {name!r}; {plugins.hint(name, texts)}known are {', '.join(texts)}"
        )


def _check_properties(
    where: str, what: str, values: dict[str, Any], properties: dict[str, Any]
) -> None:
    """Check settings against the JSON-schema properties that a plug-in declares."""
    for name, value in values.items():
        _known(where, what, name, properties)
        schema = {
            key: rule
            for key, rule in properties[name].items()
            if key not in ("default", "description")
        }
        _validate(f"{where}.{name}", value, schema)


def _check_printable(where: str, path: str) -> None:
    if not path.isprintable():
        raise UserError(f"{where}: must be a path of printable characters, not {path!r}")


def _check_folder(where: str, path: str) -> None:
    """What a results folder cannot be: found out here rather than in the middle of Snakemake."""
    longest = max(Path(path).parts, key=lambda part: len(os.fsencode(part)), default="")
    if len(os.fsencode(longest)) > 255 or len(os.fsencode(path)) > 3000:
        raise UserError(
            f"{where}: is too long: a path has at most 255 characters between two slashes, and "
            f"3000 in all, not {len(path)}"
        )
    try:
        above = next(
            folder for folder in (Path(path), *Path(path).parents) if os.path.lexists(folder)
        )
        if not stat.S_ISDIR(above.stat().st_mode):
            raise UserError(f"{where}: {above} is a file; name a folder")
    except OSError as error:
        raise UserError(
            f"{where}: {path} cannot be a folder: {error.strerror}; name another"
        ) from None
    for what, place in (
        ("working directory", os.getcwd()),
        ("checkout of Distillery", plugins.LIBRARY.parent),
    ):
        if Path(os.path.realpath(place)).is_relative_to(os.path.realpath(path)):
            raise UserError(
                f"{where}: {path} is or holds the {what}, among whose files results would lie; "
                "name a folder of their own"
            )


def _check_finite(where: str, value: Any) -> None:
    """NaN is neither above nor below a limit, so no rule of the schema would refuse it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: must be a finite number, not {value}")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise UserError(
            f"{where}: must be below 2 to the power of 63, not "
            f"{value if abs(value) < 10**30 else 'a number of such length'}"
        )
    for key, item in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        _check_finite(_step(where, key), item)


def _step(where: str, key: object) -> str:
    """The place of an item, from the place of what holds it."""
    return (
        f"{where}[{key}]"
        if isinstance(key, int)
        else f"{where}: {key}"
        if where == "config"
        else f"{where}.{key}"
    )


# JSON knows no difference between 1 and 1.0; a path, such as ipc1, does.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def _fill_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    if isinstance(value, dict):
        for name, sub in schema.get("properties", {}).items():
            if "default" in sub and name not in value:
                value[name] = copy.deepcopy(sub["default"])
            if name in value:
                _fill_defaults(value[name], sub, root)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for name in value.keys() - schema.get("properties", {}).keys():
                _fill_defaults(value[name], extra, root)
        # In the schema's order, wherever a second config or a default put a key: Snakemake compares
        # params by their text.
        ordered = {
            name: value[name] for name in (*schema.get("properties", {}), *value) if name in value
        }
        value.clear()
        value.update(ordered)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            _fill_defaults(item, schema["items"], root)


def _validate(where: str, value: Any, schema: dict[str, Any], fill: bool = False) -> None:
    validator = _Validator(schema)
    if fill:
        _fill_defaults(value, schema, schema)
    errors = sorted(
        validator.iter_errors(value),
        key=lambda error: (len(error.absolute_path), str(error.absolute_path)),
    )
    if errors:
        raise UserError(_told(where, jsonschema.exceptions.best_match(errors) or errors[0]))


def _told(where: str, error: jsonschema.ValidationError) -> str:
    """One line about a schema error, in the user's words."""
    for step in error.absolute_path:
        where = _step(where, step)
    rule, limit, value = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        name = next(key for key in value if key not in known)
        return f"{where}: unknown key {name!r}; {plugins.hint(name, known)}known are {', '.join(known)}"
    if rule == "required":
        missing = next(key for key in limit if key not in value)
        return f"{where}: the key {missing!r} is missing"
    if rule == "anyOf":
        return f"{where}: must be {' or '.join(map(_wanted, limit))}, not {value!r}"
    if rule not in _WORDS:
        return f"{where}: {error.message}"
    if rule == "type" and limit == "integer" and not isinstance(value, bool):
        meant = number_in(value) if isinstance(value, str) else value
        if isinstance(meant, float) and meant.is_integer() and meant < 2**63:
            return f"{where}: must be a whole number: write {int(meant)}, not {value!r}"
    limit = (
        _TYPES.get(limit, limit)
        if isinstance(limit, str)
        else ", ".join(map(str, limit))
        if isinstance(limit, list)
        else limit
    )
    return f"{where}: {_WORDS[rule].format(limit)}, not {value!r}"


_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "a block of keys",
}
_WORDS = {
    "minimum": "must be {} or more",
    "exclusiveMinimum": "must be above {}",
    "maximum": "must be {} or less",
    "exclusiveMaximum": "must be below {}",
    "type": "must be {}",
    "enum": "must be one of {}",
    "minItems": "must not be empty",
    "minLength": "must not be empty",
    "pattern": "must match {}",
}


def _wanted(option: dict[str, Any]) -> str:
    """One of the forms that a value may have."""
    if "const" in option:
        return f"`{option['const']}`"
    limits = {"minimum": " of {} or more", "exclusiveMinimum": " above {}"}
    return _TYPES[option["type"]] + "".join(
        words.format(option[rule]) for rule, words in limits.items() if rule in option
    )
