"""What every job shares: how it logs, how it fails, what it leaves when it is stopped, and which
device it takes."""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
import warnings
from pathlib import Path

import pytest
import torch

from distillery.errors import UserError
from distillery.run import job
from distillery.run import progress as shown
from distillery.store import artefact, files

ROOT = Path(__file__).resolve().parents[3]
COMPUTE = {"precision": "float32", "compile": "off", "threads": 1}


@pytest.fixture(autouse=True)
def undone():
    """A job sets its whole process up; here it shares one with the other tests."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads, debug, fill = (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )
    environment = dict(os.environ)
    propagate, level = job.log.propagate, job.log.level
    logging.captureWarnings(
        False
    )  # a job before this test may have left them captured, and then capturing them does nothing
    yield
    logging.captureWarnings(False)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(debug)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    os.environ.clear()
    os.environ.update(environment)
    job.log.propagate = propagate
    job.log.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "job.log"


# ---- success -------------------------------------------------------------------------------------


def test_a_job_logs_where_it_runs_what_was_warned_of_and_that_it_is_done(log, capsys):
    log.write_text("of an earlier attempt\n")
    with job.run(str(log), COMPUTE) as run:
        warnings.warn("mind the gap", stacklevel=1)
        assert run.threads == 1 == torch.get_num_threads() and run.compute.precision == "float32"
    lines = log.read_text().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d began \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}, on \S+", lines[0]
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d on .+ with 1 threads", lines[1]) and lines[-1].endswith(
        " done"
    )
    assert any("mind the gap" in line for line in lines) and not any(
        "earlier" in line for line in lines
    )
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_job_on_the_cpu_computes_deterministically_and_does_not_import_the_compiler(tmp_path):
    code = """
        import os, sys, torch
        from distillery.run import job
        with job.run("job.log", {"precision": "auto", "compile": "auto", "threads": 1}):
            assert "torch._inductor" not in sys.modules and "torch._dynamo" not in sys.modules
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        import torch._inductor.config
        assert torch._inductor.config.deterministic
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("TORCHINDUCTOR_DETERMINISTIC", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_job_s_cost_says_what_ran_where_and_how_long_and_of_what(log, tmp_path):
    read, made, picture = (
        tmp_path / name for name in ("data.safetensors", "metrics.csv", "synthetic.png")
    )
    artefact.save(read, {"images": torch.zeros(3)}, {"spec": {}})
    made.write_text("a,b\n")
    picture.write_bytes(b"")
    asked = {
        "job": {"dataset": "digits", "ipc": "1"},
        "code": "abc",
        "settings": {"iterations": 3},
        "seed": 7,
    }
    outputs = {"metrics": str(made), "picture": str(picture), "cost": str(tmp_path / "cost.json")}
    with job.run(str(log), COMPUTE) as run:
        time.sleep(0.05)
        run.stop_clock()
        time.sleep(0.1)
        run.asked, run.inputs = asked, {"data": str(read), "experts": []}
        run.save_cost(outputs["cost"], rule="distill", outputs=outputs, dataset="digits", ipc=1)
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["asked"] == asked and cost["inputs"] == {
        "data": artefact.digests([read]),
        "experts": [],
    }
    assert (
        cost["outputs"] == {"metrics.csv": hashlib.sha256(b"a,b\n").hexdigest()}
        and cost["seconds"] < 0.15
    )
    assert {
        key: cost[key] for key in ("rule", "code", "settings", "dataset", "ipc", "threads")
    } == {
        "rule": "distill",
        "code": "abc",
        "settings": {"iterations": 3},
        "dataset": "digits",
        "ipc": 1,
        "threads": 1,
    }
    assert cost["host"] == platform.node() != ""
    assert (
        0.05 <= cost["seconds"] < 60 and cost["peak_memory_bytes"] > 10**7 and cost["device_name"]
    )
    assert cost["versions"]["torch"] == torch.__version__ and re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", cost["started"]
    )


