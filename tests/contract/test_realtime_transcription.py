"""Sessions that only listen, and words that are the same live and from a file."""

from __future__ import annotations

import asyncio
import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.cli.wer import edit_distance, normalize
from tests.contract.realtime_client import Talk, talking
from tests.contract.realtime_sounds import silence, speech, spoken_turn

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"
SPEECH = Path(os.environ.get("ANTIPHON_TEST_SPEECH", Path(__file__).parents[3] / "shared" / "speech"))
"""A folder of recordings with a `manifest.tsv`: `file`, `language`, `reference` among its columns."""


async def listen(talk: Talk, model: str, language: str, **more: Any) -> dict[str, Any]:
    """Set a session up to transcribe; return it."""
    hearing = {
        "transcription": {"model": model, "language": language},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
    }
    session = {"type": "transcription", "audio": {"input": hearing}, **more}
    await talk.send("session.update", session=session)
    updated: dict[str, Any] = (await talk.until("session.updated"))["session"]
    return updated


async def test_a_session_that_listens_tells_words_and_answers_nothing(
    realtime: openai.AsyncOpenAI, clips: Path
) -> None:
    async with talking(realtime, intent="transcription") as talk:
        created = (await talk.until("session.created"))["session"]
        session = await listen(talk, "gpt-4o-transcribe", "en", include=["item.input_audio_transcription.logprobs"])
        await talk.hear(spoken_turn(clips / "en/quick_brown_fox.wav"), pace=2)
        completed = await talk.until(COMPLETED)
        event_id = await talk.send("response.create")
        refused = (await talk.until("error"))["error"]
    assert (created["type"], created["object"]) == ("transcription", "realtime.transcription_session")
    assert "output" not in created["audio"]
    assert session["audio"]["input"]["transcription"]["model"] == "gpt-4o-transcribe"
    assert normalize(completed["transcript"]) == normalize("The quick brown fox jumps over the lazy dog.")
    (committed,) = talk.of("input_audio_buffer.committed")
    deltas = talk.of(DELTA)
    assert {event["item_id"] for event in [*deltas, completed]} == {committed["item_id"]}
    assert "".join(event["delta"] for event in deltas) == completed["transcript"]
    assert "".join(each["token"] for each in completed["logprobs"]).strip() == completed["transcript"]
    assert all(each["logprob"] <= 0 for each in completed["logprobs"])
    assert completed["usage"]["type"] == "tokens"
    assert completed["usage"]["output_tokens"] > 0
    assert refused["event_id"] == event_id
    assert not [event for event in talk.log if event["type"].startswith("response.")]


async def test_a_transcriber_that_is_not_there_is_refused(realtime: openai.AsyncOpenAI) -> None:
    async with talking(realtime, intent="transcription") as talk:
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "nobody"}}}}
        await talk.send("session.update", session=session)
        error = (await talk.until("error"))["error"]
    assert error["param"] == "session.audio.input.transcription.model"


NAMES = ("en_ms_weather.wav", "en_librivox_0880.wav", "de_pv_cheetah_test_de.wav")


@dataclass(frozen=True)
class Recording:
    """What is said in a file."""

    path: Path
    language: str
    reference: str


def recordings(*names: str) -> list[Recording]:
    """Return recordings of the manifest by their names, all of one speaker if there are none."""
    with (SPEECH / "manifest.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["reference"]]
    chosen = [row for row in rows if (row["file"] in names if names else row["kind"] == "clean")]
    return [Recording(SPEECH / row["file"], row["language"], row["reference"]) for row in chosen]


async def heard_live(client: openai.AsyncOpenAI, recording: Recording, *, chunk_ms: int, pace: float = 1.0) -> str:
    """Return what a session makes of a recording."""
    async with talking(client, intent="transcription") as talk:
        await listen(talk, "whisper-1", recording.language)
        await talk.hear(silence(500) + speech(recording.path) + silence(1500), chunk_ms=chunk_ms, pace=pace)
        # A commit of what is left is refused when there is nothing, and what was committed is then all there is.
        await talk.settled(quiet_s=0.1)
        items = [event["item_id"] for event in talk.of("input_audio_buffer.committed")]
        await talk.all_of(COMPLETED, items)
        told = {event["item_id"]: event["transcript"] for event in talk.of(COMPLETED)}
    return " ".join(told[item_id] for item_id in items)


async def heard_offline(client: openai.AsyncOpenAI, recording: Recording) -> str:
    """Return what the file endpoint makes of a recording."""
    done = await client.audio.transcriptions.create(
        model="whisper-1", file=(recording.path.name, recording.path.read_bytes()), language=recording.language
    )
    return done.text


@pytest.mark.skipif(not (SPEECH / "manifest.tsv").exists(), reason="there is no folder of recordings")
@pytest.mark.parametrize("chunk_ms", [20, 40, 100])
async def test_live_words_are_those_of_the_file(realtime: openai.AsyncOpenAI, chunk_ms: int) -> None:
    chosen = recordings(
        "en_pv_leopard_test.wav", "en_ms_weather.wav", "en_librivox_0880.wav", "en_pv_cheetah_test_en.wav"
    )
    assert len(chosen) == 4
    live = await asyncio.gather(*(heard_live(realtime, each, chunk_ms=chunk_ms) for each in chosen))
    offline = await asyncio.gather(*(heard_offline(realtime, each) for each in chosen))
    words = [normalize(each.reference, language=each.language) for each in chosen]
    wrong = [
        sum(edit_distance(said, normalize(text)) for said, text in zip(words, texts, strict=True))
        for texts in (live, offline)
    ]
    assert (wrong[0] - wrong[1]) / sum(map(len, words)) <= 0.01, list(zip(live, offline, strict=True))
