"""multipart/form-data as a stream of small facts: bytes in, pieces out, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from antiphon.errors import UnsupportedMediaType
from services.ingest.errors import MalformedBody

MAX_PARTS = 512


@dataclass(frozen=True)
class PartStarted:
    """The headers of a part."""

    name: str
    filename: str | None


@dataclass(frozen=True)
class PartData:
    """Some bytes of the part that was started last."""

    data: bytes


@dataclass(frozen=True)
class PartEnded:
    """The part that was started last is whole."""


Piece = PartStarted | PartData | PartEnded


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type header names.

    Raises `UnsupportedMediaType` when it is not multipart/form-data, `MalformedBody` when it names no boundary.
    """
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        shown = media_type.decode("latin-1") or "none"
        raise UnsupportedMediaType(f"Unsupported content type: '{shown}'. This endpoint reads 'multipart/form-data'.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise MalformedBody("Could not parse multipart form: the content type names no boundary.")
    return boundary


class MultipartReader:
    """Parses one body, however it is cut into chunks."""

    def __init__(self, boundary: bytes, *, max_parts: int = MAX_PARTS) -> None:
        self._max_parts = max_parts
        self._pieces: list[Piece] = []
        self._data: list[bytes] = []
        self._field = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise MalformedBody(f"Could not parse multipart form: {error}.") from error

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return what `chunk` completes. Raises `MalformedBody`."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedBody("Could not parse multipart form: the body does not follow its boundary.") from error
        self._flush_data()
        pieces, self._pieces = self._pieces, []
        return pieces

    def close(self) -> None:
        """Raise `MalformedBody` unless the last boundary has been seen."""
        if not self._ended:
            raise MalformedBody("Could not parse multipart form: the body ends before its last boundary.")

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise MalformedBody(f"Could not parse multipart form: more than {self._max_parts} parts.")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise MalformedBody("Could not parse multipart form: a part has no name.")
        filename = options.get(b"filename")
        self._pieces.append(
            PartStarted(
                name=options[b"name"].decode("utf-8", "replace"),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _on_part_end(self) -> None:
        self._flush_data()
        self._pieces.append(PartEnded())

    def _on_end(self) -> None:
        self._ended = True

    def _flush_data(self) -> None:
        # The parser hands out data in slivers around anything that resembles a boundary.
        if self._data:
            self._pieces.append(PartData(b"".join(self._data)))
            self._data.clear()
