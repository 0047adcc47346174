"""JSON Schema 2020-12 of each public message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antiphon.schemas import (
    Delta,
    ErrorInfo,
    JobEvent,
    Outcome,
    Progress,
    RealtimeJob,
    Reply,
    ReplyDelta,
    RespondJob,
    SessionEnd,
    Speech,
    SynthesizeJob,
    TranscribeJob,
    Transcript,
    TranslateJob,
    WebhookJob,
)

if TYPE_CHECKING:
    from antiphon.schemas import Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"

JOBS: tuple[type[Schema], ...] = (TranscribeJob, TranslateJob, SynthesizeJob, RespondJob, RealtimeJob, WebhookJob)
RESULTS: tuple[type[Schema], ...] = (Transcript, Speech, Reply, SessionEnd)
OUTPUT: tuple[type[Schema], ...] = (Delta, ReplyDelta, Progress)
PUBLIC: tuple[type[Schema], ...] = (*JOBS, Outcome, ErrorInfo, *RESULTS, *OUTPUT, JobEvent)
"""What producers write and read."""


def schema_of(message: type[Schema]) -> dict[str, Any]:
    """Return the schema of a message with everything it refers to."""
    return {"$schema": DIALECT, **message.model_json_schema()}


def definitions() -> dict[str, Any]:
    """Return the schemas of all messages as the components of one document, by name."""
    found: dict[str, Any] = {}
    for message in PUBLIC:
        schema = message.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[message.__name__] = schema
    return dict(sorted(found.items()))
