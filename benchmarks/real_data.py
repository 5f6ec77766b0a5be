"""Compare methods on the real data sets, each with its own options: `training.compare` for one after the other.

    python -m benchmarks.real_data --preset table1 table2 table3 figure3 --seeds 5

Options other than --sets and --out are those of training.compare. The data is found through INFOBRIDGE_DATA (default
../shared/data). Runs and results go to a folder for each set; finished runs are not run again.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from training.compare import INTERRUPTED
from training.compare import main as compare

DATA = Path(os.environ.get("INFOBRIDGE_DATA", "../shared/data"))
RUNS = Path("runs/real-data")
GRID = (
    "--modalities audio video --epochs 25 --batch-size 32 --learning-rate 0.003 --video.frames 6 --video.size 48 "
    "--video.encoder.frames stack --augment.crop 0.9 --augment.no-flip"
)
SETS = {
    "grid_colour": GRID,
    "grid_digit": GRID,
    "openclipart": "--modalities image text --epochs 15 --learning-rate 0.002 --image.size 48 --image.fit pad",
    "her2st": (
        "--modalities pathology genomics --epochs 20 --batch-size 32 --pathology.size 64 --dataset.group section"
    ),
}
"""Options of each set's trainings, small enough for two CPU cores."""
SHORT = (
    "--variant", "relearning=--method relearning --method.every 5",
    "--variant", "reconboost=--method reconboost --method.alternation-epochs 1 --method.rectification-epochs 1",
)  # fmt: skip
"""Schedules in epochs, cut in proportion: the authors train for 90 epochs and more."""


def command(name: str, options: Sequence[str], out: Path) -> list[str]:
    """Arguments of one set's comparison; the given options come last and so win over the set's own."""
    data = ("--dataset", "table", "--dataset.path", str(DATA / name / "table.csv"))
    schedules = SHORT if any("table1" in option for option in options) else ()
    return [*data, *SETS[name].split(), *schedules, *options, "--out", str(out / name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare on every set that is there; returns the exit code, 0 if all went well."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--out", type=Path, default=RUNS)
    own, options = parser.parse_known_args(arguments)
    codes = []
    for name in own.sets:
        if not (DATA / name / "table.csv").exists():
            print(f"{name}: skipped, there is no {DATA / name / 'table.csv'}", flush=True)
            continue
        print(f"\n{name}", flush=True)
        codes.append(compare(command(name, options, own.out)))
        if codes[-1] in INTERRUPTED:
            break
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
