"""Ask a running service: `python -m clients predict URL --image a.jpg --text "…"`, `models URL`, `predict-many URL`.

`predict grpc://localhost:8001 --triton BUNDLE …` asks a Triton server for the model of that bundle instead.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console, Group
from rich.table import Table

from bundle.errors import TableError
from clients import shown
from clients.answer import Answer
from clients.errors import ClientError, InvalidCall
from clients.given import Given
from clients.many import command as many
from clients.payloads import Payload
from clients.rest import Client

KEY = "INFOBRIDGE_KEY"
"""Variable of the environment that holds the service's key."""


@dataclass(frozen=True)
class Predict:
    """Predict the class of one sample, and show what each modality says and adds."""

    url: tyro.conf.Positional[str]
    """Address of the service, such as http://localhost:3000; with --triton also grpc://localhost:8001."""
    audio: Path | None = None
    """A sound file, or a clip with a sound track."""
    video: Path | None = None
    """A clip."""
    image: Path | None = None
    """A picture."""
    text: Given = None
    """The text itself."""
    pathology: Path | None = None
    """A colour tile of a stained slide."""
    genomics: Path | None = None
    """A JSON object, a JSON list, or a CSV of one row."""
    model: Given = None
    """Name of the model; without it the server chooses by the inputs given."""
    require_all: tyro.conf.FlagCreatePairsOff[bool] = False
    """Refuse a sample that lacks an input of its model, instead of answering without."""
    abstain_below: float | None = None
    """The least probability, from 0 to 1, of a class that is no case for a person; without it the model's own."""
    key_file: Path | None = None
    """File that holds the key of the service; without it, the environment's INFOBRIDGE_KEY."""
    timeout: float = 60.0
    """Seconds to wait for the answer."""
    triton: Path | None = None
    """Folder of the bundle whose model the server, which is a Triton, offers: the sample is then prepared here."""
    json: bool = False
    """Print the answer as JSON."""


@dataclass(frozen=True)
class Models:
    """List the models that the service offers."""

    url: tyro.conf.Positional[str]
    """Address of the service, such as http://localhost:3000."""
    key_file: Path | None = None
    """File that holds the key of the service; without it, the environment's INFOBRIDGE_KEY."""
    timeout: float = 60.0
    """Seconds to wait for the answer."""
    json: bool = False
    """Print them as JSON."""


Command = (
    Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Models, tyro.conf.subcommand("models")]
    | Annotated[many.PredictMany, tyro.conf.subcommand("predict-many")]
)
INPUTS = ("audio", "video", "image", "text", "pathology", "genomics")


def run(command: Predict | Models, key: str | None) -> None:
    """Ask, and print the answer.

    Raises:
        ClientError: there is none.
    """
    if isinstance(command, Predict):
        answer = predict(command, key)
        show(asdict(answer) if command.json else shown.prediction(answer))
    else:
        with Client(command.url, timeout=command.timeout, key=key) as client:
            models = client.models()
        show([asdict(model) for model in models] if command.json else shown.models(models))


def predict(command: Predict, key: str | None) -> Answer:
    """The answer for one sample, of whichever kind of server.

    Raises:
        ClientError: there is none.
    """
    given = {name: getattr(command, name) for name in INPUTS}
    payloads: dict[str, Payload] = {name: value for name, value in given.items() if value is not None}
    require_all, below = command.require_all or None, command.abstain_below
    if command.triton is None:
        with Client(command.url, timeout=command.timeout, key=key) as client:
            return client.predict(model=command.model, require_all=require_all, abstain_below=below, **payloads)
    try:
        from clients import triton
    except (ImportError, RuntimeError) as error:
        raise InvalidCall(
            f"triton: expected tritonclient, pip install 'infobridge[triton]' brings it ({error})"
        ) from None
    headers = {"Authorization": f"Bearer {key}"} if key is not None and command.key_file is not None else {}
    with triton.Client(command.url, command.triton, command.model, command.timeout, headers=headers) as asked:
        return asked.predict(require_all=require_all, abstain_below=below, **payloads)


def show(content: object) -> None:
    """Print what is meant for people as it is, anything else as JSON."""
    if isinstance(content, Table | Group):
        Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(content)
    else:
        print(json.dumps(content, indent=2, ensure_ascii=False))


def read_key(path: Path | None) -> str | None:
    """The service's key from a file, or else from the environment; None where there is none.

    Raises:
        InvalidCall: the file cannot be read.
    """
    if path is None:
        return os.environ.get(KEY) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its content is not UTF-8"
        raise InvalidCall(f"key-file: expected a file with a key, {str(path)!r} is none ({reason})") from None


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and one line for whatever goes wrong."""
    try:
        command = tyro.cli(Command, args=arguments, prog="python -m clients")
        key = read_key(command.key_file)
        if isinstance(command, many.PredictMany):
            return many.run(command, key)
        run(command, key)
    except (ClientError, TableError) as error:
        line = " ".join(str(error).split())
        print("error: " + "".join(sign if sign.isprintable() else "?" for sign in line), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
