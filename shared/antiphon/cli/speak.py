"""`antiphon speak`: text in, an audio file out, written as it arrives."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from antiphon.cli.connection import Connection, describe_failure, describe_refusal, find_connection
from antiphon.cli.failure import CommandFailed, fail

FORMATS = {
    ".mp3": "mp3",
    ".opus": "opus",
    ".ogg": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".wav": "wav",
    ".pcm": "pcm",
}


@dataclass(frozen=True)
class SpeakOptions:
    """What the user asked for. `output` `-` is stdout."""

    output: Path
    voice: str = "alloy"
    model: str = "tts-1"
    speed: float = 1.0
    response_format: str | None = None

    def request(self, text: str) -> dict[str, object]:
        """Return the body of the request. Raises `CommandFailed` for a suffix that names no format."""
        return {
            "model": self.model,
            "input": text,
            "voice": self.voice,
            "speed": self.speed,
            "response_format": self.response_format or self._format_of_suffix(),
        }

    def _format_of_suffix(self) -> str:
        if self.output == Path("-"):
            return "mp3"
        try:
            return FORMATS[self.output.suffix.lower()]
        except KeyError:
            known = " ".join(FORMATS)
            raise CommandFailed(f"{self.output}: no audio format has this suffix; use one of {known}") from None


def speak(text: str, options: SpeakOptions) -> None:
    """Speak `text`, or what stdin says when it is `-`. Leaves with exit code 1 and one line when that fails."""
    try:
        said = sys.stdin.read() if text == "-" else text
        request = options.request(said)
        connection = find_connection(os.environ)
        if options.output == Path("-"):
            asyncio.run(_fetch(request, sys.stdout.buffer, connection))
            return
        asyncio.run(_write(request, options.output, connection))
        print(f"{options.output} ({options.output.stat().st_size:,} bytes)", file=sys.stderr)
    except CommandFailed as error:
        fail(str(error))
    except httpx.HTTPError as error:
        fail(describe_failure(error, connection.base_url))
    except OSError as error:
        fail(f"{options.output}: {error.strerror}")


async def _write(request: dict[str, object], path: Path, connection: Connection) -> None:
    # Unfinished speech never bears the file's name.
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            await _fetch(request, file, connection)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def _fetch(request: dict[str, object], file: BinaryIO, connection: Connection) -> None:
    async with connection.client() as client, client.stream("POST", "audio/speech", json=request) as response:
        if response.status_code != httpx.codes.OK:
            raise CommandFailed(describe_refusal(response.status_code, await response.aread()))
        async for chunk in response.aiter_bytes():
            file.write(chunk)
            file.flush()
