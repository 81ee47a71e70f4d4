"""The workflow as its users run it: what is made, what is stale, what an interruption costs, and
what is refused."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from distillery.store import artefact, measurements

SUMMED = {"results/summary.csv", "results/costs.json", "results/SHA256SUMS", "results/report.html"}
REPORT = {"results/report.html"}
DC = "results/synthetic/digits/dc/noise/ipc1/seed0"
MTT = "results/synthetic/digits/mtt/real/ipc1/seed0"


@pytest.fixture(scope="session")
def outputs(study) -> set[str]:
    """Every output of the finished study."""
    plan = study.plan()
    assert not any(plan.values())
    return set(plan)


def below(outputs: set[str], *places: str) -> set[str]:
    """The outputs under some folders of the results. Each must hold one, or the test compares
    nothing."""
    found = [
        {output for output in outputs if output.startswith(f"results/{place}/")} for place in places
    ]
    assert all(found)
    return set().union(*found)


# ---- what is made --------------------------------------------------------------------------------


def test_every_rule_has_run_and_left_its_outputs_its_log_and_its_benchmark(study, outputs):
    assert all((study / output).stat().st_size > 0 for output in outputs)
    rules = {"download", "train_experts", "distill", "import_synthetic", "collect", "report"}
    rules |= {"evaluate_synthetic", "evaluate_robust", "train_vanilla", "continual", "step_distill"}
    for kind in ("logs", "benchmarks"):
        assert {
            path.name.partition(".")[0] for path in (study / f"results/{kind}").iterdir()
        } == rules
    logs = list((study / "results/logs").rglob("*.log"))
    assert len(logs) == len(list((study / "results/benchmarks").rglob("*.tsv"))) == 27
    assert all(log.read_text().endswith(" done\n") for log in logs)
    assert study.messages.splitlines()[-1] == "The report is at results/report.html"
    assert not list((study / "results").rglob("*.part*")) and not list(
        (study / "results/checkpoints").rglob("*.safetensors")
    )


def test_every_set_is_measured_beside_the_whole_dataset(study):
    header, *rows = [
        line.split(",") for line in (study / "results/summary.csv").read_text().splitlines()
    ]
    rule, method, strategy = (header.index(name) for name in ("rule", "method", "strategy"))
    assert {row[method] for row in rows if row[rule] == "evaluate_synthetic"} == {
        "dc",
        "mtt",
        "random",
        "released",
    }
    assert {row[method] for row in rows if row[rule] == "evaluate_robust"} == {
        "dc",
        "mtt",
        "released",
    }  # all but real images
    assert {row[method] for row in rows if row[rule] == "train_vanilla"} == {"whole"}
    alone, remembering = {"finetune", "joint"}, {"replay", "afterwards", "gdumb"}
    assert {row[strategy] for row in rows if row[rule] == "continual"} == alone | remembering
    costs = json.loads((study / "results/costs.json").read_text(encoding="utf-8"))
    for name, strategies in (("continual_alone", alone), ("continual_memory", remembering)):
        assert {cost["strategy"] for cost in costs if cost["rule"] == name} == strategies
    assert not any(cost["rule"] == "continual" for cost in costs)


class Fetches(HTMLParser):
    """What a browser would fetch for a page: anything but a link that the reader follows, or an
    anchor, or data within the page."""

    def __init__(self, text: str):
        super().__init__()
        self.found, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            link = tag == "a" and name == "href"
            if (
                name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action")
                and not link
                and not value.startswith(("#", "data:"))
            ):
                self.found.append(f"<{tag} {name}={value[:80]}>")


def test_what_networks_answered_is_counted_as_their_accuracies_are(study):
    rows = measurements.read_metrics(study / "results/summary.csv")
    rows = rows[rows["rule"] == "evaluate_synthetic"]
    finished = measurements.finished(rows)
    paths = sorted((study / "results/evaluate").rglob("confusion.safetensors"))
    assert paths
    for path in paths:
        tensors, header = artefact.load(path, rule=None)
        true, answer, number = tensors["pairs"].T
        here = finished[finished["selection"] == "last"]
        for name in ("dataset", "method", "init", "ipc", "seed", "network"):
            here = here[here[name] == header[name]]
        share = float(number[true == answer].sum() / number.sum())
        assert len(here) == header["models"]
        assert share == pytest.approx(here["value"].mean(), abs=1e-6)


def test_the_report_is_one_page_that_fetches_nothing(study):
    text = (study / "results/report.html").read_text(encoding="utf-8")
    page = Fetches(text)
    assert {"html", "table", "img", "svg"} <= page.tags and page.found == []
    assert (
        "@import" not in text
        and "url(http" not in text.replace("'", "").replace('"', "")
        and "fetch(" not in text
    )
    assert (
        all(name in text for name in ("Tiny", "DC", "MTT", "released"))
        and str(study.folder) not in text
    )


# ---- what is stale -------------------------------------------------------------------------------


def test_a_second_run_has_nothing_to_do(clone):
    done = clone.make()
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_clone_whose_files_are_all_newer_and_reworded_is_up_to_date(clone, outputs):
    reworded = 0
    for path in [*(clone / "distillery").rglob("*.py"), *(clone / "workflow/scripts").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        reworded += text.startswith('"""')
        path.write_text(
            "# Another comment.\n"
            + text.replace('"""', '"""In other words: ', 1)
            + "\n\n# The end.\n",
            encoding="utf-8",
        )
    for path in (clone / "workflow/rules").glob("*.smk"):
        path.write_text("# Another comment.\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert reworded > 40
    newest = max((clone / output).stat().st_mtime_ns for output in outputs)
    assert all(
        (clone / path).stat().st_mtime_ns > newest
        for path in ("distillery/run/job.py", "workflow/scripts/distill.py")
    )
    assert clone.planned() == set()


def test_a_setting_of_dc_makes_dc_s_sets_and_what_reads_them_again_and_nothing_else(clone, outputs):
    clone.change(methods={"dc": {"iterations": 4}})
    places = (
        "synthetic/digits",
        "evaluate/digits",
        "robust/digits",
        "step_sets/digits/steps2/order0/step0",
        "step_sets/digits/steps2/order0/step1",
        *(
            f"continual/digits/steps2/order0/{strategy}/{memory}"
            for strategy in ("replay", "afterwards", "gdumb")
            for memory in ("given", "per_step")
        ),
    )
    expected = below(outputs, *(f"{place}/dc" for place in places)) | SUMMED
    assert clone.planned() == expected
    # A dry run, whose list is meant to be read, says the same as the table that the other tests
    # parse.
    assert clone.jobs() == sorted(
        [
            "distill",
            "evaluate_synthetic",
            "evaluate_robust",
            *["continual_memory"] * 6,
            *["step_distill"] * 2,
            "collect",
            "report",
        ]
    )


def edited(clone, name: str, *change: str) -> None:
    """Edit a file of a clone's library: append a line, or replace a text that it holds once."""
    path = clone / f"distillery/{name}.py"
    text = path.read_text(encoding="utf-8")
    if len(change) == 2:
        assert text.count(change[0]) == 1, f"{name}: {change[0]}"
        text = text.replace(*change)
    else:
        text += f"\n{change[0]}\n"
    path.write_text(text, encoding="utf-8")


def test_plug_ins_that_are_added_touch_no_finished_job(clone):
    """Copies of others under a name of their own: a network, an augmentation, a method and a
    dataset."""
    for folder, source, name in (
        ("networks", "MLP", "Another"),
        ("augmentations", "none", "another"),
        ("methods", "random", "another"),
        ("datasets", "digits", "another"),
    ):
        path = clone / f"distillery/{folder}"
        text = (path / f"{source.lower()}.py").read_text(encoding="utf-8")
        text = text.replace(f'"name": "{source}"', f'"name": "{name}"')
        (path / f"{name.lower()}.py").write_text(text, encoding="utf-8")
    assert clone.planned() == set()
    # And they are there, with nothing else to edit.
    change = {"grid": [{"dataset": "another", "method": "another", "init": "real", "ipc": 1}]}
    change |= {"evaluate": {"networks": ["Another"], "augment": "another"}}
    clone.change(**change, imported=[], continual={"datasets": []})
    made = {output for output, pending in clone.plan().items() if pending}
    assert "results/evaluate/another/another/real/ipc1/seed0/Another/metrics.csv" in made


def test_what_runs_a_job_and_what_it_says_make_nothing_stale(clone):
    """The log's interval, one more field of cost.json, the words of an error."""
    edited(clone, "run/progress", "LOG_EVERY_SECONDS = 20.0", "LOG_EVERY_SECONDS = 5.0")
    edited(
        clone,
        "run/job",
        '            "rule": rule,\n',
        '            "rule": rule,\n            "more": 1,\n',
    )
    edited(clone, "run/meter", "ANOTHER = 1")
    edited(clone, "store/files", "is not empty; name a new", "is not empty: name a new")
    edited(clone, "training/train", "try a smaller `lr`", "try a smaller one")
    edited(clone, "errors", "ANOTHER = 1")
    rules = clone / "workflow/rules/common.smk"
    text = rules.read_text(encoding="utf-8")
    assert text.count(": rule\n") == 1  # under which a job is recorded
    rules.write_text(text.replace(": rule\n", ": rule + '_renamed'\n"), encoding="utf-8")
    assert clone.planned() == set()


COMPUTED = (
    "experts",
    "synthetic/digits/dc",
    "synthetic/digits/mtt",
    "evaluate",
    "robust",
    "continual",
    "step_sets",
)


def test_an_edit_of_a_network_makes_the_jobs_again_that_train_it_and_what_follows(clone, outputs):
    edited(
        clone,
        "networks/mlp",
        "nn.Flatten(), nn.Linear(inputs, width), nn.ReLU()",
        "nn.Flatten(), nn.Linear(inputs, width), nn.GELU()",
    )
    assert clone.planned() == below(outputs, "vanilla/digits/MLP") | SUMMED
    edited(clone, "networks/convnet", '"relu": nn.ReLU,', '"relu": nn.GELU,')
    assert clone.planned() == below(outputs, *COMPUTED, "vanilla") | SUMMED


def test_an_edit_of_an_augmentation_makes_the_jobs_again_that_take_it(clone, outputs):
    edited(clone, "augmentations/dsa", '"rotate": 15.0', '"rotate": 10.0')
    assert clone.planned() == below(outputs, "robust") | SUMMED


def test_a_constant_of_the_engine_makes_what_computes_again_and_no_download(clone, outputs):
    edited(clone, "compute/winograd", "ANOTHER = 1")
    planned = clone.planned()
    assert planned == below(outputs, *COMPUTED, "vanilla", "synthetic/digits/random") | SUMMED
    assert not planned & below(outputs, "data", "synthetic/digits/released")


def test_an_edit_of_the_report_makes_the_report_again_and_nothing_else(clone):
    edited(clone, "report/sections/cost", "ANOTHER = 1")
    assert clone.planned() == REPORT


def test_an_edit_of_mtt_makes_mtt_s_sets_again_and_nothing_else(clone, outputs):
    path = clone / "distillery/methods/mtt.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nANOTHER = 1\n", encoding="utf-8")
    assert (
        clone.planned()
        == below(outputs, "synthetic/digits/mtt", "evaluate/digits/mtt", "robust/digits/mtt")
        | SUMMED
    )


