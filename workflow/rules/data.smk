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
