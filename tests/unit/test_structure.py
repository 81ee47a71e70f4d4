"""The house as it was agreed: what may import what, what a rule declares, and what must never stand
in the repository."""

import ast
import fnmatch
import functools
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from distillery import plugins
from distillery.study.fingerprint import closure
from distillery.study.jobs import script
from distillery.study.own_images import KINDS
from distillery.study.params import RULES as PARAMS
from distillery.study.params import names as names_of_params

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "distillery"
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))

# The rooms of the library, and the rooms that each may import from beside the ground. No room knows
# one above it; `run` is for the workflow and the benchmarks alone.
GROUND = [
    *("__init__", "declarations", "errors", "limits", "literals", "markdown", "outside"),
    *("places", "plugged", "plugins", "recipe", "seeds", "streams", "times", "vocabulary"),
]
ROOMS = {
    "store": [],
    "compute": [],
    "images": ["store"],
    "datasets": ["store", "images"],
    "study": ["store", "datasets"],
    "networks": ["store"],
    "augmentations": [],
    "sets": ["store", "images"],
    "training": ["store", "compute", "images", "networks", "augmentations"],
    "methods": ["store", "compute", "networks", "augmentations"],
    "evaluation": ["store", "compute", "images", "networks", "training"],
    "stages": [
        *("store", "compute", "images", "networks", "sets", "training", "methods", "evaluation"),
    ],
    "api": ["store", "compute", "study", "images", "sets", "training", "stages"],
    "published": ["store"],
    "report": ["store", "study", "images", "sets", "evaluation", "published"],
    "estimate": ["store", "compute", "study", "networks", "evaluation"],
    "run": ["store", "compute", "study"],
}
# Commands may know every room but `run`.
ROOMS["commands"] = [room for room in ROOMS if room != "run"]
TOP = {"__main__": ["commands"]}


def room(module):
    """The room that a module of the library is in; its own name on the ground."""
    return module.partition(".")[0]


def module_of(path):
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts)


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path):
    """The full names that a file imports, anywhere in it; of `from a import b` both `a` and
    `a.b`."""
    yield from names_of(ast.walk(tree(path)), path)


def names_of(nodes, path):
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def external(path):
    return {name.partition(".")[0] for name in imported(path)} - set(sys.stdlib_module_names)


