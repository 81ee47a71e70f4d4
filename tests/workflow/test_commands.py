"""Every command that README, CONTRIBUTING and docs show is run here, or by a test that is named;
one that is not known fails.

What computes for hours is run as far as its plan, by `--dry-run`, so that its options, files and
targets are right; what takes minutes has its budgets cut.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import LEFT, PARTS, ROOT, copy
from tests.workflow.test_first_study import draw

PAGES = ["README.md", "CONTRIBUTING.md", "config/README.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
# Pages whose blocks are run as they stand.
WHOLE = {
    "docs/first-study.md": "tests/workflow/test_first_study.py",
    "docs/examples.md": "tests/workflow/test_first_study.py",
}
PROGRAMS = r"(\.venv/bin/)?(distillery|snakemake|make|tensorboard|pip|python -m \w+) \S"
# Commands that another test runs, or a command of its own, and which.
ELSEWHERE = {
    "cd study": "tests/workflow/test_first_study.py",
    "distillery run": "tests/workflow/test_first_study.py",
    "pip install .": "tests/workflow/test_first_study.py",
    "pip install '.[workflow]'": "tests/workflow/test_first_study.py",
    "pip install pyarrow": "Makefile",  # `make setup` has installed it
    "source .venv/bin/activate": "tests/workflow/test_commands.py",  # its programs are run
    "tensorboard --logdir results/quickstart/tensorboard": "tests/unit/run/test_track.py",
    "snakemake --cores 2 --configfile config/stripes.yaml": "tests/workflow/test_adding.py",
    "snakemake -s CLONE/Snakefile --cores 2 --configfile own.yaml": "tests/workflow/test_adding.py",
    "git clone … distillery && cd distillery": "Makefile",
    "$EDITOR profiles/slurm/config.yaml": "tests/slurm/run.sh",
    ".venv/bin/python -m uv pip install --python .venv/bin/python --constraint requirements.lock "
    "snakemake-executor-plugin-slurm": "tests/slurm/run.sh",
    "snakemake -n --profile profiles/slurm": "tests/slurm/run.sh",
    "snakemake --profile profiles/slurm": "tests/slurm/run.sh",
    "snakemake --cores 4 --profile profiles/slurm": "tests/slurm/run.sh",
    "snakemake --profile profiles/slurm --groups evaluate_synthetic=evaluate --group-components "
    "evaluate=10": "tests/slurm/run.sh",
}
FIGURES = "snakemake --quiet all --cores 2 --configfile tiny.yaml -- figures"
# What is cut, and what stands for a reader's own.
CUT = {
    "distillery distil pictures --ipc 10 --iterations 500 -o set.safetensors": (
        ("--iterations 500", "--iterations 2 --size 16"),
    ),
    "distillery distil pictures --ipc 5 --iterations 500 -o five.safetensors": (
        ("--iterations 500", "--iterations 2 --size 16"),
    ),
    "distillery evaluate set.safetensors --on pictures": (
        ("--on pictures", "--on pictures --set epochs=2 --models 1"),
    ),
    "distillery run --cores 8 --keep-going": (("run", "run --dry-run"),),
    "snakemake study figures --report study.zip": (
        ("snakemake", f"{FIGURES} && snakemake"),  # which has to be there
    ),
    "snakemake results/data/pets/dataset.safetensors": (
        ("snakemake", "snakemake --configfile pets.yaml --"),
    ),
}
IN_STUDY = ("distillery run -n", "distillery run --cores 8 --keep-going", "distillery estimate")
PETS = {
    "study": "Pets",
    "datasets": {"pets": {"kind": "folder", "path": "pictures", "size": 16}},
    "grid": [{"dataset": "pets", "method": "random", "init": "real", "ipc": 1}],
    "continual": {"datasets": []},
}


def shown() -> dict[str, set[str]]:
    """The commands of the pages, and where each stands: lines of blocks, and what stands in a
    sentence."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        lines = [
            re.sub(r"\s+#.*", "", line).strip()
            for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()
        ]
        lines = [] if page in WHOLE else lines
        text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
        spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
        # Of a record there is the command, and what was said of it.
        spans = (re.sub(r", at .*", "", span) for span in spans)
        for command in (*filter(None, lines), *(one for one in spans if re.match(PROGRAMS, one))):
            found.setdefault(command, set()).add(page)
    return found


COMMANDS = shown()


