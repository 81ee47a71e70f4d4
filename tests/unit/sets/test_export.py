"""A set as a product: loaded in a line, exported as pictures and for a hub, and told about on the
command line."""

import csv
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision.datasets import ImageFolder

import distillery
from distillery import __main__ as commands
from distillery import plugins
from distillery.errors import UserError
from distillery.recipe import Recipe
from distillery.sets import export
from distillery.sets import released as imported
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, files
from distillery.store.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
MEAN, STD = {1: [0.1307], 3: [0.4914, 0.4822, 0.4465]}, {1: [0.3081], 3: [0.2023, 0.1994, 0.2010]}
CLASSES = ["T-shirt/top", "ankle boot", "a|b"]
PROTOCOL = {
    "epochs": 20,
    "lr": "learned",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch": 4,
    "decay": "half",
    "augment": "none",
    "models": 5,
}
CELL = {"dataset": "FashionMNIST", "method": "mtt", "init": "noise", "ipc": 2, "seed": 1}


def levels(channels=1, count=6):
    """(N, C, 16, 16) uint8 with every level in each image's channel."""
    generator = torch.Generator().manual_seed(channels)
    return (
        torch.stack(
            [torch.randperm(256, generator=generator).view(16, 16) for _ in range(count * channels)]
        )
        .view(count, channels, 16, 16)
        .to(torch.uint8)
    )


def made(channels=1, soft=False, step_size=0.03, **header):
    pixels = levels(channels)
    mean, std = (torch.tensor(values[channels]).view(-1, 1, 1) for values in (MEAN, STD))
    labels = torch.tensor([2, 2, 0, 0, 1, 1])
    if soft:
        labels = torch.softmax(
            torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
            + 9 * torch.nn.functional.one_hot(labels),
            1,
        )
    about = {
        **CELL,
        "classes": CLASSES,
        "normalization": {"kind": "channel", "mean": MEAN[channels], "std": STD[channels]},
        "licence": "MIT",
        "settings": {"iterations": 100, "lr_images": 1000},
        "network": {"name": "ConvNet", "options": {"depth": 3}},
        "iterations": 100,
        "version": "0.1.0",
        "code": "0123456789abcdef",
        "protocol": PROTOCOL,
    }
    return SyntheticSet((pixels / 255 - mean) / std, labels, step_size, {**about, **header})


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def front(card):
    """The metadata of a card, and the rest."""
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


def test_a_variant_is_told_as_its_method_s_and_with_the_experts_that_it_had():
    experts = {
        "recipe": "few",
        "number": 2,
        "epochs": 5,
        "settings": {"lr": 0.01},
        "shards": ["0" * 64],
    }
    told = dict(export.describe(made(method="mtt_slow", of="mtt", experts=experts)))
    assert told["made"].startswith("distilled by mtt_slow (a variant of MTT) from Gaussian noise")
    assert told["experts"] == "2 of 5 epochs, recipe few"
    settings = dict(export._settings({**CELL, "of": "mtt", "experts": experts}))
    assert (
        settings["of"] == "mtt"
        and settings["experts.number"] == "2"
        and settings["experts.settings.lr"] == "0.01"
    )
    assert (
        "released by others"
        in dict(export.describe(made(method="theirs", init="imported")))["made"]
    )


# ---- in Python -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_the_inverse_of_normalise_for_every_level(channels):
    found = made(channels)
    assert torch.equal(found.pixels(), levels(channels))
    again = found.normalise(levels(channels))
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, found.images, rtol=0, atol=1e-6)


def test_pixels_are_clipped_and_rounded():
    found = made()
    found.images = torch.full((6, 1, 4, 4), 100.0)
    found.images[0] = -100
    found.images[1] = (0.6 / 255 - MEAN[1][0]) / STD[1][0]
    assert found.pixels().flatten(1).unique(dim=1).flatten().tolist() == [0, 1, 255, 255, 255, 255]


@pytest.mark.parametrize(
    "images, message",
    [
        (
            torch.zeros(2, 1, 4, 4),
            r"float32 of shape \(2, 1, 4, 4\); uint8 \(N, 1, H, W\) is needed",
        ),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), r"shape \(2, 3, 4, 4\)"),
        (torch.zeros(1, 4, 4, dtype=torch.uint8), r"shape \(1, 4, 4\)"),
    ],
)
def test_images_that_the_set_cannot_normalise_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        made().normalise(images)