MODULES = sorted(module_of(path) for path in LIBRARY.rglob("*.py"))
RULES = {
    name: text
    for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for name, text in re.findall(
        r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
}


def section(rule, name):
    """What stands under a section of a rule, or beside it."""
    found = re.search(rf"^    {name}:(.*?)(?=^    \S|\Z)", RULES[rule], re.MULTILINE | re.DOTALL)
    return found and found.group(1).strip()


# ---- imports -------------------------------------------------------------------------------------


def running(path):
    """The full names that a file imports as it runs: not those for type checkers alone."""
    nodes = list(ast.walk(tree(path)))
    for node in list(nodes):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped = {id(part) for child in node.body for part in ast.walk(child)}
            nodes = [each for each in nodes if id(each) not in skipped]
    yield from names_of(nodes, path)


def modules_imported(path, named=imported):
    """The modules of the library that a file's imports run, but the packages on the way to
    another."""
    names = {
        name.removeprefix("distillery.") for name in named(path) if name.startswith("distillery.")
    }
    for name in names:
        if name in MODULES:
            yield name
        elif f"{name}.__init__" in MODULES and not any(
            other.startswith(f"{name}.") and other in MODULES for other in names
        ):
            yield f"{name}.__init__"


def path_of(module):
    return LIBRARY / f"{module.replace('.', '/')}.py"


def test_every_room_is_listed_and_below_those_that_import_from_it():
    folders = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert folders == set(ROOMS)
    order = list(ROOMS)
    for name, below in ROOMS.items():
        assert {order.index(each) < order.index(name) for each in below} <= {True}
    assert {module for module in MODULES if "." not in module} == {*GROUND, *TOP}


def test_a_module_imports_from_the_rooms_below_its_own_only():
    wrong = {}
    for module in MODULES:
        here = room(module)
        allowed = {here, *GROUND} if here in ROOMS else set(GROUND)
        allowed |= set((ROOMS | TOP).get(here, ()))
        found = {room(name) for name in modules_imported(path_of(module), running)}
        if found - allowed:
            wrong[module] = found - allowed
    assert wrong == {}


def test_no_modules_import_each_other_in_a_circle():
    below = {
        module: set(modules_imported(path_of(module), running)) - {module} for module in MODULES
    }
    while free := {module for module, needed in below.items() if not needed & set(below)}:
        below = {module: needed for module, needed in below.items() if module not in free}
    assert {module: needed & set(below) for module, needed in below.items()} == {}


def test_only_the_workflow_and_the_benchmarks_import_what_runs_a_job():
    """Else an edit of the log's interval, or one more field of a cost file, would make results
    stale."""
    runs = {
        path
        for path in FILES
        if path.suffix in (".py", ".smk") and "distillery.run" in set(packages_imported(path))
    }
    assert {path.relative_to(ROOT).parts[0] for path in runs} <= {
        "workflow",
        "benchmarks",
        "tests",
        "distillery",
    }
    assert {
        path.relative_to(LIBRARY).parts[0] for path in runs if path.is_relative_to(LIBRARY)
    } == {"run"}
    assert set(SCRIPTS) <= runs


def packages_imported(path):
    """The packages of the library that a file names in an import statement."""
    for name in re.findall(
        r"^\s*(?:from|import) (distillery[\w.]*(?: import [^\n]*)?)",
        path.read_text(encoding="utf-8"),
        re.MULTILINE,
    ):
        module, _, names = name.partition(" import ")
        yield ".".join(module.split(".")[:2])
        if module == "distillery":
            yield from (
                f"distillery.{each.split()[0]}"
                for each in names.strip("( ").split(",")
                if each.split()
            )


def test_no_job_reads_a_set_by_the_line_that_is_for_users():
    """`distillery.load` imports by a name, which fingerprints do not see."""
    users = {
        path
        for path in [*LIBRARY.rglob("*.py"), *SCRIPTS]
        if "distillery.load" in set(imported(path))
    }
    assert {path.parent for path in users} == {LIBRARY / "commands"}
    assert closure([LIBRARY / "__init__.py"]) == [LIBRARY / "__init__.py"]


def test_the_library_knows_neither_snakemake_nor_the_scripts():
    above = {"snakemake", "workflow", "tests", "benchmarks", "scripts"}
    assert [name for name in MODULES if above & external(path_of(name))] == []
    for module in MODULES:
        names = [node.id for node in ast.walk(tree(path_of(module))) if isinstance(node, ast.Name)]
        assert "snakemake" not in names, module


def test_a_plug_in_knows_no_other_of_its_kind():
    for folder in plugins.FOLDERS:
        for path in (LIBRARY / folder).glob("*.py"):
            if path.stem == "__init__":
                continue
            others = {name for name in imported(path) if name.startswith(f"distillery.{folder}.")}
            others = {name.split(".")[2] for name in others}
            others = {name for name in others if (LIBRARY / folder / f"{name}.py").is_file()}
            # What begins with an underscore is no method, but what several share.
            assert {name for name in others if not name.startswith("_")} <= {"base"}, path


def test_no_name_of_a_plug_in_is_typed_where_a_new_one_would_be_missing():
    """The config's schema and the machinery name no network and no augmentation but a default."""
    names = {*plugins.networks(), *plugins.augmentations()} - {"none"}
    schemas = {LIBRARY / "study/schema.py", LIBRARY / "study/trainings.py"}
    lists = [
        node
        for path in set(LIBRARY.rglob("*.py")) - schemas
        for node in ast.walk(tree(path))
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict)
    ]
    for node in lists:
        held = node.keys if isinstance(node, ast.Dict) else node.elts
        texts = [item.value for item in held if isinstance(item, ast.Constant)]
        assert len(names & {text for text in texts if isinstance(text, str)}) < 2, ast.unparse(
            node
        )[:200]
    schema = json.loads((ROOT / "config/schema.json").read_text(encoding="utf-8"))
    assert not [
        node
        for node in walk(schema)
        if isinstance(node, dict)
        and names & {text for text in node.get("enum", []) if isinstance(text, str)}
    ]


