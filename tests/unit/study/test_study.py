"""A config: what it expands to, what each job reads of it, and what is refused, where and why."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distillery import plugins, vocabulary
from distillery.recipe import Recipe
from distillery.study import load
from distillery.study.cells import Cell
from tests.unit.study.small import BLOCK, MTT, refusal, study

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("config", "studies")
    for path in (ROOT / folder).glob("*.yaml")
)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_is_a_study_and_has_jobs_of_every_kind(name):
    loaded = load.study(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    methods = {cell.method for cell in loaded.cells}
    assert "random" in methods
    if name in ("config/quickstart.yaml", "config/paper.yaml"):
        assert methods >= {"dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding"}
    if name.startswith("studies/"):
        return  # cells to reproduce or to choose from, nothing else
    assert {"dc", "mtt", "random", "herding"} <= methods
    for dataset in loaded.dataset_names:
        assert loaded.evaluation_networks(dataset) and loaded.vanilla_networks(dataset)
        inits = {cell.init for cell in loaded.cells if cell.dataset == dataset}
        assert inits == {"real", "noise"} or (name == "config/paper.yaml" and dataset == "CIFAR100")
    assert loaded.continual_datasets and all(
        loaded.memories(dataset) for dataset in loaded.continual_datasets
    )
    assert set(loaded.strategies) == set(vocabulary.STRATEGIES)


def test_the_default_study_s_trajectory_matching_on_cifar_is_the_course_project_s_run():
    loaded = load.study(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))
    cell = Cell("CIFAR10", "mtt", "real", 10, 0)
    settings = loaded.method_settings(cell)
    wanted = {
        "iterations": 100,
        "syn_steps": 20,
        "expert_epochs": 3,
        "max_start_epoch": 20,
        "lr_images": 1000,
        "batch_syn": 0,
        "augment": "none",
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert loaded.normalization(cell) == "zca" and loaded.experts("CIFAR10", "zca")["epochs"] == 22
    evaluation = loaded.evaluation(cell, "ConvNet")
    assert (evaluation["epochs"], evaluation["decay"], evaluation["lr"]) == (
        20,
        "published",
        "learned",
    )


def test_what_is_not_held_out_is_not_selected_by():
    grid = [{**BLOCK, "method": ["dc", "random"]}]
    held_out, all_used = study(grid=grid), study(grid=grid, data__validation=0)
    assert [
        found.evaluation(found.cells[0], "ConvNet")["selection"] is None
        for found in (held_out, all_used)
    ] == [False, True]
    assert all(all_used.evaluation(cell, "ConvNet")["selection"] is None for cell in all_used.cells)


def test_networks_that_a_dataset_s_images_are_too_small_for_are_left_out_for_that_dataset_only():
    mixed = study(
        grid=[BLOCK, {**BLOCK, "dataset": "MNIST"}], evaluate__networks=["ConvNet", "VGG11"]
    )
    assert mixed.evaluation_networks("digits") == ["ConvNet"] and mixed.evaluation_networks(
        "MNIST"
    ) == ["ConvNet", "VGG11"]
    # By their options, too.
    deep = {"network": "MLP", "networks__ConvNet__depth": 5, "continual__network": "MLP"}
    mixed = study(
        grid=[BLOCK, {**BLOCK, "dataset": "MNIST"}],
        evaluate__networks=["ConvNet", "MLP"],
        vanilla__networks=["ConvNet", "MLP"],
        **deep,
    )
    assert mixed.evaluation_networks("digits") == ["MLP"] and mixed.evaluation_networks(
        "MNIST"
    ) == ["ConvNet", "MLP"]
    assert mixed.vanilla_networks("digits") == ["MLP"]


# ---- settings of one job -------------------------------------------------------------------------


def test_a_variant_is_a_method_of_its_own_with_its_method_s_settings_and_then_its_own():
    methods = {
        "dc": {
            "iterations": 7,
            "overrides": [
                {"when": {"ipc": 10}, "momentum": 0.25},
                {"when": {"method": "dc"}, "lr_network": 0.5},
            ],
        },
        "dc_bold": {
            "of": "dc",
            "lr_images": 1,
            "overrides": [{"when": {"init": "noise"}, "iterations": 9}],
        },
    }
    blocks = [{**BLOCK, "method": ["dc", "dc_bold"], "init": ["real", "noise"], "ipc": [1, 10]}]
    evaluation = [
        {"when": {"method": "dc"}, "epochs": 30},
        {"when": {"method": "dc_bold"}, "models": 9},
    ]
    found = study(grid=blocks, methods=methods, evaluate__overrides=evaluation)
    assert (
        len(found.cells) == 8
        and found.methods["dc_bold"].module == "dc"
        and found.methods["dc"].module == "dc"
    )
    bold, plain = (Cell("digits", name, "noise", 10, 0) for name in ("dc_bold", "dc"))
    assert found.method_settings(bold) == found.method_settings(plain) | {
        "lr_images": 1,
        "iterations": 9,
    }
    assert (
        found.method_settings(plain)["momentum"] == 0.25
        and found.method_settings(bold)["lr_network"] == 0.5
    )
    assert found.method_settings(Cell("digits", "dc_bold", "real", 1, 0))["iterations"] == 7
    assert [found.evaluation(cell, "ConvNet")["epochs"] for cell in (bold, plain)] == [30, 30]
    assert [found.evaluation(cell, "ConvNet")["models"] for cell in (bold, plain)] == [9, 5]
    assert found.protocol(bold) == found.protocol(plain)


def test_a_variant_learns_from_its_method_s_experts_unless_it_says_otherwise():
    methods = {
        "mtt": {**MTT, "experts": "few"},
        "mtt_a": {"of": "mtt"},
        "mtt_b": {"of": "mtt", "experts": "default"},
    }
    found = study(
        grid=[{**BLOCK, "method": ["mtt", "mtt_a", "mtt_b"]}],
        methods=methods,
        experts={"few": {"epochs": 5}, "default": {"epochs": 6}},
    )
    assert [found.recipe(cell) for cell in found.cells] == ["few", "few", "default"]


def test_robust_scores_are_of_sets_made_on_the_distillation_network_and_no_part_of_an_evaluation():
    released = {"name": "released", "dataset": "digits", "file": str(ROOT / "README.md"), "ipc": 1}
    blocks = [{**BLOCK, "init": ["real", "noise"]}, {**BLOCK, "method": ["random", "herding"]}]
    said = {"grid": blocks, "imported": [released], "evaluate__networks": ["MLP"]}
    without, found = study(**said), study(**said, evaluate__robust={"models": 3})
    assert all(without.robust(cell) is None for cell in without.cells)
    distilled = [Cell("digits", "dc", init, 1, 0) for init in ("real", "noise")]
    assert [cell for cell in found.cells if found.robust(cell)] == [
        *distilled,
        Cell("digits", "released", "imported", 1, 0),
    ]
    for cell in found.cells:
        for network in ("ConvNet", "MLP"):
            assert found.evaluation(cell, network) == without.evaluation(
                cell, network
            ) and "robust" not in found.evaluation(cell, network)
    settings = found.robust(found.cells[0])
    assert settings.pop("robust") == {"models": 3, "augment": "dsa"}
    assert settings.keys() == {field.name for field in dataclasses.fields(Recipe)}


def test_what_one_job_does_to_its_settings_reaches_no_other():
    found = study(
        evaluate__overrides=[{"when": {"ipc": 1}, "selection": {"models": 1}}],
        networks__ConvNet={"width": 16},
    )
    (cell,) = found.cells
    found.evaluation(cell, "ConvNet").pop("selection")["models"] = 9
    found.network("digits", "ConvNet")["options"]["width"] = 1
    found.method_settings(cell)["iterations"] = -1
    assert found.evaluation(cell, "ConvNet")["selection"] == {"models": 1, "test": True}
    assert (
        found.network("digits", "ConvNet")["options"]["width"] == 16
        and found.method_settings(cell)["iterations"] == 1000
    )


def test_a_network_gets_the_dataset_s_shape_and_every_option():
    built = study(networks__ConvNet={"width": 16}).network("digits", "ConvNet")
    assert {key: built[key] for key in ("name", "channels", "size", "classes")} == {
        "name": "ConvNet",
        "channels": 1,
        "size": 8,
        "classes": 10,
    }
    declared = plugins.networks()["ConvNet"].options
    assert built["options"] == {name: rule["default"] for name, rule in declared.items()} | {
        "width": 16,
        "depth": 1,  # 8 x 8 images are halved once, to 4 x 4
    }
    fixed = study(networks__ConvNet={"depth": 2}).network("digits", "ConvNet")
    assert fixed["options"]["depth"] == 2
    assert study().network("MNIST", "ConvNet")["options"]["depth"] == 3


def test_snapshots_are_judged_by_the_distillation_network_on_distilled_sets_only():
    found = study(
        grid=[{**BLOCK, "method": ["dc", "random"]}],
        evaluate__networks=["ConvNet", "MLP"],
        evaluate__selection={"models": 3},
    )
    dc, chosen = found.cells
    assert found.evaluation(dc, "ConvNet")["selection"] == {"models": 3, "test": True}
    assert (
        found.evaluation(dc, "MLP")["selection"] is None
        and found.evaluation(chosen, "ConvNet")["selection"] is None
    )
    assert study(evaluate__selection={"models": 0}).evaluation(dc, "ConvNet")["selection"] is None


def test_a_recipe_follows_the_cell_and_its_settings_the_dataset():
    grid = [{"dataset": ["digits", "MNIST"], "method": "mtt", "init": "real", "ipc": [1, 10]}]
    experts = {
        "default": {"epochs": 5},
        "long": {"epochs": 9, "overrides": [{"when": {"dataset": "MNIST"}, "lr": 0.5}]},
    }
    found = study(
        grid=grid,
        methods__mtt={
            **MTT,
            "overrides": [{"when": {"ipc": 10}, "experts": "long", "max_start_epoch": 7}],
        },
        experts=experts,
    )
    assert {cell.ipc: found.recipe(cell) for cell in found.cells} == {1: "default", 10: "long"}
    assert "experts" not in found.method_settings(found.cells[0])
    assert [found.experts(dataset, "long")["lr"] for dataset in ("digits", "MNIST")] == [0.01, 0.5]
    assert found.experts("MNIST", "long")["epochs"] == 9 and "overrides" not in found.experts(
        "MNIST", "long"
    )


def test_the_space_of_a_set_follows_the_cell_and_is_no_setting_of_its_method(tmp_path):
    (tmp_path / "res.pt").touch()
    released = [
        {"name": name, "dataset": "digits", "file": str(tmp_path / "res.pt"), "ipc": 1}
        for name in ("plain", "white")
    ]
    released[1]["normalization"] = "zca"
    block = {"dataset": "digits", "method": ["dc", "mtt", "random"], "init": "real", "ipc": [1, 10]}
    white = {"when": {"ipc": 1}, "normalization": "zca"}
    found = study(
        grid=[block],
        imported=released,
        methods__mtt={**MTT, "overrides": [{**white, "experts": "white"}]},
        methods__random={"overrides": [white]},
        experts={"default": {"epochs": 5}, "white": {"epochs": 5, "normalization": "zca"}},
    )
    whitened = {
        (cell.method, cell.ipc) for cell in found.cells if found.normalization(cell) == "zca"
    }
    assert whitened == {("mtt", 1), ("random", 1), ("white", 1)}
    assert all(
        found.normalization(cell) == "channel"
        for cell in found.cells
        if (cell.method, cell.ipc) not in whitened
    )
    assert all(
        "normalization" not in found.method_settings(cell)
        for cell in found.cells
        if not found.is_imported(cell.method)
    )


def test_the_published_study_whitens_where_the_authors_do():
    found = load.study(yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8")))
    names = (
        "syn_steps",
        "expert_epochs",
        "max_start_epoch",
        "batch_syn",
        "lr_images",
        "lr_step_size",
        "step_size",
    )
    mtt = {(cell.dataset, cell.ipc): cell for cell in found.cells if cell.method == "mtt"}
    table = {
        key: (*(found.method_settings(cell)[name] for name in names), found.normalization(cell))
        for key, cell in mtt.items()
    }
    # N, M, T+, batch (0: all), rate of the images, of the step size, the step size at the start,
    # and the space.
    assert table == {
        ("CIFAR10", 1): (50, 2, 2, 0, 100, 1e-7, 0.01, "zca"),
        ("CIFAR10", 10): (30, 2, 20, 0, 100, 1e-5, 0.001, "zca"),
        ("CIFAR10", 50): (30, 2, 40, 0, 1000, 1e-5, 0.001, "channel"),
        ("CIFAR100", 1): (20, 3, 20, 0, 1000, 1e-5, 0.01, "zca"),
        ("CIFAR100", 10): (20, 2, 20, 0, 1000, 1e-5, 0.01, "channel"),
        ("CIFAR100", 50): (80, 2, 40, 125, 1000, 1e-5, 0.01, "zca"),
    }
    assert all(
        found.normalization(cell) == "channel" for cell in found.cells if cell.method != "mtt"
    )


@pytest.mark.slow
@given(number=st.integers(1, 60), shard=st.integers(1, 70))
def test_shards_hold_every_expert_once_in_order(number, shard):
    shards = study(experts__default={"number": number, "shard": shard}).shards("digits", "default")
    assert [expert for part in shards for expert in part] == list(range(number))
    assert all(len(part) == shard for part in shards[:-1]) and 1 <= len(shards[-1]) <= shard


def test_memories_are_the_dataset_s_sets_that_are_all_that_is_asked_for():
    grid = [
        {
            "dataset": ["digits", "MNIST"],
            "method": ["dc", "mtt"],
            "init": ["real", "noise"],
            "ipc": [1, 10],
        }
    ]
    found = study(
        grid=grid,
        experts__default={"epochs": 50},
        continual__memory={"method": ["dc"], "ipc": [10]},
        continual__datasets=["MNIST"],
    )
    assert found.memories("MNIST") == [
        Cell("MNIST", "dc", init, 10, 0) for init in ("real", "noise")
    ]
    assert found.continual_datasets == ["MNIST"]
    everything = study(grid=grid, experts__default={"epochs": 50})
    assert everything.memories("digits") == [
        cell for cell in everything.cells if cell.dataset == "digits"
    ]


def test_the_files_of_a_released_set_are_those_of_its_paths_patterns_and_folders(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        "part_10.pt",
        "part_2.pt",
        "lr_best.pt",
        "pictures/1/b.png",
        "pictures/0/a.png",
        "labels.pt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    base = {"name": "theirs", "dataset": "digits", "ipc": 1}

    def files(**entry):
        return [
            path.removeprefix(f"{tmp_path}/")
            for path in study(imported=[{**base, **entry}]).imported_files("theirs")
        ]

    assert files(
        file="~/part_*.pt", labels=str(tmp_path / "labels.pt"), step_size="~/lr_best.pt"
    ) == ["part_2.pt", "part_10.pt", "labels.pt", "lr_best.pt"]
    assert files(file=["~/part_10.pt", "~/part_2.pt"], step_size=0.02) == [
        "part_10.pt",
        "part_2.pt",
    ]
    assert files(file=str(tmp_path / "pictures")) == ["pictures/0/a.png", "pictures/1/b.png"]
    assert "file ~/no_*.pt fits no file".replace("~", str(tmp_path)) in refusal(
        imported=[{**base, "file": "~/no_*.pt"}]
    )
    assert refusal(imported=[{**base, "file": 3}]).startswith(
        "config: imported[0].file: must be a text or a list, not 3"
    )
    assert "labels_are: must be one of probabilities, logits" in refusal(
        imported=[{**base, "file": "~/labels.pt", "labels_are": "scores"}]
    )


@pytest.mark.slow
def test_reading_a_config_takes_no_torch():
    """Each job parses the workflow again, and torch takes seconds to import."""
    code = (
        "import sys, distillery.study.study, distillery.study.fingerprint; sys.exit(bool({'torch', "
        "'numpy', 'pandas', 'snakemake'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
