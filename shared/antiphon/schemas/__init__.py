"""Schemas of everything that crosses a process boundary: pydantic and the standard library, no I/O."""

from antiphon.schemas.base import PRIORITIES, Kind, Priority, Schema
from antiphon.schemas.blobs import BlobRef
from antiphon.schemas.errors import ErrorInfo
from antiphon.schemas.jobs import (
    JOB,
    JOB_SCHEMAS,
    MEDIA_TYPES,
    AnyJob,
    AudioFormat,
    Chunking,
    Job,
    RecognitionOptions,
    SynthesizeJob,
    TranscribeJob,
    TranslateJob,
    new_job_id,
    now_ms,
)
from antiphon.schemas.results import (
    Delta,
    EventKind,
    Outcome,
    Progress,
    Segment,
    Speech,
    Status,
    TokenLogprob,
    Transcript,
    Word,
)

__all__ = [
    "JOB",
    "JOB_SCHEMAS",
    "MEDIA_TYPES",
    "PRIORITIES",
    "AnyJob",
    "AudioFormat",
    "BlobRef",
    "Chunking",
    "Delta",
    "ErrorInfo",
    "EventKind",
    "Job",
    "Kind",
    "Outcome",
    "Priority",
    "Progress",
    "RecognitionOptions",
    "Schema",
    "Segment",
    "Speech",
    "Status",
    "SynthesizeJob",
    "TokenLogprob",
    "TranscribeJob",
    "Transcript",
    "TranslateJob",
    "Word",
    "new_job_id",
    "now_ms",
]
