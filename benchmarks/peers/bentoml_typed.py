"""BentoML's typed API, same ONNX session: `BUNDLE=… python -m bentoml serve benchmarks.peers.bentoml_typed:Typed`.

As its documentation shows: files as `Path` parameters, the rest as plain types, one service. It does not batch: a
batchable API takes one list, and files cannot be inside of it; `bentoml_batchable.py` is the documented way around
that. `threads=8` lets it answer 8 requests at a time, the default being one.
"""

import os
from pathlib import Path
from typing import Any

import bentoml

from bundle.answer import Prediction
from bundle.modalities import Payload
from bundle.predictor import Predictor


@bentoml.service(threads=8)
class Typed:
    """An API for each pairing."""

    def __init__(self) -> None:
        self._predictor = Predictor(Path(os.environ["BUNDLE"]), threads=int(os.environ.get("THREADS", "2")))

    @bentoml.api  # type: ignore[untyped-decorator]
    def image_text(self, image: Path, text: str) -> Prediction:
        """A picture and its text."""
        return self._answer({"image": image.read_bytes(), "text": text})

    @bentoml.api  # type: ignore[untyped-decorator]
    def audio_video(self, audio: Path, video: Path) -> Prediction:
        """A clip and its sound."""
        return self._answer({"audio": audio.read_bytes(), "video": video.read_bytes()})

    @bentoml.api  # type: ignore[untyped-decorator]
    def pathology_genomics(self, pathology: Path, genomics: dict[str, Any]) -> Prediction:
        """A tile and its genes."""
        return self._answer({"pathology": pathology.read_bytes(), "genomics": genomics})

    def _answer(self, sample: dict[str, Payload]) -> Prediction:
        return self._predictor.predict([sample])[0]
