"""Several runs that differ in α: the distance against α, over seeds, and the runs that are refused."""

import shutil
from pathlib import Path
from statistics import mean, stdev

import pytest
from accelerate import Accelerator

from tests.training.tables import Row, write_csv
from tests.training.test_report import elements, train
from training.comparison import options
from training.comparison.cells import cells_of
from training.report import main
from training.reporting.chart_modalities import deviation
from training.reporting.from_features import comparable_of, distances
from training.reporting.run import read

COMMON = ("--modalities", "audio", "genomics", "--method.dimensions", "8", "--epochs", "1")
PAIR = ("audio", "genomics")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, media: list[Row], decoded: Path) -> Path:
    """As training.compare leaves them: α 0.1 with one seed, α 1 with two; and runs that do not belong to them."""
    place = tmp_path_factory.mktemp("sweep")
    table = write_csv(place / "table.csv", media)
    asked = ("--preset", "figure3", "--alphas", "0.1", "1", "--seeds", "2", "--out", str(place / "out"))
    arguments = ("--dataset", "table", "--dataset.path", str(table), *COMMON, *asked)
    given, common, tables = options.read(arguments)
    for cell in cells_of(tables, common, given):
        if (cell.variant, cell.seed) != ("infobridge", 1):
            train(table, cell.folder, decoded, *cell.options, "--seed", str(cell.seed))
            cell.log.write_text("epoch 1/1")
    train(table, place / "other" / "margin", decoded, *COMMON, "--method.no-margin")
    train(table, place / "other" / "joint", decoded, "--method", "joint", *COMMON[:3], "--epochs", "1")
    return place


def runs_of(sweep: Path) -> list[str]:
    """What the documented globs find: runs, and the logs beside them."""
    found = [path for glob in ("infobridge/*", "infobridge-alpha-*/*") for path in sorted(sweep.glob(f"out/{glob}"))]
    assert [str(path.relative_to(sweep / "out")) for path in found] == [
        *("infobridge/0", "infobridge/0.log"),
        *(f"infobridge-alpha-1/{name}" for name in ("0", "0.log", "1", "1.log")),
    ]
    return [str(path) for path in found]


def folders_of(sweep: Path) -> list[Path]:
    return [Path(run) for run in runs_of(sweep) if not run.endswith(".log")]


def test_distances_are_shown_against_alpha_with_mean_and_deviation(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(runs_of(sweep)) == 0
    assert ".log files left out: 3" in capsys.readouterr().out
    report = sweep / "out" / "report"
    assert [path.name for path in (report / "figures").iterdir()] == ["distance-by-alpha.png"]
    accelerator = Accelerator(cpu=True)
    found = [distances(comparable_of(read(run), accelerator))[PAIR] for run in folders_of(sweep)]
    text = elements(report / "report.html").text
    alone, seeds = found[0], found[1:]
    columns = [one.overall for one in seeds], [one.within for one in seeds]
    parts = [(mean(values), stdev(values)) for values in columns]
    assert f"0.1audio – genomics{alone.overall:.4f}{alone.within:.4f}1" in text
    assert "1audio – genomics" + "".join(f"{middle:.4f} ± {spread:.4f}" for middle, spread in parts) + "2" in text
    for run, alpha, one in zip(folders_of(sweep), ("0.1", "1", "1"), found, strict=True):
        assert f"{alpha}{run.name}audio – genomics{one.overall:.4f}{one.within:.4f}{one.bandwidth:.3f}" in text


def test_logs_alone_are_no_runs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = [run for run in runs_of(sweep) if run.endswith(".log")]
    assert main(logs) == 2
    assert "expected the folder of a finished run, found none" in capsys.readouterr().err
    assert main(logs[:1]) == 2
    assert "expected the folder of a finished run, found no folder" in capsys.readouterr().err


def test_the_deviation_is_that_of_a_sample() -> None:
    assert deviation([1.0, 3.0]) == pytest.approx(2**0.5)
    assert deviation([1.0]) == 0.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("other/margin", "with different method.margin"),
        ("other/joint", "expected runs of a method with α, such as infobridge, found one of joint"),
        ("other/nothing", "found no folder"),
    ],
)
def test_runs_that_differ_in_more_are_refused(
    more: str, message: str, sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*runs_of(sweep), str(sweep / more), "--to", str(tmp_path / "to")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
    assert not (tmp_path / "to").exists()


def test_a_seed_that_is_there_twice_is_refused(sweep: Path, capsys: pytest.CaptureFixture[str], decoded: Path) -> None:
    again = train(sweep / "table.csv", sweep / "other" / "again", decoded, *COMMON, "--method.alpha", "1")
    assert main([*runs_of(sweep), str(again)]) == 2
    assert "expected each α and seed once, found α 1, seed 0" in capsys.readouterr().err


def test_runs_without_their_data_cannot_be_compared(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = (sweep / "table.csv").rename(sweep / "moved.csv")
    try:
        assert main(runs_of(sweep)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "infobridge/0: the data of its training was not found as it was" in line
    finally:
        kept.rename(sweep / "table.csv")


def test_a_report_that_lies_among_the_runs_is_no_run(sweep: Path) -> None:
    runs = [str(path) for path in sorted((sweep / "out" / "infobridge-alpha-1").glob("*"))]
    assert main(runs) == 0
    report = sweep / "out" / "infobridge-alpha-1" / "report"
    assert (report / "report.html").exists()
    assert main([*runs, str(report)]) == 0
    shutil.rmtree(report)
