"""Words heard live and words heard in files: the same recordings, the same model, chunks of several lengths."""

from __future__ import annotations

import asyncio
import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.cli.wer import edit_distance, normalize
from tests.bench.clips import Clip, read_clips, weights
from tests.bench.figures import Aim, Figure
from tests.bench.peers import ROOT
from tests.bench.realtime_line import frames_of, open_line, pcm_of, silence

if TYPE_CHECKING:
    import httpx

    from tests.bench.platform import Door

PART = "realtime: words heard live, against the same recordings as files; errors for 100 words"
SPEECH = Path(os.environ.get("ANTIPHON_TEST_SPEECH", ROOT.parent / "shared" / "speech"))
"""Recordings with a `manifest.tsv`; where there is none, the pulled samples are taken."""
MODEL = "whisper-1"
_AT_ONCE = 3
_COMMITTED = "input_audio_buffer.committed"
_COMPLETED = "conversation.item.input_audio_transcription.completed"


@dataclass(frozen=True)
class _Recording:
    clip: Clip
    language: str
    words: list[str]


async def measure(door: Door, *, quick: bool) -> list[Figure]:
    """Return the figures."""
    recordings = await _recordings(quick=quick)
    count = sum(len(each.words) for each in recordings)
    async with door.client() as client:
        offline = await _wrong(recordings, lambda each: _from_file(client, each))
    figures = []
    for chunk_ms in (40,) if quick else (20, 40, 100):
        live = await _wrong(recordings, lambda each, chunk_ms=chunk_ms: _live(door, each, chunk_ms))
        ours, files = 100 * live / count, 100 * offline / count
        note = f"({len(recordings)} recordings, {count} words)"
        figures.append(
            Figure(PART, f"chunks of {chunk_ms} ms", "", ours, files, "difference", ours - files, Aim("<=", 1.0), note)
        )
    return figures


async def _recordings(*, quick: bool) -> list[_Recording]:
    if (SPEECH / "manifest.tsv").exists():
        with (SPEECH / "manifest.tsv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if row["reference"] and row["kind"] == "clean"]
        found = [(SPEECH / row["file"], row["language"], row["reference"]) for row in rows]
    else:
        samples = weights().folder("speech-samples")
        paths = sorted(samples.glob("*/*.wav"))
        found = [(path, path.parent.name, path.with_suffix(".txt").read_text()) for path in paths]
    # Words of languages that are written without spaces between them cannot be counted.
    found = [each for each in found if each[1] not in ("ja", "zh", "th")][: 6 if quick else None]
    clips = await read_clips([path for path, _, _ in found])
    return [
        _Recording(clip, language, normalize(reference, language=language))
        for clip, (_, language, reference) in zip(clips, found, strict=True)
    ]


async def _wrong(recordings: list[_Recording], hear: Any) -> int:
    """Return how many words are wrong in all of them, a few heard at a time."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def count(recording: _Recording) -> int:
        async with free:
            heard = await hear(recording)
        return edit_distance(recording.words, normalize(heard, language=recording.language))

    return sum(await asyncio.gather(*map(count, recordings)))


async def _from_file(client: httpx.AsyncClient, recording: _Recording) -> str:
    file = {"file": (recording.clip.path.name, recording.clip.data)}
    form = {"model": MODEL, "language": recording.language}
    reply = await client.post("/audio/transcriptions", files=file, data=form)
    reply.raise_for_status()
    return str(reply.json()["text"])


async def _live(door: Door, recording: _Recording, chunk_ms: int) -> str:
    hearing = {
        "transcription": {"model": MODEL, "language": recording.language},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
    }
    session = {"type": "transcription", "audio": {"input": hearing}}
    sound = silence(500) + pcm_of(recording.clip.samples) + silence(1500)
    async with open_line(door, "intent=transcription", session, chunk_ms=chunk_ms) as line:
        await line.stream(frames_of(sound, chunk_ms=chunk_ms))
        # What is asked last is answered last.
        await line.send("session.update", session={"type": "transcription"})
        await line.until("session.updated", after=2)
        items = [event["item_id"] for _, event in line.came if event["type"] == _COMMITTED]
        told: dict[str, str] = {}
        while set(items) - told.keys():
            at = len(line.came)
            told |= {event["item_id"]: event["transcript"] for _, event in line.came if event["type"] == _COMPLETED}
            if set(items) - told.keys():
                await line.until(_COMPLETED, after=at)
    return " ".join(told[item_id] for item_id in items)
