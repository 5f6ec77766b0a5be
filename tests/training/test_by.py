"""--by end to end: a table with a column site, its figures at the end of a training, and in a report afterwards."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import Fit, Refused
from tests.training.tables import CLASSES, Row, changed, write_csv
from training import report
from training.config import Config
from training.datasets.table import Table
from training.errors import ConfigError
from training.evaluate import evaluate
from training.fit import prepare
from training.measures.groups import subset
from training.pairs import Pairs
from training.reporting.from_groups import broken_down
from training.reporting.run import read
from training.scoring import load

SITES = ("north", "[south]", "")
QUICK = ("--method", "joint", "--modalities", "image", "genomics")


@pytest.fixture
def sites(rows: list[Row], tmp_path: Path) -> Path:
    """The table with a column of sites, one of them empty, and one of patients."""
    placed = [row | {"site": SITES[number % 2 + (number % 7 == 0)]} for number, row in enumerate(rows)]
    return write_csv(tmp_path / "table.csv", [row | {"patient": f"P{n}"} for n, row in enumerate(placed * 2)])


def sites_of(path: Path) -> list[str]:
    return [value or "(empty)" for value in loaded(path).columns["site"]]


def loaded(path: Path, **options: Any) -> Pairs:
    return Table(Table.Options(path, **options)).load(Config())


def test_a_table_gives_every_column_that_no_modality_is_read_from(sites: Path, rows: list[Row]) -> None:
    pairs = loaded(sites)
    assert set(pairs.columns) == {"label", "split", "site", "patient"}
    assert list(pairs.columns["label"])[: len(rows)] == [row["label"] for row in rows]
    assert pairs.only(("image", "text")).columns == pairs.columns
    other = loaded(sites, text="patient", genes="gene_1")
    assert {"text", "gene_0", "gene_2"} <= set(other.columns) and not {"patient", "gene_1"} & set(other.columns)


def test_figures_by_site_are_told_and_kept(
    sites: Path, fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(sites, *QUICK, "--by", "site", "label") == 0
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["metrics"]["groups"]
    assert list(found) == ["site", "label"]
    scores, site = load(tmp_path / "run" / "scores.safetensors"), sites_of(sites)
    for split, name in (("val", "validation"), ("test", "test")):
        own = [site[sample] for sample in scores[split].samples.tolist()]
        entries = {entry["value"]: entry for entry in found["site"][name]["values"]}
        assert set(entries) == set(own)
        for value, entry in entries.items():
            expected = evaluate(subset(scores[split], np.flatnonzero(np.array(own) == value)))
            assert entry["accuracy"] == expected.accuracy and entry["samples"] == expected.samples < 20
            assert entry["modality_accuracy"] == expected.modality_accuracy and entry["small"] is True
            assert entry["macro_f1"] == expected.macro_f1
        assert found["site"][name]["worst"] is None
        assert f"{name} by site, with 95 % intervals of the accuracy\n" in out
    assert [entry["value"] for entry in found["label"]["test"]["values"]] == list(CLASSES)
    assert "  [south]  accuracy" in out and "too small to say" in out
    assert out.index("test accuracy") < out.index("validation by site") < out.index("no worst value of site: none has")


def test_without_it_nothing_is_told_or_kept(
    sites: Path, fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(sites, *QUICK) == 0
    assert "site" not in capsys.readouterr().out
    assert set(json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["metrics"]) == {"validation", "test"}


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("sit", "--by: the data has no column 'sit' (did you mean site, split?); it has label, split, site, patient"),
        ("patient", "--by patient: expected at most 50 different values, found 72"),
    ],
)
def test_a_column_that_cannot_be_measured_by_is_refused_before_anything_is_decoded(
    column: str, said: str, sites: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("training.preparation.decode_all", decode)
    (line,) = refused(sites, "--by", column)
    assert line.startswith(said)


def test_a_column_named_twice_is_refused(sites: Path, configure: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match="by: expected different columns, got site, sex, site"):
        configure(sites, "--by", "site", "sex", "site")


@pytest.fixture
def finished(sites: Path, fit: Fit, tmp_path: Path) -> Path:
    assert fit(sites, *QUICK) == 0
    return tmp_path / "run"


def test_a_report_shows_and_prints_the_same_figures_afterwards(
    finished: Path, sites: Path, fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(sites, *QUICK, "--by", "site", out=tmp_path / "asked") == 0
    trained = capsys.readouterr().out
    told = trained[trained.index("validation by site") : trained.index("verdict, on test")].rstrip()
    assert report.main([str(finished), "--by", "site", "--no-corruptions"]) == 0
    assert told in capsys.readouterr().out
    page = (finished / "report" / "report.html").read_text("utf-8")
    assert "Accuracy by site" in page and "no worst value of site" in page and "[south]" in page
    assert (finished / "report" / "figures" / "by-1.png").exists()
    assert report.main([str(finished), "--no-corruptions"]) == 0, "without it"
    assert "by site" not in capsys.readouterr().out
    assert "by-1" not in (finished / "report" / "report.html").read_text("utf-8")
    assert not (finished / "report" / "figures" / "by-1.png").exists(), "of the earlier report"


def test_a_report_has_the_columns_of_the_training_where_none_are_named(sites: Path, fit: Fit, tmp_path: Path) -> None:
    assert fit(sites, *QUICK, "--by", "site", "label") == 0
    found = broken_down(read(tmp_path / "run"), ())
    assert [section.title for section in found.sections] == ["Accuracy by site", "Accuracy by label"]
    table = found.sections[0].table
    assert table is not None
    assert {(row[0], row[1]) for row in table.rows} == {
        (split, value) for split in ("validation", "test") for value in ("north", "[south]", "(empty)")
    }
    assert all("too small to say" in row[-1] for row in table.rows)
    assert [section.title for section in broken_down(read(tmp_path / "run"), ("label",)).sections] == [
        "Accuracy by label"
    ]


def test_a_report_on_a_column_that_is_not_there_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(finished), "--by", "centre"]) == 2
    assert "the data has no column 'centre'; it has label, split, site, patient" in capsys.readouterr().err


def test_a_column_that_was_taken_out_of_the_table_is_left_out_of_the_report(
    sites: Path, rows: list[Row], fit: Fit, tmp_path: Path
) -> None:
    assert fit(sites, *QUICK, "--by", "site") == 0
    write_csv(sites, [*rows, *rows])
    found = broken_down(read(tmp_path / "run"), ())
    assert [section.draw for section in found.sections] == [None] and found.sections[0].missing
    with pytest.raises(ConfigError):
        broken_down(read(tmp_path / "run"), ("site",))


def test_where_the_data_is_gone_the_section_says_so(
    finished: Path, sites: Path, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(sites, changed(rows, 0, label="owl"))
    assert report.main([str(finished), "--by", "site", "--no-corruptions"]) == 0
    assert "no figures by site: Left out: it needs the data of the training" in capsys.readouterr().out
    assert "Accuracy by site" in (finished / "report" / "report.html").read_text("utf-8")


def test_a_report_on_several_runs_is_not_by_a_column(
    finished: Path, sites: Path, fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(sites, *QUICK, out=tmp_path / "other") == 0
    assert report.main([str(finished), str(tmp_path / "other"), "--by", "site"]) == 2
    assert "--by is for a report on one run, these are 2" in capsys.readouterr().err


def test_a_comparison_passes_it_to_every_training(sites: Path, tmp_path: Path) -> None:
    from training.comparison.cells import cells_of
    from training.comparison.options import read as read_options

    named = ("--dataset", "table", "--dataset.path", str(sites), "--out", str(tmp_path / "compared"))
    options, common, tables = read_options([*named, "--methods", "joint", "pmr", "--seeds", "1", "--by", "site"])
    cells = cells_of(tables, common, options)
    assert len(cells) == 2
    for cell in cells:
        assert cell.config.by == ("site",) and "--by" in cell.command(resume=False)


def test_the_columns_do_not_change_what_is_prepared(sites: Path, configure: Callable[..., Config]) -> None:
    one, other = (prepare(configure(sites, *QUICK, *by)) for by in ((), ("--by", "site")))
    assert one.pairs.sources == other.pairs.sources and one.modalities == other.modalities
