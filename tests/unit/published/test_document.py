"""The document made from records: tables, figures, and what stands beside them."""

import statistics

import pytest

from distillery import __main__
from distillery.published import document, figures, records
from distillery.published.recording import record
from tests.unit.published.studies import (
    COMMAND,
    DC,
    FIRST,
    MTT,
    SECOND,
    Study,
    cell_of,
    full,
    row_of,
    rows_of,
    with_less_work,
)


@pytest.mark.slow
def test_a_row_has_our_mean_and_spread_over_all_networks_of_all_sets(study):
    row = row_of(document.render({"mine": full(study)}), "MNIST", "dc", 10)
    mean, spread = statistics.fmean(FIRST + SECOND), statistics.pstdev(FIRST + SECOND)
    assert row["ours"] == f"{mean:.2f} ± {spread:.2f} (2 × 20)" == "91.45 ± 0.76 (2 × 20)"
    assert (
        row["ours − published"] == f"−{97.4 - 91.45:.2f}<br>+{91.45 - 83.27:.2f} (course project)"
    )
    assert (
        row["time"] == "110 s a set, 50 s evaluation"
        and row["hardware"] == "A processor, 2 threads"
    )
    assert (
        row["commit"] == "01234567, 01234567+" and row["record"] == "[mine](reproduction/mine.json)"
    )


@pytest.mark.slow
def test_published_figures_beside_ours_are_those_of_the_lookup(study):
    row = row_of(document.render({"mine": full(study)}), "MNIST", "dc", 10)
    texts = row["published"].split("<br>")
    for text, protocol in zip(texts, figures.PROTOCOLS, strict=True):
        looked = figures.lookup("MNIST", "dc", ipc=10, init="real", protocol=protocol).iloc[0]
        assert text.startswith(f"{looked['printed']} ({looked['evidence']}: {looked['source']}")


@pytest.mark.slow
def test_the_budget_decides_what_a_figure_is_called(study):
    text = document.render({"mine": full(study)})
    dc, mtt = row_of(text, "MNIST", "dc", 10), row_of(text, "CIFAR10", "mtt", 10)
    assert dc["budget"] == "**published budget, fewer networks**"
    assert dc["what was spent"] == (
        "1000 iterations, 10 outer loops, 50 inner loops, 1000 evaluation epochs, "
        "2 of 5 published sets"
    )
    assert mtt["budget"] == "smaller budget"
    assert mtt["ours"] == "40.50 ± 0.50 (1 × 2)<br>with 2 of 100 experts and 100 of 5000 iterations"
    assert mtt["what was spent"].startswith(
        "100 of 5000 published iterations, 2 of 100 published experts (3 epochs each), 1000 "
        "evaluation epochs"
    )
    assert (mtt["best on validation"], mtt["best on test"]) == (
        "42.00 (1 × 1)",
        "43.50 ± 0.50 (1 × 2)",
    )
    assert row_of(text, "MNIST", "random", 1)["budget"] == "budget of the source unknown"
    assert row_of(text, "MNIST", "whole", "all", start="")["budget"] == "course project's budget"


@pytest.mark.slow
def test_there_is_no_difference_beside_another_protocol(tmp_path):
    """The course project trained ResNet-18 with one image a step: its figure is shown with that,
    and nothing is subtracted from it."""
    study = Study(tmp_path / "course")
    study.set("dc", "real", 10, 0, {**DC, "iterations": 100})
    for network in ("ConvNet", "ResNet18"):
        study.evaluation("dc", "real", 10, 0, [80.0, 82.0], network=network, epochs=20, minute=40)
    text = document.render({"mine": record(study.folder, "run")})
    rows = {
        row["network"]: row
        for row in rows_of(text, "MNIST")
        if row["method"] == "dc" and row["record"]
    }
    assert rows["ConvNet"]["ours − published"].endswith(f"−{83.27 - 81:.2f} (course project)")
    assert rows["ConvNet"]["budget"].startswith("course project's budget")
    assert rows["ResNet18"]["ours − published"] == "not comparable (course project)"
    assert (
        "60.0 (C: course project, 2022; " in rows["ResNet18"]["published"]
        and "not comparable: networks trained at batch 1" in rows["ResNet18"]["published"]
    )
    assert (
        rows["ResNet18"]["budget"] == "smaller budget"
    )  # than the published one: the course project's is not spoken of


