# What sets are worth, and the whole dataset beside them.


rule evaluate_synthetic:
    input:
        data=DATA,
        synthetic=f"{SYNTHETIC}/synthetic.safetensors",
        evolution=evaluation_evolution,
    output:
        metrics=f"{EVALUATED}/metrics.csv",
        cost=f"{EVALUATED}/cost.json",
    log:
        f"{LOGS}/evaluate_synthetic/{CELL}/{{network}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_synthetic/{CELL}/{{network}}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=evaluate_code,
        cell=cell_params,
        seed=study_seed,
        network=measured_network,
        settings=evaluation_settings,
        validation=evaluation_validation,
        compute=compute_settings,
    message:
        "Evaluating {wildcards.method} from {wildcards.init} on {wildcards.dataset} ({wildcards.ipc} a class, seed {wildcards.seed}) with {wildcards.network}"
    script:
        "../scripts/evaluate_synthetic.py"


rule evaluate_robust:
    input:
        data=DATA,
        synthetic=f"{SYNTHETIC}/synthetic.safetensors",
    output:
        metrics=f"{ROBUST}/metrics.csv",
        cost=f"{ROBUST}/cost.json",
    log:
        f"{LOGS}/evaluate_robust/{CELL}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_robust/{CELL}.tsv"
    wildcard_constraints:
        init="real|noise",
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=robust_code,
        cell=cell_params,
        seed=study_seed,
        network=distillation_network,
        settings=robust_settings,
        validation=validation_share,
        compute=compute_settings,
    message:
        "Judging labels and augmentation: {wildcards.method} from {wildcards.init} on {wildcards.dataset} ({wildcards.ipc} a class, seed {wildcards.seed})"
    script:
        "../scripts/evaluate_robust.py"


rule train_vanilla:
    input:
        data=DATA,
    output:
        metrics=f"{VANILLA}/metrics.csv",
        cost=f"{VANILLA}/cost.json",
    log:
        f"{LOGS}/train_vanilla/{{dataset}}/{{network}}.log",
    benchmark:
        f"{BENCHMARKS}/train_vanilla/{{dataset}}/{{network}}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=vanilla_code,
        seed=study_seed,
        network=measured_network,
        settings=vanilla_settings,
        compute=compute_settings,
    message:
        "Training {wildcards.network} on the whole of {wildcards.dataset}"
    script:
        "../scripts/train_vanilla.py"
