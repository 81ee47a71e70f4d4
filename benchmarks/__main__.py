"""Distillery's speed and memory beside the textbook implementation, measured in one run on this
machine.

python -m benchmarks            everything, under 15 minutes on two idle CPU cores; the same on a
GPU
python -m benchmarks --quick    about 2 minutes: fewer cases, images and inner epochs
"""

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Never

import torch

from benchmarks import present
from benchmarks.cases import KINDS, Case, flops, grid
from benchmarks.process import EndedError, Process, run_peak
from distillery.compute import process
from distillery.compute.device import Compute
from distillery.run import meter
from distillery.store.files import write_text

# How far the first gradients may differ: relative, and where the library computes in low precision,
# one minus the cosine.
TOLERANCE = 0.01
LOW_PRECISION_TOLERANCE = 0.05


@dataclass(frozen=True)
class Limits:
    """How long a case may take.

    Attributes:
        repeats: measured steps a side at most.
        budget: seconds of measured steps a side after which no more are taken; one is always.
        longest: seconds of a step that the textbook may be predicted to take; else it is left out,
            and that is said.
    """

    repeats: int
    budget: float
    longest: float


def available_memory() -> int | None:
    """Bytes that a new process could have, or ``None`` where the system does not say."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")
        )
    except (OSError, StopIteration):
        return None
    for group in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/"):
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if group.endswith("memory")
            else ("memory.max", "memory.current")
        )
        try:
            limit, used = (int(Path(group, name).read_text()) for name in names)
        except (OSError, ValueError):
            continue
        free = min(free, limit - used)
    return free


def too_much(case: Case, before: Sequence[dict[str, Any]], limits: Limits) -> str | None:
    """Why full unrolling is not tried at this N, by what it took at smaller ones; ``None`` if it
    is.

    Args:
        case: that would be measured.
        before: the results of the textbook at smaller N, ascending.
        limits: how long it may take.
    """
    if not before:
        return None
    last = before[-1]
    if "seconds" not in last:
        return last["skipped"]
    growth = case.steps / last["steps"]
    seconds = last["seconds"] * growth
    need = last["baseline_bytes"] + (last["peak_bytes"] - last["baseline_bytes"]) * growth
    free = available_memory()
    if free is not None and need > 0.95 * free:
        return f"would need about {need / 1e9:.0f} GB, {free / 1e9:.0f} GB are free"
    if seconds > limits.longest:
        return f"would take about {seconds:.0f} s a step, the limit is {limits.longest:.0f} s"
    return None


def disagreement(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """How far two gradients of the same thing differ."""
    first, second = first.double(), second.double()
    return {
        "relative": float((first - second).norm() / second.norm()),
        "one_minus_cosine": float(1 - torch.dot(first, second) / (first.norm() * second.norm())),
    }


def agree(found: dict[str, float], low_precision: bool) -> bool:
    """Whether that is close enough."""
    return found["relative"] < TOLERANCE or (
        low_precision and found["one_minus_cosine"] < LOW_PRECISION_TOLERANCE
    )


def measure(
    case: Case, orders: dict[str, dict[str, Any]], limits: Limits
) -> dict[str, dict[str, Any]]:
    """Measure the sides of a case in turn, A B A B, each in its own process.

    Args:
        case: what is measured.
        orders: for each side what its process is asked to do.
        limits: how long it may take.

    Returns:
        For each side ``seconds`` a unit (the median), ``measured`` (all), ``cpu_seconds`` (the
        median of what the process computed: with one thread it is what a busy machine disturbs
        least), ``peak_bytes`` (of the measured steps), ``baseline_bytes`` (before the first) and
        ``first_step_extra_seconds``, or ``skipped`` with the reason.
    """
    processes = {side: Process(order) for side, order in orders.items()}
    results: dict[str, dict[str, Any]] = {
        side: {"steps": case.steps, "measured": [], "cpu": []} for side in orders
    }
    gradients: dict[str, torch.Tensor] = {}
    try:
        for side, process in processes.items():
            with EndedError.noted(results[side]):
                results[side]["baseline_bytes"] = process.ready()["baseline"]
        for side, process in processes.items():
            if "skipped" not in results[side]:
                with EndedError.noted(results[side]):
                    message = process.step()
                    gradients[side] = torch.load(message["gradient"], weights_only=True)
                    results[side]["first_step"] = message["seconds"]
        if "ours" in gradients:
            for side in gradients.keys() - {"ours"}:
                found = disagreement(gradients["ours"], gradients[side])
                results[side]["disagreement"] = found
                if not agree(found, orders["ours"]["precision"] == "auto"):
                    results[side]["skipped"] = (
                        f"not timed: it disagrees with ours ({found['relative']:.1%} of the "
                        "gradient)"
                    )
        spent = dict.fromkeys(processes, 0.0)
        for _ in range(limits.repeats):
            # A full round each time, so that drift hits all sides alike.
            if all(seconds >= limits.budget for seconds in spent.values()):
                break
            for side, process in processes.items():
                fast_enough = spent[side] < limits.budget
                if "skipped" not in results[side] and fast_enough:
                    with EndedError.noted(results[side]):
                        message = process.step()
                        results[side]["measured"].append(message["seconds"])
                        results[side]["cpu"].append(message["cpu_seconds"])
                        results[side]["peak_bytes"] = message["peak"]
                        results[side].setdefault("profile", message.get("profile"))
                        spent[side] += message["seconds"] * message["units"]
    finally:
        for process in processes.values():
            process.stop()
    for result in results.values():
        if result.get("profile") is None:
            result.pop("profile", None)
        if "skipped" not in result:
            result["measured"] = [case.scale * seconds for seconds in result["measured"]]
            result["seconds"] = statistics.median(result["measured"])
            result["cpu_seconds"] = case.scale * statistics.median(result.pop("cpu"))
            # Trajectory matching warms up with two student steps.
            usual = (
                result["seconds"]
                / case.scale
                * (min(2, case.steps) / case.steps if case.steps else 1)
            )
            result["first_step_extra_seconds"] = max(0.0, result.pop("first_step") - usual)
    return results


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """What is measured on."""
    place = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    record = {
        "device": meter.device_name(place),
        "kind": place.type,
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": options.threads,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_in_hardware": Compute().low_precision(place, float("inf")) is not None,
        "versions": meter.versions(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "peak_flops": run_peak(
            {"side": "peak", "threads": options.threads, "size": 256 if options.tiny else None}
        ),
    }
    if place.type == "cuda":
        record["capability"] = ".".join(map(str, torch.cuda.get_device_capability(place)))
    return record


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="about 2 minutes: fewer cases, images and inner epochs"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"cases whose name begins so ({', '.join(KINDS)}, dc-mnist ...), repeatable",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results/bench"),
        metavar="DIR",
        help="where bench.json and bench.png go (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=usable,
        help="CPU threads of each side (default: the %(default)s usable cores)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu"),
        default="auto",
        help="auto takes the first GPU if there is one",
    )
    parser.add_argument("--precision", choices=("auto", "float32"), default="auto", help="of ours")
    parser.add_argument("--compile", choices=("auto", "off"), default="auto", help="of ours")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print the top operators of one of our steps for each case instead of comparing",
    )
    parser.add_argument(
        "--peer-dc",
        type=Path,
        metavar="DIR",
        help="a checkout of VICO-UoE/DatasetCondensation to time beside",
    )
    parser.add_argument(
        "--peer-mtt",
        type=Path,
        metavar="DIR",
        help="a checkout of GeorgeCazenavette/mtt-distillation to time beside",
    )
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.peers = {
        kind: str(folder.resolve())
        for kind, folder in (("dc", options.peer_dc), ("mtt", options.peer_mtt))
        if folder is not None
    }
    for folder in options.peers.values():
        if not Path(folder).is_dir():
            parser.error(f"{folder}: there is no such folder")
    options.cases = [
        case
        for case in grid(options.quick, options.tiny)
        if not options.only or any(f"{case.name}-".startswith(f"{n}-") for n in options.only)
    ]
    if not options.cases:
        parser.error(
            f"no case begins with {' or '.join(options.only)}; there are "
            f"{', '.join(case.name for case in grid(options.quick, options.tiny))}"
        )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write ``bench.json`` and ``bench.png``."""
    options = parse(arguments)
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif torch.cuda.device_count() > 1:
        # Every process takes the device that it sees: all must see the same one.
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[
            0
        ]
    process.keep_compiled()
    limits = (
        Limits(repeats=2, budget=5, longest=30)
        if options.quick
        else Limits(repeats=5, budget=8, longest=60)
    )
    started = time.perf_counter()
    record: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "quick": options.quick,
        "machine": machine(options),
        "cases": [],
    }
    print(present.heading(record["machine"]))
    table = present.Table(peers=bool(options.peers))
    status = 0
    try:
        with _stopped_by_a_signal():
            _measure_cases(options, limits, record, table, started)
    except KeyboardInterrupt as stop:
        status = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        record["stopped_after"] = f"{len(record['cases'])} of {len(options.cases)} cases"
        print(f"stopped after {record['stopped_after']}", flush=True)
        if not record["cases"]:
            return status
    record["memory_growth"] = present.growth(record["cases"])
    record["seconds"] = time.perf_counter() - started
    if not options.profile:
        print(present.footing(record))
    _write(record, options.output)
    present.plot(record, options.output / "bench.png")
    print(
        f"written: {options.output / 'bench.json'}, {options.output / 'bench.png'} "
        f"({record['seconds']:.0f} s)"
    )
    failed = [
        entry["name"]
        for entry in record["cases"]
        for result in entry["sides"].values()
        if re.match("not timed|failed", result.get("skipped") or "")
    ]
    return status or (1 if failed else 0)


