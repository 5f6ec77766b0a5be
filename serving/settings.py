"""What an operator can set: one frozen dataclass, read from the variables INFOBRIDGE_*."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from bundle.execution import LARGEST_BATCH, Execution, Gpu, Target
from bundle.limits import Limits

PREFIX = "INFOBRIDGE_"
LISTS = ("bundles", "providers", "cors_origins")
OTHERS = {PREFIX + "DATA", PREFIX + "KEY"}
"""Variables of the same prefix that other programs of the project read."""
EXPORTERS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables: with one of them set, traces are sent there."""
Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SettingsError(ValueError):
    """A variable that cannot be used; the message names it."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def exports_traces() -> bool:
    """Whether an OpenTelemetry exporter is configured."""
    return any(os.environ.get(name, "").strip() for name in EXPORTERS)


@dataclass(frozen=True)
class Settings:
    """Every limit and rule of the service. `body_limit` is set by INFOBRIDGE_BODY_LIMIT, and so on.

    At most `requests` times `body_limit` bytes of uploads are in memory at once.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    bundles: tuple[str, ...] = ()
    """Bundle folders, or tags of BentoML's model store, separated by commas. At least one is needed to serve."""
    providers: tuple[Target, ...] = ("cpu",)
    """Where graphs may run: `cpu`, `cuda`, `tensorrt`, best first, separated by commas. A bundle that runs on none of
    them is refused, with the reasons."""
    require_gpu: bool = False
    """Whether to refuse to start, rather than run on the CPU, where no GPU works, also if `cpu` is listed."""
    gpu_device: Annotated[int, Field(ge=0)] = Gpu.device
    """Number of the GPU, from 0."""
    gpu_tf32: bool = Gpu.tf32
    """Whether products in 32 bits may round their factors to TF32, which is faster and changes answers a little."""
    gpu_convolutions: Literal["heuristic", "exhaustive", "default"] = Gpu.convolutions
    """How cuDNN chooses an algorithm: `exhaustive` tries them all, for seconds, whenever a batch has a new size."""
    gpu_memory: Count | None = Gpu.memory
    """Most bytes that each bundle takes on the GPU; unset is no limit."""
    gpu_growth: Literal["doubled", "exact"] = Gpu.growth
    """How that memory grows: `exact` leaves more to other processes and asks for more more often."""
    tensorrt_fp16: bool = Gpu.tensorrt_fp16
    """Whether TensorRT may compute graphs of 32 bits in 16."""
    tensorrt_engines: Path = Gpu.engines
    """Folder that keeps TensorRT's engines, which take minutes to build."""
    inference_threads: Count | None = None
    """Threads for one inference; unset lets ONNX Runtime use every core."""
    decode_threads: Count = field(default_factory=lambda: cores() + 1)
    """Samples that are worked on at the same time; unset is one more than there are cores, so that none stands idle."""
    max_batch: Count = 16
    """Most samples in one inference. How many are joined is measured at start: as many as the hardware repays."""
    batch_wait_ms: Milliseconds = 2.0
    """Milliseconds a sample waits for others to share its inference, where joining them pays."""
    queue_length: Count = 48
    """Samples that may wait for a thread, for each bundle; one more is answered 503."""
    requests: Count = 64
    """Predictions in progress at once, uploads included; one more is answered 503."""
    timeout: Seconds = 30.0
    """Seconds from the first byte of a request until it is answered 504 and its work dropped. A request that would
    wait for more than half of it, by what others took, is answered 503 at once."""
    body_limit: Count = 64 * 1024 * 1024
    """Bytes of a request; more is answered 413."""
    part_limit: Count = 4 * 1024 * 1024
    """Bytes of a part that is not a file, and of a JSON body; more is answered 413."""
    batch_items: Count = 64
    """Samples of one request to /v1/predict/batch; more is answered 413."""
    require_all: bool = False
    """Whether a sample that lacks an input of its model is answered 422; a request cannot be laxer, only stricter."""
    pixels: Count = Limits.pixels
    """Pixels of a picture."""
    tile_pixels: Count = Limits.tile_pixels
    """Pixels of a pathology tile."""
    frame_pixels: Count = Limits.frame_pixels
    """Pixels of one frame of a clip."""
    audio_seconds: Seconds = Limits.audio_seconds
    """Seconds of sound that are decoded."""
    video_seconds: Seconds = Limits.video_seconds
    """Seconds of a clip."""
    frames: Count = Limits.frames
    """Frames of a clip."""
    characters: Count = Limits.characters
    """Characters of a text."""
    key_file: Path | None = None
    """File of API keys, written by `python -m serving.keys`; read again whenever it changes. Unset: no key is asked."""
    cors_origins: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Origins whose pages a browser lets call this service, separated by commas; `*` is every one. Unset: none."""
    access_log: bool = True
    """Whether every request leaves a line in the log."""

    def execution(self) -> Execution:
        """Where and how graphs run.

        Raises:
            ExecutionUnavailable: a GPU is required, and none is among the providers.
        """
        gpu = Gpu(
            self.gpu_device,
            self.gpu_tf32,
            self.gpu_convolutions,
            self.gpu_memory,
            self.gpu_growth,
            self.tensorrt_fp16,
            self.tensorrt_engines,
            max(LARGEST_BATCH, self.max_batch),
        )
        return Execution(self.providers, self.require_gpu, self.inference_threads, gpu)

    def limits(self) -> Limits:
        """What a payload may have."""
        return Limits(**{limit.name: getattr(self, limit.name) for limit in fields(Limits)})

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


def pin_paths(settings: Settings) -> None:
    """Let processes started from here on read the same files, whatever their working directory is.

    Tags of a model store stay tags, and links stay links, so that a reload finds what they then mean.
    """
    entries = [
        str(Path(entry).expanduser().absolute()) if Path(entry).expanduser().is_dir() else entry
        for entry in settings.bundles
    ]
    os.environ[PREFIX + "BUNDLES"] = ",".join(entries)
    if settings.key_file is not None:
        os.environ[PREFIX + "KEY_FILE"] = str(settings.key_file.expanduser().absolute())
