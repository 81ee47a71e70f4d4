"""What jobs, sets and trainings took."""

import pandas as pd
import pytest

from distillery.report.sections import cost
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import (
    SETTLED,
    THREE,
    built,
    curve_of,
    job,
    learned_from,
    rows_of,
    text_of,
)


def test_flops_ratio(page):
    # 60000 images for 20 epochs against 10 images for 300.
    assert "1 : 400" in text_of(page)
    assert "takes 400 times fewer FLOPs (" in text_of(page)


@pytest.mark.slow
def test_making_a_set_includes_its_share_of_the_experts_and_says_when_it_has_paid(study, tmp_path):
    rows = [
        row
        for method in ("mtt", "tesla", "dc")
        for row in rows_of(method, "real", {0: THREE[0], 1: THREE[1]})
    ]
    jobs = [
        job("distill", 100.0, "mtt", seed=0),
        job("distill", 140.0, "mtt", seed=1),
        job("distill", 60.0, "tesla"),
        job("distill", 30.0, "dc"),
    ]
    experts = {"rule": "train_experts", "dataset": "MNIST", "network": "ConvNet"}
    jobs += [
        {**experts, "recipe": "default", "seconds": 200.0},
        {**experts, "recipe": "default", "seconds": 160.0},
    ]
    jobs += [
        {**experts, "recipe": "few", "seconds": 1000.0},
        {**experts, "dataset": "CIFAR10", "recipe": "default", "seconds": 5000.0},
    ]
    # Two networks a job: 4 s, 4 s, 11 s and on the full training set 10 s each.
    jobs += [
        job("evaluate_synthetic", seconds, method)
        for method, seconds in (("mtt", 8), ("tesla", 8), ("dc", 22))
    ] + [job("train_vanilla", 20)]
    sets = learned_from(
        study,
        tmp_path,
        {("mtt", 0): "default", ("mtt", 1): "default", ("tesla", 0): "default", ("dc", 0): None},
    )
    metrics = pd.DataFrame(rows + curve_of(SETTLED, 0.97)).reindex(columns=list(COLUMNS))
    page = text_of(
        built(study, tmp_path / "r.html", metrics=metrics, sets=sets, evolutions=[], costs=jobs)
    )
    # 360 s of experts for three sets; of MTT (100 + 140) / 2 = 120, with 120 of experts 240, in all
    # 480; it saves 6 s a training.
    assert (
        "MTT, real images MNIST 1 image per class 100 2 min ± 20 s 2 1.2 s 2 min (1 of 3 of 6 min) "
        "4 min" in page
    )
    assert (
        "MTT, real images 1 image per class 4 min 8 min with all experts 40 80 with all experts "
        "4.0 s instead of 10 s" in page
    )
    assert (
        "TESLA, real images 1 image per class 3 min 7 min with all experts 30 70 with all experts "
        "4.0 s instead of 10 s" in page
    )
    assert "DC, real images 1 image per class 30 s never 11 s instead of 10 s" in page
    first, _ = page.split("Full training set:", 1)
    assert (
        "making it took 30 s, which never pays in time: a training on it is no faster" in first
        or "as its share of the experts" in first
    )
    # Without a record of the experts their time is not known, and nothing is said to have paid.
    alone = [cost for cost in jobs if cost["rule"] != "train_experts"]
    page = text_of(
        built(study, tmp_path / "r.html", metrics=metrics, sets=sets, evolutions=[], costs=alone)
    )
    assert (
        "MTT, real images 1 image per class not known – 4.0 s instead of 10 s" in page
        and "never" in page
    )


@pytest.mark.slow
def test_real_images_that_are_chosen_took_no_iterations(study, tmp_path):
    rows = [row for method in ("random", "dc") for row in rows_of(method, "real", {0: THREE[0]})]
    metrics = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    none = {"settings": {"models": 2, "iterations": 0}}
    for costs in ([job("distill", 1.5, "random", **none)], [job("distill", 1.5, "random")]):
        changes = {"metrics": metrics, "sets": [], "evolutions": [], "costs": costs}
        page = text_of(built(study, tmp_path / "r.html", **changes))
        iterations = costs[0]["settings"]["iterations"]
        took, each = (str(iterations), "0.015 s") if iterations else ("–", "–")
        assert f"Random MNIST 1 image per class {took} 1.5 s 1 {each} – 1.5 s" in page


def test_energy_that_no_job_measured_is_said_to_be_so():
    jobs = (("distill", None), ("evaluate", 2e3), ("evaluate", None), ("collect", 5.0))
    costs = [{"rule": rule, "seconds": 1.0, "energy_joules": energy} for rule, energy in jobs]
    told = {line["rule"]: line["energy"] for line in cost.rules(costs)}
    assert told["distill"] == "not measured"
    assert told["evaluate"].endswith(" (1 of 2 jobs)") and "of" not in told["collect"]
