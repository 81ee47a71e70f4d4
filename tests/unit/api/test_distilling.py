"""Sets from images in memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import distillery
from distillery import plugins
from distillery.api import distilling
from distillery.errors import UserError

SMALL = {"network": {"ConvNet": {"width": 8, "depth": 2}}, "threads": 1, "progress": False}
DIGITS = load_digits()
IMAGES = (DIGITS.images * 15.9375).astype(np.uint8)
LABELS = DIGITS.target


def distil(**more):
    return distillery.distil(IMAGES, LABELS, **{**SMALL, "ipc": 2, "iterations": 2, **more})


@pytest.mark.slow
def test_a_set_says_what_it_is_and_comes_back_from_its_file(tmp_path):
    made = distil(name="numerals", licence="BSD", classes=[f"digit {i}" for i in range(10)])
    header = made.header
    assert made.images.shape == (20, 1, 8, 8) and made.labels.tolist() == [
        c for c in range(10) for _ in range(2)
    ]
    assert {key: header[key] for key in ("dataset", "method", "init", "ipc", "seed")} == {
        "dataset": "numerals",
        "method": "dm",
        "init": "real",
        "ipc": 2,
        "seed": 0,
    }
    assert header["classes"][3] == "digit 3" and header["licence"] == "BSD"
    assert header["settings"]["iterations"] == 2 and header["network"]["options"]["width"] == 8
    assert "methods/dm" in header["code"]
    (mean,), (std,) = header["normalization"]["mean"], header["normalization"]["std"]
    assert mean == pytest.approx((IMAGES / 255).mean(), rel=1e-5)
    assert std == pytest.approx((IMAGES / 255).std(), rel=1e-5)
    made.save(tmp_path / "set.safetensors")
    again = distillery.load(tmp_path / "set.safetensors")
    assert torch.equal(again.images, made.images) and again.header.items() >= header.items()


@pytest.mark.slow
def test_a_set_may_start_from_another_one_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = distil(ipc=3)
    place = tmp_path / "results/synthetic/mine/dm/real/ipc3/seed0/synthetic.safetensors"
    place.parent.mkdir(parents=True)
    first.save(place)
    made = distil(init=str(place.relative_to(tmp_path)), lr_images=1e-12)
    kept = first.images.view(10, 3, 1, 8, 8)[:, :2].flatten(0, 1)
    assert torch.allclose(made.images, kept, atol=1e-6)
    assert made.header["init"] == made.header["start"]["name"] == "from_dm_real_ipc3_seed0"
    assert made.header["start"]["of"]["ipc"] == 3
    with pytest.raises(
        UserError, match=r"^the start from_dm_real_ipc3_seed0: has 3 images of class 0"
    ):
        distil(init=str(place), ipc=4)


@pytest.mark.slow
def test_a_network_from_outside_distils(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\n\ndef make(channels, size, classes, width=4):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, width), nn.ReLU(),\n"
        "                         nn.Linear(width, classes))\n",
        encoding="utf-8",
    )
    network = {"mine": {"factory": "nets.py:make", "options": {"width": 6}}}
    made = distil(network=network)
    assert torch.equal(made.images, distil(network=network).images)
    assert made.header["network"]["factory"] == "make"
    assert made.header["network"]["options"] == {"width": 6}


@pytest.mark.slow
def test_the_same_call_gives_the_same_bits_and_a_seed_other_ones():
    assert torch.equal(distil().images, distil().images)
    assert not torch.equal(distil().images, distil(seed=1).images)
    assert not torch.equal(distil().images, distil(study_seed=1).images)


def test_a_coreset_is_of_real_images_and_what_is_held_out_is_in_none():
    everything = {image.tobytes() for image in IMAGES}
    chosen = distillery.baseline(IMAGES, LABELS, "random", 150, validation=0.1, **SMALL)
    assert {image.numpy().tobytes() for image in chosen.pixels()} <= everything
    assert chosen.header["method"] == "random" and len(chosen) == 1500
    with pytest.raises(UserError, match="at most 157 is possible"):
        distillery.baseline(IMAGES, LABELS, "random", 158, validation=0.1, **SMALL)


@pytest.mark.slow
def test_no_expert_is_trained_for_a_method_that_reads_none():
    chosen = distillery.baseline(IMAGES, LABELS, "herding", 1, networks=1, **SMALL)
    assert chosen.header["experts"] is None
    by_experts = distillery.baseline(
        *(IMAGES, LABELS, "herding", 1),
        features="expert",
        experts={"number": 1, "epochs": 1},
        **SMALL,
    )
    assert by_experts.header["experts"]["number"] == 1


def test_what_decides_on_images_that_are_held_out_asks_for_some():
    with pytest.raises(UserError, match=r"and validation 0\.0 leaves none of mine; raise it"):
        distillery.baseline(IMAGES, LABELS, "soft_random", 1, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("experts", [1, {"number": 1, "epochs": 2}])
def test_experts_are_trained_first_where_a_method_learns_from_them(experts):
    steps = {"syn_steps": 1, "expert_epochs": 1, "max_start_epoch": 1, "lr_images": 1}
    made = distil(method="mtt", ipc=1, experts=experts, normalization="zca", **steps)
    assert made.header["experts"]["number"] == 1 and made.step_size is not None
    assert made.header["normalization"]["kind"] == "zca" and made.whitening is not None


@pytest.mark.slow
def test_soft_labels_have_a_hard_counterpart():
    made = distil()
    soft = torch.nn.functional.one_hot(made.labels, 10).float() * 0.8 + 0.02
    softened = distillery.sets.synthetic.SyntheticSet(made.images, soft, None, made.header)
    assert torch.equal(softened.hard().labels, made.labels)
    assert torch.equal(softened.hard().images, made.images)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"iteration": 2}, "distil: dm: unknown setting 'iteration'; did you mean 'iterations'"),
        ({"method": "herdin"}, "distil: unknown method 'herdin'; did you mean 'herding'"),
        ({"ipc": 0}, "distil: ipc: must be 1 or more, not 0"),
        ({"ipc": 1000}, "distil: ipc 1000 is above the smallest class of mine: 174 training"),
        ({"init": "nois"}, "distil: unknown init 'nois'"),
        ({"network": "Convnet"}, "unknown network 'Convnet'; did you mean 'ConvNet'"),
        ({"network": "AlexNet2"}, "unknown network"),
        ({"network": {"ConvNet": {"widht": 8}}}, "unknown option 'widht'; did you mean 'width'"),
        ({"network": ["ConvNet", "MLP"]}, "network: must be one network, not 2"),
        ({"network": "ResNet18BN"}, "has batch normalisation"),
        ({"experts": 2}, "distil: dm learns from no experts"),
        ({"mean": [0.5]}, "mean and std go together"),
        ({"mean": [0.5, 0.5], "std": [0.2, 0.2]}, "mean: must be 1 numbers"),
        ({"mean": [0.5], "std": [0]}, "std: must be above 0"),
        ({"name": "my set"}, "name: must be of letters, digits and underscores"),
        ({"validation": 0.9}, "validation"),
        ({"precision": "half"}, "precision"),
        ({"device": "tpu0"}, "device: 'tpu0' cannot be computed on"),
        ({"seed": -1}, "seed"),
        ({"method": "random", "init": "noise", "iterations": 2}, "random"),
    ],
)
def test_what_cannot_be_distilled_is_refused_in_one_line(more, said):
    with pytest.raises(UserError, match=said) as caught:
        distil(**more)
    assert "\n" not in str(caught.value) and "config" not in str(caught.value)


def test_a_baseline_is_a_coreset():
    with pytest.raises(UserError, match=r"method must be one of .*random.*, not 'dm'"):
        distillery.baseline(IMAGES, LABELS, "dm", 1)


def test_no_setting_of_a_method_is_hidden_by_an_argument():
    own = set(distilling.distil.__kwdefaults__)
    for method in plugins.methods().values():
        assert not own & set(method.settings), method.name


@pytest.mark.slow
def test_the_package_is_light_and_shows_its_functions_late():
    code = (
        "import sys, distillery; assert not {'torch', 'numpy', 'yaml', 'pydantic'} & set("
        "sys.modules); assert {'distil', 'evaluate', 'baseline', 'load'} <= set(dir(distillery));"
        "distillery.distil; assert 'torch' in sys.modules; assert 'pandas' not in sys.modules;"
        "assert not [name for name in sys.modules if name.startswith('distillery.run')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'distill'"):
        _ = distillery.distill
