# Everything that was measured, in one table and one page.


rule collect:
    input:
        metrics=[f"{folder}/metrics.csv" for folder in measurements()],
        costs=[
            f"{folder}/cost.json" for folder in measurements() + whitened_finetunes()
        ],
    output:
        summary=f"{RESULTS}/summary.csv",
        costs=f"{RESULTS}/costs.json",
        sums=f"{RESULTS}/SHA256SUMS",
    log:
        f"{LOGS}/collect.log",
    benchmark:
        f"{BENCHMARKS}/collect.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=collect_code,
    message:
        "Collecting every measurement"
    script:
        "../scripts/collect.py"


rule report:
    input:
        summary=f"{RESULTS}/summary.csv",
        costs=f"{RESULTS}/costs.json",
        sums=f"{RESULTS}/SHA256SUMS",
        sets=paths(f"{SYNTHETIC}/synthetic.safetensors", STUDY.cells),
        evolutions=paths(f"{SYNTHETIC}/evolution.safetensors", OWN_CELLS),
        data=[DATA.format(dataset=dataset) for dataset in STUDY.dataset_names],
        template=own("workflow/report/report.html.jinja"),
        published=own("distillery/published.csv"),
    output:
        report=report(REPORT, caption="../report/report.rst", category="The report"),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=report_code,
        config=STUDY.config,
    message:
        "Writing the report: {output.report}"
    script:
        "../scripts/report.py"
