"""The first section: headlines and counts."""

import dataclasses

import pandas as pd
import pytest
import torch

from distillery import plugins
from distillery.sets.synthetic import SyntheticSet
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import (
    CUT_OFF,
    SETS,
    SETTLED,
    built,
    curve_of,
    dummy_images,
    header,
    headline,
    job,
    rows_of,
    section,
    text_of,
    three,
    training_rows,
)


def test_the_count_of_networks_says_which_networks_it_counts(page):
    # Networks of snapshots, of robust scores and the experts were trained too.
    assert "for the accuracy tables, each tested on all test images" in page


def test_headlines_say_how_many_sets_and_networks(page):
    assert "mean ± standard deviation over 2 sets, 3 networks each" in text_of(page)


@pytest.mark.slow
def test_a_share_of_the_full_training_set_stands_beside_its_accuracy_and_count(study, tmp_path):
    first, page = headline(study, tmp_path, SETS + curve_of(SETTLED, 0.97))
    assert "89.0 % of the 91.0 % (one network) that the full training set reaches" in first
    assert "Full training set: 91.0 % one network, so that its spread is not known" in first
    assert "still improving" not in page and "see the note" not in page
    second = [{**row, "model": 1, "value": 0.93} for row in curve_of(SETTLED, 0.97)[:1]]
    first, _ = headline(study, tmp_path, SETS + curve_of(SETTLED, 0.97) + second)
    assert "of the 92.0 ± 1.0 % (2 networks) that the full training set reaches" in first


@pytest.mark.slow
def test_a_network_trained_too_little_on_the_full_training_set_is_no_measure(study, tmp_path):
    first, page = headline(study, tmp_path, SETS + curve_of(CUT_OFF, 0.95))
    told = (
        "ConvNet on the full training set was still improving when its training ended: its test "
        "accuracy was 88.0 % after epoch 5 and "
        "90.8 % over the last quarter of 10 epochs (one network). It would reach more, so every "
        "share of it is too high."
    )
    assert told in first and "that the full training set reaches" not in first
    # The scorecard and the table still have the share, and the reason beside it.
    assert page.count(told) == 3 and "% of full training set see the note" in page
    first, _ = headline(study, tmp_path, SETS + curve_of(CUT_OFF, 0.995))
    assert "that the full training set reaches" in first, (
        "what fits its training images has converged"
    )
    first, _ = headline(study, tmp_path, SETS + rows_of("whole", "", {None: [0.91]}))
    assert (
        "had converged is not known" in first and "that the full training set reaches" not in first
    )


@pytest.mark.slow
def test_a_set_that_beats_the_full_training_set_is_no_share_of_it(study, tmp_path):
    first, page = headline(
        study, tmp_path, SETS + curve_of({2: 0.78, 5: 0.80, 8: 0.80, 10: 0.80}, 0.97)
    )
    told = (
        "DC, real images, 1 image per class and 1 other set reached more than ConvNet on the full "
        "training set (81.0 % against 80.0 %)"
    )
    assert (
        told in first
        and "that the full training set reaches" not in first
        and "% of full training set see the note" in page
    )
    first, _ = headline(study, tmp_path, SETS + curve_of(SETTLED, 0.97))
    assert "reached more than" not in first


@pytest.mark.slow
def test_the_best_is_said_to_be_the_best_of_so_many_and_of_which_it_is_not_shown_to_be(
    study, tmp_path
):
    first, _ = headline(study, tmp_path, SETS)
    how = "(paired t over the networks of one set each, Holm for 3 pairs)"
    counts = "mean ± standard deviation over 1 set, 3 networks"
    said = f"best of 2 by test accuracy; not significantly better than DC from Gaussian noise {how}"
    assert f"DC from real images at 1 image per class: 81.0 ± 0.8 % {counts} {said}" in first
    # 20, 19, 20: mean 19.67, deviation 0.577, reach 1.43.
    assert (
        "19.7 points above random images of the same size (95 % interval +18.2 to +21.1, 3 pairs "
        "of networks, 1 set)" in first
    )
    clear = three(("dc", "real"), ("random", "real"), ("dc", "noise"))[:3] + SETS[6:]
    first, _ = headline(study, tmp_path, clear)
    assert "significantly better than Random (paired t" in first and "best of" not in first
    # A coreset that is above the best distilled set is no less worth a word.
    worse = three(("random", "real"), ("herding", "real"), ("dc", "real"))
    first, _ = headline(study, tmp_path, worse)
    assert "significantly worse than" in first and "points below random images" in first


