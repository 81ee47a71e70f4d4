"""Train one shard of experts and keep their trajectories."""

import functools

from distillery import streams
from distillery.images import dataset as data
from distillery.images import whitening
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.store.artefact import digests
from distillery.store.checkpoint import Checkpoint
from distillery.store.metrics import Metrics
from distillery.training import experts, trajectories
from distillery.training.train import Bench


def train_experts(
    run,
    *,
    dataset,
    recipe,
    network,
    numbers,
    settings,
    validation,
    seed,
    code,
    compute,
    checkpoint,
    asked,
    inputs,
    outputs,
):
    images = data.load(inputs.data, run.device, whitening.given(inputs.whitening))
    rows = data.split(images, validation, seed).train_index
    metrics = Metrics(rule="train_experts", dataset=dataset, network=network["name"])

    def note(first, epoch, summary):
        count = len(summary["loss"])
        for e in range(count):
            for name in ("loss", "accuracy"):
                metrics.add(
                    name,
                    summary[name][e],
                    model=first + e,
                    split="train",
                    epoch=epoch,
                    selection="expert",
                )

    identity = [
        dataset,
        recipe,
        network,
        numbers,
        settings,
        validation,
        seed,
        code,
        compute,
        digests([inputs.data, *inputs.whitening]),
    ]
    saved = Checkpoint(checkpoint, {"of": identity})
    saved.stop_gently()
    bench = Bench(
        network=NetworkSpec(**network),
        stream=functools.partial(streams.generator, seed, "experts", dataset, recipe),
        compute=run.compute,
        flip=images.horizontal_flip,
        progress=run.progress(len(numbers) * settings["epochs"], "experts", "epoch"),
    )
    rows_of_experts = experts.train_experts(
        bench,
        Recipe.of(settings | {"decay": "none"}),
        Images(images.normalise(images.images[rows]), images.labels[rows]),
        numbers,
        after_epoch=note,
        checkpoint=saved,
    )
    header = {"dataset": dataset, "recipe": recipe, "numbers": numbers, "settings": settings}
    header |= {"network": network, "seed": seed, "code": code}
    trajectories.save(outputs.trajectories, rows_of_experts, header)
    metrics.save(outputs.metrics)
    told = {"dataset": dataset, "recipe": recipe, "network": network["name"]}
    run.save_cost(
        outputs.cost, rule="train_experts", asked=asked, inputs=inputs, outputs=outputs, **told
    )
    saved.finish()


if __name__ == "__main__":
    asked = job.asked("train_experts", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], snakemake.params.compute, asked=asked) as run:
        train_experts(
            run,
            dataset=snakemake.wildcards.dataset,
            recipe=snakemake.wildcards.recipe,
            network=snakemake.params.network,
            numbers=snakemake.params.numbers,
            settings=snakemake.params.settings,
            validation=snakemake.params.validation,
            seed=snakemake.params.seed,
            code=snakemake.params.code,
            compute=snakemake.params.compute,
            checkpoint=snakemake.params.checkpoint,
            asked=asked,
            inputs=snakemake.input,
            outputs=snakemake.output,
        )
