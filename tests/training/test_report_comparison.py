"""Several runs that differ in α: the distance against α, over seeds, and the runs that are refused."""

from pathlib import Path
from statistics import mean, stdev

import pytest
from accelerate import Accelerator

from tests.training.tables import Row, write_csv
from tests.training.test_report import elements, train
from training.report import main
from training.reporting.chart_modalities import deviation
from training.reporting.from_features import comparable_of, distances
from training.reporting.run import read

COMMON = ("--modalities", "audio", "genomics", "--method.dimensions", "8", "--epochs", "1")
PAIR = ("audio", "genomics")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, media: list[Row], decoded: Path) -> Path:
    """`<variant>/<seed>`: α 0 with one seed, α 1 with two; and runs that do not belong to them."""
    place = tmp_path_factory.mktemp("sweep")
    table = write_csv(place / "table.csv", media)
    for alpha, seed in ((0, 0), (1, 0), (1, 1)):
        out = place / "out" / f"alpha-{alpha}" / str(seed)
        train(table, out, decoded, *COMMON, "--method.alpha", str(alpha), "--seed", str(seed))
    train(table, place / "other" / "margin", decoded, *COMMON, "--method.no-margin")
    train(table, place / "other" / "joint", decoded, "--method", "joint", *COMMON[:3], "--epochs", "1")
    return place


def runs_of(sweep: Path) -> list[str]:
    return [str(path) for path in sorted(sweep.glob("out/alpha-*/*"))]


def test_distances_are_shown_against_alpha_with_mean_and_deviation(sweep: Path) -> None:
    assert main(runs_of(sweep)) == 0
    report = sweep / "out" / "report"
    assert [path.name for path in (report / "figures").iterdir()] == ["distance-by-alpha.png"]
    accelerator = Accelerator(cpu=True)
    found = [distances(comparable_of(read(Path(run)), accelerator))[PAIR] for run in runs_of(sweep)]
    text = elements(report / "report.html").text
    alone, seeds = found[0], found[1:]
    columns = [one.overall for one in seeds], [one.within for one in seeds]
    parts = [(mean(values), stdev(values)) for values in columns]
    assert f"0audio – genomics{alone.overall:.4f}{alone.within:.4f}1" in text
    assert "1audio – genomics" + "".join(f"{middle:.4f} ± {spread:.4f}" for middle, spread in parts) + "2" in text
    for run, one in zip(runs_of(sweep), found, strict=True):
        alpha, seed = Path(run).parts[-2].removeprefix("alpha-"), Path(run).name
        assert f"{alpha}{seed}audio – genomics{one.overall:.4f}{one.within:.4f}{one.bandwidth:.3f}" in text


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
        assert "alpha-0/0: the data of its training was not found as it was" in line
    finally:
        kept.rename(sweep / "table.csv")