@pytest.mark.parametrize(
    "normalization",
    [None, {"kind": "other", "mean": [0.1], "std": [0.3]}, {"kind": "channel", "mean": [0.1]}],
)
def test_a_normalisation_that_is_not_known_is_refused_rather_than_guessed(normalization):
    found = made(normalization=normalization)
    for convert in (found.pixels, lambda: found.normalise(levels())):
        with pytest.raises(UserError, match="its normalization is"):
            convert()


def test_the_recipe_is_the_sets_protocol_with_its_own_rate():
    fixed = {**PROTOCOL, "lr": 0.5}
    expected = {
        "epochs": 20,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch": 4,
        "decay": "half",
        "augment": "none",
    }
    assert made().recipe() == Recipe(lr=0.03, **expected)
    assert made(step_size=None).recipe() == Recipe(lr=0.01, **expected)
    assert made(protocol=fixed).recipe() == Recipe(lr=0.5, **expected)
    with pytest.raises(UserError, match="brings no protocol"):
        made(protocol=None).recipe()
    with pytest.raises(UserError, match="lacks 'momentum'"):
        made(protocol={"epochs": 1, "lr": 0.1}).recipe()


def test_a_set_is_loaded_in_a_line_and_a_missing_or_damaged_one_is_told_of_without_a_study(
    tmp_path,
):
    made().save(tmp_path / "set.safetensors")
    found = distillery.load(tmp_path / "set.safetensors")
    assert torch.equal(found.images, made().images) and found.recipe().lr == 0.03
    with pytest.raises(UserError, match=r"none\.safetensors: is missing; give the path") as told:
        distillery.load(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "set.safetensors").read_bytes()[:-9])
    with pytest.raises(
        UserError, match=r"cut\.safetensors: cannot be read .* get it again"
    ) as told_of_cut:
        distillery.load(tmp_path / "cut.safetensors")
    assert "snakemake" not in f"{told.value}{told_of_cut.value}"


