# Everything that was measured, in one table and one page.


rule collect:
    input:
        metrics=[job.metrics for job in JOBS.measuring],
        costs=[job.record for job in JOBS.costing],
        # Newer than the summary where the study has changed: Snakemake's own memory of params may
        # be lost.
        asked=ASKED,
    output:
        summary=LAYOUT.summary,
        costs=LAYOUT.costs,
        sums=LAYOUT.sums,
    log:
        LAYOUT.log("collect"),
    benchmark:
        LAYOUT.benchmark("collect")
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        **asks("collect"),
    message:
        "Collecting every measurement"
    script:
        "../scripts/collect.py"


rule report:
    input:
        summary=LAYOUT.summary,
        costs=LAYOUT.costs,
        sums=LAYOUT.sums,
        sets=paths(f"{LAYOUT.synthetic}/{SET}", STUDY.cells),
        evolutions=paths(f"{LAYOUT.synthetic}/{EVOLUTION}", OWN_CELLS),
        neighbours=paths(
            f"{LAYOUT.privacy}/{NEIGHBOURS}", filter(STUDY.privacy, STUDY.cells)
        ),
        confusions=[
            f"{os.path.dirname(job.record)}/{CONFUSION}"
            for job in JOBS.all
            if job.rule == "evaluate_synthetic"
        ],
        data=[
            filled(LAYOUT.data, {"dataset": dataset})
            for dataset in STUDY.dataset_names
        ],
        templates=[
            own(path.relative_to(LIBRARY))
            for path in sorted((LIBRARY / "report/templates").iterdir())
            if path.suffix in (".jinja", ".css", ".js")
        ],
    output:
        report=report(
            LAYOUT.report, caption="../report/report.rst", category="The report"
        ),
    log:
        LAYOUT.log("report"),
    benchmark:
        LAYOUT.benchmark("report")
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **asks("report"),
    message:
        "Writing the report: {output.report}"
    script:
        "../scripts/report.py"


# On request: `snakemake figures`.
rule figures:
    input:
        summary=LAYOUT.summary,
        costs=LAYOUT.costs,
        sums=LAYOUT.sums,
        sets=paths(f"{LAYOUT.synthetic}/{SET}", STUDY.cells),
        evolutions=paths(f"{LAYOUT.synthetic}/{EVOLUTION}", OWN_CELLS),
        style=own("report/templates/style.css"),
    output:
        folder=report(
            directory(LAYOUT.figures),
            patterns=["{figure}.svg"],
            caption="../report/figures.rst",
            category="Figures for papers",
            labels={"figure": "{figure}"},
        ),
    log:
        LAYOUT.log("figures"),
    benchmark:
        LAYOUT.benchmark("figures")
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        **asks("figures"),
    message:
        "Drawing the figures for papers: {output.folder}"
    script:
        "../scripts/figures.py"


# What matters comes last, below what Snakemake says of its own accord. Another workflow that uses
# this one says itself how it ended.
onsuccess:
    quiet = {level.name for level in workflow.output_settings.quiet or ()}
    if os.path.exists(LAYOUT.report) and "ALL" not in quiet:
        atexit.register(print, f"The report is at {LAYOUT.report}", file=sys.stderr)


onerror:
    if workflow.is_main_process and STUDY.config["report"]["incomplete"]:
        from distillery.report import underway

        try:
            seen = underway.build(HERE, HERE.layout.so_far)
            print(
                *underway.lines(HERE, seen, HERE.layout.so_far),
                sep="\n",
                file=sys.stderr,
            )
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
    failed = [
        part
        for job in sorted(workflow.scheduler.failed, key=str)
        for part in getattr(job, "jobs", [job])  # those of a group
    ]
    ending = outcome.ending(
        [
            (f"{job.rule.name} {job.wildcards}".strip(), job.log[0])
            for job in failed
        ],
        workflow.scheduler.finished_jobs,
        len(workflow.dag),
    )
    atexit.register(print, *ending, sep="\n", file=sys.stderr)
