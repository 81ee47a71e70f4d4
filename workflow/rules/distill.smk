# Synthetic sets: distilled, chosen (the coresets), or imported.


rule distill:
    input:
        data=DATA,
        whitening=cell_whitening,
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
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        code=distill_code,
        cell=cell_params,
        seed=study_seed,
        network=distillation_network,
        module=method_module,
        settings=method_settings,
        protocol=method_protocol,
        snapshots=STUDY.config["snapshots"],
        validation=validation_share,
        compute=compute_settings,
        checkpoint=f"{CHECKPOINTS}/distill/{CELL}.safetensors",
    message:
        "Distilling {wildcards.dataset} by {wildcards.method} from {wildcards.init}, {wildcards.ipc} images a class, seed {wildcards.seed}"
    script:
        "../scripts/distill.py"


rule import_synthetic:
    input:
        data=DATA,
        whitening=cell_whitening,
        files=import_files,
    output:
        synthetic=f"{SYNTHETIC}/synthetic.safetensors",
    log:
        f"{LOGS}/import_synthetic/{CELL}.log",
    benchmark:
        f"{BENCHMARKS}/import_synthetic/{CELL}.tsv"
    wildcard_constraints:
        init="imported",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=import_code,
        cell=cell_params,
        entry=import_entry,
    message:
        "Importing the released set {wildcards.method} ({wildcards.dataset}, {wildcards.ipc} images a class)"
    script:
        "../scripts/import_synthetic.py"
