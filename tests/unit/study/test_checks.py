"""What is refused, where and why: values that none can take, and parts that do not go together."""

from pathlib import Path

import pytest

from distillery import plugins
from tests.unit.study.small import BLOCK, MTT, refusal, study

ROOT = Path(__file__).resolve().parents[3]


def test_noise_starts_more_images_of_a_class_than_there_are():
    many = [{**BLOCK, "init": "noise", "ipc": 500}]
    assert [cell.ipc for cell in study(grid=many).cells] == [500]
    told = refusal(grid=many, evaluate__robust={"models": 1})
    assert told.startswith(
        "config: grid: ipc 500 is above the smallest class of digits"
    ) and told.endswith("set its models to 0 there")


def test_augmentation_s_share_cannot_be_measured_without_one():
    assert "config: evaluate.robust: augment none" in refusal(
        evaluate__robust={"models": 1, "augment": "none"}
    )
    study(evaluate__robust={"models": 0, "augment": "none"})


def test_robust_scores_of_a_released_set_need_as_many_real_images_and_a_network_that_fits(tmp_path):
    (tmp_path / "res.pt").touch()
    released = {"name": "theirs", "dataset": "digits", "file": str(tmp_path / "res.pt"), "ipc": 127}
    assert study(imported=[released]).cells
    assert "smallest class of digits only 126 to draw as many from" in refusal(
        imported=[released], evaluate__robust__models=1
    )
    few = {"grid": [], "imported": [{**released, "ipc": 1}], "evaluate__robust__models": 1}
    assert refusal(**few, network="VGG11").startswith(
        "config: evaluate.robust: network: VGG11 needs images of at least"
    )
    assert "augment none" in refusal(**few, evaluate__robust__augment="none")


def test_a_factor_is_of_the_cells_that_it_is_given_for_and_no_others_change():
    pair = {"grid": [{**BLOCK, "method": ["dc", "two"]}], "methods__two": {"of": "dc", "factor": 2}}
    found, plain = study(**pair), study()
    dc, two = found.cells
    assert [found.factor(cell) for cell in (dc, two)] == [1, 2]
    assert [found.seen_ipc(cell) for cell in (dc, two)] == [1, 4]
    assert found.method_settings(dc) == plain.method_settings(plain.cells[0])
    assert found.method_settings(two) == {**found.method_settings(dc), "factor": 2}
    one = study(methods__dc={"factor": 1})
    assert one.method_settings(one.cells[0]) == plain.method_settings(plain.cells[0])
    stitched = study(grid=[{**BLOCK, "method": "rded"}], methods__rded={"factor": 2})
    (cell,) = stitched.cells
    assert stitched.factor(cell) == 1 and stitched.method_settings(cell)["factor"] == 2


