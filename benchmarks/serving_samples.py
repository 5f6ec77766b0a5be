"""Real samples as requests: one multipart body for all systems, and the answer it must get from each of them."""

import csv
import json
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.call import Call
from bundle.answer import Prediction
from bundle.modalities import Payload
from bundle.predictor import Predictor

DATA = Path(os.environ.get("INFOBRIDGE_DATA", "../shared/data"))
FOLDER = Path("runs/serving-benchmark")
SAMPLES = 64
MARGIN = 2e-3
"""Least distance of the two best probabilities: nearer ones may change places by rounding alone."""
BOUNDARY = "infobridge-benchmark-6f1d2c"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FILES = {"audio": "audio/wav", "video": "video/mp4", "image": "image/png", "pathology": "image/jpeg"}


@dataclass(frozen=True)
class Load:
    """A model and the data it is asked about."""

    name: str
    size: str
    """`small` or `large`."""
    data: str
    """Folder of the data."""
    modalities: tuple[str, str]


MODELS = {
    load.name: load
    for load in (
        Load("small-image-text", "small", "openclipart", ("image", "text")),
        Load("small-audio-video", "small", "grid_digit", ("audio", "video")),
        Load("small-pathology-genomics", "small", "her2st", ("pathology", "genomics")),
        Load("large-image-text", "large", "openclipart", ("image", "text")),
    )
}

Sample = dict[str, Payload]


@dataclass(frozen=True)
class Asked:
    """A raw sample and what the in-process predictor says of it."""

    sample: Sample
    expected: Prediction

    def call(self) -> Call:
        """As a request body with its answer."""
        best = self.expected.predictions[0]
        return Call(CONTENT_TYPE, multipart(self.sample), best.label, best.probability)


def read_samples(load: Load, data: Path = DATA) -> list[Sample]:
    """The held-out samples, in the table's order.

    Texts that are JSON by themselves, such as a year, are left out: BentoML's typed API takes them for numbers.
    """
    folder = data / load.data
    with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    usable = (row for row in rows if "text" not in load.modalities or not _is_json(row["text"]))
    return [{name: _payload(folder, row, name) for name in load.modalities} for row in usable]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _payload(folder: Path, row: dict[str, str], name: str) -> Payload:
    if name == "genomics":
        return {key: float(value) if value else None for key, value in row.items() if key.startswith("gene_")}
    return row[name] if name == "text" else (folder / row[name]).read_bytes()


def choose(samples: list[Sample], bundle: Path, threads: int, count: int = SAMPLES) -> list[Asked]:
    """Up to `count` samples about whose class there is no doubt, with their answers, each asked alone."""
    predictor = Predictor(bundle, threads=threads)
    asked = (Asked(sample, predictor.predict([sample])[0]) for sample in samples)
    return list(islice((one for one in asked if _margin(one.expected) > MARGIN), count))


def _margin(prediction: Prediction) -> float:
    first, second, *_ = prediction.predictions
    return first.probability - second.probability


def multipart(sample: Sample) -> bytes:
    """The body of a form: files as files, texts and genes as parts."""
    parts = []
    for name, payload in sample.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(payload, bytes):
            kind = FILES[name]
            head += f'; filename="{name}.{kind.rpartition("/")[2]}"\r\nContent-Type: {kind}'
            content = payload
        else:
            content = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        parts.append(head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
