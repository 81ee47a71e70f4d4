"""Draw the figures of a study for papers, if all is still what the study asks for."""

import os
import shutil
from pathlib import Path
from typing import Any

from distillery.report import asked as records
from distillery.report import paper
from distillery.report.results import Results
from distillery.run import job
from distillery.store import files


def figures(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Check what was recorded once more, then draw into a folder that appears when it is whole."""
    folder = Path(outputs.folder)
    records.check(records.jobs_of({**asked.config, "results": str(folder.parent)}))
    files.check_sums(inputs.sums, [inputs.summary, inputs.costs], rule="collect")
    results = Results(
        inputs.summary, inputs.costs, inputs.sets, inputs.evolutions, [], asked.config, {}
    )
    drawn = folder.with_name(".figures.part")
    shutil.rmtree(drawn, ignore_errors=True)
    paper.write(results, drawn)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(drawn, folder)


if __name__ == "__main__":
    job.main(figures, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
