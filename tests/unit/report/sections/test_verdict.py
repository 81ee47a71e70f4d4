"""What the page says of distillation against real images."""

import pandas as pd
import pytest
import torch

from distillery.sets.synthetic import SyntheticSet
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import built, header, rows_of, section

RECIPE = {"epochs": 300, "lr": 0.01, "augment": "dsa", "models": 2}
LEVELS = {("dc", "real"): 0.60, ("mtt", "noise"): 0.55, ("random", "real"): 0.40}
SEEDS = (0, 1, 2)


def measured(levels, seeds=SEEDS, validation=True):
    """Accuracies of two networks a set on test images, and on validation images."""
    rows = []
    for (method, init), value in levels.items():
        accuracies = {seed: [value + 0.01 * seed, value + 0.01 * seed + 0.02] for seed in seeds}
        rows += rows_of(method, init, accuracies)
        rows += [
            {**row, "split": "validation"}
            for row in rows_of(method, init, accuracies)
            if validation
        ]
    return rows


def jobs(levels, seeds=SEEDS, **changed):
    """The records of the evaluations, by the recipe or by others for some methods."""
    return [
        {
            "rule": "evaluate_synthetic",
            "dataset": "MNIST",
            "method": method,
            "init": init,
            "ipc": 1,
            "seed": seed,
            "network": "ConvNet",
            "seconds": 4,
            "settings": {**RECIPE, **changed.get(method, {})},
        }
        for method, init in levels
        for seed in seeds
    ]


def made(method, init, seed, folder, soft=False):
    """The file of a set: one image of each of ten classes."""
    labels = torch.eye(10) if soft else torch.arange(10)
    path = folder / f"{method}_{init}_{seed}.safetensors"
    SyntheticSet(
        torch.zeros(10, 1, 28, 28), labels, None, header("MNIST", method, init, 1, seed)
    ).save(path)
    return path


@pytest.mark.slow
def test_the_best_distilled_set_stands_against_the_best_real_images(study, tmp_path):
    costs = [
        *jobs(LEVELS),
        {
            "rule": "distill",
            **{"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1, "seed": 0},
            "seconds": 90,
        },
        {"rule": "train_vanilla", "dataset": "MNIST", "network": "ConvNet", "seconds": 32},
    ]
    sets = [made(method, init, 0, tmp_path) for method, init in LEVELS]
    rows, text = section(study, tmp_path, "verdict", measured(LEVELS), costs=costs, sets=sets)
    # The same networks everywhere: 20 points, and every pair the same.
    assert (
        "Distillation pays at 1 image per class, hard labels: the best distilled set, DC from real "
        "images, is 20.0 points above the best real images, Random (95 % interval +20.0 to +20.0, "
        "6 pairs of networks, 3 sets, over sets)." in text
    )
    # 90 s to make; a training takes 2 s instead of 32.
    assert (
        "Making the distilled set has paid after 3 trainings on it instead of on the full" in text
    )
    # 784 float32 and a label of 8 bytes for each class: 3144 bytes.
    assert rows[1:] == [
        "1 DC, real images 62.0 ± 1.3 Random 42.0 ± 1.3 +20.0 +20.0 to +20.0 pays "
        "3 KiB 3 KiB 90 s – 3 ConvNet, hard labels epochs 300, lr 0.01, augment dsa"
    ]


@pytest.mark.slow
def test_the_other_direction_is_said_as_plainly(study, tmp_path):
    levels = LEVELS | {("random", "real"): 0.8}
    _, text = section(study, tmp_path, "verdict", measured(levels), costs=jobs(levels))
    assert (
        "Distillation does not pay at 1 image per class, hard labels: the best real images, "
        "Random, are 20.0 points above the best distilled set, DC from real images" in text
    )


@pytest.mark.slow
def test_sets_that_are_level_are_said_to_be(study, tmp_path):
    levels = {("dc", "real"): 0.6, ("random", "real"): 0.6}
    _, text = section(study, tmp_path, "verdict", measured(levels), costs=jobs(levels))
    assert (
        "Not decided at 1 image per class, hard labels: the best distilled set, DC from real "
        "images, is level with the best real images, Random: not significant (95 % interval" in text
    )


@pytest.mark.slow
def test_one_set_each_is_said_to_be_of_these_sets_only(study, tmp_path):
    levels = {("dc", "real"): 0.6, ("random", "real"): 0.4}
    rows = measured(levels, seeds=(0,))
    _, text = section(study, tmp_path, "verdict", rows, costs=jobs(levels, (0,)))
    assert "1 set, over the networks of these two sets only" in text


@pytest.mark.slow
def test_the_choice_is_made_on_validation_images(study, tmp_path):
    rows = [
        {**row, "value": 0.1} if (row["method"], row["split"]) == ("dc", "validation") else row
        for row in measured(LEVELS)
    ]
    _, text = section(study, tmp_path, "verdict", rows, costs=jobs(LEVELS))
    assert "the best distilled set, MTT from Gaussian noise, is 15.0 points above" in text
    assert (
        "On the test images, by which nothing is chosen, DC from real images reaches "
        "62.0 ± 1.3 %, more than MTT from Gaussian noise." in text
    )


@pytest.mark.slow
def test_the_best_of_both_kinds_of_images_is_not_remarked_on(study, tmp_path):
    level = {("dc", "real"): 0.6, ("mtt", "noise"): 0.6002, ("random", "real"): 0.4}
    rows = [
        {**row, "value": 0.1} if (row["method"], row["split"]) == ("mtt", "validation") else row
        for row in measured(level)
    ]
    for case in (measured(LEVELS), rows):  # a difference that is not shown is none
        _, text = section(study, tmp_path, "verdict", case, costs=jobs(level))
        assert "the best distilled set, DC from real images" in text
        assert "by which nothing is chosen" not in text


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"epochs": 20}, {"lr": "learned"}, {"augment": "none"}])
def test_sets_trained_by_different_recipes_are_not_compared(study, tmp_path, change):
    costs = jobs(LEVELS, dc=change, mtt=change)
    rows, text = section(study, tmp_path, "verdict", measured(LEVELS), costs=costs)
    assert not rows and "points above" not in text
    assert (
        "Without an opponent that was trained by the same recipe under labels of the same kind, "
        "and so without a verdict: DC from real images and MTT from Gaussian noise (1 image per "
        "class, ConvNet, hard labels;" in text
    )


