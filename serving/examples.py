"""Ready-made requests: the generated payloads that every bundle carries for its own check."""

from collections.abc import Sequence

from bundle.manifest import GOLDEN
from bundle.predictor import Predictor
from bundle.selfcheck import golden_payloads, read_golden
from serving.schema import FILE, field_type

BOUNDARY = "infobridge-example"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
BINARY = "application/octet-stream"
TYPES = {"text": "text/plain; charset=utf-8", "genomics": "application/json"}
"""Media types of modalities that are no files."""
MAGIC = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftyp", "video/mp4"),
)
"""Where a file says what it is, and its media type."""
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "audio/wav": ".wav", "audio/flac": ".flac", "video/mp4": ".mp4"}


def complete(samples: Sequence[dict[str, bytes]], names: Sequence[str]) -> dict[str, bytes]:
    """The first sample; what it lacks is taken from the next that has it."""
    found: dict[str, bytes] = {}
    for sample in samples:
        found = sample | found
    return {name: found[name] for name in names if name in found}


class Examples:
    """The golden samples of a bundle, some of which lack inputs, as payloads and as whole requests."""

    def __init__(self, predictor: Predictor) -> None:
        names = predictor.manifest.modalities
        self._payloads = golden_payloads(read_golden(predictor.folder / GOLDEN), names)
        self.complete = complete(self._payloads, names)
        """One payload for every input."""
        self.inputs = tuple(tuple(sample) for sample in self._payloads)
        """Which inputs each example has."""
        self._modalities = predictor.modalities
        self._name = predictor.manifest.name

    def __len__(self) -> int:
        return len(self._payloads)

    def payload(self, index: int, name: str) -> tuple[bytes, str]:
        """The payload of one input, and its media type.

        Raises:
            KeyError: there is no such example, or it lacks this input.
        """
        content = self._sample(index)[name]
        kind = TYPES.get(self._modalities[name].name)
        if kind is None:
            kind = next((kind for start, magic, kind in MAGIC if content.startswith(magic, start)), BINARY)
        return content, kind

    def _sample(self, index: int) -> dict[str, bytes]:
        if not 0 <= index < len(self._payloads):
            raise KeyError(index)
        return self._payloads[index]

    def form(self, index: int) -> bytes:
        """A whole request body of type `FORM` that asks this model about one example.

        Raises:
            KeyError: there is no such example.
        """
        lines = []
        for name in self._sample(index):
            content, kind = self.payload(index, name)
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
            if field_type(self._modalities[name]) == FILE:
                head += f'; filename="{name}{SUFFIXES.get(kind, ".bin")}"\r\nContent-Type: {kind}'
            lines += [head.encode() + b"\r\n\r\n", content, b"\r\n"]
        model = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{self._name}\r\n--{BOUNDARY}--\r\n'
        )
        return b"".join(lines) + model.encode()
