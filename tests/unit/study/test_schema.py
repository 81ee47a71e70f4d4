"""The models of a config's sections: defaults, descriptions, one recipe."""

import dataclasses
from typing import get_args

from distillery.recipe import Recipe
from distillery.study import load, reference, schema, trainings


def test_what_is_left_out_has_the_schema_s_default():
    given_config = {
        "study": "Test",
        "grid": [{"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 1}],
    }
    root = reference.json_schema()
    defaults = {
        key: rule["default"] for key, rule in root["properties"].items() if "default" in rule
    }
    assert defaults["experts"]["default"]["epochs"] == 15
    assert defaults["evaluate"]["selection"] == {"models": 2, "test": True}
    resolved = load.study(given_config).config
    assert without_none(defaults) | given_config == resolved
    # Sections that are there in part.
    partly = {"evaluate": {"selection": {}}, "data": {}, "experts": {"default": {}}}
    assert load.study(given_config | partly).config == resolved


def without_none(value):
    if not isinstance(value, dict):
        return value
    return {key: without_none(item) for key, item in value.items() if item is not None}


def models(model=schema.Config):
    """Every section of a config."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, schema.Section):
                yield from models(kind)


def test_every_section_and_key_has_a_description():
    found = set(models())
    assert len(found) >= 13
    for model in found:
        assert model.__doc__ and model.model_config["extra"] == "forbid"
        assert all(field.description for field in model.model_fields.values())


def test_a_recipe_of_training_is_declared_once():
    """What trains a network is in each section that trains one, under the same names."""
    trained = [schema.Experts, schema.Evaluate, schema.Vanilla, schema.Continual]
    assert all(issubclass(model, trainings.Training) for model in trained)
    judged = [schema.Evaluate, schema.Vanilla]
    assert all(issubclass(model, trainings.Judging) for model in judged)
    keys = {field.name for field in dataclasses.fields(Recipe)}
    # A preset stands for keys, and a teacher for labels.
    assert set(trainings.Judging.model_fields) == keys | {"preset", "teacher"}
    assert set(trainings.Training.model_fields) == keys - {"decay", "optimiser", "mix"}
