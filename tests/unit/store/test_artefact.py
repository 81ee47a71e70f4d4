"""What is written and read back: artefacts, whole files, synthetic sets, metrics, and the names of
random streams."""

import csv
import hashlib
import itertools
import json
import math
import os
import stat
import struct

import pandas
import pytest
import torch

from distillery import __version__, streams
from distillery.errors import UserError
from distillery.images import dataset as data
from distillery.sets import synthetic
from distillery.sets.evolution import Evolution, load_evolution
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, files, metrics
from distillery.store.metrics import Metrics

TENSORS = {
    "images": torch.linspace(-1, 1, 12).view(3, 1, 2, 2),
    "labels": torch.tensor([2, 0, 1]),
    "scalar": torch.tensor(0.1, dtype=torch.float64),
    "empty": torch.zeros(0, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "flags": torch.tensor([True, False]),
}
HEADER = {
    "dataset": "MNIST",
    "mean": [0.1307],
    "rate": 1e-5,
    "notes": "über",
    "seed": 0,
    "network": None,
}


# ---- files ---------------------------------------------------------------------------------------


def test_a_file_appears_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    with files.atomic(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == path.parent and not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole" and os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    with pytest.raises(error), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise error
    assert os.listdir(tmp_path) == []
    files.write_text(path, "old")
    with pytest.raises(error), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_a_file_that_was_never_written_does_not_appear(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic(tmp_path / "file.txt") as temporary:
        temporary.unlink()
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_way_of_a_folder_is_left(tmp_path):
    (tmp_path / "file.txt").mkdir()
    with pytest.raises(OSError):
        files.write_text(tmp_path / "file.txt", "text")
    assert os.listdir(tmp_path) == ["file.txt"] and (tmp_path / "file.txt").is_dir()


def test_others_may_read_what_the_mask_allows(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            files.write_text(tmp_path / "file.txt", "text")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == mode


def test_text_is_utf_8_with_its_own_line_ends(tmp_path):
    files.write_text(tmp_path / "file.txt", "é\n→\n")
    assert (tmp_path / "file.txt").read_bytes() == "é\n→\n".encode()


# ---- artefacts -----------------------------------------------------------------------------------


def same(first, second):
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name])
        for name in first
    )


def test_tensors_and_header_come_back(tmp_path):
    path = tmp_path / "x.safetensors"
    artefact.save(path, TENSORS, HEADER)
    tensors, header = artefact.load(path, rule="distill")
    assert same(tensors, TENSORS)
    assert {name: value for name, value in header.items() if name != "sha256"} == HEADER
    assert header == artefact.header(path, rule="distill")
    # What was read may be written again.
    artefact.save(tmp_path / "y.safetensors", tensors, header)
    assert (tmp_path / "y.safetensors").read_bytes() == path.read_bytes()


def test_the_same_content_is_the_same_bytes_and_other_content_is_not(tmp_path):
    def written(tensors, header):
        artefact.save(tmp_path / "x.safetensors", tensors, header)
        return (tmp_path / "x.safetensors").read_bytes()

    first = written(TENSORS, HEADER)
    turned = {name: TENSORS[name] for name in reversed(TENSORS)}
    turned["images"] = torch.stack([TENSORS["images"]] * 2, dim=-1)[..., 0]
    assert not turned["images"].is_contiguous()
    assert written(turned, {name: HEADER[name] for name in reversed(HEADER)}) == first
    assert written({**TENSORS, "labels": torch.tensor([2, 0, 0])}, HEADER) != first
    assert written(TENSORS, {**HEADER, "seed": 1}) != first


def test_a_header_may_have_what_json_turns_into_something_else(tmp_path):
    """Tuples, numbers as keys in another order than as text, and values that are not finite."""
    path = tmp_path / "x.safetensors"
    artefact.save(path, {}, {"history": {10: (1, 2), 9: (math.inf,)}})
    assert artefact.load(path, rule="r")[1]["history"] == {"10": [1, 2], "9": [math.inf]}


def test_the_digest_is_over_names_types_shapes_and_bytes():
    tensor = torch.tensor([[1.0, 2.0]])
    expected = hashlib.sha256(b"a\0torch.float32\0(1, 2)\0" + struct.pack("<2f", 1, 2)).hexdigest()
    assert artefact.digest({"a": tensor}) == expected
    others = [
        {"b": tensor},
        {"a": tensor.view(2, 1)},
        {"a": tensor.view(torch.int32)},
        {"a": -tensor},
        {},
    ]
    assert len({expected, *map(artefact.digest, others)}) == 6


@pytest.mark.slow
def test_any_flipped_bit_is_found(tmp_path):
    path = tmp_path / "x.safetensors"
    artefact.save(path, {"images": TENSORS["images"], "labels": TENSORS["labels"]}, HEADER)
    whole = bytearray(path.read_bytes())
    for place in range(len(whole)):
        whole[place] ^= 1 << place % 8
        path.write_bytes(whole)
        with pytest.raises(UserError, match=r"x\.safetensors.*the rule distill re-creates it"):
            artefact.load(path, rule="distill")
        whole[place] ^= 1 << place % 8
    path.write_bytes(whole)
    artefact.load(path, rule="distill")


def test_a_header_is_checked_without_the_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    artefact.save(path, TENSORS, HEADER)
    whole = path.read_bytes()
    assert whole.count(b"0.1307") == 1
    path.write_bytes(whole.replace(b"0.1307", b"0.1308"))
    with pytest.raises(UserError, match=r"its header is not what was written.*rule distill"):
        artefact.header(path, rule="distill")


def test_content_is_known_by_the_headers_alone(tmp_path):
    paths = [tmp_path / f"{n}.safetensors" for n in range(3)]
    contents = [{"a": torch.zeros(2)}, {"a": torch.ones(2)}, {"a": torch.zeros(2)}]
    for path, tensors in zip(paths, contents, strict=True):
        artefact.save(path, tensors, {"path": str(path)})
    assert artefact.digests(paths) == [artefact.digest(tensors) for tensors in contents]


def test_cut_short_empty_missing_and_foreign_files_are_named_with_their_rule(tmp_path):
    path = tmp_path / "x.safetensors"
    artefact.save(path, TENSORS, HEADER)
    whole = path.read_bytes()
    for left in (
        b"",
        whole[:7],
        whole[:100],
        whole[:-1],
        b"not a file of ours",
        json.dumps(HEADER).encode(),
    ):
        path.write_bytes(left)
        for read in (artefact.load, artefact.header):
            with pytest.raises(
                UserError,
                match=r"x\.safetensors: cannot be read.*the rule train_experts re-creates",
            ):
                read(path, rule="train_experts")
    path.unlink()
    with pytest.raises(
        UserError, match=r"x\.safetensors: is missing; .*the rule train_experts re-creates"
    ):
        artefact.load(path, rule="train_experts")
    from safetensors.torch import save_file

    for metadata in (None, {"format": "pt"}, {"header": "[]"}, {"header": "{}"}):
        save_file({"a": torch.zeros(1)}, path, metadata=metadata)
        with pytest.raises(UserError, match="cannot be read"):
            artefact.load(path, rule="distill")


def test_an_artefact_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(artefact, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        artefact.save(tmp_path / "x.safetensors", TENSORS, HEADER)
    assert os.listdir(tmp_path) == []
    with pytest.raises(TypeError):
        artefact.save(tmp_path / "x.safetensors", TENSORS, {"not": {1, 2}})
    assert os.listdir(tmp_path) == []


# ---- synthetic sets ------------------------------------------------------------------------------

CLASSES = ["cat", "dog", "owl"]


def made(labels=None, step_size=None, **header):
    generator = torch.Generator().manual_seed(1)
    images = 3 * torch.randn(6, 1, 4, 4, generator=generator)
    labels = torch.arange(3).repeat_interleave(2) if labels is None else labels
    return SyntheticSet(images, labels, step_size, {"classes": CLASSES, "method": "dc", **header})


SOFT = torch.tensor([[0.2, 0.5, 0.3]]).repeat(6, 1)


@pytest.mark.parametrize("labels, step_size", [(None, None), (None, 0.1), (SOFT, 1 / 3)])
def test_a_set_comes_back_as_it_was(tmp_path, labels, step_size):
    first = made(labels, step_size)
    first.save(tmp_path / "set.safetensors")
    again = SyntheticSet.load(tmp_path / "set.safetensors")
    assert torch.equal(again.images, first.images) and torch.equal(again.labels, first.labels)
    assert again.step_size == step_size
    assert again.header.items() >= first.header.items()
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "set.safetensors"
    ).read_bytes()


def test_a_set_is_a_dataset_for_a_loader():
    found = made()
    assert len(found) == 6
    batches = list(torch.utils.data.DataLoader(found, batch_size=4))
    assert torch.equal(torch.cat([images for images, _ in batches]), found.images)
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(found.hard_labels, found.labels)
    assert made(SOFT).hard_labels.tolist() == [1] * 6


IMAGES = torch.zeros(6, 1, 4, 4)
HARD = torch.zeros(6, dtype=torch.int64)


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (IMAGES.double(), HARD, "images are torch.float64"),
        (IMAGES[0], HARD, r"shape \(1, 4, 4\)"),
        (IMAGES[:0], HARD[:0], "N > 0"),
        (IMAGES, HARD[:5], "do not go with 6 images"),
        (IMAGES, HARD[:, None, None], "do not go with 6 images"),
        (IMAGES / 0, HARD, "NaN or infinite"),
        (IMAGES, HARD.int(), "int64 is needed"),
        (IMAGES, HARD + 3, "labels run from 3 to 3; this dataset has classes 0 to 2"),
        (IMAGES, HARD - 1, "labels run from -1"),
        (IMAGES, SOFT[:, :2].contiguous(), r"finite float32 \(N, 3\)"),
        (IMAGES, SOFT.double(), "soft labels are torch.float64"),
        (IMAGES, SOFT * math.inf, "finite"),
    ],
)
def test_what_is_no_set_is_refused(images, labels, message):
    with pytest.raises(UserError, match=message):
        SyntheticSet(images, labels, None, {"classes": CLASSES})


