# The study, wildcard constraints, and what rules ask about a job: distillery/study/jobs.py knows
# it, and distillery/store/layout.py the paths.
import atexit
import shlex

from distillery import vocabulary
from distillery.estimate import kept
from distillery.run import track
from distillery.store import outcome
from distillery.study.params import names as names_of_params
from distillery.study import trials, written
from distillery.study.jobs import Jobs
from distillery.store.layout import (
    CELL,
    CONFUSION,
    COST,
    EVOLUTION,
    METRICS,
    NEIGHBOURS,
    SET,
    Layout,
    filled,
)

# Snakemake puts the interpreter's path into shell commands as it is, so one with a space in it must
# be quoted beforehand; once, however many modules of another workflow are this one.
if not sys.executable.startswith("'"):
    sys.executable = shlex.quote(sys.executable)

try:
    STUDY = configfiles.study(config)
    track.check(STUDY.config["compute"]["track"])
    # Code from outside runs first in a process of its own.
    if workflow.is_main_process:
        place = workflow.modifier.path_modifier.replace_prefix(STUDY.config["results"])
        trials.check(STUDY, Layout(place).tried)
        for each in STUDY.own.values():
            for line in each.notes:
                print(f"note: {line}", file=sys.stderr)
    if STUDY.imported and workflow.is_main_process:
        # Files of others are looked into before any job starts; only here, because it takes torch.
        from distillery.sets.released.read import check

        for number, entry in enumerate(STUDY.config["imported"]):
            for line in check(
                entry,
                STUDY.datasets[entry["dataset"]].spec,
                f"config: imported[{number}]",
            ):
                print(f"note: {line}", file=sys.stderr)
    if STUDY.starts and workflow.is_main_process:
        from distillery.sets import starts

        for name, dataset, space, ipc in STUDY.started:
            for line in starts.check(
                STUDY.starts[name],
                STUDY.datasets[dataset].spec,
                ipc,
                space == "zca",
                f"config: starts.{name}",
            ):
                print(f"note: {line}", file=sys.stderr)
except UserError as error:
    sys.exit(f"error: {error}")

# Jobs inherit it, those of a cluster by reading this file, too.
os.environ[track.TRACK] = STUDY.config["compute"]["track"]

LAYOUT = Layout(STUDY.config["results"])
JOBS = Jobs(STUDY, LAYOUT)
# Where this is a module with a `prefix`, Snakemake puts it before every input, output and log, but
# not before what params name: HERE are the jobs as their files lie.
PREFIXED = workflow.modifier.path_modifier.replace_prefix
PLACE = PREFIXED(LAYOUT.results)
HERE = JOBS if PLACE == LAYOUT.results else Jobs(STUDY, Layout(PLACE))
ASKED = local(
    written.write_asked(HERE) if workflow.is_main_process else HERE.layout.asked
)
if workflow.is_main_process:
    # What `python -m distillery report` reads. Here, for Snakemake runs no `onstart` of a module.
    written.write_study(HERE)
    if not any(level.name == "ALL" for level in workflow.output_settings.quiet or ()):
        shown = " ".join(map(os.path.relpath, NAMED or [DEFAULT]))
        print(
            kept.beginning(HERE, workflow.global_resources, shown),
            end="",
            file=sys.stderr,
        )


wildcard_constraints:
    dataset="|".join(STUDY.datasets),
    method="[A-Za-z][A-Za-z0-9_]*",
    init="|".join((*vocabulary.INITS, *STUDY.starts, vocabulary.IMPORTED)),
    ipc=r"\d+",
    seed=r"\d+",
    network="|".join(STUDY.networks),
    recipe="[A-Za-z0-9_]+",
    shard=r"\d+",
    strategy="|".join(vocabulary.STRATEGIES),
    memory="|".join(vocabulary.MEMORIES),
    steps=r"\d+",
    order=r"\d+",
    step=r"\d+",


def own(path):
    """Return a file of the library as an input, relative to the working directory: a clone
    elsewhere then knows its checksum.

    ``local``: no module's prefix and no object store comes before it.
    """
    return local(os.path.relpath(LIBRARY / path))


def one_of(names):
    """Return a pattern of any of these names; without one, of nothing."""
    return "|".join(sorted(names)) or "(?!)"


def unprefixed(files):
    """Return files that the config names, relative to the working directory, also where this is a
    module with a `prefix`."""
    return lambda wildcards: [
        path if PREFIXED(path) == path else local(path) for path in files(wildcards)
    ]


def asks(rule):
    """Return the params of a rule: what the study asks of a job, each a function of its wildcards,
    and under ``rule`` its name, for the job's record.

    A function, so that what only one job needs is not worked out by every other job, which reads
    the workflow too.
    """
    asked = {name: _asked(rule, name) for name in names_of_params(rule)}
    return {**asked, "rule": _named(rule)}


def _named(rule):
    # Snakemake compares no param that is a function of the outputs: how a record is headed makes
    # no result stale.
    return lambda wildcards, output: rule


def _asked(rule, name):
    return lambda wildcards: getattr(HERE.params(rule, dict(wildcards.items())), name)


def reads(rule, name):
    """Return a function from a job's wildcards to the files of one input of its rule, which depend
    on the study."""
    return lambda wildcards: JOBS.inputs(rule, dict(wildcards.items()))[name]


def paths(pattern, cells):
    return [filled(pattern, cell.__dict__) for cell in cells]


def compute_threads(wildcards):
    return STUDY.config["compute"]["threads"]


def compute_memory(wildcards, attempt):
    return STUDY.config["compute"]["mem_mb"] * 2 ** (attempt - 1)


def compute_runtime(wildcards, attempt):
    return STUDY.config["compute"]["runtime"] * 2 ** (attempt - 1)


OWN_CELLS = [cell for cell in STUDY.cells if not STUDY.is_imported(cell.method)]
