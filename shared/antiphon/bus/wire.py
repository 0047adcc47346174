"""The flat form of a job in a stream entry: JSON in `data`, the rest in fields that any producer can write.

| field | meaning |
|---|---|
| `data` | JSON of the job (required) |
| `id` | the job's id, when it is not in `data` |
| `traceparent`, `tracestate` | W3C trace context |
| `reply` | name of the caller's reply stream |
| `deadline` | epoch milliseconds |
| `attempt` | attempts that were made before this entry |
| `replayed` | `1` for a dead letter that was put back |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIELDS = (b"data", b"id", b"traceparent", b"tracestate", b"reply", b"deadline", b"attempt", b"replayed")
_REPLY_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_JOB_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")
_MAX_NUMBER = 2**53
_MAX_FIELDS = 64
"""Fields of a foreign entry that are kept in a dead letter; a script could not unpack thousands."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an entry says about its job besides the job itself."""

    data: bytes
    id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    reply: str | None = None
    deadline_ms: int | None = None
    attempt: int = 0
    replayed: bool = False


def open_envelope(fields: Mapping[bytes, bytes]) -> Envelope:
    """Read an entry of any producer. Raises `ValueError` for fields that cannot be read."""
    job_id = fields.get(b"id")
    if job_id is not None and not _JOB_ID.fullmatch(job_id):
        raise ValueError("`id` is not 1 to 128 letters, digits and _.:-")
    data = fields.get(b"data")
    if data is None:
        # FastStream's own publishers and its in-memory broker write a single binary field.
        packed = fields.get(b"__data__")
        if packed is None:
            raise ValueError("the entry has no field `data`")
        return Envelope(
            data=_unpack_faststream(packed), id=_text(fields, b"id"), attempt=_number(fields, b"attempt") or 0
        )
    reply = _text(fields, b"reply")
    if reply is not None and not _REPLY_NAME.fullmatch(reply):
        raise ValueError("`reply` is not a name of 1 to 200 letters, digits and ._:-")
    return Envelope(
        data=data,
        id=_text(fields, b"id"),
        traceparent=_text(fields, b"traceparent"),
        tracestate=_text(fields, b"tracestate"),
        reply=reply,
        deadline_ms=_number(fields, b"deadline"),
        attempt=_number(fields, b"attempt") or 0,
        replayed=b"replayed" in fields,
    )


def seal_envelope(envelope: Envelope) -> list[str | bytes | int]:
    """Return the fields and values of an entry, alternating."""
    fields: list[str | bytes | int] = ["data", envelope.data]
    for name, value in (
        ("id", envelope.id),
        ("traceparent", envelope.traceparent),
        ("tracestate", envelope.tracestate),
        ("reply", envelope.reply),
        ("deadline", envelope.deadline_ms),
        ("attempt", envelope.attempt or None),
        ("replayed", int(envelope.replayed) or None),
    ):
        if value is not None:
            fields += [name, value]
    return fields


def flatten(fields: Mapping[bytes, bytes], **extra: str | int) -> list[bytes]:
    """Return an entry's fields and values, alternating, with some added or replaced; a long entry is cut."""
    known = {name: fields[name] for name in (*_FIELDS, b"__data__") if name in fields}
    merged = dict(list({**known, **fields}.items())[:_MAX_FIELDS])
    merged.update({name.encode(): str(value).encode() for name, value in extra.items()})
    return [part for pair in merged.items() for part in pair]


def salvage_id(fields: Mapping[bytes, bytes], place: str) -> str:
    """Return an id for a job that cannot be read: the one it names, else one made from its place on the lane."""
    for candidate in (_id_in(fields.get(b"data")), fields.get(b"id")):
        if candidate is not None and _JOB_ID.fullmatch(candidate):
            return candidate.decode()
    return f"entry_{place}"


def pack(parts: Sequence[bytes | int]) -> bytes:
    """Encode a list of strings and small integers as MessagePack, which the server's Lua reads."""
    out = bytearray(b"\xdd" + len(parts).to_bytes(4, "big"))
    for part in parts:
        if isinstance(part, int):
            out += part.to_bytes(1, "big")
        else:
            out += b"\xdb" + len(part).to_bytes(4, "big") + part
    return bytes(out)


def unpack(packed: bytes) -> list[bytes | int]:
    """Decode what `pack` has encoded. Raises `ValueError`."""
    if packed[:1] != b"\xdd":
        raise ValueError("not a packed list")
    parts: list[bytes | int] = []
    at = 5
    while at < len(packed):
        if packed[at] == 0xDB:
            start = at + 5
            at = start + int.from_bytes(packed[at + 1 : start], "big")
            parts.append(packed[start:at])
        else:
            parts.append(packed[at])
            at += 1
    return parts


def _id_in(data: bytes | None) -> bytes | None:
    try:
        value = orjson.loads(data or b"")
    except orjson.JSONDecodeError:
        return None
    found: Any = value.get("id") if isinstance(value, dict) else None
    return found.encode() if isinstance(found, str) else None


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode()


def _number(fields: Mapping[bytes, bytes], name: bytes) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    number = int(value)
    if not 0 <= number <= _MAX_NUMBER:
        raise ValueError(f"`{name.decode()}` is not a number from 0 to 2^53")
    return number


def _unpack_faststream(packed: bytes) -> bytes:
    from faststream.redis.parser import BinaryMessageFormatV1  # noqa: PLC0415  producers do without faststream

    body, _ = BinaryMessageFormatV1.parse(packed)
    return bytes(body)
