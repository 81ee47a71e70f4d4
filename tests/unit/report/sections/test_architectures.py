"""What sets are worth to other networks than the one that they were made with."""

from distillery.report.sections import architectures
from tests.unit.report.made import rows_of
from tests.unit.report.sections.test_scorecard import results_of

# By ConvNet, and by ResNet18.
REACHED = {
    ("dc", "real", 1): (0.60, 0.40),
    ("mtt", "noise", 1): (0.55, 0.45),
    ("random", "real", 1): (0.40, 0.41),
    ("dc", "real", 10): (0.70, 0.70),
    ("whole", "", None): (0.95, 0.99),
}


def rows(reached):
    return [
        {**row, "network": network}
        for (method, init, ipc), means in reached.items()
        for network, mean in zip(("ConvNet", "ResNet18"), means)
        if mean is not None
        for row in rows_of(method, init, {None if ipc is None else 0: [mean]}, ipc=ipc)
    ]


def lines_of(reached):
    blocks = architectures.view(results_of(rows(reached)))
    return {(line["label"], line["size"]): line for block in blocks for line in block["rows"]}


def test_networks_are_compared_on_the_same_set_and_ranked_within_its_size():
    lines = lines_of(REACHED)
    found = {key: (line["rank"], line["cells"][0]["text"]) for key, line in lines.items()}
    assert found == {
        ("DC, real images", "1"): ("1 of 3", "−20.0"),
        ("MTT, Gaussian noise", "1"): ("2 of 3", "−10.0"),
        ("Random", "1"): ("3 of 3", "+1.0"),
        ("DC, real images", "10"): ("", "+0.0"),  # alone of its size
        ("Full training set", "all"): ("", "+4.0"),
    }
    ranks = [lines[key]["cells"][0]["rank"] for key in found]
    assert ranks == ["3 of 3", "1 of 3", "2 of 3", "", ""]
    assert [lines[key]["cells"][0]["share"] for key in list(found)[:3]] == [0, 0.417, 0.875]


def test_a_set_that_one_network_lacks_is_ranked_by_none_and_one_network_is_compared_with_none():
    reached = REACHED | {("random", "real", 1): (0.40, None)}
    lines = lines_of(reached)
    assert ("Random", "1") not in lines
    assert [lines["DC, real images", "1"][key] for key in ("rank",)] == ["1 of 2"]
    assert architectures.view(results_of(rows({("dc", "real", 1): (0.6, None)}))) == []


def test_a_difference_has_the_spread_of_one_network_of_each_where_there_are_several():
    by_network = {"ConvNet": [0.60, 0.66], "ResNet18": [0.40, 0.48], "MLP": [0.30]}
    measured = [
        {**row, "network": network}
        for network, accuracies in by_network.items()
        for row in rows_of("dc", "real", {0: accuracies}, ipc=1)
    ]
    (block,) = architectures.view(results_of(measured))
    cells = dict(zip(block["networks"], block["rows"][0]["cells"], strict=True))
    # Standard deviations of 3 and 4 points.
    assert (cells["ResNet18"]["text"], cells["ResNet18"]["std"]) == ("−19.0", "5.0")
    assert (cells["MLP"]["text"], cells["MLP"]["std"]) == ("−33.0", "")
