"""The flat form of a job: whatever a producer writes is read or refused, never a crash."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.bus.deliveries import Delivery
from antiphon.bus.opening import open_job
from antiphon.bus.wire import Envelope, flatten, open_envelope, pack, salvage_id, seal_envelope
from antiphon.schemas import BlobRef, TranscribeJob

pytestmark = pytest.mark.unit

NAMES = st.sampled_from([b"data", b"id", b"traceparent", b"tracestate", b"reply", b"deadline", b"attempt", b"__data__"])
FIELDS = st.dictionaries(NAMES | st.binary(max_size=20), st.binary(max_size=200), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(FIELDS)
def test_any_fields_are_read_or_refused_with_a_value_error(fields: dict[bytes, bytes]) -> None:
    try:
        envelope = open_envelope(fields)
    except ValueError:
        return
    assert envelope.attempt >= 0
    assert envelope.deadline_ms is None or envelope.deadline_ms >= 0


@given(FIELDS, st.binary(max_size=300))
def test_any_data_is_a_job_or_a_value_error(fields: dict[bytes, bytes], data: bytes) -> None:
    delivery = Delivery(1, b"1-1", {**fields, b"data": data}, 1)
    with pytest.raises(ValueError):
        open_job(delivery, "transcribe", TranscribeJob)


@given(st.dictionaries(st.sampled_from(["id", "kind", "audio", "model", "deadline_ms", "stream", "version"]), JSON))
def test_any_json_object_is_a_job_or_a_value_error(fields: dict[str, object]) -> None:
    try:
        data = orjson.dumps(fields)
    except TypeError:
        return
    delivery = Delivery(1, b"1-1", {b"data": data}, 1)
    try:
        _, job = open_job(delivery, "transcribe", TranscribeJob)
    except ValueError:
        return
    assert job.id


@given(FIELDS, st.binary(max_size=100))
def test_an_unreadable_job_always_has_an_id_that_is_safe_in_a_key(fields: dict[bytes, bytes], data: bytes) -> None:
    found = salvage_id({**fields, b"data": data}, "std_1-1")
    assert 0 < len(found) <= 128
    assert not set(found) & set("{} \n")


@pytest.mark.parametrize(
    "data", [b'{"id":"\\ud800"}', b'{"id":"a b"}', b'{"id":7}', b'{"id":""}', b"[1]", b"\xff", b"[" * 50_000]
)
def test_an_id_that_cannot_be_used_is_replaced_by_the_entrys_place(data: bytes) -> None:
    assert salvage_id({b"data": data}, "std_1-1") == "entry_std_1-1"


@given(
    st.builds(
        Envelope,
        data=st.binary(max_size=50),
        id=st.none() | st.from_regex(r"[A-Za-z0-9_.:-]{1,128}", fullmatch=True),
        traceparent=st.none() | st.text(max_size=20),
        tracestate=st.none() | st.text(max_size=20),
        reply=st.none() | st.from_regex(r"[A-Za-z0-9_.:-]{1,200}", fullmatch=True),
        deadline_ms=st.none() | st.integers(0, 2**53),
        attempt=st.integers(0, 100),
    )
)
def test_what_is_sealed_is_opened_unchanged(envelope: Envelope) -> None:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in seal_envelope(envelope)]
    assert open_envelope(dict(zip(parts[::2], parts[1::2], strict=True))) == envelope


JOB = TranscribeJob(id="a", audio=BlobRef(uri="redis:x"), model="m")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({b"data": b'{"id":"a"}'}, b'{"id":"a"}'),
        ({b"data": b'{"id":"a","data":"QUJD"}'}, b'{"id":"a","data":"QUJD"}'),
        ({b"data": b"{}", b"headers": b'{"traceparent":"x"}'}, b"{}"),
        ({b"data": b"{}", b"junk": b"\xff\xfe"}, b"{}"),
        ({b"__data__": b'{"id":"a"}'}, b'{"id":"a"}'),
    ],
)
def test_the_shapes_in_which_producers_write_are_read(fields: dict[bytes, bytes], expected: bytes) -> None:
    assert open_envelope(fields).data == expected


@pytest.mark.parametrize(
    "fields",
    [{b"payload": b"{}"}, {b"id": b"a", b"n": b"1"}, {}, {b"data": b"{}", b"traceparent": b"\xff"}],
)
def test_the_shapes_that_hold_no_job_are_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError):
        open_envelope(fields)


async def test_what_a_faststream_publisher_writes_is_read() -> None:
    from faststream.redis.parser import BinaryMessageFormatV1

    body = JOB.model_dump_json().encode()
    packed = await BinaryMessageFormatV1.encode(message=body, reply_to=None, headers={"h": "1"}, correlation_id="c")
    _, job = open_job(Delivery(1, b"1-1", {b"__data__": packed}, 1), "transcribe", TranscribeJob)
    assert job == JOB


def test_the_id_in_the_data_goes_before_the_field_and_the_field_before_the_place() -> None:
    anonymous = orjson.dumps({"audio": {"uri": "redis:x"}, "model": "m"})
    named = orjson.dumps({"id": "data", "audio": {"uri": "redis:x"}, "model": "m"})

    def id_of(fields: dict[bytes, bytes], lane: int = 1) -> str:
        return open_job(Delivery(lane, b"7-0", fields, 1), "transcribe", TranscribeJob)[1].id

    assert id_of({b"data": named, b"id": b"field"}) == "data"
    assert id_of({b"data": anonymous, b"id": b"field"}) == "field"
    assert id_of({b"data": anonymous}) == "entry_std_7-0"
    assert id_of({b"data": anonymous}, lane=0) == "entry_hi_7-0"


def test_a_job_on_the_wrong_lane_is_refused() -> None:
    delivery = Delivery(1, b"1-1", {b"data": JOB.model_dump_json().encode()}, 1)
    with pytest.raises(ValueError, match="translate"):
        open_job(delivery, "translate", TranscribeJob)


def test_a_cut_entry_keeps_the_fields_that_matter() -> None:
    fields = {f"f{i}".encode(): b"x" for i in range(500)} | {b"data": b"{}", b"traceparent": b"t"}
    flat = flatten(fields, attempt=2)
    kept = dict(zip(flat[::2], flat[1::2], strict=True))
    assert len(kept) <= 70
    assert (kept[b"data"], kept[b"traceparent"], kept[b"attempt"]) == (b"{}", b"t", b"2")


def test_packing_has_one_form_for_each_part() -> None:
    assert pack([1, b"ab"]) == b"\xdd\x00\x00\x00\x02\x01\xdb\x00\x00\x00\x02ab"
