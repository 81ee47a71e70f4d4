"""Plug-ins from outside: found in folders and installed packages, checked as ours are, and named in
one line where they are wrong."""

import importlib.metadata
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from distillery import declarations, literals, outside, plugged, plugins
from distillery.errors import UserError
from distillery.store.layout import Layout
from distillery.study import fingerprint
from distillery.study.jobs import Jobs
from tests.unit.study.small import refusal, study
from tests.unit.test_plugins import CORESET, DATASET, METHOD, NETWORK

AUGMENTATION = '''"""Nothing at all."""

from distillery.augmentations import none


def draw(n, generator, *, shape, flip_allowed):
    return none.draw(n, generator, shape=shape, flip_allowed=flip_allowed)
'''
SHARED = '"""What two share."""\n\nRATE = {"type": "number", "default": 1, "description": "R."}\n'
FILES = {
    "mine/methods/first.py": CORESET,
    "mine/methods/best.py": METHOD,
    "mine/networks/linear.py": NETWORK,
    "mine/datasets/coins.py": DATASET,
    "mine/augmentations/still.py": AUGMENTATION,
    "mine/_shared.py": SHARED,
    "mine/README.md": "# Mine\n",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        put(name, text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("mine", "theirs", "other", "flat"):
            del sys.modules[name]


def put(name, text):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    literals.tree.cache_clear()
    literals.literal.cache_clear()


def install(monkeypatch, points):
    """Have packages name their plug-ins; torch asks for another group."""
    real = importlib.metadata.entry_points
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: points if group == plugged.GROUP else real(group=group),
    )


def gathered(*folders):
    return plugged.gather(folders)


def refused(*folders):
    with pytest.raises(UserError) as caught:
        gathered(*folders)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["mine/", "mine", "./mine", "{here}/mine"])
def test_the_plug_ins_of_a_folder_stand_beside_ours(folder, here):
    known = gathered(folder.format(here=here))
    assert set(known.methods) == {*plugins.methods(), "first", "best"}
    assert set(known.networks) == {*plugins.networks(), "Linear"}
    assert set(known.datasets) == {*plugins.datasets(), "Coins"}
    assert set(known.augmentations) == {*plugins.augmentations(), "still"}
    assert known.methods["first"].is_coreset and known.methods["first"].title == "First"
    assert known.methods["best"].order == declarations.LAST
    assert outside.find(known.methods["best"].source).file == here / "mine/methods/best.py"
    assert known.methods["dc"].source == "" and known.methods["dc"].code == "methods/dc.py"
    for name in ("best", "dsa"):
        if "augment" in known.methods[name].settings:
            assert known.methods[name].settings["augment"]["enum"] == list(known.augmentations)
    # The library's own are as they were.
    assert "first" not in plugins.methods()
    assert plugins.methods()["mtt"].settings["augment"]["enum"] == list(plugins.augmentations())


def test_the_kind_of_a_file_is_distinguished_from_what_it_declares():
    for name, text in (
        ("first", CORESET),
        ("linear", NETWORK),
        ("coins", DATASET),
        ("still", AUGMENTATION),
    ):
        put(f"flat/{name}.py", text)
    put("flat/_shared.py", SHARED)
    known = gathered("flat/")
    assert known.methods["first"].source == "@flat/:first.py"
    assert {"Linear", "Coins", "still"} <= {
        *known.networks,
        *known.datasets,
        *known.augmentations,
    }


@pytest.mark.parametrize("statement", ["from mine import _shared", "from .. import _shared"])
def test_a_literal_may_be_that_of_a_module_beside(statement):
    text = METHOD.replace('"""Matches nothing."""', statement)
    put("mine/methods/best.py", text.replace("SETTINGS = {", "SETTINGS = {\n    **_shared.MORE,"))
    more = "MORE = {'extra': {'type': 'number', 'default': 2, 'description': 'X'}}\n"
    put("mine/_shared.py", SHARED + more)
    assert gathered("mine/").methods["best"].settings["extra"]["default"] == 2


def test_a_folder_that_is_named_twice_is_one():
    assert set(gathered("mine/", "./mine").methods) == set(gathered("mine/").methods)


