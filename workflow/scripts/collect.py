"""Put every measurement of the study into one table, every job's cost into one list, if all is what
the study asks for, and note what the two hold."""

from typing import Any

from distillery.report import asked as records
from distillery.run import job
from distillery.store import costs, files, metrics


def collect(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Check what was recorded, then write the tables and their checksums."""
    records.check(records.jobs_of(asked.config))
    metrics.collect(inputs.metrics, outputs.summary)
    costs.collect_costs(inputs.costs, outputs.costs)
    files.write_sums(outputs.sums, [outputs.summary, outputs.costs])


if __name__ == "__main__":
    job.main(collect, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
