"""One of each message. Times and ids are fixed, so that the documents are the same on every day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.schemas import (
    BlobRef,
    Delta,
    ErrorInfo,
    JobEvent,
    Message,
    Outcome,
    Progress,
    RealtimeJob,
    Reply,
    ReplyDelta,
    ReplyOptions,
    ReplyUsage,
    RespondJob,
    SynthesizeJob,
    TextPart,
    TranscribeJob,
    Transcript,
    TranslateJob,
    WebhookJob,
    WebhookTarget,
)

if TYPE_CHECKING:
    from antiphon.schemas import Job, Kind

_AT_MS = 1_767_225_600_000
_JOB_ID = "memo-17"
_TRANSCRIPT = Transcript(task="transcribe", language="en", duration=1.9, text="Good morning.")

JOBS: dict[Kind, Job] = {
    "transcribe": TranscribeJob(
        id=_JOB_ID,
        created_ms=_AT_MS,
        audio=BlobRef(uri="https://recordings.example.com/memo-17.wav"),
        model="whisper-1",
        metadata={"customer": "c-4711"},
        webhook=WebhookTarget(endpoint="whe_7f3e1c"),
    ),
    "translate": TranslateJob(
        id=_JOB_ID, created_ms=_AT_MS, audio=BlobRef(uri="redis:5f0c1c1e", size=3_840_044), model="whisper-1"
    ),
    "synthesize": SynthesizeJob(
        id=_JOB_ID, created_ms=_AT_MS, text="Good morning.", model="tts-1", voice="alloy", stream=False
    ),
    "respond": RespondJob(
        id=_JOB_ID,
        created_ms=_AT_MS,
        model="gpt-audio",
        messages=(
            Message(role="system", content=(TextPart(text="Answer in one sentence."),)),
            Message(role="user", content=(TextPart(text="What is the capital of Norway?"),)),
        ),
        options=ReplyOptions(max_tokens=100),
    ),
    "realtime": RealtimeJob(
        id="sess_4Jh2kQ0pZc7VxT1nRb9Ls",
        created_ms=_AT_MS,
        session={"type": "transcription", "id": "sess_4Jh2kQ0pZc7VxT1nRb9Ls"},
    ),
    "webhook": WebhookJob(
        id="evt_0f8fad5bd9cb469fa16570867728950e",
        created_ms=_AT_MS,
        event_id="evt_0f8fad5bd9cb469fa16570867728950e",
        event_type="job.completed",
        body='{"type":"job.completed"}',
        endpoint="whe_7f3e1c",
    ),
}
"""The JSON of a job of each lane."""

COMPLETED = Outcome(
    id=_JOB_ID,
    status="completed",
    result=_TRANSCRIPT.model_dump(exclude_defaults=True),
    started_ms=_AT_MS + 40,
    finished_ms=_AT_MS + 950,
    worker="transcriber-1",
)
ANSWERED = Outcome(
    id=_JOB_ID,
    status="completed",
    result=Reply(
        text="The capital of Norway is Oslo.",
        usage=ReplyUsage(prompt_tokens=31, completion_tokens=8),
    ).model_dump(mode="json", exclude_none=True),
    started_ms=_AT_MS + 40,
    finished_ms=_AT_MS + 950,
    worker="responder-1",
)
FAILED = Outcome(
    id=_JOB_ID,
    status="failed",
    error=ErrorInfo(
        message="The audio cannot be decoded.",
        type="invalid_request_error",
        code="invalid_value",
        param="audio",
        http_status=400,
    ),
    started_ms=_AT_MS + 40,
    finished_ms=_AT_MS + 60,
    worker="transcriber-1",
)
DELTA = Delta(delta="Good ")
REPLY_DELTA = ReplyDelta(text="The capital ")
PROGRESS = Progress(done=30.0, total=62.5)
EVENT = JobEvent(
    id="evt_0f8fad5bd9cb469fa16570867728950e",
    type="job.completed",
    created_ms=_AT_MS + 950,
    kind="transcribe",
    tenant="default",
    job_id=_JOB_ID,
    status="completed",
    attempts=1,
    job_created_ms=_AT_MS,
    finished_ms=_AT_MS + 950,
    metadata={"customer": "c-4711"},
)
