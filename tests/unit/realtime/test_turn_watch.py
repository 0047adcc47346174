"""Turns as an operator sees them: one trace each, whatever becomes of them, and the time of their stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from antiphon.schemas import ErrorInfo
from services.realtime.driver.turn_watch import TurnWatch
from services.realtime.interpreting.interpreter import item_of
from services.realtime.session.commands import Command, Respond, Say, Transcribe
from services.realtime.session.happenings import Happening, NotAnswered, Resumed
from services.realtime.session.machine import Effects, Machine
from tests.unit.realtime.interpretation_talk import Talk
from tests.unit.realtime.session_world import World
from tests.unit.realtime.stage_play import Play

pytestmark = pytest.mark.unit

SESSION = trace.SpanContext(0x5E55, 0x10, is_remote=False, trace_flags=trace.TraceFlags(1))
VAD = {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 320}}}}
MANUAL = {"audio": {"input": {"turn_detection": None}}}
HEARD = {"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}}


@dataclass
class Observed:
    """A watch with a clock of the test's own, and the spans that it has ended."""

    now_s: float = 100.0
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")
        self.watch = self.new_watch()

    def new_watch(self, **options: Any) -> TurnWatch:
        with trace.use_span(trace.NonRecordingSpan(SESSION)):
            return TurnWatch("sess_1", clock=lambda: self.now_s, tracer=self.tracer, **options)

    @property
    def turns(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def parent_of(self, command: Command) -> int | None:
        """Return the trace that is current while a command is carried out."""
        with self.watch.about(command):
            return trace.get_current_span().get_span_context().trace_id or None


class Seen:
    """A machine whose steps are watched."""

    def __init__(self, machine: Machine, observed: Observed) -> None:
        self._machine = machine
        self._observed = observed

    def step(self, happening: Happening, now_ms: int) -> Effects:
        effects = self._machine.step(happening, now_ms)
        self._observed.watch.see(happening, effects)
        return effects

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)


@pytest.fixture
def observed() -> Observed:
    return Observed()


def watched(observed: Observed, update: dict[str, Any], kind: str = "realtime") -> Play:
    play = Play(kind, update=update)
    play.machine = Seen(play.machine, observed)  # type: ignore[assignment]
    return play


def about(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("antiphon.turn."): value for name, value in (span.attributes or {}).items()}


def count(stage: str) -> float:
    return REGISTRY.get_sample_value("antiphon_turn_seconds_count", {"stage": stage}) or 0.0


def test_a_spoken_turn_is_one_trace_linked_to_its_session_with_the_time_of_each_stage(observed: Observed) -> None:
    before = [count(stage) for stage in ("hear", "think", "speak", "answer")]
    play = watched(observed, VAD)
    play.append(600, voice=True)
    play.append(120, voice=False)
    hearing = play.ordered(Transcribe)
    trace_id = observed.parent_of(hearing)
    assert trace_id
    play.append(400, voice=False)
    assert "response.created" in play.types()
    play.commands.append(hearing)
    observed.now_s += 0.25
    play.hear("Hello?")
    thinking = next(command for command in play.commands if isinstance(command, Respond))
    assert observed.parent_of(thinking) == trace_id
    observed.now_s += 0.5
    play.write("Hello, you. ")
    saying = next(command for command in play.commands if isinstance(command, Say))
    assert observed.parent_of(saying) == trace_id
    observed.now_s += 0.125
    play.say()
    (turn,) = observed.turns
    assert turn.context is not None
    assert (turn.name, turn.context.trace_id, turn.parent) == ("realtime turn", trace_id, None)
    assert [link.context for link in turn.links] == [SESSION]
    told = about(turn)
    done = play.last("response.done")["response"]
    assert (told["gen_ai.conversation.id"], told["gen_ai.response.id"]) == ("sess_1", done["id"])
    assert told["antiphon.item.id"] == hearing.item_id
    assert (told["status"], told["resumed"]) == ("completed", False)
    assert [told[f"{stage}_ms"] for stage in ("hear", "think", "speak", "answer")] == [250.0, 500.0, 125.0, 875.0]
    assert [count(stage) for stage in ("hear", "think", "speak", "answer")] == [figure + 1 for figure in before]
    assert not any("ello" in str(value) for value in told.values())


def test_a_speaker_who_goes_on_stays_in_the_same_turn(observed: Observed) -> None:
    play = watched(observed, VAD)
    play.append(600, voice=True)
    play.append(120, voice=False)
    first = observed.parent_of(play.ordered(Transcribe))
    play.append(600, voice=True)
    observed.now_s += 5
    play.append(500, voice=False)
    second = play.ordered(Transcribe)
    assert observed.parent_of(second) == first
    play.commands.append(second)
    play.hear("Hello?")
    play.write("Hi. ")
    play.say()
    (turn,) = observed.turns
    assert about(turn)["hear_ms"] == 0.0


def test_a_turn_that_nobody_answers_ends_when_its_words_are_known(observed: Observed) -> None:
    play = watched(observed, HEARD, kind="transcription")
    play.append(600, voice=True)
    play.client("input_audio_buffer.commit")
    observed.now_s += 0.75
    assert not observed.turns
    play.hear("Hello?")
    (turn,) = observed.turns
    assert (about(turn)["status"], about(turn)["hear_ms"]) == ("heard", 750.0)


