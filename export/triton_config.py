"""A bundle's `config.pbtxt`: what Triton must know of a model to batch, place and warm it up."""

from dataclasses import dataclass
from typing import Any, Literal

from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE, SHIFT
from bundle.execution import Gpu, cuda_options
from bundle.manifest import Manifest
from bundle.modalities import Array
from export.errors import ExportError

FLAVOURS = ("prod", "portable")
"""Folders of the repository, each a model repository of its own."""
BACKENDS = {"onnxruntime": "model.onnx", "tensorrt_plan": "model.plan"}
"""Of the flavour `prod`, with the file that each loads."""
LABELS = "labels.txt"
DIGEST = "infobridge.bundle."
"""Prefix of the parameter that says, for each version, which bundle it is of: the SHA-256 of its manifest.json."""
CUDA = ("use_tf32", "cudnn_conv_algo_search")
"""Options of ONNX Runtime's CUDA provider that Triton is told: those by which answers, and how long the first of each
size takes, differ from the service's. Device and memory are Triton's own matter."""
TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "int64": "TYPE_INT64", "bool": "TYPE_BOOL"}


@dataclass(frozen=True)
class TritonOptions:
    """How Triton runs the model.

    Raises:
        ExportError: a number out of range.
    """

    flavours: tuple[Literal["prod", "portable"], ...] | None = None
    """`prod` needs Triton's ONNX Runtime or TensorRT backend, `portable` its Python backend with onnxruntime; not
    given, those that the bundle can run in, which for one in bf16 is `prod` alone."""
    backend: Literal["onnxruntime", "tensorrt_plan"] = "onnxruntime"
    """Of `prod`; `tensorrt_plan` takes the bundle's engine."""
    engine: str | None = None
    """Which of the bundle's engines, such as `engines/fp16-sm90.plan`; not given, the only one."""
    max_batch: int = 32
    """Most samples of one inference."""
    queue_delay_us: int = 2000
    """Microseconds that a sample may wait for others to share its inference."""
    queue_size: int = 256
    """Requests that may wait; what is more is refused at once."""
    queue_seconds: float = 30.0
    """After which a request that still waits is refused; one may ask for another time."""
    instances: int = 1
    """Copies of the model on each device."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where the copies of `prod` are; `portable` is always on the CPU."""
    threads: int | None = None
    """Of one inference on the CPU; not given, as many as there are cores."""
    versions: int = 2
    """How many of the latest versions are served, so that clients of the one before go on for a while."""

    def __post_init__(self) -> None:
        if self.flavours == ():
            raise ExportError(f"flavours: expected one or more of {', '.join(FLAVOURS)}, found none")
        for name in ("max_batch", "queue_size", "instances", "versions"):
            if getattr(self, name) < 1:
                raise ExportError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.queue_delay_us < 0 or not self.queue_seconds > 0:
            raise ExportError("the queue: expected a delay of 0 or more microseconds, and a limit of over 0 seconds")
        if self.threads is not None and self.threads < 1:
            raise ExportError(f"threads: expected 1 or more, found {self.threads}")


def flavours(manifest: Manifest, asked: TritonOptions) -> tuple[str, ...]:
    """Those that are asked for, or that the bundle can run in.

    Raises:
        ExportError: one that is asked for is on a CPU, which cannot run the bundle.
    """
    if manifest.precision != "bf16":
        return FLAVOURS if asked.flavours is None else tuple(dict.fromkeys(asked.flavours))
    on_cpu = ["--triton-model.flavours portable"] if "portable" in (asked.flavours or ()) else []
    if asked.device == "cpu" and asked.backend == "onnxruntime":
        on_cpu.append("--triton-model.device cpu")
    if on_cpu:
        raise ExportError(
            f"a graph in bf16 needs a GPU, ONNX Runtime computes none on a CPU: expected prod on a GPU, found "
            f"{' and '.join(on_cpu)}"
        )
    return ("prod",)


def protobuf() -> Any:
    """The module of Triton's messages.

    Raises:
        ExportError: tritonclient, which brings them, is not installed.
    """
    try:
        from tritonclient.grpc import model_config_pb2
    except (ImportError, RuntimeError) as error:
        raise ExportError(
            f"a Triton repository needs tritonclient: pip install 'infobridge[triton]' ({error})"
        ) from None
    return model_config_pb2


