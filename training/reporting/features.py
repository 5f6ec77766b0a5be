"""A finished run's features, from the data it was trained on: the same files, through the stored preprocessing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bundle.errors import BundleError
from training import catalog, checkpoint, fitting, state
from training.checkpoint import Checkpoint
from training.critics import Critic
from training.errors import CheckpointError, DataError, TrainingError
from training.evaluate import Encoded, encode
from training.fit import facts_of
from training.loading import evaluation_loader
from training.method import Method, Setting
from training.model import Classifier
from training.pairs import Pairs
from training.preparation import Prepared

Project = Callable[[str, Tensor], Tensor]
"""A modality's features to where the method compares modalities."""


@dataclass(frozen=True)
class Comparable:
    """Features of the test split that lie in one space for all modalities."""

    labels: NDArray[np.int64]
    vectors: dict[str, NDArray[np.float64]]
    """By modality, `(samples, width)`, each of unit length."""
    meaning: str
    """What the vectors are, in words."""


def reread(run: Checkpoint) -> Pairs:
    """The run's samples before decoding.

    Raises:
        DataError: they are not there any more, or not the same.
    """
    config = run.config
    try:
        dataset = catalog.load("datasets", config.dataset)(config.dataset_options)
        pairs: Pairs = dataset.load(config).only(config.modalities)
        if facts_of(pairs)["fingerprint"] != run.provenance["data"]["fingerprint"]:
            raise DataError("the files were moved, copied or changed since the training, or belong to another split")
    except (TrainingError, BundleError, OSError) as error:
        raise DataError(str(error).splitlines()[0]) from None
    return pairs


def restore(run: Checkpoint) -> Prepared:
    """The run's samples, decoded through the cache and prepared as in its training.

    Raises:
        DataError: they are not there any more, or not the same.
    """
    pairs = reread(run)
    cache = run.config.cache if run.config.cache is not None else run.folder.parent / ".cache"
    try:
        kinds = {name: fitting.unfinished(kind) for name, kind in run.modalities.items()}
        prepared = Prepared.of(run.config, pairs, kinds, cache)
    except (TrainingError, BundleError, OSError) as error:
        raise DataError(str(error).splitlines()[0]) from None
    return replace(prepared, modalities=run.modalities)


def encode_split(
    run: Checkpoint, prepared: Prepared, split: str, accelerator: Accelerator, model: nn.Module | None = None
) -> Encoded:
    """Features of a split, without augmentation, from the kept weights or from another model."""
    chosen = run.model() if model is None else model
    return encode(chosen.to(accelerator.device), evaluation_loader(run.config, prepared, split), accelerator)


def comparable(run: Checkpoint, prepared: Prepared, kept: Encoded, accelerator: Accelerator) -> Comparable | str:
    """Unit vectors of the test split whose distance means something, or a sentence that says why there are none.

    Where the method projects features to compare them, these are its projections; its critic is kept of the last epoch,
    and so is the model they are taken from. Else they are the features themselves, where their widths are the same.

    Args:
        run: the run.
        prepared: its samples.
        kept: features of the test split from the kept weights.
        accelerator: where to compute.

    Raises:
        CheckpointError: the run's training state is damaged.
    """
    model = run.model()
    method = _method(run, model)
    project = _projection(method)
    if project is None:
        widths = {name: features.shape[1] for name, features in kept.features.items()}
        if len(set(widths.values())) > 1:
            found = ", ".join(f"{name} {width}" for name, width in widths.items())
            return (
                f"The method {run.config.method} has no projections, and features of different widths ({found}) "
                "have no distance."
            )
        return _vectors(kept, lambda name, features: features, "the encoders' features of the kept epoch")
    if not (run.folder / checkpoint.STATE).with_suffix(".json").exists():
        return "The run's training state, which holds the method's projections, was deleted."
    content = state.load(run.folder / checkpoint.STATE)
    try:
        model.load_state_dict(content["model"])
        method.load_state_dict(content["method"])
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise CheckpointError(f"the training state in {run.folder} is of another training") from None
    last = encode_split(run, prepared, "test", accelerator, model)
    return _vectors(last, project, f"the method's projections as the last epoch, {run.config.epochs}, left them")


def _method(run: Checkpoint, model: Classifier) -> Method:
    """The run's method as it is built, before training."""
    config = run.config
    widths = {name: int(encoder.width) for name, encoder in model.encoders.items()}  # type: ignore[arg-type]
    additive = catalog.load("fusion", config.fusion).ADDITIVE
    setting = Setting(widths, len(run.labels), config.seed, config.learning_rate, additive)
    method: Method = catalog.load("methods", config.method)(setting, config.method_options)
    return method


def _projection(method: Method) -> Project | None:
    """How the method projects features, recognised by what it owns: a critic, or a projection for each modality."""
    critic, heads = getattr(method, "critic", None), getattr(method, "projections", None)
    if isinstance(critic, Critic):
        return critic.project
    if isinstance(heads, nn.ModuleDict):
        return lambda name, features: heads[name](features)
    return None


@torch.no_grad()
def _vectors(encoded: Encoded, project: Project, meaning: str) -> Comparable:
    vectors = {
        name: functional.normalize(project(name, features), dim=1).double().numpy()
        for name, features in encoded.features.items()
    }
    return Comparable(encoded.labels.numpy(), vectors, meaning)
