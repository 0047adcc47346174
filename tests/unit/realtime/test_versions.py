"""Workers of two versions take live sessions from each other while one version replaces the other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.realtime.driver.record import FIELD, Record
from services.realtime.session.commands import Transcribe
from services.realtime.session.conversation import Conversation
from services.realtime.session.happenings import Resumed
from tests.unit.realtime.interpretation_talk import Talk
from tests.unit.realtime.stage_play import Play

pytestmark = pytest.mark.unit

_BY_ID = frozenset({"responses", "made", "metadata"})
"""Tables whose keys are somebody's choice, not names of fields."""


def newer(kept: dict[str, bytes]) -> dict[str, bytes]:
    """Return a snapshot as a version would write it that knows of more."""
    return {name: orjson.dumps(_grown(orjson.loads(value), name)) for name, value in kept.items()}


def _grown(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_grown(each, name) for each in value]
    if not isinstance(value, dict):
        return value
    grown = {key: _grown(each, key) for key, each in value.items()}
    return grown if name in _BY_ID else grown | {"novelty": {"since": 2}}


def _without_novelties(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_novelties(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_novelties(each) for key, each in value.items() if key != "novelty"}


def test_a_conversation_goes_on_where_a_newer_worker_has_left_it() -> None:
    play = Play()
    play.append(2000, voice=True)
    play.append(1000, voice=False)
    play.hear("Hello there.")
    play.note()
    before = orjson.loads(orjson.dumps(play.machine.core))
    play.machine = Conversation.load(newer(play.snapshot), play.facts)
    after = orjson.loads(orjson.dumps(play.machine.core))
    # What is no more than passed on, as the session object, is kept as it is.
    assert after["session"]["novelty"] == {"since": 2}
    assert _without_novelties(after) == before
    play.commands.clear()
    play.happen(Resumed())
    play.write("Hello yourself.")
    assert play.machine.core.responses


def test_an_interpretation_goes_on_where_a_newer_worker_has_left_it() -> None:
    talk = Talk()
    talk.update(language="en")
    talk.speak()
    talk.kept = newer(talk.kept)
    talk.take_over()
    (order,) = talk.orders(Transcribe)
    talk.recognise(order, "Hello there.")
    talk.speak()
    assert talk.read.strip() == "Hello there."
    assert not talk.errors


def test_a_worker_goes_on_where_one_was_that_knew_of_less() -> None:
    talk = Talk()
    talk.speak()
    stream = orjson.loads(talk.kept["stream"])
    del stream["closing"], stream["interpreter"]["told"], stream["cutter"]["dip_at"]
    talk.kept["stream"] = orjson.dumps(stream)
    talk.take_over()
    assert talk.orders(Transcribe)


def test_the_record_of_a_newer_worker_is_read() -> None:
    record = Record(entry="1-1", ear={"first": None}, began_ms=7, responses=2)
    assert Record.read(newer({FIELD: record.write()})) == Record(
        entry="1-1", ear={"first": None, "novelty": {"since": 2}}, began_ms=7, responses=2
    )
