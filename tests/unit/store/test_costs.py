"""Cost records, sealed one by one and collected."""

import json

import pytest

from distillery.errors import UserError
from distillery.store import costs


def test_costs_become_one_list(tmp_path):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for n, path in enumerate(paths):
        path.write_text(json.dumps(costs.sealed({"seconds": 0.1 + n, "rule": "distill"})))
    costs.collect_costs(paths, tmp_path / "costs.json")
    assert json.loads((tmp_path / "costs.json").read_text()) == [
        {"seconds": 0.1, "rule": "distill"},
        {"seconds": 1.1, "rule": "distill"},
    ]
    whole = paths[1].read_text()
    for left in ("", '{"seconds": 1', "[]", "3", '{"seconds": 1}', whole.replace("1.1", "1.2")):
        paths[1].write_text(left)
        with pytest.raises(UserError, match=r"b\.json: is not a cost record"):
            costs.collect_costs(paths, tmp_path / "others.json")
    assert not (tmp_path / "others.json").exists()


@pytest.mark.parametrize(
    ("about", "rule"),
    [
        ({"rule": "continual", "strategy": "joint"}, "continual_alone"),
        ({"rule": "continual", "inputs": {"whitening": []}}, "continual_alone"),
        ({"rule": "continual", "inputs": {"whitening": ["0"]}}, "continual_whitened"),
        ({"rule": "continual", "method": "dc", "memory": "given"}, "continual_memory"),
        # Of before memories were made per step too.
        ({"rule": "continual", "method": "dc"}, "continual_memory"),
        ({"rule": "continual_whitened"}, "continual_whitened"),
        ({"rule": "distill", "method": "dc"}, "distill"),
    ],
)
def test_an_earlier_record_says_whose_job_it_is_of(about, rule, tmp_path):
    path = tmp_path / "cost.json"
    path.write_text(json.dumps(costs.sealed(about)))
    assert costs.read_cost(path) == {**about, "rule": rule}
    assert costs.named({"seconds": 1.0}) == {"seconds": 1.0}
