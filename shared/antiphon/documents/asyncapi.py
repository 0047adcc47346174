"""AsyncAPI 3.0 of the bus, seen from the platform: it receives jobs and sends everything else."""

from __future__ import annotations

from typing import Any

from antiphon import __version__
from antiphon.documents import examples, headers
from antiphon.documents.schemas import definitions
from antiphon.schemas import JOB_SCHEMAS, PRIORITIES, Schema

_MESSAGES = "#/components/messages"
_JSON = "application/json"
_JOB_PARAMETER = {"description": "id of the job"}


def document() -> dict[str, Any]:
    """Return the whole document as JSON."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Antiphon bus",
            "version": __version__,
            "description": "Jobs and their outcomes on Redis Streams. A message is an entry of a stream: the payload "
            "is its field `data`, the headers are its other fields. What is promised is in docs/bus.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {
            "redis": {
                "host": "127.0.0.1:6379",
                "pathname": "/0",
                "protocol": "redis",
                "description": "Redis 7.0 or later, or Valkey, with an append-only file",
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": definitions()},
    }


def _channels() -> dict[str, Any]:
    lane = {
        "description": "The lane. The braces belong to the key: they are the hash tag that keeps a lane in one slot.",
        "enum": [f"{{{kind}}}" for kind in JOB_SCHEMAS],
    }
    priority = {"description": "live turns, waiting callers, batch", "enum": list(PRIORITIES)}
    jobs = [schema.__name__ for schema in JOB_SCHEMAS.values()]
    return {
        "jobs": _channel(
            "jobs:{lane}:{priority}",
            "Stream of jobs. Never delete or trim what is in it.",
            jobs,
            lane,
            priority=priority,
        ),
        "replies": _channel(
            "replies:{lane}:{name}",
            "Stream of outcomes, for the jobs that named it in `reply`: about the last 10,000, for an hour after the "
            "last; with a consumer group up to 1,000,000 that are unread.",
            ["Reply"],
            lane,
            name={"description": "any name of 1 to 200 letters, digits and ._:-"},
        ),
        "results": _channel(
            "result:{lane}:{job}", "String, not a stream: GET it.", ["Result"], lane, job=_JOB_PARAMETER
        ),
        "output": _channel(
            "out:{lane}:{job}",
            "Stream of what a streamed job gives on the way, kept for 10 minutes after its last entry.",
            ["OutputReset", "OutputDelta", "OutputReplyDelta", "OutputProgress", "OutputAudio", "OutputOutcome"],
            lane,
            job=_JOB_PARAMETER,
        ),
        "events": _channel("events:{lane}", "Stream of what became of jobs, for consumer groups.", ["Event"], lane),
        "dead": _channel("jobs:{lane}:dead", "Stream of jobs that were given up.", ["DeadLetter"], lane),
    }


def _channel(
    address: str, description: str, messages: list[str], lane: dict[str, Any], **parameters: dict[str, Any]
) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/redis"}],
        "parameters": {"lane": lane, **parameters},
        "messages": {name: {"$ref": f"{_MESSAGES}/{name}"} for name in messages},
    }


def _operations() -> dict[str, Any]:
    done = {
        "takeJob": ("receive", "jobs", "Work on a job; XADD puts it there."),
        "reply": ("send", "replies", "Tell the outcome to who asked for it in `reply`."),
        "keepResult": ("send", "results", "Keep the one visible outcome for as long as the job's `keep_s`."),
        "writeOutput": ("send", "output", "Write what a streamed job gives on the way."),
        "announce": ("send", "events", "Announce how jobs and batches come along."),
        "bury": ("send", "dead", "Put aside what cannot be done."),
    }
    return {
        name: {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
        for name, (action, channel, summary) in done.items()
    }


def _messages() -> dict[str, Any]:
    found = {
        schema.__name__: _message(
            schema.__name__,
            headers.JOB,
            ("a job", {"reply": "my-program"}, examples.JOBS[kind]),
            summary=schema.__doc__,
        )
        for kind, schema in JOB_SCHEMAS.items()
    }
    outcome = "Outcome"
    replied = {"id": examples.COMPLETED.id}
    letter = {
        "id": examples.FAILED.id,
        "error": "The recognizer cannot be loaded.",
        "attempts": "5",
        "source": "std",
        "worker": "transcriber-1",
    }
    return found | {
        "Reply": _message(
            outcome,
            headers.REPLY,
            ("completed", replied, examples.COMPLETED),
            ("failed", replied, examples.FAILED),
        ),
        "Result": _message(
            outcome, None, ("completed", None, examples.COMPLETED), ("answered", None, examples.ANSWERED)
        ),
        "OutputReset": _output(
            "reset", {"type": "string", "maxLength": 0}, "A new attempt begins: what was read before is void."
        ),
        "OutputDelta": _output("delta", "Delta", "Text that follows, of speech.", examples.DELTA),
        "OutputReplyDelta": _output(
            "delta", "ReplyDelta", "What follows of a language model's answer.", examples.REPLY_DELTA
        ),
        "OutputProgress": _output("progress", "Progress", "How far the work is.", examples.PROGRESS),
        "OutputAudio": _output(
            "audio",
            {"type": "string", "format": "binary"},
            "Encoded audio that follows.",
            media_type="application/octet-stream",
        ),
        "OutputOutcome": _output("outcome", outcome, "The end.", examples.COMPLETED),
        "Event": _message("JobEvent", None, ("completed", None, examples.EVENT)),
        "DeadLetter": _message(
            {"description": "as its producer wrote it, whatever that was"},
            headers.DEAD,
            ("given up", letter, examples.JOBS["transcribe"]),
        ),
    }


def _output(
    kind: str, schema: str | dict[str, Any], summary: str, example: Schema | None = None, *, media_type: str = _JSON
) -> dict[str, Any]:
    fields = headers.OUTPUT | {
        "properties": {**headers.OUTPUT["properties"], "kind": {"type": "string", "const": kind}}
    }
    given = () if example is None else ((kind, {"kind": kind, "seq": "0"}, example),)
    return _message(schema, fields, *given, summary=summary, media_type=media_type)


def _message(
    schema: str | dict[str, Any],
    fields: dict[str, Any] | None,
    *given: tuple[str, dict[str, str] | None, Schema],
    summary: str | None = None,
    media_type: str = _JSON,
) -> dict[str, Any]:
    payload = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    message: dict[str, Any] = {"contentType": media_type, "payload": payload}
    if summary:
        message["summary"] = summary
    if fields is not None:
        message["headers"] = fields
    if given:
        message["examples"] = [_example(*each) for each in given]
    return message


def _example(name: str, fields: dict[str, str] | None, payload: Schema) -> dict[str, Any]:
    example: dict[str, Any] = {"name": name, "payload": payload.model_dump(mode="json", exclude_none=True)}
    if fields is not None:
        example["headers"] = fields
    return example
