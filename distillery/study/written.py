"""What a study leaves in its results folder before any job runs. Imports no torch."""

import atexit
import contextlib
import json
import os
import tempfile
from pathlib import Path

from distillery.store.files import write_changed
from distillery.study.jobs import Jobs


def write_asked(jobs: Jobs) -> str:
    """Leave the digest of all that the study asks in the results folder, if another stands there:
    then it is newer than what was made for another study. Returns the path; where the folder cannot
    be written to, as a dry run may find, that of a temporary file."""
    text = f"{jobs.digest()}\n"
    try:
        write_changed(jobs.layout.asked, text)
    except OSError:
        folder = tempfile.TemporaryDirectory()
        atexit.register(folder.cleanup)
        path = Path(folder.name) / Path(jobs.layout.asked).name
        path.write_text(text, encoding="utf-8")
        return str(path)
    return jobs.layout.asked


def write_study(jobs: Jobs) -> None:
    """Leave in the results folder what a look at the study under way needs, if it does not stand
    there: the resolved config, and the folder its paths start from. Nothing where the folder cannot
    be written to, as a dry run may find."""
    here = os.path.relpath(os.getcwd(), jobs.layout.results)
    about = {"directory": here, "config": jobs.study.config}
    with contextlib.suppress(OSError):
        write_changed(jobs.layout.study, json.dumps(about, indent=1, sort_keys=True) + "\n")
