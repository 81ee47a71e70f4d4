# Class-incremental learning with and without a memory set.


rule continual_alone:
    input:
        data=DATA,
    output:
        metrics=f"{CONTINUAL}/metrics.csv",
        cost=f"{CONTINUAL}/cost.json",
        finetuned=f"{CONTINUAL}/finetuned.safetensors",
    log:
        f"{LOGS}/continual/{{dataset}}/{{strategy}}.log",
    benchmark:
        f"{BENCHMARKS}/continual/{{dataset}}/{{strategy}}.tsv"
    wildcard_constraints:
        strategy="finetune|joint",
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=continual_code,
        identity=continual_identity,
        seed=study_seed,
        network=continual_network,
        groups=continual_groups,
        settings=continual_settings,
        compute=compute_settings,
    message:
        "Continual learning on {wildcards.dataset}: {wildcards.strategy}"
    script:
        "../scripts/continual.py"


# Networks that `afterwards` goes on from with a whitened memory set. Their accuracies are in its own metrics.
use rule continual_alone as continual_whitened with:
    input:
        data=DATA,
        whitening=[WHITENING],  # a list, as where it may be empty
    output:
        metrics=f"{CONTINUAL}_zca/metrics.csv",
        cost=f"{CONTINUAL}_zca/cost.json",
        finetuned=f"{CONTINUAL}_zca/finetuned.safetensors",
    log:
        f"{LOGS}/continual/{{dataset}}/{{strategy}}_zca.log",
    benchmark:
        f"{BENCHMARKS}/continual/{{dataset}}/{{strategy}}_zca.tsv"
    wildcard_constraints:
        strategy="finetune",
    message:
        "Continual learning on {wildcards.dataset}: {wildcards.strategy}, on whitened images"


rule continual_memory:
    input:
        data=DATA,
        memory=f"{SYNTHETIC}/synthetic.safetensors",
        finetuned=continual_finetuned,
    output:
        metrics=f"{REMEMBERED}/metrics.csv",
        cost=f"{REMEMBERED}/cost.json",
    log:
        f"{LOGS}/continual/{MEMORY}.log",
    benchmark:
        f"{BENCHMARKS}/continual/{MEMORY}.tsv"
    wildcard_constraints:
        strategy="replay|afterwards",
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=continual_code,
        identity=continual_identity,
        seed=study_seed,
        network=continual_network,
        groups=continual_groups,
        settings=continual_settings,
        compute=compute_settings,
    message:
        "Continual learning on {wildcards.dataset}: {wildcards.strategy} with {wildcards.method} from {wildcards.init}, {wildcards.ipc} a class, seed {wildcards.seed}"
    script:
        "../scripts/continual.py"
