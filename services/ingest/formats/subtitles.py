"""SubRip and WebVTT."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.schemas import Segment


def srt(segments: Iterable[Segment]) -> str:
    """Return the segments as a SubRip file."""
    cues = (
        f"{index}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{_line(segment.text)}\n"
        for index, segment in enumerate(segments, start=1)
    )
    return "\n".join(cues) or "\n"


def vtt(segments: Iterable[Segment]) -> str:
    """Return the segments as a WebVTT file."""
    cues = (
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_line(segment.text)}\n" for segment in segments
    )
    return "WEBVTT\n\n" + "\n".join(cues)


def _clock(seconds: float, point: str) -> str:
    total_ms = round(max(0.0, seconds) * 1000)
    minutes, rest_ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest_ms // 1000:02d}{point}{rest_ms % 1000:03d}"


def _line(text: str) -> str:
    # An arrow inside a cue would be read as its timing line.
    return " ".join(text.split()).replace("-->", "->")
