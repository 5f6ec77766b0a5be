"""BentoML's batchable API: `BUNDLE=… python -m bentoml serve benchmarks.peers.bentoml_batchable:Front`.

A batchable API takes one list, and files cannot be inside of it; its documentation's way with several inputs is a
wrapper service with a parameter for each, and a second service, reached through `bentoml.depends`, whose batchable API
takes a list of pydantic models. Both are here as shown there, with the threads it says a synchronous wrapper needs; the
connection between the two must not be recycled, or several of a hundred requests are answered 500.
"""

import os
from pathlib import Path
from typing import Any

import bentoml
from pydantic import BaseModel

from bundle.answer import Prediction
from bundle.modalities import Payload
from bundle.predictor import Predictor


class Sample(BaseModel):
    """One request's inputs, files as paths."""

    files: dict[str, Path]
    values: dict[str, Any]


@bentoml.service(runner_connection={"max_requests": 10**9, "max_age": 1e9})
class Inference:
    """The model."""

    def __init__(self) -> None:
        self._predictor = Predictor(Path(os.environ["BUNDLE"]), threads=int(os.environ.get("THREADS", "2")))

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def predict(self, samples: list[Sample]) -> list[Prediction]:
        """Answers for a batch."""
        payloads: list[dict[str, Payload]] = [
            {**{name: path.read_bytes() for name, path in sample.files.items()}, **sample.values} for sample in samples
        ]
        return self._predictor.predict(payloads)


@bentoml.service(threads=8)
class Front:
    """An API for each pairing."""

    inference: Any = bentoml.depends(Inference)

    @bentoml.api  # type: ignore[untyped-decorator]
    def image_text(self, image: Path, text: str) -> Prediction:
        """A picture and its text."""
        return self._answer(Sample(files={"image": image}, values={"text": text}))

    @bentoml.api  # type: ignore[untyped-decorator]
    def audio_video(self, audio: Path, video: Path) -> Prediction:
        """A clip and its sound."""
        return self._answer(Sample(files={"audio": audio, "video": video}, values={}))

    @bentoml.api  # type: ignore[untyped-decorator]
    def pathology_genomics(self, pathology: Path, genomics: dict[str, Any]) -> Prediction:
        """A tile and its genes."""
        return self._answer(Sample(files={"pathology": pathology}, values={"genomics": genomics}))

    def _answer(self, sample: Sample) -> Prediction:
        prediction: Prediction = self.inference.predict([sample])[0]
        return prediction
