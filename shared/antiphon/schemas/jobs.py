"""Jobs: what a producer puts on a lane. The JSON of one of these is the `data` field of a stream entry."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from antiphon.schemas.base import Kind, Schema
from antiphon.schemas.blobs import BlobRef
from antiphon.schemas.chat import Message, ReplyOptions, Tool
from antiphon.schemas.webhooks import WebhookTarget

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MEDIA_TYPES: dict[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""What speech in each format is sent as."""


def new_job_id() -> str:
    """Return an id that sorts by time: `job_`, 11 hex digits of milliseconds, 16 random ones."""
    return f"job_{time.time_ns() // 1_000_000:011x}{secrets.token_hex(8)}"


def now_ms() -> int:
    """Return the wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Meter(Schema):
    """The allowance of audio that a job draws on."""

    account: str = Field(pattern=r"^[A-Za-z0-9_./-]{1,128}$")
    seconds_per_minute: int = Field(ge=1)


class Job(Schema):
    """The part that every kind of job shares."""

    version: Literal[1] = 1
    id: str = Field(default_factory=new_job_id, pattern=r"^[A-Za-z0-9_.:-]{1,128}$")
    kind: Kind
    tenant: str = "default"
    created_ms: int = Field(default_factory=now_ms, description="epoch milliseconds")
    deadline_ms: int | None = Field(
        default=None, ge=0, le=2**53, description="epoch milliseconds; settled `expired` after it"
    )
    stream: bool = Field(default=False, description="write partial output to the job's output stream")
    keep_s: int = Field(default=86_400, ge=10, le=31 * 86_400, description="seconds for which the result is kept")
    metadata: dict[str, str] = Field(default_factory=dict)
    parent: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.:-]{1,128}$", description="batch it belongs to")
    announce: bool = Field(default=True, description="write how it ends to the lane's event stream")
    tracked: bool = Field(default=False, description="keep the record that its admission made up to date")
    webhook: WebhookTarget | None = Field(default=None, description="where its events go besides registered endpoints")
    meter: Meter | None = Field(default=None, description="what the audio that it hears or makes is counted against")


class Chunking(Schema):
    """How to cut audio at silences before recognition."""

    type: Literal["auto", "server_vad"] = "auto"
    prefix_padding_ms: int = Field(default=300, ge=0, le=10_000)
    silence_duration_ms: int = Field(default=200, ge=1, le=60_000)
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)


class RecognitionOptions(Schema):
    """How speech is to be recognised."""

    language: str | None = Field(default=None, description="ISO-639-1; detected when absent")
    languages: tuple[str, ...] = Field(default=(), description="candidates for detection, ISO-639-1")
    keywords: tuple[str, ...] = ()
    prompt: str | None = None
    temperature: float = Field(default=0.0, ge=0.0, le=1.0, description="0 means the fallback ladder")
    words: bool = Field(default=False, description="word timestamps are wanted")
    logprobs: bool = Field(default=False, description="log-probabilities of tokens are wanted")
    chunking: Chunking | None = None


class TranscribeJob(Job):
    """Speech to text in the language spoken."""

    kind: Literal["transcribe"] = "transcribe"
    audio: BlobRef
    model: str
    options: RecognitionOptions = RecognitionOptions()
    discard_audio: bool = Field(default=False, description="delete the audio when the job has ended for good")


class TranslateJob(Job):
    """Speech to English text."""

    kind: Literal["translate"] = "translate"
    audio: BlobRef
    model: str
    options: RecognitionOptions = RecognitionOptions()
    discard_audio: bool = Field(default=False, description="delete the audio when the job has ended for good")


class SynthesizeJob(Job):
    """Text to speech. The encoded audio goes to the job's output stream, or to a blob when it has none."""

    kind: Literal["synthesize"] = "synthesize"
    text: str = Field(min_length=1, max_length=4096)
    model: str
    voice: str
    instructions: str | None = Field(default=None, max_length=4096)
    format: AudioFormat = "mp3"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    stream: bool = True


class RespondJob(Job):
    """The next message of a conversation, by a language model; written to the job's output as it grows."""

    kind: Literal["respond"] = "respond"
    model: str
    messages: tuple[Message, ...] = Field(min_length=1)
    tools: tuple[Tool, ...] = ()
    options: ReplyOptions = ReplyOptions()
    voice: str | None = Field(default=None, description="for a model that speaks: answer in this voice")
    restart: bool = Field(default=True, description="an attempt that broke off in its output may be repeated")
    stream: bool = True


class RealtimeJob(Job):
    """One live session, from its beginning to its end. Its id is the session's; its streams are written by the door."""

    kind: Literal["realtime"] = "realtime"
    session: dict[str, Any] = Field(description="the whole session object to begin with, in the GA shape")
    locked: bool = Field(default=False, description="refuse changes of the session by its client")
    models: tuple[str, ...] = Field(default=(), description="patterns of the models it may name; none: any")
    announce: bool = False


class WebhookJob(Job):
    """One event on its way to one receiver."""

    kind: Literal["webhook"] = "webhook"
    event_id: str
    event_type: str
    body: str = Field(description="the JSON that is signed and sent, byte for byte")
    endpoint: str | None = Field(default=None, description="id of a registered endpoint")
    url: str | None = Field(default=None, description="receiver of this job alone")
    secret: str | None = None
    announce: bool = False


AnyJob = Annotated[TranscribeJob | TranslateJob | SynthesizeJob | RespondJob, Field(discriminator="kind")]
JOB: TypeAdapter[TranscribeJob | TranslateJob | SynthesizeJob | RespondJob] = TypeAdapter(AnyJob)

JOB_SCHEMAS: dict[Kind, type[Job]] = {
    "transcribe": TranscribeJob,
    "translate": TranslateJob,
    "synthesize": SynthesizeJob,
    "respond": RespondJob,
    "realtime": RealtimeJob,
    "webhook": WebhookJob,
}
"""The schema of the jobs of each lane."""
