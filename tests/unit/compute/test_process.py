"""What a process settles before it computes."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from distillery.compute import process


def test_compiled_code_is_kept_in_the_user_s_cache_and_left_to_torch_where_there_is_none(
    tmp_path, monkeypatch
):
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as context:
        context.setattr(Path, "home", homeless)
        process.keep_compiled()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", str(compiler(tmp_path, "exit 0")))
    process.keep_compiled()
    assert Path(os.environ["CXX"]).is_relative_to(tmp_path / "distillery/compiled")
    assert (
        os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "distillery/compiled")
        and (tmp_path / "distillery/compiled").is_dir()
    )


def compiler(folder, body):
    path = folder / "my compilers" / "g++"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{body}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def whole(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    return lambda body: process.whole_outputs(str(compiler(tmp_path, body)))


def test_a_compiler_s_output_appears_when_it_is_whole(tmp_path, whole):
    target = tmp_path / "two words.so"
    beside = tmp_path / "seen"
    script = whole(
        f'for last; do :; done\nls \'{tmp_path}\' > \'{beside}\'\nprintf "%s\\n" "$@" > "$last"'
    )
    assert Path(script).name == "g++"
    subprocess.run([script, "-I a b", "it's.cpp", "-o", str(target)], check=True)
    written = target.read_text().splitlines()
    assert written[:3] == ["-I a b", "it's.cpp", "-o"] and written[3].startswith(f"{target}.")
    assert target.name not in beside.read_text()
    assert not list(tmp_path.glob("two words.so.*"))


def test_a_compiler_that_fails_says_so_and_leaves_nothing(tmp_path, whole):
    script = whole('for last; do :; done\necho half > "$last"\necho no such header >&2\nexit 3')
    done = subprocess.run(
        [script, "a.cpp", "-o", str(tmp_path / "a.so")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (3, "no such header\n")
    assert not list(tmp_path.glob("a.so*"))


def test_a_compiler_that_is_killed_leaves_no_library(tmp_path, whole):
    script = whole('for last; do :; done\necho half > "$last"\nexec sleep 60')
    target = tmp_path / "a.so"
    running = subprocess.Popen([script, "a.cpp", "-o", str(target)], start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("a.so.*")):
        assert time.monotonic() < deadline, "the compiler did not start"
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not target.exists()


def test_what_has_no_output_goes_straight_to_the_compiler(tmp_path, whole):
    script = whole('echo "$@"')
    for words in (["-E", "a.cpp"], ["a.cpp", "-o", "/dev/null"]):
        said = subprocess.run([script, *words], capture_output=True, text=True, check=True).stdout
        assert said.split() == words


def test_a_script_is_made_once_and_only_where_it_can_be_kept_and_run(tmp_path, monkeypatch):
    real = str(compiler(tmp_path, "exit 0"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    assert process.whole_outputs(real) == real
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    script = process.whole_outputs(real)
    assert script != real and process.whole_outputs(script) == script
    before = os.stat(script).st_ino
    assert process.whole_outputs(real) == script and os.stat(script).st_ino == before
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", real)  # a file: nothing can be kept there
    assert process.whole_outputs(real) == real


@pytest.mark.long  # with an empty cache torch compiles for 50 s
@pytest.mark.skipif(not shutil.which("g++"), reason="no g++")
def test_torch_compiles_by_way_of_the_script(tmp_path, starter):
    """In a process of its own, as a job does: all that lies in its cache is whole."""
    cache = tmp_path / "cache"
    starter.script(
        tmp_path / "job.py",
        "import os\n"
        f"os.environ['TORCHINDUCTOR_CACHE_DIR'] = {str(cache)!r}\n"
        "os.environ.pop('CXX', None)  # of another cache, where a job ran in this process\n"
        "import torch\n"
        "from distillery.compute import process\n"
        "from distillery.compute.device import Compute\n"
        "process.keep_compiled()\n"
        "f = Compute().compiled(lambda x: 2 * x + 1, device='cpu', expected_seconds=1e9)\n"
        "x = torch.arange(64.0)\n"
        "assert torch.equal(f(x), 2 * x + 1)\n"
        f"assert os.environ['CXX'].startswith({str(cache)!r})\n",
    )
    assert list(cache.rglob("*.so")) and not list(cache.rglob("*.so.[0-9]*"))
