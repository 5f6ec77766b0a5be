"""The command line of every peer: a folder, a port, threads."""

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What a peer is started with."""

    folder: Path
    port: int
    threads: int


def read(description: str | None) -> Options:
    """The options of this process."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the bundle, or the run where the peer needs the checkpoint")
    parser.add_argument("--port", type=int, default=3001)
    parser.add_argument("--threads", type=int, default=2, help="of one inference")
    found = parser.parse_args()
    return Options(found.folder, found.port, found.threads)
