"""What an operator can set: one frozen dataclass, read from the variables INFOBRIDGE_*."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

PREFIX = "INFOBRIDGE_"
LISTS = ("bundles", "providers")
OTHERS = {PREFIX + "DATA"}
"""Variables of the same prefix that other programs of the project read."""
Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SettingsError(ValueError):
    """A variable that cannot be used; the message names it."""


def pin_bundles(folders: Iterable[Path]) -> None:
    """Let processes started from here on read these very folders, whatever their working directory is."""
    os.environ[PREFIX + "BUNDLES"] = ",".join(map(str, folders))


@dataclass(frozen=True)
class Settings:
    """Every limit of the service. `body_limit` is set by INFOBRIDGE_BODY_LIMIT, and so on.

    At most `requests` times `body_limit` bytes of uploads are in memory at once.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    bundles: tuple[str, ...] = ()
    """Bundle folders, or tags of BentoML's model store, separated by commas. At least one is needed to serve."""
    providers: tuple[Annotated[str, Field(min_length=1)], ...] = ("CPUExecutionProvider",)
    """ONNX Runtime execution providers, best first. A bundle that ends up on one not listed is refused."""
    inference_threads: Count | None = None
    """Threads for one inference; unset lets ONNX Runtime use every core."""
    decode_threads: Count = 4
    """Requests that are decoded and preprocessed at the same time."""
    max_batch: Count = 16
    """Most samples in one inference."""
    batch_wait_ms: Milliseconds = 2.0
    """Milliseconds a sample waits for others to share its inference."""
    queue_length: Count = 32
    """Samples that may wait for inference, for each bundle; one more is answered 503."""
    requests: Count = 64
    """Predictions in progress at once, uploads included; one more is answered 503."""
    timeout: Seconds = 30.0
    """Seconds from the first byte of a request until it is answered 504 and its work dropped."""
    body_limit: Count = 64 * 1024 * 1024
    """Bytes of a request; more is answered 413."""
    part_limit: Count = 4 * 1024 * 1024
    """Bytes of a part that is not a file, and of a JSON body; more is answered 413."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the variables that are set and not empty.

        Raises:
            SettingsError: one of them cannot be used.
        """
        source = os.environ if environment is None else environment
        known = {PREFIX + setting.name.upper() for setting in fields(cls)} | OTHERS
        for name in sorted(source):
            if name.startswith(PREFIX) and name not in known:
                near = get_close_matches(name, known, n=1) or sorted(known)
                raise SettingsError(f"{name} is not a setting; did you mean {near[0]}?")
        given: dict[str, Any] = {}
        for setting in fields(cls):
            text = source.get(PREFIX + setting.name.upper(), "").strip()
            if not text:
                continue
            split = [entry.strip() for entry in text.split(",") if entry.strip()]
            given[setting.name] = split if setting.name in LISTS else text
        try:
            return TypeAdapter(cls).validate_python(given)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from None
