"""Forms with an audio file: the file flows to a blob while it comes in, the other fields are small and kept."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import Receive

from antiphon.audio.sniff import HEAD_BYTES, sniff
from antiphon.blobs import Blobs, BlobWriter
from antiphon.errors import AudioTooShort, InvalidAudio, MissingParameter
from antiphon.schemas import BlobRef
from services.ingest.body import chunks
from services.ingest.errors import MalformedBody
from services.ingest.multipart import MultipartReader, PartData, PartStarted, boundary_of
from services.ingest.parameters.fields import Fields

MAX_FIELD_BYTES = 2 * 2**20
MAX_FIELDS_BYTES = 8 * 2**20

NOT_AUDIO = (
    "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
)


class Upload:
    """A form that was read whole, with its file in a blob that is not yet kept."""

    def __init__(self, fields: Fields, file: _AudioSink) -> None:
        self.fields = fields
        self._file = file

    @property
    def present(self) -> bool:
        """Whether the form has a file."""
        return self._file.seen

    @property
    def filename(self) -> str | None:
        """What the client calls the file."""
        return self._file.filename

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file, when it was asked for."""
        return self._file.digest

    async def keep(self) -> BlobRef:
        """Make the blob durable. Raises `MissingParameter` when the form has no file."""
        return await self._file.keep()


@asynccontextmanager
async def receive_upload(
    headers: Headers,
    receive: Receive,
    blobs: Blobs,
    *,
    hashed: bool = False,
    file_field: str = "file",
    text_fields: frozenset[str] = frozenset(),
) -> AsyncIterator[Upload]:
    """Read a form, with a digest of its file if `hashed`; what is not kept by the end of the block is discarded.

    `text_fields` are texts even when a client gives them a file name.

    Raises `MalformedBody`, `UnsupportedMediaType`, `ContentTooLarge`, `InvalidAudio`, `AudioTooShort`,
    `ClientDisconnect`.
    """
    reader = MultipartReader(boundary_of(headers.get("content-type", "")))
    async with AsyncExitStack() as stack:
        file = _AudioSink(file_field, blobs, stack, hashed=hashed)
        yield Upload(await _read(receive, reader, file, text_fields=text_fields), file)


def is_form(headers: Headers) -> bool:
    """Tell whether the body is a form that may have files."""
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == "multipart/form-data"


async def read_fields(headers: Headers, receive: Receive) -> Fields:
    """Read a form that has no file; files in it are passed over. Raises as `receive_upload` does."""
    return await _read(receive, MultipartReader(boundary_of(headers.get("content-type", ""))), None)


async def _read(
    receive: Receive,
    reader: MultipartReader,
    file: _AudioSink | None,
    *,
    text_fields: frozenset[str] = frozenset(),
) -> Fields:
    pairs = _Pairs()
    sink: _AudioSink | _Pairs | _Waste = _Waste()
    async for chunk in chunks(receive):
        for piece in reader.feed(chunk):
            match piece:
                case PartStarted(name=name, filename=filename) if file and name == file.field:
                    sink = file
                    file.start(filename)
                case PartStarted(name=name, filename=filename) if filename is None or name in text_fields:
                    sink = pairs
                    pairs.start(name)
                case PartStarted():
                    sink = _Waste()
                case PartData(data):
                    await sink.write(data)
                case _:
                    await sink.end()
    reader.close()
    return Fields(pairs.values)


class _Waste:
    async def write(self, data: bytes) -> None:
        """Drop it."""

    async def end(self) -> None:
        """Do nothing."""


class _Pairs:
    """Collects the fields that are not files."""

    def __init__(self) -> None:
        self.values: list[tuple[str, str]] = []
        self._name = ""
        self._value = bytearray()
        self._total = 0

    def start(self, name: str) -> None:
        self._name = name

    async def write(self, data: bytes) -> None:
        self._value += data
        self._total += len(data)
        if len(self._value) > MAX_FIELD_BYTES or self._total > MAX_FIELDS_BYTES:
            raise MalformedBody(f"Could not parse multipart form: field '{self._name}' is too large.", param=self._name)

    async def end(self) -> None:
        try:
            self.values.append((self._name, self._value.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise MalformedBody(f"Field '{self._name}' is not UTF-8.", param=self._name) from error
        self._value.clear()


class _AudioSink:
    """Looks at the head of a file, then writes it to a blob."""

    def __init__(self, field: str, blobs: Blobs, stack: AsyncExitStack, *, hashed: bool) -> None:
        self.field = field
        self.seen = False
        self.filename: str | None = None
        self._blobs = blobs
        self._stack = stack
        self._hash = hashlib.sha256() if hashed else None
        self._head = bytearray()
        self._writer: BlobWriter | None = None

    @property
    def digest(self) -> bytes:
        return self._hash.digest() if self._hash else b""

    def start(self, filename: str | None) -> None:
        if self.seen:
            raise MalformedBody(f"The form has more than one '{self.field}'.", param=self.field)
        self.seen = True
        self.filename = filename

    async def write(self, data: bytes) -> None:
        if self._hash:
            self._hash.update(data)
        if self._writer is not None:
            await self._writer.write(data)
            return
        self._head += data
        if len(self._head) >= HEAD_BYTES:
            await self._open()

    async def end(self) -> None:
        if self._writer is None:
            await self._open()

    async def keep(self) -> BlobRef:
        if self._writer is None:
            raise MissingParameter(f"Missing required parameter: '{self.field}'.", param=self.field)
        return await self._writer.commit()

    async def _open(self) -> None:
        head = bytes(self._head)
        if not head:
            raise AudioTooShort("Audio file is too short. Minimum audio length is 0.1 seconds.", param=self.field)
        container = sniff(head)
        if container is None:
            raise InvalidAudio(NOT_AUDIO, param=self.field)
        self._writer = await self._stack.enter_async_context(self._blobs.writer(media_type=container.media_type))
        await self._writer.write(head)
        self._head.clear()
