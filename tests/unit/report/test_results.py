"""A study's results as read."""

import re

import pandas as pd
import pytest
import torch

from distillery.report.results import Results
from distillery.sets.synthetic import SyntheticSet
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import SETS, headline
from tests.unit.test_plugins import DATASET


@pytest.mark.slow
def test_rows_without_a_number_are_left_out(study, tmp_path):
    first, page = headline(study, tmp_path, [*SETS, {**SETS[0], "model": 9, "value": float("nan")}])
    assert "over 1 set, 3 networks" in first and not re.search(r"\bnan\b", page)


def test_plug_ins_from_outside_have_the_names_that_they_give_themselves(tmp_path):
    (tmp_path / "mine").mkdir()
    text = 'TITLE = "Coins of mine"\n' + DATASET
    (tmp_path / "mine/coins.py").write_text(text, encoding="utf-8")
    about = {"kind": "distilled", "title": "Shrinking", "file": "mine/shrinking.py"}
    header = {
        "dataset": "Coins",
        "classes": ["heads", "tails"],
        "init": "real",
        "ipc": 1,
        "seed": 0,
        "plugin": about,
    }
    sets = []
    for method, of in (("shrinking", None), ("shrinking_fast", "shrinking")):
        sets.append(tmp_path / f"{method}.safetensors")
        about = {**header, "method": method, **({"of": of} if of else {})}
        SyntheticSet(torch.zeros(2, 1, 8, 8), torch.arange(2), None, about).save(sets[-1])
    config = {"plugins": [str(tmp_path / "mine")], "datasets": {"pets": {"title": "My pets"}}}
    results = Results(pd.DataFrame(columns=list(COLUMNS)), [], sets, [], [], config, {})
    assert results.name("shrinking", "real") == "Shrinking, real images"
    assert results.method_title("shrinking_fast") == "shrinking_fast"
    assert results.method_title("dc") == "DC"
    shown = [results.title(name) for name in ("Coins", "pets", "CIFAR10", "unknown")]
    assert shown == ["Coins of mine", "My pets", "CIFAR-10", "unknown"]
