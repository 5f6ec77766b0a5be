"""Export the InfoBridge runs of `benchmarks.real_data`, serve them all, and ask about every held-out sample over HTTP.

    python -m benchmarks.ask_real_data

Prints the accuracy of the answers beside the one that training measured: they must be equal.
"""

import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.real_data import DATA, RUNS, SETS
from clients.rest import Client
from scripts.server import served

BUNDLES = Path("runs/real-data-bundles")
RUN = Path("infobridge/0")
"""Variant and seed, below a set's folder."""
CONNECTIONS = 4


def payloads(folder: Path, row: dict[str, str], modalities: list[str]) -> dict[str, Any]:
    """One row of a table as the client's arguments."""
    found: dict[str, Any] = {name: folder / row[name] for name in modalities if name not in ("text", "genomics")}
    if "text" in modalities:
        found["text"] = row["text"]
    if "genomics" in modalities:
        found["genomics"] = {name: float(value) for name, value in row.items() if name.startswith("gene_")}
    return found


def ask(client: Client, name: str, modalities: list[str]) -> tuple[int, int]:
    """How many of the test samples are answered rightly, and how many there are."""
    with (DATA / name / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = pool.map(lambda row: client.predict(model=name, **payloads(DATA / name, row, modalities)), rows)
        right = [answer.predictions[0].label == row["label"] for row, answer in zip(rows, answers, strict=True)]
    return sum(right), len(right)


def main() -> None:
    """Export, serve, ask, print."""
    names = [name for name in SETS if (RUNS / name / RUN / "run.json").exists()]
    if not names:
        sys.exit(f"no runs in {RUNS}: run `python -m benchmarks.real_data --methods infobridge --seeds 1` first")
    for name in names:
        arguments = ["-m", "export", str(RUNS / name / RUN), "--to", str(BUNDLES / name), "--overwrite"]
        subprocess.run([sys.executable, *arguments], check=True)
    with served([BUNDLES / name for name in names]) as url, Client(url) as client:
        print("\n| set | pairing | test samples | right over HTTP | accuracy | accuracy in training |")
        print("|---" * 6 + "|")
        for name in names:
            run = json.loads((RUNS / name / RUN / "run.json").read_text(encoding="utf-8"))
            modalities = list(run["modalities"])
            right, count = ask(client, name, modalities)
            measured = run["metrics"]["test"]["accuracy"]
            print(f"| {name} | {' + '.join(modalities)} | {count} | {right} | {right / count:.4f} | {measured:.4f} |")


if __name__ == "__main__":
    main()