@pytest.mark.slow
def test_sets_with_soft_labels_are_not_compared_with_hard_ones(study, tmp_path):
    sets = [made(method, init, 0, tmp_path, soft=method == "dc") for method, init in LEVELS]
    rows, text = section(
        study, tmp_path, "verdict", measured(LEVELS), costs=jobs(LEVELS), sets=sets
    )
    assert len(rows) == 2 and "MTT, Gaussian noise" in rows[1]
    assert "DC from real images (1 image per class, ConvNet, soft labels;" in text


TEACHER = {"experts": "default", "number": 1, "epoch": "last", "temperature": 20.0}


def under(rows, labels, levels):
    """The rows of other labels: accuracies of the same networks, at other levels."""
    return [
        {**row, "measure": "accuracy_by_labels", "labels": labels, "value": levels[row["method"]]}
        for row in rows
    ]


@pytest.mark.slow
def test_each_kind_of_labels_has_a_verdict_of_its_own(study, tmp_path):
    """DC pays under its own hard labels; under one teacher the random images are better."""
    levels = {("dc", "real"): 0.60, ("random", "real"): 0.40}
    rows = [{**row, "labels": "hard"} for row in measured(levels)]
    more = {"labels": ["own", "teacher"], "teacher": TEACHER}
    costs = jobs(levels, dc=more, random=more)
    parameters = {"dataset": "MNIST", "network": "ConvNet", "measure": "parameters", "value": 4000}
    sets = [made(method, init, 0, tmp_path) for method, init in levels]
    lines, text = section(
        study,
        tmp_path,
        "verdict",
        [*rows, *under(rows, "teacher", {"dc": 0.5, "random": 0.7}), parameters],
        costs=costs,
        sets=sets,
    )
    assert "Distillation pays at 1 image per class, hard labels: the best distilled set" in text
    assert (
        "Distillation does not pay at 1 image per class, a teacher’s labels: the best real images, "
        "Random, are 20.0 points above" in text
    )
    hard, taught = lines[1:]
    assert "hard labels epochs 300, lr 0.01, augment dsa" in hard
    assert "teacher default, last epoch, temperature 20" in taught
    # 3136 bytes of pixels a class, and 8 of a label, or 1600 of the teacher's 4000 parameters.
    assert " 3 KiB 3 KiB" in hard and " 5 KiB 5 KiB" in taught


@pytest.mark.slow
def test_sets_under_different_teachers_are_not_compared(study, tmp_path):
    levels = {("dc", "real"): 0.60, ("random", "real"): 0.40}
    rows = [{**row, "labels": "teacher"} for row in measured(levels)]
    taught = {"labels": ["teacher"], "teacher": TEACHER}
    other = taught | {"teacher": {**TEACHER, "epoch": 3}}
    found, text = section(
        study, tmp_path, "verdict", rows, costs=jobs(levels, dc=taught, random=other)
    )
    assert not found and "without a verdict: DC from real images" in text
    found, _ = section(
        study, tmp_path, "verdict", rows, costs=jobs(levels, dc=taught, random=taught)
    )
    assert len(found) == 2


@pytest.mark.slow
def test_without_validation_images_there_is_no_verdict(study, tmp_path):
    rows, text = section(
        study, tmp_path, "verdict", measured(LEVELS, validation=False), costs=jobs(LEVELS)
    )
    assert not rows and "the best cannot be chosen without the test images" in text


@pytest.mark.slow
def test_a_study_of_one_side_alone_says_what_it_lacks(study, tmp_path):
    levels = {("random", "real"): 0.4}
    page = built(
        study,
        tmp_path / "r.html",
        metrics=measured_frame(levels),
        costs=jobs(levels),
        sets=[],
        evolutions=[],
    )
    assert 'id="verdict"' not in page, "no distilled set, no question"


def measured_frame(levels):
    return pd.DataFrame(measured(levels)).reindex(columns=list(COLUMNS))
