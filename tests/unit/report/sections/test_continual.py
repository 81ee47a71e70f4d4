"""Class-incremental learning on the page: over orders of the classes, and memories of two kinds."""

import pytest

from tests.unit.report.made import section

COMMON = {"rule": "continual", "dataset": "MNIST", "network": "ConvNet", "split": "test"}
ENDS = {
    "overall_accuracy": 0.0,
    "average_accuracy": 0.01,
    "average_incremental_accuracy": 0.1,
    "forgetting": -0.3,
    "backward_transfer": -0.6,
}


def learned(strategy, values, kind="", size=2560, **memory):
    """Of each order and seed what a network reaches in the end; other measures so much above."""
    found = []
    for (order, seed), value in values.items():
        own = {**COMMON, "strategy": strategy, "memory": kind, "steps": 5, "order": order}
        own |= {**memory, "seed": seed} if kind else {}
        at = {**own, "model": 0, "stage": 4}
        found += [{**at, "measure": name, "value": value + more} for name, more in ENDS.items()]
        if kind:
            found.append({**own, "measure": "memory_bytes", "value": size})
    return found


MEMORY = {"method": "dc", "init": "real", "ipc": 10}
REPLAYED = {(0, 0): 0.7, (0, 1): 0.72, (1, 0): 0.74, (1, 1): 0.74}


@pytest.mark.slow
def test_means_are_over_orders_sets_and_networks_and_memories_of_two_kinds_stand_apart(
    study, tmp_path
):
    rows = learned("finetune", {(0, None): 0.18, (1, None): 0.2})
    rows += learned("replay", REPLAYED, "given", **MEMORY)
    rows += learned("replay", {key: v - 0.1 for key, v in REPLAYED.items()}, "per_step", **MEMORY)
    lines, text = section(study, tmp_path, "continual", rows)
    assert "MNIST, ConvNet, 5 groups, 2 orders" in text
    named = (
        "Replay the memory set mixed in from the second group on DC, real images, "
        "10 images per class"
    )
    # The population's deviation of 0, 2, 4 and 4 points is the root of 2.75.
    assert lines[1:4] == [
        "Fine-tuning one group after another, nothing kept – – 29.00 ± 1.00 19.00 ± 1.00 "
        "20.00 ± 1.00 -11.00 ± 1.00 -41.00 ± 1.00 2 × 1",
        f"{named} 2 KiB 82.50 ± 1.66 72.50 ± 1.66 73.50 ± 1.66 42.50 ± 1.66 12.50 ± 1.66 2 × 2 × 1",
        f"{named} made per step 2 KiB 72.50 ± 1.66 62.50 ± 1.66 63.50 ± 1.66 32.50 ± 1.66 "
        "2.50 ± 1.66 2 × 2 × 1",
    ]
    assert "All memories take the same bytes" in text
    # The course project learned halves.
    assert "course project" not in lines[0]


def test_memories_of_other_bytes_are_not_called_equal(study, tmp_path):
    rows = learned("gdumb", {(0, 0): 0.5}, "given", **MEMORY)
    rows += learned("gdumb", {(0, 0): 0.6}, "given", size=7000, **{**MEMORY, "ipc": 50})
    lines, text = section(study, tmp_path, "continual", rows)
    assert "Memories differ in bytes" in text and "the same bytes" not in text
    assert [line.count("1 × 1") for line in lines[1:3]] == [1, 1]
