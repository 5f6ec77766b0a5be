"""A graph to an engine: parsed, given its ranges of shapes, and built by TensorRT or by TensorRT-RTX."""

from collections.abc import Mapping
from typing import Any

from export.errors import ExportError, TensorRTRefused
from export.tensorrt_library import Library

Shape = tuple[int, ...]
Shapes = tuple[Shape, Shape, Shape]
"""Of one input: the smallest, the usual and the largest."""


def build(library: Library, graph: bytes, shapes: Mapping[str, Shapes], target: str | None = None) -> bytes:
    """A serialized engine. Its types are those of the graph: precision is decided there, nowhere else.

    Args:
        library: which of the two builds.
        graph: an ONNX file that needs no other.
        shapes: for each input of the graph.
        target: one of the library's; None for the card that is there, or, with TensorRT-RTX, for every card it knows.

    Raises:
        TensorRTRefused: the parser does not take the graph, naming the node, or the builder makes no engine of it.
        ExportError: a target that the library does not have, or no GPU where one is needed.
    """
    if target is not None and target not in library.targets:
        possible = ", ".join(library.targets) or "none but the card that is there"
        raise ExportError(f"expected a target of {library.kind} among {possible}, found {target!r}")
    trt = library.module
    logger = messages(trt)
    builder = _made(lambda: trt.Builder(logger), library, logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        raise TensorRTRefused(_refusal(library, parser, logger))
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # 32 bits are meant where the graph says so
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    profile = builder.create_optimization_profile()
    found = [network.get_input(number).name for number in range(network.num_inputs)]
    if set(found) != set(shapes):
        raise TensorRTRefused(f"{library.kind}: expected inputs {sorted(shapes)}, the parsed graph has {sorted(found)}")
    for name in found:
        least, usual, most = shapes[name]
        profile.set_shape(name, least, usual, most)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise TensorRTRefused(f"{library.kind} {library.version} parsed the graph and built no engine: {logger.told()}")
    return bytes(engine)


def messages(trt: Any) -> Any:
    """A logger of a library that keeps what went wrong and prints nothing."""

    class Messages(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

        def told(self) -> str:
            return " ".join(self.errors[0].split()) if self.errors else "it does not say why"

    return Messages()


def _made(make: Any, library: Library, logger: Any) -> Any:
    try:
        return make()
    except Exception as error:  # without a driver the binding raises TypeError: its factory returned nothing
        raise ExportError(
            f"{library.kind} {library.version} does not start, expected a GPU and its driver: {logger.told()} ({error})"
        ) from None


def _refusal(library: Library, parser: Any, logger: Any) -> str:
    """The node that the parser stumbled over, and why."""
    if not parser.num_errors:
        return f"{library.kind} {library.version} does not parse the graph: {logger.told()}"
    error = parser.get_error(0)
    reason = " ".join(str(error.desc()).split())
    return (
        f"{library.kind} {library.version} does not take node {error.node()}, {error.node_name()!r}, operator "
        f"{error.node_operator()}: {reason}"
    )
