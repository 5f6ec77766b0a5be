"""TCGA GBMLGG: brain tumours as stained tissue and genes; pathology + genomics (as PathomicFusion distributes it)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from training.config import Config, GenomicsOptions, PathologyOptions
from training.datasets._gbmlgg_tables import RANDOMISATIONS, is_missing, patients
from training.datasets._recipe import paper
from training.encoders.resnet import ResNet
from training.encoders.snn import SelfNormalising
from training.errors import ConfigError, DataError
from training.genes import PREFIX
from training.published import Published
from training.splitting import held_out
from training.survey import Count, Survey, absence, framed, require

REGIONS, PATCHES = "all_st", "all_st_patches_512"
PATIENT = 12
"""Characters of a file's name that name the patient: TCGA-02-0001."""
EACH = 9
"""Patches of a region: 512 x 512 pixels every 256."""
PUBLISHED = {"regions": 1_505, "patches": 13_545, "patients": 769}
GRADES = {"2": 181, "3": 205, "4": 350, "": 33}
"""Patients of each WHO grade."""
NAMES = {"2": "grade II", "3": "grade III", "4": "grade IV"}
VALIDATION = 0.15
"""Share of a split's training patients that become val."""


class GbmLgg(Published):
    """Reads `all_dataset.csv`, `grade_data.csv`, `pnas_splits.csv` and the regions `all_st/*.png` (or their patches).

    A patient has up to 16 regions and one genomic profile, so the groups are patients. The fifteen splits are random
    and independent of each other: no folds.
    """

    OBTAIN = (
        "the folder data/TCGA_GBMLGG of the Google Drive that https://github.com/mahmoodlab/PathomicFusion links "
        "(all_dataset.csv, grade_data.csv and pnas_splits.csv with the pictures of all_st)"
    )
    MICRO_AUC = True
    """It may be what the paper's table states, which is no accuracy of three grades."""

    @dataclass(frozen=True)
    class Options:
        """Where it is, and which of its tasks and variants is meant."""

        path: Path
        """The folder of the tables and pictures, or one that `python -m training.prepare gbmlgg` wrote."""
        task: Literal["grade", "diagnosis"] = "grade"
        """Three WHO grades, for patients that have one; or glioblastoma against lower grade glioma."""
        randomisation: int = 1
        """Which of the fifteen published splits."""
        imputation: Literal["train", "all"] = "train"
        """Medians that stand for missing genes: of the training part; or of all patients, which leaks, as published."""
        subtype: Literal["any", "known"] = "any"
        """Every patient; or those whose molecular subtype is known."""
        pictures: Literal["regions", "patches"] = "regions"
        """Regions of 1024 x 1024 pixels; or their nine overlapping patches of 512, each a sample of its own."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not 1 <= self.randomisation <= RANDOMISATIONS:
                raise ConfigError(f"dataset.randomisation must be from 1 to {RANDOMISATIONS}, not {self.randomisation}")

    options: "GbmLgg.Options"

    @classmethod
    def recipe(cls, config: Config) -> Config:
        """§4.1: ResNet-50, and the network of 80 -> 64 -> 48 -> 32 -> 32 with ELU as in [11]; 150 epochs."""
        genes = SelfNormalising.Options(widths=(64, 48, 32, 32), activation="elu")
        return replace(
            paper(config, ("pathology", "genomics"), epochs=150, learning_rate=0.005),
            pathology=PathologyOptions(size=224, encoder="resnet", encoder_options=ResNet.Options(depth=50)),
            genomics=GenomicsOptions("snn", genes),
        )

    @classmethod
    def survey(cls, folders: Sequence[Path]) -> Survey:
        """Every region, and every patch where they are there too, with what is known of its patient.

        Raises:
            DataError: no such folder, or tables that cannot be read.
        """
        root = require(folders, "all_dataset.csv", "grade_data.csv", "pnas_splits.csv", obtain=cls.OBTAIN)
        known, remarks = patients(root)
        found: dict[str, int] = {}
        rows, missing = [], []
        for kind, folder in (("regions", REGIONS), ("patches", PATCHES)):
            for path in sorted((root / folder).glob("*.png")):
                facts = known.get(path.name[:PATIENT])
                problem = absence(path) if facts is not None else f"{path} is of a patient that is not in the tables"
                if problem is not None or facts is None:
                    missing.append(f"{path.name}: {problem}")
                    continue
                found[kind] = found.get(kind, 0) + 1
                rows.append({"pathology": str(path), "picture": kind, "region": _region(path, kind)} | facts)
        if not rows:
            raise DataError(f"expected pictures in {root / REGIONS} or {root / PATCHES}, found none; {cls.OBTAIN}")
        frame = framed(rows, [Path(row["pathology"]).name for row in rows])
        own = frame[["group", "grade"]].drop_duplicates()
        counts = [Count(kind, found[kind], PUBLISHED[kind]) for kind in found]
        counts.append(Count("patients with pictures", len(own), PUBLISHED["patients"]))
        counts += [
            Count(f"patients of {NAMES.get(grade, 'no known grade')}", int((own["grade"] == grade).sum()), number)
            for grade, number in GRADES.items()
        ]
        without = sorted(set(known) - set(frame["group"]))
        missing += [f"{patient}: no picture of this patient" for patient in without]
        return Survey(frame, ("pathology",), tuple(counts), tuple(missing), (*remarks, *_miscounted(frame)))

    def arrange(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The pictures, task, split and imputation that the options choose.

        Raises:
            DataError: none are left.
        """
        options = self.options
        # over every patient, before any of them is left out: this is what leaks
        changed = _imputed(frame) if options.imputation == "all" else frame.copy()
        changed = changed[changed["picture"] == options.pictures]
        if options.task == "grade":
            changed = changed[changed["grade"].isin(list(NAMES))]
            changed["label"] = changed["grade"].map(NAMES)
        else:
            changed["label"] = changed["diagnosis"]
        if options.subtype == "known":
            changed = changed[changed["subtype"] != ""]
        if changed.empty:
            raise DataError(f"{options.path} has no {options.pictures} for this task; there are {_kinds(frame)}")
        changed["split"] = changed[f"split_{options.randomisation}"]
        train = changed["split"] == "train"
        val = held_out(changed["group"][train].tolist(), changed["label"][train].tolist(), VALIDATION)
        changed.loc[train, "split"] = np.where(val, "val", "train")
        return changed


