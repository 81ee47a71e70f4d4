"""Write the study's report."""

from distillery import report as page
from distillery.run import job, provenance


def report(*, config, inputs, output):
    page.build(
        metrics=inputs.summary,
        costs=inputs.costs,
        sums=inputs.sums,
        sets=inputs.sets,
        evolutions=inputs.evolutions,
        data=inputs.data,
        config=config,
        template=inputs.template,
        output=output,
        provenance={**provenance.gather(), "packages": provenance.packages()},
    )


if __name__ == "__main__":
    asked = job.asked("report", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], asked=asked):
        report(config=snakemake.params.config, inputs=snakemake.input, output=snakemake.output.report)
