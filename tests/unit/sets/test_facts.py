"""What a set's header says, in words."""

from distillery.sets import facts
from tests.unit.sets.toys import CELL, made


def test_a_variant_is_reported_as_its_method_s_and_with_the_experts_that_it_had():
    experts = {
        "recipe": "few",
        "number": 2,
        "epochs": 5,
        "settings": {"lr": 0.01},
        "shards": ["0" * 64],
    }
    told = dict(facts.describe(made(method="mtt_slow", of="mtt", experts=experts)))
    assert told["made"].startswith("distilled by mtt_slow (a variant of MTT) from Gaussian noise")
    assert told["experts"] == "2 of 5 epochs, recipe few"
    settings = dict(facts.setting_rows({**CELL, "of": "mtt", "experts": experts}))
    assert (
        settings["of"] == "mtt"
        and settings["experts.number"] == "2"
        and settings["experts.settings.lr"] == "0.01"
    )
    assert (
        "released by others" in dict(facts.describe(made(method="theirs", init="imported")))["made"]
    )