def test_importing_the_package_loads_neither_torch_nor_anything_else_that_is_large():
    code = (
        "import sys, distillery; from distillery import load; print(sorted({'torch', 'numpy', "
        "'pandas'} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


# ---- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_hold_the_pixels_bit_for_bit(tmp_path, channels):
    export.image_folder(made(channels), tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    names = (
        "2_a_b/0",
        "2_a_b/1",
        "0_T-shirt_top/2",
        "0_T-shirt_top/3",
        "1_ankle_boot/4",
        "1_ankle_boot/5",
    )
    assert [row["file"] for row in rows] == [f"{name}.png" for name in names]
    for row, expected in zip(rows, levels(channels)):
        with Image.open(tmp_path / "out" / row["file"]) as picture:
            assert picture.mode == {1: "L", 3: "RGB"}[channels]
            assert np.array_equal(
                np.asarray(picture).reshape(16, 16, channels), expected.permute(1, 2, 0).numpy()
            )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "0_T-shirt_top",
        "1_ankle_boot",
        "2_a_b",
        "README.md",
        "labels.csv",
        "set.json",
    ]


def test_labels_of_hard_labels(tmp_path):
    export.image_folder(made(), tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    assert list(rows[0]) == ["file", "class", "name"]
    assert [(row["class"], row["name"]) for row in rows] == [
        (str(label), CLASSES[label]) for label in (2, 2, 0, 0, 1, 1)
    ]


def test_soft_labels_come_back_to_the_last_bit_and_stand_under_their_likeliest_class(tmp_path):
    synthetic = made(soft=True)
    export.image_folder(synthetic, tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    assert list(rows[0]) == [
        "file",
        "class",
        "name",
        "probability_0",
        "probability_1",
        "probability_2",
    ]
    found = torch.tensor(
        [[float(row[f"probability_{index}"]) for index in range(3)] for row in rows],
        dtype=torch.float32,
    )
    assert torch.equal(found, synthetic.labels)
    assert [int(row["class"]) for row in rows] == synthetic.labels.argmax(1).tolist()


def test_numbers_of_pictures_sort_as_the_set_does(tmp_path):
    few = made()
    many = SyntheticSet(
        few.images[[0] * 101], torch.zeros(101, dtype=torch.int64), None, few.header
    )
    export.image_folder(many, tmp_path)
    assert sorted(path.name for path in (tmp_path / "0_T-shirt_top").iterdir())[::50] == [
        "000.png",
        "050.png",
        "100.png",
    ]


def test_the_header_stands_beside_the_pictures(tmp_path):
    synthetic = made()
    export.image_folder(synthetic, tmp_path / "out")
    found = json.loads((tmp_path / "out/set.json").read_text(encoding="utf-8"))
    assert found == {
        **synthetic.header,
        "step_size": 0.03,
        "sha256": artefact.digest(synthetic.tensors()),
    }
    assert found["sha256"] in (tmp_path / "out/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "classes, expected",
    [
        (["a/b", "a b", "a_b"], ["a_b", "a_b_1", "a_b_2"]),
        (["cat", "Cat", "cat_1"], ["0_cat", "1_Cat_1", "2_cat_1_2"]),
        (["../..", "", "/"], ["class", "class_1", "class_2"]),
        (["con", "README.md", "été"], ["0_con_0", "1_README_md", "2_été"]),
        (["1", "0", "2"], ["0_1", "1_0", "2_2"]),
        (["x" * 200, "x" * 201, ".hidden"], ["0_" + "x" * 60, "1_" + "x" * 60 + "_1", "2_hidden"]),
    ],
)
def test_names_of_classes_become_safe_and_stay_apart(tmp_path, classes, expected):
    assert export.safe_names(classes) == expected
    export.image_folder(made(classes=classes), tmp_path / "out")
    rows = rows_of(tmp_path / "out/labels.csv")
    assert {(int(row["class"]), row["name"], row["file"].split("/")[0]) for row in rows} == {
        (i, classes[i], expected[i]) for i in range(3)
    }
    assert all((tmp_path / "out" / row["file"]).is_file() for row in rows)


@pytest.mark.parametrize(
    "classes",
    [
        list(map(str, range(12))),
        [f"n{7 * n % 12}" for n in range(12)],
        sorted("abcdefghijkl"),
        list("ABcdefghijKl"),
    ],
)
def test_torchvision_numbers_the_classes_as_the_table_does(tmp_path, classes):
    few = made()
    labels = torch.arange(24) * 5 % 12
    export.image_folder(
        SyntheticSet(
            few.images[torch.arange(24) % 6], labels, None, {**few.header, "classes": classes}
        ),
        tmp_path / "out",
    )
    theirs = ImageFolder(tmp_path / "out")
    numbers = {
        Path(path).relative_to(tmp_path / "out").as_posix(): number
        for path, number in theirs.samples
    }
    assert numbers == {
        row["file"]: int(row["class"]) for row in rows_of(tmp_path / "out/labels.csv")
    }
    assert sorted(numbers.values()) == sorted(labels.tolist())


def test_a_class_without_images_keeps_its_number_for_torchvision(tmp_path):
    few = made()
    export.image_folder(
        SyntheticSet(few.images, torch.tensor([2, 2, 0, 0, 2, 2]), None, few.header),
        tmp_path / "out",
    )
    with pytest.raises(
        FileNotFoundError, match="1_ankle_boot"
    ):  # rather than numbering the others anew
        ImageFolder(tmp_path / "out")
    assert {number for _, number in ImageFolder(tmp_path / "out", allow_empty=True).samples} == {
        0,
        2,
    }


def test_images_that_are_no_pictures_are_refused(tmp_path):
    space = {"kind": "channel", "mean": [0, 0], "std": [1, 1]}
    synthetic = SyntheticSet(
        torch.zeros(3, 2, 4, 4), torch.arange(3), None, {**made().header, "normalization": space}
    )
    for form in (export.image_folder, export.hub):
        with pytest.raises(UserError, match=r"1 channel \(grey\) or 3 \(colour\), not 2"):
            form(synthetic, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---- for a hub -----------------------------------------------------------------------------------


def test_the_hubs_copy_is_the_set_and_brings_a_picture(tmp_path):
    made(soft=True).save(tmp_path / "set.safetensors")
    loaded = distillery.load(tmp_path / "set.safetensors")
    export.hub(loaded, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "data",
        "synthetic.png",
        "synthetic.safetensors",
    ]
    assert (tmp_path / "out/synthetic.safetensors").read_bytes() == (
        tmp_path / "set.safetensors"
    ).read_bytes()
    again = distillery.load(tmp_path / "out/synthetic.safetensors")
    assert (
        torch.equal(again.images, loaded.images)
        and torch.equal(again.labels, loaded.labels)
        and again.step_size == loaded.step_size
    )
    with Image.open(tmp_path / "out/synthetic.png") as picture:
        assert picture.size == (
            2 * (64 + 2) - 2,
            3 * (64 + 2) - 2,
        )  # a row a class, two images each


@pytest.mark.parametrize("channels, soft", [(1, False), (3, True)])
def test_datasets_loads_every_row_of_the_hubs_copy_with_its_names_and_asks_no_network(
    tmp_path, channels, soft
):
    synthetic = made(channels, soft=soft)
    export.hub(synthetic, tmp_path / "out")
    code = """
import json, socket, sys
def refused(*_):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
import numpy, datasets
rows = datasets.load_dataset(sys.argv[1])
assert list(rows) == ["train"], rows
rows = rows["train"]
told = {"label": rows["label"][:], "names": rows.features["label"].names}
told["images"] = [numpy.asarray(image).tolist() for image in rows["image"]]
told |= {"kind": type(rows.features["image"]).__name__, "columns": rows.column_names}
told["soft"] = rows["probabilities"][:] if "probabilities" in rows.column_names else None
print(json.dumps(told))
"""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (
        told["kind"] == "Image" and told["names"] == CLASSES and told["label"] == [2, 2, 0, 0, 1, 1]
    )
    images = torch.tensor(told["images"], dtype=torch.uint8)
    assert torch.equal(
        images[:, None] if channels == 1 else images.permute(0, 3, 1, 2), synthetic.pixels()
    )
    assert told["columns"] == ["image", "label", *["probabilities"] * soft]
    assert not soft or torch.equal(
        torch.tensor(told["soft"], dtype=torch.float32), synthetic.labels
    )


def test_without_pyarrow_a_line_says_what_to_install_and_pictures_need_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pyarrow is needed: pip install pyarrow") as told:
        export.hub(made(), tmp_path / "out")
    assert "\n" not in str(told.value) and not (tmp_path / "out").exists()
    export.image_folder(made(), tmp_path / "out")


def test_classes_of_one_name_are_told_apart_for_a_hub(tmp_path):
    export.hub(made(classes=["a", "b", "a"]), tmp_path / "out")
    found, _ = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert found["dataset_info"]["features"][1]["dtype"]["class_label"]["names"] == {
        "0": "a (0)",
        "1": "b",
        "2": "a (2)",
    }


def test_the_card_has_the_metadata_that_a_hub_reads(tmp_path):
    export.hub(made(), tmp_path / "out")
    found, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert found == {
        "pretty_name": "FashionMNIST distilled into 2 images per class by MTT",
        "license": "mit",
        "task_categories": ["image-classification"],
        "size_categories": ["n<1K"],
        "tags": ["dataset-distillation", "synthetic", "distillery", "mtt", "fashionmnist"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}
        ],
        "dataset_info": {
            "features": [
                {"name": "image", "dtype": "image"},
                {
                    "name": "label",
                    "dtype": {
                        "class_label": {
                            "names": {"0": "T-shirt/top", "1": "ankle boot", "2": "a|b"}
                        }
                    },
                },
            ]
        },
    }
    assert text.strip().startswith(f"# {found['pretty_name']}\n\n![")


@pytest.mark.parametrize(
    "licence, expected",
    [
        ("CC BY-SA 3.0", {"license": "cc-by-sa-3.0"}),
        ("CC BY 4.0", {"license": "cc-by-4.0"}),
        ("MIT", {"license": "mit"}),
        ("none stated by its authors", {"license": "unknown"}),
        (
            "for non-commercial use only",
            {
                "license": "other",
                "license_name": "for-non-commercial-use-only",
                "license_link": "https://github.com/zalandoresearch/fashion-mnist",
            },
        ),
    ],
)
def test_licences_by_the_hubs_names(tmp_path, licence, expected):
    export.hub(made(licence=licence), tmp_path / "out")
    found, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert {name: value for name, value in found.items() if name.startswith("license")} == expected
    assert f"| licence | {licence} |" in text


@pytest.mark.parametrize("dataset", sorted(plugins.datasets()))
def test_a_card_names_the_home_and_the_licence_of_every_dataset(tmp_path, dataset):
    header = {name: value for name, value in made().header.items() if name != "licence"}
    spec = plugins.datasets()[dataset]
    synthetic = SyntheticSet(made().images, made().labels, None, {**header, "dataset": dataset})
    export.hub(synthetic, tmp_path / "out")
    found, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert spec.home in text and f"| licence | {spec.licence} |" in text
    assert found["license"] in {"mit", "cc-by-4.0", "cc-by-sa-3.0", "unknown", "other"} and (
        "license_name" in found
    ) == (found["license"] == "other")


@pytest.mark.parametrize(
    "count, expected", [(999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K")]
)
def test_the_size_category_counts_images(tmp_path, count, expected):
    synthetic = SyntheticSet(
        torch.zeros(count, 1, 1, 1), torch.zeros(count, dtype=torch.int64), None, made().header
    )
    export.hub(synthetic, tmp_path / "out")
    assert front((tmp_path / "out/README.md").read_text(encoding="utf-8"))[0][
        "size_categories"
    ] == [expected]


def test_a_card_says_by_which_settings_and_how_to_train(tmp_path):
    export.hub(made(), tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    for row in (
        "method | mtt",
        "init | noise",
        "seed | 1",
        "iterations | 100",
        "lr_images | 1000",
        "network.options.depth | 3",
    ):
        assert f"| {row} |" in text
    for row in (
        "epochs | 20",
        "learning rate | 0.03 (learned with the set)",
        "momentum | 0.9",
        "decay | times 0.1 after epoch 11, momentum back to 0",
    ):
        assert f"| {row} |" in text
    assert (
        "not clipped" in text
        and "not bit-equal" in text
        and "from Gaussian noise in 100 iterations" in text
    )
    assert (
        "No measurement was given" in text
        and "classes: 0 (T-shirt/top), 1 (ankle boot), 2 (a|b)" in text
    )


def test_a_card_does_not_call_real_images_synthetic_and_invents_no_protocol(tmp_path):
    export.hub(made(method="herding", init="real", protocol=None, step_size=None), tmp_path / "out")
    metadata, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert "synthetic" not in metadata["tags"] and "coreset" in metadata["tags"]
    assert (
        "6 real training images of FashionMNIST" in text
        and "Nothing here is synthetic" in text
        and "copies of real ones" in text
    )
    assert "brings no protocol" in text and "recipe()" not in text


def test_the_code_in_the_cards_runs(tmp_path):
    made(soft=True).save(tmp_path / "set.safetensors")
    export.hub(made(soft=True), tmp_path / "hub")
    export.image_folder(made(soft=True), tmp_path / "images")
    for folder in ("hub", "images"):
        (code,) = re.findall(
            r"```python\n(.*?)```",
            (tmp_path / folder / "README.md").read_text(encoding="utf-8"),
            re.DOTALL,
        )
        given = (
            "import torch\nimages = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)\n"
            if folder == "hub"
            else ""
        )
        told = (
            "print(recipe.epochs, len(loader), tests.shape[0])"
            if folder == "hub"
            else "print(len(rows), rows[0][1], rows[0][0].size)"
        )
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", given + code + told],
            cwd=tmp_path / folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (done.stderr, done.stdout.strip()) == (
            "",
            {"hub": "20 2 2", "images": "6 2 (16, 16)"}[folder],
        )


# ---- figures -------------------------------------------------------------------------------------


@pytest.fixture
def measured(tmp_path):
    """Two sets of a cell: what counts, and every kind of row that does not."""
    metrics = Metrics(rule="evaluate_synthetic", selection="last", split="test")
    for seed, values in ((1, [0.5, 0.7]), (2, [0.9, 0.5])):
        for model, value in enumerate(values):
            metrics.add("accuracy", value, **{**CELL, "seed": seed}, network="ConvNet", model=model)
    metrics.add("accuracy", 0.25, **CELL, network="MLP", model=0)
    for more in (
        {"split": "train"},
        {"selection": "best_test", "network": "LeNet"},
        {"epoch": 10},
        {"stage": 0, "strategy": "finetuning"},
        {"method": "dc"},
        {"init": "real"},
        {"ipc": 1},
        {"dataset": "MNIST"},
    ):
        metrics.add("accuracy", 0.01, **{**CELL, "network": "ConvNet", "model": 0, **more})
    for model, value in enumerate((0.75, 0.85)):
        metrics.add(
            "accuracy",
            value,
            dataset="FashionMNIST",
            method="whole",
            network="ConvNet",
            model=model,
        )
    metrics.add("class_accuracy", 0.02, **CELL, network="ConvNet", model=0, class_=1)
    metrics.add("loss", 0.03, **CELL, network="ConvNet", model=0)
    metrics.save(tmp_path / "metrics.csv")
    return tmp_path / "metrics.csv"


def test_the_figures_are_those_computed_by_hand(tmp_path, measured):
    export.hub(made(), tmp_path / "out", [measured])
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    # 50 and 70; 50, 70, 90 and 50, whose mean is 65 and whose deviations are 15, 5, 25 and 15: the
    # root of 275 is 16.58.
    assert "| network | this set | all seeds | full training set |" in text
    assert (
        "| ConvNet | 60.00 ± 10.00 (2 networks) [a] | 65.00 ± 16.58 (4 networks, 2 sets) [a] "
        "| 80.00 ± 5.00 (2 networks) [a] |" in text
    )
    assert "LeNet" not in text
    assert "| MLP | 25.00 (1 network) [a] | 25.00 (1 network, 1 set) [a] | not measured |" in text
    assert (
        "- [a]: not recorded: the costs.json of the study does not stand beside the metrics" in text
    )


MEASURED = {
    **PROTOCOL,
    "lr": 0.01,
    "epochs": 7,
    "batch": 256,
    "models": 2,
    "curve": 3,
    "selection": None,
}


def recorded(folder, **changes):
    """The study's records beside its table: of the networks on the set and on the whole dataset."""
    digest = artefact.digest(made().tensors())
    own = {
        "rule": "evaluate_synthetic",
        **CELL,
        "network": "ConvNet",
        "settings": MEASURED,
        "inputs": {"synthetic": [digest]},
        **changes,
    }
    other = {**own, "network": "MLP", "settings": {**MEASURED, "lr": "learned"}}
    whole = {
        "rule": "train_vanilla",
        "dataset": "FashionMNIST",
        "network": "ConvNet",
        "settings": {**MEASURED, "epochs": 3},
    }
    (folder / "costs.json").write_text(json.dumps([whole, other, own]), encoding="utf-8")


def test_each_figure_has_the_protocol_that_it_was_measured_by_beside_it(tmp_path, measured):
    recorded(tmp_path)
    export.hub(made(), tmp_path / "out", [measured])
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert (
        "| ConvNet | 60.00 ± 10.00 (2 networks) [a] | 65.00 ± 16.58 (4 networks, 2 sets) [a] "
        "| 80.00 ± 5.00 (2 networks) [b] |" in text
    )
    assert "| MLP | 25.00 (1 network) [c] |" in text
    for letter, epochs, rate in (
        ("a", 7, "0.01"),
        ("b", 3, "0.01"),
        ("c", 7, "0.03 (learned with the set)"),
    ):
        assert f"- [{letter}]: epochs {epochs}, learning rate {rate}, decay " in text
    # The published protocol is called what it is, and the figures are not said to be of it.
    assert "the one that MTT was published with" in text and "| epochs | 20 |" in text
    assert "That is not the published protocol" in text


def test_figures_by_the_published_protocol_are_said_to_be(tmp_path, measured):
    recorded(tmp_path)
    kept = json.loads((tmp_path / "costs.json").read_text(encoding="utf-8"))
    for record in kept:
        record["settings"] = {**PROTOCOL, "models": 2}
    (tmp_path / "costs.json").write_text(json.dumps(kept), encoding="utf-8")
    export.image_folder(made(), tmp_path / "out", [measured])
    assert "That is the published protocol." in (tmp_path / "out/README.md").read_text(
        encoding="utf-8"
    )


def test_figures_of_another_set_of_the_same_names_are_refused(tmp_path, measured):
    recorded(tmp_path, inputs={"synthetic": ["0" * 64]})
    with pytest.raises(
        UserError, match="on another set of the same names, that of digest 000000000000"
    ) as told:
        export.hub(made(), tmp_path / "out", [measured])
    assert "\n" not in str(told.value) and not (tmp_path / "out").exists()


def test_one_set_alone_has_no_column_of_all_seeds(tmp_path, measured):
    lines = measured.read_text(encoding="utf-8").splitlines(keepends=True)
    measured.write_text(
        "".join(line for line in lines if ",2,2,ConvNet" not in line and ",whole," not in line),
        encoding="utf-8",
    )
    export.image_folder(made(), tmp_path / "out", [measured])
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert (
        "| network | this set |\n" in text
        and "| ConvNet | 60.00 ± 10.00 (2 networks) [a] |\n" in text
        and "all seeds" not in text
    )


def test_metrics_of_another_set_are_refused(tmp_path, measured):
    with pytest.raises(
        UserError,
        match=r"no test accuracy of this set \(dataset FashionMNIST, method mtt, init noise, ipc 2, seed 7\)",
    ):
        export.hub(made(seed=7), tmp_path / "out", [measured])
    assert not (tmp_path / "out").exists()


# ---- whole or not at all -------------------------------------------------------------------------


@pytest.mark.parametrize("form", [export.image_folder, export.hub])
def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(tmp_path, form):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(UserError, match="out: is not empty"):
        form(made(), tmp_path / "out")
    with pytest.raises(UserError, match="mine: is a file"):
        form(made(), tmp_path / "out/mine")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/mine",
    ]
    assert (tmp_path / "out/mine").read_text() == "mine"


@pytest.mark.parametrize("form", [export.image_folder, export.hub])
def test_an_empty_folder_is_filled_and_an_export_gives_the_same_bytes_again(tmp_path, form):
    (tmp_path / "a").mkdir()
    digests = []
    for name in ("a", "deeper/b"):
        form(made(), tmp_path / name)
        found = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append(
            [
                (path.relative_to(tmp_path / name), hashlib.sha256(path.read_bytes()).hexdigest())
                for path in found
            ]
        )
    assert digests[0] == digests[1] and len(digests[0]) > 2
    # As readable as the usual mask makes a folder.
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "deeper").stat().st_mode


@pytest.mark.parametrize("form", [export.image_folder, export.hub])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch, form, existing):
    if existing:
        (tmp_path / "out").mkdir()
    wrote = []

    def fail(path, text):
        wrote.extend(Path(path).parent.rglob("*.png"))
        raise OSError("no space left")

    monkeypatch.setattr(files, "write_text", fail)
    with pytest.raises(OSError, match="no space left"):
        form(made(), tmp_path / "out")
    assert wrote  # it had begun
    assert [path.name for path in tmp_path.rglob("*")] == ["out"] * existing


# ---- the command line ----------------------------------------------------------------------------


def test_the_command_line_in_a_process_of_its_own(tmp_path):
    made().save(tmp_path / "set.safetensors")
    run = [sys.executable, "-m", "distillery"]
    done = subprocess.run(
        [*run, "export", str(tmp_path / "set.safetensors"), str(tmp_path / "out"), "--as", "hub"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert torch.equal(
        distillery.load(tmp_path / "out/synthetic.safetensors").images, made().images
    )
    done = subprocess.run(
        [*run, "info", str(tmp_path / "none")], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"error: {tmp_path / 'none'}: is missing; give the path of a file that exists\n"
    )


def test_info_says_what_a_set_is(tmp_path, capsys):
    made().save(tmp_path / "set.safetensors")
    assert commands.main(["info", str(tmp_path / "set.safetensors")]) == 0
    lines = dict(re.split("  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["set"] == "FashionMNIST distilled into 2 images per class by MTT, seed 1"
    assert lines["images"].startswith(
        "(6, 1, 16, 16) float32, -0.424 to 2.82; normalised as (pixel / 255 - mean) / std with "
        "mean 0.1307"
    )
    assert lines["labels"] == "one of 3 classes each; 2 images per class"
    assert (
        lines["step size"] == "0.03"
        and "epochs 20; learning rate 0.03 (learned with the set)" in lines["published protocol"]
    )
    assert (
        lines["source"]
        == "FashionMNIST, https://github.com/zalandoresearch/fashion-mnist, licence: MIT"
    )
    assert lines["digest"] == artefact.digest(made().tensors())


def test_info_says_what_a_file_of_others_holds_and_which_entry_takes_it(tmp_path, capsys):
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save(images, tmp_path / "images_best.pt")
    torch.save(torch.eye(10).repeat(2, 1) * 9 - 0.9, tmp_path / "labels_best.pt")
    files = [str(tmp_path / name) for name in ("images_best.pt", "labels_best.pt")]
    assert commands.main(["info", files[0], "--labels", files[1]]) == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["images"] == "(20, 1, 8, 8) float32"
    assert rows["looks like"] == "pixels that were not normalised"
    mean, std = float(images.mean()), float(images.std(correction=0))
    spread = f"its mean is {mean:.2f} and its standard deviation {std:.2f} ("
    assert rows["spread"].startswith(spread)
    assert "no probabilities" in rows["labels"] and "they look like logits" in rows["labels"]
    entry = yaml.safe_load(rows["entry"])
    assert entry == {
        **{"name": "released", "dataset": "digits", "ipc": 2, "file": files[0]},
        **{"labels": files[1], "normalization": "pixels", "labels_are": "logits"},
    }
    spec = plugins.datasets()["digits"].spec
    assert imported.check(entry, spec, "here") == []  # the entry that it names is taken
    (tmp_path / "page.pt").write_text("<html>")
    assert commands.main(["info", str(tmp_path / "page.pt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a web page, which is not read" in line


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.tensor(0.013289), {"step size": "0.013289", "entry": "step_size: "}),
        (torch.arange(10), {"labels": "(10) int64, 0 to 9", "entry": "labels: "}),
        (torch.eye(10), {"labels": "probabilities of 10 classes", "entry": "labels: "}),
        (torch.eye(10) * 9 - 0.9, {"labels": "logits", "entry": "labels_are: logits"}),
    ],
    ids=["step size", "classes", "probabilities", "logits"],
)
def test_info_takes_what_stands_beside_images_for_no_images(tmp_path, capsys, value, told):
    torch.save(value, tmp_path / "file.pt")
    assert commands.main(["info", str(tmp_path / "file.pt")]) == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["images"] == "none in the file" and "looks like" not in rows
    assert all(text in rows[name] for name, text in told.items()), rows


def test_info_reads_flat_rows_as_images_and_refuses_what_is_not_finite(tmp_path, capsys):
    torch.save(torch.randn(10, 784), tmp_path / "flat.pt")
    assert commands.main(["info", str(tmp_path / "flat.pt")]) == 0
    assert "(10, 784) float32" in capsys.readouterr().out
    torch.save(torch.full((10, 1, 8, 8), math.nan), tmp_path / "nan.pt")
    assert commands.main(["info", str(tmp_path / "nan.pt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "NaN" in line and "finite float32 is needed" in line


def test_export_with_figures_and_its_errors(tmp_path, measured, capsys):
    made().save(tmp_path / "set.safetensors")
    arguments = [
        "export",
        str(tmp_path / "set.safetensors"),
        str(tmp_path / "out"),
        "--as",
        "images",
        "--metrics",
        str(measured),
    ]
    assert commands.main(arguments) == 0
    assert "60.00 ± 10.00" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert commands.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "is not empty" in line
    assert (
        commands.main([*arguments[:2], str(tmp_path / "set.safetensors/below"), "--as", "hub"]) == 1
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
