"""A state that goes through a file comes back as it was."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

from distillery.store import artefact, tree


class Pair(NamedTuple):
    first: torch.Tensor
    second: Any


@dataclass
class Deep:
    network: dict[str, torch.Tensor]
    pair: Pair | None


def there_and_back(state, like, tmp_path):
    tensors, outline = tree.take_apart(state)
    artefact.save(tmp_path / "state", tensors, {})
    tensors, _ = artefact.load(tmp_path / "state", rule=None)
    return tree.put_together(json.loads(json.dumps(outline)), tensors, like, "cpu")


def test_any_nesting_comes_back_with_its_types_and_the_order_of_its_keys(tmp_path):
    state = Deep(
        {"features.4.weight": torch.ones(2), "a/b": torch.zeros(1, dtype=torch.int64), "a": {}},
        Pair(torch.tensor(1.5), [(1, "x", None), {"deep": True, "rate": 0.1}]),
    )
    again = there_and_back(state, Deep({}, Pair(torch.zeros(()), None)), tmp_path)
    assert type(again) is Deep and type(again.pair) is Pair
    assert list(again.network) == ["features.4.weight", "a/b", "a"] and again.network["a"] == {}
    assert torch.equal(again.network["a/b"], torch.zeros(1, dtype=torch.int64))
    assert again.pair.second == state.pair.second and type(again.pair.second[0]) is tuple
    assert float(again.pair.first) == 1.5


def test_a_generator_goes_on_where_it_stood(tmp_path):
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    again = there_and_back({"order": generator}, {}, tmp_path)["order"]
    assert again is not generator
    assert torch.equal(torch.rand(4, generator=again), torch.rand(4, generator=generator))


def test_paths_that_look_alike_and_tensors_that_share_memory_are_kept_apart(tmp_path):
    one = torch.arange(6.0)
    state = {"a": {"b": one}, "a/b": one[:2], "c": one}
    again = there_and_back(state, {}, tmp_path)
    assert torch.equal(again["a"]["b"], one) and torch.equal(again["a/b"], one[:2])
    assert torch.equal(again["c"], one)


@pytest.mark.parametrize("leaf", [object(), {1: torch.ones(1)}, {1, 2}, torch.float32])
def test_what_no_file_can_hold_is_refused_by_its_place(leaf):
    with pytest.raises(TypeError, match=f"within/it: a state cannot hold {type(leaf).__name__}"):
        tree.take_apart({"within": {"it": leaf}})


def test_a_type_that_the_other_tree_has_not_is_refused():
    tensors, outline = tree.take_apart({"pair": Pair(torch.ones(1), 2)})
    with pytest.raises(TypeError, match="has not the fields first, second"):
        tree.put_together(outline, tensors, {"pair": None}, "cpu")