def test_progress_is_a_line_now_and_then_and_one_at_the_end(log, monkeypatch):
    monkeypatch.setattr(shown, "LOG_EVERY_SECONDS", 0.1)
    with job.run(str(log), COMPUTE) as run:
        progress = run.progress(1000, "distillation", "iteration")
        for done in range(1, 501):
            progress.iteration(done, torch.tensor(0.5))
        time.sleep(0.12)
        progress.iteration(501, torch.tensor(0.25))
        progress.iteration(400, torch.tensor(9.0))  # a resumed job tells of what it has done before
        progress.iteration(1000, torch.tensor(0.125))
    lines = [
        line.partition(" ")[2] for line in log.read_text().splitlines() if "distillation" in line
    ]
    assert re.fullmatch(
        r"distillation: 501 of 1000 iterations, [\d.]+ s, [\d.]+ s left, matching loss 0\.25",
        lines[-2],
    )
    assert re.fullmatch(
        r"distillation: 1000 of 1000 iterations, [\d.]+ s, matching loss 0\.125", lines[-1]
    )
    assert 2 <= len(lines) < 100


def test_a_loss_is_not_read_where_it_is_not_shown(log):
    class Read:
        def __float__(self):
            raise AssertionError("reading a loss waits for the device")

    with job.run(str(log), COMPUTE) as run:
        progress = run.progress(10, "distillation", "iteration")
        progress.iteration(0, Read())
        progress.iteration(1, Read())
    assert progress.done == 1


TWO_JOBS = """
import sys, torch
from distillery.run import job, progress
progress.LOG_EVERY_SECONDS = 0.0
with job.run(sys.argv[1], {"precision": "float32", "compile": "off", "threads": 1}) as run:
    shown = run.progress(40, "distillation", "iteration")
    print("ready", flush=True)
    for order in sys.stdin:
        if order == "select\\n":
            run.progress(2, "selection", "epoch")(2)
        else:
            shown.iteration(int(order), torch.tensor(0.5))
        print("done", flush=True)
"""


