"""What holds of the repository as a whole."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "distillery").rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
# The floors of the library, lowest first: a room imports only rooms of its own floor or below.
FLOORS = [
    {"errors", "__init__"},
    {"files", "streams", "plugins", "fingerprint", "provenance"},
    {"artefact", "device", "metrics", "grid"},
    {"checkpoint", "data", "networks", "augment"},
    {"sources", "datasets", "synthetic", "trajectories", "pictures"},
    {"matching", "unroll", "imported"},
    {"methods"},
    {"training", "cost"},
    {"experts", "evaluate", "continual", "job"},
    {"published", "figures"},
    {"report"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module
            if node.module == "distillery":
                yield from (f"distillery.{alias.name}" for alias in node.names)


def room(path):
    inside = path.relative_to(ROOT / "distillery")
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way_and_the_library_does_not_know_snakemake(path):
    for name in imported(path):
        assert name.split(".")[0] != "snakemake", f"{path} imports snakemake"
        parts = name.split(".")
        if parts[0] == "distillery" and len(parts) > 1 and parts[1] in FLOOR:
            assert FLOOR[parts[1]] <= FLOOR[room(path)], f"{path.name} imports {name} from a higher floor"


def test_methods_do_not_know_one_another():
    names = {path.stem for path in (ROOT / "distillery/methods").glob("*.py")} - {"__init__", "base"}
    for path in (ROOT / "distillery/methods").glob("*.py"):
        assert not {name.split(".")[2] for name in imported(path) if name.startswith("distillery.methods.")} & (names - {path.stem})


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_small_and_read_only_their_own_job(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert set(re.findall(r"snakemake\.(\w+)", text)) <= {"input", "output", "params", "wildcards", "log", "resources"}


def rules():
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(encoding="utf-8"), re.M | re.S):
            yield pytest.param(name, body, id=name)


@pytest.mark.parametrize("name, body", list(rules()))
def test_every_rule_says_what_it_takes(name, body):
    for word in ("log:", "benchmark:", "threads:", "mem_mb=", "runtime=", "message:", "conda:", "script:", "code="):
        assert word in body, f"rule {name} has no {word}"
    computes = name not in ("download", "import_synthetic", "collect", "report")
    assert ("gpu=1" in body) == computes and ("compute=" in body) == computes


def test_every_script_has_its_rule():
    used = {Path(found).name for path in (ROOT / "workflow/rules").glob("*.smk") for found in re.findall(r'"(\.\./scripts/\w+\.py)"', path.read_text())}
    assert used == {path.name for path in SCRIPTS}


def test_environments_agree_with_the_lock():
    lock = re.findall(r"^([a-z0-9-]+)==(\S+?)(?: ; python_full_version < '3\.12')? \\$", (ROOT / "requirements.lock").read_text(), re.M)
    asked = set(re.findall(r'^  "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text().partition("[project.optional")[0], re.M))
    assert len(asked) > 10
    for kind in ("cpu", "gpu"):
        listed = yaml.safe_load((ROOT / f"envs/{kind}.yaml").read_text())["dependencies"][-1]["pip"]
        assert {entry.split("==")[0] for entry in listed} == asked and {tuple(entry.split("==")) for entry in listed} <= set(lock)


def tracked():
    try:
        found = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so which files belong to the repository is not known")
    return [ROOT / name for name in found if name and (ROOT / name).is_file()]


def test_nothing_unpickles_what_it_does_not_trust():
    for path in tracked():
        if path.suffix == ".py" and path != Path(__file__):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in ("torch.load", "pickle.load", "pickle.loads"):
                    trusted = any(word.arg == "weights_only" and getattr(word.value, "value", None) is True for word in call.keywords)
                    assert trusted or "tests" in path.parts, f"{path}: {ast.unparse(call)}"


def test_no_file_names_a_machine_or_a_registry():
    # Written so that this file does not hold what it looks for.
    forbidden = re.compile("/" + r"work/(main|shared)|registry\." + r"npmjs|py" + r"pi\.org|files\.python" + r"hosted|deb\." + "debian")
    for path in tracked():
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".lock", ".smk", ".jinja", ".rst", ".csv", ".sh", "") and path.stat().st_size < 1e6:
            found = forbidden.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not found, f"{path.relative_to(ROOT)}: {found.group(0)}"
