"""Python programs as forks of one process that has imported what they take from other packages: 3
of the 4 seconds of a small job, 4 of the 7 of a dry run.

No module of the library is imported here: a program reads those of its folder. It has a folder, an
environment, arguments and streams of its own.

    python forks.py LISTENER INTERPRETER

runs what is asked for at the socket with the file descriptor LISTENER, until its standard input
ends. To Snakemake INTERPRETER is Python: it asks for what Snakemake starts to be run here.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
import types
import warnings
from pathlib import Path

# What each start takes, and what jobs of some rules do, which is imported for the first of them.
ALL = (
    *("pandas", "pydantic", "safetensors.torch", "torch", "yaml"),
    *("snakemake.cli", "snakemake.report.html_reporter", "snakemake.storage", "nbformat", "yte"),
)
COMPILER = "torch._dynamo"  # which the first gradient by torch.func imports
OF_RULE = {
    "distill": COMPILER,
    "download": "sklearn.datasets",
    "evaluate_synthetic": "fvcore.nn",
    "report": "scipy.special",
    "step_distill": COMPILER,
    "train_vanilla": "fvcore.nn",
    "networks": COMPILER,  # the module distillery.networks._trial
}

# In the place of Python: has Snakemake, a job's script, the trial of what a study has from outside,
# and our own command run in forks, and leaves all else to Python.
INTERPRETER = """#!{python} -ISE
import json, os, socket, sys

python, arguments = {python!r}, sys.argv[1:]
ours = arguments[:2] in (["-m", "snakemake"], ["-m", "distillery"], ["-P", "-m"])
if not (ours or arguments[0].endswith((".py", "/distillery"))):
    os.execv(python, [python, *arguments])
order = {{"folder": os.getcwd(), "arguments": arguments, "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps(order).encode() + b"\\n")
    os._exit(int(server.recv(16) or 1))
"""


def main(listener: socket.socket, interpreter: str) -> None:
    needed(*ALL)
    order = next_order(listener)
    if order is None:
        return
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.executable = interpreter
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    status: object = None
    try:
        run(order["arguments"])
    except SystemExit as error:
        status = error.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not through the interpreter's end, which takes apart what was imported: a second of a job.
    os._exit(status if isinstance(status, int) else bool(status))


def run(arguments: list[str]) -> None:
    """Run a module or a script with its arguments, as Python does."""
    safe = arguments[0] == "-P"
    if safe:
        arguments = arguments[1:]
    module = arguments[0] == "-m"
    sys.argv = arguments[module:]
    own = os.getcwd() if module else str(Path(arguments[0]).parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [*([] if safe or os.environ.get("PYTHONSAFEPATH") else [own]), *paths]
    if module:
        if sys.argv[0] == "snakemake":
            os.setsid()  # it signals all of its process group
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        main = types.ModuleType("__main__")
        main.__file__ = sys.argv[0]
        sys.modules["__main__"] = main
        exec(compile(Path(main.__file__).read_bytes(), main.__file__, "exec"), vars(main))


def needed(*modules: str) -> None:
    """Import what forks will have in common, and keep it out of each one's garbage collection."""
    with warnings.catch_warnings(action="ignore"):
        for name in modules:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def next_order(listener: socket.socket) -> dict | None:
    """Fork at each order; returns it in the fork that carries it out, and ``None`` in the end."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [], 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            break
        if listener in ready:
            connection, _ = listener.accept()
            _, streams, _, _ = socket.recv_fds(connection, 1, 3)
            with connection.makefile(encoding="utf-8") as lines:
                order = json.loads(lines.readline())
            arguments = order["arguments"]
            name = arguments[2] if arguments[0] == "-P" else Path(arguments[0]).name
            rule = name.split(".")[1:2]  # of tmp8s1x.distill.py
            if rule and rule[0] in OF_RULE and OF_RULE[rule[0]] not in sys.modules:
                needed(OF_RULE[rule[0]])
            if not os.fork():
                listener.close()
                follow(connection, streams)
                return order
            for stream in (connection.detach(), *streams):
                os.close(stream)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return None


def follow(connection: socket.socket, streams: list[int]) -> None:
    """Fork once more, and return in the child, which has the streams of the order; this process
    waits for it and sends its exit status."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(str(status % 256).encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