def walk(value):
    yield value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from walk(item)


def test_what_the_parse_of_the_workflow_imports_is_light():
    """Every job parses it; `imported` is looked into by the main process only, where a study has
    imported sets."""
    texts = [
        (ROOT / path).read_text(encoding="utf-8")
        for path in ("workflow/Snakefile", "workflow/rules/common.smk")
    ]
    used = re.findall(r"^from (distillery[\w.]*) import (.+)$", "\n".join(texts), re.MULTILINE)
    names = {f"{package}.{name.split()[0]}" for package, names in used for name in names.split(",")}
    names |= {package for package, _ in used}
    files = [path_of(name.removeprefix("distillery.")) for name in names]
    files = [path for path in files if path.is_file()]
    assert {"load.py", "jobs.py"} <= {path.name for path in files}
    # What looks at the config's own datasets is imported by the name of their kind.
    kinds = [path_of(f"datasets._{kind}") for kind in KINDS]
    assert all(path.is_file() for path in kinds)
    files += kinds
    # Parquet has to be read by those who have it, and by nobody else.
    hub = path_of("datasets._hub")
    assert external(hub) == {"distillery", "pyarrow"}
    found = set().union(*(external(path) for path in closure(files) if path != hub))
    assert found == {"distillery", "pydantic", "pydantic_core", "yaml"}


