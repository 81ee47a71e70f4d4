"""The measurements as a table on the terminal and as a plot."""

from pathlib import Path
from typing import Any

PARAMETER_BYTES = 4


def heading(machine: dict[str, Any]) -> str:
    """The machine, in a few lines."""
    peak = machine["peak_flops"]
    low = "bfloat16 in hardware" if machine["bfloat16_in_hardware"] else "no fast bfloat16"
    place = (
        f"capability {machine['capability']}"
        if machine["kind"] == "cuda"
        else f"{machine['cpu_capability']}"
    )
    lines = [
        f"{machine['device']}: {machine['cores']} cores ({machine['usable_cores']} usable), "
        f"{machine['threads']} threads, {place}, {low}",
        f"torch {machine['versions']['torch']}, Python {machine['versions']['python']}; load when "
        f"started {machine['load'] or 0:.1f}",
        *["others are using this machine: the figures are noisy"]
        * (machine["load"] is not None and machine["load"] > 0.5),
        f"peak of matrix products: float32 {_rate(peak['float32'])}, bfloat16 "
        f"{_rate(peak['bfloat16'])}",
    ]
    return "\n".join(lines)


class Table:
    """Rows as they are measured, under one heading.

    Args:
        peers: whether there is a published implementation beside.
    """

    def __init__(self, peers: bool) -> None:
        self._peers, self._begun = peers, False

    def row(self, entry: dict[str, Any], machine: dict[str, Any]) -> str:
        """One case, with what the seconds are of; the first time with the heading above."""
        ours, others = (
            entry["sides"]["ours"],
            {name: side for name, side in entry["sides"].items() if name != "ours"},
        )
        name = f"{entry['name']:<27}"
        cells = [f"{_seconds(ours):>10}", f"{_bytes(ours):>9}"]
        for side in ("textbook", "peer")[: 1 + self._peers]:
            other = others.get(side, {})
            cells += [
                f"{_seconds(other):>10}",
                f"{_bytes(other):>9}",
                f"{_times(other, ours, 'seconds'):>7}",
                f"{_times(other, ours, 'peak_bytes'):>7}",
            ]
        rates = []
        for side in (ours, others.get("textbook", {})):
            rates.append(
                _share(entry["textbook_flops"], side.get("seconds"), machine["peak_flops"])
            )
        extra = (
            f"{ours['first_step_extra_seconds']:.1f} s"
            if "first_step_extra_seconds" in ours
            else ""
        )
        lines = [
            name + "".join(cells) + f"{rates[0]:>24}{rates[1]:>24}{extra:>9}   {entry['unit']}"
        ]
        lines += [
            f"    {side}: {found['skipped']}"
            for side, found in entry["sides"].items()
            if found.get("skipped")
        ]
        if not self._begun:
            self._begun = True
            heads = f"{'':<27}{'ours':>10}{'memory':>9}"
            for side in ("textbook", "peer")[: 1 + self._peers]:
                heads += f"{side:>10}{'memory':>9}{'faster':>7}{'less':>7}"
            lines.insert(
                0,
                "\n"
                + heads
                + f"{'ours, of peak f32/bf16':>24}{'textbook, of peak':>24}{'first':>9}"
                + "   a step is",
            )
        return "\n".join(lines)


def footing(record: dict[str, Any]) -> str:
    """What the columns mean, how memory grows with the student's steps, and how close the twins
    are."""
    lines = [""]
    for ipc, found in record["memory_growth"].items():
        lines.append(
            f"mtt at {ipc} images per class, ours: memory grows by "
            f"{found['grown_bytes'] / 1e6:.0f} MB from N {found['from']} to N {found['to']}; "
            f"the parameter vectors kept more are {found['stored_bytes'] / 1e6:.0f} MB"
        )
    apart = {}
    for entry in record["cases"]:
        for side, result in entry["sides"].items():
            if "disagreement" in result:
                apart[f"{entry['name']}{'' if side == 'textbook' else ' ' + side}"] = result[
                    "disagreement"
                ]
    if apart:
        worst = max(apart, key=lambda name: apart[name]["relative"])
        lines.append(
            f"same inputs, same first gradient: apart by {apart[worst]['relative']:.2g} of its "
            "length at most "
            f"(cosine {1 - apart[worst]['one_minus_cosine']:.5f}, {worst})"
        )
    resident = (
        "held by tensors on the device"
        if record["machine"]["kind"] == "cuda"
        else "resident, torch itself included"
    )
    lines += [
        "seconds: medians of interleaved steps after the first; first: what the first step took "
        "more (compiling, or fetching what was compiled before)",
        f"memory: most that a step needs ({resident})",
        "of peak: textbook's arithmetic a second, against the measured matrix products in float32 "
        "/ bfloat16",
        "textbook: eager float32, no setting of the allocator; no side augments; expert epochs "
        "and tests are measured on a part and scaled",
    ]
    return "\n".join(lines)


