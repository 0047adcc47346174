"""`antiphon chat`: a question in, written or spoken; the answer out, written and spoken."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import wave
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx

from antiphon.cli.connection import Connection, describe_failure, describe_refusal, find_connection
from antiphon.cli.events import read_events
from antiphon.cli.failure import CommandFailed, fail
from antiphon.cli.speak import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLE_RATE = 24_000
STREAMED = "pcm16"  # the only format of sound that a streamed answer has
SPOKEN_FORMATS = {suffix: STREAMED if name in {"wav", "pcm"} else name for suffix, name in FORMATS.items()}


@dataclass(frozen=True)
class ChatOptions:
    """What the user asked for. `audio` is a spoken question, `speak` the file that the answer is spoken into."""

    audio: Path | None = None
    speak: Path | None = None
    voice: str = "alloy"
    model: str = "gpt-audio"
    system: str | None = None

    def request(self, text: str | None) -> dict[str, Any]:
        """Return the body of the request.

        Raises `CommandFailed` when nothing is asked or a suffix names no format, `OSError`.
        """
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        if self.audio is not None:
            recording = {
                "data": base64.b64encode(self.audio.read_bytes()).decode("ascii"),
                "format": self.audio.suffix.lower().removeprefix(".") or "wav",
            }
            content.append({"type": "input_audio", "input_audio": recording})
        if not content:
            raise CommandFailed("nothing is asked: give a TEXT, or a recording with --audio")
        messages: list[dict[str, Any]] = [{"role": "system", "content": self.system}] if self.system else []
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [*messages, {"role": "user", "content": content}],
        }
        if self.speak is None:
            return body | {"stream": True}
        spoken = self._format_of_suffix(self.speak)
        body |= {"modalities": ["text", "audio"], "audio": {"voice": self.voice, "format": spoken}}
        return body | {"stream": spoken == STREAMED}

    @staticmethod
    def _format_of_suffix(path: Path) -> str:
        try:
            return SPOKEN_FORMATS[path.suffix.lower()]
        except KeyError:
            known = " ".join(SPOKEN_FORMATS)
            raise CommandFailed(f"{path}: no audio format has this suffix; use one of {known}") from None


def chat(text: str | None, options: ChatOptions) -> None:
    """Ask, and print the answer as it comes; `-` reads the question from stdin. Leaves with exit code 1 if it fails."""
    try:
        connection = find_connection(os.environ)
        request = options.request(sys.stdin.read() if text == "-" else text)
        asyncio.run(_converse(request, options.speak, connection))
    except CommandFailed as error:
        fail(str(error))
    except httpx.HTTPError as error:
        fail(describe_failure(error, connection.base_url))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


async def _converse(request: dict[str, Any], speak: Path | None, connection: Connection) -> None:
    async with connection.client() as client, client.stream("POST", "chat/completions", json=request) as response:
        if response.status_code != httpx.codes.OK:
            raise CommandFailed(describe_refusal(response.status_code, await response.aread()))
        if speak is None:
            await _follow(response, hear=lambda _: None)
        elif request["stream"]:
            with _file(speak) as file, _sound_in(file, raw=speak.suffix.lower() == ".pcm") as hear:
                await _follow(response, hear=hear)
        else:
            await response.aread()
            answer = response.json()["choices"][0]["message"]["audio"]
            with _file(speak) as file:
                file.write(base64.b64decode(answer["data"]))
            print(answer["transcript"])


async def _follow(response: httpx.Response, *, hear: Callable[[bytes], object]) -> None:
    """Print the words of a streamed answer as they come, and hand on its sound."""
    ended = False
    async for chunk in read_events(response):
        for choice in chunk.get("choices", ()):
            delta = choice["delta"]
            sound = delta.get("audio") or {}
            print(delta.get("content") or delta.get("refusal") or sound.get("transcript") or "", end="", flush=True)
            if data := sound.get("data"):
                hear(base64.b64decode(data))
            ended = ended or choice.get("finish_reason") is not None
    print()
    if not ended:
        raise CommandFailed("the answer broke off before its end")


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that bears its name only once it is whole."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _sound_in(file: BinaryIO, *, raw: bool) -> Iterator[Callable[[bytes], object]]:
    """Take PCM for `file`, which becomes a WAV unless `raw`."""
    if raw:
        yield file.write
        return
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        yield sound.writeframesraw