# ---- scripts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_one_function_that_is_handed_to_what_runs_a_job(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
    functions = [node for node in tree(path).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == [path.stem]
    last = tree(path).body[-1]
    assert isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'"
    # Nothing else is done there, so that no job runs but as `job.main` sees it through.
    (call,) = last.body
    assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
    assert ast.unparse(call.value.func) == "job.main" and not call.value.keywords
    above = ast.Module(tree(path).body[:-1], [])
    assert not any(
        isinstance(node, ast.Name) and node.id == "snakemake" for node in ast.walk(above)
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_reads_only_what_makes_its_job_stale(path):
    """`snakemake.config` would be read unseen: Snakemake compares params, inputs and files. What is
    handed on is the function and these parts, in this order, and never `snakemake` as a whole."""
    handed = [ast.unparse(argument) for argument in tree(path).body[-1].body[0].value.args]
    # Where images come from is no part of what they are.
    extra = ["snakemake.resources"] if path.stem in ("download", "prepare") else []
    parts = [f"snakemake.{part}" for part in ("params", "input", "output", "log")]
    assert handed == [path.stem, *parts, *extra]


def test_what_a_job_may_read_of_snakemake_is_params_and_files():
    """`job.main` gives the function what it was handed, and nothing that it finds elsewhere."""
    (main,) = [
        node
        for node in tree(LIBRARY / "run/job.py").body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    ]
    (call,) = [
        node
        for node in ast.walk(main)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "function"
    ]
    given = [ast.unparse(argument) for argument in call.args]
    assert given == ["state", "asked", "inputs", "outputs", "*more"] and not call.keywords
    assert "given = dict(params.items())" in ast.unparse(main)
    assert "asked = RULES[rule](**given)" in ast.unparse(main)


# ---- rules ---------------------------------------------------------------------------------------


def test_every_rule_is_found_and_every_script_has_its_rule():
    declared = sum(
        path.read_text(encoding="utf-8").count("\nrule ")
        for path in (ROOT / "workflow/rules").glob("*.smk")
    )
    assert len(RULES) == declared >= 10
    assert {section(rule, "script").strip('"') for rule in RULES} == {
        f"../scripts/{path.name}" for path in SCRIPTS
    }


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_declares_all_that_a_job_needs(rule):
    for name in (
        "output",
        "log",
        "benchmark",
        "conda",
        "threads",
        "resources",
        "params",
        "message",
        "script",
    ):
        assert section(rule, name), f"{rule} has no {name}"
    assert not section(rule, "shell") and not section(
        rule, "run"
    )  # their text is not tracked: `code` is off in the default profile
    resources, params = section(rule, "resources"), section(rule, "params")
    assert re.search(r"\bmem_mb=", resources) and re.search(r"\bruntime=", resources)
    # What the study asks of a job is known in one place, and the digest there is of the rule's own
    # script.
    assert params == f'**asks("{rule}"),'
    assert script(rule) == Path(section(rule, "script").strip('"')).name


def test_a_rule_made_of_another_asks_for_its_own_params():
    """Else both keep their state in one checkpoint."""
    rules = "".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    made = re.findall(r"^use rule \w+ as (\w+) with:\n(.*?)(?=^\S|\Z)", rules, re.M | re.S)
    assert made
    for rule, text in made:
        assert f'**asks("{rule}"),' in text, rule


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_claims_a_device_if_and_only_if_it_counts_as_computing(rule):
    """`job.main` claims one where the rule's params have a `compute`."""
    computes = "compute" in names_of_params(rule)
    assert bool(re.search(r"\bgpu=1\b", section(rule, "resources"))) == computes
    alone = "8" if rule == "prepare" else "1"  # decoding scales with cores
    assert section(rule, "threads") == ("compute_threads" if computes else alone)
    assert section(rule, "conda") == f'"../../envs/{"gpu" if computes else "cpu"}.yaml"'


def test_every_rule_has_its_params_and_those_that_share_a_script_have_the_same():
    used = {path.stem for path in SCRIPTS}
    assert {script(rule).removesuffix(".py") for rule in PARAMS} == used == set(RULES)
    for rule, asked in PARAMS.items():
        assert {"job", "code"} <= set(names_of_params(rule))
        assert asked is PARAMS[script(rule).removesuffix(".py")]


def test_the_default_profile_tracks_code_by_its_digest_and_not_by_the_times_of_files():
    profile = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text(encoding="utf-8"))
    assert set(profile["rerun-triggers"]) == {"mtime", "params", "input", "software-env"}
    assert profile["rerun-incomplete"] is True and "gpu=1" in profile["resources"]


# ---- the repository ------------------------------------------------------------------------------


def repository():
    """Every file of the repository that git does not ignore."""
    ignored = [
        line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    ] + [".git"]

    def walk(folder):
        for path in sorted(folder.iterdir()):
            if not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored):
                yield from walk(path) if path.is_dir() and not path.is_symlink() else [path]

    return list(walk(ROOT))


FILES = repository()
# Tests are as long as what they test, and make such files as they see refused.
SOURCES = [
    path for path in FILES if path.suffix == ".py" and "tests" not in path.relative_to(ROOT).parts
]


def test_the_walk_over_the_repository_sees_it_and_nothing_else():
    names = {path.relative_to(ROOT).as_posix() for path in FILES}
    assert {
        "Snakefile",
        "distillery/study/study.py",
        "config/config.yaml",
        "workflow/scripts/distill.py",
        "requirements.lock",
    } <= names
    assert not any(
        name.startswith((".venv", ".git/", "results", ".snakemake/", "uv.lock")) for name in names
    )


def test_no_module_has_more_than_500_lines_and_no_function_more_than_80():
    for path in SOURCES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 80, f"{path}: {node.name}"


def test_no_line_of_the_page_s_scripts_and_styles_has_more_than_100_bytes():
    paths = [path for path in FILES if path.suffix in (".js", ".css")]
    assert {path.name for path in paths} >= {"page.js", "style.css"}
    long = [
        f"{path.name}:{number}"
        for path in paths
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if len(line) > 100
    ]
    assert long == []


