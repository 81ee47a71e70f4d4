"""What is said of a run that did not finish: the reason of each job that failed, by its log."""

import pytest

from distillery.store.outcome import LISTED, cause, ending

KILLED = "ended without a word, as one that is killed, for its memory perhaps"
LOGS = {
    "12:00:00 on a CPU\n12:00:01 error: dc_bold diverged by iteration 3\n": (
        "dc_bold diverged by iteration 3"
    ),
    "12:00:00 error: the first\n12:00:01 error: the last: twice\n": "the last: twice",
    "12:00:00 Traceback (most recent call last):\n  File x\nValueError: 3 of 4\n\n": (
        "ValueError: 3 of 4"
    ),
    "12:00:00 error: the first\n12:00:01 a note of an error: quoted\nerror: by a library\n": (
        "the first"
    ),
    "12:00:00 a note\nTraceback (most recent call last):\nValueError: by a library\n": KILLED,
    "12:00:00 on a CPU\n12:00:09 asked to stop: saved at iteration 3\n": None,
    "12:00:00 on a CPU\n": KILLED,
    "": KILLED,
}


@pytest.mark.parametrize("log", LOGS)
def test_a_job_s_reason_is_the_last_of_its_log(log, tmp_path):
    path = tmp_path / "job.log"
    path.write_text(log, encoding="utf-8")
    assert cause(path) == LOGS[log]


def test_each_job_that_failed_is_a_line_and_what_was_stopped_is_none(tmp_path):
    logs = []
    for name, text in (("a", "12:00:00 error: why\n"), ("b", "0 asked to stop\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        logs.append((f"distill {name}", str(tmp_path / name)))
    assert ending(logs, 3, 9) == [f"error: distill a: why; log: {tmp_path / 'a'}"]
    assert (
        ending(logs[1:], 3, 9)
        == ending([], 3, 9)
        == ["stopped: 3 of 9 jobs are done; the same command goes on from there"]
    )
    assert ending([("distill c", str(tmp_path / "c"))], 0, 1) == [
        f"error: distill c: left no log; log: {tmp_path / 'c'}"
    ]
    many = ending(logs[:1] * 20, 0, 20)
    assert len(many) == LISTED + 1 and many[-1].startswith(f"error: {20 - LISTED} more jobs failed")