def test_another_artefact_is_no_evolution(tmp_path):
    path = tmp_path / "evolution.safetensors"
    for tensors in (
        {},
        {"images": torch.zeros(2, 1)},
        {"iterations": torch.arange(2)},
        {"iterations": torch.arange(2), "images": torch.zeros(3, 1)},
    ):
        artefact.save(path, tensors, {})
        with pytest.raises(UserError, match="holds no snapshots"):
            load_evolution(path, torch.arange(1), "cpu")


def test_another_artefact_is_no_set(tmp_path):
    path = tmp_path / "set.safetensors"
    for tensors, header in (
        ({"images": IMAGES}, {"classes": CLASSES}),
        ({"images": IMAGES, "labels": HARD}, {}),
    ):
        artefact.save(path, tensors, header)
        with pytest.raises(UserError, match=r"set\.safetensors: is not a synthetic set"):
            SyntheticSet.load(path)


def test_a_header_says_what_is_needed_to_use_and_trace_a_set():
    dataset = data.Dataset(
        "toy", *[torch.zeros(1)] * 4, ("a", "b"), (0.5,), (0.25,), "CC0", "local", False
    )
    cell = {"dataset": "toy", "method": "dc", "init": "real", "ipc": 10, "seed": 3}
    found = synthetic.header(
        dataset, cell, settings={"lr": 0.1}, network=None, iterations=5, code="abc"
    )
    assert json.loads(json.dumps(found)) == found
    assert found.items() >= {**cell, "classes": ["a", "b"], "licence": "CC0", "code": "abc"}.items()
    assert found["normalization"] == {"kind": "channel", "mean": [0.5], "std": [0.25]}
    assert found["version"] == __version__


