from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import UnsupportedMediaType
from services.ingest.errors import MalformedBody
from services.ingest.multipart import MultipartReader, PartData, PartStarted, Piece, boundary_of

pytestmark = pytest.mark.unit

BOUNDARY = b"b0undary"
# Data that looks like boundaries is what parsers trip over.
payloads = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"b0undary", b"\r\n--b0undar", b"x", b"\x00\xff"])).map(
    b"".join
)
parts = st.lists(st.tuples(st.sampled_from(["file", "model", "include[]"]), st.none() | st.just("a.wav"), payloads))


def encode(fields: list[tuple[str, str | None, bytes]]) -> bytes:
    body = b""
    for name, filename, data in fields:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + b"--" + BOUNDARY + b"--\r\n"


def parse(chunks: list[bytes]) -> list[tuple[str, str | None, bytes]]:
    reader = MultipartReader(BOUNDARY)
    pieces: list[Piece] = [piece for chunk in chunks for piece in reader.feed(chunk)]
    reader.close()
    found: list[tuple[str, str | None, bytes]] = []
    for piece in pieces:
        match piece:
            case PartStarted(name, filename):
                found.append((name, filename, b""))
            case PartData(data):
                name, filename, before = found[-1]
                found[-1] = (name, filename, before + data)
    return found


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:stop] for start, stop in itertools.pairwise(edges)]


@given(parts, st.lists(st.integers(0, 10_000), max_size=12))
def test_wherever_the_body_is_cut_the_parts_are_the_same(
    fields: list[tuple[str, str | None, bytes]], places: list[int]
) -> None:
    # A boundary inside data would end it: such a body means something else.
    fields = [(name, filename, data.replace(b"\r\n--b0undary", b"")) for name, filename, data in fields]
    body = encode(fields)
    assert parse(cut(body, places)) == fields
    assert parse([body[at : at + 1] for at in range(len(body))]) == fields


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_noise_is_refused_and_nothing_else_is_raised(noise: bytes, places: list[int]) -> None:
    try:
        parse(cut(noise, places))
    except MalformedBody:
        return


@given(st.data())
def test_a_body_that_breaks_off_is_refused(data: st.DataObject) -> None:
    body = encode([("model", None, b"whisper-1"), ("file", "a.wav", b"RIFF")])
    stop = data.draw(st.integers(0, len(body) - len(b"--\r\n") - 1))
    with pytest.raises(MalformedBody):
        parse([body[:stop]])


def test_headers_without_end_are_refused() -> None:
    with pytest.raises(MalformedBody):
        parse([b"--b0undary\r\nContent-Disposition: " + b"x" * 100_000])
    with pytest.raises(MalformedBody):
        parse([b"--b0undary\r\n" + b"X: y\r\n" * 100_000])


def test_more_parts_than_anybody_needs_are_refused() -> None:
    with pytest.raises(MalformedBody):
        parse([encode([("keywords[]", None, b"x")] * 513)])


def test_a_part_without_a_name_is_refused() -> None:
    with pytest.raises(MalformedBody):
        parse([b"--b0undary\r\nContent-Type: text/plain\r\n\r\nx\r\n--b0undary--\r\n"])


def test_the_boundary_is_found_in_quotes_too() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
    assert boundary_of("Multipart/Form-Data; Boundary=ab; charset=utf-8") == b"ab"


def test_other_content_types_are_told_from_a_missing_boundary() -> None:
    for content_type in ("", "application/json", "text/plain; boundary=x", "multipart/mixed; boundary=x"):
        with pytest.raises(UnsupportedMediaType):
            boundary_of(content_type)
    with pytest.raises(MalformedBody):
        boundary_of("multipart/form-data")
