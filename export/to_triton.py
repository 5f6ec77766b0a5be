"""A bundle to Triton model repositories: `python -m export BUNDLE --triton REPOSITORY`.

    REPOSITORY/prod/NAME/      config.pbtxt  labels.txt  warmup/  1/model.onnx   (or 1/model.plan)
    REPOSITORY/portable/NAME/  config.pbtxt  labels.txt  warmup/  1/model.onnx  1/model.py

Each flavour is what `tritonserver --model-repository` takes. A further bundle of the same name is the next version.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.answer import PRESENT
from bundle.files import read
from bundle.manifest import FILE, GOLDEN, GRAPH, Manifest, sha256
from bundle.modalities import Array
from bundle.selfcheck import read_golden
from export import triton_config
from export.errors import ExportError
from export.triton_config import BACKENDS, DIGEST, LABELS, TritonOptions, configuration, flavours, to_text

CONFIG = "config.pbtxt"
WARMUP = "warmup"
MODEL = Path(__file__).with_name("triton_model.py")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Written:
    """One version of a model in a repository."""

    folder: Path
    """Of the model."""
    version: int


def to_triton(bundle: Path, repository: Path, asked: TritonOptions, name: str | None = None) -> list[Written]:
    """Write a bundle into the repository of each flavour; a model is there whole or not at all, and so is a version.

    A bundle that is there already keeps its version, and only its configuration is written anew.

    Args:
        bundle: a finished bundle.
        repository: made where it is not there yet.
        asked: how Triton is to run it.
        name: of the model in Triton; not given, the bundle's own.

    Raises:
        ExportError: a name that Triton cannot have, no engine, a CPU for a graph in bf16, or a model there that a
            version does not fit in.
        ManifestError: the bundle must not be used.
    """
    manifest = Manifest.read(bundle)
    name = manifest.name if name is None else name
    check_name(name)
    if any(len(label.splitlines()) != 1 for label in manifest.labels):
        raise ExportError("Triton reads a label from each line: expected labels of one line, found others")
    models = [_Model(bundle, manifest, repository, name, flavour, asked) for flavour in flavours(manifest, asked)]
    return [model.write() for model in models]  # all are checked before the first is written


def check_name(name: str) -> None:
    """Refuse a name that no model of Triton can have.

    Raises:
        ExportError: saying which it could.
    """
    if NAME.fullmatch(name) is None:
        raise ExportError(f"a model of Triton is a folder: expected a name of letters, digits, _-. and found {name!r}")


class _Model:
    """One model of one flavour, as it is to be."""

    def __init__(
        self, bundle: Path, manifest: Manifest, repository: Path, name: str, flavour: str, asked: TritonOptions
    ) -> None:
        self._folder = repository / flavour / name
        self._aside = repository / f".{flavour}-{name}-{os.getpid()}"
        self._labels = "".join(f"{label}\n" for label in manifest.labels)
        digest = sha256(bundle / FILE)
        self._sample = {f"{digest[:12]}/{entry}": array for entry, array in _golden_sample(bundle, manifest).items()}
        self._config = configuration(manifest, name, flavour, asked, self._sample)
        known = self._known() if self._folder.exists() else {}
        self._version = next((number for number, other in known.items() if other == digest), max(known, default=0) + 1)
        self._new = self._version not in known
        for number, other in {**known, self._version: digest}.items():
            self._config.parameters[f"{DIGEST}{number}"].string_value = other
        self._text = to_text(self._config)
        self._files: dict[str, tuple[Path, str]] = {}
        if flavour == "portable":
            self._files["model.py"] = (MODEL.parent, MODEL.name)
        source = GRAPH if flavour == "portable" or asked.backend == "onnxruntime" else _engine(manifest, asked)
        self._files[BACKENDS["onnxruntime" if source == GRAPH else asked.backend]] = (bundle, source)

    def _known(self) -> dict[int, str]:
        """The versions that are there, with the digests of their bundles; empty where there is none."""
        try:
            there = triton_config.parse((self._folder / CONFIG).read_text(encoding="utf-8"))
            labels = (self._folder / LABELS).read_text(encoding="utf-8")
        except (ExportError, OSError, ValueError) as error:
            raise ExportError(f"{self._folder} is there and none of ours ({error}); choose another name") from None
        shared: dict[str, tuple[Any, Any]] = {
            what: (list(getattr(there, what)), list(getattr(self._config, what))) for what in ("input", "output")
        }
        shared |= {what: (getattr(there, what), getattr(self._config, what)) for what in ("backend", "platform")}
        shared["labels"] = (labels, self._labels)
        for what, (found, meant) in shared.items():
            if found != meant:
                raise ExportError(
                    f"{self._folder} is there with another {what}, which all versions share; choose another name"
                )
        numbers = [int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()]
        return {number: there.parameters[f"{DIGEST}{number}"].string_value for number in sorted(numbers)}

    def write(self) -> Written:
        """Write what is missing, the configuration last."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._aside, ignore_errors=True)
        try:
            target = self._folder if self._folder.exists() else self._aside
            self._write_samples(target / WARMUP)
            if self._new:
                version = self._aside / str(self._version)
                version.mkdir(parents=True)
                for name, (folder, source) in self._files.items():
                    (version / name).write_bytes(read(folder, source))
                if target is not self._aside:
                    version.rename(target / version.name)
            (target / LABELS).write_text(self._labels, encoding="utf-8")
            aside = target / f".{CONFIG}-{os.getpid()}"
            aside.write_text(self._text, encoding="utf-8")
            aside.replace(target / CONFIG)
            if target is self._aside:
                target.rename(self._folder)
        finally:
            shutil.rmtree(self._aside, ignore_errors=True)
        return Written(self._folder, self._version)

    def _write_samples(self, folder: Path) -> None:
        for name, array in self._sample.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(array.tobytes())


def _golden_sample(bundle: Path, manifest: Manifest) -> dict[str, Array]:
    """The first golden sample that lacks nothing, by input of the graph."""
    golden = read_golden(bundle / GOLDEN)
    names = manifest.modalities
    for index in range(len(golden)):
        if all(f"{index}/array/{name}" in golden for name in names):
            sample = {name: golden[f"{index}/array/{name}"] for name in names}
            return sample | {PRESENT: np.ones(len(names), np.bool_)}
    raise ExportError(f"{GOLDEN}: expected a sample with every input, found none")


def _engine(manifest: Manifest, asked: TritonOptions) -> str:
    """The file of the bundle that holds the engine."""
    plans = {plan.file: plan for plan in manifest.engines}
    listed = ", ".join(plans) or "none"
    if asked.engine is None and len(plans) != 1:
        raise ExportError(f"expected one engine in the bundle, found {listed}; name one, or build it with --tensorrt")
    file = next(iter(plans)) if asked.engine is None else asked.engine
    if file not in plans:
        raise ExportError(f"expected an engine among {listed}, found {file!r}")
    most = plans[file].ranges[PRESENT].most[0]
    if asked.max_batch > most:
        raise ExportError(
            f"max_batch: expected at most the {most} samples that {file} was built for, found {asked.max_batch}"
        )
    return file
