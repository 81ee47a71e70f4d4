"""Write the study's report, if all is still what the study asks for."""

from pathlib import Path
from typing import Any

from distillery.report import asked as records
from distillery.report import page
from distillery.run import job, provenance


def report(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Check what was recorded once more, then build the page."""
    # Once more after collect, from headers and records alone: where only the page is
    # written again, sets may have been replaced since.
    results = str(Path(outputs.report).parent)
    records.check(records.jobs_of({**asked.config, "results": results}))
    page.build(
        metrics=inputs.summary,
        costs=inputs.costs,
        sums=inputs.sums,
        sets=inputs.sets,
        evolutions=inputs.evolutions,
        neighbours=inputs.neighbours,
        confusions=inputs.confusions,
        data=inputs.data,
        config=asked.config,
        output=outputs.report,
        provenance={**provenance.gather(), "packages": provenance.packages()},
    )


if __name__ == "__main__":
    job.main(report, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
