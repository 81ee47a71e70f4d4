# Distillery: the study in the config, from download to report. Rules are in workflow/rules, one file a stage.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# The repository. Not `workflow.basedir`, which is the outer folder where another workflow uses this one as a module.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
if not (ROOT / "distillery").is_dir():
    sys.exit(
        "error: Distillery's rules need its library beside them: clone the repository and name the Snakefile of the clone"
    )

# Its package comes first on the path, here and in the scripts, which inherit the environment: before a copy that is installed.
sys.path.insert(0, str(ROOT))
PATHS = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, dict.fromkeys(PATHS))))

from distillery.study import load as configfiles
from distillery.errors import UserError

# The default study: that of the working directory or, from anywhere else, the repository's own.
DEFAULT = "config/config.yaml"
if not os.path.lexists(DEFAULT):
    DEFAULT = str(ROOT / DEFAULT)
NAMED = list(workflow.config_settings.configfiles)

# Snakemake keeps the last of two equal keys in silence. Another workflow's config, of which this study is a part, is its own affair.
if workflow.is_main_process and Path(workflow.basedir) == ROOT:
    try:
        for path in NAMED or [DEFAULT]:
            configfiles.check(path)
    except UserError as error:
        sys.exit(f"error: {error}")

# Configs are whole studies: one that is named on the command line stands alone and is not merged into the default.
if not NAMED:

    configfile: DEFAULT


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/experts.smk"
include: "workflow/rules/distill.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/continual.smk"
include: "workflow/rules/report.smk"


# No `default_target`: as a module it would take the outer workflow's place.
rule all:
    input:
        LAYOUT.report,
    localrule: True
