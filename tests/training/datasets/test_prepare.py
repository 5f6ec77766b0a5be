"""The program that prepares: what it says, what it leaves out, the table it writes, and what it refuses."""

import csv
from pathlib import Path
from zipfile import ZipFile

import pytest

from bundle.modalities import Video
from tests.training.datasets.gbmlgg_layout import gbmlgg, invented
from tests.training.datasets.layouts import ave, cremad, cremad_names, food101, ogm_lists
from tests.training.datasets.openclipart_layout import deb, openclipart
from training.config import Config
from training.datasets.ave import Ave
from training.datasets.cremad import CremaD
from training.datasets.food101 import Food101
from training.datasets.gbmlgg import GbmLgg
from training.datasets.openclipart import OpenClipart
from training.datasets.table import Table
from training.pairs import Pairs
from training.prepare import NAMES, main
from training.published import Published

Capture = pytest.CaptureFixture[str]


def prepare(name: str, to: Path, *arguments: object) -> int:
    return main([name, "--to", str(to), *map(str, arguments)])


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def alike(one: Pairs, other: Pairs) -> bool:
    """Whether two are the same samples, whatever they call their rows and groups."""
    return (
        one.labels == other.labels
        and one.targets.tolist() == other.targets.tolist()
        and one.splits.tolist() == other.splits.tolist()
        and {name: list(map(str, cells)) for name, cells in one.sources.items()}
        == {name: list(map(str, cells)) for name, cells in other.sources.items()}
    )


def test_every_published_dataset_can_be_prepared() -> None:
    assert NAMES == ("ave", "cremad", "food101", "gbmlgg", "openclipart")


@pytest.mark.parametrize("name", NAMES)
def test_a_prepared_folder_gives_what_the_layout_gives(name: str, tmp_path: Path, capsys: Capture) -> None:
    raw, to = tmp_path / "raw", tmp_path / "out"
    kinds: dict[str, tuple[type[Published], object]] = {}
    if name == "cremad":
        cremad(raw, cremad_names())
        ogm_lists(raw / "lists", cremad_names())
        kinds[name] = (CremaD, CremaD.Options)
    elif name == "ave":
        ave(raw, header=True)
        kinds[name] = (Ave, lambda path: Ave.Options(path, stretch="clip"))
    elif name == "food101":
        food101(raw)
        kinds[name] = (Food101, Food101.Options)
    elif name == "gbmlgg":
        gbmlgg(raw, invented())
        kinds[name] = (GbmLgg, GbmLgg.Options)
    else:
        openclipart(raw)
        kinds[name] = (OpenClipart, OpenClipart.Options)
    assert prepare(name, to, "--from", raw) == 0
    kind, options = kinds[name]
    assert callable(options)
    before, after = (kind(options(path)).load(Config()) for path in (raw, to))
    assert alike(before, after)
    said = capsys.readouterr().out
    assert f"python -m training.fit --dataset {name} --dataset.path {to}" in said and "published" in said
    assert (to / "left_out.txt").read_text() == ""


def test_the_table_is_one_that_the_dataset_table_reads(tmp_path: Path) -> None:
    assert prepare("ave", tmp_path / "out", "--from", ave(tmp_path / "raw", header=False)) == 0
    (tmp_path / "out" / "table.csv").write_text(
        "\n".join(line for line in (tmp_path / "out" / "table.csv").read_text().splitlines() if "speech" not in line)
    )
    pairs = Table(Table.Options(tmp_path / "out" / "table.csv")).load(Config())
    assert list(pairs.sources) == ["audio", "video"] and len(pairs.rows) == 8


def test_events_are_cut_and_their_paths_may_move_with_the_folder(tmp_path: Path) -> None:
    assert prepare("ave", tmp_path / "out", "--from", ave(tmp_path / "raw", header=True)) == 0
    (tmp_path / "out").rename(tmp_path / "moved")
    [short] = [row["video"] for row in table(tmp_path / "moved") if row["id"] == "--B_3"]
    assert short == "events/--B_3_2_5.mp4"
    pairs = Ave(Ave.Options(tmp_path / "moved")).load(Config())
    [event] = [path for path in pairs.sources["video"] if Path(str(path)).name == "--B_3_2_5.mp4"]
    brightness = Video(3, 16).decode(Path(str(event)).read_bytes()).mean(axis=(1, 2, 3))
    assert brightness.round(-1).tolist() == [40, 60, 80]


