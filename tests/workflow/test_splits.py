"""Which images a job may see: what it makes stays the same, bit by bit, whatever the images hold
that it must not see, and changes with those that it must.

The jobs are those that Snakemake plans for the study below: its inputs, outputs and params through
the real scripts, but all in this process, and each alone. Their dataset is made here, and written
again with the images of one of its parts replaced.
"""

import contextlib
import csv
import functools
import hashlib
import logging
import os
import pickle
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from distillery import plugins
from distillery.datasets.digits import SPEC
from distillery.images import dataset as data
from distillery.store import metrics

ROOT = Path(__file__).resolve().parents[2]
SHARE, SEED = 0.25, 7  # neither is the default
# Images of each class: held out, in the training set, in the test set. The sums of the first and
# the last are prime and no two classes have as many. The accuracy of a network that takes every
# image for one class therefore tells the class, and that each image was counted, and no other.
HELD = (3, 4, 5, 6, 7, 8, 9, 10, 11, 16)
TRAINING = tuple(4 * held + label % 4 for label, held in enumerate(HELD))
TEST = (5, 6, 7, 8, 9, 10, 11, 12, 13, 22)

STUDY = {
    "study": "Splits",
    "seed": SEED,
    "data": {"validation": SHARE},
    "compute": {"threads": 1, "precision": "float32", "compile": "off"},
    "networks": {"ConvNet": {"width": 8, "depth": 2}},
    "grid": [
        {"dataset": "digits", "method": "dc", "init": ["real", "noise"], "ipc": 2, "seed": [0, 1]},
        {"dataset": "digits", "method": "random", "init": "real", "ipc": 2, "seed": [0, 1]},
        {"dataset": "digits", "method": ["mtt", "mtt_plain"], "init": "real", "ipc": 2},
    ],
    "methods": {
        "dc": {"iterations": 2},
        "mtt": {
            "iterations": 2,
            "syn_steps": 2,
            "expert_epochs": 1,
            "max_start_epoch": 1,
            "lr_images": 1,
            "normalization": "zca",
        },
        "mtt_plain": {"of": "mtt", "normalization": "channel", "experts": "plain"},
    },
    "experts": {
        "default": {"number": 1, "shard": 1, "epochs": 2, "normalization": "zca"},
        "plain": {"number": 1, "shard": 1, "epochs": 2},
    },
    "snapshots": 2,
    "evaluate": {
        "networks": ["ConvNet"],
        "models": 2,
        "epochs": 3,
        "batch": 8,
        "curve": 1,
        "selection": {"models": 2},
        "robust": {"models": 2},
    },
    "vanilla": {"networks": ["ConvNet"], "epochs": 2, "batch": 32, "curve": 1},
    "continual": {
        "groups": 2,
        "epochs": 1,
        "afterwards_epochs": 1,
        "gdumb_epochs": 2,
        "memories": ["given", "per_step"],
        "batch": 32,
        "memory": {"method": ["dc", "mtt", "mtt_plain"]},
    },
    "privacy": {"models": 1, "tested": 100, "sets": {"method": ["dc"]}},
}

# Where results lie, below the study's folder.
DATASET = "data/digits/dataset.safetensors"
WHITENING = "data/digits/whitening.safetensors"
EXPERTS = "experts/digits/default/shard0"
VANILLA = "vanilla/digits/ConvNet"
DISTILLED = {
    "dc": "dc/real/ipc2/seed0",
    "dc from noise": "dc/noise/ipc2/seed0",
    "mtt, whitened": "mtt/real/ipc2/seed0",
}
SETS = {**DISTILLED, "random": "random/real/ipc2/seed0"}
CONTINUAL = {
    name: f"continual/digits/steps2/order0/{place}"
    for name, place in {
        "finetune": "finetune",
        "finetune, whitened": "finetune_zca",
        "joint": "joint",
        "replay": f"replay/given/{DISTILLED['dc']}",
        "replay, per step": f"replay/per_step/{DISTILLED['dc']}",
        "gdumb": f"gdumb/per_step/{DISTILLED['dc']}",
        "afterwards": f"afterwards/given/{DISTILLED['dc']}",
        "afterwards, whitened": f"afterwards/given/{DISTILLED['mtt, whitened']}",
    }.items()
}
# The part of a memory of the first step, and of the second; and the experts of each.
PARTS, PART_EXPERTS = (
    [f"{stage}/digits/steps2/order0/step{step}/{of}" for step in (0, 1)]
    for stage, of in (
        ("step_sets", DISTILLED["dc from noise"]),
        ("step_experts", "plain/shard0"),
    )
)


