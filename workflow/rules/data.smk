# Images: fetched or prepared, checked and converted once.


rule download:
    output:
        data=LAYOUT.data,
    log:
        LAYOUT.log("download"),
    benchmark:
        LAYOUT.benchmark("download")
    wildcard_constraints:
        dataset=one_of(set(STUDY.datasets) - set(STUDY.own)),
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        # Where images come from is no part of what they are (their digests are checked), so it
        # stands here, where a change makes nothing stale.
        sources=",".join(STUDY.config["data"]["sources"]),
        local_data=STUDY.config["data"]["local"],
    params:
        **asks("download"),
    message:
        "Fetching and checking the images of {wildcards.dataset}"
    script:
        "../scripts/download.py"


rule prepare:
    output:
        data=LAYOUT.data,
        cost=LAYOUT.prepared,
    log:
        LAYOUT.log("prepare"),
    benchmark:
        LAYOUT.benchmark("prepare")
    wildcard_constraints:
        dataset=one_of(STUDY.own),
    conda:
        "../../envs/cpu.yaml"
    # Decoding scales with cores, and their number changes no image.
    threads: 8
    resources:
        mem_mb=compute_memory,
        runtime=compute_runtime,
        # Where the images lie is no part of what they are.
        path=lambda wildcards: STUDY.own[wildcards.dataset].places["path"],
        images=lambda wildcards: STUDY.own[wildcards.dataset].places["images"],
        workers=lambda wildcards, threads: threads,
    params:
        **asks("prepare"),
    message:
        "Preparing the images of {wildcards.dataset}"
    script:
        "../scripts/prepare.py"


rule whiten:
    input:
        data=LAYOUT.data,
    output:
        whitening=LAYOUT.whitening,
    log:
        LAYOUT.log("whiten"),
    benchmark:
        LAYOUT.benchmark("whiten")
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **asks("whiten"),
    message:
        "Whitening {wildcards.dataset} (ZCA): fitted to its training images"
    script:
        "../scripts/whiten.py"
