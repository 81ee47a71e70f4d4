# Class-incremental learning with and without a memory.


# The part of a memory that stands for one step, from the images of that step alone; and its
# experts.
rule step_experts:
    input:
        data=LAYOUT.data,
    output:
        trajectories=f"{LAYOUT.step_shard}/trajectories.safetensors",
        cost=f"{LAYOUT.step_shard}/{COST}",
    log:
        LAYOUT.log("step_experts"),
    benchmark:
        LAYOUT.benchmark("step_experts")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("step_experts"),
    message:
        "Training experts on {wildcards.dataset}, step {wildcards.step} of {wildcards.steps}, "
        "order {wildcards.order}: recipe {wildcards.recipe}, shard {wildcards.shard}"
    script:
        "../scripts/step_experts.py"


rule step_distill:
    input:
        data=LAYOUT.data,
        experts=reads("step_distill", "experts"),
    output:
        synthetic=f"{LAYOUT.step_set}/{SET}",
        cost=f"{LAYOUT.step_set}/{COST}",
    log:
        LAYOUT.log("step_distill"),
    benchmark:
        LAYOUT.benchmark("step_distill")
    wildcard_constraints:
        init="|".join(vocabulary.INITS),
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("step_distill"),
    message:
        "Distilling step {wildcards.step} of {wildcards.steps}, order {wildcards.order}, of "
        "{wildcards.dataset} by {wildcards.method} from {wildcards.init}, "
        "{wildcards.ipc} images per class, seed {wildcards.seed}"
    script:
        "../scripts/step_distill.py"


rule continual_alone:
    input:
        data=LAYOUT.data,
        whitening=reads("continual_alone", "whitening"),
    output:
        metrics=f"{LAYOUT.continual}/{METRICS}",
        cost=f"{LAYOUT.continual}/{COST}",
        finetuned=f"{LAYOUT.continual}/finetuned.safetensors",
    log:
        LAYOUT.log("continual_alone"),
    benchmark:
        LAYOUT.benchmark("continual_alone")
    wildcard_constraints:
        strategy="|".join(vocabulary.ALONE),
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("continual_alone"),
    message:
        "Continual learning on {wildcards.dataset} in {wildcards.steps} steps, order "
        "{wildcards.order}: {wildcards.strategy}"
    script:
        "../scripts/continual_alone.py"


# Networks that `afterwards` trains further with a whitened memory set. Their accuracies are in its
# own metrics.
use rule continual_alone as continual_whitened with:
    input:
        data=LAYOUT.data,
        whitening=reads("continual_whitened", "whitening"),
    output:
        metrics=f"{LAYOUT.continual_whitened}/{METRICS}",
        cost=f"{LAYOUT.continual_whitened}/{COST}",
        finetuned=f"{LAYOUT.continual_whitened}/finetuned.safetensors",
    log:
        LAYOUT.log("continual_whitened"),
    benchmark:
        LAYOUT.benchmark("continual_whitened")
    wildcard_constraints:
        strategy=vocabulary.FINETUNE,
    params:
        # Its own checkpoint, which it would share with the other rule.
        **asks("continual_whitened"),
    message:
        "Continual learning on {wildcards.dataset} in {wildcards.steps} steps, order "
        "{wildcards.order}: {wildcards.strategy}, on whitened images"


rule continual_memory:
    input:
        data=LAYOUT.data,
        memory=reads("continual_memory", "memory"),
        finetuned=reads("continual_memory", "finetuned"),
    output:
        metrics=f"{LAYOUT.remembered}/{METRICS}",
        cost=f"{LAYOUT.remembered}/{COST}",
    log:
        LAYOUT.log("continual_memory"),
    benchmark:
        LAYOUT.benchmark("continual_memory")
    wildcard_constraints:
        strategy="|".join(vocabulary.REMEMBERING),
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("continual_memory"),
    message:
        "Continual learning on {wildcards.dataset} in {wildcards.steps} steps, order "
        "{wildcards.order}: {wildcards.strategy} with a memory ({wildcards.memory}) of "
        "{wildcards.method} from {wildcards.init}, {wildcards.ipc} per class, "
        "seed {wildcards.seed}"
    script:
        "../scripts/continual_memory.py"
