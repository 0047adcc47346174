"""Which steps each kind of request takes, and how long each is when it is alone."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from antiphon.planning.errands import Callers, Errand, Step, Talkers, lognormal

if TYPE_CHECKING:
    from antiphon.planning.measured import Measured
    from antiphon.planning.traffic import Answers, Chat, Files, Jobs, Load, Sessions, Speech
    from antiphon.schemas import Priority

_PAUSE_SPREAD = 0.5


def sources(load: Load, measured: Measured) -> list[Callers | Talkers]:
    """Return who comes. Raises `InvalidValue` for work that was not measured."""
    found: list[Callers | Talkers] = []
    if load.files:
        found.append(Callers("files", load.files.per_hour / 3600, partial(_recording, measured, load.files, "std")))
    if load.jobs:
        jobs = load.jobs
        draw = partial(_recording, measured, jobs, "bulk")
        found.append(Callers("jobs", jobs.per_hour / 3600 / jobs.batch, draw, batch=jobs.batch))
    if load.speech:
        found.append(Callers("speech", load.speech.per_minute / 60, partial(_text, measured, load.speech)))
    if load.chat:
        found.append(Callers("chat", load.chat.per_minute / 60, partial(_question, measured, load.chat)))
    if load.sessions:
        sessions = load.sessions
        pause = partial(_pause, sessions)
        found.append(Talkers("sessions", round(sessions.held), partial(_turn, measured, sessions), pause))
    # So that what was not measured is said before anything is simulated.
    for source in found:
        source.draw(Random(0))  # noqa: S311 - nothing secret
    return found


def _recording(measured: Measured, sizes: Files | Jobs, priority: Priority, rng: Random) -> Errand:
    service = measured.service("transcribe")
    return Errand((Step("transcribe", service.turns_s(sizes.draw(rng)), priority=priority),))


def _text(measured: Measured, speech: Speech, rng: Random) -> Errand:
    first, rest = _spoken(measured, speech.draw(rng), after=(), priority="std")
    return Errand((first, rest), first=0)


def _question(measured: Measured, chat: Chat, rng: Random) -> Errand:
    hear = Step("transcribe", measured.service("transcribe").turns_s(chat.draw(rng)))
    return _answer(measured, chat, [hear], after=(0,), priority="std")


def _turn(measured: Measured, sessions: Sessions, rng: Random) -> Errand:
    talk = measured.talk
    hear = measured.service("transcribe").turns_s(sessions.draw(rng))
    begin = [
        # The recogniser works while it is not yet sure that the turn is over.
        Step(None, (talk.silence_s,)),
        Step(None, (min(talk.early_s, talk.silence_s),)),
        Step("transcribe", hear, after=(1,), priority="hi"),
    ]
    return _answer(measured, sessions, begin, after=(0, 2), priority="hi")


def _answer(
    measured: Measured, answers: Answers, begin: list[Step], *, after: tuple[int, ...], priority: Priority
) -> Errand:
    """Go on with writing, and with speaking its first sentence while the rest is being written."""
    respond = measured.service("respond")
    first_tokens = min(answers.sentence_tokens, answers.tokens)
    whole_s = sum(respond.turns_s(answers.tokens))
    sentence_s = min(whole_s, respond.fixed_s + first_tokens * respond.unit_s)
    think = len(begin)
    characters = measured.talk.characters_per_token
    steps = [
        *begin,
        Step("respond", (sentence_s,), after=after, priority=priority),
        Step("respond", (whole_s - sentence_s,), goes_on=True, priority=priority),
        *_spoken(measured, first_tokens * characters, after=(think,), priority=priority),
    ]
    rest = (answers.tokens - first_tokens) * characters
    if rest > 0:
        # What was written meanwhile is spoken in one go, when the sentence before it has been.
        steps.extend(_spoken(measured, rest, after=(think + 1, think + 3), priority=priority))
    return Errand(tuple(steps), first=think + 2)


def _spoken(measured: Measured, characters: float, *, after: tuple[int, ...], priority: Priority) -> tuple[Step, Step]:
    service = measured.service("synthesize")
    first_s, rest_s = service.parts_s(characters)
    turns = max(1, round((characters - service.first_units) / service.turn_units)) if service.turn_units else 1
    return (
        Step("synthesize", (first_s,), after=after, priority=priority),
        Step("synthesize", (rest_s / turns,) * turns if rest_s > 0 else (), goes_on=True, priority=priority),
    )


def _pause(sessions: Sessions, rng: Random) -> float:
    return lognormal(rng, mean=sessions.pause_s, spread=_PAUSE_SPREAD)
