"""GBMLGG as distributed: three tables, lone carriage returns, days, several regions of a patient, missing grades."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import Genomics
from tests.bundle.media import colourful, picture
from tests.training.datasets.gbmlgg_layout import ARMS, GENES, gbmlgg, invented, patches, published
from training import fitting
from training.config import Config
from training.datasets._gbmlgg_tables import RANDOMISATIONS, patients, read_rows
from training.datasets.gbmlgg import PUBLISHED, GbmLgg
from training.errors import ConfigError, DataError
from training.pairs import Pairs

PATIENTS = invented()


def load(path: Path, **options: object) -> Pairs:
    return GbmLgg(GbmLgg.Options(path, **options)).load(Config())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patches(gbmlgg(tmp_path_factory.mktemp("gbmlgg") / "TCGA_GBMLGG", PATIENTS))


def test_regions_are_samples_and_patients_are_groups(folder: Path) -> None:
    pairs = load(folder)
    graded = [patient for patient in PATIENTS if patient["grade"] != "NA"]
    assert pairs.labels == ("grade II", "grade III", "grade IV")
    assert len(pairs.rows) == sum(int(patient["regions"]) for patient in graded)
    assert len(set(pairs.groups.tolist())) == len(graded)
    for group in set(pairs.groups.tolist()):
        own = np.flatnonzero(pairs.groups == group).tolist()
        assert len({str(pairs.sources["genomics"][index]) for index in own}) == 1, "one profile for all regions"


def test_the_columns_are_two_mutations_41_genes_and_37_arms(folder: Path) -> None:
    [columns] = {tuple(row) for row in load(folder).sources["genomics"] if isinstance(row, dict)}
    names = [name.removeprefix("gene_") for name in columns]
    assert names == ["codeletion", "idh mutation", *GENES, *ARMS] and len(names) == 80


@pytest.mark.parametrize("number", [1, 7, 15])
def test_the_chosen_randomisation_is_the_split(folder: Path, number: int) -> None:
    pairs = load(folder, randomisation=number)
    rows = read_rows(folder / "pnas_splits.csv", ())
    for row, split in zip(pairs.rows, pairs.splits, strict=True):
        assert (split == "test") == (rows[row[:12]][f"Randomization - {number}"] == "Test")
    assert {"train", "val", "test"} == set(pairs.splits.tolist())


def test_another_task_has_other_labels_and_keeps_patients_without_a_grade(folder: Path) -> None:
    pairs = load(folder, task="diagnosis")
    assert pairs.labels == ("GBM", "LGG")
    assert len(set(pairs.groups.tolist())) == len(PATIENTS)


def test_patients_of_unknown_subtype_may_be_left_out(folder: Path) -> None:
    kept = {row[:12] for row in load(folder, subtype="known").rows}
    gone = {row[:12] for row in load(folder).rows} - kept
    assert gone == {patient["id"] for patient in PATIENTS if patient["subtype"] == "NA" and patient["grade"] != "NA"}
    assert gone


def medians_of(pairs: Pairs) -> dict[str, float]:
    """By column, what stands for a missing value after fitting on the training part."""
    fitted = fitting.fit(Config(), Pairs(**{**vars(pairs), "sources": {"genomics": pairs.sources["genomics"]}}))
    genes = fitted["genomics"]
    assert isinstance(genes, Genomics)
    return dict(zip(genes.columns, genes.medians, strict=True))


def test_missing_genes_take_the_median_of_the_training_part_alone(folder: Path) -> None:
    pairs = load(folder)
    column = "gene_GENE0"
    rows = [row for row in pairs.sources["genomics"] if isinstance(row, dict)]
    training = [rows[index][column] for index in pairs.indices("train")]
    expected = np.median([value for value in training if value is not None])
    assert any(row[column] is None for row in rows)
    assert medians_of(pairs)[column] == expected


def test_the_published_imputation_looks_at_every_patient(folder: Path) -> None:
    pairs = load(folder, imputation="all")
    rows = [row for row in pairs.sources["genomics"] if isinstance(row, dict)]
    assert all(value is not None for row in rows for value in row.values())
    numbers = [number for number, patient in enumerate(PATIENTS) if not patient["gone"]]
    filled = {
        rows[index]["gene_GENE0"]
        for index, name in enumerate(pairs.rows)
        if name[:12] in {patient["id"] for patient in PATIENTS if patient["gone"]}
    }
    assert filled == {float(np.median(numbers))}, "of all patients, those of test and those without a grade included"
    assert filled != {medians_of(load(folder))["gene_GENE0"]}


def test_nine_patches_may_stand_for_a_region(folder: Path) -> None:
    regions, pieces = load(folder), load(folder, pictures="patches")
    assert len(pieces.rows) == 9 * len(regions.rows)
    frame = GbmLgg.survey([folder]).frame
    own = frame[frame["picture"] == "patches"].groupby("region").size()
    assert set(own) == {9} and set(own.index) == set(frame["region"][frame["picture"] == "regions"])


def test_survival_is_in_days_and_an_event_is_a_death(folder: Path) -> None:
    known, remarks = patients(folder)
    assert not remarks
    for patient in PATIENTS:
        row = known[patient["id"]]
        assert (row["survival_days"], row["event"]) == (patient["days"], {"0": "1", "1": "0"}[patient["censored"]])
        assert row["histology"] == ("glioblastoma" if patient["gbm"] else "oligodendroglioma")


def test_a_count_of_regions_that_is_off_and_a_patch_that_lacks_are_remarked(tmp_path: Path) -> None:
    made = patches(gbmlgg(tmp_path / "data", PATIENTS))
    next((made / "all_st").glob("TCGA-02-0001*")).unlink()
    next((made / "all_st_patches_512").glob("TCGA-02-0002*_256_512.png")).unlink()
    first, second = GbmLgg.survey([made]).remarks
    assert "TCGA-02-0001 (1, not 2)" in first
    assert "without all 9 patches: TCGA-02-0002" in second


def test_pictures_of_strangers_and_patients_without_any_are_named(tmp_path: Path) -> None:
    made = gbmlgg(tmp_path / "data", PATIENTS)
    (made / "all_st" / "TCGA-99-0000-01Z_1.png").write_bytes(b"png")
    for path in (made / "all_st").glob("TCGA-02-0000*"):
        path.write_bytes(b"")
    missing = GbmLgg.survey([made]).missing
    assert ["is empty", "not in the tables", "no picture of this patient"] == [
        next(words for words in ("is empty", "not in the tables", "no picture of this patient") if words in line)
        for line in missing
    ]


def test_other_columns_and_other_patients_are_remarked(tmp_path: Path) -> None:
    made = gbmlgg(tmp_path / "data", PATIENTS)
    table = made / "all_dataset.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + ",more", *(line + ",1" for line in lines[1:-1])]))
    first, second = patients(made)[1]
    assert first == "TCGA-02-0044 is in grade_data.csv, pnas_splits.csv only"
    assert second == "expected 41 genes, 37 chromosome arms and 2 mutations, found 42, 37 and 2"


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("grade_data.csv", "Molecular subtype", "Subtype", "expected the columns TCGA ID, Molecular subtype"),
        ("grade_data.csv", "TCGA-LGG", "TCGA-KIRC", "expected GBM or LGG .* found 'TCGA-KIRC'"),
        ("grade_data.csv", ",2,50", ",5,50", "expected a grade from 2 to 4 or none, found '5'"),
        ("all_dataset.csv", "TCGA-02-0001", "TCGA-02-0000", "each patient once, found TCGA-02-0000 again in row 3"),
        ("all_dataset.csv", "TCGA-02-0001,", "TCGA-02-0001,,", "row 3: expected 84 cells, found 85"),
        ("pnas_splits.csv", "Test", "Validate", "expected Train or Test in 'Randomization - "),
        ("pnas_splits.csv", "TCGA-02", "TCGA-03", "the same patients in the three tables"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(tmp_path: Path, table: str, old: str, new: str, message: str) -> None:
    made = gbmlgg(tmp_path / "data", PATIENTS)
    content = (made / table).read_bytes().decode()
    assert old in content
    (made / table).write_bytes(content.replace(old, new).encode())
    with pytest.raises(DataError, match=message):
        patients(made)


def test_tables_without_patients_or_genes_are_refused(tmp_path: Path) -> None:
    made = gbmlgg(tmp_path / "data", PATIENTS)
    (made / "all_dataset.csv").write_text("TCGA ID,censored,codeletion,idh mutation,Survival months\na,1,0,0,5\n")
    with pytest.raises(DataError, match="columns of genes behind 'Survival months'"):
        patients(made)
    (made / "pnas_splits.csv").write_text(",a\r")
    with pytest.raises(DataError, match="expected patients, found none"):
        read_rows(made / "pnas_splits.csv", ())


def test_what_is_absent_says_where_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"all_dataset\.csv and .*mahmoodlab/PathomicFusion"):
        load(tmp_path)
    made = gbmlgg(tmp_path / "data", PATIENTS)
    with pytest.raises(DataError, match=r"has no patches for this task; there are regions"):
        load(made, pictures="patches")
    for path in (made / "all_st").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"expected pictures in .*all_st"):
        load(made)


@pytest.mark.parametrize("number", [0, RANDOMISATIONS + 1])
def test_there_are_fifteen_randomisations(number: int) -> None:
    with pytest.raises(ConfigError, match=f"from 1 to 15, not {number}"):
        GbmLgg.Options(Path("x"), randomisation=number)


def test_the_published_splits_have_the_counts_that_were_measured(real_data: Path, tmp_path: Path) -> None:
    made = published(real_data, tmp_path / "data", picture(colourful(8, 8)))
    survey = GbmLgg.survey([made])
    assert {count.what: count.found for count in survey.counts if count.what != "regions"}.items() >= {
        "patients with pictures": PUBLISHED["patients"],
        "patients of grade II": 181,
        "patients of grade III": 205,
        "patients of grade IV": 350,
        "patients of no known grade": 33,
    }.items()
    assert all("as published" in count.line() for count in survey.counts) and not survey.missing
    with (real_data / "lists" / "gbmlgg" / "split_counts.csv").open(newline="") as file:
        counted = list(csv.DictReader(file))
    for number in (1, 8, 15):
        pairs = load(made, randomisation=number)
        for row in counted:
            if row["split"] != str(number):
                continue
            chosen = (pairs.splits == "test") == (row["part"] == "Test")
            found = Counter(pairs.labels[target] for target in pairs.targets[chosen])
            numerals = (("2", "II"), ("3", "III"), ("4", "IV"))
            assert found == {f"grade {numeral}": int(row[f"rois_grade{digit}"]) for digit, numeral in numerals}
            assert len(set(pairs.groups[chosen].tolist())) == int(row["patients"]) - int(row["patients_grade_missing"])
