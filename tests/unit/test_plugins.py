"""Plug-ins: what their files say, read without running them, and what is refused before any job."""

import shutil

import pytest

from distillery import declarations, limits, literals, plugins
from distillery.errors import UserError
from distillery.study import load

READERS = (plugins.methods, plugins.datasets, plugins.networks, plugins.augmentations)
CACHED = (*READERS, literals.literal, literals.tree)

CORESET = '''"""The first images of each class."""

import torch

from distillery.methods import base

TITLE = "First"
KIND = "coreset"


def select(task: base.Task) -> torch.Tensor:
    """Choose the first ``ipc`` training images of each class."""
    index = base.ClassIndex(task.labels, task.classes)
    return torch.cat([members[: task.ipc] for members in index.members])
'''
METHOD = '''"""Matches nothing."""

TITLE = "Mine"
KIND = "distilled"
NEEDS_EXPERTS = True
SETTINGS = {
    "iterations": {"type": "integer", "minimum": 1, "default": 10, "description": "Iterations."},
    "rate": {"type": "number", "minimum": 0, "default": 1, "description": "A rate."},
    "augment": {"type": "string", "default": "none", "description": "Augmentation."},
}


def build(task):
    """Give back the start."""
'''
NETWORK = '''"""One linear layer."""

from torch import nn

from distillery.networks import Network

SPEC = {"name": "Linear", "minimum_size": 1}


def build(channels, size, classes) -> Network:
    return Network(nn.Flatten(), channels * size * size, classes)
'''
DATASET = '''"""Two classes of small pictures."""

SPEC = {
    "name": "Coins",
    "channels": 3,
    "size": 16,
    "classes": ("heads", "tails"),
    "train": 100,
    "test": 20,
    "smallest_class": 40,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.2, 0.2, 0.2),
    "licence": "MIT",
    "home": "https://example.org",
    "horizontal_flip": False,
    "raw": "nhwc",
    "sha256": {},
}
FILES = ("coins.npz",)
SOURCES = {}
'''
FILES = {
    "methods/first.py": CORESET,
    "methods/mine.py": METHOD,
    "networks/linear.py": NETWORK,
    "datasets/coins.py": DATASET,
}


def forget():
    for function in CACHED:
        function.cache_clear()


@pytest.fixture
def add(tmp_path, monkeypatch):
    """A library of its own, to which files can be added: `add(path, text)`."""
    for folder in plugins.FOLDERS:
        shutil.copytree(literals.LIBRARY / folder, tmp_path / folder)
    monkeypatch.setattr(literals, "LIBRARY", tmp_path)
    forget()

    def write(path, text):
        (tmp_path / path).write_text(text, encoding="utf-8")
        forget()

    yield write
    forget()


def test_every_file_of_the_library_says_what_it_is():
    for folder, reader in zip(("methods", "datasets", "networks", "augmentations"), READERS):
        files = {path.stem for path in (literals.LIBRARY / folder).glob("[!_]*.py")} - {"base"}
        found = reader()
        assert {name.lower() for name in found} == files
        assert all(plugin.title and plugin.name == name for name, plugin in found.items())


def test_the_orders_and_colours_of_methods_are_their_own():
    found = list(plugins.methods().values())
    for coreset in (True, False):
        orders = [
            m.order for m in found if m.is_coreset == coreset and m.order != declarations.LAST
        ]
        assert len(orders) == len(set(orders)) > 1
    colours = [method.colour for method in found if method.colour]
    assert len(colours) == len(set(colours)) > 1


def test_a_new_file_is_all_that_a_plug_in_needs(add):
    for path, text in FILES.items():
        add(path, text)
    study = load.study(
        {
            "study": "New",
            "network": "Linear",
            "grid": [
                {"dataset": "Coins", "method": ["first", "mine"], "init": "real", "ipc": [1, 36]}
            ],
            "methods": {"mine": {"rate": 2, "augment": "dsa"}},
            "evaluate": {"networks": ["Linear", "ConvNet"]},
            "vanilla": {"networks": ["Linear", "VGG11"]},
            "continual": {"network": "Linear"},
        }
    )
    first, mine = study.methods["first"], study.methods["mine"]
    assert first.is_coreset and not mine.is_coreset
    assert (first.title, first.settings, first.needs_experts) == ("First", {}, False)
    assert first.protocol == plugins.methods()["random"].protocol
    assert (first.order, first.colour) == (declarations.LAST, None)
    assert mine.settings["augment"]["enum"] == list(plugins.augmentations())
    assert study.method_settings(study.cells[-1]) == {
        "iterations": 10,
        "rate": 2,
        "augment": "dsa",
    }
    assert study.datasets["Coins"].title == "Coins" and study.datasets["Coins"].md5 == {}
    assert study.network("Coins", "Linear")["options"] == {}
    assert study.evaluation_networks("Coins") == ["Linear", "ConvNet"]
    assert study.vanilla_networks("Coins") == ["Linear"]  # VGG11 needs larger images


