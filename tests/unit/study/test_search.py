"""What a study asks of a search among networks."""

import pytest

from distillery.study import search
from tests.unit.study.small import refusal, study


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"datasets": ["MNIST"]}, "config: search.datasets: "),
        ({"options": {"widht": [1, 2, 3]}}, "config: search.options: "),
        ({"options": {"width": [1, 2, "wide"]}}, "config: search.options.width: "),
        ({"options": {"width": []}}, "config: search.options.width: must be a list of one"),
        ({"options": {"width": [4, 8]}}, "2 networks fit digits, and fewer than 3"),
        ({"sets": {"method": ["dm"]}}, "config: search.sets: "),
        ({"sets": {"ipc": []}}, "no set of the grid is all that it asks for"),
        ({"network": "ConvNets"}, "config: search.network: "),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(asked, said):
    assert said in refusal(search={"datasets": ["digits"], **asked})


def test_a_search_leaves_out_networks_that_the_images_are_too_small_for():
    searched = study(
        search={"datasets": "all", "options": {"depth": [1, 2, 3, 4, 9], "norm": ["none"]}}
    )
    # Digits have 8 pixels a side.
    assert [options["depth"] for options in search.grid(searched, "digits")] == [1, 2, 3]
    assert searched.search_datasets == ["digits"]


def test_the_networks_of_a_search_do_not_depend_on_the_order_of_its_keys():
    options = {"width": [4, 8], "depth": [1, 2]}
    grids = [
        search.grid(study(search={"datasets": "all", "options": dict(pairs)}), "digits")
        for pairs in (options.items(), reversed(options.items()))
    ]
    assert grids[0] == grids[1] and len(grids[0]) == 4


def test_nothing_is_searched_unless_it_is_asked_for():
    assert study().search_datasets == []