def test_the_pages_have_commands_and_what_is_run_elsewhere_is_there():
    assert len(COMMANDS) > 70 and {"README.md", "docs/faq.md"} <= set().union(*COMMANDS.values())
    assert set(ELSEWHERE) | set(CUT) <= set(COMMANDS), "commands that no page has"
    assert all((ROOT / place).exists() for place in (*ELSEWHERE.values(), *WHOLE.values()))
    track = (ROOT / "tests/unit/run/test_track.py").read_text(encoding="utf-8")
    assert "tensorboard" in track


def test_every_answer_has_something_to_type():
    """A command, a key of the config or a call: most questions were asked with a file open."""
    text = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
    answers = [part for part in text.split("\n\n") if part.startswith("**")]
    assert len(answers) > 40
    assert [one.splitlines()[0] for one in answers if not re.search(r"`[^`]+`", one)] == []


@pytest.fixture(scope="module")
def reader(study, starter, tmp_path_factory):
    """Runs a command as a reader does, in a checkout with a finished study and with pictures, and
    returns what it said if it failed."""
    folder = tmp_path_factory.mktemp("reader")
    for part in (*PARTS, *LEFT):
        copy(study / part, folder / part, bytecode=True)
    for part in ("docs", "README.md", "Makefile", "requirements.lock", "pyproject.toml"):
        copy(ROOT / part, folder / part)
    draw(folder / "pictures")
    (folder / "pets.yaml").write_text(yaml.safe_dump(PETS), encoding="utf-8")
    (folder / "mine.yaml").write_text("evaluate: {epochs: 3}\n", encoding="utf-8")
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    (programs.parent / ".done").touch()
    for name, module in (
        ("distillery", "-P -m distillery"),
        ("snakemake", "-m snakemake"),
        ("python", ""),
    ):
        text = f'#!/bin/sh\nexec "{starter.interpreter}" {module} "$@"\n'
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    environment = {
        **starter.environment,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }

    def run(command: str, place: Path = folder) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True
        )
        return (
            "" if done.returncode == 0 else f"{command}\n{done.stdout[-500:]}{done.stderr[-900:]}"
        )

    run.folder = folder
    return run


def made_runnable(command: str, folder: Path) -> str:
    """Put what is there in the place of a reader's own, and cut what takes long."""
    made = command
    for before, after in CUT.get(command, ()):
        made = made.replace(before, after)
    names = {
        "SET": "results/synthetic/digits/dc/noise/ipc1/seed0/synthetic.safetensors",
        "FILE": "released.pt",
        "FOLDER": f"made/{len(list(folder.glob('made/*')))}",
        "CLONE": ".",
        "NAME": "mine",
        "RESULTS": "results",
        "results/quickstart": "results",
        '"…"': "'snakemake --configfile tiny.yaml'",
    }
    for name, value in names.items():
        made = re.sub(rf"(?<![\w/]){re.escape(name)}(?![\w.])", value, made)
    words = shlex.split(made)
    if words[0] == "make":
        return made.replace("make", "make --dry-run", 1)
    if words == ["distillery", *words[1:2]] and words[1:] not in (["estimate"],):
        return f"{made} --help"
    if words[-1] == "reproduction":
        return f"{made} --help"
    if "snakemake" in made and not {"--report", "--unlock", "-n", "--dry-run"} & set(words):
        made = re.sub(r"snakemake(?= |$)", "snakemake --quiet all --dry-run", made, count=1)
    if "--report" in words or "--unlock" in words:
        made += " --configfile tiny.yaml"
    return made


def order(command: str) -> tuple:
    """Sort so that what makes a study or a set comes before what reads it, and what plans another
    study for the same results comes last."""
    first = command == "distillery init study --images pictures"
    return not first, "snakemake" in command, " evaluate " in command, command


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_command_runs(reader):
    failed = []
    for command in sorted(COMMANDS.keys() - ELSEWHERE.keys(), key=order):
        place = reader.folder / "study" if command in IN_STUDY else reader.folder
        failed.append(reader(made_runnable(command, reader.folder), place))
    assert "\n".join(filter(None, failed)) == ""
    assert (reader.folder / "study.zip").is_file() and (reader.folder / "set.safetensors").is_file()
    assert (reader.folder / "results/report-so-far.html").is_file()
    assert (reader.folder / "docs/reproduction/mine.json").is_file()