@pytest.mark.slow
def test_published_cells_that_nobody_ran_have_a_row_and_an_empty_cell(study):
    def empty(text):
        rows = [(d, r) for d in records.DATASETS for r in rows_of(text, d) if not r["record"]]
        assert all(not row[name] for _, row in rows for name in document.HEAD[2:])
        assert all(row["published"] for _, row in rows)
        return {(d, r["method"], r["start"], r["ipc"]) for d, r in rows}

    nothing, some = (
        empty(document.render({})),
        empty(document.render({"mine": full(study)})),
    )
    table = figures.table()
    table = table[
        table["method"].isin(records.METHODS)
        & (table["network"] == "ConvNet")
        & (table["strategy"] == "")
    ]
    pairs = {
        (r.dataset, r.method, "all" if r.ipc != r.ipc else str(int(r.ipc)))
        for r in table.itertuples()
    }
    assert {(d, m, n) for d, m, _, n in nothing} == pairs
    ran = {
        ("MNIST", "dc", "real", "10"),
        ("CIFAR10", "mtt", "real", "10"),
        ("MNIST", "random", "", "1"),
        ("MNIST", "whole", "", "all"),
    }
    assert nothing - some == ran and some < nothing
    assert (
        "of which 3 have been run; 1 of our figures is at the published budget"
        in document.render({"mine": full(study)})
    )


@pytest.mark.slow
def test_of_several_records_of_a_cell_the_newest_is_first(study, tmp_path):
    old = full(study)
    later = with_less_work(tmp_path)
    new = record(later.folder, "later")
    for both in ({"a": old, "b": new}, {"b": new, "a": old}):
        rows = [
            r
            for r in rows_of(document.render(both), "MNIST")
            if (r["method"], r["ipc"], r["start"]) == ("dc", "10", "real")
        ]
        assert [row["budget"] for row in rows] == [
            "smaller budget",
            "**published budget, fewer networks**",
        ]
        assert "`later`" in rows[0]["command"]


@pytest.mark.slow
def test_what_parts_cells_is_escaped(study):
    found = full(study)
    for cell in found.cells:
        for job in cell.jobs:
            job.context["device_name"] = "a | b"
    text = document.render({"mine": found})
    row = row_of(text, "MNIST", "dc", 10)
    assert row["command"] == "`snakemake --cores 2 --configfile mine.yaml \\| tee log`" and row[
        "hardware"
    ].startswith("a \\| b")
    found.command = "run `here`"
    assert (
        row_of(document.render({"mine": found}), "MNIST", "dc", 10)["command"] == "`` run `here` ``"
    )


@pytest.mark.slow
def test_continual_learning_has_a_table_of_its_own_with_the_end_of_each_strategy(study):
    full(study)
    alone = [
        r["strategy"]
        for r in rows_of(
            document.render({"mine": record(study.folder, COMMAND)}),
            "MNIST",
            continual=True,
        )
    ]
    assert alone == ["finetune", "afterwards"]  # published, nobody ran them
    before = rows_of(document.render({"mine": full(study)}), "MNIST")
    study.continual("finetune", [49.0, 47.0], epochs=9, images_per_class=500)
    study.continual(
        "afterwards",
        [49.0, 47.0, 80.0],
        method="dc",
        init="real",
        ipc=10,
        seed=0,
        afterwards_epochs=20,
        afterwards_batch=10,
    )
    study.continual(
        "afterwards", [49.0, 47.0, 90.0], method="dc", init="real", ipc=10, seed=1, minute=1
    )  # older than its set
    found = record(study.folder, COMMAND)
    assert found.left_out == 1
    text = document.render({"mine": found})
    assert rows_of(text, "MNIST") == before
    finetune, afterwards = rows_of(text, "MNIST", continual=True)
    course = {
        row.strategy: row.value
        for row in figures.table().itertuples()
        if row.dataset == "MNIST" and row.strategy
    }
    assert (finetune["ours"], finetune["ours − published"]) == (
        "47.50 ± 0.50 (1 × 2)",
        f"−{course['finetune'] - 47.5:.2f} (course project)",
    )
    assert (
        finetune["forgetting"] == "99.00 ± 0.00 (1 × 2)"
        and finetune["what was spent"] == "2 groups, 9 epochs each, 500 images per class"
    )
    assert (afterwards["memory"], afterwards["start"], afterwards["ipc"], afterwards["ours"]) == (
        "dc",
        "real",
        "10",
        "80.50 ± 0.50 (1 × 2)",
    )
    assert afterwards["ours − published"] == f"+{80.5 - course['afterwards']:.2f} (course project)"
    assert (
        afterwards["what was spent"]
        == "20 epochs on the memory set after 2 groups, 10 images a step"
        and afterwards["time"] == "100 s a set, 60 s training"
    )
    assert afterwards["over the steps"] == "60.00 ± 0.00 (1 × 2)"


