"""Put every measurement of the study into one table, every job's cost into one list, and note what the two hold."""

from distillery import files, metrics
from distillery.run import job


def collect(*, inputs, outputs):
    metrics.collect(inputs.metrics, outputs.summary)
    metrics.collect_costs(inputs.costs, outputs.costs)
    files.write_sums(outputs.sums, [outputs.summary, outputs.costs])


if __name__ == "__main__":
    with job.run(snakemake.log[0]):
        collect(inputs=snakemake.input, outputs=snakemake.output)
