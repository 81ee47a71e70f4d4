# The workflow is workflow/Snakefile. No rule of an included file is the default, so its target is
# named once more.
include: "workflow/Snakefile"


rule study:
    input:
        rules.all.input,
    localrule: True