def test_an_installed_package_names_its_plug_ins(here, monkeypatch):
    put("site/theirs/plugs/__init__.py", "")
    put("site/theirs/__init__.py", "")
    put("site/theirs/plugs/methods/first.py", CORESET)
    monkeypatch.syspath_prepend(str(here / "site"))
    points = [EntryPoint("any", "theirs.plugs", plugged.GROUP)]
    install(monkeypatch, points)
    assert gathered().methods["first"].source == "@theirs.plugs:methods/first.py"
    assert study(grid=[{"dataset": "digits", "method": "first", "init": "real", "ipc": 1}])
    assert outside.load("@theirs.plugs:methods/first.py").TITLE == "First"
    put("site/theirs/plugs/methods/dc.py", CORESET)
    assert refused() == (
        "plug-ins of the package any: methods/dc.py: the name 'dc' is taken by "
        "distillery/methods/dc.py; give it another"
    )


def test_an_entry_point_that_leads_nowhere_is_reported(monkeypatch):
    points = [EntryPoint("any", "nowhere.plugs", plugged.GROUP)]
    install(monkeypatch, points)
    assert refused() == "plug-ins of the package any: is no package; name one that holds plug-ins"


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (
            "mine/methods/dc.py",
            CORESET,
            "config: plugins: mine/: methods/dc.py: the name 'dc' is taken by distillery/meth",
        ),
        (
            "mine/networks/mlp.py",
            NETWORK.replace("Linear", "MLP"),
            "the name 'MLP' is taken by distillery/networks/mlp.py",
        ),
        ("mine/first.py", CORESET, "first.py: the name 'first' is taken by mine/methods/first.py"),
        ("mine/notes.py", "NOTES = 1\n", "notes.py: does not say what it is: a method binds KIND"),
        ("mine/method/a.py", "", "method/: is no kind of plug-in; did you mean methods/?"),
        ("mine/methods/a-b.py", CORESET, "mine/methods/a-b.py: is named by letters, digits"),
        ("mine/methods/bad.py", "def select(:\n", "mine/methods/bad.py: line 1: is not Python"),
        ("mine/methods/bad.py", "KIND = 'coreset'\n", "mine/methods/bad.py: select: is missing"),
        ("mine/methods/bad.py", "KIND = 'other'\n", "mine/methods/bad.py: KIND: must be distilled"),
        ("mine/networks/bad.py", "def build(): pass\n", "mine/networks/bad.py: SPEC: is missing"),
        ("mine/datasets/bad.py", "SPEC = {}\n", "mine/datasets/bad.py: FILES: is missing"),
        ("mine/augmentations/bad.py", "X = 1\n", "mine/augmentations/bad.py: draw: is missing"),
    ],
)
def test_what_is_wrong_is_said_by_file_and_field(path, text, words):
    put(path, text)
    assert words in refused("mine/")


def test_a_default_that_its_own_rule_refuses_is_reported():
    put(
        "mine/methods/best.py",
        METHOD.replace('"minimum": 1, "default": 10', '"minimum": 1, "default": 0'),
    )
    assert refusal(plugins=["mine/"]).startswith(
        "mine/methods/best.py: SETTINGS.iterations: default: must be 1 or more"
    )


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("gone/", "config: plugins: gone/: there is no such folder"),
        ("empty/", "config: plugins: empty/: holds no plug-in: folders datasets, networks"),
        ("./file.py", "config: plugins: ./file.py: is a file; name its folder"),
        ("my-own/", "config: plugins: my-own/: its plug-ins are imported as 'my-own'"),
        ("json/", "which must be of letters, digits and underscores and no module of Python"),
    ],
)
def test_a_folder_that_cannot_be_one_is_reported(folder, words, here):
    (here / "empty").mkdir()
    (here / "my-own").mkdir()
    (here / "json").mkdir()
    (here / "file.py").write_text("", encoding="utf-8")
    assert words in refused(folder)


def test_two_folders_of_one_name_are_reported():
    put("other/mine/methods/third.py", CORESET)
    assert refused("mine/", "other/mine/") == (
        "config: plugins: other/mine/: its plug-ins are imported as 'mine', as those of mine; give "
        "one of the folders another name"
    )


