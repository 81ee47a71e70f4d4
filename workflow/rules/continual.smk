# Class-incremental learning with and without a memory set.


def continual_network(wildcards):
    return STUDY.network(
        wildcards.dataset, STUDY.continual(wildcards.dataset)["network"]
    )


def continual_groups(wildcards):
    classes = len(STUDY.datasets[wildcards.dataset]["classes"])
    return check_groups(classes, STUDY.continual(wildcards.dataset)["groups"])


def continual_settings(wildcards):
    """What this strategy reads: only replay draws from a memory at each step, only afterwards trains once more."""
    settings = STUDY.continual(wildcards.dataset)
    unread = {"groups", "network"}
    if wildcards.strategy != "replay":
        unread |= {"replay_batch"}
    if wildcards.strategy == "afterwards":
        unread |= {"epochs", "images_per_class", "models"}
    else:
        unread |= {"afterwards_epochs"}
    return {key: value for key, value in settings.items() if key not in unread}


def continual_identity(wildcards):
    """The dataset, and the memory set where the job has one."""
    names = [name for name in ("dataset", "method", "init") if hasattr(wildcards, name)]
    numbers = [name for name in ("ipc", "seed") if hasattr(wildcards, name)]
    return {name: getattr(wildcards, name) for name in names} | {
        name: int(getattr(wildcards, name)) for name in numbers
    }


def continual_finetuned(wildcards):
    """The networks that `afterwards` goes on from."""
    if wildcards.strategy != "afterwards":
        return []
    return f"{CONTINUAL}/finetuned.safetensors".format(
        dataset=wildcards.dataset, strategy="finetune"
    )


def continual_code(wildcards):
    return fingerprint("continual.py")


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
    params:
        code=continual_code,
        identity=continual_identity,
        seed=study_seed,
        network=continual_network,
        groups=continual_groups,
        settings=continual_settings,
        compute=compute_settings,
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    message:
        "Continual learning on {wildcards.dataset}: {wildcards.strategy}"
    conda:
        "../../envs/gpu.yaml"
    script:
        "../scripts/continual.py"


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
    params:
        code=continual_code,
        identity=continual_identity,
        seed=study_seed,
        network=continual_network,
        groups=continual_groups,
        settings=continual_settings,
        compute=compute_settings,
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    message:
        "Continual learning on {wildcards.dataset}: {wildcards.strategy} with {wildcards.method} from {wildcards.init}, {wildcards.ipc} a class, seed {wildcards.seed}"
    conda:
        "../../envs/gpu.yaml"
    script:
        "../scripts/continual.py"