def configuration(manifest: Manifest, name: str, flavour: str, asked: TritonOptions, warmup: dict[str, Array]) -> Any:
    """The `ModelConfig` of one flavour, without versions.

    Args:
        manifest: of the bundle.
        name: of the model in Triton.
        flavour: one of `FLAVOURS`.
        asked: how it is to run.
        warmup: one sample of every input of the graph, in files below `warmup/` whose last part is the input's name.
    """
    messages = protobuf()
    config = messages.ModelConfig(name=name, max_batch_size=asked.max_batch)
    if flavour == "portable":
        config.backend = "python"
    elif asked.backend == "onnxruntime":
        config.backend = "onnxruntime"
    else:
        config.platform = asked.backend
    if flavour == "prod":
        config.default_model_filename = BACKENDS[asked.backend]
    config.version_policy.latest.num_versions = asked.versions
    _shapes(config, manifest, messages, reshaped=flavour == "prod")
    batching = config.dynamic_batching
    batching.max_queue_delay_microseconds = asked.queue_delay_us
    policy = batching.default_queue_policy
    policy.timeout_action = messages.ModelQueuePolicy.REJECT
    policy.default_timeout_microseconds = round(asked.queue_seconds * 1e6)
    policy.allow_timeout_override = True
    policy.max_queue_size = asked.queue_size
    device = _device(manifest, flavour, asked)
    if flavour == "prod" and asked.backend == "onnxruntime" and device != "CPU":
        accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="cuda")
        for option in CUDA:
            accelerator.parameters[option] = cuda_options(Gpu())[option]
    config.instance_group.add(kind=f"KIND_{device}", count=asked.instances)
    if asked.threads is not None and config.platform != "tensorrt_plan":
        config.parameters["intra_op_thread_count"].string_value = str(asked.threads)
    for size in sorted({1, asked.max_batch}):
        replay = config.model_warmup.add(name=f"a golden sample, {size} times", batch_size=size)
        for file, array in warmup.items():
            given = replay.inputs[file.rpartition("/")[2]]
            given.data_type = messages.DataType.Value(TYPES[str(array.dtype)])
            given.dims.extend(array.shape)
            given.input_data_file = file
    return config


def _device(manifest: Manifest, flavour: str, asked: TritonOptions) -> str:
    """Where the copies are: CPU, GPU, or AUTO, which is a GPU where there is one."""
    if flavour == "portable":
        return "CPU"
    if asked.backend == "tensorrt_plan" or manifest.precision == "bf16":
        return "GPU"
    return asked.device.upper()


def _shapes(config: Any, manifest: Manifest, messages: Any, reshaped: bool) -> None:
    """Inputs and outputs, without the batch axis; Triton has no word for a number a sample but a reshaped `[1]`."""
    for entry in manifest.inputs:
        dims = [-1 if size is None else size for size in entry.shape]
        config.input.add(name=entry.name, data_type=TYPES[entry.dtype], dims=dims)
    config.input.add(name=PRESENT, data_type="TYPE_BOOL", dims=[len(manifest.inputs)])
    classes, modalities = len(manifest.labels), manifest.modalities
    config.output.add(name=LOGITS, data_type="TYPE_FP32", dims=[classes], label_filename=LABELS)
    config.output.add(name=COALITIONS, data_type="TYPE_FP32", dims=[1 << len(modalities), classes])
    for name in modalities:
        config.output.add(name=SHARE + name, data_type="TYPE_FP32", dims=[classes], label_filename=LABELS)
    for name in modalities:
        shift = config.output.add(name=SHIFT + name, data_type="TYPE_FP32", dims=[1])
        if reshaped:
            shift.reshape.CopyFrom(messages.ModelTensorReshape())


def to_text(config: Any) -> str:
    """The content of `config.pbtxt`, read back to the same message.

    Raises:
        ExportError: it does not say what was meant.
    """
    from google.protobuf import text_format

    text = str(text_format.MessageToString(config))
    if parse(text) != config:
        raise ExportError("config.pbtxt: expected what reads back as the same configuration, found another")
    return text


def parse(text: str) -> Any:
    """The message that a `config.pbtxt` holds.

    Raises:
        ExportError: it is no configuration of a model.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, protobuf().ModelConfig())
    except text_format.ParseError as error:
        raise ExportError(f"config.pbtxt: expected a configuration of a model, found none ({error})") from None