def test_a_response_that_a_client_asks_for_takes_up_what_was_committed_before(observed: Observed) -> None:
    play = watched(observed, HEARD)
    play.append(600, voice=True)
    play.client("input_audio_buffer.commit")
    hearing = play.ordered(Transcribe)
    trace_id = observed.parent_of(hearing)
    play.client("response.create")
    play.commands.append(hearing)
    play.hear("Hello?")
    assert observed.parent_of(next(it for it in play.commands if isinstance(it, Respond))) == trace_id
    play.write("Hi. ")
    play.say()
    assert [about(turn)["status"] for turn in observed.turns] == ["completed"]


def test_words_that_only_the_answer_needs_are_heard_in_its_turn(observed: Observed) -> None:
    play = watched(observed, MANUAL)
    play.append(600, voice=True)
    play.client("input_audio_buffer.commit")
    assert not observed.turns
    play.client("response.create")
    hearing = play.ordered(Transcribe)
    trace_id = observed.parent_of(hearing)
    assert trace_id
    play.commands.append(hearing)
    play.hear("Hello?")
    asked = next(it for it in play.commands if isinstance(it, Respond))
    assert observed.parent_of(asked) == trace_id
    play.happen(NotAnswered(asked.response_id, ErrorInfo(message="The canary is dead.", code="model_error")))
    (turn,) = observed.turns
    assert about(turn)["status"] == "failed"
    assert (turn.status.status_code, turn.status.description) == (trace.StatusCode.ERROR, None)
    assert "canary" not in turn.to_json()


def test_what_is_cleared_before_it_was_said_ends_too(observed: Observed) -> None:
    play = watched(observed, VAD)
    play.append(600, voice=True)
    play.append(120, voice=False)
    play.client("input_audio_buffer.clear")
    assert [about(turn)["status"] for turn in observed.turns] == ["cleared"]


def test_a_successor_begins_a_trace_of_its_own_and_measures_nothing_it_has_not_seen(observed: Observed) -> None:
    play = watched(observed, VAD)
    play.append(600, voice=True)
    play.append(500, voice=False)
    play.hear("Hello?")
    before = count("answer")
    observed.watch.close()
    assert [about(turn)["status"] for turn in observed.turns] == ["left"]
    observed.watch = observed.new_watch()
    play.take_over()
    play.machine = Seen(play.machine, observed)  # type: ignore[assignment]
    observed.watch.see(Resumed(), Effects(commands=list(play.commands)))
    play.write("Hi. ")
    play.say()
    turn = observed.turns[-1]
    assert (about(turn)["status"], about(turn)["resumed"]) == ("completed", True)
    assert turn.context is not None
    first = observed.turns[0].context
    assert first is not None
    assert turn.context.trace_id != first.trace_id
    assert not [name for name in about(turn) if name.endswith("_ms")]
    assert count("answer") == before


class WatchedWorld(World):
    """A session by chance; each of its workers has a watch."""

    def __init__(self, seed: int, observed: Observed) -> None:
        self.observed = observed
        self.done: list[str] = []
        super().__init__(seed, sampled=0.0)

    def step(self, happening: Happening) -> Effects:
        effects = super().step(happening)
        if isinstance(happening, Resumed):
            self.observed.watch.close()
            self.observed.watch = self.observed.new_watch()
        self.observed.watch.see(happening, effects)
        self.done += [event["response"]["id"] for event in effects.events if event["type"] == "response.done"]
        over = {event["response"]["id"] for event in effects.events if event["type"] == "response.done"}
        for command in effects.commands:
            wanted = isinstance(command, Respond | Say) and command.response_id not in over
            if wanted or isinstance(command, Transcribe):
                assert self.observed.parent_of(command), command
        return effects


def test_every_response_of_any_session_ends_the_one_turn_that_it_belongs_to() -> None:
    for seed in range(24):
        observed = Observed()
        world = WatchedWorld(seed, observed)
        world.run(60)
        observed.watch.close()
        ended = [about(turn).get("gen_ai.response.id") for turn in observed.turns if about(turn)["status"] != "left"]
        answered = [response_id for response_id in ended if response_id is not None]
        assert len(answered) == len(set(answered)), seed
        assert set(answered) <= set(world.done), seed
        known = {about(turn).get("gen_ai.response.id") for turn in observed.turns}
        resumed = any(about(turn)["resumed"] for turn in observed.turns)
        assert resumed or set(world.done) <= known, seed


def utterances(observed: Observed) -> Iterator[tuple[str, bool]]:
    for turn in observed.turns:
        yield about(turn)["status"], "answer_ms" in about(turn)


def test_an_utterance_is_a_trace_from_its_words_to_the_sound_of_their_translation(observed: Observed) -> None:
    observed.watch = observed.new_watch(item_of=item_of)
    before = count("answer")
    talk = Talk()
    talk.machine = Seen(talk.machine, observed)  # type: ignore[assignment]
    talk.update(language="ja")
    talk.speak()
    hearing = talk.hearing(1, 0)
    trace_id = observed.parent_of(hearing)
    assert trace_id
    talk.recognise(hearing, "Hola.")
    (asked,) = talk.orders(Respond)
    assert observed.parent_of(asked) == trace_id
    talk.translate(asked, "Konnichiwa.")
    (saying,) = talk.orders(Say)
    assert observed.parent_of(saying) == trace_id
    talk.sound(saying, bytes(4_800))
    talk.finish(saying)
    assert list(utterances(observed)) == [("completed", True)]
    assert count("answer") == before
