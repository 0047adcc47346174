"""`antiphon up` as a user runs it, and the commands that talk to it: all services, real models."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from antiphon.cli.weights import SAMPLES, ensure_demo_weights
from antiphon.cli.wer import word_error_rate

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SOON_S = 90.0
SENTENCE = "The quick brown fox jumps over the lazy dog."


@dataclass
class Up:
    """A running `antiphon up`."""

    environ: dict[str, str]
    process: subprocess.Popen[str] = field(init=False)
    lines: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "antiphon.cli", "up"],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read its lines until one matches; the empty one is its end."""
        while True:
            try:
                line = self.lines.get(timeout=SOON_S)
            except queue.Empty:
                line = ""
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
            assert line, f"{pattern!r} is not in: {''.join(self.said)}"

    def children(self) -> dict[str, psutil.Process]:
        """Return its child processes by the last word of their command line."""
        return {child.cmdline()[-1]: child for child in psutil.Process(self.process.pid).children()}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait. Returns the exit code."""
        self.process.send_signal(number)
        self.wait_for("^$")
        return self.process.wait(SOON_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environ_for(folder: Path, **extra: str) -> dict[str, str]:
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_") and name != "REDIS_URL"
    }
    if cache := os.environ.get("ANTIPHON_CACHE_DIR"):
        own["ANTIPHON_CACHE_DIR"] = cache
    return own | {"ANTIPHON_STATE_DIR": str(folder), "ANTIPHON_PORT": str(free_port())} | extra


def antiphon(*words: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "antiphon.cli", *words],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=SOON_S,
    )


@pytest.fixture(scope="module")
def samples() -> Path:
    return ensure_demo_weights(os.environ).folder(SAMPLES)


@pytest.fixture(scope="module")
def up(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(environ_for(tmp_path_factory.mktemp("state")))
    try:
        running.wait_for("Ctrl-C stops it")
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def test_speech_written_by_one_command_is_read_by_the_other(up: Up, tmp_path: Path) -> None:
    speech = tmp_path / "speech.mp3"
    spoken = antiphon("speak", SENTENCE, "-o", str(speech), environ=up.environ)
    assert spoken.returncode == 0, spoken.stderr
    read = antiphon("transcribe", str(speech), environ=up.environ)
    assert read.returncode == 0, read.stderr
    assert word_error_rate(SENTENCE, read.stdout) <= 0.12


def test_a_spoken_question_is_answered_aloud_in_the_words_that_are_printed(up: Up, tmp_path: Path) -> None:
    question, answer = tmp_path / "question.mp3", tmp_path / "answer.wav"
    spoken = antiphon("speak", "What is the capital of France?", "-o", str(question), environ=up.environ)
    assert spoken.returncode == 0, spoken.stderr
    said = antiphon("chat", "--audio", str(question), "--speak", str(answer), environ=up.environ)
    assert said.returncode == 0, said.stderr
    assert "Paris" in said.stdout
    heard = antiphon("transcribe", str(answer), environ=up.environ)
    assert word_error_rate(said.stdout, heard.stdout) <= 0.25


def test_questions_are_asked_and_answered_live(up: Up, tmp_path: Path) -> None:
    questions = {"What is the capital of France?": "Paris", "What is the capital of Norway?": "Oslo"}
    files = [tmp_path / f"{number}.mp3" for number in range(len(questions))]
    for question, file in zip(questions, files, strict=True):
        spoken = antiphon("speak", question, "-o", str(file), environ=up.environ)
        assert spoken.returncode == 0, spoken.stderr
    answers = tmp_path / "answers.wav"
    words = ["talk", *(word for file in files for word in ("-f", str(file))), "-o", str(answers)]
    said = antiphon(*words, "-i", "Answer in one short sentence.", environ=up.environ)
    assert said.returncode == 0, said.stdout + said.stderr
    turns = re.findall(r"^you     (.+)\nanswer  (.+)\n        end noticed after .+$", said.stdout, re.MULTILINE)
    for (heard, answered), (question, wanted) in zip(turns, questions.items(), strict=True):
        assert word_error_rate(question, heard) <= 0.25
        assert wanted in answered
    heard = antiphon("transcribe", str(answers), environ=up.environ).stdout
    assert word_error_rate(" ".join(answer for _, answer in turns), heard) <= 0.25


def test_several_files_are_written_and_a_bad_one_is_named(up: Up, samples: Path, tmp_path: Path) -> None:
    bad = tmp_path / "not-audio.wav"
    bad.write_text("not audio")
    clips = [samples / "en/quick_brown_fox.wav", samples / "en/hello_world.wav"]
    result = antiphon(
        "transcribe", *map(str, clips), str(bad), "-f", "srt", "-o", str(tmp_path / "out"), environ=up.environ
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"{bad}: Invalid file format.")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["hello_world.srt", "quick_brown_fox.srt"]
    assert (tmp_path / "out/hello_world.srt").read_text().startswith("1\n00:00:0")


def test_a_wrong_key_is_told_in_one_line(up: Up, tmp_path: Path) -> None:
    result = antiphon(
        "speak", "hi", "-o", str(tmp_path / "x.mp3"), environ=up.environ | {"ANTIPHON_API_KEY": "sk-wrong"}
    )
    assert result.returncode == 1
    assert re.fullmatch(r"antiphon: .*\(HTTP 401\)\n", result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_second_platform_is_refused_and_the_first_goes_on(up: Up) -> None:
    second = antiphon("up", environ=up.environ)
    assert second.returncode == 1
    assert re.match(rf"antiphon: antiphon is already running at \S+ \(process {up.process.pid}\)", second.stderr)
    assert second.stderr.count("\n") == 1
    assert up.process.poll() is None


def test_a_port_in_use_is_told_in_one_line(samples: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = antiphon("up", environ=environ_for(tmp_path, ANTIPHON_PORT=str(port)))
    assert result.returncode == 1
    assert result.stderr == (
        f"antiphon: cannot listen on 127.0.0.1 port {port} (Address already in use): "
        "set ANTIPHON_PORT or ANTIPHON_HOST\n"
    )


def test_missing_weights_are_told_with_the_command_that_helps(tmp_path: Path) -> None:
    result = antiphon("up", environ=environ_for(tmp_path, ANTIPHON_CACHE_DIR=str(tmp_path / "empty")))
    assert result.returncode == 1
    assert "antiphon models pull" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_setting_out_of_range_is_named(tmp_path: Path) -> None:
    result = antiphon("up", environ=environ_for(tmp_path, ANTIPHON_PORT="70000"))
    assert result.returncode == 1
    assert result.stderr.startswith("antiphon: ANTIPHON_PORT: ")


# The last two end the platform that the others share.


def test_a_killed_worker_and_a_killed_server_come_back(up: Up, samples: Path) -> None:
    for name in ("services.transcriber", next(name for name in up.children() if "server" in name)):
        before = up.children()[name]
        before.kill()
        up.wait_for("was killed by SIGKILL")
    clip = samples / "en/hello_world.wav"
    give_up = time.monotonic() + SOON_S
    base_url = f"http://127.0.0.1:{up.environ['ANTIPHON_PORT']}"
    while httpx.get(f"{base_url}/readyz").status_code != httpx.codes.OK:
        assert time.monotonic() < give_up
        time.sleep(0.1)
    read = antiphon("transcribe", str(clip), environ=up.environ)
    assert word_error_rate("Hello world.", read.stdout) == 0, read.stderr


def test_one_signal_ends_everything(up: Up) -> None:
    children = psutil.Process(up.process.pid).children()
    assert len(children) == 9
    assert up.end(signal.SIGINT) == 0
    assert up.said[-2:] == ["stopped\n", ""]
    assert not any(child.is_running() for child in children)
    assert not (Path(up.environ["ANTIPHON_STATE_DIR"]) / "address.json").exists()
    refused = antiphon("speak", "hi", "-o", "-", environ=up.environ)
    assert refused.stderr.startswith("antiphon: no platform is running here")
