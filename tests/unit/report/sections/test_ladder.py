"""The methods on one axis."""

from distillery.published import figures as published
from distillery.report.sections import sources
from tests.unit.report.made import text_of


def test_a_figure_that_is_not_comparable_says_why_and_has_no_mark_on_the_axis(page):
    resnet = published.lookup(
        "MNIST", "dc", ipc=10, init="real", network="ResNet18", protocol="course project"
    )
    assert sources.Sources().cell(resnet)["not_comparable"] == resnet["not_comparable"].item() != ""
    table = text_of(
        page[page.index('aria-label="Accuracy on MNIST of ResNet18"') :].split("</table>")[0]
    )
    assert "60.0" in table and f"not comparable: {resnet['not_comparable'].item()}" in table
    table = text_of(
        page[page.index('aria-label="Accuracy on MNIST of ConvNet"') :].split("</table>")[0]
    )
    assert "not comparable" not in table