def growth(cases: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """How much more memory ours takes at the largest N than at the smallest, by images per class,
    and how much of it the stored parameters are."""
    found = {}
    for ipc in sorted({entry["ipc"] for entry in cases if entry["kind"] == "mtt"}):
        points = [
            (entry["steps"], entry)
            for entry in cases
            if entry["kind"] == "mtt"
            and entry["ipc"] == ipc
            and "seconds" in entry["sides"]["ours"]
        ]
        if len(points) < 2:
            continue
        (least, first), (most, last) = (
            min(points, key=lambda p: p[0]),
            max(points, key=lambda p: p[0]),
        )
        grown = last["sides"]["ours"]["peak_bytes"] - first["sides"]["ours"]["peak_bytes"]
        stored = (most - least) * PARAMETER_BYTES * last["parameters"]
        found[str(ipc)] = {"from": least, "to": most, "grown_bytes": grown, "stored_bytes": stored}
    return found


def plot(record: dict[str, Any], path: Path) -> None:
    """Seconds and memory of a step: trajectory matching against N, gradient matching against images
    per class, ours and the textbook's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    styles = {"ours": "-o", "textbook": "--s", "peer": ":^"}
    for row, (measure, label, unit) in enumerate(
        (("seconds", "seconds a step", 1), ("peak_bytes", "peak memory, GB", 1e9))
    ):
        for column, (kind, along, groups) in enumerate(
            (("mtt", "steps", "ipc"), ("dc", "ipc", "data"))
        ):
            axis = axes[row, column]
            entries = [entry for entry in record["cases"] if entry["kind"] == kind]
            for colour, group in enumerate(sorted({entry[groups] for entry in entries}, key=str)):
                for side, style in styles.items():
                    points = [
                        (entry[along], entry["sides"][side][measure] / unit)
                        for entry in entries
                        if entry[groups] == group
                        and measure in entry["sides"].get(side, {})
                        and "seconds" in entry["sides"][side]
                    ]
                    if points:
                        name = f"{side}, {f'IPC {group}' if groups == 'ipc' else group}"
                        axis.plot(*zip(*points, strict=True), style, color=f"C{colour}", label=name)
            axis.set(
                title={"mtt": "MTT", "dc": "DC"}[kind],
                ylabel=label,
                xlabel={"mtt": "student steps N", "dc": "images per class"}[kind],
            )
            if axis.lines:
                axis.set_ylim(bottom=0)
                ticks = sorted({entry[along] for entry in entries})
                axis.set_xticks(ticks, [str(tick) for tick in ticks])
                axis.legend(fontsize=8)
            axis.grid(alpha=0.3)
    figure.suptitle(
        f"{record['machine']['device']}, {record['machine']['threads']} threads, torch "
        f"{record['machine']['versions']['torch']}",
        fontsize=10,
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _rate(flops: float) -> str:
    return f"{flops / 1e12:.2f} TFLOP/s" if flops >= 1e12 else f"{flops / 1e9:.0f} GFLOP/s"


def _seconds(side: dict[str, Any]) -> str:
    if "seconds" not in side:
        return "-"
    return (
        f"{side['seconds'] * 1000:.2f} ms" if side["seconds"] < 0.1 else f"{side['seconds']:.2f} s"
    )


def _bytes(side: dict[str, Any]) -> str:
    return f"{side['peak_bytes'] / 1e9:.2f} GB" if "seconds" in side else "-"


def _times(other: dict[str, Any], ours: dict[str, Any], name: str) -> str:
    return f"{other[name] / ours[name]:.2f}x" if "seconds" in other and "seconds" in ours else "-"


def _share(flops: float, seconds: float | None, peak: dict[str, float]) -> str:
    if not seconds:
        return "-"
    rate = flops / seconds
    return f"{_rate(rate)} {rate / peak['float32']:.0%}/{rate / peak['bfloat16']:.0%}"
