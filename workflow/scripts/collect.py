"""Put every measurement of the study into one table, and every job's cost into one list."""

from distillery import job, metrics


def collect(*, inputs, outputs):
    metrics.collect(inputs.metrics, outputs.summary)
    metrics.collect_costs(inputs.costs, outputs.costs)


if __name__ == "__main__":
    with job.run(snakemake.log[0]):
        collect(inputs=snakemake.input, outputs=snakemake.output)
