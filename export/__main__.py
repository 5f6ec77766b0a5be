"""Export a finished run to a bundle: `python -m export RUN --to BUNDLE`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from bundle.checking import one_line
from bundle.errors import BundleError
from export.assemble import assemble
from export.errors import ExportError
from training.checkpoint import read
from training.errors import TrainingError


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = tyro.cli(Options, args=arguments, prog="python -m export")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    name = options.name if options.name is not None else options.to.resolve().name
    try:
        with console.status("Tracing and proving the graph"):
            run = read(options.run)
            difference = assemble(run, options.to, name, options.overwrite)
    except (ExportError, TrainingError, BundleError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    names = " + ".join(run.modalities)
    console.print(
        f"{options.to}: {names}, {len(run.labels)} classes; equal to the trained model within {difference:.1e}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