@contextlib.contextmanager
def _stopped_by_a_signal() -> Iterator[None]:
    """Within the block SIGTERM ends it as Ctrl-C does: with ``KeyboardInterrupt``, which has the
    signal's number."""

    def stop(number: int, frame: Any) -> Never:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(record: dict[str, Any], folder: Path) -> None:
    write_text(folder / "bench.json", json.dumps(record, indent=1) + "\n")


def _measure_cases(
    options: argparse.Namespace,
    limits: Limits,
    record: dict[str, Any],
    table: present.Table,
    started: float,
) -> None:
    """Measure case after case; each is printed, and on the disk, before the next begins."""
    full_unrolling: dict[int, list[dict[str, Any]]] = {}
    for case in options.cases:
        orders = {side: _order(side, case, options) for side in _sides(case, options)}
        before = full_unrolling.setdefault(case.ipc, []) if case.kind == "mtt" else []
        left_out = too_much(case, before, limits)
        results = (
            {side: {"steps": case.steps, "skipped": left_out} for side in orders if side != "ours"}
            if left_out
            else {}
        )
        results |= measure(
            case, {side: order for side, order in orders.items() if side not in results}, limits
        )
        if case.kind == "mtt" and "textbook" in results:
            before.append(results["textbook"])
        entry = {**case.record(), "textbook_flops": flops(case), "sides": results}
        record["cases"].append(entry)
        profile = results["ours"].pop("profile", None)
        print(
            f"\n{case.name}: one step of ours\n{profile}"
            if options.profile
            else table.row(entry, record["machine"]),
            flush=True,
        )
        record["seconds"] = time.perf_counter() - started
        _write(record, options.output)


def _sides(case: Case, options: argparse.Namespace) -> list[str]:
    if options.profile:
        return ["ours"]
    return ["ours", "textbook"] + ["peer"] * (case.kind in options.peers)


def _order(side: str, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    # A tiny run tests the benchmark: compiling would take most of its time.
    compiled = "off" if options.tiny else options.compile
    shared = {
        "threads": options.threads,
        "precision": options.precision,
        "compile": compiled,
        "profile": options.profile,
    }
    return {"side": side, "case": asdict(case), "peer": options.peers.get(case.kind), **shared}


if __name__ == "__main__":
    sys.exit(main())
