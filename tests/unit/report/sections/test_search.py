"""What a search by sets would have found, on the page."""

from tests.unit.report.made import section

COMMON = {"dataset": "MNIST", "selection": None, "model": 0}


def rows_of(method, init, accuracies, facts=(), ipc=1, split="validation", flops=1e9):
    """``accuracies`` {network: value}; facts {measure: value}."""
    common = COMMON | {"method": method, "init": init, "ipc": ipc, "seed": 0 if ipc else None}
    return [
        row
        for network, value in accuracies.items()
        for row in (
            {
                **common,
                "network": network,
                "split": split,
                "measure": "search_accuracy",
                "value": value,
            },
            {**common, "network": network, "measure": "search_flops", "value": flops},
        )
    ] + [{**common, "measure": measure, "value": value} for measure, value in dict(facts).items()]


FULL = rows_of("whole", "", {"a": 0.9, "b": 0.8, "c": 0.6}, ipc=None, split="test", flops=2e10)
CORRELATED = {
    "search_spearman": -0.5,
    "search_spearman_low": -0.75,
    "search_spearman_high": 0.25,
    "search_kendall": -0.333,
    "search_regret": 0.1,
    "search_regret_low": 0.0,
    "search_regret_high": 0.3,
}


def test_sets_are_in_the_order_of_their_ranks_with_what_they_pick(study, tmp_path):
    rows = [
        *FULL,
        *rows_of("dc", "real", {"a": 0.2, "b": 0.4, "c": 0.3}, CORRELATED),
        *rows_of("random", "real", {"a": 0.3, "b": 0.2, "c": 0.1}, {"search_spearman": 1}),
    ]
    lines, text = section(study, tmp_path, "search", rows)
    assert lines[1:] == [
        "Random 1 image per class 1.00 – a 90.0 – 20 times –",
        "DC, real images 1 image per class −0.50 (−0.75 to 0.25) −0.33 b 80.0 "
        "10.0 (0.0 to 30.0) 20 times –",
    ]
    assert "3 networks: trained on real images they reach 60.0 to 90.0 %; the best is a" in text


def test_time_is_that_of_the_jobs_that_trained_the_networks(study, tmp_path):
    rows = [*FULL, *rows_of("dc", "real", {"a": 0.2, "b": 0.4, "c": 0.3})]
    cell = {"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1, "seed": 0}
    costs = [
        {"rule": "search", "seconds": 30, **cell},
        {"rule": "search_full", "seconds": 600, "dataset": "MNIST", "method": "whole"},
    ]
    lines, _ = section(study, tmp_path, "search", rows, costs=costs)
    assert lines[1] == "DC, real images 1 image per class – – b 80.0 – 20 times 30 s of 10 min"


def test_without_a_search_there_is_no_such_section(page):
    assert 'id="search"' not in page