REFUSED = {
    # Sides of images that hold several.
    "factor 0": ({"methods__dc": {"factor": 0}}, "methods.dc.factor: must be 1 or more, not 0"),
    "factor two": (
        {"methods__dc": {"factor": "two"}},
        "methods.dc.factor: must be a whole number, not 'two'",
    ),
    "factor 3": (
        {"methods__dc": {"factor": 3}},
        "methods.dc: factor 3 does not divide the 8 x 8 pixels of digits; 1, 2, 4, 8 would",
    ),
    "factor of a coreset": (
        {"methods__herding": {"factor": 2}},
        "methods.herding: unknown setting 'factor'",
    ),
    "factor of a set": (
        {
            "grid": [{**BLOCK, "init": "mine"}],
            "starts__mine": {"file": str(ROOT / "README.md")},
            "methods__dc": {"factor": 2},
        },
        "methods.dc: factor 2 goes with init real or noise: the set mine is none whose images",
    ),
    "factor and few images": (
        {"grid": [{**BLOCK, "ipc": 40}], "methods__dc": {"factor": 2}},
        "grid: ipc 40 with factor 2 is above the smallest class of digits: ",
    ),
    # Names.
    "dataset": (
        {"grid": [{**BLOCK, "dataset": "MNST"}]},
        "grid[0]: unknown dataset 'MNST'; did you mean 'MNIST'?",
    ),
    "method": (
        {"grid": [BLOCK, {**BLOCK, "method": "mt"}]},
        "grid[1]: unknown method 'mt'; did you mean 'mtt'? known are ",
    ),
    "base is no method": (
        {"grid": [{**BLOCK, "method": "base"}]},
        "grid[0]: unknown method 'base'",
    ),
    "init": (
        {"grid": [{**BLOCK, "init": ["real", "gauss"]}]},
        "grid[0]: unknown init 'gauss'; known are real, noise",
    ),
    "network": (
        {"network": "Convnet"},
        "network: unknown network 'Convnet'; did you mean 'ConvNet'?",
    ),
    "evaluation network": (
        {"evaluate__networks": ["ConvNet", "ResNet"]},
        "evaluate.networks: unknown network 'ResNet'; did you mean 'ResNet18'?",
    ),
    "vanilla network": ({"vanilla__networks": "X"}, "vanilla.networks: unknown network 'X'"),
    "continual network": ({"continual__network": "X"}, "continual.network: unknown network 'X'"),
    "recipe": (
        {"methods__mtt__experts": "x"},
        "methods.mtt: unknown expert recipe 'x'; known are default",
    ),
    "strategy": (
        {"continual__strategies": ["reply"]},
        "continual.strategies[0]: must be one of finetune, joint, replay, afterwards, gdumb, "
        "not 'reply'",
    ),
    "source": (
        {"data__sources": ["web"]},
        "data.sources[0]: must be one of local, torchvision, registry, not 'web'",
    ),
    "augmentation": (
        {"evaluate__augment": "das"},
        f"evaluate.augment: must be one of {', '.join(plugins.augmentations())}, not 'das'",
    ),
    # Misspelt keys.
    "key": ({"contnual": {}}, "unknown key 'contnual'; did you mean 'continual'?"),
    "nested key": ({"evaluate__epoch": 1}, "evaluate: unknown key 'epoch'; did you mean 'epochs'?"),
    "nested deeper": (
        {"evaluate__selection__model": 1},
        "evaluate.selection: unknown key 'model'; did you mean 'models'?",
    ),
    "grid key": (
        {"grid": [{**BLOCK, "ipcs": 1}]},
        "grid[0]: unknown key 'ipcs'; did you mean 'ipc'?",
    ),
    "setting": (
        {"methods__dc__iteration": 1},
        "methods.dc: unknown setting 'iteration'; did you mean 'iterations'?",
    ),
    "another's setting": ({"methods__dc__syn_steps": 1}, "methods.dc: unknown setting 'syn_steps'"),
    "variant of nothing": (
        {"methods": {"mine": {"of": "mt"}}},
        "methods.mine.of: unknown method 'mt'; did you mean 'mtt'?",
    ),
    "variant of a variant": (
        {"methods": {"a": {"of": "dc"}, "b": {"of": "a"}}},
        "methods.b.of: unknown method 'a'",
    ),
    "variant with a method's name": (
        {"methods": {"mtt": {"of": "dc"}}},
        "methods.mtt: mtt is a method itself",
    ),
    "variant with a path's name": (
        {"methods": {"a/b": {"of": "dc"}}},
        "methods.a/b: a variant's name is made of letters",
    ),
    "variant with another's setting": (
        {"methods": {"mine": {"of": "dc", "syn_steps": 1}}},
        "methods.mine: unknown setting 'syn_steps'",
    ),
    "no experts to learn from": (
        {"methods__dc__experts": "default"},
        "methods.dc: unknown setting 'experts'",
    ),
    "method block": ({"methods__dcc": {}}, "methods: unknown method 'dcc'; did you mean 'dc'?"),
    "option": (
        {"networks__ConvNet__widht": 3},
        "networks.ConvNet: unknown option 'widht'; did you mean 'width'?",
    ),
    "recipe key": (
        {"experts__default__epoch": 3},
        "experts.default: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "override's setting": (
        {"methods__dc__overrides": [{"when": {"ipc": 1}, "iteration": 1}]},
        "methods.dc.overrides[0]: unknown setting 'iteration'; did you mean 'iterations'?",
    ),
    "override's key": (
        {"evaluate__overrides": [{"when": {"ipc": 1}, "epoch": 1}]},
        "evaluate.overrides[0]: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "override's when": (
        {"evaluate__overrides": [{"when": {"icp": 1}, "epochs": 1}]},
        "evaluate.overrides[0].when: unknown key 'icp'; did you mean 'ipc'?",
    ),
    "override's method": (
        {"evaluate__overrides": [{"when": {"method": "dcc"}, "epochs": 1}]},
        "evaluate.overrides[0].when: unknown method 'dcc'",
    ),
    "missing key": ({"grid": [{"dataset": "digits"}]}, "grid[0]: the key 'method' is missing"),
    "memory's key": (
        {"continual__memory": {"metod": ["dc"]}},
        "continual.memory: unknown key 'metod'; did you mean 'method'?",
    ),
    # Overrides that could never match.
    "when without block": (
        {"methods__dc__overrides": [{"iterations": 1}]},
        "methods.dc.overrides[0]: must have a `when` block",
    ),
    "when outside": ({"methods__dc__when": {"ipc": 1}}, "methods.dc: unknown setting 'when'"),
    "overrides as a block": (
        {"methods__dc__overrides": {"when": {"ipc": 1}}},
        "methods.dc.overrides: must be a list",
    ),
    "network of a method": (
        {"methods__dc__overrides": [{"when": {"network": "MLP"}, "iterations": 1}]},
        "methods.dc.overrides[0].when: unknown key 'network'; known are dataset, method, init, "
        "ipc, seed",
    ),
    "method of the full training set": (
        {"vanilla__overrides": [{"when": {"method": "dc"}, "epochs": 1}]},
        "vanilla.overrides[0].when: unknown key 'method'; known are dataset, network",
    ),
    "ipc of an expert": (
        {"experts__default__overrides": [{"when": {"ipc": 1}, "epochs": 9}]},
        "experts.default.overrides[0].when: unknown key 'ipc'",
    ),
    "ipc of continual": (
        {"continual__overrides": [{"when": {"ipc": 1}, "epochs": 9}]},
        "continual.overrides[0].when: unknown key 'ipc'",
    ),
    "when of another type": (
        {"evaluate__overrides": [{"when": {"ipc": "one"}, "epochs": 9}]},
        "evaluate.overrides[0].when.ipc: must be a whole number, not 'one'",
    ),
    # Values.
    "ipc 0": ({"grid": [{**BLOCK, "ipc": 0}]}, "grid[0].ipc: must be 1 or more, not 0"),
    "ipc 0 in a list": (
        {"grid": [{**BLOCK, "ipc": [1, 0]}]},
        "grid[0].ipc[1]: must be 1 or more, not 0",
    ),
    "ipc as a text": (
        {"grid": [{**BLOCK, "ipc": "one"}]},
        "grid[0].ipc: must be a whole number of 1 or more or a list, not 'one'",
    ),
    "ipc 1.0": (
        {"grid": [{**BLOCK, "ipc": [1.0]}]},
        "grid[0].ipc[0]: must be a whole number: write 1, not 1.0",
    ),
    "count as YAML 1.1 reads 1e3": (
        {"methods__dc__iterations": "1e3"},
        "methods.dc.iterations: must be a whole number: write 1000, not '1e3'",
    ),
    "count with a fraction": (
        {"methods__dc__iterations": "1.5"},
        "methods.dc.iterations: must be a whole number, not '1.5'",
    ),
    "ipc true": (
        {"grid": [{**BLOCK, "ipc": [True]}]},
        "grid[0].ipc[0]: must be a whole number, not True",
    ),
    "ipc above a class": (
        {"grid": [{**BLOCK, "ipc": 127}]},
        "grid: ipc 127 is above the smallest class of digits: 140 training images, 14 of them "
        "held out for validation; at most 126 is possible",
    ),
    "seed": ({"grid": [{**BLOCK, "seed": -1}]}, "grid[0].seed: must be 0 or more, not -1"),
    "negative rate": (
        {"methods__dc__lr_images": -0.1},
        "methods.dc.lr_images: must be above 0, not -0.1",
    ),
    "negative rate in an override": (
        {"methods__dc__overrides": [{"when": {"ipc": 1}, "lr_images": -1}]},
        "methods.dc.overrides[0].lr_images: must be above 0, not -1",
    ),
    "negative rate of a variant": (
        {"methods__dc_bold": {"of": "dc", "overrides": [{"when": {"ipc": 1}, "lr_images": -1}]}},
        "methods.dc_bold.overrides[0].lr_images: must be above 0, not -1",
    ),
    "experts too short for a variant": (
        {
            "grid": [{**BLOCK, "method": "mtt_far"}],
            "methods": {"mtt": MTT, "mtt_far": {"of": "mtt", "max_start_epoch": 20}},
        },
        "methods.mtt_far: starts below max_start_epoch 20",
    ),
    "negative evaluation rate": ({"evaluate__lr": -1}, "evaluate.lr: must be above 0, not -1"),
    "negative expert rate": (
        {"experts__default__lr": 0},
        "experts.default.lr: must be above 0, not 0",
    ),
    "rate as a text": (
        {"evaluate__lr": "learnt"},
        "evaluate.lr: must be a number above 0 or `learned`, not 'learnt'",
    ),
    "rate as a text without a number": (
        {"methods__mtt__lr_step_size": "1e"},
        "methods.mtt.lr_step_size: must be a number, not '1e'",
    ),
    "rate as a text without end": (
        {"methods__mtt__lr_step_size": "1e999"},
        "methods.mtt.lr_step_size: must be a finite number, not inf",
    ),
    "rate as a text that is no number": (
        {"evaluate__momentum": "nan"},
        "evaluate.momentum: must be a number, not 'nan'",
    ),
    "negative rate as a text": (
        {"methods__mtt__lr_step_size": "-1e-5"},
        "methods.mtt.lr_step_size: must be 0 or more, not -1e-05",
    ),
    "seed without end": (
        {"seed": 10**40},
        "seed: must be below 2 to the power of 63, not a number of such length",
    ),
    "rate that is no number": (
        {"methods__dc__lr_images": float("nan")},
        "methods.dc.lr_images: must be a finite number, not nan",
    ),
    "rate without end": (
        {"evaluate__overrides": [{"when": {"ipc": 1}, "lr": float("inf")}]},
        "evaluate.overrides[0].lr: must be a finite number, not inf",
    ),
    "loops": (
        {"methods__dc__outer": "aut"},
        "methods.dc.outer: must be a whole number of 1 or more or `auto`, not 'aut'",
    ),
    "section": ({"evaluate": None}, "evaluate: must be a block of keys, not None"),
    "method's section": (
        {"methods": {"dc": None}},
        "methods.dc: must be a block of settings, not None",
    ),
    "grid": (
        {"grid": []},
        "grid: has no block, and `imported` no set; a study has at least one of them",
    ),
    "title": ({"study": ""}, "study: must not be empty, not ''"),
    "width": ({"networks__ConvNet__width": 0}, "networks.ConvNet.width: must be 1 or more, not 0"),
    "a width that no memory holds": (
        {"networks__ConvNet__width": 10**9},
        "networks.ConvNet.width: must be 4096 or less, not 1000000000",
    ),
    "share": ({"data__validation": 0.5}, "data.validation: must be below 0.5, not 0.5"),
    "precision": (
        {"compute__precision": "float16"},
        "compute.precision: must be one of auto, float32, not 'float16'",
    ),
    "threads": ({"compute__threads": 1.5}, "compute.threads: must be a whole number, not 1.5"),
    # Counts that no machine has.
    "more threads": (
        {"compute__threads": 10000},
        "compute.threads: must be 1024 or less, not 10000",
    ),
    "more experts": (
        {"experts__default__number": 1000000},
        "experts.default.number: must be 10000 or less, not 1000000",
    ),
    "more images": (
        {"grid": [{**BLOCK, "ipc": 10**12}]},
        "grid[0].ipc: must be 1000000 or less, not 1000000000000",
    ),
    "more shards": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": MTT,
            "experts__default": {"number": 8000, "shard": 2},
        },
        "experts.default: 4000 jobs; at most 1000 are possible: raise shard to 8, or lower number",
    ),
    "more sets in a block": (
        {"grid": [{**BLOCK, "seed": list(range(10001))}]},
        "grid[0]: 10001 sets; a block has at most 10000",
    ),
    "more sets in all": (
        {
            "grid": [
                {**BLOCK, "seed": list(range(6000))},
                {**BLOCK, "ipc": 2, "seed": list(range(6000))},
            ]
        },
        "grid: 12000 sets; a study has at most 10000",
    ),
    "product without end": (
        {"grid": [{key: [value] * 10**4 for key, value in BLOCK.items()}]},
        "grid[0]: 10000000000000000 sets",
    ),
    "depth": (
        {"networks__ConvNet__depth": 33},
        "networks.ConvNet.depth: must be 32 or less, not 33",
    ),
    # Folders that cannot be.
    "results with a NUL": (
        {"results": "a\0b"},
        "results: must be a path of printable characters, not 'a\\x00b'",
    ),
    "results of two lines": (
        {"results": "a\nb"},
        "results: must be a path of printable characters",
    ),
    "results of a name too long": (
        {"results": "a/" + "b" * 256},
        "results: is too long: a path has at most 255 characters between two slashes",
    ),
    "results of a path too long": ({"results": "/".join(["a"] * 2000)}, "results: is too long"),
    "results that is a file": (
        {"results": str(ROOT / "README.md")},
        "results: README.md is a file; name a folder",
    ),
    "results below a file": (
        {"results": str(ROOT / "README.md" / "more" / "yet")},
        "results: README.md is a file; name a folder",
    ),
    "results everywhere": ({"results": "/"}, "results: / is or holds the working directory"),
    "results above": ({"results": ".."}, "results: .. is or holds the working directory"),
    "results here": ({"results": "./"}, "results: . is or holds the working directory"),
    "results": ({"results": "results/{study}"}, "results: a folder without braces"),
    # Things that do not go together.
    "coreset from noise": (
        {"grid": [{**BLOCK, "method": "random", "init": "noise"}]},
        "grid[0]: random chooses real images",
    ),
    "experts too short": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": MTT,
            "experts__default": {"epochs": 3},
        },
        "methods.mtt: starts below max_start_epoch 3 with expert_epochs 2 reach to epoch 4, "
        "beyond the 3 epochs of experts.default on digits; lower",
    ),
    "experts too short for one cell": (
        {
            "grid": [{**BLOCK, "method": "mtt", "ipc": [1, 2]}],
            "methods__mtt": {**MTT, "overrides": [{"when": {"ipc": 2}, "max_start_epoch": 15}]},
        },
        "methods.mtt: starts below max_start_epoch 15 with expert_epochs 2 reach to epoch 16, "
        "beyond the 15 epochs",
    ),
    "experts in another space": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": {**MTT, "normalization": "zca"},
            "experts__default": {"epochs": 5},
        },
        "methods.mtt: normalization 'zca' at ipc 1 on digits, but experts.default has 'channel': ",
    ),
    "set in another space than its experts": (
        {
            "grid": [{**BLOCK, "method": "mtt"}],
            "methods__mtt": MTT,
            "experts__default": {"epochs": 5, "normalization": "zca"},
        },
        "methods.mtt: normalization 'channel' at ipc 1 on digits, but experts.default has 'zca': ",
    ),
    "no such space": (
        {"methods__dc__normalization": "ZCA"},
        "methods.dc.normalization: must be one of channel, zca, not 'ZCA'",
    ),
    "no such space of experts": (
        {"experts__default__normalization": "pca"},
        "experts.default.normalization: must be one of channel, zca, not 'pca'",
    ),
    "no recipe": (
        {"grid": [{**BLOCK, "method": "mtt"}], "experts": {}},
        "experts: has no recipe 'default', which methods.mtt learns from",
    ),
    "distillation network too large": (
        {"network": "VGG11"},
        "network: VGG11 needs images of at least 28 pixels a side; digits has 8",
    ),
    "distillation network too deep": (
        {"networks__ConvNet__depth": 4},
        "network: ConvNet with depth 4 needs images of at least 16 pixels a side; depth 3 is the "
        "most for these; digits has 8",
    ),
    "channels that make no groups": (
        {"networks__ConvNet": {"norm": "group", "width": 6}},
        "networks.ConvNet: with norm group the width must be a multiple of 4, such as 4 or 8, not "
        "6",
    ),
    "evaluation networks too large": (
        {"evaluate__networks": ["VGG11"]},
        "evaluate.networks: VGG11 needs images of at least",
    ),
    "network with batch normalisation": (
        {"networks__ConvNet__norm": "batch"},
        "network: ConvNet has batch normalisation",
    ),
    "continual network too large": (
        {"continual__network": "VGG11"},
        "continual.network: VGG11 needs images of at least",
    ),
    "share that rounds to nothing": (
        {"data__validation": 0.005},
        "evaluate.selection: needs validation images, and data.validation 0.005 leaves none",
    ),
    "groups": (
        {"continual__groups": 11},
        "continual.groups: 11 groups of 10 classes; 1 to 10 is possible",
    ),
    "groups in full": (
        {"continual__groups": [[0, 1], [2]]},
        "continual.groups: [[0, 1], [2]] must name each class 0 to 9 once",
    ),
    "continual dataset": (
        {"continual__datasets": ["MNIST"]},
        "continual.datasets: 'MNIST' is not in the grid, which has digits",
    ),
    "memory of no set": (
        {"continual__memory": {"ipc": [50]}},
        "continual.memory: unknown ipc 50; known are 1",
    ),
    "memory of no method": (
        {"continual__memory": {"method": ["mtt"]}},
        "continual.memory: unknown method 'mtt'; known are dc",
    ),
    "memory of no set that is all": (
        {
            "grid": [BLOCK, {**BLOCK, "method": "random", "ipc": 2}],
            "continual__memory": {"method": ["dc"], "ipc": [2]},
        },
        "continual.memory: no set of the grid is all that it asks for",
    ),
    # Released sets.
    "missing file": (
        {"imported": [{"name": "x", "dataset": "digits", "file": "no/res.pt", "ipc": 1}]},
        "imported[0]: file no/res.pt is missing",
    ),
    "released for no dataset": (
        {"imported": [{"name": "x", "dataset": "digit", "file": "a", "ipc": 1}]},
        "imported[0]: unknown dataset 'digit'",
    ),
    "name of a method": (
        {"imported": [{"name": "dc", "dataset": "digits", "file": "a", "ipc": 1}]},
        "imported[0]: the name 'dc' is taken",
    ),
    "name of the full training set": (
        {"imported": [{"name": "whole", "dataset": "digits", "file": "a", "ipc": 1}]},
        "imported[0]: the name 'whole' is taken",
    ),
    "name of a path": (
        {"imported": [{"name": "../x", "dataset": "digits", "file": "a", "ipc": 1}]},
        "imported[0].name: must match",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_that_says_where_and_what(name):
    changes, told = REFUSED[name]
    assert refusal(**changes).startswith(f"config: {told}")


def test_two_released_sets_need_two_names_and_a_pair_of_files_is_one_set(tmp_path):
    entry = {"name": "x", "dataset": "digits", "file": str(tmp_path / "images.pt"), "ipc": 1}
    (tmp_path / "images.pt").touch()
    assert refusal(imported=[entry, entry]).startswith(
        "config: imported[0]: the name 'x' is used twice"
    )
    missing = str(tmp_path / "labels.pt")
    assert refusal(imported=[{**entry, "labels": missing}]).startswith(
        f"config: imported[0]: labels {missing} is missing"
    )
    assert refusal(imported=[{**entry, "labels": entry["file"], "sets": 2}]).startswith(
        "config: imported[0]: an images-and-labels pair holds one set"
    )


def test_the_limits_themselves_are_accepted():
    assert study(grid=[{**BLOCK, "ipc": 126}]).cells[0].ipc == 126
    assert (
        study(grid=[{**BLOCK, "ipc": 140}], data__validation=0, evaluate__selection={"models": 0})
        .cells[0]
        .ipc
        == 140
    )
    assert study(
        grid=[{**BLOCK, "method": "mtt"}], methods__mtt=MTT, experts__default={"epochs": 5}
    ).cells
    assert study(continual__memory={"ipc": [1]}, continual__strategies=["finetune"]).cells


# ---- teachers ------------------------------------------------------------------------------------


def opponents(method, **changes):
    return {"grid": [{**BLOCK, "method": method, "init": "real"}], **changes}


def test_a_teacher_s_epoch_lies_within_its_experts_training():
    experts = {"default": {"epochs": 4}}
    study(**opponents("el2n", experts=experts, methods={"el2n": {"teacher_epoch": 4}}))
    told = refusal(**opponents("el2n", experts=experts, methods={"el2n": {"teacher_epoch": 5}}))
    assert told == (
        "config: methods.el2n: teacher_epoch 5 is beyond the 4 epochs of experts.default on "
        "digits; lower it, or raise experts.default.epochs to 5"
    )


def test_an_epoch_that_is_chosen_needs_images_to_choose_it_on():
    none = {"data": {"validation": 0}}
    told = refusal(**opponents("soft_random", **none))
    assert told == (
        "config: methods.soft_random: decides on validation images, and data.validation 0 leaves "
        "none of digits; raise it"
    )
    study(**opponents("soft_random", **none, methods={"soft_random": {"teacher_epoch": 3}}))
    study(**opponents("soft_random"))


@pytest.mark.parametrize("features, learns", [("expert", True), ("random_network", False)])
def test_experts_are_trained_for_features_that_are_theirs_alone(features, learns):
    asked = study(**opponents("herding", methods={"herding": {"features": features}}))
    assert [asked.learns(cell) for cell in asked.cells] == [learns]


# ---- teachers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"evaluate__teacher": {"epoch": 3}},
            "config: evaluate.teacher: nobody learns from it, for evaluate.labels has no teacher; "
            "add it, as in labels: [own, teacher]",
        ),
        (
            {"evaluate__labels": ["teacher"], "evaluate__teacher": {"experts": "big"}},
            "config: evaluate.teacher: unknown expert recipe 'big'; known are default",
        ),
        (
            {"evaluate__labels": ["teacher"], "evaluate__teacher": {"epoch": 99}},
            "config: evaluate.teacher: epoch 99 is beyond the 15 of experts.default.epochs on "
            "digits; lower it, or raise that to 99",
        ),
        (
            {"vanilla__labels": "teacher", "vanilla__teacher": {"number": 11}},
            "config: vanilla.teacher: number 11 is beyond the 10 of experts.default.number on "
            "digits; lower it, or raise that to 11",
        ),
        (
            {"evaluate__labels": "teacher", "methods__dc": {"normalization": "zca"}},
            "config: evaluate.teacher: labels images in the space 'zca' on digits, but "
            "experts.default has 'channel'; name a recipe with `normalization: zca`, or leave the "
            "teacher out of their labels by an override",
        ),
        (
            {"vanilla__labels": "teacher", "experts__default": {"normalization": "zca"}},
            "config: vanilla.teacher: labels images in the space 'channel' on digits, but "
            "experts.default has 'zca'; name a recipe with `normalization: channel`, or leave the "
            "teacher out of their labels by an override",
        ),
        (
            {
                "evaluate__labels": "teacher",
                "grid": [{**BLOCK, "method": "random"}],
                "networks": {"ConvNet": {"norm": "batch"}},
            },
            "config: evaluate.teacher: ConvNet, which the experts are, has batch normalisation, "
            "whose statistics are not kept with experts; take ConvNet with norm instance as "
            "`network`",
        ),
        (
            {"evaluate__labels": "tutor"},
            "config: evaluate.labels: must be one of own, hard, teacher, not 'tutor'",
        ),
        ({"evaluate__first": [0]}, "config: evaluate.first[0]: must be 1 or more, not 0"),
    ],
)
def test_a_teacher_is_there_and_knows_the_images(changes, said):
    assert refusal(**changes) == said


def test_a_teacher_whom_only_some_sets_have_is_none_too_many():
    overrides = [{"when": {"method": "random"}, "labels": ["teacher"]}]
    found = study(
        grid=[{**BLOCK, "method": ["dc", "random"]}],
        evaluate__teacher={"epoch": 3},
        evaluate__overrides=overrides,
        methods__dc={"normalization": "zca"},
    )
    settings = {cell.method: found.evaluation(cell, "ConvNet") for cell in found.cells}
    assert "teacher" not in settings["dc"]  # of no consequence for what it is asked
    assert settings["random"]["teacher"] == {
        **{"experts": "default", "number": 1, "epoch": 3, "temperature": 1}
    }


def test_parts_are_of_sets_that_are_larger():
    found = study(grid=[{**BLOCK, "ipc": [1, 5, 10]}], evaluate__first=[10, 5, 1, 5])
    first = {cell.ipc: found.evaluation(cell, "ConvNet")["first"] for cell in found.cells}
    assert first == {1: [], 5: [1], 10: [1, 5]}
