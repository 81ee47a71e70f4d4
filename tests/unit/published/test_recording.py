"""The record of a study tells what its results folder measured."""

import json
import shutil
import statistics

import pytest

from distillery import vocabulary
from distillery.errors import UserError
from distillery.published import document, records
from distillery.published.recording import record
from distillery.store import artefact, measurements
from distillery.store.files import write_text
from tests.unit.published.studies import (
    BEST,
    COMMAND,
    DC,
    FIRST,
    MTT,
    SECOND,
    cell_of,
    full,
    row_of,
)


@pytest.mark.slow
def test_a_record_keeps_every_final_accuracy_of_every_set_by_selection(study):
    found = full(study)
    dc = cell_of(found, "MNIST", "dc", 10)
    assert [one.seed for one in dc.sets] == [0, 1]
    assert [one.accuracies for one in dc.sets] == [
        {"last": pytest.approx(FIRST)},
        {"last": pytest.approx(SECOND)},
    ]
    mtt = cell_of(found, "CIFAR10", "mtt", 10)
    assert mtt.sets[0].accuracies == {"last": [40.0, 41.0], **BEST}
    assert cell_of(found, "MNIST", "whole", None).sets[0].accuracies == {"last": [99.0, 99.2]}


@pytest.mark.slow
def test_a_record_tells_settings_experts_times_and_where_it_ran(study):
    found = full(study)
    dc, mtt = cell_of(found, "MNIST", "dc", 10), cell_of(found, "CIFAR10", "mtt", 10)
    assert dc.settings == DC and dc.evaluation["epochs"] == 1000 and dc.experts is None
    assert [one.set.seconds for one in dc.sets] == [100, 120]
    assert dc.sets[0].evaluation.seconds == 50
    context = dc.sets[1].set.context
    assert (context["device_name"], context["threads"], context["torch"], context["code"]) == (
        "A processor",
        2,
        "2.14.1+cpu",
        "dist",
    )
    assert (context["commit"], context["changed"], context["distillery"]) == (
        "0123456789abcdef",
        True,
        "0.1.0",
    )
    assert (mtt.experts["number"], mtt.experts["epochs"], mtt.experts["seconds"]) == (
        2,
        3,
        80,
    )
    assert found.command == COMMAND


def test_an_unfinished_study_gives_what_exists(study):
    study.set("dc", "real", 10, 0, DC)
    study.set("dc", "real", 10, 1, DC)
    study.evaluation("dc", "real", 10, 0, FIRST)
    (study.folder / "evaluate/MNIST/dc/real/ipc10/seed1/ConvNet").mkdir(parents=True)
    found = record(study.folder, COMMAND)
    assert [one.seed for one in cell_of(found, "MNIST", "dc", 10).sets] == [
        0
    ] and found.left_out == 0


@pytest.mark.slow
def test_an_evaluation_of_a_set_that_is_no_more_is_left_out(study):
    for seed, minute in enumerate(
        (40, 10)
    ):  # the first set was re-created, after its evaluation at minute 30
        study.set("dc", "real", 10, seed, DC, minute=minute)
        study.evaluation("dc", "real", 10, seed, FIRST)
    study.evaluation("dc", "real", 10, 2, FIRST)
    found = record(study.folder, COMMAND)
    assert [one.seed for one in cell_of(found, "MNIST", "dc", 10).sets] == [
        1
    ] and found.left_out == 2


def test_sets_of_other_settings_are_never_averaged(study):
    for seed in (0, 1):
        study.set("dc", "real", 10, seed, {**DC, "iterations": 1000 - seed})
        study.evaluation("dc", "real", 10, seed, FIRST)
    found = record(study.folder, COMMAND)
    assert sorted((cell.settings["iterations"], len(cell.sets)) for cell in found.cells) == [
        (999, 1),
        (1000, 1),
    ]


@pytest.mark.slow
def test_experts_are_those_that_a_set_says_it_has_read(study):
    study.experts(0, [0, 1])
    study.set("mtt", "real", 10, 0, MTT, experts=study.experts(1, [2]))
    study.evaluation("mtt", "real", 10, 0, [80.0])
    study.experts(0, range(50), recipe="other", epochs=9)  # which another set reads
    found = cell_of(record(study.folder, COMMAND), "MNIST", "mtt", 10).experts
    assert found == {
        "recipe": "default",
        "number": 3,
        "epochs": 3,
        "settings": {"epochs": 3, "lr": 0.01},
        "seconds": 80.0,
    }
    # Where a shard is no more, nobody knows what it took.
    shutil.rmtree(study.folder / "experts/MNIST/default/shard1")
    without = record(study.folder, COMMAND)
    assert "seconds" not in cell_of(without, "MNIST", "mtt", 10).experts
    assert (
        row_of(document.render({"mine": without}), "MNIST", "mtt", 10)["time"]
        == "100 s a set, 50 s evaluation"
    )


def test_an_evaluation_of_a_set_that_was_replaced_is_left_out_whatever_the_clocks_say(study):
    for seed in (0, 1):
        study.set("dc", "real", 10, seed, DC)
        digest = artefact.header(
            study.folder / f"synthetic/MNIST/dc/real/ipc10/seed{seed}/synthetic.safetensors",
            rule=None,
        )["sha256"]
        study.evaluation(
            "dc",
            "real",
            10,
            seed,
            FIRST,
            inputs={"synthetic": [digest if seed else "another"]},
            minute=5,
        )
    found = record(study.folder, COMMAND)
    assert [one.seed for one in cell_of(found, "MNIST", "dc", 10).sets] == [
        1
    ] and found.left_out == 1


def test_a_folder_with_nothing_to_record_is_refused(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        record(tmp_path / "nowhere", COMMAND)
    with pytest.raises(UserError, match="holds no measured set"):
        record(tmp_path, COMMAND)
    write_text(tmp_path / "evaluate/cost.json", "[]")
    with pytest.raises(UserError, match=r"cost\.json: is not a cost record"):
        record(tmp_path, COMMAND)


@pytest.mark.slow
def test_every_strategy_has_its_place_and_the_means_are_the_reports(study):
    assert set(records.STRATEGIES) == set(vocabulary.STRATEGIES)
    dc = cell_of(full(study), "MNIST", "dc", 10)
    summary = measurements.summarise(
        measurements.read_metrics(sorted((study.folder / "evaluate/MNIST/dc").rglob("metrics.csv")))
    )
    values = [value for one in dc.sets for value in one.accuracies["last"]]
    assert [100 * summary["mean"].item(), 100 * summary["std"].item()] == pytest.approx(
        [statistics.fmean(values), statistics.pstdev(values)]
    )


def test_what_was_learned_continually_is_recorded_under_either_name_of_its_rule(study):
    study.continual("finetune", [49.0, 47.0])
    study.continual("joint", [90.0, 95.0])
    finetune = study.folder / "continual/MNIST/steps2/order0/finetune"
    now = record(study.folder, COMMAND)
    assert {cell.strategy for cell in now.cells} == {"finetune", "joint"}
    for path in study.folder.rglob("cost.json"):
        path.write_text(path.read_text().replace("continual_alone", "continual"))
    assert record(study.folder, COMMAND) == now
    # The networks that a whitened memory trains further are measured by what it makes of them.
    shutil.copytree(finetune, finetune.with_name("finetune_zca"))
    path = finetune.with_name("finetune_zca") / "cost.json"
    whitened = {**json.loads(path.read_text()), "inputs": {"whitening": ["0"]}}
    path.write_text(json.dumps(whitened))
    assert record(study.folder, COMMAND) == now
