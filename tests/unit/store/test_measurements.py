"""Readers of metrics rows."""

import pytest

from distillery.store import measurements
from tests.unit.report.made import dummy_metrics, only


@pytest.mark.slow
def test_summary_is_the_mean_and_population_deviation_over_sets_and_networks():
    metrics = dummy_metrics()
    rows = only(
        metrics,
        metrics["measure"] == "accuracy",
        metrics["selection"] == "last",
        metrics["split"] == "test",
        metrics["epoch"].isna(),
        metrics["dataset"] == "CIFAR10",
        metrics["method"] == "mtt",
        metrics["init"] == "noise",
        metrics["ipc"] == 10,
        metrics["network"] == "ConvNet",
    )
    values = rows["value"].astype(float).to_numpy()
    assert len(values) == 6
    found = measurements.summarise(measurements.read_metrics(metrics))
    row = only(
        found,
        found["dataset"] == "CIFAR10",
        found["method"] == "mtt",
        found["init"] == "noise",
        found["ipc"] == 10,
        found["network"] == "ConvNet",
        found["selection"] == "last",
    ).iloc[0]
    assert row["mean"] == pytest.approx(sum(values) / 6)
    assert row["std"] == pytest.approx((sum((v - sum(values) / 6) ** 2 for v in values) / 6) ** 0.5)
    assert (row["count"], row["sets"], row["models"]) == (6, 2, 3)
