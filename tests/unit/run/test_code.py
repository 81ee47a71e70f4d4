"""A job runs the code that it stamps: in a checkout of its own, as Snakemake runs a script."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from distillery.study import fingerprint
from distillery.study.jobs import digest

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = '''"""Write the title of a method that is imported by its name, late."""

import importlib
import os
from pathlib import Path

from distillery.run import job


def make(name, output):
    if "EDIT" in os.environ:
        Path(os.environ["EDIT"]).write_text("TITLE = 'edited'")
    title = importlib.import_module(f"distillery.methods.{name}").TITLE
    Path(output).write_text(title, encoding="utf-8")


if __name__ == "__main__":
    with job.run("job.log", asked={"code": snakemake.params.code}):
        make(snakemake.params.name, "made.txt")
'''
# As Snakemake begins its copy of a script: it appends to the path and names the original.
PREAMBLE = """from types import SimpleNamespace
snakemake = SimpleNamespace(params=SimpleNamespace(code={code!r}, name={name!r}))
__real_file__ = __file__; __file__ = {script!r}
"""


@pytest.fixture
def checkout(tmp_path, starter):
    """A copy of the library with one script, and the code of its job when the run was planned."""
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "distillery", root / "distillery", ignore=ignored)
    script = root / "workflow/scripts/make.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT, encoding="utf-8")
    fingerprint.forget()
    code = fingerprint.fingerprint("make.py", "methods/random.py", root=root)
    method = root / "distillery/methods/random.py"
    python = str(starter.interpreter)
    return SimpleNamespace(
        root=root, script=script, code=code, method=method, folder=tmp_path, python=python
    )


def ran(checkout, *ahead, text=SCRIPT, name="random", **environment):
    """The job: its status, what it said, and what it made (``None``: nothing)."""
    preamble = PREAMBLE.format(code=checkout.code, name=name, script=str(checkout.script))
    (checkout.folder / "job.py").write_text(preamble + text, encoding="utf-8")
    path = os.pathsep.join(map(str, [*ahead, checkout.root]))
    done = subprocess.run(
        [checkout.python, "job.py"],
        cwd=checkout.folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
    )
    made = checkout.folder / "made.txt"
    said = done.stderr.splitlines()
    return done.returncode, said, made.read_text() if made.exists() else None


def refused(found):
    status, said, made = found
    assert status == 1 and made is None and len(said) == 1, said
    return said[0]


@pytest.mark.slow
def test_a_job_whose_code_is_as_planned_runs_whatever_else_was_edited(checkout):
    """Words of an error, a comment, what only runs a job, and a plug-in that it does not name."""
    method = checkout.method.read_text(encoding="utf-8")
    checkout.method.write_text(f"# Another comment.\n{method}", encoding="utf-8")
    for name, line in (
        ("run/progress", "LOG_EVERY_SECONDS = 5.0"),
        ("errors", "ANOTHER = 1"),
        ("methods/dc", "ANOTHER = 1"),
        ("networks/another", "SPEC = {}"),
    ):
        path = checkout.root / f"distillery/{name}.py"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{before}\n{line}\n", encoding="utf-8")
    assert ran(checkout) == (0, [], "Random")
    log = (checkout.folder / "job.log").read_text(encoding="utf-8").splitlines()
    assert f", asked {digest({'code': checkout.code})}, on " in log[0] and log[-1].endswith(" done")


@pytest.mark.slow
def test_another_copy_of_the_package_ahead_on_the_path_is_refused(checkout):
    """As `pip install .` leaves one that is older than the checkout."""
    installed = checkout.folder / "site-packages"
    shutil.copytree(checkout.root / "distillery", installed / "distillery")
    told = refused(ran(checkout, installed))
    assert told.startswith(f"error: this job imported {installed / 'distillery'}")
    assert f"instead of the workflow's own {checkout.root / 'distillery'}: uninstall" in told


@pytest.mark.slow
def test_an_installed_copy_runs_the_workflow_within_it_and_no_other_library(checkout):
    """As a wheel lays it out: the workflow lies in the package."""
    inside = checkout.root / "distillery/_workflow/workflow"
    shutil.move(checkout.root / "workflow", inside)
    checkout.script = inside / "scripts/make.py"
    assert ran(checkout) == (0, [], "Random")
    (checkout.folder / "made.txt").unlink()
    other = checkout.folder / "other"
    shutil.copytree(checkout.root / "distillery", other / "distillery")
    told = refused(ran(checkout, other))
    assert told.startswith(f"error: this job imported {other / 'distillery'}")
    assert f"instead of the workflow's own {checkout.root / 'distillery'}: uninstall" in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["distillery/methods/random.py", "workflow/scripts/make.py"])
def test_an_edit_between_the_plan_and_the_job_is_refused(checkout, name):
    path = checkout.root / name
    path.write_text(path.read_text(encoding="utf-8") + "\n\nANOTHER = 1\n", encoding="utf-8")
    told = refused(ran(checkout))
    assert (
        "the code of this job changed since the run began" in told and "run snakemake again" in told
    )


@pytest.mark.slow
def test_a_script_that_was_edited_and_is_as_before_again_is_refused(checkout):
    """Snakemake took a copy of the edited one."""
    edited = SCRIPT.replace("_text(title", "_text('edited'")
    assert "changed since the run began" in refused(ran(checkout, text=edited))


@pytest.mark.slow
def test_an_edit_during_the_job_does_not_reach_it(checkout):
    """It is imported late, after the edit; the job makes what it stamps all the same."""
    assert ran(checkout, EDIT=str(checkout.method)) == (0, [], "Random")
    assert checkout.method.read_text(encoding="utf-8") == "TITLE = 'edited'"


@pytest.mark.slow
def test_a_plug_in_that_the_code_does_not_name_is_reported(checkout):
    status, said, _ = ran(checkout, name="herding")
    assert status == 1 and len(said) == 1
    assert "this job ran distillery/methods/herding.py, which is no part of its code" in said[0]


# ---- code from outside ---------------------------------------------------------------------------

OUTSIDE = {
    "packed/__init__.py": "",
    "packed/methods/a.py": 'from packed import shared\n\nTITLE = "A"\n',
    "packed/shared.py": "VALUE = 1\n",
    "packed/hidden.py": "VALUE = 1\n",
    "single.py": 'import aside\n\nTITLE = "Single"\n',
    "aside.py": "VALUE = 1\n",
}
LOADS = SCRIPT.replace(
    'importlib.import_module(f"distillery.methods.{name}").TITLE', "outside.load(name).TITLE"
).replace(
    "from distillery.run import job",
    "from distillery import outside\nfrom distillery.run import job",
)


@pytest.fixture
def outer(checkout, monkeypatch):
    """Such a checkout whose script loads code from outside, which lies in the working directory."""
    for name, text in OUTSIDE.items():
        (checkout.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.folder / name).write_text(text, encoding="utf-8")
    checkout.script.write_text(LOADS, encoding="utf-8")
    monkeypatch.chdir(checkout.folder)

    def run(reference, before="", after="", **environment):
        fingerprint.forget()
        checkout.code = fingerprint.fingerprint("make.py", reference, root=checkout.root)
        if before:
            with (checkout.folder / before).open("a", encoding="utf-8") as file:
                file.write(after)
        return ran(checkout, text=LOADS, name=reference, **environment)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "title"), [("@packed/:methods/a.py", "A"), ("@single.py", "Single")]
)
def test_a_job_runs_code_from_outside_as_it_was_planned(outer, checkout, reference, title):
    assert outer(reference) == (0, [], title)
    edited = "packed/shared.py" if "packed" in reference else "aside.py"
    (checkout.folder / "made.txt").unlink()
    assert "changed since the run began" in refused(outer(reference, edited, "MORE = 1\n"))


@pytest.mark.slow
def test_code_from_outside_that_is_imported_by_a_computed_name_is_reported(outer, checkout):
    late = "import importlib\n\nimportlib.import_module('packed.' + 'hidden')\n"
    (checkout.folder / "packed/methods/a.py").write_text(late + 'TITLE = "A"\n', encoding="utf-8")
    status, said, _ = outer("@packed/:methods/a.py")
    assert status == 1 and len(said) == 1
    assert "packed/hidden.py, which is no part of its code" in said[0]


@pytest.mark.slow
def test_an_edit_of_code_from_outside_during_a_job_does_not_reach_it(outer, checkout):
    late = OUTSIDE["packed/methods/a.py"]
    path = checkout.folder / "packed/methods/a.py"
    path.write_text(late, encoding="utf-8")
    assert outer("@packed/:methods/a.py", EDIT=str(path)) == (0, [], "A")
