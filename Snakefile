# Distillery: the study in the config, from download to report. Rules are in workflow/rules, one file a stage.
from snakemake.utils import min_version

min_version("9.27")


# Configs are whole studies: one that is named on the command line stands alone and is not merged into the default.
if not workflow.config_settings.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/experts.smk"
include: "workflow/rules/distill.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/continual.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        LAYOUT.report,
