"""The whole way on generated data: train, export, serve, ask. `make demo`, or `python -m scripts.demo`."""

import csv
import subprocess
import sys
import time
from pathlib import Path

from scripts.server import served

RUN, BUNDLE, DATA = Path("runs/demo"), Path("runs/demo-bundle"), Path("demo-data")


def say(text: str) -> None:
    """A heading between the steps."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def call(*arguments: str) -> None:
    """Show a command as a person would type it, run it, and stop the demo where it fails."""
    print(f"$ python {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, *arguments]).returncode
    if code:
        sys.exit(code)


def held_out() -> dict[str, str]:
    """A pair of the test split: its files, and its label."""
    table = max(DATA.glob("audio-video-*/table.csv"), key=lambda path: path.stat().st_mtime)
    with table.open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "test")
    return {name: str(table.parent / row[name]) for name in ("audio", "video")} | {"label": row["label"]}


def main() -> None:
    """Run the four steps."""
    started = time.monotonic()
    say("1. Train an InfoBridge classifier on generated pairs of sound and video")
    call("-m", "training.fit", "--out", str(RUN), "--overwrite")
    say("2. Export it to a bundle: an ONNX graph, proved equal to the trained model")
    call("-m", "export", str(RUN), "--to", str(BUNDLE), "--overwrite")
    say("3. Serve the bundle")
    sample = held_out()
    with served([BUNDLE]) as url:
        say(f"4. Ask about a pair that training never saw; the truth is {sample['label']}")
        call("-m", "clients", "predict", url, "--audio", sample["audio"], "--video", sample["video"])
    say(f"Done in {time.monotonic() - started:.0f} seconds; the server is stopped. The bundle is in {BUNDLE}.")


if __name__ == "__main__":
    main()
