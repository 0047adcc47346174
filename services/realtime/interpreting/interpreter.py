"""Carry every utterance from its sound to its translation spoken.

Several are worked at at once; what comes of them is told in the order in which they were spoken, each kind on its own:
the words heard, their translations, and the sound of these, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from antiphon.audio.speech_gate import Span
from antiphon.schemas import ErrorInfo, RecognitionOptions, Reply, Transcript
from antiphon.speech import is_speakable
from services.realtime.interpreting.targets import reachable
from services.realtime.interpreting.teller import Teller
from services.realtime.interpreting.utterances import Utterance
from services.realtime.interpreting.wording import as_delta, read_translation, translation_job
from services.realtime.session.commands import Respond, Say, StopResponding, StopTranscribing, Transcribe
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import POSITIONS_PER_MS

AT_ONCE = 3
"""Utterances that are worked at at the same time; the others of a session wait, and those of other sessions do not."""
MOST_PENDING = 64
LONGEST_JOINED_MS = 28_000
"""Utterances that wait are joined up to this: a recogniser takes no longer for one window than for less."""
_CONTEXT = 2
"""Sentences before that a language model is told."""
_WORDS, _MEANING = 0, 1
"""The hearings of an utterance: what was said, and what it means."""
_SOUND = {"format": "pcm16", "sample_rate": 24_000, "channels": 1}
_PACES = ((8_000, 1.3), (4_000, 1.15))
"""How fast is spoken when the listener is so many milliseconds behind the speaker, as interpreters do."""


def item_of(response_id: str) -> str:
    """Return the id by which an utterance is recognised, from the one by which it is translated and spoken."""
    return f"item_{response_id.removeprefix('tr_')}"


class Interpreter:
    """Holds the utterances that something is still to come of."""

    def __init__(
        self,
        teller: Teller,
        facts: Facts,
        utterances: Iterable[Utterance] = (),
        *,
        count: int = 0,
        listener_ms: int = 0,
        context: Sequence[Sequence[str]] = (),
        told: Sequence[bool] = (False, False),
    ) -> None:
        self.changed: set[int] = set()
        """Numbers of the utterances that are not any more what they were; the reader clears utterance."""
        self._teller = teller
        self._facts = facts
        self._reachable = reachable(facts)
        self._utterances = {utterance.number: utterance for utterance in utterances}
        self._count = count
        self._listener_ms = listener_ms
        self._context = [(said, translated) for said, translated in context]
        self._heard_before, self._told_before = told
        self._key = facts.session_id.removeprefix("sess_")

    @property
    def state(self) -> dict[str, Any]:
        """What the constructor wants to know, without the utterances."""
        return {
            "count": self._count,
            "listener_ms": self._listener_ms,
            "context": self._context,
            "told": [self._heard_before, self._told_before],
        }

    @property
    def busy(self) -> bool:
        """Whether there is anything still to come."""
        return bool(self._utterances)

    @property
    def needed_from(self) -> int | None:
        """The first position of the input that has still to be heard; None if all has been."""
        return next((utterance.start for utterance in self._utterances.values() if utterance.unheard), None)

    def find(self, number: int) -> Utterance | None:
        """Return an utterance, unless nothing is to come of it any more."""
        return self._utterances.get(number)

    # -- what happens --------------------------------------------------------------------------------------------------

    def add(self, span: Span, *, target: str, shown_by: str | None) -> None:
        """Take an utterance, to be translated into `target`; with `shown_by` its own words are told as well."""
        last = next(reversed(self._utterances.values()), None)
        if (
            last is not None
            and not last.ordered
            and (last.target, last.shown_by) == (target, shown_by)
            and span.stop - last.start <= LONGEST_JOINED_MS * POSITIONS_PER_MS
        ):
            last.stop = span.stop
            self.changed.add(last.number)
            return
        self._count += 1
        direct = target == "en" and bool(self._facts.translator)
        new = Utterance(self._count, span.start, span.stop, target, shown_by, direct)
        if direct and shown_by is None:
            new.heard, new.heard_told = "", True
        if target not in self._reachable:
            new.words = ""  # the client was told when it asked for the language
            new.heard = new.heard if shown_by else ""
        self._utterances[new.number] = new
        self.changed.add(new.number)
        if len(self._utterances) > MOST_PENDING:
            pending = list(self._utterances.values())
            self._shed(next((utterance for utterance in pending if not utterance.words_told), pending[0]))

    def forget_before(self, position: int) -> None:
        """Give up what waits to be heard and began before a position: its sound takes too much space."""
        while (
            utterance := next((utterance for utterance in self._utterances.values() if utterance.unheard), None)
        ) and utterance.start < position:
            self._shed(utterance)

    def heard(self, item_id: str, hearing: int, transcript: Transcript) -> None:
        """An utterance was recognised, or translated from its sound."""
        if (utterance := self._named(item_id)) is None:
            return
        text = " ".join(transcript.text.split()) if transcript.detected else ""
        if hearing == _MEANING:
            utterance.words = read_translation(text) if utterance.words is None else utterance.words
        elif utterance.heard is None:
            utterance.heard, utterance.language = text, transcript.language
            if utterance.direct and utterance.words is None and utterance.language == utterance.target:
                utterance.words = read_translation(text)
                self._teller.order(StopTranscribing(self._item_id(utterance), _MEANING))
        self.changed.add(utterance.number)

    def not_heard(self, item_id: str, hearing: int, error: ErrorInfo) -> None:
        """An utterance cannot be recognised: nothing comes of utterance."""
        utterance = self._named(item_id)
        if utterance is None or (utterance.words if hearing == _MEANING else utterance.heard) is not None:
            return
        self._teller.complain(error)
        if hearing == _MEANING:
            utterance.words = ""
        else:
            utterance.heard = ""
        self.changed.add(utterance.number)

    def answered(self, response_id: str, reply: Reply) -> None:
        """The language model has translated an utterance."""
        if (utterance := self._asked(response_id)) is None:
            return
        utterance.words = read_translation(reply.text)
        self._context = [*self._context, (utterance.heard or "", utterance.words)][-_CONTEXT:]
        self.changed.add(utterance.number)

    def not_answered(self, response_id: str, error: ErrorInfo) -> None:
        """The language model does not translate an utterance."""
        if (utterance := self._asked(response_id)) is not None:
            self._teller.complain(error)
            utterance.words = ""
            self.changed.add(utterance.number)

    def sounded(self, response_id: str, start: int, pcm: bytes) -> None:
        """A translation is spoken: pass on what was not had before."""
        if (utterance := self._spoken(response_id)) is None:
            return
        new = pcm[max(0, utterance.sound_bytes - start) :]
        if not new:
            return
        utterance.sound_bytes += len(new)
        self.changed.add(utterance.number)
        self._teller.tell("session.output_audio.delta", delta=new, **_SOUND, elapsed_ms=utterance.elapsed_ms)

    def said(self, response_id: str, error: ErrorInfo | None = None) -> None:
        """A translation has been spoken, or cannot be."""
        if (utterance := self._spoken(response_id)) is None:
            return
        if error is not None:
            self._teller.complain(error)
        utterance.said = True
        self._listener_ms = max(self._listener_ms, utterance.stop_ms) + utterance.sound_ms
        self.changed.add(utterance.number)

    # -- what is to be done --------------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """Tell and order what can be now."""
        self._order_hearings()
        self._tell_heard()
        self._tell_words(now_ms)
        self._speak()
        for number, utterance in list(self._utterances.items()):
            if not utterance.done:
                break
            del self._utterances[number]
            self.changed.add(number)

    def resume(self, now_ms: int) -> None:
        """Order again all that was under way."""
        for utterance in self._utterances.values():
            if utterance.ordered:
                self._hear(utterance)
            if utterance.asked and utterance.words is None:
                self._ask(utterance, now_ms)
            if utterance.speed and not utterance.said:
                self._say(utterance)

    def stop(self) -> None:
        """Want nothing any more."""
        for utterance in self._utterances.values():
            self._drop(utterance)
        self.changed.update(self._utterances)
        self._utterances.clear()

    def _order_hearings(self) -> None:
        under_way = sum(utterance.under_way for utterance in self._utterances.values())
        for utterance in self._utterances.values():
            if under_way >= AT_ONCE:
                return
            if not utterance.ordered:
                utterance.ordered = True
                self.changed.add(utterance.number)
                self._hear(utterance)
                under_way += utterance.under_way

    def _tell_heard(self) -> None:
        for utterance in self._utterances.values():
            if utterance.heard is None:
                return
            if utterance.heard_told:
                continue
            utterance.heard_told = True
            self.changed.add(utterance.number)
            if utterance.heard and utterance.shown_by:
                delta = as_delta(utterance.heard, language=utterance.language, first=not self._heard_before)
                self._heard_before = True
                self._teller.tell("session.input_transcript.delta", delta=delta, elapsed_ms=utterance.elapsed_ms)

    def _tell_words(self, now_ms: int) -> None:
        for utterance in self._utterances.values():
            if utterance.words is None and not utterance.direct and utterance.heard is not None:
                self._translate(utterance, now_ms)
            if utterance.words is None:
                return
            if utterance.words_told:
                continue
            utterance.words_told = True
            self.changed.add(utterance.number)
            if utterance.words:
                delta = as_delta(utterance.words, language=utterance.target, first=not self._told_before)
                self._told_before = True
                self._teller.tell("session.output_transcript.delta", delta=delta, elapsed_ms=utterance.elapsed_ms)

    def _translate(self, utterance: Utterance, now_ms: int) -> None:
        """See to the translation of the words heard: one sentence after the other, as each is told what came before."""
        if not utterance.heard or utterance.language == utterance.target:
            utterance.words = read_translation(utterance.heard or "")
            self.changed.add(utterance.number)
        elif not utterance.asked:
            utterance.asked = True
            self.changed.add(utterance.number)
            self._ask(utterance, now_ms)

    def _speak(self) -> None:
        for utterance in self._utterances.values():
            if utterance.said:
                continue
            if utterance.words_told and not is_speakable(utterance.words or ""):
                utterance.said = True
                self.changed.add(utterance.number)
                continue
            if utterance.words_told and not utterance.speed:
                behind_ms = self._listener_ms - utterance.stop_ms
                utterance.speed = next((speed for limit_ms, speed in _PACES if behind_ms > limit_ms), 1.0)
                self.changed.add(utterance.number)
                self._say(utterance)
            return

    def _hear(self, utterance: Utterance) -> None:
        if utterance.heard is None:
            model = utterance.shown_by or self._facts.transcriber
            self._teller.order(
                Transcribe(
                    self._item_id(utterance), _WORDS, utterance.start, utterance.stop, model, RecognitionOptions()
                )
            )
        if utterance.direct and utterance.words is None:
            model = self._facts.translator
            self._teller.order(
                Transcribe(
                    self._item_id(utterance),
                    _MEANING,
                    utterance.start,
                    utterance.stop,
                    model,
                    RecognitionOptions(),
                    translate=True,
                )
            )

    def _ask(self, utterance: Utterance, now_ms: int) -> None:
        job = translation_job(
            id=self._response_id(utterance),
            text=utterance.heard or "",
            target=utterance.target,
            before=self._context,
            model=self._facts.model,
            tenant=self._facts.tenant,
            most_tokens=self._facts.turn_tokens,
            created_ms=now_ms,
        )
        self._teller.order(Respond(job.id, job))

    def _say(self, utterance: Utterance) -> None:
        facts = self._facts
        self._teller.order(
            Say(
                self._response_id(utterance),
                0,
                utterance.words or "",
                facts.speech_model,
                facts.voice,
                utterance.speed,
                after=utterance.sound_bytes,
            )
        )

    def _shed(self, utterance: Utterance) -> None:
        """Give up an utterance, and tell that."""
        self._drop(utterance)
        del self._utterances[utterance.number]
        self.changed.add(utterance.number)
        start_s, stop_s = (position / POSITIONS_PER_MS / 1000 for position in (utterance.start, utterance.stop))
        self._teller.complain(
            ErrorInfo(
                message="More was said than can be translated in time. What was said between "
                f"{start_s:.1f} s and {stop_s:.1f} s of the input is left out.",
                code="input_skipped",
            )
        )

    def _drop(self, utterance: Utterance) -> None:
        if utterance.ordered and utterance.heard is None:
            self._teller.order(StopTranscribing(self._item_id(utterance), _WORDS))
        if utterance.ordered and utterance.direct and utterance.words is None:
            self._teller.order(StopTranscribing(self._item_id(utterance), _MEANING))
        if utterance.asked or utterance.speed:
            self._teller.order(StopResponding(self._response_id(utterance)))

    # -- names ---------------------------------------------------------------------------------------------------------

    def _item_id(self, utterance: Utterance) -> str:
        return f"item_{self._key}_{utterance.number}"

    def _response_id(self, utterance: Utterance) -> str:
        return f"tr_{self._key}_{utterance.number}"

    def _named(self, id: str) -> Utterance | None:
        _, _, number = id.rpartition("_")
        return self._utterances.get(int(number)) if number.isdecimal() else None

    def _asked(self, response_id: str) -> Utterance | None:
        utterance = self._named(response_id)
        return utterance if utterance is not None and utterance.asked and utterance.words is None else None

    def _spoken(self, response_id: str) -> Utterance | None:
        utterance = self._named(response_id)
        return utterance if utterance is not None and utterance.speed and not utterance.said else None
