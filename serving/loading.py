"""From names of bundles to predictors that have proved themselves on this machine."""

import logging
import os
from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException

from bundle.errors import BundleError, ManifestError
from bundle.manifest import GOLDEN, Manifest
from bundle.predictor import Predictor
from bundle.selfcheck import golden_payloads, read_golden, selfcheck
from serving.settings import PREFIX, Settings

logger = logging.getLogger("bentoml.infobridge")


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
    """
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


def load(settings: Settings) -> list[Predictor]:
    """Load, check and warm every bundle; takes seconds.

    Raises:
        BundleError: one of them must not be used; the message names it.
    """
    return [_load_one(folder, settings) for folder in check(settings)]


def _load_one(folder: Path, settings: Settings) -> Predictor:
    try:
        predictor = Predictor(folder, settings.providers, settings.inference_threads)
        if predictor.provider not in settings.providers:
            wanted = ", ".join(settings.providers)
            raise ManifestError(f"asked for {wanted}, but ONNX Runtime runs it on {predictor.provider}")
        count = selfcheck(predictor)
        _warm(predictor, settings.max_batch)
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from None
    logger.info("%s: %d golden samples reproduced on %s", predictor.manifest.name, count, predictor.provider)
    return predictor


def _warm(predictor: Predictor, max_batch: int) -> None:
    """Run batches of every power of two once, so that no request pays for a first run."""
    golden = read_golden(predictor.folder / GOLDEN)
    arrays = predictor.prepare(golden_payloads(golden, predictor.manifest.modalities)[0])
    size = 1
    while size <= max_batch:
        predictor.infer([arrays] * size)
        size *= 2
