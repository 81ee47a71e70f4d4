"""A study: what the config asks for, checked, and the settings that each job reads. Imports no
torch: every job parses it."""

from collections.abc import Iterator, Mapping
from typing import Any

from distillery import limits, plugged, plugins
from distillery.datasets._listing import TRAIN, VALIDATION
from distillery.errors import UserError
from distillery.store import paths
from distillery.study import factories, folder, own, presets, reading, starts, trainings
from distillery.study.cells import Cell, expand
from distillery.study.overrides import listed, resolve
from distillery.vocabulary import TEACHER

# What evaluating a set reads beside the recipe, and no other job of the set does.
_OF_EVALUATION = frozenset({"models", "curve", "selection", "labels", "first", TEACHER})


class Study:
    """A config as it is meant, and what its jobs read of it. Whether its parts go together,
    :func:`distillery.study.load.study` checks.

    Args:
        config: as loaded from YAML; it is not changed.
        datasets: that the config may name beside those of the library, by name.

    Attributes:
        config: with a value for every key of its sections.
        methods, datasets, networks, augmentations: what is known by each name, the config's
            variants among the methods, and its own datasets.
        own: the config's own datasets.
        imported: the entries of imported sets, by name; starts: those of sets to start from.
        cells: the synthetic sets, in the order of the config.

    Raises:
        UserError: the config cannot be run; one line says where, what is wrong and what would be
            right.
    """

    def __init__(
        self, config: Mapping[str, Any], datasets: Mapping[str, plugins.Dataset] | None = None
    ) -> None:
        known = plugged.gather(reading.folders(config))
        config = presets.expanded(config, known.methods)
        self.augmentations = known.augmentations
        self.config = reading.sections(config, self.augmentations)
        reading.check_declared(known.methods.values(), known.networks.values())
        self.methods = known.methods | reading.variants(self.config["methods"], known.methods)
        self.own = own.read(self.config["datasets"], known.datasets)
        records = {name: each.record for name, each in self.own.items()}
        self.datasets = known.datasets | records | dict(datasets or {})
        factories.name_plainly(self.config)
        self.networks = known.networks | factories.read(self.config["networks"], known.networks)
        self.imported = {entry["name"]: entry for entry in self.config["imported"]}
        self.config["results"] = folder.results(self.config["results"])
        self.starts = starts.read(self.config)
        names = reading.names(
            self.datasets, (*self.methods, *self.imported), self.networks, self.starts
        )
        self.config["networks"] = reading.of_networks(self.config["networks"], self.networks)
        reading.check_networks(self.config, self.networks)
        reading.check_searched(self.config["search"], self.networks)
        self.config["methods"] = reading.of_methods(
            self.config["methods"], self.methods, self.config["experts"], names
        )
        reading.read_overrides(self.config, names, self.augmentations)
        self.cells = expand(self.config, self.datasets, self.methods)
        if not self.cells:
            raise UserError(
                "config: grid: has no block, and `imported` no set; a study has at least one of "
                "them"
            )

    @property
    def dataset_names(self) -> list[str]:
        """Return the datasets of the study, in the order of the config."""
        return list(dict.fromkeys(cell.dataset for cell in self.cells))

    def to_draw(self, dataset: str) -> tuple[int, int]:
        """Count the training images of a dataset's smallest class, and how many of a class are held
        out, so that the difference can be drawn of every class."""
        smallest = self.datasets[dataset].smallest_class
        share = self.config["data"]["validation"]
        own = self.own.get(dataset)
        if share and own is not None and own.plan.total(VALIDATION):
            return smallest, smallest - own.plan.smallest(TRAIN)
        return smallest, int(share * smallest)

    def validates(self, dataset: str) -> bool:
        """Return whether any image of a dataset is held out: of classes too small for it none
        is."""
        share, own = self.config["data"]["validation"], self.own.get(dataset)
        if own is None:
            # The largest class has as many, or more.
            spec = self.datasets[dataset]
            return int(share * -(-spec.train // len(spec.classes))) > 0
        if share and own.plan.total(VALIDATION):
            return True
        return any(int(share * counts[TRAIN]) for counts in own.plan.counts)

    def is_imported(self, method: str) -> bool:
        """Return whether a method's name is that of an imported set."""
        return method in self.imported

    def imported_files(self, name: str) -> list[str]:
        """Return the files that the imported set ``name`` is read from; of folders all that is in
        them."""
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

    def start_files(self, cell: Cell) -> list[str]:
        """Return the files of the set that ``cell`` starts from; none where it is no set."""
        entry = self.starts.get(cell.init)
        return [] if entry is None else starts.files(cell.init, entry)

    @property
    def started(self) -> list[tuple[str, str, str, int]]:
        """Return each start with a dataset and a space of images that it is for, and the most
        images per class."""
        most: dict[tuple[str, str, str], int] = {}
        for cell in self.cells:
            if cell.init in self.starts:
                key = cell.init, cell.dataset, self.normalization(cell)
                most[key] = max(cell.ipc, most.get(key, 0))
        return [(*key, ipc) for key, ipc in most.items()]

    def is_distilled(self, cell: Cell) -> bool:
        """Return whether a set is made by a method that learns its images."""
        return not self.is_imported(cell.method) and not self.methods[cell.method].is_coreset

    # ---- settings of one job ---------------------------------------------------------------------

    def _matched(self, cell: Cell, **more: Any) -> dict[str, Any]:
        """Return what an override's ``when`` is compared with: a variant goes by its own name and
        by that of its method."""
        names = (
            [cell.method]
            if self.is_imported(cell.method)
            else [cell.method, self.methods[cell.method].module]
        )
        return {**cell.__dict__, "method": names, **more}

    def _method_block(self, cell: Cell) -> dict[str, Any]:
        """Return the config's settings of ``cell``'s method: its block, or for a variant its
        method's and then its own; with the overrides that match."""
        settings: dict[str, Any] = {}
        for name in dict.fromkeys((self.methods[cell.method].module, cell.method)):
            settings |= resolve(
                self.config["methods"].get(name, {}), self._matched(cell), drop=("of",)
            )
        return settings

    def network(self, dataset: str, name: str) -> dict[str, Any]:
        """Return what ``networks.build`` needs: ``name``, ``channels``, ``size``, ``classes``,
        ``options``; of one from outside ``source`` too, and its ``factory`` and ``dropout``."""
        spec, network = self.datasets[dataset], self.networks[name]
        more: dict[str, Any] = {"source": network.source} if network.source else {}
        if network.factory:
            dropout = self.config["networks"][name]["dropout"] != "off"
            more |= {"factory": network.factory, "dropout": dropout}
        return {
            "name": name,
            "channels": spec.channels,
            "size": spec.size if isinstance(spec.size, int) else list(spec.size),
            "classes": len(spec.classes),
            "options": self.options(name, spec.size),
            **more,
        }

    def options(self, network: str, size: limits.Size = 32) -> dict[str, Any]:
        """Return a value for each option of a network, for images of a size; of a factory those
        that the config has."""
        if self.networks[network].factory:
            return dict(self.config["networks"][network]["options"])
        defaults = limits.defaults(self.networks[network].spec, size)
        return defaults | self.config["networks"].get(network, {})

    def method_settings(self, cell: Cell) -> dict[str, Any]:
        """Return every setting of ``cell``'s method: defaults, then the config's block, then the
        overrides that match the cell; and ``factor`` where a stored image holds several."""
        method, factor = self.methods[cell.method], self.factor(cell)
        settings = {name: schema["default"] for name, schema in method.settings.items()}
        settings.update(self._method_block(cell))
        return {
            name: value
            for name, value in settings.items()
            if name != "experts" and name not in reading.common(method)
        } | ({"factor": factor} if factor != 1 else {})

    def learns(self, cell: Cell) -> bool:
        """Return whether ``cell``'s set is made from experts."""
        return self.methods[cell.method].learns(self.method_settings(cell))

    def normalization(self, cell: Cell) -> str:
        """Return the space that ``cell``'s images live in: ``channel`` (mean and standard deviation
        of each channel) or ``zca`` (whitened)."""
        if self.is_imported(cell.method):
            return "zca" if self.imported[cell.method].get("normalization") == "zca" else "channel"
        default = reading.COMMON["normalization"]["default"]
        return self._method_block(cell).get("normalization", default)

    def factor(self, cell: Cell) -> int:
        """Return how many images one of ``cell``'s stored images holds on a side."""
        if self.is_imported(cell.method) or not self.methods[cell.method].factored:
            return 1
        return self._method_block(cell).get("factor", reading.FACTOR["factor"]["default"])

    def seen_ipc(self, cell: Cell) -> int:
        """Return how many images per class are trained on."""
        return cell.ipc * self.factor(cell) ** 2

    def protocol(self, cell: Cell) -> dict[str, Any]:
        """Return how networks are trained on the sets of ``cell``'s method where it was published:
        what a set's header says, whatever this study does."""
        return resolve(self.methods[cell.method].protocol, self._matched(cell))

    def recipe(self, cell: Cell) -> str:
        """Return the name of the expert recipe that ``cell``'s method learns from."""
        return self._method_block(cell).get("experts", "default")

    def experts(self, dataset: str, recipe: str) -> dict[str, Any]:
        """Return the resolved settings of an expert recipe on a dataset."""
        return resolve(self.config["experts"][recipe], {"dataset": dataset})

    def shards(self, dataset: str, recipe: str) -> list[list[int]]:
        """Return the experts' numbers in each shard."""
        settings = self.experts(dataset, recipe)
        numbers = range(settings["number"])
        return [
            list(numbers[i : i + settings["shard"]])
            for i in range(0, len(numbers), settings["shard"])
        ]

    def evaluation(self, cell: Cell, network: str) -> dict[str, Any]:
        """Return how a set is evaluated on a network."""
        settings = resolve(
            self.config["evaluate"], self._matched(cell, network=network), drop=("networks",)
        )
        settings.pop("robust")  # a job of its own
        settings["labels"] = list(dict.fromkeys(settings["labels"]))
        # A set of no more has no part that is smaller.
        settings["first"] = sorted({n for n in listed(settings["first"]) if n < cell.ipc})
        _complete_teacher(settings)
        selection = settings.pop("selection")
        chosen = network == self.config["network"] and self.is_distilled(cell)
        # With nothing held out there is nothing to select by.
        settings["selection"] = (
            selection
            if chosen and selection["models"] and self.config["data"]["validation"]
            else None
        )
        return settings

    def robust(self, cell: Cell) -> dict[str, Any] | None:
        """Return how the robust scores of a set are measured, on the distillation network: its
        evaluation's recipe, and ``robust``. ``None``: not at all."""
        settings = resolve(
            self.config["evaluate"],
            self._matched(cell, network=self.config["network"]),
            drop=("networks",),
        )
        if not settings["robust"]["models"] or not (
            self.is_distilled(cell) or self.is_imported(cell.method)
        ):
            return None
        return {key: value for key, value in settings.items() if key not in _OF_EVALUATION}

    def privacy(self, cell: Cell) -> dict[str, Any] | None:
        """Return how it is measured what a set gives away, on the distillation network: its
        evaluation's recipe, and ``models`` and ``tested``. ``None``: not at all."""
        wanted = self.config["privacy"]
        if not wanted["models"] or not cell.among(wanted["sets"]):
            return None
        recipe = self.evaluation(cell, self.config["network"])
        own = {name: wanted[name] for name in ("models", "tested")}
        return {k: v for k, v in recipe.items() if k not in _OF_EVALUATION} | own

    def evaluation_networks(self, dataset: str) -> list[str]:
        """Return the networks that this dataset's sets are evaluated on: those of
        ``evaluate.networks`` that its images are large enough for."""
        return [name for name in self.config["evaluate"]["networks"] if self.fits(dataset, name)]

    def vanilla(self, dataset: str, network: str) -> dict[str, Any]:
        """Return how networks are trained on the full training set of a dataset."""
        settings = resolve(
            self.config["vanilla"], {"dataset": dataset, "network": network}, drop=("networks",)
        )
        _complete_teacher(settings)
        return settings

    def teachers(self, dataset: str) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Return each teacher that networks learn from on a dataset: where the config asks for it,
        its settings, and the space of the images that it labels."""
        for network in self.evaluation_networks(dataset):
            for cell in self.cells:
                settings = self.evaluation(cell, network) if cell.dataset == dataset else {}
                if TEACHER in settings:
                    yield "evaluate", settings[TEACHER], self.normalization(cell)
        for network in self.vanilla_networks(dataset):
            settings = self.vanilla(dataset, network)
            if TEACHER in settings:
                yield "vanilla", settings[TEACHER], "channel"

    def vanilla_networks(self, dataset: str) -> list[str]:
        """Return the networks that are trained on a dataset: those its images are large enough
        for."""
        return [name for name in self.config["vanilla"]["networks"] if self.fits(dataset, name)]

    def continual(self, dataset: str) -> dict[str, Any]:
        """Return how the classes of a dataset are learned in groups."""
        return resolve(
            self.config["continual"],
            {"dataset": dataset},
            drop=("datasets", "strategies", "memory", "memories"),
        )

    @property
    def continual_datasets(self) -> list[str]:
        """Return the datasets that are learned continually."""
        wanted = self.config["continual"]["datasets"]
        return [name for name in self.dataset_names if wanted == "all" or name in wanted]

    def memories(self, dataset: str) -> list[Cell]:
        """Return the sets that continual learning replays from."""
        wanted = self.config["continual"]["memory"]
        return [cell for cell in self.cells if cell.dataset == dataset and cell.among(wanted)]

    @property
    def strategies(self) -> list[str]:
        """Return the strategies of continual learning."""
        return list(self.config["continual"]["strategies"])

    @property
    def memory_kinds(self) -> list[str]:
        """Return how the memories of continual learning come about."""
        return list(self.config["continual"]["memories"])

    @property
    def search_datasets(self) -> list[str]:
        """Return the datasets on which networks are searched for."""
        wanted = self.config["search"]["datasets"]
        return [name for name in self.dataset_names if wanted == "all" or name in wanted]

    # ---- images and networks ---------------------------------------------------------------------

    def networks_on(self, dataset: str) -> list[str]:
        """Return the networks that meet the images of a dataset, those that meet them twice
        twice."""
        names = [*self.evaluation_networks(dataset), *self.vanilla_networks(dataset)]
        cells = [cell for cell in self.cells if cell.dataset == dataset]
        if any(
            self.robust(cell)
            or self.privacy(cell)
            or (not self.is_imported(cell.method) and self.methods[cell.method].needs_network)
            for cell in cells
        ):
            names.append(self.config["network"])
        if dataset in self.continual_datasets:
            names.append(self.continual(dataset)["network"])
        if dataset in self.search_datasets:
            names.append(self.config["search"]["network"])
        return names

    def needs_embedding(self, cell: Cell) -> bool:
        """Return whether ``cell``'s method asks the network for embeddings."""
        return self.methods[cell.method].embeds(self.method_settings(cell))

    def fits(self, dataset: str, network: str) -> bool:
        """Return whether a dataset's images are large enough for a network, as the config has
        it."""
        return self.too_small(dataset, network) is None

    def too_small(self, dataset: str, network: str) -> str | None:
        """Return why a dataset's images are too small for a network; ``None`` where they are
        not."""
        size = self.datasets[dataset].size
        return limits.too_small(self.networks[network].spec, self.options(network, size), size)


def _complete_teacher(settings: dict[str, Any]) -> None:
    """Give the settings of a training every key of its teacher, or none where it has no teacher."""
    named = settings.pop(TEACHER, {})
    if TEACHER in listed(settings["labels"]):
        settings[TEACHER] = trainings.Teacher().model_dump() | named
