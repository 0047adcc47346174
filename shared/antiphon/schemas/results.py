"""Results: what a settled job leaves, and what a streamed one writes on the way."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from antiphon.schemas.base import Schema
from antiphon.schemas.blobs import BlobRef
from antiphon.schemas.chat import FinishReason, ToolCall
from antiphon.schemas.errors import ErrorInfo

Status = Literal["completed", "failed", "cancelled", "expired"]

EventKind = Literal["reset", "delta", "progress", "audio", "outcome"]
"""Entries of an output stream: `reset` opens a new attempt, `outcome` ends, `audio` has raw bytes, others JSON."""


class TokenLogprob(Schema):
    """One token of the text, its bytes in UTF-8 and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class Segment(Schema):
    """A stretch of recognised speech. Times in seconds, `seek` in frames of 10 ms."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class Word(Schema):
    """A word without surrounding space or punctuation. Times in seconds."""

    word: str
    start: float
    end: float


class Transcript(Schema):
    """The result of a `transcribe` or `translate` job."""

    task: Literal["transcribe", "translate"]
    language: str = Field(description="ISO-639-1 code of the speech")
    duration: float = Field(description="seconds of audio")
    text: str
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    detected: bool = Field(default=True, description="false when no speech was found to tell the language by")
    prompt_tokens: int = 0
    output_tokens: int = 0


class Delta(Schema):
    """A `delta` event: text that follows what was sent before, and its tokens when they were asked for."""

    delta: str
    logprobs: tuple[TokenLogprob, ...] | None = None


class Progress(Schema):
    """A `progress` event. Both in the unit of the work: seconds of audio, or characters of text."""

    done: float
    total: float | None = None


class Speech(Schema):
    """The result of a `synthesize` job; the audio itself is in the output stream or in a blob."""

    media_type: str
    sample_rate: int = Field(description="Hz")
    duration: float = Field(description="seconds of audio")
    size: int = Field(description="bytes of encoded audio")
    input_tokens: int
    output_tokens: int
    audio: BlobRef | None = Field(default=None, description="where the audio is, for a job that is not streamed")


class RatedToken(Schema):
    """A token that the model might have written, its bytes in UTF-8 and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class WrittenToken(RatedToken):
    """A token of the answer, and the likeliest ones at its place."""

    top_logprobs: tuple[RatedToken, ...] = ()


class ToolCallDelta(Schema):
    """What is new of tool call number `index`; `id` and `name` come with the first piece of its arguments."""

    index: int = Field(ge=0)
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class ReplyDelta(Schema):
    """A `delta` event of a `respond` job: what follows what was sent before.

    When the model itself speaks, `audio` events carry the sound: PCM, 16 bit, little-endian, mono, 24 kHz.
    """

    text: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[WrittenToken, ...] = ()


class ReplyUsage(Schema):
    """Tokens that were read and written, each sum with what it holds of other kinds than text."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    prompt_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    prompt_image_tokens: int = 0


class Reply(Schema):
    """The result of a `respond` job. `text` is what is said when the model speaks."""

    text: str = ""
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: ReplyUsage = ReplyUsage()
    logprobs: tuple[WrittenToken, ...] | None = None
    fingerprint: str | None = Field(default=None, description="changes when the model does")
    spoken: bool = Field(default=False, description="the output held the sound of the answer")


class Delivered(Schema):
    """The result of a `webhook` job: what the receiver answered."""

    status_code: int
    duration_ms: int


class SessionEnd(Schema):
    """The result of a `realtime` job: why the session ended, and what it held."""

    reason: str
    duration_s: float
    heard_s: float = Field(default=0.0, description="seconds of audio that were received")
    spoken_s: float = Field(default=0.0, description="seconds of audio that were sent")
    responses: int = 0


class Outcome(Schema):
    """How a job ended. Exactly one is ever visible for a job id."""

    id: str
    status: Status
    result: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    attempts: int = Field(default=1, ge=0)
    started_ms: int | None = None
    finished_ms: int | None = None
    worker: str | None = None
