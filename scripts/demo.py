"""The whole way from data to answers: train, export, serve, ask. `make demo`, or `python -m scripts.demo [DATASET]`."""

import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.rest import Client
from scripts.server import served


@dataclass(frozen=True)
class Shown:
    """A dataset as the demo shows it."""

    modalities: tuple[str, ...]
    words: str
    """What the pairs are."""
    data: Path | None = None
    """Where it is prepared first; None for data that training generates by itself."""


SHOWN = {
    "demo": Shown(("audio", "video"), "generated pairs of sound and video"),
    "openclipart": Shown(("image", "text"), "drawings and their titles", Path("openclipart-data")),
}


def say(text: str) -> None:
    """A heading between the steps."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def call(*arguments: str) -> None:
    """Show a command as a person would type it, run it, and stop the demo where it fails."""
    print(f"$ python {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, *arguments]).returncode
    if code:
        sys.exit(code)


def held_out(shown: Shown, run: Path) -> list[dict[str, str]]:
    """The pairs of the test split of the run's own data: their files or texts, and labels."""
    options = json.loads((run / "config.json").read_text(encoding="utf-8"))["dataset_options"]
    if shown.data is None:
        name = f"{'-'.join(shown.modalities)}-{options['samples']}-{options['generation_seed']}-v*/table.csv"
        table = max(Path(options["folder"]).glob(name), key=lambda path: path.stat().st_mtime)
    else:
        table = shown.data / "table.csv"
    named = ("label", *shown.modalities)
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return [
        {name: row[name] if name in ("label", "text") else str(table.parent / row[name]) for name in named}
        for row in rows
    ]


def payloads(sample: dict[str, str]) -> dict[str, Any]:
    """What the client takes: files as paths, texts as they are."""
    return {name: value if name == "text" else Path(value) for name, value in sample.items() if name != "label"}


def ask_all(url: str, samples: list[dict[str, str]]) -> int:
    """How many of the samples are answered rightly."""
    with Client(url) as client:
        answers = [client.predict(**payloads(sample)) for sample in samples]
    return sum(answer.predictions[0].label == sample["label"] for answer, sample in zip(answers, samples, strict=True))


def run(dataset: str) -> None:
    """The steps."""
    started = time.monotonic()
    shown = SHOWN[dataset]
    folder, bundle = Path("runs") / dataset, Path("runs") / f"{dataset}-bundle"
    if shown.data is not None and not (shown.data / "table.csv").exists():
        say(f"0. Download and check {shown.words}")
        call("-m", "training.prepare", dataset, "--to", str(shown.data))
    say(f"1. Train an InfoBridge classifier on {shown.words}")
    call("-m", "training.fit", "--dataset", dataset, "--out", str(folder), "--overwrite")
    say("2. Export it to a bundle: an ONNX graph, proved equal to the trained model (this takes some seconds)")
    call("-m", "export", str(folder), "--to", str(bundle), "--overwrite")
    say("3. Serve the bundle")
    samples = held_out(shown, folder)
    with served([bundle]) as url:
        sample = samples[len(samples) // 2]
        say(f"4. Ask about a pair that training never saw; the truth is {sample['label']}")
        given = [part for name in shown.modalities for part in (f"--{name}", sample[name])]
        call("-m", "clients", "predict", url, *given)
        say(f"5. Ask about all {len(samples)} held-out pairs")
        print(f"right in {ask_all(url, samples)} of {len(samples)}", flush=True)
    say(f"Done in {time.monotonic() - started:.0f} seconds; the server is stopped. The bundle is in {bundle}.")


def main() -> None:
    """Run, and leave quietly when interrupted."""
    dataset = sys.argv[1] if len(sys.argv) > 1 else "demo"
    if dataset not in SHOWN:
        sys.exit(f"unknown dataset {dataset!r}; expected one of {', '.join(SHOWN)}")
    try:
        run(dataset)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
