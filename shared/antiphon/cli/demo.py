"""`antiphon demo`: the whole platform once around, through its door, with the official client."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.cli.asking import MANNER, ask, call_tool
from antiphon.cli.callback import LOOPBACK, transcribe_later
from antiphon.cli.failure import fail
from antiphon.cli.up import say
from antiphon.cli.weights import READINGS, SAMPLES, ensure_demo_weights
from antiphon.cli.wer import word_error_rate
from antiphon.errors import AntiphonError, Unavailable
from antiphon.stopping import StopRequest
from antiphon.supervisor.platform import Platform
from antiphon.supervisor.settings import PlatformSettings
from antiphon.supervisor.state import StateFolder

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from antiphon.models import WeightStore

SENTENCE = "This sentence was spoken by a machine, and the same machine writes down what it has heard."
SPEECH_FILE = "antiphon.mp3"
VOICE = "nova"
READING = "two_cities.wav"
# Charles Dickens, A Tale of Two Cities (1859), read aloud by a person.
READ = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness,
it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness,
it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing before us,
we were all going direct to Heaven, we were all going direct the other way. In short, the period was so far like the
present period, that some of its noisiest authorities insisted on its being received, for good or for evil, in the
superlative degree of comparison only."""
QUESTION = "What is the capital of France, and which river flows through it?"
QUESTION_FILE, ANSWER_FILE, LIVE_FILE = "question.wav", "answer.wav", "live.wav"
QUESTION_VOICE, ANSWER_VOICE = "onyx", "nova"
TOOL_QUESTION = "What is the weather in Oslo?"
FOREIGN_CLIP, FOREIGN_LANGUAGE, FOREIGN_MEANING = "ja/konnichiwa_sekai", "Japanese", "Hello world."
# Far above what the models reach, far below what a broken step gives.
LARGEST_ERROR = 0.25
LARGEST_TRANSLATION_ERROR = 0.5


@dataclass(frozen=True)
class Step:
    """What one step did, how long it took, and whether it was good enough."""

    name: str
    result: str
    seconds: float
    error_rate: float | None = None
    is_good: bool = True


@dataclass
class Clock:
    """Measures a step."""

    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self.started


def run(*, output: Path) -> None:
    """Run the demo. Leaves with exit code 1 when a step fails or hears too much wrongly."""
    try:
        store = ensure_demo_weights(os.environ)
        output.mkdir(parents=True, exist_ok=True)
        steps = asyncio.run(_demonstrate(store, output=output))
    except AntiphonError as error:
        fail(error.message)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror or error}")
    _show(steps)
    say(f"The speech lies in {output.resolve()}: {SPEECH_FILE}, {QUESTION_FILE}, {ANSWER_FILE} and {LIVE_FILE}")
    if bad := [step.name for step in steps if not step.is_good]:
        fail(f"too much was heard wrongly: {', '.join(bad)}")


async def _demonstrate(store: WeightStore, *, output: Path) -> list[Step]:
    clock = Clock()
    with _temporary_state() as state:
        async with _platform(state, os.environ) as platform:
            steps = [Step("start", "server and services", clock.seconds)]
            import openai  # noqa: PLC0415 - a second of import, worth it only now

            try:
                async with openai.AsyncOpenAI(
                    base_url=f"{platform.root_url}/v1", api_key=platform.api_keys()[0], max_retries=0
                ) as client:
                    for part in (
                        _go_around(client, store, speech=output / SPEECH_FILE),
                        _converse(client, output),
                        _talk(client, output),
                    ):
                        async for step in part:
                            say(f"  {step.name}: {step.result}")
                            steps.append(step)
            except openai.OpenAIError as error:
                raise Unavailable(f"a step of the demo failed: {error}") from None
            clock = Clock()
    steps.append(Step("stop", "everything, in order", clock.seconds))
    return steps


async def _go_around(client: AsyncOpenAI, store: WeightStore, *, speech: Path) -> AsyncIterator[Step]:
    clock = Clock()
    async with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice=VOICE, input=SENTENCE, response_format="mp3"
    ) as response:
        await response.stream_to_file(speech)
    yield Step("speak", f"“{SENTENCE}”", clock.seconds)
    yield await _transcribe(client, "transcribe it", speech, said=SENTENCE)
    yield await _transcribe(client, "transcribe a reader", store.folder(READINGS) / READING, said=READ)
    clip = store.folder(SAMPLES) / f"{FOREIGN_CLIP}.wav"
    clock = Clock()
    said = clip.with_suffix(".txt").read_text("utf-8").strip()
    with clip.open("rb") as file:
        translation = await client.audio.translations.create(model="whisper-1", file=file)
    rate = word_error_rate(FOREIGN_MEANING, translation.text)
    yield Step(
        f"translate {FOREIGN_LANGUAGE}",
        f"“{said}” → “{translation.text.strip()}”",
        clock.seconds,
        rate,
        rate <= LARGEST_TRANSLATION_ERROR,
    )
    clock = Clock()
    job = await transcribe_later(client, speech, language="en")
    heard = job.get("result", {}).get("text", "").strip()
    rate = word_error_rate(SENTENCE, heard)
    yield Step("a job, and its webhook", f"{job['status']}: “{heard}”", clock.seconds, rate, rate <= LARGEST_ERROR)


