"""Write the study's report, if all is still what the study asks for."""

from pathlib import Path

from distillery.report import asked as records
from distillery.report import page
from distillery.run import job, provenance


def report(*, config, inputs, output):
    # Once more after collect, from headers and records alone: where the page is all that is to be
    # made again, sets may have been replaced since.
    records.check(records.jobs_of({**config, "results": str(Path(output).parent)}))
    page.build(
        metrics=inputs.summary,
        costs=inputs.costs,
        sums=inputs.sums,
        sets=inputs.sets,
        evolutions=inputs.evolutions,
        data=inputs.data,
        config=config,
        output=output,
        provenance={**provenance.gather(), "packages": provenance.packages()},
    )


if __name__ == "__main__":
    asked = job.asked("report", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], asked=asked):
        report(
            config=snakemake.params.config, inputs=snakemake.input, output=snakemake.output.report
        )
