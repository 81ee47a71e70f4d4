"""The accuracy tables."""

import re

import pandas as pd
import pytest

from distillery.store import measurements
from tests.unit.report.made import built, only, rows_of, section, text_of


@pytest.mark.slow
def test_the_score_in_validation_is_that_of_the_snapshot_which_was_chosen(study, page):
    rows = measurements.read_metrics(study["metrics"])
    where = (
        (rows["dataset"] == "MNIST")
        & (rows["method"] == "dc")
        & (rows["init"] == "noise")
        & (rows["ipc"] == 1)
    )
    snapshots = rows[
        where
        & (rows["selection"] == "snapshot")
        & (rows["split"] == "validation")
        & (rows["iteration"] == 90)
    ]
    found = measurements.summarise(rows[where & (rows["network"] == "ConvNet")])
    held = only(found, found["selection"] == "held_out").iloc[0]
    assert (
        held["mean"] == pytest.approx(snapshots["value"].mean())
        and held["count"] == len(snapshots) > 1
    )
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = next(
        r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "DC" in r and "Gaussian noise" in r
    )
    assert "its score in validation" in text_of(table) and f"{100 * held['mean']:.2f}" in text_of(
        row
    )


@pytest.mark.slow
def test_table_shows_mean_deviation_gain_and_share(study, page):
    found = measurements.summarise(measurements.read_metrics(study["metrics"]))

    def mean(method, init, ipc):
        rows = only(
            found,
            found["dataset"] == "MNIST",
            found["network"] == "ConvNet",
            found["selection"] == "last",
            found["method"] == method,
            found["init"] == init,
            found["ipc"].isna() if ipc is None else found["ipc"] == ipc,
        )
        return rows.iloc[0]

    ours, random, whole = mean("dc", "real", 1), mean("random", "real", 1), mean("whole", "", None)
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = text_of(
        next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "DC" in r and "real images" in r)
    )
    assert f"{100 * ours['mean']:.2f} ± {100 * ours['std']:.2f}" in row
    assert f"+{100 * (ours['mean'] - random['mean']):.2f}" in row
    assert f"{100 * ours['mean'] / whole['mean']:.1f}" in row
    assert "91.7 ± 0.5" in row, "the published figure stands beside"
    assert "2 × 3" in row and "best on validation n 2 × 2" in text_of(table)
    gain = 100 * (ours["mean"] - random["mean"])
    assert f"{gain:.1f} points above random images of the same size" in text_of(page)


def test_course_project_figures_stand_beside(page):
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    table = text_of(table[: table.index("</table>")])
    assert "83.27" in table and "81.96" in table and "99.41" in table
    assert "48.25" in text_of(page) and "76.25" in text_of(page)


def test_unconfirmed_figures_are_marked(page):
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    row = next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if "Herding" in r)
    assert "89.2 ± 1.6" in row and "unconfirmed" in row
    row = next(r for r in re.findall(r"(?s)<tr.*?</tr>", table) if ">DC<" in r or "DC<span" in r)
    assert "unconfirmed" not in row


@pytest.mark.slow
def test_a_selection_that_chose_the_final_images_is_said_to_hold_them(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.8, 0.8, 0.7]}) + rows_of(
        "random", "real", {0: [0.5, 0.5, 0.5]}
    )

    def chosen(at):
        row = {**rows[0], "selection": "snapshot", "value": 0.8}
        snapshots = [
            {**row, "split": s, "iteration": i}
            for i in (0, 50, 100)
            for s in ("validation", "test")
        ]
        return [*snapshots, {**rows[0], "selection": "best_validation", "iteration": at}]

    _, text = section(study, tmp_path, "accuracy", rows + chosen(100))
    assert "n 1 × 1 the final images" in text or "80.00 the final images" in text
    _, text = section(study, tmp_path, "accuracy", rows + chosen(50))
    assert "80.00 the final images" not in text and "n 1 × 1 the final images" not in text


@pytest.mark.slow
def test_imported_sets_have_rows_of_their_own(part, tmp_path):
    rows = part["metrics"]
    extra = rows[(rows["method"] == "dc") & (rows["init"] == "real")].copy()
    extra["init"], extra["method"] = "imported", "released"
    page = built(part, tmp_path / "r.html", metrics=pd.concat([rows, extra]))
    table = page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :]
    assert any("released" in r and "imported" in r for r in re.findall(r"(?s)<tr.*?</tr>", table))
