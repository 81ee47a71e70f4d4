# Expert trajectories, for the methods that match them.


rule train_experts:
    input:
        data=DATA,
        whitening=expert_whitening,
    output:
        trajectories=f"{SHARD}/trajectories.safetensors",
        metrics=f"{SHARD}/metrics.csv",
        cost=f"{SHARD}/cost.json",
    log:
        f"{LOGS}/train_experts/{{dataset}}/{{recipe}}/shard{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/train_experts/{{dataset}}/{{recipe}}/shard{{shard}}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=train_experts_code,
        seed=study_seed,
        network=distillation_network,
        numbers=expert_numbers,
        settings=expert_settings,
        validation=validation_share,
        compute=compute_settings,
        checkpoint=f"{CHECKPOINTS}/train_experts/{{dataset}}/{{recipe}}/shard{{shard}}.safetensors",
    message:
        "Training experts on {wildcards.dataset}: recipe {wildcards.recipe}, shard {wildcards.shard}"
    script:
        "../scripts/train_experts.py"
