"""A world around one session: its client, the recogniser, the model and the voice, all driven by chance from a seed.

Jobs are under the same ids the same, however often they are ordered; their pieces come in order, but mixed with all
else, late, broken off, or after nobody wants them any more. Workers are replaced at any moment: the successor has the
snapshot of the last step that was committed, and the input since.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from antiphon.realtime.session_object import Defaults, Known, SessionKind, new_session
from antiphon.schemas import (
    ErrorInfo,
    RealtimeJob,
    Reply,
    ReplyDelta,
    ReplyUsage,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Transcript,
)
from services.realtime.session import commands as c
from services.realtime.session import happenings as h
from services.realtime.session.conversation import Conversation
from services.realtime.session.facts import Facts
from services.realtime.session.machine import Effects
from tests.unit.realtime.session_ledger import Ledger
from tests.unit.realtime.session_orders import ASKING_SERVER, SERVER, WEATHER, Client

FRAME = 512
_WORDS = ("Well", "now.", "I", "think", "so!", "Perhaps,", "or", "not?", "```x```", "Dr.", "Who", "came.", "😀", "")
_FAILURE = ErrorInfo(type="server_error", code="model_error", message="It broke.")
_TOOLS = ({"name": "search", "description": "d", "input_schema": {"type": "object"}, "annotations": None},)
BEGAN_MS = 1_790_000_000_000

Key = tuple[str, ...]
Work = Iterator[h.Happening]


@dataclass(frozen=True)
class Mood:
    """What a session is mostly about."""

    session: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False
    pauses_ms: tuple[int, ...] = (0, 5, 40, 40, 200, 2000)


_TURNS = {"type": "server_vad", "silence_duration_ms": 64, "interrupt_response": False}
_MOODS = (
    Mood(),
    Mood({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}, pauses_ms=(0, 5, 40)),
    Mood({"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": _TURNS}}}),
    Mood({"tools": [WEATHER, SERVER, ASKING_SERVER], "tool_choice": "required"}, quiet=True, pauses_ms=(0, 5, 40)),
    Mood({"audio": {"input": {"turn_detection": {**_TURNS, "idle_timeout_ms": 5000}}}}, quiet=True),
)


class World:
    """One session from its beginning to its end."""

    def __init__(self, seed: int, *, kind: SessionKind | None = None, sampled: float = 0.03) -> None:
        self._seed = seed
        self._rng = rng = Random(seed)
        kind = kind or ("transcription" if rng.random() < 0.15 else "realtime")
        self._facts = Facts(
            session_id=f"sess_{seed}",
            tenant="t",
            locked=rng.random() < 0.02,
            known=Known(voices=("alloy", "marin"), is_transcriber=lambda name: name != "nobody"),
            model="m" if kind == "realtime" else "",
            speech_model="s",
            transcriber="r",
            sees=rng.random() < 0.2,
            speaks=rng.random() < 0.15,
            context_tokens=rng.choice((60, 28_672)),
            buffer_limit_ms=rng.choice((3_000, 600_000)),
            longest_response_ms=rng.choice((5_000, *[600_000] * 4)),
            requests_per_minute=rng.choice((3, *[1000] * 9)),
            tokens_per_minute=1_000_000,
        )
        session = new_session(
            kind,
            session_id=self._facts.session_id,
            model="gpt-realtime" if kind == "realtime" else None,
            expires_at=BEGAN_MS // 1000 + rng.choice((20, *[3600] * 9)),
            defaults=Defaults(),
        )
        self.now_ms = BEGAN_MS
        self.machine = Conversation.new(
            RealtimeJob(id=self._facts.session_id, model="m", session=session), self._facts, now_ms=self.now_ms
        )
        self.client = Client(rng, kind)
        self.ledger = Ledger(rng, kind=kind, known=self.client.known, sampled=sampled)
        self.work: dict[Key, Work] = {}
        self._late: list[h.Happening] = []
        self._snapshot: dict[str, bytes] = {}
        self._replay: list[h.Happening] = []
        self._heard = self._voiced = 0
        self._audible: dict[str, set[int]] = {}
        self._detects = False
        self._speaks = False
        self.ended = False
        self.steps = 0
        self._twin: Conversation | None = None
        self._twin_left = 0
        self._written_down = False
        self.step(h.Began())
        self._mood = rng.choice(_MOODS) if kind == "realtime" else _MOODS[0]
        if self._mood.session:
            self.step(h.ClientEvent({"type": "session.update", "session": {"type": "realtime", **self._mood.session}}))

    def run(self, steps: int) -> None:
        """Let so many things happen, then let all that is under way come to its end."""
        for _ in range(steps):
            if self.ended:
                break
            self.happen()
        self._settle()
        assert self.machine.step(h.ClientLeft(), self.now_ms).events == []
        assert self.machine.step(h.ClientEvent({"type": "nonsense"}), self.now_ms).events == []

    # -- what happens --------------------------------------------------------------------------------------------------

    def happen(self) -> None:
        rng = self._rng
        self.now_ms += rng.choice(self._mood.pauses_ms)
        wake_ms = self.machine.wake_at_ms
        if wake_ms is not None and wake_ms <= self.now_ms:
            self.step(h.Ticked())
            return
        draw = rng.random()
        if draw < 0.30:
            self._append()
        elif draw < 0.52:
            self.step(h.ClientEvent(self.client.draw()))
        elif draw < 0.94:
            self._deliver()
        elif draw < 0.95:
            self.step(h.Refused(_FAILURE, "client_x"))
        elif draw < 0.96:
            self.step(h.Ticked())
        elif draw < 0.97 and self._late:
            self.step(rng.choice(self._late))
        elif draw < 0.99:
            self._take_over()
        else:
            self._fork()

    def _append(self) -> None:
        rng = self._rng
        if rng.random() < 0.3:
            self._speaks = not self._speaks and not (self._mood.quiet and rng.random() < 0.8)
        length = rng.choice((320, 640, 640, 1600, 4800, 9600, 7))
        self._heard += length
        frames = self._heard // FRAME - self._voiced
        self._voiced += frames
        low, high = (0.6, 1.0) if self._speaks else (0.0, 0.4)
        steady = rng.random() < 0.8
        voice = tuple(rng.uniform(low, high) if steady else rng.random() for _ in range(frames))
        self.step(h.Appended(length, voice if self._detects else ()))

    def _deliver(self) -> None:
        """Let something that was ordered come a little further."""
        if not self.work:
            return
        key = self._rng.choice(list(self.work))
        for _ in range(self._rng.choice((1, 1, 3))):
            work = self.work.get(key)
            if work is None:
                return
            happening = next(work, None)
            if happening is None:
                del self.work[key]
                return
            self.step(happening)

    def _take_over(self) -> None:
        """Another worker goes on; what the last one had under way is ordered again, or nobody wants it."""
        self.work.clear()
        self._twin = None
        self.machine = Conversation.load(self._snapshot, self._facts)
        replay, self._replay = self._replay, []
        self.step(h.Resumed())
        for happening in replay:
            self.step(happening)

    def _fork(self) -> None:
        """Have a successor live through the same beside the first worker for a while: the two must not differ."""
        core = self.machine.core
        spoken = not self._facts.speaks and any(each.part == "audio" for each in core.responses.values())
        early = core.buffer.turn is not None and core.buffer.turn.heard_to is not None
        heard = early or any(key[0] == "hear" for key in self.work)
        if not self._written_down or spoken or heard:
            # What is known but not written down a successor learns again, what was heard is told it from the beginning,
            # and sentences that wait may be said together.
            return
        self._twin, self._twin_left = Conversation.load(self._snapshot, self._facts), 15
        assert orjson.dumps(self._twin.core) == orjson.dumps(self.machine.core), "the snapshot is not the whole state"
        told = {event["type"] for event in self._twin.step(h.Resumed(), self.now_ms).events}
        assert told <= {"mcp_list_tools.failed", "error"}, "a client is told of a takeover"
        if told:
            # A server that was taken out of the session meanwhile is given up: the two live on differently.
            self._twin = None

    def _settle(self) -> None:
        """Let everything that is ordered come to its end; then nothing may be under way."""
        for _ in range(3000):
            if self.ended or not self.work:
                break
            self._deliver()
        assert not self.work or self.ended, f"without an end: {list(self.work)}"
        if not self.ended:
            under_way = list(self.machine.core.responses)
            assert not under_way, f"silence: nobody works on {under_way}"
            self.ledger.close()

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self, happening: h.Happening) -> Effects:
        """Let one thing happen, and hold what comes of it to the ledger."""
        self.steps += 1
        before = self.machine.core.session["audio"]["input"].get("turn_detection")
        effects = self.machine.step(happening, self.now_ms)
        if self._twin is not None and self._twin_left:
            self._twin_left -= 1
            assert self._twin.step(happening, self.now_ms).events == effects.events, "a successor tells something else"
        for event in effects.events:
            self.ledger.enter(event)
            if event["type"] == "response.output_audio.delta":
                self._audible[event["item_id"]] = {0}
            elif event["type"] == "session.updated" and before is not None:
                self.ledger.tune(event["session"]["audio"]["input"]["turn_detection"])
        if isinstance(happening, h.ClientEvent):
            self._check_told(happening, effects)
        for command in effects.commands:
            self._obey(command)
        self._written_down = bool(effects.events or effects.commands) or self._rng.random() < 0.1
        if self._written_down:
            self._commit()
        elif isinstance(happening, h.Appended | h.ClientEvent | h.Refused):
            self._replay.append(happening)
        return effects

    def _commit(self) -> None:
        for name, value in self.machine.changes().items():
            if value is None:
                self._snapshot.pop(name, None)
            else:
                self._snapshot[name] = value
        self._replay.clear()

    def _check_told(self, happening: h.ClientEvent, effects: Effects) -> None:
        """An error names the event that it is about, and comes alone."""
        errors = [event for event in effects.events if event["type"] == "error"]
        if happening.event.get("type") == "session.update":
            kinds = [event["type"] for event in effects.events]
            assert kinds[0] in ("session.updated", "error"), kinds
            assert (kinds[0] == "error") == ("session.updated" not in kinds)
        event_id = happening.event.get("event_id")
        is_good = isinstance(event_id, str) and len(event_id) <= 512
        for error in errors:
            if is_good:
                assert error["error"]["event_id"] in (event_id, None)
            else:
                assert error["error"]["event_id"] is None

    # -- what is ordered -----------------------------------------------------------------------------------------------

    def _obey(self, command: c.Command) -> None:
        match command:
            case c.Listen(detect=detect):
                if detect != self._detects:
                    self._detects = detect
                    self._voiced = self._heard // FRAME
            case c.FindAudio(item_id=item_id, event_id=event_id):
                parts = dict.fromkeys(self._audible.get(item_id, ()), b"ab")
                self.work["find", item_id, str(event_id)] = iter((h.AudioFound(item_id, event_id, parts),))
            case c.KeepAudio(item_id=item_id):
                self._audible.setdefault(item_id, set()).add(0)
            case c.GiveAudio(item_id=item_id, content_index=index):
                self._audible.setdefault(item_id, set()).add(index)
            case c.JudgeTurn(turn=turn):
                self.work["judge", str(turn)] = iter((h.Judged(turn, self._rng.random()),))
            case c.Transcribe(item_id=item_id, hearing=hearing):
                self.work["hear", item_id, str(hearing)] = self._hear(command)
            case c.StopTranscribing(item_id=item_id, hearing=hearing):
                self._drop("hear", item_id, str(hearing))
            case c.Respond(response_id=response_id):
                self.work["answer", response_id] = self._answer(command)
            case c.Say(response_id=response_id, saying=saying):
                self.work["say", response_id, str(saying)] = self._say(command)
            case c.StopResponding(response_id=response_id):
                for key in [key for key in self.work if key[:2] in (("answer", response_id), ("say", response_id))]:
                    self._drop(*key)
            case c.ListTools(item_id=item_id):
                listed = h.ToolsListed(item_id, _TOOLS) if self._lucky(item_id) else h.ToolsNotListed(item_id, _FAILURE)
                self.work["list", item_id] = iter((listed,))
            case c.CallTool(item_id=item_id):
                error = None if self._lucky(item_id) else {"type": "tool_execution_error", "message": "no"}
                self.work["call", item_id] = iter((h.ToolAnswered(item_id, "found" if error is None else None, error),))
            case c.End():
                self.ended = True

    def _drop(self, *key: str) -> None:
        """Stop a work; sometimes one more piece of it was on its way already."""
        work = self.work.pop(key, None)
        if work is not None and self._rng.random() < 0.3:
            self._late += [piece for piece in (next(work, None),) if piece is not None]
            del self._late[:-5]

    def _lucky(self, name: str) -> bool:
        return Random(f"{self._seed}{name}").random() < 0.85

    def _hear(self, command: c.Transcribe) -> Work:
        rng = Random(f"{self._seed}{command.item_id}{command.hearing}")
        words = rng.choices(_WORDS, k=rng.choice((0, 1, 3)))
        for number, word in enumerate(words):
            yield h.HeardMore(command.item_id, command.hearing, word if not number else f" {word}")
        if rng.random() < 0.1:
            yield h.NotHeard(command.item_id, command.hearing, _FAILURE)
            return
        logprobs = (TokenLogprob(token="a", logprob=-0.5, bytes=(97,)),) if command.options.logprobs else None
        transcript = Transcript(
            task="transcribe", language="en", duration=1.0, text=" ".join(words), logprobs=logprobs, output_tokens=3
        )
        yield h.Heard(command.item_id, command.hearing, transcript)

    def _answer(self, command: c.Respond) -> Work:
        rng = Random(f"{self._seed}{command.job.id}")
        pieces = [ReplyDelta(text=f"{word} ") for word in rng.choices(_WORDS, k=rng.choice((0, 1, 4, 9)))]
        calls = []
        if command.job.tools and command.job.options.tool_choice.mode != "none":
            for index in range(rng.choice((0, 1, 1, 2))):
                name = rng.choice(command.job.tools).name
                call_id = f"call_{command.job.id}_{index}"
                calls.append(ToolCall(id=call_id, name=name, arguments='{"a": 1}'))
                pieces.append(self._delta(ToolCallDelta(index=index, id=call_id, name=name, arguments='{"a"')))
                pieces.append(self._delta(ToolCallDelta(index=index, arguments=": 1}")))
        sounds = [b"\1\0" * rng.choice((120, 2400))] * len(pieces) if command.job.voice else []
        seq = max(0, command.after - rng.choice((0, 0, 1)))
        fails_at = rng.choice((None,) * 8 + (0, 2))
        mixed = [value for pair in zip(pieces, sounds, strict=True) for value in pair] if sounds else pieces
        for number, piece in enumerate(mixed):
            if number == fails_at:
                yield h.NotAnswered(command.response_id, _FAILURE)
                return
            if number >= seq:
                if isinstance(piece, bytes):
                    yield h.Spoke(command.response_id, number, piece)
                else:
                    yield h.Wrote(command.response_id, number, piece)
        reason: Any = "tool_calls" if calls else rng.choice(("stop", "stop", "length", "content_filter"))
        text = "".join(piece.text for piece in pieces)
        usage = ReplyUsage(prompt_tokens=9, completion_tokens=4, cached_tokens=rng.choice((0, 5)))
        yield h.Answered(
            command.response_id, Reply(text=text, tool_calls=tuple(calls), finish_reason=reason, usage=usage)
        )

    def _delta(self, call: ToolCallDelta) -> ReplyDelta:
        return ReplyDelta(tool_calls=(call,))

    def _say(self, command: c.Say) -> Work:
        rng = Random(f"{self._seed}{command.response_id}{command.saying}")
        fails = rng.random() < 0.05
        step = 2 * rng.choice((240, 2400))
        length = step * rng.choice((1, 3))
        # A voice may begin again from the start, or just where it was needed.
        start = rng.choice((0, command.after // step * step))
        for at in range(start, length, step):
            said = len(command.text) * (at + step) // length
            yield h.Sounded(command.response_id, command.saying, at, bytes([at % 251, 1]) * (step // 2))
            if fails:
                yield h.NotSaid(command.response_id, command.saying, _FAILURE)
                return
            yield h.SaidUpTo(command.response_id, command.saying, said)
        yield h.Said(command.response_id, command.saying)


def run_sequence(seed: int, *, steps: int | None = None, sampled: float = 0.03) -> World:
    """Run the session of a seed. Raises `AssertionError` with the seed."""
    world: World | None = None
    try:
        world = World(seed, sampled=sampled)
        world.run(steps or Random(seed).choice((10, 30, 60, 120)))
    except Exception as error:
        error.add_note(f"seed {seed}" + (f", after {world.steps} steps" if world else ""))
        raise
    return world


def run_many(first: int, count: int) -> tuple[int, int, int, float]:
    """Run so many sequences; return how many there were, their steps, their events, and the seconds it took."""
    started, steps, events = time.perf_counter(), 0, 0
    for seed in range(first, first + count):
        world = run_sequence(seed)
        steps += world.steps
        events += world.ledger.count
    return count, steps, events, time.perf_counter() - started