def test_a_new_dataset_adds_its_own_jobs_and_touches_no_finished_one(clone, outputs):
    clone.change(
        grid=[
            *clone.base["grid"],
            {"dataset": "MNIST", "method": ["dc", "mtt"], "init": "real", "ipc": 1},
        ]
    )
    plan = clone.plan()
    new = plan.keys() - outputs
    assert {output for output in outputs if plan[output]} == SUMMED
    places = ("data", "experts", "synthetic", "evaluate", "robust", "vanilla", "continual")
    places += ("step_sets",)
    assert new == below(new, *(f"{place}/MNIST" for place in places)) and all(
        plan[output] for output in new
    )


def test_a_whitened_set_adds_its_own_jobs_and_touches_no_finished_one(clone, outputs):
    """Of MTT, where the experts are whitened too, and as a memory, where the networks to go on from
    are."""
    white = {"when": {"init": "noise"}, "normalization": "zca", "experts": "white"}
    clone.change(
        grid=[
            *clone.base["grid"],
            {"dataset": "digits", "method": "mtt", "init": "noise", "ipc": 1},
        ],
        methods={"mtt": {"overrides": [white]}},
        experts={"white": {"number": 1, "shard": 1, "epochs": 2, "normalization": "zca"}},
        continual={"memory": {"method": ["dc", "mtt"], "init": ["noise"]}},
    )
    plan = clone.plan()
    new = plan.keys() - outputs
    assert {output for output in outputs if plan[output]} == SUMMED and all(
        plan[output] for output in new
    )
    learned = "continual/digits/steps2/order0"
    finetuned = f"{learned}/finetune_zca"
    # It is whitened, and so given alone.
    memories = [f"{learned}/{name}/given/mtt/noise" for name in ("replay", "afterwards", "gdumb")]
    sets = [f"{kind}/digits/mtt/noise" for kind in ("synthetic", "evaluate", "robust")]
    assert new == below(new, finetuned, *memories, *sets, "experts/digits/white") | {
        "results/data/digits/whitening.safetensors"
    }


