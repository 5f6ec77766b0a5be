"""A miniature of GBMLGG as PathomicFusion distributes it, quirks included; and the published lists in that layout."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.bundle.media import colourful, picture

GENES = [f"GENE{number}" for number in range(39)] + ["EGFR", "PTEN"]
ARMS = [f"{number}{arm}" for number in range(1, 23) for arm in "pq"][:37]
HEADER = ["TCGA ID", "indexes", "censored", "Survival months", "codeletion", "idh mutation", *GENES, *ARMS]
GRADE_HEADER = (
    "TCGA ID,TCGA Dataset,Histology,Grade,Age at diagnosis,Gender,Molecular subtype,"
    "Time to last followup or death (months),Vital status,Slide count,Region count"
).split(",")
Patient = dict[str, str]


def invented(count: int = 45) -> list[Patient]:
    """Patients of all grades in turn; of each fifteen, one has no grade and one no subtype; every fifth lacks genes."""
    grades = ("2", "3", "4")
    return [
        {
            "id": f"TCGA-02-{number:04}",
            "grade": "NA" if number % 15 == 13 else grades[number % 3],
            "gbm": "yes" if number % 3 == 2 else "",
            "days": str(100 + number),
            "censored": str(number % 2),
            "subtype": "NA" if number % 15 == 11 else "IDHwt",
            "gone": "yes" if number % 5 == 4 else "",
            "regions": str(1 + number % 3),
        }
        for number in range(count)
    ]


def gbmlgg(folder: Path, patients: Sequence[Patient], splits: str | None = None, tile: bytes | None = None) -> Path:
    """Tables and regions of patients.

    Args:
        folder: of all of it.
        patients: as `invented` makes them.
        splits: content of pnas_splits.csv; not given, every fourth patient is in test, another one in each split.
        tile: of every region; not given, each has its own.
    """
    (folder / "all_st").mkdir(parents=True)
    generator = np.random.default_rng(0)
    genes = []
    for number, patient in enumerate(patients):
        values = [f"{value:.4g}" for value in generator.normal(0, 1, len(HEADER) - 6)]
        flags = ["NA", "NA"] if patient["gone"] else [str(number % 2), "1"]
        values[0] = "NA" if patient["gone"] else str(number)
        genes.append([patient["id"], str(number), patient["censored"], patient["days"], *flags, *values])
        for region in range(1, 1 + int(patient["regions"])):
            name = f"{patient['id']}-01Z-00-DX1.83fce43e-42ac_{region}.png"
            (folder / "all_st" / name).write_bytes(tile or picture(colourful(24, 24, seed=number)))
    _write(folder / "all_dataset.csv", HEADER, genes)
    graded = sorted(patients, key=lambda patient: patient["grade"])
    _write(folder / "grade_data.csv", GRADE_HEADER, [_grade_row(patient) for patient in graded])
    (folder / "pnas_splits.csv").write_bytes((splits or _splits(patients)).encode())
    return folder


def patches(folder: Path) -> Path:
    """Nine patches of each region, named by row and column."""
    (folder / "all_st_patches_512").mkdir()
    for path in (folder / "all_st").iterdir():
        for row in range(0, 513, 256):
            for column in range(0, 513, 256):
                name = f"{path.stem}_{row}_{column}.png"
                (folder / "all_st_patches_512" / name).write_bytes(path.read_bytes())
    return folder


def _grade_row(patient: Patient) -> list[str]:
    origin = "TCGA-GBM" if patient["gbm"] else "TCGA-LGG"
    histology = "astrocytoma (glioblastoma)" if patient["gbm"] else "oligodendroglioma"
    common = [patient["id"], origin, histology, patient["grade"], "50", "female", patient["subtype"]]
    return [*common, "12", "Dead", "1", patient["regions"]]


def _splits(patients: Sequence[Patient]) -> str:
    """Fifteen columns, and a lone carriage return behind each row."""
    rows = ["," + ",".join(f"Randomization - {number}" for number in range(1, 16))]
    for place, patient in enumerate(patients):
        parts = ["Test" if (place + place // 4 + number) % 4 == 0 else "Train" for number in range(15)]
        rows.append(",".join((patient["id"], *parts)))
    return "\r".join(rows)


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([header, *rows])
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")


def published(real_data: Path, folder: Path, tile: bytes) -> Path:
    """The published splits and reconstructed labels of all 769 patients, with invented genes and one tile for all."""
    lists = real_data / "lists" / "gbmlgg"
    with (lists / "gbmlgg_patient_labels_reconstructed.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    patients = [
        {
            "id": row["TCGA_ID"],
            "grade": row["grade"] or "NA",
            "gbm": "yes" if row["grade"] == "4" else "",
            "days": row["survival_days"],
            "censored": "0" if row["event"] == "1" else "1",
            "subtype": "IDHwt",
            "gone": "",
            "regions": row["n_roi"],
        }
        for row in rows
    ]
    return gbmlgg(folder, patients, (lists / "pnas_splits.csv").read_bytes().decode(), tile)