# ---- the way there -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "iterations, snapshots", [(1, 1), (10, 3), (100, 7), (5, 20), (0, 4), (10, 0)]
)
def test_snapshots_are_even_and_hold_the_start_and_the_end(iterations, snapshots):
    kept = sorted(Evolution(iterations, snapshots).kept)
    assert kept[0] == 0 and kept[-1] == iterations
    assert len(kept) == (1 + max(1, min(snapshots, iterations)) if iterations else 1)
    if iterations:
        ideal = iterations / (len(kept) - 1)
        assert all(abs(b - a - ideal) <= 1 for a, b in itertools.pairwise(kept))


def evolved(iterations=4, snapshots=2, step_sizes=False, soft=False):
    """As a method tells of itself, changing its tensors in place."""
    told = []
    evolution = Evolution(iterations, snapshots, lambda iteration, loss: told.append(iteration))
    images, labels = torch.zeros(3, 1, 2, 2), torch.eye(3)
    for iteration in range(iterations + 1):
        images += 1
        labels /= 2
        more = {"step_size": torch.tensor(0.5 ** (iteration + 1))} if step_sizes else {}
        more |= {"labels": labels} if soft else {}
        evolution.iteration(
            iteration, torch.tensor(10.0 - iteration if iteration else math.nan), images, **more
        )
    assert told == list(range(iterations + 1))
    return evolution