@pytest.mark.slow
def test_cells_with_one_network_each_have_no_spread_and_are_tested_against_nothing(study, tmp_path):
    cells = (
        ("dc", "real", 0.8),
        ("mtt", "real", 0.7),
        ("dc", "noise", 0.6),
        ("random", "real", 0.5),
    )
    rows = [row for method, init, value in cells for row in rows_of(method, init, {0: [value]})]
    first, page = headline(study, tmp_path, rows + curve_of(SETTLED, 0.97))
    said = (
        "best of 3 by test accuracy; not tested against any other, since one pair of networks "
        "shows no spread"
    )
    assert f"DC from real images at 1 image per class: 80.0 % one set, one network {said}" in first
    assert "30.0 points above random images of the same size (one pair of networks)" in first
    assert "Holm for" not in page and "significantly better than" not in first and "±" not in first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flops", "seconds", "said"),
    [
        (
            1e9,
            4,
            "takes 40 times fewer FLOPs (1 GFLOP instead of 40 GFLOP) and 5.0 times less time "
            "(2.0 s instead of 10 s a network; mean of 2 networks and of 2, tests included)",
        ),
        (
            80e9,
            60,
            "takes 2.0 times more FLOPs (80 GFLOP instead of 40 GFLOP) and 3.0 times more time "
            "(30 s instead of 10 s a network; ",
        ),
        (
            1e9,
            60,
            "takes 40 times fewer FLOPs (1 GFLOP instead of 40 GFLOP) and 3.0 times more time (30 "
            "s instead of 10 s",
        ),
        (
            40e9,
            20,
            "takes as many FLOPs (40 GFLOP instead of 40 GFLOP) and as much time (10 s instead of "
            "10 s a network",
        ),
    ],
)
def test_what_training_takes_is_said_whichever_way_it_falls_beside_the_measured_time(
    study, tmp_path, flops, seconds, said
):
    rows = (
        SETS
        + curve_of(SETTLED, 0.97)
        + training_rows("dc", "real", flops)
        + training_rows("whole", "", 40e9)
    )
    jobs = [job("evaluate_synthetic", seconds), job("train_vanilla", 20)]
    first, _ = headline(study, tmp_path, rows, costs=jobs)
    assert f"training on it {said}" in first
    _, cost = section(study, tmp_path, "cost", rows, costs=jobs)
    ratio = {1e9: "1 : 40", 80e9: "2.0 : 1", 40e9: "1 : 1.0"}[flops]
    assert ratio in cost and "nan" not in cost
    first, _ = headline(study, tmp_path, rows)
    assert "a time that was not measured" in first


@pytest.mark.slow
def test_accuracies_that_are_no_number_are_said_to_count_nowhere(study, tmp_path):
    lost = [{**SETS[0], "model": model, "value": float("nan")} for model in (8, 9)]
    noise = [{**row, "value": float("nan")} for row in SETS if row["init"] == "noise"]
    kept = [row for row in SETS if row["init"] != "noise"]
    first, _ = headline(study, tmp_path, kept + lost + noise)
    told = (
        "Test accuracies that are no number, and count nowhere: 2 of DC, real images, 1 image per "
        "class "
        "and 3 of DC, Gaussian noise, 1 image per class."
    )
    assert told in first and "best of" not in first
    assert "count nowhere" not in headline(study, tmp_path, SETS)[0]


@pytest.mark.slow
@pytest.mark.parametrize("networks", [1, 3])
def test_sets_that_reach_exactly_the_same_are_best_together(study, tmp_path, networks):
    names = (("dc", "real"), ("dc", "noise"), ("mtt", "real"), ("random", "real"))
    values = ([0.8, 0.7, 0.9], [0.9, 0.8, 0.7], [0.6, 0.5, 0.4], [0.7, 0.9, 0.8])
    same = [0.8, 0.8, 0.4, 0.8] if networks == 1 else None
    rows = [
        row
        for number, name in enumerate(names)
        for row in rows_of(*name, {0: [same[number]] if same else values[number]})
    ]
    first, _ = headline(study, tmp_path, rows)
    assert (
        "best of 3 by test accuracy, level with DC from " in first
        and "; significantly better" not in first
    )
    assert "0.0 points from random images of the same size" in first
    first, _ = headline(study, tmp_path, SETS)
    assert "level with" not in first


@pytest.mark.slow
def test_a_coreset_is_never_headlined_as_a_distilled_set(study, tmp_path, monkeypatch):
    """Neither one that a user's own file adds, nor a variant of ours."""
    known = plugins.methods()
    new = dataclasses.replace(
        known["herding"], name="nearest", module="nearest", title="Nearest", colour=None
    )
    monkeypatch.setattr(plugins, "methods", lambda: {**known, "nearest": new})
    rows = rows_of("dc", "real", {0: [0.7, 0.72]}) + rows_of("random", "real", {0: [0.5, 0.52]})
    for better in ("nearest", "half"):
        rows += rows_of(better, "real", {0: [0.9, 0.91]})
    half = {**header("MNIST", "half", "real", 1, 0), "of": "herding"}
    path = tmp_path / "half.safetensors"
    SyntheticSet(dummy_images("MNIST", "random", "real", 1, 0), torch.arange(10), None, half).save(
        path
    )
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    text = text_of(
        built(study, tmp_path / "r.html", metrics=metrics, sets=[path], evolutions=[], costs=[])
    )
    assert "DC from real images at 1 image per class: 71.0" in text
    assert "Nearest chosen real images" in text and "HALF chosen real images" in text
