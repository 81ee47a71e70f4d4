# Images: fetched, checked and converted once.


def download_code(wildcards):
    return fingerprint(
        "download.py", f"datasets/{STUDY.datasets[wildcards.dataset]['module']}.py"
    )


rule download:
    output:
        data=DATA,
    log:
        f"{LOGS}/download/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/download/{{dataset}}.tsv"
    params:
        code=download_code,
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        # Where images come from is no part of what they are (their digests are checked), so it stands here, where a change makes nothing stale.
        sources=",".join(STUDY.config["data"]["sources"]),
        local_data=STUDY.config["data"]["local"],
    message:
        "Fetching and checking the images of {wildcards.dataset}"
    conda:
        "../../envs/cpu.yaml"
    script:
        "../scripts/download.py"
