"""What the commands ask for, and where they write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from antiphon.cli.app import app
from antiphon.cli.chat import ChatOptions
from antiphon.cli.failure import CommandFailed
from antiphon.cli.speak import SpeakOptions
from antiphon.cli.transcribe import TranscribeOptions, name_outputs

pytestmark = pytest.mark.unit


def test_words_are_streamed_where_the_format_has_no_times() -> None:
    assert TranscribeOptions(response_format="text").form() == {
        "model": "gpt-4o-transcribe",
        "response_format": "json",
        "stream": "true",
    }
    assert TranscribeOptions(response_format="srt", language="de").form() == {
        "model": "whisper-1",
        "response_format": "srt",
        "language": "de",
    }


def test_a_translation_names_no_language() -> None:
    options = TranscribeOptions(response_format="text", language="de", translate=True, model="mine")
    assert options.form() == {"model": "mine", "response_format": "text"}


def test_inputs_of_one_name_do_not_overwrite_each_other() -> None:
    files = [Path("a/talk.mp3"), Path("a/talk.wav"), Path("b/talk.wav"), Path("other.mp4")]
    assert name_outputs(files, folder=Path("out"), suffix=".srt") == [
        Path("out/talk.mp3.srt"),
        Path("out/talk.wav.srt"),
        Path("out/talk.wav-2.srt"),
        Path("out/other.srt"),
    ]
    assert name_outputs(files, folder=None, suffix=".srt") == [None] * 4


@pytest.mark.parametrize(
    ("name", "expected"), [("a.mp3", "mp3"), ("A.WAV", "wav"), ("a.ogg", "opus"), ("-", "mp3"), ("a.b.flac", "flac")]
)
def test_the_suffix_is_the_format(name: str, expected: str) -> None:
    assert SpeakOptions(output=Path(name)).request("x")["response_format"] == expected


def test_a_named_format_wins_over_the_suffix() -> None:
    assert SpeakOptions(output=Path("a.xyz"), response_format="pcm").request("x")["response_format"] == "pcm"


def test_a_suffix_without_a_format_is_refused() -> None:
    with pytest.raises(CommandFailed, match=r"^a\.xyz: no audio format has this suffix; use one of \.mp3 "):
        SpeakOptions(output=Path("a.xyz")).request("x")


def test_a_written_question_is_answered_in_writing() -> None:
    assert ChatOptions(system="Be brief.").request("Why?") == {
        "model": "gpt-audio",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ],
        "stream": True,
    }


def test_a_spoken_question_is_sent_along(tmp_path: Path) -> None:
    recording = tmp_path / "Why.MP3"
    recording.write_bytes(b"sound")
    request = ChatOptions(audio=recording).request(None)
    assert request["model"] == "gpt-audio"
    assert request["messages"] == [
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": {"data": "c291bmQ=", "format": "mp3"}}],
        }
    ]


@pytest.mark.parametrize(
    ("name", "format", "stream"), [("a.wav", "pcm16", True), ("a.pcm", "pcm16", True), ("A.OGG", "opus", False)]
)
def test_an_answer_is_spoken_as_the_suffix_says(name: str, format: str, stream: bool) -> None:
    request = ChatOptions(speak=Path(name), voice="nova").request("Why?")
    assert request["modalities"] == ["text", "audio"]
    assert request["audio"] == {"voice": "nova", "format": format}
    assert request["stream"] is stream


def test_who_asks_nothing_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"^nothing is asked"):
        ChatOptions().request(None)
    with pytest.raises(CommandFailed, match=r"^a\.txt: no audio format has this suffix"):
        ChatOptions(speak=Path("a.txt")).request("Why?")


@pytest.mark.parametrize("given", ["transcriber", "transcriber=two", "ingest=2"])
def test_a_count_of_workers_that_makes_no_sense_is_refused(given: str) -> None:
    result = CliRunner().invoke(app, ["up", "-w", given])
    assert result.exit_code == 2
    assert "transcriber=N" in result.stderr


def test_without_a_platform_a_command_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["speak", "hi", "-o", str(tmp_path / "a.mp3")], env={"ANTIPHON_STATE_DIR": str(tmp_path)}
    )
    assert result.exit_code == 1
    assert result.stderr == (
        "antiphon: no platform is running here: start one with `antiphon up`, or set ANTIPHON_BASE_URL\n"
    )


def test_the_commands_of_models_are_reached() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "antiphon.cli", "models", "pull", "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert "--from" in result.stdout


def test_the_help_imports_nothing_heavy() -> None:
    program = """
import sys
from antiphon.cli.app import app
try:
    app(["--help"], standalone_mode=False)
finally:
    heavy = {"httpx", "openai", "pydantic", "rich", "redis", "numpy", "faststream"} & set(sys.modules)
    assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
