"""Take over one set that others released."""

from distillery import data, imported, whitening
from distillery.run import job
from distillery.synthetic import SyntheticSet, header


def import_synthetic(*, cell, entry, code, inputs, output):
    dataset = data.load(inputs.data, whitening=whitening.given(inputs.whitening))
    spec = {"channels": dataset.images.shape[1], "size": dataset.images.shape[2], "classes": dataset.classes}
    images, labels = imported.read(
        entry["file"],
        entry.get("labels"),
        dataset_spec=spec,
        ipc=entry["ipc"],
        number=cell["seed"],
        sets=entry["sets"],
        where=f"imported set {entry['name']}",
    )
    about = header(dataset, **cell, settings={}, network=None, iterations=0, code=code)
    SyntheticSet(images, labels, entry.get("step_size"), about, dataset.whitening).save(output)


if __name__ == "__main__":
    with job.run(snakemake.log[0]):
        import_synthetic(
            cell=snakemake.params.cell,
            entry=snakemake.params.entry,
            code=snakemake.params.code,
            inputs=snakemake.input,
            output=snakemake.output.synthetic,
        )
