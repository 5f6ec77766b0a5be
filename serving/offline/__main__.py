"""Answer a whole table with a bundle: `python -m serving.offline BUNDLE --table pairs.csv --out answers.csv`."""

import sys

import tyro

from bundle.errors import BundleError
from serving.offline.command import Offline, run
from serving.settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 2 and one line for whatever goes wrong."""
    try:
        return run(tyro.cli(Offline, args=arguments, prog="python -m serving.offline"))
    except (BundleError, SettingsError) as error:
        line = " ".join(str(error).split())
        print("error: " + "".join(sign if sign.isprintable() else "?" for sign in line), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
