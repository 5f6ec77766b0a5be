"""multipart/form-data to named parts, in memory and as the bytes that were sent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.problems import problem

MAX_PARTS = 16
"""Of a form for one sample."""


@dataclass(frozen=True)
class Part:
    """One part of a form."""

    name: str
    content: bytes
    uploaded: bool
    """Whether it was sent as a file: with a file name, or with a media type that is neither text nor JSON."""


class _Collector:
    """Callbacks of the parser: collects finished parts.

    Raises:
        ProblemError: a part without a name, too many parts, or a part that is no file and over the limit.
    """

    def __init__(self, part_limit: int, max_parts: int) -> None:
        self.parts: list[Part] = []
        self.complete = False
        self._part_limit = part_limit
        self._max_parts = max_parts
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._content_type = b""
        self._name = ""
        self._uploaded = False
        self._chunks: list[bytes] = []
        self._size = 0

    def on_part_begin(self) -> None:
        if len(self.parts) == self._max_parts:
            raise problem("malformed-body", f"a form may have at most {self._max_parts:,} parts")
        self._disposition = self._content_type = b""
        self._chunks, self._size = [], 0

    def on_header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        name, value = self._header
        match name.lower():
            case b"content-disposition":
                self._disposition = bytes(value)
            case b"content-type":
                self._content_type = bytes(value)

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        try:
            self._name = options[b"name"].decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            raise problem("malformed-body", "a part of the form has no name") from None
        media_type = self._content_type.strip().lower()
        foreign = bool(media_type) and not media_type.startswith((b"text/", b"application/json"))
        self._uploaded = b"filename" in options or b"filename*" in options or foreign

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if not self._uploaded and self._size > self._part_limit:
            raise problem(
                "too-large",
                f"a part that is not a file may have at most {self._part_limit:,} bytes; upload it as a file",
                field=self._name,
            )
        self._chunks.append(data[start:end])

    def on_part_end(self) -> None:
        self.parts.append(Part(self._name, b"".join(self._chunks), self._uploaded))
        self._chunks = []

    def on_end(self) -> None:
        self.complete = True


CALLBACKS = tuple(name for name in dir(_Collector) if name.startswith("on_"))


async def read_form(
    content_type: str, body: AsyncIterator[bytes], part_limit: int, max_parts: int = MAX_PARTS
) -> list[Part]:
    """Every part, in order.

    Raises:
        ProblemError: 400 for a form that is malformed or cut short, 413 for a part over `part_limit` bytes.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise problem("malformed-body", "multipart/form-data needs a boundary in its Content-Type")
    collector = _Collector(part_limit, max_parts)
    try:
        parser = MultipartParser(boundary, {name: getattr(collector, name) for name in CALLBACKS})  # type: ignore[arg-type]
        async for chunk in body:
            parser.write(chunk)
    except FormParserError:
        raise problem("malformed-body", "the form is not valid multipart/form-data") from None
    if not collector.complete:
        raise problem("malformed-body", "the form ends before its closing boundary")
    return collector.parts