async def _converse(client: AsyncOpenAI, output: Path) -> AsyncIterator[Step]:
    question, answer = output / QUESTION_FILE, output / ANSWER_FILE
    async with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice=QUESTION_VOICE, input=QUESTION, response_format="wav"
    ) as response:
        await response.stream_to_file(question)
    yield await _transcribe(client, "ask aloud", question, said=QUESTION)
    clock = Clock()
    said = await ask(client, await asyncio.to_thread(question.read_bytes), voice=ANSWER_VOICE, answer=answer)
    heard_after = f"heard after {said.first_sound_s:.1f} s, {said.speech_s:.1f} s long"
    yield Step("answer aloud", f"“{said.transcript}” ({heard_after})", clock.seconds)
    yield await _transcribe(client, "transcribe the answer", answer, said=said.transcript)
    clock = Clock()
    name, arguments = await call_tool(client, TOOL_QUESTION)
    yield Step("call a tool", f"“{TOOL_QUESTION}” → {name}({json.dumps(arguments)})", clock.seconds)


async def _talk(client: AsyncOpenAI, output: Path) -> AsyncIterator[Step]:
    from antiphon.cli.talk_line import LineOptions  # noqa: PLC0415 - as openai
    from antiphon.cli.talk_once import ask_live  # noqa: PLC0415
    from antiphon.cli.talk_screen import describe  # noqa: PLC0415

    question, answer = output / QUESTION_FILE, output / LIVE_FILE
    clock = Clock()
    options = LineOptions(voice=ANSWER_VOICE, instructions=MANNER)
    said = await ask_live(client, question, options=options, answer=answer)
    rate = word_error_rate(QUESTION, said.heard)
    talked = f"“{said.heard}” → “{said.said}” ({describe(said.waits)})"
    yield Step("talk live", talked, clock.seconds, rate, rate <= LARGEST_ERROR)
    yield await _transcribe(client, "transcribe what was said", answer, said=said.said)


async def _transcribe(client: AsyncOpenAI, name: str, path: Path, *, said: str) -> Step:
    clock = Clock()
    with path.open("rb") as file:
        transcript = await client.audio.transcriptions.create(model="whisper-1", file=file, language="en")
    rate = word_error_rate(said, transcript.text)
    return Step(name, f"“{transcript.text.strip()}”", clock.seconds, rate, rate <= LARGEST_ERROR)


@asynccontextmanager
async def _platform(state: StateFolder, environ: Mapping[str, str]) -> AsyncIterator[Platform]:
    """A platform of its own on a free port: nothing of one that runs here already is touched."""
    settings = PlatformSettings(
        host="127.0.0.1",
        port=_free_port(),
        api_keys=f"sk-demo-{secrets.token_urlsafe(16)}",
        transcribers=1,
        translators=1,
        synthesizers=1,
        responders=1,
        realtimes=1,
    )
    own = {name: value for name, value in environ.items() if name != "REDIS_URL"}
    own["ANTIPHON_EGRESS_ALLOW"] = LOOPBACK
    platform = Platform(settings=settings, state=state, environ=own, say=say)
    stop, ready = StopRequest(), asyncio.Event()
    with stop.on_signals():
        running = asyncio.create_task(platform.run(stop=stop, on_ready=ready.set))
        started = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running  # says why
                raise Unavailable("stopped before it was ready")
            yield platform
        finally:
            started.cancel()
            stop.set()
            await running


@contextmanager
def _temporary_state() -> Iterator[StateFolder]:
    """A state folder that is removed, unless the demo failed: the logs say why."""
    root = Path(tempfile.mkdtemp(prefix="antiphon-demo-"))
    try:
        yield StateFolder(root)
    except BaseException:
        say(f"logs are in {root / 'logs'}")
        raise
    shutil.rmtree(root, ignore_errors=True)


def _show(steps: list[Step]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="Once around", title_justify="left")
    table.add_column("step")
    table.add_column("result", overflow="fold")
    table.add_column("word errors", justify="right")
    table.add_column("seconds", justify="right")
    for step in steps:
        rate = "" if step.error_rate is None else f"{step.error_rate:.1%}"
        table.add_row(step.name, step.result, rate if step.is_good else f"[red]{rate}[/red]", f"{step.seconds:.2f}")
    console = Console()
    # Piped output has no width of its own, and the default would cut the sentences up.
    (console if console.is_terminal else Console(width=140)).print(table)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
