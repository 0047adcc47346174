"""What the tests of chat completions say, and what they make of the answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import av
import httpx
import openai
import orjson
import pydantic
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from antiphon.audio.encode import wav_header
from antiphon.cli.wer import word_error_rate

RATE = 24_000
MISHEARD = 0.25
"""Words in a hundred, divided by a hundred, that a small recogniser may get wrong of clear speech."""

Message = dict[str, Any]
CaseT = TypeVar("CaseT")
ResultT = TypeVar("ResultT")


def says(text: str) -> Message:
    """Return a user's message in text."""
    return {"role": "user", "content": text}


def records(sound: bytes, audio_format: str, text: str = "") -> Message:
    """Return a user's message with a recording in it, and perhaps text."""
    recording = {"type": "input_audio", "input_audio": {"data": encode(sound), "format": audio_format}}
    return {"role": "user", "content": [recording, *([{"type": "text", "text": text}] if text else [])]}


def refers(audio_id: str) -> Message:
    """Return an earlier spoken answer, as its id."""
    return {"role": "assistant", "audio": {"id": audio_id}}


def encode(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode()


def voiced(audio_format: str, voice: str = "alloy") -> dict[str, Any]:
    """Return the parameters that make an answer a spoken one."""
    return {"modalities": ["text", "audio"], "audio": {"voice": voice, "format": audio_format}}


def transcribed(client: openai.OpenAI, sound: bytes, audio_format: str) -> str:
    """Return what the platform itself hears in an answer."""
    file = as_wav(sound) if audio_format == "pcm16" else sound
    name = "answer.wav" if audio_format == "pcm16" else f"answer.{audio_format}"
    return client.audio.transcriptions.create(model="whisper-1", file=(name, file), language="en").text


def misheard(said: str, heard: str) -> float:
    """Return how far two texts are apart, in words per word said."""
    return word_error_rate(said, heard)


def as_wav(pcm: bytes) -> bytes:
    """Return samples as a file."""
    return wav_header(len(pcm)) + pcm


def seconds_of(sound: bytes, audio_format: str) -> float:
    """Return the length of an answer's sound."""
    if audio_format == "pcm16":
        return len(sound) / 2 / RATE
    with av.open(io.BytesIO(sound), "r") as container:
        frames = list(container.decode(audio=0))
        return float(sum(frame.samples for frame in frames) / frames[0].sample_rate)


@dataclass
class Streamed:
    """A streamed answer, put together as a client without the SDK would."""

    chunks: list[dict[str, Any]]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)

    @property
    def audio(self) -> list[dict[str, Any]]:
        return [delta["audio"] for delta in self.deltas if delta.get("audio")]

    @property
    def transcript(self) -> str:
        return "".join(audio.get("transcript") or "" for audio in self.audio)

    @property
    def pcm(self) -> bytes:
        return b"".join(base64.b64decode(audio["data"], validate=True) for audio in self.audio if audio.get("data"))

    @property
    def audio_id(self) -> str:
        (found,) = [audio["id"] for audio in self.audio if "id" in audio]
        return str(found)

    @property
    def finish_reason(self) -> str:
        (found,) = [c["finish_reason"] for chunk in self.chunks for c in chunk["choices"] if c["finish_reason"]]
        return str(found)

    @property
    def usage(self) -> dict[str, Any]:
        (found,) = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        return dict(found)


def streamed(http: httpx.Client, body: dict[str, Any]) -> Streamed:
    """Ask for a stream and read it to its `[DONE]`, each chunk held to the official types."""
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = list(events_of(reply.iter_lines()))
    assert events[-1] == "[DONE]", events[-1]
    chunks = [orjson.loads(event) for event in events[:-1]]
    for chunk in chunks:
        check(ChatCompletionChunk, chunk, beside=("obfuscation",))
    return Streamed(chunks)


def events_of(lines: Iterable[str]) -> Iterable[str]:
    """Yield what stands behind `data:`."""
    return (line.removeprefix("data: ") for line in lines if line.startswith("data: "))


def at_once(work: Callable[[CaseT], ResultT], cases: Sequence[CaseT], *, most: int | None = None) -> list[ResultT]:
    """Return what `work` gives for each case, all of them side by side, or `most` at a time."""
    with ThreadPoolExecutor(most or len(cases)) as pool:
        return list(pool.map(work, cases))


def check_whole(body: dict[str, Any]) -> None:
    """Hold a completion to the official types."""
    check(ChatCompletion, body, beside=("metadata",))


def check(kind: type[pydantic.BaseModel], body: dict[str, Any], *, beside: tuple[str, ...] = ()) -> None:
    """Hold a body to a type of the SDK: every value of the right type, and none that the type does not know."""
    known = {name: value for name, value in body.items() if name not in beside}
    assert list(_unknown(kind.model_validate(known, strict=True), "")) == []


def _unknown(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from _unknown(each, path)
