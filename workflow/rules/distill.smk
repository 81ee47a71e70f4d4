# Synthetic sets: distilled, chosen (the coresets), or imported.


def method_settings(wildcards):
    return STUDY.method_settings(cell_of(wildcards))


def distill_code(wildcards):
    return fingerprint("distill.py", f"methods/{wildcards.method}.py")


def expert_shards(wildcards):
    if not STUDY.methods[wildcards.method]["needs_experts"]:
        return []
    recipe = STUDY.recipe(cell_of(wildcards))
    return [
        f"{SHARD}/trajectories.safetensors".format(
            dataset=wildcards.dataset, recipe=recipe, shard=shard
        )
        for shard in range(len(STUDY.shards(wildcards.dataset, recipe)))
    ]


def import_entry(wildcards):
    return STUDY.imported[wildcards.method]


def import_files(wildcards):
    entry = STUDY.imported[wildcards.method]
    return [entry[key] for key in ("file", "labels") if key in entry]


def import_code(wildcards):
    return fingerprint("import_synthetic.py")


rule distill:
    input:
        data=DATA,
        experts=expert_shards,
    output:
        synthetic=f"{SYNTHETIC}/synthetic.safetensors",
        evolution=f"{SYNTHETIC}/evolution.safetensors",
        picture=report(
            f"{SYNTHETIC}/synthetic.png",
            caption="../report/synthetic.rst",
            category="Synthetic images",
            labels={
                "dataset": "{dataset}",
                "method": "{method}",
                "init": "{init}",
                "ipc": "{ipc}",
                "seed": "{seed}",
            },
        ),
        metrics=f"{SYNTHETIC}/metrics.csv",
        cost=f"{SYNTHETIC}/cost.json",
    log:
        f"{LOGS}/distill/{CELL}.log",
    benchmark:
        f"{BENCHMARKS}/distill/{CELL}.tsv"
    wildcard_constraints:
        init="real|noise",
    params:
        code=distill_code,
        cell=cell_params,
        seed=study_seed,
        network=distillation_network,
        settings=method_settings,
        snapshots=STUDY.config["snapshots"],
        validation=validation_share,
        compute=compute_settings,
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    message:
        "Distilling {wildcards.dataset} by {wildcards.method} from {wildcards.init}, {wildcards.ipc} images a class, seed {wildcards.seed}"
    conda:
        "../../envs/gpu.yaml"
    script:
        "../scripts/distill.py"


rule import_synthetic:
    input:
        data=DATA,
        files=import_files,
    output:
        synthetic=f"{SYNTHETIC}/synthetic.safetensors",
    log:
        f"{LOGS}/import_synthetic/{CELL}.log",
    benchmark:
        f"{BENCHMARKS}/import_synthetic/{CELL}.tsv"
    wildcard_constraints:
        init="imported",
    params:
        code=import_code,
        cell=cell_params,
        entry=import_entry,
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "Importing the released set {wildcards.method} ({wildcards.dataset}, {wildcards.ipc} images a class)"
    conda:
        "../../envs/cpu.yaml"
    script:
        "../scripts/import_synthetic.py"
