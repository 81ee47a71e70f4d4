# Expert trajectories, for the methods that match them.


def expert_settings(wildcards):
    settings = STUDY.experts(wildcards.dataset, wildcards.recipe)
    return {
        key: value for key, value in settings.items() if key not in ("number", "shard")
    }


def expert_numbers(wildcards):
    return STUDY.shards(wildcards.dataset, wildcards.recipe)[int(wildcards.shard)]


def train_experts_code(wildcards):
    return fingerprint("train_experts.py")


rule train_experts:
    input:
        data=DATA,
    output:
        trajectories=f"{SHARD}/trajectories.safetensors",
        metrics=f"{SHARD}/metrics.csv",
        cost=f"{SHARD}/cost.json",
    log:
        f"{LOGS}/train_experts/{{dataset}}/{{recipe}}/shard{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/train_experts/{{dataset}}/{{recipe}}/shard{{shard}}.tsv"
    params:
        code=train_experts_code,
        seed=study_seed,
        network=distillation_network,
        numbers=expert_numbers,
        settings=expert_settings,
        validation=validation_share,
        compute=compute_settings,
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    message:
        "Training experts on {wildcards.dataset}: recipe {wildcards.recipe}, shard {wildcards.shard}"
    conda:
        "../../envs/gpu.yaml"
    script:
        "../scripts/train_experts.py"
