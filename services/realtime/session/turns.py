"""The input buffer, and who has the turn: where speech begins and ends in what is appended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.audio.speech_gate import Edge, GateOptions, GateState, SpeechGate
from antiphon.realtime.refusals import RealtimeRefusal
from services.realtime.session.commands import JudgeTurn, KeepAudio
from services.realtime.session.happenings import POSITIONS_PER_MS
from services.realtime.session.hearing import Hearing
from services.realtime.session.stage import Stage, ms_of
from services.realtime.session.state import Item, Turn

LEAST_MS = 100
"""Of audio in a commit."""
ONSET_MS = 96
"""Voice that lasts so long is speech."""
EARLY_MS = 96
"""Silence after which a turn is recognised as if it were over."""
PAUSE_MS = 200
"""Silence after which it is judged whether the speaker is through."""
_KEPT_MS = 2_000
"""How long committed audio stays at hand for a successor that has to keep it again."""
_MARGIN_MS = 200
"""Of audio before what is needed: the voice is told some frames late."""

_MOST_WAIT_MS = {"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000}
_LEAST_WAIT_MS = 400
_THROUGH = {"low": 0.7, "medium": 0.5, "auto": 0.5, "high": 0.35}
"""Judgement from which a speaker counts as through, by eagerness."""


class Turns:
    """Follows the input. `began` is told when somebody begins to speak, `ended` of the item of each turn."""

    def __init__(
        self,
        stage: Stage,
        hearing: Hearing,
        *,
        began: Callable[[], None],
        commit: Callable[[Item], None],
        ended: Callable[[], None],
        needed: Callable[[], bool],
    ) -> None:
        self._stage = stage
        self._buffer = stage.core.buffer
        self._hearing = hearing
        self._began = began
        self._commit_item = commit
        self._ended = ended
        self._needed = needed
        self._gate = SpeechGate(self._options(), self._buffer.gate)

    @property
    def detection(self) -> dict[str, Any] | None:
        """How turns are found, None when the client commits them."""
        found: dict[str, Any] | None = self._stage.core.session["audio"]["input"].get("turn_detection")
        return found

    @property
    def audio_from(self) -> int:
        """The first position that may still be asked for."""
        buffer = self._buffer
        return min(buffer.start, buffer.kept_from) if buffer.stop < buffer.kept_until else buffer.start

    def tune(self) -> None:
        """Take up changed settings; what is in the buffer stays."""
        buffer = self._buffer
        turn = buffer.turn
        if self.detection is None and turn is not None:
            # The client commits the rest itself, from where the turn began.
            self._hearing.drop_early(turn)
            buffer.turn = None
        if buffer.turn is None:
            self._reset_gate()
        else:
            self._gate = SpeechGate(self._options(), buffer.gate)
        if buffer.deaf and self.detection is not None:
            # The first frame begins where it is turned on.
            buffer.gate_base = buffer.stop
        buffer.deaf = self.detection is None

    # -- what comes in -------------------------------------------------------------------------------------------------

    def append(self, length: int, voice: tuple[float, ...]) -> None:
        """Take up audio."""
        buffer = self._buffer
        buffer.stop += length
        self._stage.core.heard_ms = ms_of(buffer.stop)
        if self.detection is not None:
            for probability in voice:
                self._listen(probability)
            if buffer.turn is None:
                self._let_go()
        limit = self._stage.facts.buffer_limit_ms * POSITIONS_PER_MS
        if buffer.stop - buffer.start > limit:
            self._overflow(limit)

    def commit(self) -> None:
        """Make an item of the buffer at the client's wish. Raises `InvalidRequest` when there is too little."""
        buffer = self._buffer
        length_ms = (buffer.stop - buffer.start) / POSITIONS_PER_MS
        if length_ms < LEAST_MS:
            raise RealtimeRefusal(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{LEAST_MS}ms of audio, but buffer only has {length_ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        turn, buffer.turn = buffer.turn, None
        if turn is not None:
            self._hearing.drop_early(turn)
        self._commit(turn.item_id if turn else self._stage.new_id("item"), buffer.start, buffer.stop, turn)
        self._reset_gate()

    def clear(self) -> None:
        """Forget the buffer at the client's wish."""
        buffer = self._buffer
        turn, buffer.turn = buffer.turn, None
        if turn is not None:
            self._hearing.drop_early(turn)
        buffer.start = buffer.stop
        self._reset_gate()
        self._stage.emit("input_audio_buffer.cleared")

    def judged(self, asked: int, probability: float) -> None:
        """Take the judgement whether the speaker is through."""
        turn, detection = self._buffer.turn, self.detection
        if turn is None or detection is None or turn.asked != asked or turn.paused_at is None:
            return
        eagerness = detection.get("eagerness") or "auto"
        through = _THROUGH[eagerness]
        if probability >= through:
            self._end(turn)
            return
        # The less likely it is, the longer the silence has to last.
        most_ms = _MOST_WAIT_MS[eagerness]
        wait_ms = max(_LEAST_WAIT_MS, most_ms * (1 - probability / through))
        turn.ends_at = turn.paused_at + int(wait_ms) * POSITIONS_PER_MS
        self._end_if_quiet(turn)

    def time_out(self) -> None:
        """Nobody has spoken for a while: make an item of the silence."""
        buffer = self._buffer
        since = buffer.start if buffer.idle_from is None else buffer.idle_from
        item_id = self._stage.new_id("item")
        self._stage.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=ms_of(min(since, buffer.stop)),
            audio_end_ms=ms_of(buffer.stop),
            item_id=item_id,
        )
        self._commit(item_id, buffer.start, buffer.stop, None, silent=True)
        self._reset_gate()

    def resume(self) -> None:
        """Order again what a successor needs."""
        buffer = self._buffer
        for item in self._stage.items.values():
            if buffer.stop < buffer.kept_until and item.start == buffer.kept_from and item.stop > item.start:
                self._stage.order(KeepAudio(item.wire["id"], item.start, item.stop))
        turn = buffer.turn
        if turn is not None and turn.paused_at is not None and turn.ends_at is None:
            self._stage.order(JudgeTurn(turn.asked, turn.start, buffer.stop))

    # -- speech --------------------------------------------------------------------------------------------------------

    def _listen(self, probability: float) -> None:
        edge = self._gate.push(probability)
        self._buffer.gate = self._gate.state
        turn = self._buffer.turn
        if edge is not None and edge.kind == "started":
            self._started(edge)
        elif edge is not None and turn is not None:
            self._paused(turn, edge)
        elif turn is not None:
            self._follow(turn)

    def _started(self, edge: Edge) -> None:
        buffer = self._buffer
        turn = buffer.turn
        if turn is not None:
            # The pause was one in the middle of a turn.
            turn.paused_at = turn.ends_at = None
            self._hearing.drop_early(turn)
            return
        detection = self.detection or {}
        padding = detection.get("prefix_padding_ms", GateOptions.padding_before_ms) * POSITIONS_PER_MS
        start = max(buffer.start, buffer.gate_base + edge.at - padding)
        buffer.start = start
        buffer.idle_from = None
        buffer.turn = Turn(self._stage.new_id("item"), start)
        self._stage.emit("input_audio_buffer.speech_started", audio_start_ms=ms_of(start), item_id=buffer.turn.item_id)
        self._began()

    def _follow(self, turn: Turn) -> None:
        """Mind a silence that is too short to be a pause, or one that has been judged."""
        if turn.paused_at is not None:
            self._end_if_quiet(turn)
        elif not self._gate.quiet:
            self._hearing.drop_early(turn)
        elif turn.heard_to is None and self._gate.quiet >= EARLY_MS * POSITIONS_PER_MS and self._recognises:
            self._hearing.begin_early(turn, self._gate_position)

    def _paused(self, turn: Turn, edge: Edge) -> None:
        detection = self.detection or {}
        turn.paused_at = self._buffer.gate_base + edge.at
        if turn.heard_to is None and self._recognises:
            self._hearing.begin_early(turn, self._gate_position)
        if detection["type"] == "server_vad":
            self._end(turn)
        else:
            turn.asked += 1
            turn.ends_at = None
            self._stage.order(JudgeTurn(turn.asked, turn.start, self._gate_position))

    def _end_if_quiet(self, turn: Turn) -> None:
        """End a turn whose silence has lasted as long as the judgement asks, or that nobody has judged in time."""
        detection = self.detection or {}
        ends_at = turn.ends_at
        if ends_at is None and turn.paused_at is not None:
            most_ms = _MOST_WAIT_MS[detection.get("eagerness") or "auto"]
            ends_at = turn.paused_at + most_ms * POSITIONS_PER_MS
        # The gate takes voice for speech again only once it has lasted.
        if ends_at is not None and self._gate_position >= ends_at and self._gate.state.onset is None:
            self._end(turn)

    def _end(self, turn: Turn) -> None:
        buffer = self._buffer
        stop = min(self._gate_position, buffer.stop)
        buffer.turn = None
        self._stage.emit("input_audio_buffer.speech_stopped", audio_end_ms=ms_of(stop), item_id=turn.item_id)
        self._commit(turn.item_id, turn.start, stop, turn)
        self._ended()

    # -- the buffer ----------------------------------------------------------------------------------------------------

    def _commit(self, item_id: str, start: int, stop: int, turn: Turn | None, *, silent: bool = False) -> None:
        buffer = self._buffer
        buffer.start = stop
        buffer.kept_from, buffer.kept_until = start, buffer.stop + _KEPT_MS * POSITIONS_PER_MS
        wire = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        item = Item(wire, start=start, stop=stop)
        if silent:
            item.heard = "yes"
        self._stage.order(KeepAudio(item_id, start, stop))
        self._commit_item(item)
        if not silent:
            self._hearing.begin(item, turn=turn, needed=turn is not None and self._recognises)

    def _let_go(self) -> None:
        """Forget what is before anything that may become speech."""
        buffer = self._buffer
        padding_ms = (self.detection or {}).get("prefix_padding_ms", GateOptions.padding_before_ms)
        needed = self._gate_position - (padding_ms + ONSET_MS + _MARGIN_MS) * POSITIONS_PER_MS
        onset = self._gate.state.onset
        if onset is not None:
            needed = min(needed, buffer.gate_base + onset - padding_ms * POSITIONS_PER_MS)
        buffer.start = max(buffer.start, needed)

    def _overflow(self, limit: int) -> None:
        buffer = self._buffer
        turn = buffer.turn
        if turn is not None:
            # Somebody who speaks on for so long is heard in parts.
            self._hearing.drop_early(turn)
            self._end(turn)
            self._reset_gate()
            return
        buffer.start = buffer.stop - limit

    @property
    def _recognises(self) -> bool:
        return self._hearing.wanted or self._needed()

    @property
    def _gate_position(self) -> int:
        return self._buffer.gate_base + self._gate.position

    def _reset_gate(self) -> None:
        self._buffer.gate_base = self._gate_position
        self._buffer.gate = GateState()
        self._gate = SpeechGate(self._options(), self._buffer.gate)

    def _options(self) -> GateOptions:
        detection = self.detection or {}
        if detection.get("type") == "server_vad":
            return GateOptions(
                threshold=detection["threshold"],
                min_speech_ms=ONSET_MS,
                min_silence_ms=max(1, detection["silence_duration_ms"]),
            )
        return GateOptions(min_speech_ms=ONSET_MS, min_silence_ms=PAUSE_MS)
