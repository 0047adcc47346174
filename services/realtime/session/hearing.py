"""What was said in the audio of the client's items: recognised for the client, and for a model that cannot hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.audio.tokens import heard_tokens
from antiphon.schemas import ErrorInfo, RecognitionOptions, Transcript
from services.realtime.session.commands import StopTranscribing, Transcribe
from services.realtime.session.happenings import POSITIONS_PER_MS, Heard, HeardMore, NotHeard
from services.realtime.session.stage import Stage
from services.realtime.session.state import Item, Turn

_EVENT = "conversation.item.input_audio_transcription"
LOGPROBS = "item.input_audio_transcription.logprobs"


class Hearing:
    """Has audio recognised. `known` is told of each item whose transcript is there, or cannot be had."""

    def __init__(self, stage: Stage, known: Callable[[str, ErrorInfo | None], None]) -> None:
        self._stage = stage
        self._known = known
        self._early: dict[int, Heard | NotHeard] = {}
        """What came of tries for a turn that is not over."""
        self._pieces: dict[tuple[str, int], str] = {}
        """What tries have heard so far that are under way; one that is ordered again tells it again."""

    # -- a turn that may be over ---------------------------------------------------------------------------------------

    def begin_early(self, turn: Turn, stop: int) -> None:
        """Recognise a turn as if it ended here, so that its words are there when it does."""
        turn.hearing += 1
        turn.heard_to = stop
        self._stage.order(self._command(turn.item_id, turn.hearing, turn.start, stop))

    def drop_early(self, turn: Turn) -> None:
        """The speaker goes on: what was recognised is not all of it."""
        if turn.heard_to is not None:
            self._early.pop(turn.hearing, None)
            self._pieces.pop((turn.item_id, turn.hearing), None)
            self._stage.order(StopTranscribing(turn.item_id, turn.hearing))
            turn.heard_to = None

    # -- items ---------------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether the client wants to be told of transcripts."""
        return self._stage.core.session["audio"]["input"].get("transcription") is not None

    def begin(self, item: Item, *, turn: Turn | None = None, needed: bool = False) -> None:
        """Recognise an item that has just been committed, if anybody wants that; `turn` may have begun with it."""
        item.shown = self.wanted
        if turn is not None and turn.heard_to is not None:
            if item.shown or needed:
                item.hearing, item.heard = turn.hearing, "asked"
                self._tell(item)
                early = self._early.pop(turn.hearing, None)
                if early is not None:
                    self.step(early)
                return
            self.drop_early(turn)
        if item.shown or needed:
            item.hearing = 1 + (turn.hearing if turn else 0)
            item.heard = "asked"
            self._stage.order(self._command(item.wire["id"], item.hearing, item.start, item.stop))

    def need(self, item: Item) -> bool:
        """Have an item recognised whose words a response needs; tell whether they are awaited."""
        if item.heard == "no" and _has_audio(item):
            self._stage.changed.add(item.wire["id"])
            item.hearing += 1
            item.heard = "asked"
            self._stage.order(self._command(item.wire["id"], item.hearing, item.start, item.stop, kept=True))
        return item.heard == "asked"

    def resume(self) -> None:
        """Order again what was under way."""
        turn = self._stage.core.buffer.turn
        if turn is not None and turn.heard_to is not None:
            self._stage.order(self._command(turn.item_id, turn.hearing, turn.start, turn.heard_to))
        for item in self._all():
            if item.heard == "asked":
                self._stage.order(self._command(item.wire["id"], item.hearing, item.start, item.stop, kept=True))

    def step(self, happening: Heard | HeardMore | NotHeard) -> None:
        """Take what the recogniser says."""
        turn = self._stage.core.buffer.turn
        if turn is not None and turn.item_id == happening.item_id:
            if turn.heard_to is None or happening.hearing != turn.hearing:
                return
            if isinstance(happening, HeardMore):
                self._gather(happening)
            else:
                self._early[happening.hearing] = happening
            return
        item = self._find(happening.item_id)
        if item is None or item.heard != "asked" or item.hearing != happening.hearing:
            return
        match happening:
            case HeardMore():
                self._gather(happening)
                self._tell(item)
            case Heard(transcript=transcript):
                self._heard(item, transcript)
            case NotHeard(error=error):
                self._not_heard(item, error)

    def _gather(self, happening: HeardMore) -> None:
        place = (happening.item_id, happening.hearing)
        self._pieces[place] = self._pieces.get(place, "") + happening.text

    def _tell(self, item: Item) -> None:
        """Tell what has been heard beyond what was told."""
        heard = self._pieces.get((item.wire["id"], item.hearing), "").lstrip()
        if item.shown and len(heard) > len(item.told) and heard.startswith(item.told):
            self._delta(item, heard[len(item.told) :])
            item.told = heard

    def _delta(self, item: Item, text: str, **more: Any) -> None:
        if text:
            self._stage.emit(
                f"{_EVENT}.delta", item_id=item.wire["id"], content_index=_audio_index(item), delta=text, **more
            )

    def _heard(self, item: Item, transcript: Transcript) -> None:
        item_id = item.wire["id"]
        text = transcript.text.strip()
        self._pieces.pop((item_id, item.hearing), None)
        item.heard, item.transcript = "yes", text
        if item.shown:
            index = _audio_index(item)
            more: dict[str, Any] = {}
            if LOGPROBS in (self._stage.core.session.get("include") or ()) and transcript.logprobs is not None:
                more["logprobs"] = [token.model_dump() for token in transcript.logprobs]
            self._delta(item, text.removeprefix(item.told) if text.startswith(item.told) else "", **more)
            item.wire["content"][index]["transcript"] = text
            if transcript.detected:
                more["languages"] = [{"code": transcript.language}]
            self._stage.emit(
                f"{_EVENT}.completed",
                item_id=item_id,
                content_index=index,
                transcript=text,
                usage=self._usage(transcript),
                **more,
            )
        self._known(item_id, None)

    def _not_heard(self, item: Item, error: ErrorInfo) -> None:
        item.heard = "failed"
        self._pieces.pop((item.wire["id"], item.hearing), None)
        if item.shown:
            told = {"type": "transcription_error", "code": error.code, "message": error.message, "param": error.param}
            self._stage.emit(
                f"{_EVENT}.failed",
                item_id=item.wire["id"],
                content_index=_audio_index(item),
                # A client that takes these for strings does not take null.
                error={name: value for name, value in told.items() if value is not None},
            )
        self._known(item.wire["id"], error)

    def _usage(self, transcript: Transcript) -> dict[str, Any]:
        if self._settings().get("model", "").startswith("whisper"):
            return {"type": "duration", "seconds": round(transcript.duration, 3)}
        audio = heard_tokens(transcript.duration)
        read = transcript.prompt_tokens
        return {
            "type": "tokens",
            "input_tokens": audio + read,
            "input_token_details": {"text_tokens": read, "audio_tokens": audio},
            "output_tokens": transcript.output_tokens,
            "total_tokens": audio + read + transcript.output_tokens,
        }

    def _settings(self) -> dict[str, Any]:
        return self._stage.core.session["audio"]["input"].get("transcription") or {}

    def _command(self, item_id: str, hearing: int, start: int, stop: int, *, kept: bool = False) -> Transcribe:
        settings = self._settings()
        options = RecognitionOptions(
            language=settings.get("language") or None,
            languages=tuple(settings.get("languages") or ()),
            keywords=tuple(settings.get("keywords") or ()),
            prompt=settings.get("prompt") or None,
            logprobs=LOGPROBS in (self._stage.core.session.get("include") or ()),
        )
        model = settings.get("model") or self._stage.facts.transcriber
        return Transcribe(item_id, hearing, start, stop, model, options, kept=kept)

    def _find(self, item_id: str) -> Item | None:
        if item_id in self._stage.items:
            return self._stage.touch(item_id)
        return next((item for item in self._given() if item.wire["id"] == item_id), None)

    def _all(self) -> list[Item]:
        return [*self._stage.items.values(), *self._given()]

    def _given(self) -> list[Item]:
        return [item for response in self._stage.core.responses.values() for item in response.given]


def duration_ms(item: Item) -> int:
    """Return how long the client's audio of an item is."""
    return (item.stop - item.start) // POSITIONS_PER_MS


def _has_audio(item: Item) -> bool:
    return any(part["type"] == "input_audio" for part in item.wire.get("content") or ())


def _audio_index(item: Item) -> int:
    content = item.wire["content"]
    return next(index for index, part in enumerate(content) if part["type"] == "input_audio")