def test_what_is_missing_and_what_is_broken_is_left_out_and_listed(tmp_path: Path, capsys: Capture) -> None:
    made = food101(tmp_path / "raw")
    (made / "images" / "test" / "baklava" / "baklava_0.jpg").unlink()
    damaged = made / "images" / "train" / "baklava" / "baklava_2.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert prepare("food101", tmp_path / "out", "--from", made) == 0
    lines = (tmp_path / "out" / "left_out.txt").read_text().splitlines()
    assert lines[0].startswith("baklava_0.jpg (baklava): no file") and str(damaged) in lines[1]
    assert len(lines) == 2 and len(table(tmp_path / "out")) == 52
    said = capsys.readouterr().out
    assert "left out: 1 missing, 1 that cannot be decoded (left_out.txt)" in said
    assert "11 pairs of test: published are 22,716" in said
    assert prepare("food101", tmp_path / "fast", "--from", made, "--no-decode") == 0
    assert len(table(tmp_path / "fast")) == 53


def test_debian_packages_are_unpacked_once(tmp_path: Path, capsys: Capture) -> None:
    made = openclipart(tmp_path / "raw")
    packages = [deb(made / kind, tmp_path / f"openclipart-{kind}_0.18_all.deb") for kind in ("png", "svg")]
    assert prepare("openclipart", tmp_path / "out", "--from", *packages) == 0
    assert "Unpacking" in capsys.readouterr().out
    assert all(row["image"].startswith("files/openclipart-png-") for row in table(tmp_path / "out"))
    assert prepare("openclipart", tmp_path / "out", "--from", *packages, "--overwrite") == 0
    assert "Unpacking" not in capsys.readouterr().out
    assert alike(*(OpenClipart(OpenClipart.Options(tmp_path / "out")).load(Config()) for _ in range(2)))


def test_an_archive_is_unpacked_into_the_folder(tmp_path: Path) -> None:
    made = food101(tmp_path / "raw")
    with ZipFile(tmp_path / "upmcfood101.zip", "w") as packed:
        for path in sorted(made.rglob("*")):
            packed.write(path, path.relative_to(made))
    assert prepare("food101", tmp_path / "out", "--from", tmp_path / "upmcfood101.zip") == 0
    assert len(table(tmp_path / "out")) == 54


def test_what_is_not_given_says_where_to_obtain_it(tmp_path: Path, capsys: Capture) -> None:
    assert prepare("food101", tmp_path / "out") == 2
    assert "expected --from with the dataset's archives or folders; to obtain it: https://www.kaggle" in (
        capsys.readouterr().err
    )
    assert prepare("ave", tmp_path / "out", "--from", tmp_path / "nowhere") == 2
    assert "found no" in (said := capsys.readouterr().err) and "YapengTian/AVE-ECCV18" in said


def test_a_table_is_replaced_only_where_that_is_asked_for(tmp_path: Path, capsys: Capture) -> None:
    made = food101(tmp_path / "raw")
    assert prepare("food101", tmp_path / "out", "--from", made) == 0
    assert prepare("food101", tmp_path / "out", "--from", made) == 2
    assert "holds a table.csv already" in capsys.readouterr().err
    assert prepare("food101", tmp_path / "out", "--from", made, "--overwrite") == 0


def test_where_nothing_is_whole_no_table_is_written(tmp_path: Path, capsys: Capture) -> None:
    made = food101(tmp_path / "raw")
    for path in (made / "images").rglob("*.jpg"):
        path.write_bytes(b"no picture")
    assert prepare("food101", tmp_path / "out", "--from", made) == 2
    assert "no sample of food101 is whole" in capsys.readouterr().err
    assert not (tmp_path / "out" / "table.csv").exists()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert prepare("food101", tmp_path / "file" / "out", "--from", tmp_path) == 2
    assert "cannot be used" in capsys.readouterr().err
    assert main(["nope", "--to", str(tmp_path)]) == 2
