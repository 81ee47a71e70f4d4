# Class-incremental learning with and without a memory set.


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
        "Continual learning on {wildcards.dataset}: {wildcards.strategy}"
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
    message:
        "Continual learning on {wildcards.dataset}: {wildcards.strategy}, on whitened images"


rule continual_memory:
    input:
        data=LAYOUT.data,
        memory=f"{LAYOUT.synthetic}/{SET}",
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
        "Continual learning on {wildcards.dataset}: {wildcards.strategy} with "
        "{wildcards.method} from {wildcards.init}, {wildcards.ipc} per class, "
        "seed {wildcards.seed}"
    script:
        "../scripts/continual_memory.py"
