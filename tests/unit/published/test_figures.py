"""The published figures and budgets."""

from distillery import plugins
from distillery.published import figures as published


def test_a_method_of_ours_stands_beside_its_published_figures_whatever_their_writing():
    ours = plugins.methods()
    names = {name for name in published.table()["method"] if name.lower() in ours}
    assert {"dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding"} <= names <= set(ours)


def test_published_table():
    table = published.table()
    assert set(table["protocol"]) == set(published.PROTOCOLS)
    assert set(table["evidence"]) <= set(published.EVIDENCE)
    assert (table["source"] != "").all() and table["value"].between(0, 100).all()
    assert not table.duplicated(
        ["dataset", "method", "init", "ipc", "network", "strategy", "protocol", "source", "note"]
    ).any()
    assert published.lookup("CIFAR10", "dc", ipc=10, protocol="published")["printed"].tolist() == [
        "44.9 ± 0.5"
    ]
    assert (
        published.lookup("CIFAR10", "mtt", ipc=10, protocol="published").iloc[0]["printed"]
        == "65.3 ± 0.7"
    )
    assert published.lookup("CIFAR10", "whole", ipc=None, protocol="published")[
        "value"
    ].tolist() == [84.8]
    assert published.lookup("MNIST", "mtt", ipc=10).empty, (
        "nobody published trajectory matching on MNIST"
    )


def test_lookup_prefers_the_same_start():
    course = published.lookup("MNIST", "dc", ipc=10, init="noise", protocol="course project")
    assert course["value"].tolist() == [81.96], "the other start's figure is another experiment"
    assert published.lookup("CIFAR10", "mtt", ipc=10, init="noise", protocol="course project")[
        "value"
    ].tolist() == [
        18.10,
        21.89,
    ]
    assert (
        published.lookup("CIFAR10", "mtt", ipc=50, init="noise", protocol="published").iloc[0][
            "init"
        ]
        == "real"
    )


def test_the_course_projects_figures_are_those_of_its_logs():
    """And those that were measured under a protocol of their own may not be set against any of
    ours."""
    table = published.table()
    course = table[(table["protocol"] == "course project") & (table["strategy"] == "")]
    one_a_step = course[course["batch"] == 1]
    assert set(one_a_step["value"]) == {60.0, 54.67, 18.47, 16.45, 21.89, 14.72}
    apart = course[course["not_comparable"] != ""]
    assert apart["value"].tolist() == [21.89]
    assert "not whitened" in apart["not_comparable"].item()
    assert table["batch"].notna().sum() == len(one_a_step)
    real, noise = (
        course[(course["method"] == "mtt") & (course["init"] == init)] for init in ("real", "noise")
    )
    assert (real["value"].item(), noise["value"].item()) == (23.77, 18.10)
    assert (
        "M 3, start epochs below 20" in real["note"].item()
        and "0.013289; 22.38 before" in real["note"].item()
    )
    assert "0.0069285; 10.34 before" in noise["note"].item()
    theirs = table[(table["protocol"] == "published") & (table["not_comparable"] != "")]
    assert theirs["method"].tolist() == ["rded"] and "batch norm" in theirs["not_comparable"].item()


def test_a_figure_of_another_batch_may_only_be_set_against_ours_of_that_batch():
    one_a_step, usual, never = (
        published.lookup(
            "CIFAR10", method, ipc=10, init=init, network=network, protocol="course project"
        ).iloc[0]
        for method, init, network in (
            ("dc", "real", "ResNet18"),
            ("dc", "real", "ConvNet"),
            ("mtt", "", "ConvNet"),
        )
    )
    assert published.apart(one_a_step, 1) == published.apart(usual, 256) == ""
    assert published.apart(one_a_step, 256) == "networks trained at batch 1, ours at 256"
    assert published.apart(one_a_step, None) == "networks trained at batch 1"
    assert "not whitened" in published.apart(never, 1) == published.apart(never, 256)


def test_published_budgets():
    assert published.budget("dc", "CIFAR10", 10) == {
        "iterations": 1000,
        "outer": 10,
        "inner": 50,
        "epochs": 300,
        "networks": 20,
        "sets": 5,
    }
    assert published.budget("mtt", "CIFAR10", 10)["experts"] == 100
    assert published.budget("herding", "CIFAR10", 10) == {}