def test_the_house_in_the_readme_is_the_house_that_stands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = text.partition("## How it is built\n\n```\n")[2].partition("```")[0].splitlines()
    shown = {line.split()[0] for line in drawn if not line.startswith(" ")}
    rooms = {line.split()[0].strip("/") for line in drawn if line.startswith("  ")}
    assert rooms == set(ROOMS)
    folders = {f"{path.relative_to(ROOT).parts[0]}/" for path in FILES if path.parent != ROOT}
    hidden = {name for name in folders if name.startswith(".")}
    assert shown == (folders - hidden) | {"Snakefile"}
    for line in drawn:
        for inner in re.findall(r"(?<![\w/])([a-z]+)/(?=[ ,;]|$)", line.partition("  ")[2]):
            above = LIBRARY if line.startswith("  ") else ROOT / line.split("/")[0]
            assert (above / inner).is_dir() or (ROOT / inner).is_dir(), line


# What Snakemake, make, pip, conda, git and shells read, some of them in the encoding of the user's
# locale, which need not be UTF-8.
OURS = (".md", ".jinja", ".css", ".csv", ".png", ".gif")
OTHERS_READ = [
    path
    for path in FILES
    if path.suffix not in OURS and (path.suffix != ".py" or (ROOT / "workflow") in path.parents)
]


def test_what_others_read_in_the_encoding_of_the_locale_is_ascii():
    for path in OTHERS_READ:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            assert line.isascii(), f"{path}:{number}: {line.decode('utf-8', 'replace')}"


def test_what_others_read_is_found():
    names = {path.relative_to(ROOT).as_posix() for path in OTHERS_READ}
    assert {
        "Snakefile",
        "Makefile",
        "pyproject.toml",
        "profiles/default/config.yaml",
        "config/quickstart.yaml",
        "envs/cpu.yaml",
    } <= names
    assert {
        "workflow/rules/common.smk",
        "workflow/scripts/distill.py",
        "workflow/report/report.rst",
    } <= names


def calls(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield (
                ast.unparse(node.func),
                {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords},
                node.lineno,
            )


@pytest.mark.parametrize("folder", sorted({path.relative_to(ROOT).parts[0] for path in SOURCES}))
def test_nothing_runs_what_a_file_says(folder):
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] == folder:
            runs_nothing_of_a_file(path)


def runs_nothing_of_a_file(path):
    unpicklers = {
        "pickle.load",
        "pickle.loads",
        "torch.hub.load",
        "joblib.load",
        "yaml.load",
        "yaml.unsafe_load",
        "eval",
        "exec",
        "marshal.loads",
        "os.system",
    }
    for name, keywords, line in calls(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        assert name not in unpicklers, where
        assert name != "torch.load" or keywords.get("weights_only") == "True", (
            f"{where}: torch.load without weights_only=True"
        )
        assert (
            keywords.get("allow_pickle", "False") == "False"
            and keywords.get("shell", "False") == "False"
        ), where
    # The one unpickler is CIFAR's, which finds nothing but what those files need.
    assert (
        "pickle" not in external(path) | set(imported(path))
        or path == LIBRARY / "datasets" / "_unpickle.py"
    ), path


def test_the_one_unpickler_refuses_every_name_but_a_few():
    classes = [
        node
        for node in tree(LIBRARY / "datasets" / "_unpickle.py").body
        if isinstance(node, ast.ClassDef)
    ]
    (unpickler,) = [node for node in classes if "pickle.Unpickler" in map(ast.unparse, node.bases)]
    assert {"find_class", "persistent_load"} <= {
        node.name for node in unpickler.body if isinstance(node, ast.FunctionDef)
    }


# Written in parts, so that this file holds none of them.
PRIVATE = {
    "a path of one machine": r"(?<![\w.~}/:-])/(?:"
    + "|".join(["work", "root", "home", "Users", "scratch", "mnt"])
    + r")/\w",
    "a registry's or mirror's host": "|".join(
        [
            r"pypi\." + "org",
            "python" + "hosted",
            "registry" + r"\.npm",
            "anaconda" + r"\.org",
            "deb" + r"\.debian",
        ]
    ),
    "an index address": "--(?:extra-)?index" + "-url",
    "a credential": r"(?i)(?:api_?key|passw(?:or)?d|secret|token)\s*[=:]\s*[\"'][^\"']{6,}",
}


@pytest.mark.parametrize("what", PRIVATE)
def test_no_file_holds(what):
    pattern = re.compile(PRIVATE[what])
    found = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group(0)}" for match in pattern.finditer(text)]
    assert found == []