@pytest.mark.slow
def test_continual_learning_stands_beside_what_was_learned_alike(study):
    """The published figures are of halves of the classes in the dataset's own order."""
    full(study)
    for order, end in enumerate((19.0, 20.0, 21.0)):
        study.continual("finetune", [99.0, end], order=order, groups=5)
        steps = [
            study.set("dc", "real", 10, 0, DC, seconds=7.0 + step, part=f"order{order}/step{step}")
            for step in range(5)
        ]
        for per_step in ((), steps):
            study.continual(
                "gdumb",
                [99.0, end + 50 + 2 * len(per_step)],
                **{"method": "dc", "init": "real", "ipc": 10, "seed": 0},
                **{"order": order, "groups": 5, "per_step": per_step},
                **{"gdumb_epochs": 100, "gdumb_batch": 20},
            )
    study.continual("finetune", [49.0, 47.0], order=1)
    # One of its steps' sets is no longer there.
    study.continual(
        "gdumb",
        [99.0, 70.0],
        **{"method": "dc", "init": "real", "ipc": 10, "seed": 1, "per_step": [*steps[:4], "gone"]},
    )
    found = record(study.folder, COMMAND)
    assert found.left_out == 1
    rows = rows_of(document.render({"mine": found}), "MNIST", continual=True)
    shown = [
        (row["strategy"], row["groups"], bool(row["per_step"]), row["ours"], bool(row["published"]))
        for row in rows
    ]
    assert shown == [
        ("finetune", "2", False, "47.50 ± 0.50 (1 × 2)", False),
        ("finetune", "2", False, "", True),
        ("finetune", "5", False, "20.50 ± 0.96 (3 × 2)", False),
        ("gdumb", "5", False, "70.50 ± 0.96 (3 × 2)", False),
        ("gdumb", "5", True, "80.50 ± 0.96 (3 × 2)", False),
        ("afterwards", "2", False, "", True),
    ]
    assert (rows[3]["time"], rows[4]["time"]) == (
        "100 s a set, 60 s training",
        "45 s a set, 60 s training",
    )
    assert rows[3]["what was spent"] == (
        "100 epochs from scratch on the memory set in each of 5 groups in 3 orders, "
        "20 images a step"
    )


@pytest.mark.slow
def test_a_variant_stands_beside_the_figures_of_its_method_and_names_it(study, tmp_path):
    study.set("dc_lean", "real", 10, 0, {**DC, "iterations": 20}, of="dc")
    study.evaluation("dc_lean", "real", 10, 0, [80.0, 82.0])
    study.set("mtt_far", "real", 10, 0, MTT, of="mtt", experts=study.experts(0, [0]))
    study.evaluation("mtt_far", "real", 10, 0, [70.0])
    command = [
        "reproduction",
        "add",
        str(study.folder),
        "--name",
        "mine",
        "--command",
        COMMAND,
        "--docs",
        str(tmp_path / "docs"),
    ]
    assert __main__.main(command) == 0
    found = records.load(tmp_path / "docs")["mine"]
    assert (
        cell_of(found, "MNIST", "dc_lean", 10).of == "dc"
        and cell_of(found, "MNIST", "mtt_far", 10).experts["number"] == 1
    )
    text = document.render(records.load(tmp_path / "docs"))
    row = row_of(text, "MNIST", "dc_lean (dc)", 10)
    assert (
        row["published"].startswith("97.4")
        and row["ours − published"].startswith("−16.40")
        and row["budget"] == "smaller budget"
    )
    # The method itself has not been run by it.
    assert row_of(text, "MNIST", "dc", 10)["ours"] == ""
