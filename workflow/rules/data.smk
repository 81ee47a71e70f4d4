# Images: fetched, checked and converted once.


rule download:
    output:
        data=DATA,
    log:
        f"{LOGS}/download/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/download/{{dataset}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        # Where images come from is no part of what they are (their digests are checked), so it stands here, where a change makes nothing stale.
        sources=",".join(STUDY.config["data"]["sources"]),
        local_data=STUDY.config["data"]["local"],
    params:
        code=download_code,
    message:
        "Fetching and checking the images of {wildcards.dataset}"
    script:
        "../scripts/download.py"


rule whiten:
    input:
        data=DATA,
    output:
        whitening=WHITENING,
    log:
        f"{LOGS}/whiten/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/whiten/{{dataset}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=whiten_code,
        seed=study_seed,
        validation=validation_share,
    message:
        "Whitening {wildcards.dataset} (ZCA): fitted to its training images"
    script:
        "../scripts/whiten.py"
