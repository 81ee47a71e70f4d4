"""Measure what one synthetic set is worth to one kind of network."""

import functools

from distillery import networks, streams
from distillery.evaluation import evaluate
from distillery.images import dataset as data
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet, load_evolution
from distillery.store.metrics import Metrics


def evaluate_synthetic(run, *, cell, network, settings, validation, seed, asked, inputs, outputs):
    dataset = data.load(inputs.data, run.device)
    synthetic = SyntheticSet.load(inputs.synthetic)
    # In the set's space, which its file describes in full.
    tests = synthetic.normalise(dataset.test_images), dataset.test_labels
    selection = settings["selection"]
    recipe_of = functools.partial(Recipe.of, settings)
    recipe = recipe_of(synthetic.step_size)
    metrics = Metrics(rule="evaluate_synthetic", **cell, network=network["name"])
    # The same streams for every method: two sets are compared on the same networks in the same
    # order.
    shared = {
        "stream": lambda purpose, *more: streams.generator(
            seed,
            "evaluate",
            cell["dataset"],
            network["name"],
            cell["ipc"],
            cell["seed"],
            purpose,
            *more,
        ),
        "compute": run.compute,
        "flip_allowed": dataset.horizontal_flip,
    }
    progress = run.progress(settings["models"] * recipe.trained_epochs, "evaluation", "epoch")
    evaluate.measure(
        metrics,
        network,
        synthetic.images.to(run.device),
        synthetic.labels.to(run.device),
        *tests,
        recipe,
        models=settings["models"],
        curve=settings["curve"],
        progress=progress,
        **shared,
    )
    networks.record_training(metrics, network, len(synthetic), recipe.trained_epochs)
    run.stop_clock()  # selection is no part of what a set costs its user
    if selection:
        held = data.split(dataset, validation, seed).validation_index
        frames = load_evolution(inputs.evolution, synthetic.labels, run.device)
        evaluate.select(
            metrics,
            network,
            frames,
            (synthetic.normalise(dataset.images[held]), dataset.labels[held]),
            tests,
            recipe_of,
            models=selection["models"],
            test_all=selection["test"],
            progress=run.progress(
                selection["models"] * recipe.trained_epochs * len(frames), "selection", "epoch"
            ),
            **shared,
        )
    metrics.save(outputs.metrics)
    told = {**cell, "network": network["name"]}
    run.save_cost(
        outputs.cost, rule="evaluate_synthetic", asked=asked, inputs=inputs, outputs=outputs, **told
    )


if __name__ == "__main__":
    asked = job.asked("evaluate_synthetic", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], snakemake.params.compute, asked=asked) as run:
        evaluate_synthetic(
            run,
            cell=snakemake.params.cell,
            network=snakemake.params.network,
            settings=snakemake.params.settings,
            validation=snakemake.params.validation,
            seed=snakemake.params.seed,
            asked=asked,
            inputs=snakemake.input,
            outputs=snakemake.output,
        )
