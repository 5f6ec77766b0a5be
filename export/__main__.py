"""Export a finished run to a bundle: `python -m export RUN --to BUNDLE`.

With `--triton REPOSITORY` the bundle is written into Triton model repositories too, REPOSITORY/prod and
REPOSITORY/portable; `python -m export BUNDLE --triton REPOSITORY` does that with a bundle that is there already.
With `--tensorrt fp16` it gets a TensorRT engine for this machine's card; `--tensorrt-check` needs no card, and says
whether TensorRT takes the graph.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from bundle.checking import one_line
from bundle.errors import BundleError
from bundle.execution import Precision
from bundle.manifest import FILE
from export.assemble import Assembled, assemble, write
from export.calibrate import Wanted
from export.errors import ExportError, NotCalibrated
from export.half import Half
from export.replacing import replacing
from export.summary import lines
from export.tensorrt_shapes import EngineOptions
from export.to_tensorrt import check, copied
from export.to_triton import check_name, to_triton
from export.triton_config import FLAVOURS, TritonOptions
from export.with_tensorrt import Asked
from training.checkpoint import Checkpoint, read
from training.errors import TrainingError

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class Options:
    """Turn a trained classifier into one folder that serves: ONNX graph, preprocessing, golden samples, manifest.

    The graph is proved equal to the trained model before the folder appears.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|BUNDLE")]
    """Folder of a finished `python -m training.fit`; with --triton and --tensorrt also of a bundle."""
    to: Path | None = None
    """The bundle's folder, which must not exist yet; needed where a run is exported, or a bundle gets an engine."""
    name: str | None = None
    """Name of the model in answers and in Triton; not given, the folder's, and of a bundle its own."""
    overwrite: bool = False
    """Replace a bundle that is already there."""
    calibrate: Flag = False
    """Refuse to export where temperatures cannot be fitted on the validation split; not given, the bundle is then
    exported without, and says so."""
    no_calibrate: Flag = False
    """Leave the probabilities as they are."""
    shift_quantile: float = Wanted.shift_quantile
    """Share of validation samples that are not called unusual."""
    abstain_below: float | None = None
    """Answers abstain where the predicted class is less probable than this, 0 to 1."""
    abstain_risk: float | None = None
    """Answers abstain below the probability, chosen on validation, at which at most this share of answers is wrong."""
    quantize: Literal["int8"] | None = None
    """Compute the encoders in eight bits, for a CPU; needs the data of the training. Refused where accuracy on test
    drops by 0.5 points or more, or the calibration error rises by 0.01 or more."""
    precision: Half | None = None
    """Compute the encoders in sixteen bits, for a GPU: fp16 runs everywhere, bf16 on a GPU only. Needs the data of the
    training, and is refused as eight bits are, or where an output is further than 0.05 from the trained model's."""
    fused: Flag = False
    """With --precision, make single nodes of attention, layer normalisation and GELU, which a GPU computes much faster.
    They are ONNX Runtime's own: cuda and cpu run them, TensorRT and other runtimes do not."""
    tensorrt: Precision | None = None
    """Build a TensorRT engine of this precision for this machine's card, prove it there, and keep it in the bundle.
    int8 needs the data of the training, as --quantize does, and leaves its graph in the bundle, of which engines can
    be built on other machines."""
    tensorrt_check: Flag = False
    """Build no engine, but have TensorRT-RTX parse the graph and compile it, which needs no card."""
    tensorrt_engine: EngineOptions = field(default_factory=EngineOptions)
    """What an engine takes, and is fastest for."""
    triton: Path | None = None
    """Folder of Triton model repositories, one a flavour; a model of the name that is there gets a further version."""
    triton_model: TritonOptions = field(default_factory=TritonOptions)
    """How Triton runs the model."""

    def wanted(self) -> Wanted:
        """What is to be measured.

        Raises:
            ExportError: options that contradict one another, or shares that are none.
        """
        if self.calibrate and self.no_calibrate:
            raise NotCalibrated("--calibrate and --no-calibrate contradict one another; give one of them")
        calibrate = True if self.calibrate else False if self.no_calibrate else None
        thresholds = (self.shift_quantile, self.abstain_below, self.abstain_risk)
        return Wanted(calibrate, *thresholds, self.quantize, self.precision, self.fused)

    def bundle(self) -> Path:
        """The folder of the bundle that is made, or is there.

        Raises:
            ExportError: options that do not fit together.
        """
        if self.triton is not None and self.name is not None:
            check_name(self.name)
        if self.tensorrt_check and self.tensorrt is None:
            raise ExportError("--tensorrt-check: expected --tensorrt PRECISION beside it, which says what to check")
        fewer = self.wanted().option
        if self.tensorrt is not None and fewer:
            raise ExportError(
                f"{fewer} makes another graph than --tensorrt, which is made of one in 32 bits; expected one of them, "
                "and two bundles where both are wanted"
            )
        if self.is_bundle:
            return self._of_bundle(fewer)
        if self.to is None:
            raise ExportError("expected --to BUNDLE, the folder that is to be made of the run")
        return self.to

    def named(self, bundle: Path) -> str:
        """The name of the model that a bundle's folder is to hold."""
        return self.name if self.name is not None else bundle.resolve().name

    @property
    def is_bundle(self) -> bool:
        """Whether the source is a bundle already."""
        return (self.source / FILE).is_file()

    def _of_bundle(self, fewer: str) -> Path:
        if fewer:
            raise ExportError(f"{self.source} is a bundle already: {fewer} is for the export of a run")
        if self.to is not None and self.tensorrt_check:
            raise ExportError(
                f"{self.source} is a bundle already, and --tensorrt-check makes none: expected no --to beside it, "
                f"found {self.to}; leave --to out"
            )
        builds = self.tensorrt is not None and not self.tensorrt_check
        if self.to is None and builds:
            raise ExportError(f"{self.source} is a bundle, which never changes: expected --to OTHER for the engine")
        if (self.to is not None and not builds) or (self.tensorrt is None and self.triton is None):
            raise ExportError(
                f"{self.source} is a bundle already: --triton REPOSITORY and --tensorrt PRECISION, with --to OTHER or "
                "--tensorrt-check, are what can be made of it"
            )
        return self.source if self.to is None else self.to


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        options = tyro.cli(Options, args=arguments, prog="python -m export")
        bundle = options.bundle()
        if options.tensorrt is not None:
            _with_tensorrt(options, options.tensorrt, console)
        elif options.to is not None:
            _export(options, bundle, console)
        if options.triton is not None:
            written = to_triton(bundle, options.triton, options.triton_model, options.name)
            for model in written:
                console.print(f"{model.folder}: version {model.version}")
            if options.triton_model.flavours is None and len(written) < len(FLAVOURS):
                console.print("no portable model: it is for a CPU, and a graph in bf16 needs a GPU")
    except (ExportError, TrainingError, BundleError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def _export(options: Options, bundle: Path, console: Console) -> None:
    with console.status("Tracing and proving the graph"):
        run = read(options.source)
        done = assemble(run, bundle, options.named(bundle), options.overwrite, options.wanted())
    _tell(bundle, run, done, console)


def _with_tensorrt(options: Options, precision: Precision, console: Console) -> None:
    """The same with an engine, or with what TensorRT-RTX says of the graph."""
    asked = Asked(precision, options.tensorrt_check, options.tensorrt_engine)
    asked.find()
    if options.to is None:
        with console.status("Parsing and compiling the graph"):
            checked = check(options.source, precision, options.tensorrt_engine)
        console.print(checked.told)
        return
    with replacing(options.to, options.overwrite) as folder, console.status("Tracing, proving and compiling the graph"):
        if options.is_bundle:
            copied(options.source, folder)
            told = asked.fulfil(folder, None)
        else:
            run = read(options.source)
            done = write(run, folder, options.named(options.to), options.wanted())
            told = asked.fulfil(folder, run)
    if options.is_bundle:
        console.print(f"{options.to}: the bundle {options.source} with an engine")
    else:
        _tell(options.to, run, done, console)
    for line in told:
        console.print(line)


def _tell(bundle: Path, run: Checkpoint, done: Assembled, console: Console) -> None:
    names = " + ".join(run.modalities)
    equal = "equal to the trained model" if done.measured.quantized is None else "as the trained model"
    console.print(f"{bundle}: {names}, {len(run.labels)} classes; {equal} within {done.difference:.1e}")
    for line in lines(tuple(run.modalities), done):
        console.print(line)


if __name__ == "__main__":
    sys.exit(main())
