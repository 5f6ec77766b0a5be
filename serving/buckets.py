"""Which prepared samples are alike enough to be padded and run together."""

from collections.abc import Callable

from bundle.predictor import Arrays, Predictor

Bucket = tuple[int | None, ...]
"""For each varying axis its length up to a factor of two; None where the sample lacks the input."""


def bucket(predictor: Predictor) -> Callable[[Arrays], Bucket]:
    """Tells a prepared sample's bucket: those whose varying axes are alike, up to a factor of two, share one.

    A sample that lacks an input fits with any length of it.
    """
    varying = [
        (name, axis)
        for name, modality in predictor.modalities.items()
        for axis, size in enumerate(modality.shape)
        if size is None
    ]
    return lambda arrays: tuple(
        (arrays[name].shape[axis] - 1).bit_length() if name in arrays else None for name, axis in varying
    )
