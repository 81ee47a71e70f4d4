# Everything that was measured, in one table and one page.


def measurements():
    """The folders of every measuring job of the study, in a fixed order."""
    folders = []
    for dataset in STUDY.dataset_names:
        cells = [cell for cell in STUDY.cells if cell.dataset == dataset]
        own = [cell for cell in cells if not STUDY.is_imported(cell.method)]
        recipes = {
            STUDY.recipe(cell): None
            for cell in own
            if STUDY.methods[cell.method]["needs_experts"]
        }
        for recipe in recipes:
            for shard in range(len(STUDY.shards(dataset, recipe))):
                folders.append(SHARD.format(dataset=dataset, recipe=recipe, shard=shard))
        folders += paths(SYNTHETIC, own)
        for network in STUDY.evaluation_networks(dataset):
            folders += paths(EVALUATED, cells, network=network)
        for network in STUDY.vanilla_networks(dataset):
            folders.append(VANILLA.format(dataset=dataset, network=network))
    for dataset in STUDY.continual_datasets:
        for strategy in STUDY.strategies:
            if strategy in ("finetune", "joint"):
                folders.append(CONTINUAL.format(dataset=dataset, strategy=strategy))
            else:
                folders += paths(REMEMBERED, STUDY.memories(dataset), strategy=strategy)
    return folders


OWN_CELLS = [cell for cell in STUDY.cells if not STUDY.is_imported(cell.method)]


rule collect:
    localrule: True
    input:
        metrics=[f"{folder}/metrics.csv" for folder in measurements()],
        costs=[f"{folder}/cost.json" for folder in measurements()],
    output:
        summary=f"{RESULTS}/summary.csv",
        costs=f"{RESULTS}/costs.json",
    log:
        f"{LOGS}/collect.log",
    benchmark:
        f"{BENCHMARKS}/collect.tsv"
    params:
        code=fingerprint("collect.py"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    message:
        "Collecting every measurement"
    conda:
        "../../envs/cpu.yaml"
    script:
        "../scripts/collect.py"


rule report:
    localrule: True
    input:
        summary=f"{RESULTS}/summary.csv",
        costs=f"{RESULTS}/costs.json",
        sets=paths(f"{SYNTHETIC}/synthetic.safetensors", STUDY.cells),
        evolutions=paths(f"{SYNTHETIC}/evolution.safetensors", OWN_CELLS),
        data=[DATA.format(dataset=dataset) for dataset in STUDY.dataset_names],
        template=workflow.source_path("../report/report.html.jinja"),
        published=workflow.source_path("../../distillery/published.csv"),
    output:
        report=report(
            REPORT, caption="../report/report.rst", category="The report"
        ),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    params:
        code=fingerprint("report.py"),
        config=STUDY.config,
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    message:
        "Writing the report: {output.report}"
    conda:
        "../../envs/cpu.yaml"
    script:
        "../scripts/report.py"
