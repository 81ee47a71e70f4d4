# Networks ranked by training on sets, against their ranks by the full training set.


rule search_full:
    input:
        data=LAYOUT.data,
    output:
        metrics=f"{LAYOUT.search_full}/{METRICS}",
        cost=f"{LAYOUT.search_full}/{COST}",
    log:
        LAYOUT.log("search_full"),
    benchmark:
        LAYOUT.benchmark("search_full")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("search_full"),
    message:
        "Searching {wildcards.dataset}: its networks on the full training set"
    script:
        "../scripts/search_full.py"


rule search:
    input:
        data=LAYOUT.data,
        synthetic=f"{LAYOUT.synthetic}/{SET}",
        full=f"{LAYOUT.search_full}/{METRICS}",
    output:
        metrics=f"{LAYOUT.searched}/{METRICS}",
        cost=f"{LAYOUT.searched}/{COST}",
    log:
        LAYOUT.log("search"),
    benchmark:
        LAYOUT.benchmark("search")
    conda:
        "../../envs/gpu.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=compute_memory,
        runtime=compute_runtime,
    params:
        **asks("search"),
    message:
        "Searching {wildcards.dataset} by {wildcards.method} from {wildcards.init} "
        "({wildcards.ipc} per class, seed {wildcards.seed})"
    script:
        "../scripts/search.py"
