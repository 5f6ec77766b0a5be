"""Train every method on three real data sets, with the same seeds and epochs, and print tables.

    python -m benchmarks.real_data

The data is found through INFOBRIDGE_DATA (default ../shared/data). Finished runs are not run again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

DATA = Path(os.environ.get("INFOBRIDGE_DATA", "../shared/data"))
METHODS = ("unimodal", "joint", "infobridge")
SETS = {
    "grid_colour": "--modalities audio video --epochs 25 --video.frames 6 --video.size 64 --video.encoder.frames stack",
    "openclipart": "--modalities image text --epochs 20 --image.size 64 --image.fit pad",
    "her2st": "--modalities pathology genomics --epochs 20 --pathology.size 64 --dataset.group section",
}
"""Options of each set's trainings."""


def command(name: str, method: str, seed: int, out: Path) -> list[str]:
    """Arguments of one training."""
    table = DATA / name / "table.csv"
    common = ("--dataset", "table", "--dataset.path", str(table), "--method", method, "--seed", str(seed))
    return ["-m", "training.fit", *common, "--out", str(out), *SETS[name].split()]


def measure(name: str, method: str, seed: int, folder: Path) -> dict[str, float]:
    """Test accuracies and macro-F1 of one training, which is run if it is not there yet."""
    out = folder / name / f"{method}-{seed}"
    if not (out / "run.json").exists():
        arguments = command(name, method, seed, out)
        print(f"$ python {' '.join(arguments)} --overwrite", flush=True)
        subprocess.run([sys.executable, *arguments, "--overwrite"], check=True, stdout=subprocess.DEVNULL)
    found = json.loads((out / "run.json").read_text(encoding="utf-8"))["metrics"]["test"]
    return {"fused": found["accuracy"], "macro-F1": found["macro_f1"], **found["modality_accuracy"]}


def main() -> None:
    """Run what is missing, then print one table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/real-data"))
    options = parser.parse_args()
    for name in options.sets:
        if not (DATA / name / "table.csv").exists():
            print(f"{name}: skipped, there is no {DATA / name / 'table.csv'}")
            continue
        rows = {
            method: [measure(name, method, seed, options.out) for seed in range(options.seeds)] for method in METHODS
        }
        columns = list(rows[METHODS[0]][0])
        print(f"\n{name}, test, mean ± standard deviation over {options.seeds} seeds\n")
        print("| method | " + " | ".join(f"{c} alone" if c not in ("fused", "macro-F1") else c for c in columns) + " |")
        print("|---" * (1 + len(columns)) + "|")
        for method, found in rows.items():
            cells = [[run[column] for run in found] for column in columns]
            spread = [f"{statistics.mean(cell):.3f} ± {statistics.pstdev(cell):.3f}" for cell in cells]
            print(f"| {method} | " + " | ".join(spread) + " |", flush=True)


if __name__ == "__main__":
    main()
