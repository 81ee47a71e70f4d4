"""A search among networks: ranks by a set and by the full training set, the same again."""

import csv
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
PLACE = "results/search/digits"


def test_a_search_adds_its_own_jobs_and_gives_the_same_bits_again(clone):
    clone.change(
        search={
            "datasets": ["digits"],
            "options": {"width": [2, 4], "depth": [1], "norm": ["none", "instance"]},
            "sets": {"method": ["random"]},
            "epochs": 2,
            "full": {"epochs": 1, "images_per_class": 20},
        }
    )
    assert clone.jobs() == ["collect", "report", "search", "search_full"]
    clone.make()
    found = f"{PLACE}/random/real/ipc1/seed0/metrics.csv"
    with (clone / found).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"]]
    networks = {row["network"] for row in rows if row["measure"] == "search_accuracy"}
    assert networks == {f"norm={n} width={w}" for n in ("none", "instance") for w in (2, 4)}
    facts = {row["measure"]: float(row["value"]) for row in rows if not row["network"]}
    assert facts["search_networks"] == 4 and facts["search_regret"] >= 0
    assert 'id="search"' in (clone / "results/report.html").read_text(encoding="utf-8")
    assert not list((clone / "results/checkpoints").rglob("*.safetensors"))

    paths = [Path(found), Path(f"{PLACE}/full/metrics.csv")]
    before = [(clone / path).read_bytes() for path in paths]
    for path in paths:
        (clone / path).unlink()
    clone.make(*map(str, paths))
    assert [(clone / path).read_bytes() for path in paths] == before