NO_ENGLISH_OF_THE_FIELD = re.compile(
    r"\bimages? a class\b(?! of)|whole training set|whole set's|last iterate|\bmomentum anew\b"
    r"|whole or not at all"
)


@pytest.mark.parametrize(
    "pattern",
    [
        "README.md",
        "config/*",
        "studies/*",
        "docs/*.md",
        "benchmarks/*.py",
        "distillery/**/*.py",
        "workflow/**/*.*",
    ],
)
def test_what_people_read_has_the_words_of_the_field(pattern):
    paths = sorted(set(ROOT.glob(pattern)) & set(FILES))  # bytecode lies beside scripts
    assert paths
    for path in paths:
        found = NO_ENGLISH_OF_THE_FIELD.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found.group()}"


def test_the_patterns_find_what_they_are_for():
    examples = [
        "see /" + "home/me/data",
        "https://pypi" + ".org/simple",
        "pip install --index" + "-url x",
        'password = "' + 'hunter22"',
    ]
    assert all(
        re.search(pattern, example)
        for pattern, example in zip(PRIVATE.values(), examples, strict=True)
    )
    assert not re.search(
        PRIVATE["a path of one machine"], "results/work/x https://a.b/home/x {x}/root/y"
    )


def test_the_wheel_has_every_folder_of_the_library_and_every_file_of_the_workflow():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]
    folders = [path.parent.relative_to(ROOT) for path in LIBRARY.rglob("__init__.py")]
    packages = {".".join(folder.parts) for folder in folders}
    packaged = {name for name in setup["packages"] if "._workflow" not in name}
    assert packaged == packages
    carried = {
        path
        for package, folder in setup["package-dir"].items()
        for pattern in setup["package-data"][package]
        for path in (ROOT / folder).glob(pattern)
    }
    wanted = ("Snakefile", "workflow", "config", "envs", "profiles")
    assert carried == {path for path in FILES if path.relative_to(ROOT).parts[0] in wanted}
    inside = {
        LIBRARY / path
        for pattern in setup["package-data"]["distillery"]
        for path in LIBRARY.glob(pattern)
    }
    assert inside == {
        path for path in FILES if path.is_relative_to(LIBRARY) and path.suffix != ".py"
    }


def test_the_lock_has_a_hash_for_every_package_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text and "file:" not in text and "@" not in text
    packages = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(packages) > 50 and all("--hash=sha256:" in package for package in packages)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_conda_environments_have_the_versions_of_the_lock(name):
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = [
        Requirement(line) for line in re.findall(r"^([\w.-]+==[^\\\n]+)", text, re.MULTILINE)
    ]
    # A package may have one version for each Python; the environments name one Python.
    python = re.search(
        r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ).group(1)
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    lock = {
        entry.name: str(entry.specifier).removeprefix("==")
        for entry in entries
        if not entry.marker or entry.marker.evaluate(here)
    }
    dependencies = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    (wheels,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    pinned = dict(entry.split("==") for entry in wheels)
    assert {package: lock[package] for package in pinned} == pinned
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["workflow"]
    assert {Requirement(entry).name for entry in needed} == set(pinned)
    assert f"python={python}" in dependencies
