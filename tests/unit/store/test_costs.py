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
