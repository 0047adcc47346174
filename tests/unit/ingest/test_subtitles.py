from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas import Segment
from services.ingest.formats.subtitles import srt, vtt

pytestmark = pytest.mark.unit


def segment(start: float, end: float, text: str) -> Segment:
    return Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=(),
        temperature=0.0,
        avg_logprob=-0.2,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )


def test_srt_numbers_its_cues_and_writes_commas() -> None:
    cues = [segment(0, 1.5, " Hi."), segment(3661.5, 3662.0625, " Bye.\n")]
    assert srt(cues) == "1\n00:00:00,000 --> 00:00:01,500\nHi.\n\n2\n01:01:01,500 --> 01:01:02,062\nBye.\n"


def test_vtt_has_a_header_and_no_numbers() -> None:
    assert vtt([segment(0, 1.5, " Hi.")]) == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHi.\n"


def test_silence_gives_files_without_cues() -> None:
    assert srt([]) == "\n"
    assert vtt([]) == "WEBVTT\n\n"


def test_text_cannot_forge_a_timing_line() -> None:
    assert "a -> b" in vtt([segment(0, 1, "a --> b")])


@given(st.floats(0, 400_000, allow_nan=False))
def test_every_moment_has_a_well_formed_clock(moment: float) -> None:
    line = srt([segment(moment, moment, "x")]).splitlines()[1]
    found = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d),(\d{3}) --> .*", line)
    assert found
    hours, minutes, seconds, millis = map(int, found.groups())
    assert abs(hours * 3600 + minutes * 60 + seconds + millis / 1000 - moment) <= 0.000_501
