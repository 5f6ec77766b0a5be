"""A bundle loaded for certain execution providers, or refused: never quietly on another."""

from collections.abc import Sequence
from pathlib import Path

from bundle.errors import ManifestError
from bundle.predictor import Predictor


def load(folder: Path, providers: Sequence[str], threads: int | None) -> Predictor:
    """The bundle's predictor, running on one of the providers asked for.

    Raises:
        ManifestError: the bundle must not be used, or ONNX Runtime runs it on a provider that was not asked for.
    """
    predictor = Predictor(folder, providers, threads)
    if predictor.provider not in providers:
        wanted = ", ".join(providers)
        raise ManifestError(f"asked for {wanted}, but ONNX Runtime runs it on {predictor.provider}")
    return predictor
