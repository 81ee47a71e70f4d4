# What sets are worth, and the whole dataset beside them.


def evaluation_settings(wildcards):
    return STUDY.evaluation(cell_of(wildcards), wildcards.network)


def evaluation_evolution(wildcards):
    """The snapshots, where this network judges them."""
    if evaluation_settings(wildcards)["selection"] is None:
        return []
    return f"{SYNTHETIC}/evolution.safetensors"


def evaluation_validation(wildcards):
    """The validation share, where this job selects by it."""
    if evaluation_settings(wildcards)["selection"] is None:
        return None
    return STUDY.config["data"]["validation"]


def evaluate_code(wildcards):
    return fingerprint("evaluate_synthetic.py")


def vanilla_settings(wildcards):
    return STUDY.vanilla(wildcards.dataset, wildcards.network)


def vanilla_code(wildcards):
    return fingerprint("train_vanilla.py")


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
    params:
        code=evaluate_code,
        cell=cell_params,
        seed=study_seed,
        network=measured_network,
        settings=evaluation_settings,
        validation=evaluation_validation,
        compute=compute_settings,
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    message:
        "Evaluating {wildcards.method} from {wildcards.init} on {wildcards.dataset} ({wildcards.ipc} a class, seed {wildcards.seed}) with {wildcards.network}"
    conda:
        "../../envs/gpu.yaml"
    script:
        "../scripts/evaluate_synthetic.py"


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
    params:
        code=vanilla_code,
        seed=study_seed,
        network=measured_network,
        settings=vanilla_settings,
        compute=compute_settings,
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    message:
        "Training {wildcards.network} on the whole of {wildcards.dataset}"
    conda:
        "../../envs/gpu.yaml"
    script:
        "../scripts/train_vanilla.py"
