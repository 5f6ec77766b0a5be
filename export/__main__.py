"""Export a finished run to a bundle: `python -m export RUN --to BUNDLE`.

With `--triton REPOSITORY` the bundle is written into Triton model repositories too, REPOSITORY/prod and
REPOSITORY/portable; `python -m export BUNDLE --triton REPOSITORY` does that with a bundle that is there already.
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
from bundle.manifest import FILE
from export.assemble import assemble
from export.calibrate import Wanted
from export.errors import ExportError, NotCalibrated
from export.half import Half
from export.summary import lines
from export.to_triton import check_name, to_triton
from export.triton_config import TritonOptions
from training.checkpoint import read
from training.errors import TrainingError

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class Options:
    """Turn a trained classifier into one folder that serves: ONNX graph, preprocessing, golden samples, manifest.

    The graph is proved equal to the trained model before the folder appears.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|BUNDLE")]
    """Folder of a finished `python -m training.fit`; with --triton also of a bundle."""
    to: Path | None = None
    """The bundle's folder, which must not exist yet; needed where a run is exported."""
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
        return Wanted(calibrate, *thresholds, self.quantize, self.precision)

    def bundle(self) -> Path:
        """The folder of the bundle that is made, or is there.

        Raises:
            ExportError: options that do not fit together.
        """
        if self.triton is not None and self.name is not None:
            check_name(self.name)
        if (self.source / FILE).is_file():
            if self.to is not None or self.triton is None:
                raise ExportError(f"{self.source} is a bundle already: --triton REPOSITORY is what can be made of it")
            if self.quantize is not None or self.precision is not None:
                option = "--precision" if self.quantize is None else "--quantize"
                raise ExportError(f"{self.source} is a bundle already: {option} is for the export of a run")
            return self.source
        if self.to is None:
            raise ExportError("expected --to BUNDLE, the folder that is to be made of the run")
        return self.to


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        options = tyro.cli(Options, args=arguments, prog="python -m export")
        bundle = options.bundle()
        if options.to is not None:
            _export(options, bundle, console)
        if options.triton is not None:
            for written in to_triton(bundle, options.triton, options.triton_model, options.name):
                console.print(f"{written.folder}: version {written.version}")
    except (ExportError, TrainingError, BundleError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def _export(options: Options, bundle: Path, console: Console) -> None:
    name = options.name if options.name is not None else bundle.resolve().name
    with console.status("Tracing and proving the graph"):
        run = read(options.source)
        done = assemble(run, bundle, name, options.overwrite, options.wanted())
    names = " + ".join(run.modalities)
    equal = "equal to the trained model" if done.measured.quantized is None else "as the trained model"
    console.print(f"{bundle}: {names}, {len(run.labels)} classes; {equal} within {done.difference:.1e}")
    for line in lines(tuple(run.modalities), done):
        console.print(line)


if __name__ == "__main__":
    sys.exit(main())
