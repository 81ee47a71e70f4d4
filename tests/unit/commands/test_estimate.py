"""`distillery estimate`."""

import json
from dataclasses import replace

import pytest
import yaml

from distillery import __main__ as shell
from distillery.commands import estimate
from distillery.estimate import study
from distillery.estimate.rates import Rates
from distillery.estimate.sizes import KINDS

RATES = Rates(
    10.0, dict.fromkeys(KINDS, 1e-6), dict.fromkeys(KINDS, 1e-12), dict.fromkeys(KINDS, 0.0)
)
CONFIG = {
    "study": "Estimated",
    "compute": {"threads": 1},
    "grid": [{"dataset": "digits", "method": ["random"], "init": "real", "ipc": 1}],
    "evaluate": {"networks": ["MLP"], "models": 1, "epochs": 1},
    "vanilla": {"networks": []},
    "continual": {"datasets": []},
}


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    monkeypatch.setattr(study, "measure", lambda threads: RATES)
    monkeypatch.setattr(estimate, "gpus", lambda: 0)


@pytest.mark.slow
def test_a_table_by_rule_and_a_total(capsys):
    assert shell.main(["estimate", "--cores", "4", "--resources", "gpu=2"]) == 0
    printed, said = capsys.readouterr()
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[:6]] == [
        "rule",
        "download",
        "distill",
        "evaluate_synthetic",
        "collect",
        "report",
    ]
    assert lines[-1].startswith("5 jobs, about 48 seconds, 601 MB memory, 3 MB disk: on 4 cores")
    assert said.startswith("measuring this machine") and said.count("\n") == 1


def test_several_configs_are_merged_in_their_order(tmp_path, capsys):
    more = {"evaluate": {"networks": ["MLP", "ConvNet"]}, "results": "elsewhere"}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(more), encoding="utf-8")
    shell.main(["estimate", "config.yaml", "more.yaml", "--json"])
    found = json.loads(capsys.readouterr().out)
    networks = [job["network"] for job in found["jobs"] if job["rule"] == "evaluate_synthetic"]
    assert networks == ["MLP", "ConvNet"]
    assert found["disk_bytes"] == sum(job["disk_bytes"] for job in found["jobs"])
    assert all(job["seconds"] >= 10 and job["from"] == "measured" for job in found["jobs"])


def test_more_than_two_hours_without_a_gpu_name_smaller_studies(monkeypatch, capsys):
    monkeypatch.setattr(study, "measure", lambda threads: replace(RATES, start=3600.0))
    shell.main(["estimate"])
    assert "no GPU was found" in capsys.readouterr().out
    shell.main(["estimate", "--gpu", "h100"])
    assert "no GPU was found" not in capsys.readouterr().out
    monkeypatch.setattr(estimate, "gpus", lambda: 1)
    shell.main(["estimate"])
    assert "no GPU was found" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.yaml"], "none.yaml: there is no such config file"),
        (["--resources", "mem=3"], "--resources: must be gpu=N"),
        (["--gpu", "abacus"], "--gpu: 'abacus' is not known"),
    ],
)
def test_bad_input_is_one_line(capsys, words, said):
    assert shell.main(["estimate", *words]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and said in errors[0]


def test_a_folder_without_a_config_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert shell.main(["estimate"]) == 1
    assert "has no config.yaml" in capsys.readouterr().err
