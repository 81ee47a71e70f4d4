# What sets are worth, and the full training set beside them.


rule evaluate_synthetic:
    input:
        data=LAYOUT.data,
        synthetic=f"{LAYOUT.synthetic}/{SET}",
        evolution=reads("evaluate_synthetic", "evolution"),
        experts=reads("evaluate_synthetic", "experts"),
    output:
        confusion=f"{LAYOUT.evaluated}/{CONFUSION}",
        metrics=f"{LAYOUT.evaluated}/{METRICS}",
        cost=f"{LAYOUT.evaluated}/{COST}",
    log:
        LAYOUT.log("evaluate_synthetic"),
    benchmark:
        LAYOUT.benchmark("evaluate_synthetic")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("evaluate_synthetic"),
    message:
        "Evaluating {wildcards.method} from {wildcards.init} on {wildcards.dataset} "
        "({wildcards.ipc} per class, seed {wildcards.seed}) with {wildcards.network}"
    script:
        "../scripts/evaluate_synthetic.py"


rule evaluate_robust:
    input:
        data=LAYOUT.data,
        synthetic=f"{LAYOUT.synthetic}/{SET}",
    output:
        metrics=f"{LAYOUT.robust}/{METRICS}",
        cost=f"{LAYOUT.robust}/{COST}",
    log:
        LAYOUT.log("evaluate_robust"),
    benchmark:
        LAYOUT.benchmark("evaluate_robust")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("evaluate_robust"),
    message:
        "Judging labels and augmentation: {wildcards.method} from {wildcards.init} on "
        "{wildcards.dataset} ({wildcards.ipc} per class, seed {wildcards.seed})"
    script:
        "../scripts/evaluate_robust.py"


rule evaluate_privacy:
    input:
        data=LAYOUT.data,
        synthetic=f"{LAYOUT.synthetic}/{SET}",
    output:
        neighbours=f"{LAYOUT.privacy}/{NEIGHBOURS}",
        metrics=f"{LAYOUT.privacy}/{METRICS}",
        cost=f"{LAYOUT.privacy}/{COST}",
    log:
        LAYOUT.log("evaluate_privacy"),
    benchmark:
        LAYOUT.benchmark("evaluate_privacy")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("evaluate_privacy"),
    message:
        "Looking for copies and members: {wildcards.method} from {wildcards.init} on "
        "{wildcards.dataset} ({wildcards.ipc} per class, seed {wildcards.seed})"
    script:
        "../scripts/evaluate_privacy.py"


rule train_vanilla:
    input:
        data=LAYOUT.data,
        experts=reads("train_vanilla", "experts"),
    output:
        metrics=f"{LAYOUT.vanilla}/{METRICS}",
        cost=f"{LAYOUT.vanilla}/{COST}",
    log:
        LAYOUT.log("train_vanilla"),
    benchmark:
        LAYOUT.benchmark("train_vanilla")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("train_vanilla"),
    message:
        "Training {wildcards.network} on the full training set of {wildcards.dataset}"
    script:
        "../scripts/train_vanilla.py"
