"""From names of bundles to predictors that have proved themselves on this machine."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException

from bundle.errors import BundleError, ManifestError
from bundle.manifest import Manifest
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from bundle.session import check_targets
from serving.logs import NAME
from serving.measuring import batch_size, sample_seconds
from serving.settings import PREFIX, Settings

logger = logging.getLogger(NAME)


def locate(entry: str) -> Path:
    """The folder of a bundle, given as a folder or as a tag of BentoML's model store.

    Raises:
        ManifestError: there is no such folder and no such model.
    """
    folder = Path(entry).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if os.sep not in entry:
        try:
            return Path(bentoml.models.get(entry).path)
        except (BentoMLException, ValueError):
            raise ManifestError(f"{entry!r} is neither a folder nor a model in BentoML's store") from None
    raise ManifestError(f"there is no folder {entry}")


def check(settings: Settings) -> list[Path]:
    """Read every manifest and hash every file, without loading a graph; returns the folders.

    Raises:
        ManifestError: no bundle is named, one must not be used, or two have one name.
        ExecutionUnavailable: none of the providers can be used, or none is a GPU and one is required.
    """
    check_targets(settings.execution())
    if not settings.bundles:
        raise ManifestError(f"{PREFIX}BUNDLES names no bundle: set it to folders or model tags, with commas")
    names: dict[str, str] = {}
    folders = []
    for entry in settings.bundles:
        folder = locate(entry)
        try:
            manifest = Manifest.read(folder)
            manifest.load_modalities(folder)
        except ManifestError as error:
            raise ManifestError(f"{entry}: {error}") from None
        if manifest.name in names:
            raise ManifestError(f"{names[manifest.name]} and {entry} are two bundles named {manifest.name!r}")
        names[manifest.name] = entry
        folders.append(folder)
    return folders


@dataclass(frozen=True)
class Loaded:
    """A bundle that has proved itself."""

    predictor: Predictor
    batch: int
    """Samples that one inference should join."""
    seconds: float
    """That one sample takes, alone."""


def load(settings: Settings) -> list[Loaded]:
    """Load, check and measure every bundle; takes seconds.

    Raises:
        BundleError: one of them must not be used; the message names it.
    """
    return [_load_one(folder, settings) for folder in map(locate, settings.bundles)]


def _load_one(folder: Path, settings: Settings) -> Loaded:
    try:
        predictor = Predictor(folder, settings.execution())
        count = selfcheck(predictor)
        batch = batch_size(predictor, settings.max_batch)
        seconds = sample_seconds(predictor)
    except BundleError as error:
        raise type(error)(f"{folder}: {error}") from None
    running = {name: value for name, value in vars(predictor.running).items() if name != "target"}
    for target, reason in predictor.refused.items():
        logger.warning("cannot be used", extra={"model": predictor.manifest.name, "target": target, "reason": reason})
    logger.info(
        "reproduced its golden samples",
        extra={"model": predictor.manifest.name, "samples": count, **running, "batch": batch},
    )
    return Loaded(predictor, batch, seconds)
