# Expert trajectories, for the methods that match them.


rule train_experts:
    input:
        data=LAYOUT.data,
        whitening=reads("train_experts", "whitening"),
    output:
        trajectories=f"{LAYOUT.shard}/trajectories.safetensors",
        metrics=f"{LAYOUT.shard}/{METRICS}",
        cost=f"{LAYOUT.shard}/{COST}",
    log:
        LAYOUT.log("train_experts"),
    benchmark:
        LAYOUT.benchmark("train_experts")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("train_experts"),
    message:
        "Training experts on {wildcards.dataset}: "
        "recipe {wildcards.recipe}, shard {wildcards.shard}"
    script:
        "../scripts/train_experts.py"
