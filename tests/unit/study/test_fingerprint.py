"""The identity of code: what a job runs decides, and nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from distillery import plugins
from distillery.errors import UserError
from distillery.study.fingerprint import ROOT, beside, closure, fingerprint, forget
from distillery.study.fingerprint import plugins as plugins_of

SCRIPTS = sorted(path.name for path in (ROOT / "workflow/scripts").glob("*.py"))

TOY = {
    "workflow/scripts/make.py": (
        '"""Make."""\n\nfrom distillery import tools\n\n'
        'if __name__ == "__main__":\n    tools.make()\n'
    ),
    "distillery/__init__.py": '"""Toy."""\n\n__version__ = "1.0"\n',
    "distillery/tools.py": (
        '"""Tools."""\n\nimport os\n\nfrom distillery.deep.inner import value\n\n\n'
        'def make():\n    """Make it."""\n    return value\n'
    ),
    "distillery/deep/__init__.py": "",
    "distillery/deep/inner.py": "value = 1\n",
    "distillery/methods/__init__.py": "",
    "distillery/methods/a.py": "def build():\n    import distillery.late\n",
    "distillery/methods/b.py": "RATE = 0.5\n",
    "distillery/late.py": "LATE = True\n",
    "distillery/unused.py": "UNUSED = 1\n",
    "distillery/errors.py": "class UserError(Exception):\n    pass\n",
    "distillery/store/__init__.py": "",
    "distillery/store/files.py": (
        "from distillery.errors import UserError\n\n\n"
        "def write():\n    raise UserError('full, sadly')\n"
    ),
    "distillery/run/__init__.py": "",
    "distillery/run/job.py": "from distillery import only_run\n\nEVERY = 20\n",
    "distillery/only_run.py": "ONLY = 1\n",
}


@pytest.fixture
def toy(tmp_path_factory):
    """Makes a project with some of its files changed, each in a folder of its own: what was read of
    a file is remembered."""

    def make(changes=None):
        root = tmp_path_factory.mktemp("toy")
        for name, text in (TOY | (changes or {})).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return root

    return make


def names(start, root):
    return [
        path.relative_to(root).as_posix() for path in closure([root / path for path in start], root)
    ]


# ---- what counts ---------------------------------------------------------------------------------


def test_the_closure_follows_imports_of_the_project_and_the_packages_on_the_way(toy):
    root = toy()
    assert names(["workflow/scripts/make.py"], root) == [
        "distillery/__init__.py",
        "distillery/deep/__init__.py",
        "distillery/deep/inner.py",
        "distillery/tools.py",
        "workflow/scripts/make.py",
    ]


def test_a_late_import_and_a_circular_one_count_too(toy):
    root = toy({"distillery/late.py": "from distillery.methods import a\n"})
    found = names(["distillery/methods/a.py"], root)
    assert found == [
        "distillery/__init__.py",
        "distillery/late.py",
        "distillery/methods/__init__.py",
        "distillery/methods/a.py",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "import distillery.late",
        "import os, distillery.late as other",
        "from distillery import late",
        "from distillery.late import LATE",
    ],
)
def test_every_form_of_import_is_seen(toy, statement):
    root = toy({"distillery/tools.py": f"def make():\n    {statement}\n"})
    assert "distillery/late.py" in names(["workflow/scripts/make.py"], root)


@pytest.mark.parametrize(
    "statement", ["from . import late", "from .late import LATE", "from ..x import y"]
)
def test_a_relative_import_is_refused_because_it_would_escape(toy, statement):
    root = toy({"distillery/tools.py": f"x = 1\n{statement}\n"})
    with pytest.raises(UserError, match=r"tools\.py: relative import on line 2"):
        fingerprint("make.py", root=root)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "distillery/tools.py",
            TOY["distillery/tools.py"].replace("return value", "return -value"),
        ),
        (
            "distillery/tools.py",
            TOY["distillery/tools.py"].replace("def make():", "def make(value=None):"),
        ),
        ("distillery/deep/inner.py", "value = True\n"),
        ("distillery/deep/inner.py", "value = 1.0\n"),
        ("distillery/deep/inner.py", "value = '1'\n"),
        ("distillery/deep/inner.py", "value = 1\n'no docstring'\n"),
        ("distillery/__init__.py", "import os\n"),
        ("workflow/scripts/make.py", TOY["workflow/scripts/make.py"] + "print()\n"),
    ],
)
def test_an_edit_of_anything_that_runs_changes_the_digest(toy, path, text):
    assert fingerprint("make.py", root=toy({path: text})) != fingerprint("make.py", root=toy())


def test_moving_code_to_another_file_changes_the_digest(toy):
    tools = {"distillery/tools.py": "from distillery import late, unused\n"}
    before = toy(tools | {"distillery/late.py": "x = 1\n", "distillery/unused.py": "y = 1\n"})
    after = toy(tools | {"distillery/late.py": "y = 1\n", "distillery/unused.py": "x = 1\n"})
    assert fingerprint("make.py", root=before) != fingerprint("make.py", root=after)


# ---- what does not -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "distillery/tools.py",
            "# A comment.\n" + TOY["distillery/tools.py"].replace("Make it.", "In other words."),
        ),
        ("distillery/tools.py", TOY["distillery/tools.py"].replace('    """Make it."""\n', "")),
        (
            "distillery/tools.py",
            TOY["distillery/tools.py"].replace(
                "return value", "return (\n        value\n    )\n\n"
            ),
        ),
        ("distillery/__init__.py", '__version__ = "2.0"\n'),
        ("distillery/unused.py", "UNUSED = 2\n"),
        ("distillery/methods/a.py", "A = 2\n"),
    ],
    ids=["comment", "docstring", "layout", "version", "module not imported", "method not named"],
)
def test_what_changes_no_result_changes_no_digest(toy, path, text):
    assert TOY[path] != text
    assert fingerprint("make.py", root=toy({path: text})) == fingerprint("make.py", root=toy())


@pytest.mark.slow
def test_the_same_project_has_the_same_digest_wherever_it_lies_and_whichever_process_asks(
    toy, tmp_path
):
    digests = {
        fingerprint("make.py", "methods/a.py", root=toy()),
        fingerprint("make.py", "methods/a.py", root=toy()),
    }
    assert len(digests) == 1
    real = fingerprint("distill.py", "methods/dc.py")
    code = (
        "from distillery.study.fingerprint import fingerprint as f; print(f('distill.py', "
        "'methods/dc.py'))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == real, done.stderr
    digest, *named = real.split(" ")
    assert len(digest) == 16 and int(digest, 16) and named == ["methods/dc"]


RUNS = {
    "workflow/scripts/make.py": TOY["workflow/scripts/make.py"].replace(
        "import tools",
        "import tools\nfrom distillery.run import job\nfrom distillery.store import files",
    )
}


@pytest.mark.parametrize("name", ["run/job", "run/__init__", "errors", "store/files", "only_run"])
def test_what_only_runs_a_job_and_what_that_imports_does_not_count(toy, name):
    path = f"distillery/{name}.py"
    root, other = toy(RUNS), toy(RUNS | {path: "ANOTHER = 1\n"})
    assert fingerprint("make.py", root=root) == fingerprint("make.py", root=other)
    assert path not in names(["workflow/scripts/make.py"], root) and "distillery/tools.py" in names(
        ["workflow/scripts/make.py"], root
    )


@pytest.mark.parametrize(
    "text",
    [
        "def expected_work(sizes):\n    return []\n",
        "expected_work = late.expected_work\n",
        "def expected_work_of_teachers(sizes):\n    return [sizes]\n",
    ],
)
def test_what_a_method_says_of_its_work_beforehand_does_not_count(toy, text):
    method = TOY["distillery/methods/a.py"]
    digests = [
        fingerprint("make.py", "methods/a.py", root=toy({"distillery/methods/a.py": each}))
        for each in (method, f"{method}\n\n{text}", f"{method}\n\nexpected = 1\n")
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_an_import_for_type_checkers_alone_does_not_count(toy, test):
    head = "import typing\nfrom typing import TYPE_CHECKING\n"
    root = toy({"distillery/tools.py": f"{head}x = 1\n"})
    guarded = toy(
        {"distillery/tools.py": f"{head}if {test}:\n    from distillery import late\n\nx = 1\n"}
    )
    assert fingerprint("make.py", root=root) == fingerprint("make.py", root=guarded)
    other = toy(
        {
            "distillery/tools.py": (
                f"{head}if {test}:\n    pass\nelse:\n    from distillery import late\n\nx = 1\n"
            )
        }
    )
    assert "distillery/late.py" in names(["workflow/scripts/make.py"], other)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("raise ValueError('a')", "raise ValueError('a, b')", True),
        (
            "raise ValueError(f'a {x}')",
            "raise ValueError(f'b {y}' + ('s' if x else '') + 'c')",
            True,
        ),
        ("raise ValueError('a') from error", "raise ValueError('b') from error", True),
        ("return ValueError('a')", "return ValueError('b' if x else f'c {y}')", True),
        ("return errors.UserError('a')", "return errors.UserError('b')", True),
        ("return ValueError('a')", "return TypeError('a')", False),
        ("return show('a')", "return show('b')", False),
        ("raise ValueError('a')", "raise TypeError('a')", False),
        ("raise ValueError('a')", "pass", False),
        ("raise Stop('a', 1)", "raise Stop('a', 2)", False),
        ("print('a')", "print('b')", False),
    ],
)
def test_the_words_of_an_error_do_not_count_but_that_it_is_raised_does(toy, before, after, same):
    one, other = (
        toy({"distillery/tools.py": f"def make(x, y, error=None):\n    {line}\n"})
        for line in (before, after)
    )
    assert (fingerprint("make.py", root=one) == fingerprint("make.py", root=other)) == same


def test_the_words_for_a_damaged_file_are_no_part_of_the_code(toy):
    """Every job reads artefacts, so that their words would make all results stale."""
    text = (ROOT / "distillery/store/artefact.py").read_text(encoding="utf-8")
    assert text.count('"is missing; "') == 1
    one, other = (
        toy({"distillery/tools.py": said})
        for said in (text, text.replace("is missing; ", "is gone; "))
    )
    assert fingerprint("make.py", root=one) == fingerprint("make.py", root=other)


# ---- what is no Python ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".cpp", ".csv"])
def test_what_bears_a_module_s_name_counts_with_it(toy, suffix):
    path = f"distillery/tools{suffix}"
    without, one, other = toy(), toy({path: "// a\n1\n"}), toy({path: "// b\n1\n"})
    assert len({fingerprint("make.py", root=root) for root in (without, one, other)}) == 3


@pytest.mark.parametrize(
    "path", ["distillery/unused.cpp", "distillery/tools.txt", "distillery/tools.py~", "tools.cpp"]
)
def test_what_no_module_of_the_job_reads_does_not_count(toy, path):
    assert fingerprint("make.py", root=toy({path: "1\n"})) == fingerprint("make.py", root=toy())


@pytest.mark.slow
def test_an_edit_of_the_fast_convolutions_makes_the_jobs_that_compute_stale_and_no_other(tmp_path):
    for folder in ("distillery", "workflow/scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    source = tmp_path / "distillery/compute/winograd.cpp"
    source.write_text(source.read_text(encoding="utf-8") + "// faster\n", encoding="utf-8")
    stale = {
        script for script in SCRIPTS if fingerprint(script) != fingerprint(script, root=tmp_path)
    }
    computing = {"distill", "train_experts", "train_vanilla", "evaluate_synthetic", *CONTINUAL}
    assert {f"{name}.py" for name in computing} <= stale
    assert not {"download.py", "whiten.py", "import_synthetic.py"} & stale


def test_what_modules_read_beside_them_is_installed_with_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = set(project["tool"]["setuptools"]["package-data"]["distillery"])
    library = ROOT / "distillery"
    read = {data for module in library.rglob("*.py") for data in beside(module)}
    assert {data.relative_to(library).as_posix() for data in read} <= installed
    assert {"winograd.cpp", "figures.csv"} <= {data.name for data in read}


# ---- plug-ins ------------------------------------------------------------------------------------


def test_a_plug_in_counts_where_it_is_named_and_nowhere_else(toy):
    root, other = toy(), toy({"distillery/methods/b.py": "RATE = 0.25\n"})
    assert fingerprint("make.py", "methods/a.py", root=root) == fingerprint(
        "make.py", "methods/a.py", root=other
    )
    assert fingerprint("make.py", "methods/b.py", root=root) != fingerprint(
        "make.py", "methods/b.py", root=other
    )
    assert fingerprint("make.py", "methods/a.py", root=root) != fingerprint("make.py", root=root)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_imports_a_plug_in_by_itself(script):
    """Else every method's sets would be stale with one method's edit."""
    found = names([f"workflow/scripts/{script}"], ROOT)
    folders = (
        "distillery/methods/",
        "distillery/datasets/",
        "distillery/networks/",
        "distillery/augmentations/",
    )
    assert {path for path in found if path.startswith(folders) and "/_" not in path} <= {
        "distillery/methods/base.py"
    }


@pytest.mark.parametrize("method", plugins.methods())
def test_a_method_brings_itself_and_no_other_method(method):
    found = names(["workflow/scripts/distill.py", f"distillery/methods/{method}.py"], ROOT)
    methods = {Path(path).stem for path in found if path.startswith("distillery/methods/")}
    assert {name for name in methods if not name.startswith("_")} == {"base", method}


METHODS = set(plugins.methods())


SHOWING = {"report", "figures"}
SEARCH = {"search", "search_full"}
CONTINUAL = {"continual_alone", "continual_memory"}
COMPUTING = METHODS | {
    "train_experts",
    "evaluate_synthetic",
    "evaluate_robust",
    "evaluate_privacy",
    "train_vanilla",
    *CONTINUAL,
    *SEARCH,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "stale"),
    [
        ("methods/dc.py", {"dc"}),
        ("methods/_gradient_matching.py", {"dc", "dsa"}),
        ("methods/_distribution_matching.py", {"dm", "ncfm"}),
        ("methods/_trajectory_matching.py", {"mtt", "tesla"}),
        ("methods/mtt.py", {"mtt"}),
        ("methods/_gradient_distance.py", {"dc", "dsa"}),
        ("methods/_unroll.py", {"mtt", "tesla", "rat_bptt"}),
        ("methods/_halves.py", {"mtt", "tesla", "rat_bptt"}),
        ("methods/base.py", METHODS),
        ("methods/_driver.py", METHODS),
        ("store/tree.py", METHODS),
        (
            "sets/synthetic.py",
            METHODS
            | {
                "evaluate_synthetic",
                "evaluate_robust",
                "evaluate_privacy",
                "import_synthetic",
                "continual_memory",
                "search",
            },
        ),
        (
            "images/whitening.py",
            METHODS
            | {
                "whiten",
                "train_experts",
                "evaluate_synthetic",
                "evaluate_robust",
                "evaluate_privacy",
                "import_synthetic",
                *CONTINUAL,
                "search",
                *SHOWING,
            },
        ),
        ("training/experts.py", {"train_experts"}),
        ("training/train.py", COMPUTING - METHODS),
        ("training/stack.py", COMPUTING - METHODS),
        ("images/labelled.py", COMPUTING - METHODS),
        (
            "evaluation/evaluate.py",
            {"evaluate_synthetic", "evaluate_robust", "train_vanilla", *SEARCH},
        ),
        ("evaluation/search.py", SEARCH),
        ("evaluation/robust.py", {"evaluate_robust"}),
        ("evaluation/privacy.py", {"evaluate_privacy"}),
        ("evaluation/scores.py", SHOWING),
        ("evaluation/continual.py", CONTINUAL),
        ("report/page.py", {"report"}),
        ("report/sections/cost.py", {"report"}),
        ("report/charts.py", SHOWING),
        ("sets/released/read.py", {"import_synthetic"}),
        ("study/study.py", {"collect", *SHOWING}),
        ("study/fingerprint.py", {"collect", *SHOWING}),
        ("study/jobs.py", {"collect", *SHOWING}),
        ("study/params.py", {"collect", *SHOWING}),
        ("run/job.py", set()),
        ("run/progress.py", set()),
        ("run/meter.py", set()),
        ("run/provenance.py", set()),
        ("errors.py", set()),
        ("store/files.py", set()),
        ("compute/winograd.py", COMPUTING),
        ("networks/_layers.py", COMPUTING),
        ("networks/_build.py", COMPUTING),
        ("networks/_residual.py", set()),
        ("networks/convnet.py", COMPUTING - {"train_vanilla"}),
        ("networks/mlp.py", {"train_vanilla"}),
        ("augmentations/_base.py", COMPUTING),
        ("augmentations/_operations.py", {"dsa", "dm", "ncfm", *CONTINUAL}),
        ("augmentations/dsa.py", {"dsa", "dm", "ncfm"}),
        ("augmentations/dc_mnist.py", CONTINUAL),
        (
            "augmentations/none.py",
            {
                "dc",
                "mtt",
                "tesla",
                "rat_bptt",
                "train_experts",
                "evaluate_synthetic",
                "evaluate_robust",
                "evaluate_privacy",
                "train_vanilla",
                *SEARCH,
            },
        ),
        ("store/metrics.py", COMPUTING | {"collect", *SHOWING}),
        ("store/costs.py", {"collect", *SHOWING}),
        ("store/measurements.py", SHOWING),
        (
            "vocabulary.py",
            {
                "evaluate_synthetic",
                "evaluate_robust",
                "train_vanilla",
                *CONTINUAL,
                *SEARCH,
                "collect",
                *SHOWING,
            },
        ),
        ("datasets/mnist.py", {"MNIST"}),
    ],
)
def test_a_module_counts_for_the_jobs_that_run_it_and_no_other(module, stale):
    jobs = {}
    for name, method in plugins.methods().items():
        settings = {key: schema["default"] for key, schema in method.settings.items()}
        jobs[name] = (
            "distill.py",
            f"methods/{name}.py",
            *plugins.used(plugins.networks()["ConvNet"], settings, {"augment": method.augment}),
        )
    jobs |= {name: ("download.py", f"datasets/{name.lower()}.py") for name in ("MNIST", "digits")}
    jobs |= {
        Path(script).stem: (script,)
        for script in SCRIPTS
        # Those of steps run what the others of their name run.
        if script not in ("distill.py", "download.py", "step_distill.py", "step_experts.py")
    }
    for name in (
        "train_experts",
        "evaluate_synthetic",
        "evaluate_robust",
        "evaluate_privacy",
        "train_vanilla",
        *CONTINUAL,
        *SEARCH,
    ):
        network, augment = (
            ("MLP" if name == "train_vanilla" else "ConvNet"),
            ("dc_mnist" if name in CONTINUAL else "none"),
        )
        jobs[name] += tuple(plugins.used(plugins.networks()[network], {"augment": augment}))
    files = {
        job: [f"workflow/scripts/{script}", *(f"distillery/{plugin}" for plugin in plugins)]
        for job, (script, *plugins) in jobs.items()
    }
    assert {
        job for job, start in files.items() if f"distillery/{module}" in names(start, ROOT)
    } == stale


# ---- code from outside ---------------------------------------------------------------------------

OUTSIDE = {
    "mine.py": "import beside\nfrom distillery import late\nimport os, random\n",
    "beside.py": "VALUE = 1\n",
    "random.py": "HIDDEN = 1\n",
    "unused.py": "UNUSED = 1\n",
    "plugs/_shared.py": "from plugs import _deeper\n",
    "plugs/_deeper.py": "VALUE = 1\n",
    "plugs/methods/a.py": '"""A."""\n\nfrom plugs._shared import x\n',
    "plugs/methods/b.py": "from .._shared import x\nfrom . import c\n",
    "plugs/methods/c.py": "VALUE = 1\n",
}


@pytest.fixture
def outer(toy, tmp_path, monkeypatch):
    """The toy project, and a working directory with code from outside: its digest, whatever was
    edited in either."""
    monkeypatch.chdir(tmp_path)

    def digest(reference, changes=None, library=None):
        for name, text in (OUTSIDE | (changes or {})).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        forget()
        return fingerprint("make.py", reference, root=toy(library))

    return digest


@pytest.mark.parametrize(
    ("reference", "counted", "ignored"),
    [
        ("@mine.py", ("mine.py", "beside.py"), ("unused.py", "random.py", "plugs/_shared.py")),
        (
            "@plugs/:methods/a.py",
            ("plugs/methods/a.py", "plugs/_shared.py", "plugs/_deeper.py"),
            ("plugs/methods/b.py", "mine.py"),
        ),
        (
            "@plugs/:methods/b.py",
            ("plugs/_shared.py", "plugs/methods/c.py"),
            ("plugs/methods/a.py",),
        ),
        ("@plugs.methods.b", ("plugs/_shared.py", "plugs/methods/c.py"), ("plugs/methods/a.py",)),
    ],
)
def test_code_from_outside_counts_with_what_it_imports_of_its_own(
    outer, reference, counted, ignored
):
    before = outer(reference)
    for name in counted:
        assert outer(reference, {name: OUTSIDE[name] + "MORE = 1\n"}) != before, name
    for name in ignored:
        assert outer(reference, {name: OUTSIDE[name] + "MORE = 1\n"}) == before, name
    assert outer(reference, {counted[0]: "# a comment\n" + OUTSIDE[counted[0]]}) == before


@pytest.mark.parametrize(
    "reference", ["@packed/:methods/a.py", "@packed.methods.a", "@packed:methods/a.py"]
)
@pytest.mark.parametrize("name", ["packed/__init__.py", "packed/methods/__init__.py"])
def test_the_packages_above_code_from_outside_count(outer, reference, name):
    files = {
        "packed/__init__.py": "X = 1\n",
        "packed/methods/__init__.py": "X = 1\n",
        "packed/methods/a.py": "A = 1\n",
    }
    before = outer(reference, files)
    assert outer(reference, files) == before
    assert outer(reference, {**files, name: "X = 2\n"}) != before


def test_code_from_outside_counts_with_what_it_imports_of_the_library(outer):
    before = outer("@mine.py")
    assert outer("@mine.py", library={"distillery/late.py": "LATE = False\n"}) != before
    assert outer("@mine.py", library={"distillery/unused.py": "UNUSED = 2\n"}) == before


def test_no_module_of_the_library_is_looked_for_outside(outer):
    changes = {"tools.py": "VALUE = 1\n"}
    library = {"distillery/tools.py": "import tools\n\n\ndef make():\n    return 1\n"}
    before = outer("@mine.py", changes, library)
    assert outer("@mine.py", {"tools.py": "VALUE = 2\n"}, library) == before


def test_the_digest_does_not_depend_on_where_the_users_folder_lies(
    outer, toy, tmp_path, monkeypatch
):
    before = outer("@plugs/:methods/a.py")
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(tmp_path / "plugs", moved / "plugs")
    forget()
    monkeypatch.chdir(moved)
    assert fingerprint("make.py", "@plugs/:methods/a.py", root=toy()) == before


def test_a_stamp_holds_its_references_whatever_is_in_their_paths(outer):
    changes = {"a folder/ü.py": "VALUE = 1\n"}
    stamp = outer("@a folder/ü.py", changes)
    assert len(stamp.split(" ")) == 2 and stamp.isascii()
    assert plugins_of(stamp) == ["@a folder/ü.py"]
    assert plugins_of("0123 methods/dc networks/mlp") == ["methods/dc.py", "networks/mlp.py"]


def test_an_installed_package_counts_by_its_version(outer, monkeypatch):
    before = outer("@torchvision")
    assert outer("@torchvision") == before
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    assert outer("@torchvision") != before


@pytest.mark.parametrize(
    ("reference", "text"),
    [("@mine.py", "from . import beside\n"), ("@plugs/:methods/a.py", "from ... import x\n")],
)
def test_a_relative_import_where_there_is_no_package_is_refused(outer, reference, text):
    name = {"@mine.py": "mine.py"}.get(reference, "plugs/methods/a.py")
    with pytest.raises(UserError, match=r"relative import on line 1: the file has no package"):
        outer(reference, {name: text})


def test_code_that_is_not_there_any_more_is_reported(outer):
    with pytest.raises(UserError, match=r"^gone\.py: there is no such file$"):
        outer("@gone.py")
