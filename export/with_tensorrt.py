"""What `--tensorrt` asks for, done to a bundle in the making: the graph in eight bits, then an engine or a check."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bundle.execution import Precision
from bundle.manifest import Manifest
from bundle.plan import Plan
from export.data import Data
from export.errors import ExportError
from export.feeds import Feed
from export.tensorrt_int8 import OPTION, facts, to_symmetric
from export.tensorrt_library import Library, tensorrt_rtx
from export.tensorrt_shapes import EngineOptions
from export.to_tensorrt import add_engine, check, ready, restate
from training.checkpoint import Checkpoint


@dataclass
class Asked:
    """One precision, and whether an engine of it is to be built or only tried."""

    precision: Precision
    only_checked: bool
    options: EngineOptions
    _library: Library | None = field(default=None, init=False)

    def find(self) -> None:
        """Import what is needed, before a long export begins.

        Raises:
            ExportError: it is not there; says what to install.
        """
        self._library = tensorrt_rtx() if self.only_checked else ready()

    def fulfil(self, bundle: Path, run: Checkpoint | None) -> list[str]:
        """Add what was asked for to a bundle that nobody uses yet; returns what was done, in words.

        Args:
            bundle: its folder.
            run: that it was made of; None where it is the copy of a bundle.

        Raises:
            ExportError: see `export.to_tensorrt`.
        """
        assert self._library is not None, "find comes first"
        told: list[str] = []
        held_out: Iterable[Feed] | None = None
        if run is not None and self.precision == "int8":
            data = Data(run, OPTION)
            found = to_symmetric(run, bundle, data)
            restate(bundle, Manifest.read(bundle), {"tensorrt_int8": facts(found)})
            told.append(f"int8 for TensorRT: {found.told}")
            held_out = data.joined
        if self.only_checked:
            return [*told, check(bundle, self.precision, self.options).told]
        if run is not None and held_out is None:
            try:
                held_out = Data(run, "proving an engine on held-out samples").joined
            except ExportError as error:
                told.append(f"the engine is proved on golden samples only: {error}")
        return [*told, tell(add_engine(bundle, self.precision, self.options, held_out or (), self._library))]


def tell(plan: Plan) -> str:
    """An engine in words."""
    proof = plan.proof
    ties = f", {proof.ties} of them ties that it decides otherwise" if proof.ties else ""
    return (
        f"{plan.file}: TensorRT {plan.tensorrt}, {plan.card} ({plan.compute_capability}); within "
        f"{proof.difference:.1e} of the graph, of {proof.tolerance:g} allowed, on {proof.samples} samples{ties}"
    )
