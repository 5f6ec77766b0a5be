"""Give a folder of tiles the stains of one of them: `python -m training.normalise_stains`; `--help` says the rest."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image

from bundle.errors import InvalidInput
from bundle.limits import Limits
from bundle.modalities import pixels
from bundle.modalities.pathology import FORMATS
from training.command import read_options
from training.errors import ConfigError, DataError, TrainingError
from training.progress import begin, console, track
from training.stain import Stains, Tile, normalised, stains_of

PROGRAM = "python -m training.normalise_stains"
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2")


@dataclass(frozen=True)
class Command:
    """Write every tile of a folder as a PNG with the stains of one reference tile (Vahadane et al. 2016).

    The regions that PathomicFusion distributes are normalised already. Who trains on normalised tiles must send
    normalised tiles to the service, with the same reference: it normalises none itself.
    """

    source: Annotated[Path, tyro.conf.arg(name="from")]
    """Folder of the tiles."""
    to: Path
    """Another folder, for tiles of the same names; those that are there already stay."""
    reference: Path
    """A tile whose stains look as all should."""


def normalise(command: Command) -> list[str]:
    """Do it; returns a line for each tile that could not be.

    Raises:
        ConfigError: no tiles, the same folder twice, or a folder that cannot be written.
        DataError: the reference cannot be used.
    """
    found = sorted(command.source.glob("*")) if command.source.is_dir() else []
    tiles = [path for path in found if path.suffix.lower() in ENDINGS]
    if not tiles:
        raise ConfigError(f"--from {command.source}: expected a folder of tiles ({', '.join(ENDINGS)}), found none")
    if command.to.resolve() == command.source.resolve():
        raise ConfigError("--to must be another folder than --from: the tiles there are kept as they are")
    try:
        reference = stains_of(read_tile(command.reference))
        command.to.mkdir(parents=True, exist_ok=True)
    except (InvalidInput, OSError, DataError) as error:
        raise DataError(f"--reference {command.reference} or --to {command.to} cannot be used: {error}") from None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            done = track(pool.map(lambda path: _one(path, command.to, reference), tiles), "Normalising", len(tiles))
            return [line for line in done if line is not None]
        finally:
            pool.shutdown(cancel_futures=True)


def read_tile(path: Path) -> Tile:
    """A colour picture as `(height, width, 3)` pixels, read as the service reads it.

    Raises:
        InvalidInput: no such picture.
        OSError: it cannot be read.
    """
    picture = pixels.open_picture(path.read_bytes(), FORMATS, Limits().tile_pixels)
    return np.asarray(pixels.flatten(picture, 3))


def _one(path: Path, folder: Path, reference: Stains) -> str | None:
    """Write one tile aside and rename it, unless it is there; what is wrong with it, if anything."""
    target = folder / f"{path.stem}.png"
    if target.exists():
        return None
    try:
        done = normalised(read_tile(path), reference)
    except (InvalidInput, DataError, OSError) as error:
        return f"{path}: {error}"
    aside = folder / f".{os.getpid()}-{target.name}"
    Image.fromarray(done).save(aside, format="PNG")
    os.replace(aside, target)
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 3 where some tiles could not be normalised."""
    begin()
    given: Any = sys.argv[1:] if arguments is None else arguments
    try:
        problems = normalise(read_options(Command, given, PROGRAM, str(Command.__doc__)))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    for line in problems:
        console.print(line)
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
