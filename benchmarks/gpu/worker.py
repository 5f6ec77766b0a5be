"""Processes that each hold some variants of one pairing: made side by side, then measured one at a time."""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.gpu.variant import Outputs, Variant, outputs_of_another, seconds
from bundle.modalities import Array

FAMILIES = ("eager", "captured", "compile-fp32", "compile-fp16", "ort-32", "ort-16", "ort-captured")
"""Captures are apart: one that fails can leave its process without a working device."""
SHOWN = 300
"""Characters of a failure's reason that are told."""
GRACE = 5.0
"""Seconds that a process has to end by itself."""
COMPILERS = "4"
"""Processes that each of torch.compile's may start: many of them work beside each other."""
SEEN, CHECKED = 1, 2
"""Seeds of the batch that is timed, and of another that only the check sees."""


class Holder:
    """The variants of one family for one pairing, and what can be asked of them.

    Args:
        pairing: a key of `benchmarks.gpu.pairings.pairings`.
        family: one of `FAMILIES`.
        device: `cuda` or `cpu`.
        tiny: whether the pairing is that of tests.
        folder: where graphs are left for other families.
    """

    def __init__(self, pairing: str, family: str, device: str, tiny: bool, folder: Path) -> None:
        from benchmarks.gpu.pairings import pairings

        self.name, self.family, self.device, self.folder = pairing, family, device, folder
        self.pairing = pairings(tiny)[pairing]
        self.variants: dict[str, Variant] = {}
        self.opened: dict[str, Variant] = {}
        self._drawn: dict[tuple[int, int], Outputs] = {}

    def make(self, batches: list[int]) -> dict[str, str]:
        """Make the variants, and whatever takes long for these sizes of a batch; titles to precisions."""
        from benchmarks.gpu import on_onnx, on_torch

        if self.family.startswith("ort"):
            ours = {"ort-32": on_onnx.in_32_bits, "ort-16": on_onnx.in_16_bits, "ort-captured": on_onnx.captured}
            self.variants = ours[self.family](self._exported(), self.pairing, self.device)
        else:
            graph = self.pairing.graph()
            if self.family in ("eager", "captured"):
                theirs = {"eager": on_torch.eager, "captured": on_torch.captured}
                self.variants = theirs[self.family](graph, self.device)
            else:
                self.variants = on_torch.compiled(graph, self.device, self.family.removeprefix("compile-"))
        for batch in batches:
            self.prepare(batch)
        return {title: variant.precision for title, variant in self.variants.items()}

    def prepare(self, batch: int) -> None:
        """What takes long: compile, or make a session. What fails here fails again, and is told, when it is opened."""
        for variant in self.variants.values():
            made: Any = variant
            try:
                if hasattr(made, "session"):
                    made.session(batch)
                elif self.family.startswith("compile") and hasattr(made, "call"):
                    made.open(self._inputs(batch, SEEN))
                    made.close()
            except Exception:
                traceback.print_exc()

    def _exported(self) -> onnx.ModelProto:
        from export.to_onnx import to_onnx

        path = self.folder / f"{self.name}.onnx"
        if self.family == "ort-32":
            declaration = self.pairing.declaration
            model = to_onnx(self.pairing.graph(), declaration, self.pairing.inputs(2, SEEN))
            onnx.save(model, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        limit = time.monotonic() + 240
        while not path.exists():
            if time.monotonic() > limit:
                raise TimeoutError(f"{path} was not exported")
            time.sleep(0.2)
        return onnx.load(path)

    def open(self, batch: int) -> dict[str, str]:
        """Ready every variant for a size of a batch; titles to why not, empty where it is."""
        found = {}
        for title, variant in self.variants.items():
            try:
                variant.open(self._inputs(batch, SEEN))
                self.opened[title], found[title] = variant, ""
            except Exception as error:
                traceback.print_exc()
                found[title] = f"{type(error).__name__}: {error}"[:SHOWN]
        return found

    def check(self, title: str, batch: int) -> list[Array]:
        """Outputs of a batch that is not the one that is timed."""
        found = outputs_of_another(self.opened[title], self._inputs(batch, CHECKED))
        return [values.float().numpy() for values in found]

    def time(self, title: str, budget: float, copies: bool) -> list[float]:
        """Seconds of single runs, as many as fit into a budget of seconds, at least one."""
        variant = self.opened[title]
        [first] = seconds(variant, 1, copies)
        return seconds(variant, max(1, int(budget / max(first, 1e-6))), copies)

    def _inputs(self, batch: int, seed: int) -> Outputs:
        if (batch, seed) not in self._drawn:
            self._drawn = {key: values for key, values in self._drawn.items() if key[0] == batch}
            self._drawn[batch, seed] = self.pairing.inputs(batch, seed)
        return tuple(values.clone() for values in self._drawn[batch, seed])

    def operations(self) -> float:
        """Floating-point operations of one sample, two for each product that is added."""
        from benchmarks.gpu.peak import operations

        return operations(self.pairing)

    def close(self) -> None:
        """Let go of the batch."""
        import torch

        for variant in self.opened.values():
            variant.close()
        self.opened.clear()
        if self.device == "cuda":
            torch.cuda.empty_cache()


class Lost(RuntimeError):
    """A process ended, or did not answer in time."""


class Remote:
    """A holder in a process of its own."""

    def __init__(self, *given: Any) -> None:
        self.title = f"{given[0]}, {given[1]}"
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, given))
        self._process.start()
        self._busy = False
        there.close()

    def ask(self, what: str, *given: Any) -> None:
        """Begin something."""
        self._busy = True
        try:
            self._here.send((what, given))
        except OSError:
            raise Lost(f"{self.title}: its process ended") from None

    def answer(self, patience: float) -> Any:
        """What was begun last.

        Raises:
            Lost: there is none.
            RuntimeError: it failed.
        """
        try:
            if not self._here.poll(patience):
                raise Lost(f"{self.title}: no answer in {patience:.0f} seconds")
            good, found = self._here.recv()
            self._busy = False
        except (EOFError, OSError):
            raise Lost(f"{self.title}: its process ended") from None
        if not good:
            raise RuntimeError(f"{self.title}: {found}")
        return found

    def stop(self) -> None:
        """End the process; it may do so by itself first, so that what it started ends too."""
        self._here.close()
        self._process.join(0.0 if self._busy else GRACE)
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, given: tuple[Any, ...]) -> None:
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", COMPILERS)
    if given[2] == "cuda":
        import torch

        torch.cuda.init()  # type: ignore[no-untyped-call]
        from bundle.runtime import onnxruntime

        onnxruntime.preload_dlls()
    holder = Holder(*given)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return
        call: Callable[..., Any] = getattr(holder, what)
        try:
            pipe.send((True, call(*arguments)))
        except Exception as error:
            traceback.print_exc()
            pipe.send((False, f"{type(error).__name__}: {error}"[:SHOWN]))


class Local:
    """A holder in this process, for tests."""

    def __init__(self, *given: Any) -> None:
        self.title = f"{given[0]}, {given[1]}"
        self._holder = Holder(*given)

    def ask(self, what: str, *given: Any) -> None:
        """Do something."""
        self._found = getattr(self._holder, what)(*given)

    def answer(self, patience: float) -> Any:
        """What was found."""
        return self._found

    def stop(self) -> None:
        """Nothing to end."""


def relative_error(found: list[Array], expected: list[Array]) -> float:
    """The largest, over the outputs, of |found - expected| / |expected|; infinite where a number is not finite.

    An expected output that is 0 throughout proves nothing, and counts as infinite too.
    """
    errors = []
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape or not np.isfinite(one).all():
            return float("inf")
        size, apart = float(np.linalg.norm(other)), float(np.linalg.norm(one - other))
        errors.append(apart / size if size else float("inf"))
    return float(np.max(errors))
