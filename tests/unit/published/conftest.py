"""A made-up study."""

import pytest

from tests.unit.published.studies import Study


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path / "results")