def made_at(cell: str) -> str:
    return f"synthetic/digits/{cell}"


def evaluated_at(cell: str) -> str:
    return f"evaluate/digits/{cell}/ConvNet"


def robust_at(cell: str) -> str:
    return f"robust/digits/{cell}"


def each(places: dict[str, str]):
    return pytest.mark.parametrize("place", places.values(), ids=places)


# ---- the jobs, and datasets that differ in one part -------------------------------------------

# In a process of its own, because Snakemake sets all of it up.
PLAN = """
import pickle, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.iocontainers import Snakemake
from snakemake.settings.types import ConfigSettings, DAGSettings, ResourceSettings

with SnakemakeApi() as api:
    study = ConfigSettings(configfiles=[Path("study.yaml")])
    planned = api.workflow(ResourceSettings(cores=1), study, snakefile=Path(sys.argv[1]))
    planned.dag(DAGSettings(forceall=True)).summary()
    jobs = []
    for job in planned._workflow.dag.jobs:
        if job.rule.script:
            rules = Path(job.rule.basedir.get_path_or_uri(secret_free=True))
            script = (rules / job.rule.script).resolve()
            given = Snakemake(
                job.input, job.output, job.params, job.wildcards, job.threads, job.resources,
                job.log, planned._workflow.config, job.rule.name, None, str(script.parent),
            )
            jobs.append((str(script), pickle.dumps(given)))
    Path("plan").write_bytes(pickle.dumps(jobs))
"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, environment) -> list[tuple[str, bytes]]:
    """Each job's script, and the pickled ``snakemake`` object that Snakemake would hand to it."""
    home = tmp_path_factory.mktemp("plan")
    (home / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PLAN, str(ROOT / "Snakefile")],
        cwd=home,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads((home / "plan").read_bytes())


# What tells measurements apart.
COLUMNS = tuple(name for name in metrics.COLUMNS if name != "value")


class Results:
    """The results of one dataset, each job in a folder of its own.

    Args:
        jobs: as the fixture gives them.
        before: whose sets, experts, whitening and finetuned networks are read, so that a job's
            dataset is all that differs; ``None`` for the first results, which read their own.
    """

    def __init__(self, folder: Path, jobs, arrays: data.Arrays, before: "Results | None"):
        self._folder, self._before, self._made, self._read = folder, before or self, {}, {}
        self._jobs = {output: job for job in jobs for output in pickle.loads(job[1]).output}
        folder.mkdir()
        data.write(arrays, folder / "dataset.safetensors")
        if before is None:
            self._made[f"results/{DATASET}"] = folder / "dataset.safetensors"

    def path(self, output: str) -> Path:
        """An output, made where it is not yet there."""
        if output not in self._made:
            self._run(*self._jobs[output])
        return self._made[output]

    def _run(self, script: str, pickled: bytes) -> None:
        job = pickle.loads(pickled)
        home = self._folder / Path(job.log[0]).with_suffix("")
        for place in (*job.input, *job.output, *job.log):
            (home / place).parent.mkdir(parents=True, exist_ok=True)
        for given in job.input:
            own = given == f"results/{DATASET}"
            found = self._folder / "dataset.safetensors" if own else self._before.path(given)
            shutil.copyfile(found, home / given)
        with contextlib.chdir(home), undone(), unplugged():
            try:
                runpy.run_path(script, {"snakemake": job}, "__main__")
            except SystemExit as error:
                raise AssertionError(f"{job.rule}: {Path(job.log[0]).read_text()}") from error
        self._made |= {output: home / output for output in job.output}

    def tensors(self, output: str) -> dict[str, torch.Tensor]:
        return load_file(self.path(f"results/{output}"))

    def made(self, place: str) -> dict[tuple, str]:
        """What lies at a place: of tensors and pictures the digest, of each measurement the value.

        Costs, which hold times, are left out, and the headers of tensors, which may hold digests
        of whole inputs.
        """
        if place not in self._read:
            self._read[place] = self._content(place)
        return self._read[place]

    def _content(self, place: str) -> dict[tuple, str]:
        found = {}
        for output in self._jobs:
            if not f"{output}/".startswith(f"results/{place}/") or output.endswith("cost.json"):
                continue
            path = self.path(output)
            if path.suffix == ".csv":
                with path.open(newline="") as file:
                    rows = csv.DictReader(line for line in file if not line.startswith("#"))
                    found |= {tuple(row[name] for name in COLUMNS): row["value"] for row in rows}
            elif path.suffix == ".safetensors":
                for name, tensor in load_file(path).items():
                    found[path.name, name] = hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
            else:
                found[path.name,] = hashlib.sha256(path.read_bytes()).hexdigest()
        assert found, f"no job makes {place}"
        return found


