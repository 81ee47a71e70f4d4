# Synthetic sets: distilled, chosen (the coresets), or imported.


rule distill:
    input:
        data=LAYOUT.data,
        whitening=reads("distill", "whitening"),
        experts=reads("distill", "experts"),
        start=unprefixed(reads("distill", "start")),
    output:
        synthetic=f"{LAYOUT.synthetic}/{SET}",
        evolution=f"{LAYOUT.synthetic}/{EVOLUTION}",
        picture=report(
            f"{LAYOUT.synthetic}/synthetic.png",
            caption="../report/synthetic.rst",
            category="Synthetic images",
            labels={
                "dataset": "{dataset}",
                "method": "{method}",
                "init": "{init}",
                "ipc": "{ipc}",
                "seed": "{seed}",
            },
        ),
        metrics=f"{LAYOUT.synthetic}/{METRICS}",
        cost=f"{LAYOUT.synthetic}/{COST}",
    log:
        LAYOUT.log("distill"),
    benchmark:
        LAYOUT.benchmark("distill")
    wildcard_constraints:
        init="|".join((*vocabulary.INITS, *STUDY.starts)),
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("distill"),
    message:
        "Distilling {wildcards.dataset} by {wildcards.method} from {wildcards.init}, "
        "{wildcards.ipc} images per class, seed {wildcards.seed}"
    script:
        "../scripts/distill.py"


rule import_synthetic:
    input:
        data=LAYOUT.data,
        whitening=reads("import_synthetic", "whitening"),
        files=unprefixed(reads("import_synthetic", "files")),
    output:
        synthetic=f"{LAYOUT.synthetic}/{SET}",
    log:
        LAYOUT.log("import_synthetic"),
    benchmark:
        LAYOUT.benchmark("import_synthetic")
    wildcard_constraints:
        init="imported",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **asks("import_synthetic"),
    message:
        "Importing the released set {wildcards.method} "
        "({wildcards.dataset}, {wildcards.ipc} images per class)"
    script:
        "../scripts/import_synthetic.py"