WRONG = {
    "no kind": ("methods/mine.py", 'KIND = "distilled"\n', "", "KIND: is missing; it must be"),
    "another kind": (
        "methods/mine.py",
        '"distilled"',
        '"distillation"',
        "KIND: must be distilled or coreset, not 'distillation'",
    ),
    "title": ("methods/mine.py", '"Mine"', "3", "TITLE: must be a text, not 3"),
    "flag": (
        "methods/mine.py",
        "True",
        '"yes"',
        "NEEDS_EXPERTS: must be True, False or a block of settings",
    ),
    "no literal": (
        "methods/mine.py",
        '"Mine"',
        '"Mi" + str(3)',
        "TITLE: must be a literal of texts, numbers, lists and blocks",
    ),
    "no function": ("methods/mine.py", "def build", "def make", "build: is missing"),
    "no choice": ("methods/first.py", "def select", "def build", "select: is missing"),
    "factored coreset": (
        "methods/first.py",
        'KIND = "coreset"',
        'KIND = "coreset"\nFACTORED = True',
        "FACTORED: is for a method that distils",
    ),
    "no iterations": (
        "methods/mine.py",
        '"iterations"',
        '"steps"',
        "SETTINGS.iterations: is missing",
    ),
    "setting without a default": (
        "methods/mine.py",
        '"default": 1, ',
        "",
        "SETTINGS.rate: default: is missing",
    ),
    "setting without words": (
        "methods/mine.py",
        ', "description": "A rate."',
        "",
        "SETTINGS.rate: description: is missing",
    ),
    "setting of no type": (
        "methods/mine.py",
        '"number", "minimum"',
        '"float", "minimum"',
        "SETTINGS.rate.type: must be one of integer, number, string, boolean, not 'float'",
    ),
    "setting with a misspelt rule": (
        "methods/mine.py",
        '"minimum": 0',
        '"minimun": 0',
        "SETTINGS.rate: unknown key 'minimun'; did you mean 'minimum'?",
    ),
    "setting that is no block": (
        "methods/mine.py",
        '{"type": "number", "minimum": 0, "default": 1, "description": "A rate."}',
        "1",
        "SETTINGS.rate: must be a block with `type`, `default` and `description`, not 1",
    ),
    "augmentation": (
        "methods/mine.py",
        'TITLE = "Mine"',
        'AUGMENT = "das"',
        f"AUGMENT: must be one of {', '.join(sorted(plugins.augmentations()))}, not 'das'",
    ),
    "no Python": ("methods/mine.py", "def build(", "def build", "line 13: is not Python"),
    "dataset without a size": (
        "datasets/coins.py",
        '    "size": 16,\n',
        "",
        "SPEC.size: is missing; it must be pixels a side, or a list of height and width",
    ),
    "dataset with a misspelt key": (
        "datasets/coins.py",
        '"licence"',
        '"license"',
        "SPEC: unknown key 'license'; did you mean 'licence'?",
    ),
    "mean of another number of channels": (
        "datasets/coins.py",
        '"mean": (0.5, 0.5, 0.5)',
        '"mean": (0.5,)',
        "SPEC.mean: must be a list of numbers, one a channel (3), not (0.5,)",
    ),
    "two classes of one name": (
        "datasets/coins.py",
        '"tails"',
        '"heads"',
        "SPEC.classes: must be a list of different texts",
    ),
    "smallest class above the images": (
        "datasets/coins.py",
        '"smallest_class": 40',
        '"smallest_class": 60',
        "SPEC.smallest_class: must be 50 or less, for there are 100 training images, not 60",
    ),
    "dataset without sources": ("datasets/coins.py", "SOURCES", "_SOURCES", "SOURCES: is missing"),
    "no spec": ("datasets/coins.py", "SPEC = {", "SPECS = {", "SPEC: is missing"),
    "network of another name": (
        "networks/linear.py",
        '"Linear"',
        '"Line"',
        "holds the network Line, so it must be called line.py",
    ),
    "network without a smallest size": (
        "networks/linear.py",
        ', "minimum_size": 1',
        "",
        "SPEC.minimum_size: is missing; it must be a whole number of 1 or more",
    ),
    "option without end": (
        "networks/linear.py",
        '"minimum_size": 1',
        '"minimum_size": 1, "options": {"width": {"type": "integer", "default": 1, '
        '"description": "Width."}}',
        "SPEC.options.width: must be a whole number with `minimum` and `maximum`",
    ),
    "constraint on no option": (
        "networks/linear.py",
        '"minimum_size": 1',
        '"minimum_size": 1, "batch_norm": {"norm": ["batch"]}',
        "SPEC.batch_norm: must be one of",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named_with_its_file_before_any_job(add, name):
    path, before, after, message = WRONG[name]
    assert before in FILES[path]
    add(path, FILES[path].replace(before, after, 1))
    with pytest.raises(UserError) as caught:
        for reader in READERS:
            reader()
    assert str(caught.value).startswith(f"distillery/{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", plugins.networks())
def test_a_network_says_whether_it_mixes_the_images_of_a_batch(name):
    """What the SPEC declares, of each value of an option, is what the layers are."""
    from torch import nn

    from distillery import networks

    network = plugins.networks()[name]
    defaults = {key: rule["default"] for key, rule in network.options.items()}
    small = {"width": 4} if "width" in defaults else {}
    for key, rule in network.options.items() or [(None, {})]:
        for value in rule.get("enum", [defaults.get(key)]):
            options = defaults | small | ({key: value} if key and "enum" in rule else {})
            module = networks.build(name, channels=1, size=32, classes=2, **options)
            mixes = any(
                isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules()
            )
            assert limits.mixes_images(network.spec, options) == mixes, (name, options)