def column(measurement: tuple, name: str) -> str:
    return measurement[COLUMNS.index(name)]


def of(made, **columns: str) -> set[tuple]:
    """The measurements among what was made that have these columns."""
    rows = (found for found in made if len(found) == len(COLUMNS))
    return {row for row in rows if all(column(row, name) == columns[name] for name in columns)}


@contextlib.contextmanager
def unplugged():
    """No plug-in is imported yet: a job refuses to have run one that its code does not name."""
    places = tuple(f"distillery.{folder}." for folder in plugins.FOLDERS)
    found = {name: module for name, module in sys.modules.items() if name.startswith(places)}
    # What plug-ins share stays, as other modules of the library hold it; of methods, none does.
    found = {
        name: module
        for name, module in found.items()
        if "._" not in name or name.startswith("distillery.methods.")
    }
    for name in found:
        del sys.modules[name]
    try:
        yield
    finally:
        for name, module in found.items():
            package, _, child = name.rpartition(".")
            sys.modules[name] = module
            setattr(sys.modules[package], child, module)


@contextlib.contextmanager
def undone():
    """What a job sets in its process is set back. It computes on the CPU, which repeats bits."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads, debug = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    environment, paths = dict(os.environ), list(sys.path)
    log, raises = logging.getLogger("distillery"), logging.raiseExceptions
    propagate, level = log.propagate, log.level
    try:
        with mock.patch.object(torch.cuda, "is_available", lambda: False):
            yield
    finally:
        logging.captureWarnings(False)
        logging.raiseExceptions, log.propagate = raises, propagate
        log.setLevel(level)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = paths
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(debug)
        torch.utils.deterministic.fill_uninitialized_memory = fill
        for number, handler in handlers.items():
            signal.signal(number, handler)


@functools.cache
def dataset() -> data.Arrays:
    """Grey noise, brighter at a place of its class: learned in a few steps, and not wholly."""
    random = np.random.default_rng(0)

    def part(counts):
        labels = random.permutation(np.repeat(np.arange(10, dtype=np.uint8), counts))
        images = random.integers(0, 120, (len(labels), 1, 8, 8), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            top, left = label // 4 * 2, label % 4 * 2
            image[0, top : top + 3, left : left + 2] += 100
        return images, labels

    spec = {**SPEC, "train": sum(TRAINING), "test": sum(TEST), "smallest_class": min(TRAINING)}
    digests = dict.fromkeys(data.TENSORS, "")
    return data.Arrays(spec, *part(TRAINING), *part(TEST), "made", digests)


def rows() -> tuple[np.ndarray, np.ndarray]:
    """The training rows that are learned from, and those that are held out."""
    split = data.split(torch.from_numpy(dataset().train_labels).long(), SHARE, SEED)
    return split.train_index.numpy(), split.validation_index.numpy()


@pytest.fixture(scope="module")
def results(tmp_path_factory, jobs) -> dict[str, Results]:
    """``before``, and by their names those of datasets in which one part has other images.

    A job runs when its results are asked for.
    """
    home, (learned, held) = tmp_path_factory.mktemp("splits"), rows()
    train, test = dataset().train_images, dataset().test_images
    noise, same = train.copy(), train.copy()
    noise[learned] = np.random.default_rng(1).integers(0, 256, noise[learned].shape)
    same[held] = 255
    # A bit of its own for each row: a sum over rows says which they are.
    bits = np.zeros_like(train)
    for row, image in enumerate(bits.reshape(len(bits), -1)):
        image[row // 8] = 1 << row % 8
    first = np.isin(dataset().train_labels, range(5))
    replaced = {
        "before": {},
        "other first group": {"train_images": np.where(first[:, None, None, None], noise, train)},
        "other learned": {"train_images": noise},
        "one held out": {"train_images": same},
        "one test": {"test_images": np.full_like(test, 90)},
        "one held out and test": {"train_images": same, "test_images": np.full_like(test, 255)},
        "bits": {"train_images": bits},
    }
    found = {}
    for name, images in replaced.items():
        arrays = data.Arrays(**{**vars(dataset()), **images})
        found[name] = Results(home / name, jobs, arrays, found.get("before"))
    return found


@pytest.fixture
def moved(results):
    """Says what of a place is not as before, where the images of one part are others."""

    def moved(place: str, part: str) -> set[tuple]:
        before, after = results["before"].made(place), results[part].made(place)
        return {name for name in {**before, **after} if before.get(name) != after.get(name)}

    return moved


# ---- what is learned from ---------------------------------------------------------------------


@each({name: made_at(cell) for name, cell in SETS.items()})
def test_a_set_is_made_without_held_out_and_test_images(moved, place):
    assert moved(place, "one held out") == moved(place, "one test") == set()
    changed = moved(place, "other learned")
    assert {("synthetic.safetensors", "images"), ("evolution.safetensors", "images")} <= changed


@pytest.mark.parametrize(
    ("places", "made"),
    [
        (PARTS, ("synthetic.safetensors", "images")),
        (PART_EXPERTS, ("trajectories.safetensors", "trajectories")),
    ],
    ids=["set", "experts"],
)
def test_the_part_of_a_step_is_made_without_images_of_another_group(moved, places, made):
    assert moved(places[0], "other first group") == {made}
    assert moved(places[1], "other first group") == set()
    for place in places:
        assert moved(place, "one held out") == moved(place, "one test") == set()
        assert moved(place, "other learned") == {made}


def test_near_copies_are_looked_for_among_what_a_set_was_made_from(moved):
    place = f"privacy/digits/{DISTILLED['dc']}"
    assert moved(place, "one held out") == set()
    changed = moved(place, "other learned")
    assert ("neighbours.safetensors", "distances") in changed
    assert {column(row, "measure") for row in of(changed)} >= {"nearest_distance", "membership_auc"}
    tested = moved(place, "one test")
    assert ("neighbours.safetensors", "reference") in tested
    assert ("neighbours.safetensors", "distances") not in tested


def test_what_is_learned_from_a_memory_alone_sees_no_image(moved):
    gdumb = CONTINUAL["gdumb"]
    assert moved(gdumb, "other learned") == set() and moved(gdumb, "one test")


def test_experts_are_trained_without_held_out_and_test_images(moved):
    assert moved(EXPERTS, "one held out") == moved(EXPERTS, "one test") == set()
    changed = moved(EXPERTS, "other learned")
    assert ("trajectories.safetensors", "trajectories") in changed and of(changed, measure="loss")


def test_whitening_is_fitted_without_held_out_and_test_images(moved):
    assert moved(WHITENING, "one held out") == moved(WHITENING, "one test") == set()
    assert {name for _, name in moved(WHITENING, "other learned")} == {"mean", "vectors", "values"}


@pytest.mark.parametrize("cell", ["dc/real", "dc/noise", "random/real"])
def test_replicates_of_a_cell_start_from_other_images(results, cell):
    starts = []
    for seed in (0, 1):
        found = results["before"].tensors(f"{made_at(cell)}/ipc2/seed{seed}/evolution.safetensors")
        assert found["iterations"][0] == 0
        starts.append(found["images"][0])
    same = (starts[0] == starts[1]).flatten(1).all(1)
    # Two replicates may well draw one of a class's few real images alike.
    assert not same.any() if cell == "dc/noise" else same.float().mean() < 0.3


# ---- what is tested and chosen on -------------------------------------------------------------


@each({name: evaluated_at(cell) for name, cell in SETS.items()})
def test_a_set_is_judged_on_test_images_and_on_no_training_images(moved, results, place):
    judged = of(results["before"].made(place), split="test", selection="last")
    for measure in ("accuracy", "class_accuracy", "loss"):
        assert of(judged, measure=measure)
    assert judged & (moved(place, "other learned") | moved(place, "one held out")) == set()
    assert of(judged, measure="loss") <= moved(place, "one test")


@each({name: evaluated_at(cell) for name, cell in DISTILLED.items()})
def test_a_snapshot_is_chosen_on_held_out_images_alone(moved, results, place):
    judged = of(results["before"].made(place), split="validation")
    # And the final images, by which methods are chosen.
    assert {column(row, "selection") for row in judged} == {"snapshot", "last"}
    assert judged & (moved(place, "other learned") | moved(place, "one test")) == set()
    assert judged & moved(place, "one held out")
    # What it is worth on test images follows these, but not which it is.
    chosen = of(results["before"].made(place), selection="best_validation")
    assert chosen and chosen == of(results["one test"].made(place), selection="best_validation")


@pytest.mark.parametrize("cell", DISTILLED.values(), ids=DISTILLED)
def test_a_snapshot_is_chosen_on_the_images_that_its_making_never_saw(moved, results, cell):
    """On all of them: a network that takes them for one class is right on that class's share."""
    assert moved(made_at(cell), "one held out") == set()
    made = results["one held out and test"].made(evaluated_at(cell))
    judged = of(made, split="validation", measure="accuracy")
    assert judged
    for row in judged:
        same = ("measure", "model", "selection", "iteration", "epoch")
        alike = {name: column(row, name) for name in same}
        (tested,) = of(made, split="test", **alike)
        label = named(float(made[tested]), TEST)
        assert label is not None
        assert float(made[row]) == pytest.approx(HELD[label] / sum(HELD))


