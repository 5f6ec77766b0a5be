"""The user's own table: what it may look like."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import MODALITIES
from tests.training.conftest import Fit
from tests.training.tables import CLASSES, Row, changed, make_rows, without, write_csv, write_parquet
from training.config import Config
from training.datasets.table import Table
from training.errors import ConfigError
from training.pairs import Pairs

SIX = tuple(MODALITIES)


def load(path: Path, config: Config | None = None, **options: object) -> Pairs:
    return Table(Table.Options(path, **options)).load(config or Config())  # type: ignore[arg-type]


def splits_of(pairs: Pairs) -> list[str]:
    return [str(split) for split in pairs.splits]


def test_a_csv_table_gives_all_its_modalities_labels_and_splits(table: Path, rows: list[Row]) -> None:
    pairs = load(table)
    assert tuple(pairs.sources) == SIX
    assert pairs.labels == tuple(sorted(CLASSES))
    assert [pairs.labels[target] for target in pairs.targets] == [row["label"] for row in rows]
    assert splits_of(pairs) == [row["split"] for row in rows]
    assert pairs.sources["image"][3] == Path(rows[3]["image"])
    assert pairs.sources["text"][3] == rows[3]["text"]
    genes = pairs.sources["genomics"][3]
    assert genes == {f"gene_{gene}": float(rows[3][f"gene_{gene}"]) for gene in range(5)}
    assert pairs.rows[0] == "row 2", "as an editor shows it, the header being row 1"


def test_a_parquet_table_gives_what_the_same_csv_table_gives(table: Path, rows: list[Row], tmp_path: Path) -> None:
    one, other = load(table), load(write_parquet(tmp_path / "table.parquet", rows))
    assert (one.sources, one.labels, splits_of(one)) == (other.sources, other.labels, splits_of(other))
    assert (one.targets == other.targets).all()


def test_whole_numbers_of_parquet_stay_whole_beside_missing_ones(rows: list[Row], tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(without(rows, "label", "split"))
    frame["grade"] = pd.array([number % 2 for number in range(len(rows))], dtype="Int64")
    frame["patient"] = pd.array([None, *range(1, len(rows))], dtype="Int64")
    frame.to_parquet(tmp_path / "table.parquet")
    pairs = load(tmp_path / "table.parquet", label="grade", group="patient")
    assert pairs.labels == ("0", "1")


def test_columns_may_have_other_names(rows: list[Row], tmp_path: Path) -> None:
    names = {"image": "Photo", "text": "caption", "label": "species", "split": "part", "audio": "call"}
    renamed = [{names.get(name, name): cell for name, cell in row.items()} for row in rows]
    path = write_csv(tmp_path / "table.csv", renamed, [*names.values(), "gene_0"])
    pairs = load(path, image="Photo", text="caption", audio="call", label="species", split="part", genes="gene_0")
    assert tuple(pairs.sources) == ("audio", "image", "text", "genomics")
    assert splits_of(pairs) == [row["split"] for row in rows]


@pytest.mark.parametrize("chosen", list(combinations(SIX, 2)), ids="+".join)
def test_any_two_modalities_may_be_there(chosen: tuple[str, str], rows: list[Row], tmp_path: Path) -> None:
    others = [name for name in rows[0] if name in SIX and name not in chosen]
    others += [] if "genomics" in chosen else [name for name in rows[0] if name.startswith("gene_")]
    assert tuple(load(write_csv(tmp_path / "table.csv", without(rows, *others))).sources) == chosen


def test_modalities_that_are_not_asked_for_are_not_looked_at(rows: list[Row], tmp_path: Path) -> None:
    broken = changed(rows, 4, audio="nowhere.wav", gene_0="many")
    pairs = load(write_csv(tmp_path / "table.csv", broken), Config(modalities=("text", "image")))
    assert set(pairs.sources) == {"image", "text"}
    assert tuple(pairs.only(("text", "image")).sources) == ("text", "image"), "in the order asked for"


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    short = [
        row | {name: f"media/{Path(row[name]).name}" for name in ("audio", "image")}
        for row in make_rows(tmp_path / "media", 24)
    ]
    pairs = load(write_csv(tmp_path / "table.csv", short))
    assert pairs.sources["audio"][0] == tmp_path / "media" / "sound 0.wav"


@pytest.mark.parametrize(
    "text", ["NA", "None", "null", "123", "1e5", "True", "nan", 'a "quoted", longer\ntext', " é日 "]
)
def test_a_text_stays_as_it_is(text: str, rows: list[Row], tmp_path: Path) -> None:
    pairs = load(write_csv(tmp_path / "table.csv", changed(rows, 5, text=text)))
    assert pairs.sources["text"][5] == text
    kept = load(write_parquet(tmp_path / "table.parquet", changed(rows, 5, text=text)))
    assert kept.sources["text"][5] == text


def test_a_byte_order_mark_and_spaces_around_column_names_are_no_part_of_them(rows: list[Row], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", rows, ["label", "image", "text"])
    content = path.read_text("utf-8").replace("label,image,text", "label , image,text", 1)
    path.write_text(content, "utf-8-sig")
    assert load(path).labels == tuple(sorted(CLASSES))


def test_blank_lines_are_left_out_and_do_not_shift_the_row_numbers(rows: list[Row], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", rows, ["label", "image", "text", "split"])
    lines = path.read_bytes().decode().split("\r\n")
    path.write_text("\r\n".join([*lines[:3], "", ",,,", *lines[3:]]), "utf-8", newline="")
    pairs = load(path)
    assert len(pairs.rows) == len(rows)
    assert pairs.rows[:4] == ["row 2", "row 3", "row 6", "row 7"]


def test_a_clip_may_be_both_the_audio_and_the_video(rows: list[Row], tmp_path: Path, fit: Fit) -> None:
    path = write_csv(tmp_path / "table.csv", rows, ["video", "label", "split"])
    assert fit(path, "--dataset.audio", "video", "--method", "joint") == 0
    pairs = load(path, audio="video")
    assert pairs.sources["audio"] == pairs.sources["video"]


def test_texts_may_be_files(rows: list[Row], tmp_path: Path) -> None:
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.txt").write_text(row["text"], "utf-8")
        row["text"] = f"{number}.txt"
    pairs = load(write_csv(tmp_path / "table.csv", rows), text_files=True)
    assert pairs.sources["text"][7] == tmp_path / "7.txt"


def test_genomics_may_be_in_a_second_table_joined_on_a_key(rows: list[Row], tmp_path: Path) -> None:
    genes = [name for name in rows[0] if name.startswith("gene_")]
    keyed = [row | {"patient": f" P{number}"} for number, row in enumerate(rows)]
    second = [{"patient": row["patient"].strip(), **{name[5:]: row[name] for name in genes}} for row in reversed(keyed)]
    write_csv(tmp_path / "genes.csv", second)
    path = write_csv(tmp_path / "table.csv", without(keyed, *genes))
    joined = load(path, gene_table=tmp_path / "genes.csv", key="patient").sources["genomics"]
    expected = load(write_csv(tmp_path / "one.csv", rows)).sources["genomics"]
    assert [list(row.values()) for row in joined] == [list(row.values()) for row in expected]  # type: ignore[union-attr]
    assert list(joined[0]) == list("01234")  # type: ignore[arg-type]


def test_the_labels_may_be_put_in_order(table: Path) -> None:
    assert load(table, labels=("owl", "cat", "dog")).labels == ("owl", "cat", "dog")


@pytest.mark.parametrize("labels", [("cat",), ("cat", "cat")])
def test_labels_must_differ(labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="two or more different names"):
        Table.Options(Path("x"), labels=labels)


@pytest.mark.parametrize("options", [{"gene_table": Path("x")}, {"key": "patient"}, {"genes": ""}])
def test_options_of_genomics_that_need_each_other_are_refused_alone(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="gene"):
        Table.Options(Path("x"), **options)  # type: ignore[arg-type]


def test_missing_gene_cells_are_missing_values(rows: list[Row], tmp_path: Path) -> None:
    for number, cell in enumerate(("", "NA", "nan", " NaN ", "null", "None")):
        rows[number]["gene_0"] = cell
    values = load(write_csv(tmp_path / "table.csv", rows)).sources["genomics"]
    assert [row["gene_0"] for row in values[:6]] == [None] * 6  # type: ignore[index]


def test_without_a_split_a_stratified_one_is_made(rows: list[Row], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", without(rows, "split"))
    pairs = load(path)
    for split, least, most in (("train", 18, 26), ("val", 3, 9), ("test", 3, 9)):
        own = pairs.targets[pairs.indices(split)]
        assert least <= len(own) <= most
        assert np.ptp(np.bincount(own, minlength=3)) <= 1, "stratified by class"


def test_a_made_split_is_the_same_for_the_same_seed_and_another_for_another(rows: list[Row], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", without(rows, "split"))
    assert splits_of(load(path)) == splits_of(load(path))
    assert splits_of(load(path)) != splits_of(load(path, Config(seed=1)))


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_a_group_never_lie_in_two_made_splits(seed: int, rows: list[Row], tmp_path: Path) -> None:
    grouped = [row | {"group": f"{row['label']}{number // 6}"} for number, row in enumerate(without(rows, "split"))]
    pairs = load(write_csv(tmp_path / "table.csv", grouped), Config(seed=seed))
    for group in set(pairs.groups.tolist()):
        assert len(set(pairs.splits[pairs.groups == group])) == 1
    assert len(set(pairs.groups.tolist())) == 18


def test_an_empty_group_cell_is_a_group_of_its_own(rows: list[Row], tmp_path: Path) -> None:
    grouped = [row | {"group": "" if number < 12 else "same"} for number, row in enumerate(rows)]
    grouped = [row if row["group"] == "" else row | {"split": "train"} for row in grouped]
    pairs = load(write_csv(tmp_path / "table.csv", grouped))
    assert len(set(pairs.groups.tolist())) == 13


def test_with_train_and_test_only_the_val_split_comes_from_train(rows: list[Row], tmp_path: Path) -> None:
    two = [row | {"split": "test" if row["split"] == "test" else "Training "} for row in rows]
    pairs = load(write_csv(tmp_path / "table.csv", two))
    assert [split == "test" for split in splits_of(pairs)] == [row["split"] == "test" for row in two]
    assert 3 <= len(pairs.indices("val")) <= 6


def test_the_split_that_was_used_is_saved_in_the_run(rows: list[Row], tmp_path: Path, fit: Fit) -> None:
    path = write_csv(tmp_path / "table.csv", without(rows, "split"), ["label", "image", "text"])
    assert fit(path, "--method", "joint", "--seed", "4", "--epochs", "1") == 0
    saved = [line.split(",") for line in (tmp_path / "run" / "splits.csv").read_text("utf-8").splitlines()]
    pairs = load(path, Config(seed=4))
    named = zip(pairs.rows, pairs.targets, splits_of(pairs), strict=True)
    expected = [[row, pairs.labels[target], split] for row, target, split in named]
    assert saved == [["row", "label", "split"], *expected]


def test_rows_saved_in_the_run_do_not_change_with_the_modalities(
    rows: list[Row], tmp_path: Path, configure: Callable[..., Config]
) -> None:
    path = write_csv(tmp_path / "table.csv", without(rows, "split"))
    one = load(path, configure(path, "--modalities", "image", "text"))
    assert splits_of(one) == splits_of(load(path, configure(path)))
