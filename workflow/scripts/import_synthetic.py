"""Take over one set that others released."""

from distillery.images import dataset as data
from distillery.images import whitening
from distillery.run import job
from distillery.sets.released.read import read
from distillery.sets.synthetic import SyntheticSet, header
from distillery.store import artefact


def import_synthetic(*, cell, entry, code, asked, inputs, output):
    dataset = data.load(inputs.data, whitening=whitening.given(inputs.whitening))
    spec = {
        "name": cell["dataset"],
        "channels": dataset.images.shape[1],
        "size": dataset.images.shape[2],
    }
    spec |= {"classes": dataset.classes, "mean": dataset.mean, "std": dataset.std}
    released = read(entry, spec, cell["seed"], where=f"imported set {entry['name']}")
    for line in released.notes:
        print(line, flush=True)
    about = header(dataset, **cell, settings={}, network=None, iterations=0, code=code)
    about |= {"asked": asked, "inputs": artefact.contents(dict(inputs.items()))}
    if released.normalization is not None:
        about["normalization"] = released.normalization
    SyntheticSet(
        released.images,
        released.labels,
        released.step_size,
        about,
        released.whitening or dataset.whitening,
    ).save(output)


if __name__ == "__main__":
    asked = job.asked("import_synthetic", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], asked=asked):
        import_synthetic(
            cell=snakemake.params.cell,
            entry=snakemake.params.entry,
            code=snakemake.params.code,
            asked=asked,
            inputs=snakemake.input,
            output=snakemake.output.synthetic,
        )
