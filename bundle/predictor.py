"""ONNX Runtime over one bundle: raw samples in, Predictions out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE, SHIFT, Prediction, answers
from bundle.engines import ranges
from bundle.errors import ManifestError
from bundle.execution import Execution, Target
from bundle.files import read
from bundle.graph_file import check_graph_file
from bundle.manifest import GRAPH
from bundle.modalities import Payload
from bundle.preparing import Arrays, Preparation
from bundle.session import GraphFile, Running, Session
from bundle.work import Work

__all__ = ["Arrays", "Predictor"]

ON_CPU = Execution()
ORT_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}


class Predictor(Preparation):
    """A loaded bundle: its preprocessing, and its graph. Safe to call from several threads.

    Args:
        folder: the bundle.
        execution: where the graph may run, and how; what really runs it is `running`.
        threads: threads for one inference on the CPU, over those of `execution`.

    Raises:
        ManifestError: the bundle must not be used.
        ExecutionUnavailable: it cannot run where it was asked to.
    """

    def __init__(self, folder: Path, execution: Execution = ON_CPU, threads: int | None = None) -> None:
        super().__init__(folder)
        self.folder = folder
        content = read(folder, GRAPH)
        check_graph_file(content)
        shapes = ranges(self.modalities, execution.gpu.largest_batch)
        chosen = execution if threads is None else replace(execution, threads=threads)
        self._session = Session(GraphFile(content, self.manifest.precision, shapes), chosen)
        self._check_graph()

    @property
    def provider(self) -> str:
        """The execution provider that really runs the graph."""
        return self.running.provider

    @property
    def running(self) -> Running:
        """What really runs the graph: provider, device, precision."""
        return self._session.running

    @property
    def refused(self) -> dict[Target, str]:
        """Targets that were asked for before the one that is used, and why they cannot be."""
        return self._session.refused

    def _check_graph(self) -> None:
        names = self.manifest.modalities
        stated = {**{entry.name: entry.dtype for entry in self.manifest.inputs}, PRESENT: "bool"}
        nodes = {node.name: node for node in self._session.inputs}
        found = {name: ORT_TYPES.get(node.type, node.type) for name, node in nodes.items()}
        if stated != found:
            raise ManifestError(f"{GRAPH}: expected inputs {stated}, found {found}")
        shapes = {**{entry.name: entry.shape for entry in self.manifest.inputs}, PRESENT: (len(names),)}
        for name, sizes in shapes.items():
            if not _fits(nodes[name].shape, (None, *sizes)):
                raise ManifestError(
                    f"{GRAPH}: expected input {name!r} of shape {('batch', *sizes)} with a free "
                    f"batch axis, found {tuple(nodes[name].shape)}"
                )
        classes = len(self.manifest.labels)
        expected: dict[str, tuple[int, ...]] = {LOGITS: (classes,), COALITIONS: (1 << len(names), classes)}
        expected |= {SHARE + name: (classes,) for name in names} | {SHIFT + name: () for name in names}
        outputs = {node.name: node.shape for node in self._session.outputs}
        if set(outputs) != set(expected):
            raise ManifestError(f"{GRAPH}: expected outputs {sorted(expected)}, found {sorted(outputs)}")
        for name, shape in outputs.items():
            if tuple(shape[1:]) != expected[name] or not shape:
                raise ManifestError(
                    f"{GRAPH}: expected output {name!r} of shape {('batch', *expected[name])}, {classes} being the "
                    f"labels, found {tuple(shape)}"
                )

    def run(self, batch: Sequence[Arrays], work: Work | None = None) -> Arrays:
        """Outputs of the graph by name, for prepared samples: see `bundle.answer`.

        Raises:
            WorkCancelled: the work was cancelled; the graph ends after the node that it is at.
        """
        return self._session.run(self.feed(batch), work)

    def infer(self, batch: Sequence[Arrays], work: Work | None = None) -> list[Prediction]:
        """Answers for prepared samples, in order; `work`, which is that of the whole batch, may end it early.

        Raises:
            InvalidInput: the graph gives no finite number for one of them.
            WorkCancelled: the work was cancelled.
        """
        if not batch:
            return []
        return answers(self.manifest, self.run(batch, work), self.present(batch))

    def predict(self, samples: Sequence[Mapping[str, Payload]]) -> list[Prediction]:
        """Answers for raw samples, in order.

        Raises:
            InvalidInput: one sample cannot be used.
        """
        return self.infer([self.prepare(sample) for sample in samples])


def _fits(found: Sequence[int | str | None], stated: Sequence[int | None]) -> bool:
    """Whether a graph's axes (a name or None where free) take what the manifest states (None where free)."""
    return len(found) == len(stated) and all(
        axis == size if isinstance(axis, int) else True for axis, size in zip(found, stated, strict=True)
    )
