"""The three tables of GBMLGG: genes and survival, grades, and the fifteen random splits."""

import csv
import re
from pathlib import Path

import pandas as pd

from bundle.modalities.genomics import MISSING
from training.errors import DataError
from training.genes import PREFIX

RANDOMISATIONS = 15
KEY = "TCGA ID"
SPLIT = "Randomization - {}"
GENES, ARMS = 41, 37
"""Copy numbers of genes, and of chromosome arms; two mutations stand before them."""
MUTATIONS = ("codeletion", "idh mutation")
ARM = re.compile(r"\d{1,2}[pq]")
DIAGNOSES = ("GBM", "LGG")
RENAMED = {"astrocytoma (glioblastoma)": "glioblastoma"}
Rows = dict[str, dict[str, str]]


def patients(root: Path) -> tuple[Rows, list[str]]:
    """What the three tables say of each patient that is in all of them: a cell for each column, and remarks.

    Survival is in days although its column says months, and `censored` is 0 for those who died: the cells are
    `survival_days` and `event`, 1 for death. Genes are columns `gene_<name>`, "" where nothing is known.

    Raises:
        DataError: a column is missing, a patient occurs twice, or a split is neither Train nor Test.
    """
    genes = read_rows(root / "all_dataset.csv", ("censored", "Survival months", *MUTATIONS))
    grades = read_rows(
        root / "grade_data.csv", ("TCGA Dataset", "Histology", "Grade", "Molecular subtype", "Region count")
    )
    splits = read_rows(root / "pnas_splits.csv", tuple(map(SPLIT.format, range(1, RANDOMISATIONS + 1))))
    columns = _gene_columns(next(iter(genes.values())), root / "all_dataset.csv")
    remarks = [
        f"{name} is in {', '.join(where)} only"
        for name in sorted({*genes, *grades, *splits})
        if len(where := [title for title, table in _named(genes, grades, splits) if name in table]) < 3
    ]
    counted = sum(1 for name in columns if ARM.fullmatch(name)), sum(1 for name in columns if name in MUTATIONS)
    if counted != (ARMS, len(MUTATIONS)) or len(columns) != ARMS + GENES + len(MUTATIONS):
        remarks.append(
            f"expected {GENES} genes, {ARMS} chromosome arms and {len(MUTATIONS)} mutations, found "
            f"{len(columns) - sum(counted)}, {counted[0]} and {counted[1]}"
        )
    found: Rows = {}
    for name in genes.keys() & grades.keys() & splits.keys():
        found[name] = {"group": name, **_clinical(name, grades[name], genes[name])}
        found[name] |= {f"split_{n}": _split(name, splits[name], n) for n in range(1, RANDOMISATIONS + 1)}
        found[name] |= {PREFIX + column: _blank(genes[name][column]) for column in columns}
    if not found:
        raise DataError(f"{root}: expected the same patients in the three tables, found none that is in all of them")
    return found, remarks


def read_rows(path: Path, required: tuple[str, ...]) -> Rows:
    """The rows of a table by patient, whatever ends its lines: in pnas_splits.csv it is a lone carriage return.

    The patients' column is `TCGA ID`, or the first one where that has no name.

    Raises:
        DataError: a column is missing, a row has too many or too few cells, or a patient occurs twice.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    header = rows[0] if rows else []
    key = header.index(KEY) if KEY in header else 0
    absent = [name for name in required if name not in header]
    if absent or (KEY not in header and header[:1] != [""]):
        raise DataError(
            f"{path}: expected the columns {', '.join((KEY, *absent))}, found {', '.join(header[:12]) or 'none'}"
        )
    found: Rows = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(f"{path}, row {number}: expected {len(header)} cells, found {len(row)}")
        if row[key] in found:
            raise DataError(f"{path}: expected each patient once, found {row[key]} again in row {number}")
        found[row[key]] = dict(zip(header, row, strict=True))
    if not found:
        raise DataError(f"{path}: expected patients, found none below the header")
    return found


def is_missing(cells: pd.Series) -> pd.Series:
    """Which cells stand for a missing value."""
    return cells.str.strip().str.lower().isin(MISSING)


def _named(genes: Rows, grades: Rows, splits: Rows) -> tuple[tuple[str, Rows], ...]:
    return ("all_dataset.csv", genes), ("grade_data.csv", grades), ("pnas_splits.csv", splits)


def _gene_columns(row: dict[str, str], path: Path) -> list[str]:
    """The columns of genes: all behind the survival time, in their order."""
    names = list(row)
    columns = names[names.index("Survival months") + 1 :]
    if not columns:
        raise DataError(f"{path}: expected columns of genes behind 'Survival months', found none")
    return columns


def _blank(cell: str) -> str:
    return "" if cell.lower() in MISSING else cell


def _clinical(name: str, grade: dict[str, str], genes: dict[str, str]) -> dict[str, str]:
    """Grade, diagnosis, subtype and survival of a patient."""
    diagnosis = next((known for known in DIAGNOSES if known in grade["TCGA Dataset"].upper()), "")
    if not diagnosis:
        raise DataError(
            f"grade_data.csv, {name}: expected GBM or LGG in 'TCGA Dataset', found {grade['TCGA Dataset']!r}"
        )
    histology = _blank(grade["Histology"])
    return {
        "grade": _grade(name, _blank(grade["Grade"])),
        "diagnosis": diagnosis,
        "histology": RENAMED.get(histology, histology),
        "subtype": _blank(grade["Molecular subtype"]),
        "stated_regions": grade["Region count"].removesuffix(".0"),
        "survival_days": _blank(genes["Survival months"]),
        "event": {"0": "1", "1": "0"}.get(_blank(genes["censored"]).removesuffix(".0"), ""),
    }


def _grade(name: str, cell: str) -> str:
    """A WHO grade as 2, 3 or 4, however the number is written; "" where it is missing."""
    written = {"II": "2", "III": "3", "IV": "4", "G2": "2", "G3": "3", "G4": "4"}.get(cell, cell.removesuffix(".0"))
    if written not in ("", "2", "3", "4"):
        raise DataError(f"grade_data.csv, {name}: expected a grade from 2 to 4 or none, found {cell!r}")
    return written


def _split(name: str, row: dict[str, str], number: int) -> str:
    found = {"Train": "train", "Test": "test"}.get(row[SPLIT.format(number)])
    if found is None:
        raise DataError(
            f"pnas_splits.csv, {name}: expected Train or Test in {SPLIT.format(number)!r}, found "
            f"{row[SPLIT.format(number)]!r}"
        )
    return found
