"""What the scorecard says of each set, and where it says why it cannot."""

import re

import pandas as pd
import pytest

from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.sections import scorecard, verdict
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import rows_of
from tests.unit.report.sections.test_verdict import LEVELS, jobs, made, measured


def results_of(rows, costs=(), sets=(), config=None):
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    return Results(metrics, list(costs), list(sets), [], [], config, {})


def card_of(results, folder):
    card = scorecard.view(results, folder)
    assert card is not None
    return card, {line["cell"][1:3]: line for line in card["lines"]}


def test_a_set_stands_against_the_best_of_the_other_side_by_one_recipe(tmp_path):
    results = results_of(measured(LEVELS), jobs(LEVELS))
    _, lines = card_of(results, tmp_path)
    figure = lines["dc", "real"]["figures"]["opponent"]
    # Of three sets each: two networks of a set differ alike, so that the interval has no width.
    assert (figure.text, figure.note) == ("+20.0", "+20.0 to +20.0, n 3 × 2; Random")
    assert lines["mtt", "noise"]["figures"]["opponent"].text == "+15.0"
    # Real images stand against the distilled set that is best on validation images.
    assert lines["random", "real"]["figures"]["opponent"].text == "−20.0"
    assert lines["random", "real"]["figures"]["opponent"].note.endswith("DC, real images")
    assert [lines[key]["best"] for key in lines] == [True, False, False]


@pytest.mark.parametrize(
    ("rows", "costs", "why"),
    [
        (measured(LEVELS), [], "recipe not known"),
        (measured(LEVELS, validation=False), jobs(LEVELS), "no image held out to choose it by"),
        (measured(LEVELS), jobs(LEVELS, random={"epochs": 1}), "no opponent of its recipe"),
    ],
)
def test_where_there_is_no_opponent_the_reason_stands_in_its_place(tmp_path, rows, costs, why):
    _, lines = card_of(results_of(rows, costs), tmp_path)
    figure = lines["dc", "real"]["figures"]["opponent"]
    assert (figure.text, figure.note, figure.value) == ("", why, None)


def test_the_price_is_that_of_the_set_with_its_share_of_the_experts(tmp_path):
    cell = {"dataset": "MNIST", "method": "mtt", "init": "noise", "ipc": 1, "seed": 0}
    path = made("mtt", "noise", 0, tmp_path)  # its header names the experts' recipe
    expert = {"rule": "train_experts", "dataset": "MNIST", "recipe": "default", "seconds": 60}
    vanilla = {"rule": "train_vanilla", "dataset": "MNIST", "method": "whole"}
    costs = [
        *jobs(LEVELS, models=1),
        expert,
        {"rule": "distill", **cell, "seconds": 30.0},
        {**vanilla, "network": "ConvNet", "seconds": 22.0, "settings": {"models": 1}},
    ]
    rows = measured(LEVELS) + rows_of("whole", "", {None: [0.9]})
    card, lines = card_of(results_of(rows, costs, [path]), tmp_path)
    figures = lines["mtt", "noise"]["figures"]
    assert (figures["made"].text, figures["made"].note) == ("90 s", "60 s of it its experts")
    # 90 s ÷ (22 − 2) s of a training: 4.5.
    assert (figures["pays"].text, figures["pays"].value) == ("5", 5)
    assert figures["full"].text == "−33.0" and "1 network" in figures["full"].note
    assert lines["mtt", "noise"]["files"] == [{"name": "seed 0", "address": path.name}]
    # 28 × 28 images as float32, and a label of 8 bytes.
    assert figures["bytes"].text == "3 KiB" and lines["mtt", "noise"]["picture"]
    assert lines["dc", "real"]["figures"]["made"].text == ""
    assert lines["dc", "real"]["figures"]["made"].note == "not measured"
    assert "as memory, %" in card["empty"]


def test_every_accuracy_has_its_count_and_every_blank_a_reason(tmp_path):
    rows = measured(LEVELS) + rows_of("whole", "", {None: [0.9]})
    rows += [{**row, "network": "MLP"} for row in rows_of("dc", "real", {0: [0.5, 0.6]})]
    card, lines = card_of(results_of(rows, jobs(LEVELS)), tmp_path)
    for line in lines.values():
        assert re.fullmatch(r"n \d+ × \d+", line["figures"]["accuracy"].note)
        for key, figure in line["figures"].items():
            assert figure.text or figure.note, key
    others = lines["dc", "real"]["figures"]["others"]
    assert (others.text, others.note) == ("55.0 ± 5.0", "MLP, n 1 × 2")
    assert lines["mtt", "noise"]["figures"]["others"].note == "not measured"
    assert card["columns"][0].key == "accuracy"


def test_a_size_without_a_verdict_is_answered_by_its_best_distilled_set(tmp_path):
    for validation, answered in ((True, True), (False, False)):
        rows = measured(LEVELS, validation=validation) + rows_of("whole", "", {None: [0.95]})
        results = results_of(rows, jobs(LEVELS))
        card = scorecard.view(results, tmp_path)
        found = scorecard.answers(verdict.view(results), card)
        (line,) = found["lines"]
        assert bool(line["verdict"]) == answered and bool(line["best"]) != answered
        assert line["network"] == found["network"] == "ConvNet"
        assert line["full"] == "95.0 % (n 1 × 1)"
        if not answered:
            assert line["best"]["cell"] == Cell("MNIST", "dc", "real", 1) and line["among"] == 2


def test_an_answer_says_where_another_set_is_above_the_best_on_test_images(tmp_path):
    """A second size is answered without a remark in every case."""
    other = [{**row, "ipc": 10} for row in measured(LEVELS)]
    costs = jobs(LEVELS) + [{**job, "ipc": 10} for job in jobs(LEVELS)]
    rows = [
        {**row, "value": 0.1} if (row["method"], row["split"]) == ("dc", "validation") else row
        for row in measured(LEVELS)
    ]
    for first, above in ((measured(LEVELS), ""), (rows, "DC, real images 62.0 ± 1.3 %")):
        results = results_of(first + other, costs)
        found = scorecard.answers(verdict.view(results), scorecard.view(results, tmp_path))
        said = {line["size"]: line["verdict"] for line in found["lines"]}
        assert {size: one["ours"]["above"] for size, one in said.items()} == {"1": above, "10": ""}
        assert [one["theirs"]["above"] for one in said.values()] == ["", ""]
        assert found["above"] == bool(above), "for one line of two"


def test_more_sets_than_can_be_pictured_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(scorecard, "PICTURED", 1)
    sets = [made(method, init, 0, tmp_path) for method, init in LEVELS]
    card, lines = card_of(results_of(measured(LEVELS), jobs(LEVELS), sets), tmp_path)
    assert [bool(line["picture"]) for line in lines.values()] == [True, False, False]
    assert card["unpictured"] == 2