def test_an_evaluation_setting_measures_again_and_distils_nothing(clone, outputs):
    clone.change(evaluate={"epochs": 3})
    assert clone.planned() == below(outputs, "evaluate", "robust") | SUMMED


def test_robust_scores_are_jobs_of_their_own(clone, outputs):
    clone.change(evaluate={"robust": {"models": 2}})
    assert clone.planned() == below(outputs, "robust") | SUMMED
    clone.change(evaluate={"robust": {"models": 0}})
    plan = clone.plan()
    assert (
        not plan.keys() & below(outputs, "robust")
        and {output for output in plan if plan[output]} == SUMMED
    )


def test_an_edit_of_the_page_makes_the_report_again_and_nothing_else(clone):
    edits = {
        "page.html.jinja": "<!-- more -->\n",
        "scorecard.css": "b { font-weight: 700; }\n",
        "page.js": "// more\n",
    }
    for name, more in edits.items():
        with (clone / "distillery/report/templates" / name).open("a", encoding="utf-8") as file:
            file.write(more)
    # One run looks at all of them: each is a reason.
    said = clone.snakemake("--dry-run", "--quiet", "host").stdout
    assert re.findall(r"^Job \d+: (.*)", said, re.M) == ["Writing the report: results/report.html"]
    (reason,) = re.findall("^Reason: Updated input files: (.*)$", said, re.M)
    assert {Path(name).name for name in reason.split(", ")} == edits.keys()


