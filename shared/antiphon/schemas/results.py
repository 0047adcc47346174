"""Results: what a settled job leaves, and what a streamed one writes on the way."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from antiphon.schemas.base import Schema
from antiphon.schemas.blobs import BlobRef
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


class Delivered(Schema):
    """The result of a `webhook` job: what the receiver answered."""

    status_code: int
    duration_ms: int


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