@pytest.mark.parametrize("value", [3, [3], [""], {"a": 1}])
def test_a_key_that_names_no_folders_is_reported(value):
    assert refusal(plugins=value).startswith("config: plugins: must be folders of plug-ins")


# ---- in a study ----------------------------------------------------------------------------------

GRID = [
    {"dataset": ["digits", "Coins"], "method": ["best", "mtt"], "init": "real", "ipc": 1},
    {"dataset": "Coins", "method": "first", "init": "real", "ipc": 1},
]


def own(**changes):
    return study(
        **{
            "plugins": "mine/",
            "grid": GRID,
            "methods": {
                "best": {"augment": "still"},
                "variant": {"of": "best", "rate": 2},
                "mtt": {"iterations": 5, "expert_epochs": 2, "max_start_epoch": 3},
            },
            "evaluate": {"networks": ["ConvNet", "Linear"], "augment": "still"},
            **changes,
        }
    )


def test_a_study_of_plug_ins_from_outside_hands_their_references_to_its_jobs():
    read = own()
    jobs = Jobs(read, Layout("results"))
    cell = {"dataset": "Coins", "method": "best", "init": "real", "ipc": "1", "seed": "0"}
    asked = jobs.params("distill", cell)
    assert asked.source == "@mine/:methods/best.py" and asked.module == "best"
    assert asked.settings["augment"] == "@mine/:augmentations/still.py"
    assert asked.code.split(" ")[1:] == [
        "@mine/:methods/best.py",
        "networks/convnet",
        "@mine/:augmentations/still.py",
    ]
    judged = jobs.params("evaluate_synthetic", {**cell, "network": "Linear"})
    assert judged.network["source"] == "@mine/:networks/linear.py"
    assert "factory" not in judged.network
    assert judged.settings["augment"] == "@mine/:augmentations/still.py"
    assert jobs.params("download", {"dataset": "Coins"}).source == "@mine/:datasets/coins.py"
    assert jobs.params("download", {"dataset": "digits"}).source == "datasets/digits.py"
    assert jobs.params("collect", {}).config["evaluate"]["augment"] == "still"
    json.dumps(jobs.of_results())
    assert type(read)(read.config).config == read.config
    assert read.methods["variant"].source == "@mine/:methods/best.py"


def test_an_augmentation_that_no_folder_has_is_refused():
    words = "must be one of dc_bn, dc_mnist, dsa, flip, none, still, not 'gone'"
    assert words in refusal(plugins="mine/", evaluate__augment="gone")
    changed = [{"when": {"network": "ConvNet"}, "augment": "gone"}]
    assert words in refusal(plugins="mine/", evaluate__overrides=changed)
    assert "still" not in refusal(evaluate__augment="gone")
    assert words in refusal(plugins="mine/", methods__mtt__augment="gone")


def codes():
    fingerprint.forget()
    jobs = Jobs(own(), Layout("results"))
    return {
        (job.rule, *(value for _, value in job.wildcards)): jobs.params(
            job.rule, dict(job.wildcards)
        ).code
        for job in jobs.all
    }


def changed(before, after):
    assert before.keys() <= after.keys()
    return {key for key, code in before.items() if after[key] != code}


@pytest.mark.slow
def test_what_an_edit_makes_stale():
    before = codes()
    put("mine/methods/another.py", METHOD)
    put("mine/networks/another.py", NETWORK.replace("Linear", "Another"))
    assert changed(before, codes()) == set()
    put("mine/methods/best.py", METHOD + "\nMORE = 1\n")
    edited = codes()
    assert {key[0] for key in changed(before, edited)} == {"distill"}
    assert {key[2] for key in changed(before, edited)} == {"best"}
    put("mine/networks/linear.py", NETWORK + "\nMORE = 1\n")
    after = codes()
    assert {(key[0], key[-1]) for key in changed(edited, after)} == {
        ("evaluate_synthetic", "Linear")
    }
    put("mine/datasets/coins.py", DATASET + "\nMORE = 1\n")
    assert changed(after, codes()) == {("download", "Coins")}
    put("mine/methods/best.py", METHOD + "\nfrom mine import _shared\n")
    with_shared = codes()
    put("mine/_shared.py", SHARED + "MORE = 2\n")
    assert {key[2] for key in changed(with_shared, codes())} == {"best"}