def test_where_things_run_and_come_from_is_no_part_of_a_result(clone):
    """The report alone prints them."""
    clone.change(
        study="Another title",
        compute={"mem_mb": 5000, "runtime": 30},
        data={"sources": ["local"], "local": "elsewhere"},
    )
    assert clone.planned() == REPORT


def test_results_is_one_folder_however_it_is_spelt(clone):
    clone.change(results=f"{clone.folder}/./results/")
    assert clone.planned() == set()


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"evaluate": {"modles": 3}}, ["config: evaluate", "'modles'", "did you mean 'models'?"]),
        (
            {"grid": [{"dataset": "digits", "method": "dcc", "init": "real", "ipc": 1}]},
            ["config: grid[0]", "unknown method 'dcc'", "known are ccs, dc, dm,"],
        ),
        (
            {"imported": [{"name": "wrong", "dataset": "digits", "file": "wrong.pt", "ipc": 1}]},
            ["config: imported[0]", "wrong.pt", "label"],
        ),
    ],
    ids=["key", "method", "labels"],
)
def test_bad_input_is_refused_in_one_line_before_any_job(clone, change, told):
    torch.save({"data": [[torch.randn(10, 1, 8, 8), torch.arange(10) + 1]]}, clone / "wrong.pt")
    clone.change(results="refused", **change)
    done = clone.snakemake("--cores", "1", succeeds=False)
    assert done.returncode == 1 and done.stdout == "" and not (clone / "refused").exists()
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert line.startswith("error: ") and all(part in line for part in told)