@pytest.mark.parametrize("step_sizes", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_snapshots_are_copies_that_come_back(tmp_path, step_sizes, soft):
    evolved(step_sizes=step_sizes, soft=soft).save(tmp_path / "e.safetensors", {"dataset": "toy"})
    hard = torch.tensor([2, 1, 0])
    frames = load_evolution(tmp_path / "e.safetensors", hard, "cpu")
    assert [iteration for iteration, *_ in frames] == [0, 2, 4]
    for iteration, images, labels, step_size in frames:
        assert torch.equal(images, torch.full((3, 1, 2, 2), iteration + 1.0))
        assert torch.equal(labels, torch.eye(3) * 0.5 ** (iteration + 1) if soft else hard)
        assert step_size == (0.5 ** (iteration + 1) if step_sizes else None)
    assert artefact.header(tmp_path / "e.safetensors", rule="distill")["dataset"] == "toy"


def test_a_set_that_learned_soft_labels_lends_them_to_its_snapshots(tmp_path):
    evolved().save(tmp_path / "e.safetensors", {})
    frames = load_evolution(tmp_path / "e.safetensors", SOFT[:3], "cpu")
    assert all(torch.equal(labels, SOFT[:3]) for _, _, labels, _ in frames)


@pytest.mark.parametrize("step_sizes", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_an_evolution_goes_on_where_its_state_was_kept(tmp_path, step_sizes, soft):
    whole = evolved(iterations=6, snapshots=3, step_sizes=step_sizes, soft=soft)
    artefact.save(
        tmp_path / "state.safetensors", evolved(4, step_sizes=step_sizes, soft=soft).state(), {}
    )
    told = []
    again = Evolution(6, 3, lambda iteration, loss: told.append(iteration))
    again.restore(artefact.load(tmp_path / "state.safetensors", rule="distill")[0])
    assert told == [4]
    for iteration in (5, 6):
        more = {"step_size": torch.tensor(0.5 ** (iteration + 1))} if step_sizes else {}
        more |= {"labels": torch.eye(3) * 0.5 ** (iteration + 1)} if soft else {}
        again.iteration(
            iteration,
            torch.tensor(10.0 - iteration),
            torch.full((3, 1, 2, 2), iteration + 1.0),
            **more,
        )
    found = [Metrics(), Metrics()]
    for name, evolution, rows in zip(("whole", "again"), (whole, again), found, strict=True):
        evolution.save(tmp_path / f"{name}.safetensors", {})
        evolution.record(rows)
    assert found[0].rows == found[1].rows
    assert (tmp_path / "whole.safetensors").read_bytes() == (
        tmp_path / "again.safetensors"
    ).read_bytes()


def test_every_iteration_is_recorded_and_the_start_has_no_loss():
    found = Metrics(method="mtt")
    evolved(step_sizes=True).record(found)
    rows = {
        name: [r for r in found.rows if r["measure"] == name]
        for name in ("matching_loss", "step_size")
    }
    assert [(r["iteration"], r["value"]) for r in rows["matching_loss"]] == [
        (1, 9),
        (2, 8),
        (3, 7),
        (4, 6),
    ]
    assert [(r["iteration"], r["value"]) for r in rows["step_size"]] == [
        (i, 0.5 ** (i + 1)) for i in range(5)
    ]


# ---- metrics -------------------------------------------------------------------------------------


def random_floats(count=2000):
    """Floats of every size, by their bits."""
    bits = torch.randint(-(2**63), 2**63 - 1, (count,), generator=torch.Generator().manual_seed(1))
    found = [value for value in bits.view(torch.float64).tolist() if math.isfinite(value)]
    return [
        *found,
        0.1,
        1 / 3,
        1e16,
        2.0**53,
        2.0**53 + 2,
        1e300,
        5e-324,
        0.0,
        1.0,
        -7.0,
        float(torch.tensor(0.1)),
    ]


def rows_of(path):
    """The lines of a metrics file without its seal."""
    *lines, seal = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert seal == f"# sha256 {hashlib.sha256(''.join(lines).encode()).hexdigest()}\n"
    return lines


def test_floats_come_back_exactly(tmp_path):
    values = random_floats()
    assert len(values) > 1500
    found = Metrics(dataset="toy")
    for value in values:
        found.add("loss", value)
    found.save(tmp_path / "metrics.csv")
    assert [
        float(row["value"]) for row in csv.DictReader(rows_of(tmp_path / "metrics.csv"))
    ] == values


def test_values_that_are_no_number_come_back(tmp_path):
    found = Metrics()
    for value in (math.nan, math.inf, -math.inf):
        found.add("loss", value)
    found.save(tmp_path / "metrics.csv")
    values = pandas.read_csv(tmp_path / "metrics.csv", comment="#")["value"].tolist()
    assert math.isnan(values[0]) and values[1:] == [math.inf, -math.inf]


def test_a_row_has_its_own_columns_and_those_of_the_job(tmp_path):
    found = Metrics(rule="evaluate_synthetic", dataset="MNIST", ipc=10, network=None)
    found.add("class_accuracy", torch.tensor(0.5), model=2, class_=7, split="test", epoch=None)
    found.add("accuracy", 1, dataset='a "quoted", name')
    found.save(tmp_path / "metrics.csv")
    reader = csv.DictReader(rows_of(tmp_path / "metrics.csv"))
    first, second = reader
    assert tuple(reader.fieldnames) == metrics.COLUMNS
    given = {
        "rule": "evaluate_synthetic",
        "dataset": "MNIST",
        "ipc": "10",
        "model": "2",
        "class": "7",
        "split": "test",
    }
    expected = (
        dict.fromkeys(metrics.COLUMNS, "") | given | {"measure": "class_accuracy", "value": "0.5"}
    )
    assert first == expected
    assert second["dataset"] == 'a "quoted", name' and second["value"] == "1"


def test_rows_are_taken_over_with_the_columns_of_the_job():
    found, other = Metrics(rule="evaluate_synthetic", model=1), Metrics()
    other.add("loss", 0.5, epoch=2)
    other.add("loss", 0.25, model=3)
    found.extend(other)
    common = {"rule": "evaluate_synthetic", "measure": "loss"}
    assert found.rows == [
        {**common, "model": 1, "epoch": 2, "value": 0.5},
        {**common, "model": 3, "value": 0.25},
    ]


def test_unknown_columns_are_refused():
    with pytest.raises(KeyError, match="epocs"):
        Metrics(epocs=3)
    with pytest.raises(KeyError, match="classes"):
        Metrics().add("loss", 1.0, classes=3)


def test_collecting_keeps_every_row_in_order(tmp_path):
    paths = [tmp_path / f"{n}.csv" for n in range(3)]
    for n, path in enumerate(paths):
        found = Metrics(dataset=f"d{n}")
        # The second job has nothing to tell, as a coreset has no loss.
        for k in range(0 if n == 1 else n + 1):
            found.add("loss", 10 * n + k / 3)
        found.save(path)
    metrics.collect([paths[2], paths[1], paths[0]], tmp_path / "all.csv")
    with open(tmp_path / "all.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["value"]) for row in table] == [20, 20 + 1 / 3, 20 + 2 / 3, 0]
    assert [row["dataset"] for row in table] == ["d2"] * 3 + ["d0"]
    metrics.collect([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text() == ",".join(metrics.COLUMNS) + "\n"


def test_collecting_refuses_what_is_no_whole_metrics_file(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    found = Metrics(dataset="toy")
    found.add("loss", 0.25)
    found.save(good)
    whole = good.read_bytes()
    header = len(",".join(metrics.COLUMNS))
    rows = whole.index(b"# sha256")
    parts = [whole[:end] for end in (0, 10, header, header + 1, header + 5, rows, -1)]
    for left in (*parts, b"\xff\xfe", whole[5:], whole.replace(b"0.25", b"0.75")):
        bad.write_bytes(left)
        with pytest.raises(UserError, match=r"bad\.csv"):
            metrics.collect([good, bad], tmp_path / "all.csv")
    bad.write_bytes(whole.replace(b"rule,dataset", b"dataset,rule"))
    with pytest.raises(UserError, match=r"bad\.csv: is not a whole metrics file"):
        metrics.collect([good, bad], tmp_path / "all.csv")
    with pytest.raises(UserError, match=r"missing\.csv"):
        metrics.collect([tmp_path / "missing.csv"], tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()


# ---- streams -------------------------------------------------------------------------------------


def test_a_stream_is_named_by_seed_and_identity_alone():
    text = b'[3,"MNIST","dc",1]'
    expected = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") // 2
    assert streams.derive(3, "MNIST", "dc", 1) == expected
    names = [
        (0,),
        (1,),
        (0, "a"),
        (0, "a", 1),
        (0, "a", "1"),
        (0, "a1"),
        (0, "a", 1, 0),
        (0, 1, "a"),
        (0, "é"),
    ]
    seeds = [streams.derive(*name) for name in names]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)


def test_the_same_stream_draws_the_same_and_another_does_not():
    before = torch.get_rng_state()
    first, again, other = (
        torch.rand(50, generator=streams.generator(7, "order", n)) for n in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    # Neighbouring names have nothing to do with each other.
    assert abs(float(torch.corrcoef(torch.stack([first, other]))[0, 1])) < 0.5
    assert torch.equal(torch.get_rng_state(), before)