def _region(path: Path, kind: str) -> str:
    """The region a picture shows: a patch's name is that of its region with row and column behind."""
    return path.stem if kind == "regions" else path.stem.rsplit("_", 2)[0]


def _kinds(frame: pd.DataFrame) -> str:
    return ", ".join(sorted(set(frame["picture"]))) or "none"


def _imputed(frame: pd.DataFrame) -> pd.DataFrame:
    """Every missing gene filled with the median over all patients, each counted once."""
    changed = frame.copy()
    once = ~frame["group"].duplicated()
    for column in [name for name in frame.columns if name.startswith(PREFIX)]:
        gone = is_missing(frame[column])
        values = pd.to_numeric(frame[column][once & ~gone])
        if gone.any() and len(values):
            changed.loc[gone, column] = repr(float(values.median()))
    return changed


def _miscounted(frame: pd.DataFrame) -> list[str]:
    """A remark for patients whose number of regions is not the one that grade_data.csv states."""
    regions = frame[frame["picture"] == "regions"]
    per = regions.groupby("group").agg(found=("group", "size"), stated=("stated_regions", "first"))
    wrong = [f"{name} ({row.found}, not {row.stated})" for name, row in per.iterrows() if str(row.found) != row.stated]
    counts = frame[frame["picture"] == "patches"].groupby("region").size()
    broken = [str(name) for name, count in counts.items() if count != EACH]
    remarks = (
        [f"patients with other numbers of regions than grade_data.csv states: {', '.join(wrong)}"] if wrong else []
    )
    return [*remarks, *([f"regions without all {EACH} patches: {', '.join(broken)}"] if broken else [])]