def test_networks_of_the_full_training_set_are_tested_on_what_they_never_saw(moved, results):
    made = results["before"].made(VANILLA)
    learning, losses = of(made, split="train"), of(made, split="test", measure="loss")
    assert learning and learning & moved(VANILLA, "one test") == set()
    assert learning <= moved(VANILLA, "other learned") & moved(VANILLA, "one held out")
    assert losses and losses <= moved(VANILLA, "one test")


@each(CONTINUAL)
def test_continual_learning_is_tested_on_what_it_never_saw(moved, results, place):
    made = results["before"].made(place)
    networks = {name for name in made if name[0] == "finetuned.safetensors"}
    assert bool(networks) == any(alone in place for alone in ("finetune", "joint"))
    assert networks & moved(place, "one test") == set()
    tested = of(made, split="test", measure="overall_accuracy")
    assert tested and tested & moved(place, "one test")


def test_random_images_of_the_robust_scores_are_those_that_distillation_may_see(moved, results):
    place = robust_at(DISTILLED["dc"])
    assert moved(place, "one held out") == set()
    changed = {column(row, "measure") for row in moved(place, "other learned")}
    measures = {column(row, "measure") for row in of(results["before"].made(place))}
    random = {measure for measure in measures if "random" in measure}
    assert changed and changed <= random < measures


