"""The card of a set: what a hub and a person read of it."""

import json
import re
import subprocess

import pytest
import torch

from distillery import plugins
from distillery.sets import folder
from distillery.sets.synthetic import SyntheticSet
from tests.unit.sets.toys import PROTOCOL, ROOT, front, made, recorded


def test_the_card_has_the_metadata_that_a_hub_reads(tmp_path):
    folder.hub(made(), tmp_path / "out")
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
    folder.hub(made(licence=licence), tmp_path / "out")
    found, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert {name: value for name, value in found.items() if name.startswith("license")} == expected
    assert f"| licence | {licence} |" in text


@pytest.mark.parametrize("dataset", sorted(plugins.datasets()))
def test_a_card_names_the_home_and_the_licence_of_every_dataset(tmp_path, dataset):
    header = {name: value for name, value in made().header.items() if name != "licence"}
    spec = plugins.datasets()[dataset]
    synthetic = SyntheticSet(made().images, made().labels, None, {**header, "dataset": dataset})
    folder.hub(synthetic, tmp_path / "out")
    found, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert spec.home in text and f"| licence | {spec.licence} |" in text
    assert found["license"] in {"mit", "cc-by-4.0", "cc-by-sa-3.0", "unknown", "other"} and (
        "license_name" in found
    ) == (found["license"] == "other")


@pytest.mark.slow
@pytest.mark.parametrize(
    "count, expected", [(999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K")]
)
def test_the_size_category_counts_images(tmp_path, count, expected):
    synthetic = SyntheticSet(
        torch.zeros(count, 1, 1, 1), torch.zeros(count, dtype=torch.int64), None, made().header
    )
    folder.hub(synthetic, tmp_path / "out")
    assert front((tmp_path / "out/README.md").read_text(encoding="utf-8"))[0][
        "size_categories"
    ] == [expected]


def test_a_card_says_by_which_settings_and_how_to_train(tmp_path):
    folder.hub(made(), tmp_path / "out")
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
    folder.hub(made(method="herding", init="real", protocol=None, step_size=None), tmp_path / "out")
    metadata, text = front((tmp_path / "out/README.md").read_text(encoding="utf-8"))
    assert "synthetic" not in metadata["tags"] and "coreset" in metadata["tags"]
    assert (
        "6 real training images of FashionMNIST" in text
        and "Nothing here is synthetic" in text
        and "copies of real ones" in text
    )
    assert "brings no protocol" in text and "recipe()" not in text


@pytest.mark.slow
def test_the_code_in_the_cards_runs(tmp_path, starter):
    made(soft=True).save(tmp_path / "set.safetensors")
    folder.hub(made(soft=True), tmp_path / "hub")
    folder.image_folder(made(soft=True), tmp_path / "images")
    for kind in ("hub", "images"):
        (code,) = re.findall(
            r"```python\n(.*?)```",
            (tmp_path / kind / "README.md").read_text(encoding="utf-8"),
            re.DOTALL,
        )
        given = (
            "import torch\nimages = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)\n"
            if kind == "hub"
            else ""
        )
        told = (
            "print(recipe.epochs, len(loader), tests.shape[0])"
            if kind == "hub"
            else "print(len(rows), rows[0][1], rows[0][0].size)"
        )
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
        script = tmp_path / f"{kind}.py"
        script.write_text(given + code + told, encoding="utf-8")
        done = subprocess.run(
            [starter.interpreter, script],
            cwd=tmp_path / kind,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (done.stderr, done.stdout.strip()) == (
            "",
            {"hub": "20 2 2", "images": "6 2 (16, 16)"}[kind],
        )


@pytest.mark.slow
def test_each_figure_has_the_protocol_that_it_was_measured_by_beside_it(tmp_path, measured):
    recorded(tmp_path)
    folder.hub(made(), tmp_path / "out", [measured])
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


@pytest.mark.slow
def test_figures_by_the_published_protocol_are_said_to_be(tmp_path, measured):
    recorded(tmp_path)
    kept = json.loads((tmp_path / "costs.json").read_text(encoding="utf-8"))
    for record in kept:
        record["settings"] = {**PROTOCOL, "models": 2}
    (tmp_path / "costs.json").write_text(json.dumps(kept), encoding="utf-8")
    folder.image_folder(made(), tmp_path / "out", [measured])
    assert "That is the published protocol." in (tmp_path / "out/README.md").read_text(
        encoding="utf-8"
    )
