"""The whole way on generated data: train, export, serve, ask. `make demo`, or `python -m scripts.demo`."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

from clients.rest import Client
from scripts.server import served

RUN, BUNDLE = Path("runs/demo"), Path("runs/demo-bundle")
MODALITIES = ("audio", "video")


def say(text: str) -> None:
    """A heading between the steps."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def call(*arguments: str) -> None:
    """Show a command as a person would type it, run it, and stop the demo where it fails."""
    print(f"$ python {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, *arguments]).returncode
    if code:
        sys.exit(code)


def held_out() -> list[dict[str, str]]:
    """The pairs of the test split of the run's own data: their files and labels."""
    config = json.loads((RUN / "config.json").read_text(encoding="utf-8"))
    options = config["dataset_options"]
    name = f"audio-video-{options['samples']}-{options['generation_seed']}-v*/table.csv"
    table = max(Path(options["folder"]).glob(name), key=lambda path: path.stat().st_mtime)
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return [{"label": row["label"], **{name: str(table.parent / row[name]) for name in MODALITIES}} for row in rows]


def ask_all(url: str, samples: list[dict[str, str]]) -> int:
    """How many of the samples are answered rightly."""
    with Client(url) as client:
        answers = [client.predict(audio=Path(sample["audio"]), video=Path(sample["video"])) for sample in samples]
    return sum(answer.predictions[0].label == sample["label"] for answer, sample in zip(answers, samples, strict=True))


def run() -> None:
    """The four steps."""
    started = time.monotonic()
    say("1. Train an InfoBridge classifier on generated pairs of sound and video")
    call("-m", "training.fit", "--out", str(RUN), "--overwrite")
    say("2. Export it to a bundle: an ONNX graph, proved equal to the trained model (this takes some seconds)")
    call("-m", "export", str(RUN), "--to", str(BUNDLE), "--overwrite")
    say("3. Serve the bundle")
    samples = held_out()
    with served([BUNDLE]) as url:
        sample = samples[len(samples) // 2]
        say(f"4. Ask about a pair that training never saw; the truth is {sample['label']}")
        call("-m", "clients", "predict", url, "--audio", sample["audio"], "--video", sample["video"])
        say(f"5. Ask about all {len(samples)} held-out pairs")
        print(f"right in {ask_all(url, samples)} of {len(samples)}", flush=True)
    say(f"Done in {time.monotonic() - started:.0f} seconds; the server is stopped. The bundle is in {BUNDLE}.")


def main() -> None:
    """Run, and leave quietly when interrupted."""
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
