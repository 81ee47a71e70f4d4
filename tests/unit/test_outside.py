"""Code from outside: what a reference leads to, found without running it, and its import."""

import importlib.metadata
import re
import subprocess
import sys

import pytest

from distillery import literals, outside
from distillery.errors import UserError

FILES = {
    "nets.py": "import beside_nets\n\nVALUE = beside_nets.VALUE\n",
    "beside_nets.py": "VALUE = 1\n",
    "other/nets.py": "VALUE = 2\n",
    "own_pack/__init__.py": "",
    "own_pack/deep/nets.py": "from .blocks import VALUE\n",
    "own_pack/deep/blocks.py": "VALUE = 3\n",
    "plugs/methods/mine.py": "from plugs._shared import VALUE\n",
    "plugs/_shared.py": "VALUE = 4\n",
    "my-plugs/methods/mine.py": "",
    "yaml/methods/mine.py": "",
    "json/methods/mine.py": "",
    "prints.py": "print('hello')\n",
    "exits.py": "raise SystemExit(3)\n",
    "raises.py": "raise ValueError('first\\nsecond')\n",
    "relative.py": "from . import nets\n",
    "torchvision/images.txt": "a folder of data that has a package's name",
}
OWN = {name.partition("/")[0].removesuffix(".py") for name in FILES} - {"torchvision", "yaml"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with the files above, whose modules are forgotten afterwards."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in OWN:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("reference", "file", "value"),
    [
        ("@nets.py", "nets.py", 1),
        ("@./nets.py", "nets.py", 1),
        ("@other/nets.py", "other/nets.py", 2),
        ("@own_pack.deep.nets", "own_pack/deep/nets.py", 3),
        ("@nets", "nets.py", 1),
        ("@plugs/:methods/mine.py", "plugs/methods/mine.py", 4),
        ("@./plugs:methods/mine.py", "plugs/methods/mine.py", 4),
    ],
)
def test_a_reference_leads_to_its_file_and_imports_it(here, reference, file, value):
    code = outside.find(reference)
    assert code.file == here / file and code.package is None
    assert code.name not in sys.modules  # finding runs nothing
    module = outside.load(reference)
    assert vars(module)["VALUE"] == value
    assert outside.load(reference) is module


def test_files_of_one_name_are_two_modules(here):
    one, other = outside.load("@nets.py"), outside.load("@other/nets.py")
    assert (one.VALUE, other.VALUE) == (1, 2)


@pytest.mark.slow
def test_an_installed_package_is_known_by_its_version_and_no_folder_of_data_hides_it(here):
    code = outside.find("@torchvision")
    assert code.package == ("torchvision", importlib.metadata.version("torchvision"))
    assert "torchvision" in outside.load("@torchvision").__file__
    # Its distribution has another name.
    assert outside.find("@yaml.nodes").package[1] == importlib.metadata.version("pyyaml")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("@nope.py", r"^nope\.py: there is no such file$"),
        ("@nope.nets", r"^there is no module nope\.nets; install the package of nope, or"),
        ("@own_pack.nope", r"^there is no module own_pack\.nope$"),
        ("@own_pack.deep", r"^there is no module own_pack\.deep$"),
        ("@nope/:methods/a.py", r"^nope/: there is no such folder$"),
        ("@plugs/:methods/nope.py", r"plugs/methods/nope\.py: there is no such file$"),
        ("@./nets.py:methods/a.py", r"nets\.py: is a file; name its folder$"),
        ("@my-plugs/:methods/mine.py", r"^my-plugs/: its plug-ins are imported as 'my-plugs'"),
        ("@yaml/:methods/mine.py", r"^yaml/: .*yaml/__init__\.py is already; give the folder"),
        ("@json/:methods/mine.py", r"^json/: .*no module of Python; give the folder another name$"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(here, reference, words):
    with pytest.raises(UserError, match=words) as caught:
        outside.find(reference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("@exits.py", r"^exits\.py: cannot be imported: it exits: 3$"),
        ("@raises.py", r"^raises\.py: cannot be imported: ValueError: first$"),
        ("@relative.py", r"^relative\.py: cannot be imported: ImportError: attempted relative"),
    ],
)
def test_a_module_that_fails_is_said_in_one_line_and_is_not_kept(here, reference, words):
    for _ in range(2):
        with pytest.raises(UserError, match=words) as caught:
            outside.load(reference)
        assert "\n" not in str(caught.value)


def test_what_a_module_prints_goes_to_standard_error(here, capsys):
    outside.load("@prints.py")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


def test_a_module_whose_name_another_has_is_refused(here):
    outside.load("@nets")
    (here / "deeper").mkdir()
    (here / "deeper/nets.py").write_text("VALUE = 5\n", encoding="utf-8")
    sys.modules["own_pack"] = sys.modules["nets"]
    with pytest.raises(UserError, match=r"own_pack\.deep\.nets"):
        outside.load("@own_pack.deep.nets")


def test_references_are_shown_as_their_files():
    assert outside.shown("@nets.py") == "nets.py"
    assert outside.shown("@my.nets") == "my.nets"
    assert outside.shown("@plugs/:methods/a.py") == "plugs/methods/a.py"
    assert outside.shown("@my.plugs:methods/a.py") == "my.plugs (methods/a.py)"


@pytest.mark.slow
def test_finding_imports_neither_torch_nor_the_package(here):
    code = (
        "import sys; from distillery import outside; outside.find('@own_pack.deep.nets'); "
        "outside.find('@torchvision.models'); "
        "print(sorted({'torch', 'torchvision', 'own_pack'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(literals.LIBRARY.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"\[\]\n", done.stdout)