@pytest.mark.slow
def test_jobs_side_by_side_share_a_terminal(tmp_path, starter):
    """One has the bar, the other writes lines until the bar is free; both say which job they are,
    and no line holds two of them. Each does what it is asked, a step at a time: left to themselves,
    the second may begin after the first has ended."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    jobs, script = {}, tmp_path / "job.py"
    script.write_text(TWO_JOBS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for method in ("dc", "mtt"):
        path = tmp_path / "results/logs/distill/digits" / method / "ipc1.log"
        path.parent.mkdir(parents=True)
        command = [starter.interpreter, str(script), str(path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": theirs}
        jobs[method] = subprocess.Popen(command, env=environment, text=True, **pipes)
        assert jobs[method].stdout.readline() == "ready\n"
    os.close(theirs)

    def ask(method, *orders):
        for order in orders:
            jobs[method].stdin.write(f"{order}\n")
            jobs[method].stdin.flush()
            assert jobs[method].stdout.readline() == "done\n"

    ask("mtt", 1, 2)
    ask("dc", 40, "select")
    ask("mtt", 3)
    jobs["dc"].stdin.close()
    assert jobs["dc"].wait() == 0
    ask("mtt", 4, 40)
    jobs["mtt"].stdin.close()
    seen = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 65536):
            seen += part
    assert jobs["mtt"].wait() == 0
    pieces = [piece for piece in re.split(r"[\r\n]|\x1b\[K", seen.decode()) if piece.strip()]
    bars = [piece for piece in pieces if "%|" in piece]
    lines = [piece for piece in pieces if "%|" not in piece]
    shape = (
        r"distill/digits/mtt/ipc1 distillation: "
        r"(\d) of 40 iterations, [\d.]+ s(, [\d.]+ s left)?, matching loss 0.5"
    )
    assert [re.fullmatch(shape, line)[1] for line in lines] == ["1", "2", "3", "4"]
    shown = [piece.split(":")[0].removeprefix("distill/digits/") for piece in bars]
    order = [name for name, before in zip(shown, [None, *shown]) if name != before]
    # The second display of a job has the bar after the first; the other job, when all is done.
    assert order == ["dc/ipc1 distillation", "dc/ipc1 selection", "mtt/ipc1 distillation"]
    assert not any("dc/ipc1" in piece and "mtt/ipc1" in piece for piece in pieces)


def test_the_time_left_leaves_out_what_compiles_and_what_a_resumed_job_had_done(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: now[0])
    progress = shown.Progress(100, "distillation", "iteration")
    assert progress._left(0.0) is None
    progress.iteration(60, None)  # taken up again
    for iteration, seconds in ((61, 50.0), (62, 2.0), (63, 2.0)):  # the first compiles
        now[0] += seconds
        progress.iteration(iteration, torch.tensor(0.5))
        if iteration == 61:
            assert progress._left(now[0]) is None
    assert progress._left(now[0]) == pytest.approx(37 * 2.0)


@pytest.mark.slow
def test_torch_s_word_on_a_toolkit_without_a_gpu_is_no_news(tmp_path, starter):
    script = tmp_path / "job.py"
    script.write_text(
        "import logging, sys\n"
        "from distillery.run import job\n"
        "with job.run(sys.argv[1]):\n"
        "    import torch.utils.cpp_extension\n"
        "    noisy = logging.getLogger('torch.utils.cpp_extension')\n"
        "    noisy.warning(\"No CUDA runtime is found, using CUDA_HOME='%s'\", '/usr/local/cuda')\n"
        "    noisy.warning('something else')\n"
    )
    environment = {**os.environ, "CUDA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [starter.interpreter, str(script), str(tmp_path / "log")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CUDA runtime" not in done.stderr and "something else" in done.stderr


# ---- failure -------------------------------------------------------------------------------------


def test_bad_input_is_one_line_on_the_terminal_and_in_the_log_and_status_1(log, capsys):
    with pytest.raises(SystemExit) as left, job.run(str(log), COMPUTE):
        raise UserError("data.safetensors: is damaged; delete it")
    assert left.value.code == 1 and left.value.__suppress_context__
    assert capsys.readouterr() == ("", "error: data.safetensors: is damaged; delete it\n")
    assert (
        log.read_text().endswith(" error: data.safetensors: is damaged; delete it\n")
        and "Traceback" not in log.read_text()
    )


def test_a_defect_leaves_its_traceback_in_the_log(log):
    with pytest.raises(ZeroDivisionError), job.run(str(log), COMPUTE):
        1 / 0  # noqa: B018
    text = log.read_text()
    assert "Traceback" in text and "ZeroDivisionError" in text and " done" not in text


def test_too_little_memory_is_reported_with_a_remedy(log, capsys):
    with pytest.raises(SystemExit) as left, job.run(str(log), COMPUTE):
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20 GiB.\nand much advice"
        )
    told = capsys.readouterr().err
    assert left.value.code == 1 and told.count("\n") == 1
    assert (
        told.startswith("error: out of memory on ")
        and "lower `batch`" in told
        and "Tried to allocate 20 GiB" in told
        and "advice" not in told
    )


def test_too_little_memory_of_the_processor_is_reported_likewise(log, capsys):
    with pytest.raises(SystemExit) as left, job.run(str(log), COMPUTE):
        torch.empty(2**60, dtype=torch.uint8)
    told = capsys.readouterr().err
    assert (
        left.value.code == 1
        and told.count("\n") == 1
        and told.startswith("error: out of memory on ")
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["scheduler", "ctrl-c"])
def test_a_job_that_is_stopped_leaves_the_old_file_and_no_part_of_the_new_one(
    log, tmp_path, number
):
    target = tmp_path / "synthetic.safetensors"
    target.write_text("old")
    with (
        pytest.raises(SystemExit) as left,
        job.run(str(log), COMPUTE),
        files.atomic(target) as part,
    ):
        part.write_text("half of the new")
        assert len(list(tmp_path.glob(".*.part*"))) == 1
        os.kill(os.getpid(), number)
        time.sleep(5)
        raise AssertionError("not stopped")
    assert left.value.code == 128 + signal.SIGTERM
    assert target.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == [
        "job.log",
        "synthetic.safetensors",
    ]
    assert "Traceback" not in log.read_text() and " done" not in log.read_text()


def test_a_job_takes_its_handlers_off_the_log_however_it_ends(log):
    before = list(job.log.handlers), list(logging.getLogger("py.warnings").handlers)
    with pytest.raises(SystemExit), job.run(str(log), COMPUTE):
        raise UserError("x")
    assert (job.log.handlers, logging.getLogger("py.warnings").handlers) == before
