"""Tables and figures of a model card: names that are the user's end no cell and start no tag."""

from export.cards.markdown import cell, figure, section, table
from training.measures.intervals import Interval


def test_names_of_classes_break_no_table() -> None:
    assert cell("a|b\nc  <d> \\") == "a\\|b c &lt;d> \\\\"
    assert table(("class", "n"), [("x|y", "1")]).splitlines() == ["| class | n |", "| --- | ---: |", "| x\\|y | 1 |"]


def test_figures_have_their_interval_and_a_sign_where_asked_for() -> None:
    found = Interval(0.5, -0.25, 0.75)
    assert figure(found) == "0.500 (-0.250 to 0.750)"
    assert figure(found, signed=True) == "+0.500 (-0.250 to +0.750)"


def test_empty_parts_of_a_section_are_left_out() -> None:
    assert section("Title", "one", "", "two") == "## Title\n\none\n\ntwo"
