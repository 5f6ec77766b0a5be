"""Export a finished run to a bundle: `python -m export RUN --to BUNDLE`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from bundle.checking import one_line
from bundle.errors import BundleError
from export.assemble import assemble
from export.calibrate import Wanted
from export.errors import ExportError, NotCalibrated
from export.summary import lines
from training.checkpoint import read
from training.errors import TrainingError

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class Options:
    """Turn a trained classifier into one folder that serves: ONNX graph, preprocessing, golden samples, manifest.

    The graph is proved equal to the trained model before the folder appears.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished `python -m training.fit`."""
    to: Path
    """The bundle's folder, which must not exist yet."""
    name: str | None = None
    """Name of the model in answers; not given, the folder's."""
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

    def wanted(self) -> Wanted:
        """What is to be measured.

        Raises:
            NotCalibrated: options that contradict one another, or shares that are none.
        """
        if self.calibrate and self.no_calibrate:
            raise NotCalibrated("--calibrate and --no-calibrate contradict one another; give one of them")
        calibrate = True if self.calibrate else False if self.no_calibrate else None
        return Wanted(calibrate, self.shift_quantile, self.abstain_below, self.abstain_risk, self.quantize)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = tyro.cli(Options, args=arguments, prog="python -m export")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    name = options.name if options.name is not None else options.to.resolve().name
    try:
        with console.status("Tracing and proving the graph"):
            run = read(options.run)
            done = assemble(run, options.to, name, options.overwrite, options.wanted())
    except (ExportError, TrainingError, BundleError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    names = " + ".join(run.modalities)
    equal = "equal to the trained model" if done.measured.quantized is None else "as the trained model"
    console.print(f"{options.to}: {names}, {len(run.labels)} classes; {equal} within {done.difference:.1e}")
    for line in lines(tuple(run.modalities), done):
        console.print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