# ---- how many images --------------------------------------------------------------------------

MEASURING = {
    **{f"evaluate {name}": evaluated_at(cell) for name, cell in SETS.items()},
    **{f"robust scores of {name}": robust_at(cell) for name, cell in DISTILLED.items()},
    "full training set": VANILLA,
    **CONTINUAL,
}


def named(accuracy: float, counts: tuple[int, ...]) -> int | None:
    """The class for which a network took every image, by how often it was right."""
    found = [c for c, count in enumerate(counts) if abs(accuracy - count / sum(counts)) < 1e-6]
    return found[0] if found else None


@each(MEASURING)
def test_every_test_image_is_counted_and_no_other(results, place):
    """All test images are one image here: each network takes them for one class."""
    made = results["one test"].made(place)
    tested = of(made, split="test")
    if "afterwards" in place:  # which brings measurements of the networks that it goes on from
        tested = of(tested, stage=str(STUDY["continual"]["groups"]))
    whole = [
        row
        for row in tested
        if column(row, "measure") == "overall_accuracy"
        or (column(row, "measure").startswith("accuracy") and not column(row, "group"))
    ]
    assert whole
    for row in whole:
        label = named(float(made[row]), TEST)
        assert label is not None, row
        alike = {name: column(row, name) for name in ("model", "selection", "stage")}
        if column(row, "measure") == "overall_accuracy":
            for group, first in ((0, 0), (1, 5)):
                (of_group,) = of(tested, measure="accuracy", group=str(group), **alike)
                share = TEST[label] / sum(TEST[first : first + 5]) * (label // 5 == group)
                assert float(made[of_group]) == pytest.approx(share)
        for by_class in of(tested, measure="class_accuracy", **alike):
            assert float(made[by_class]) == (int(column(by_class, "class")) == label)


# ---- the validation share ---------------------------------------------------------------------


def test_the_validation_share_is_taken_of_each_class_and_rounded_down(results):
    """Seen by the rows that are missing in the mean of a whitening."""
    labels = dataset().train_labels
    mean = results["bits"].tensors(WHITENING)["mean"].double().flatten()
    sums = (mean * 255 * (sum(TRAINING) - sum(HELD))).round().long().tolist()
    out = np.array([not sums[row // 8] >> row % 8 & 1 for row in range(len(labels))])
    assert np.bincount(labels[out], minlength=10).tolist() == list(HELD)
    assert list(HELD) == [int(SHARE * count) for count in TRAINING]
    learned, held = rows()
    assert np.flatnonzero(out).tolist() == held.tolist()
    assert np.flatnonzero(~out).tolist() == learned.tolist()


def test_every_job_of_a_study_holds_out_the_same_rows(moved):
    places = [WHITENING, EXPERTS, *map(made_at, SETS.values()), robust_at(DISTILLED["dc"])]
    assert [place for place in places if moved(place, "one held out")] == []
    assert [place for place in places if not moved(place, "other learned")] == []
    for place in map(evaluated_at, DISTILLED.values()):
        changed = moved(place, "one held out")
        chosen = {row for row in of(changed) if column(row, "selection") == "best_validation"}
        assert changed and changed - chosen == of(changed, split="validation")
        assert of(moved(place, "other learned")) == set()


def test_these_tests_know_every_rule_that_reads_a_dataset(jobs):
    """One that is added is to be tested here for the images that it may see."""
    found = {job.rule: job for job in (pickle.loads(pickled) for _, pickled in jobs)}
    readers = {name for name, job in found.items() if f"results/{DATASET}" in job.input}
    holding_out = {"whiten", "train_experts", "distill", "evaluate_synthetic", "evaluate_robust"}
    holding_out |= {"step_distill", "step_experts", "evaluate_privacy"}
    continual = {"continual_alone", "continual_whitened", "continual_memory"}
    assert readers == holding_out | continual | {"train_vanilla", "report"}
    shares = {name: job.params.get("validation") for name, job in found.items()}
    assert {name: share for name, share in shares.items() if share is not None} == dict.fromkeys(
        holding_out, SHARE
    )
