"""What is true of the server events of any session. Each event is entered in order; what is not true is an error."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from tests.realtime_events import check_event
from tests.unit.realtime.session_orders import Known

Event = dict[str, Any]

_PARTS = {
    "response.output_text.delta": ("text", "delta"),
    "response.output_text.done": ("text", "text"),
    "response.output_audio_transcript.delta": ("audio", "delta"),
    "response.output_audio_transcript.done": ("audio", "transcript"),
    "response.output_audio.delta": ("audio", None),
    "response.output_audio.done": ("audio", None),
}
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass
class _Output:
    item_id: str
    kind: str
    text: str = ""
    part: str | None = None
    texts_done: int = 0
    part_done: bool = False
    done: Event | None = None


@dataclass
class _Response:
    id: str
    in_conversation: bool
    outputs: list[_Output] = field(default_factory=list)


class Ledger:
    """Follows a session as a strict client does."""

    def __init__(self, rng: Random, *, kind: str, known: Known, sampled: float = 0.03) -> None:
        self._rng = rng
        self._kind = kind
        self._known = known
        self._sampled = sampled
        self._event_ids: set[str] = set()
        self.seen: set[str] = set()
        """Kinds of events that came."""
        self.responses: dict[str, _Response] = {}
        """Those under way."""
        self._created: set[str] = set()
        self._items: set[str] = set()
        self._undone: set[str] = set()
        self._deleted: set[str] = set()
        self._turn: str | None = None
        self._committed: str | None = None
        self._said: dict[str, str] = {}
        self._transcribed: set[str] = set()
        self._clock_ms = 0
        self.count = 0

    def enter(self, event: Event) -> None:
        """Take the next event. Raises `AssertionError`."""
        self.count += 1
        kind = event["type"]
        assert event["event_id"] not in self._event_ids, "an event_id twice"
        self._event_ids.add(event["event_id"])
        if kind not in self.seen or self._rng.random() < self._sampled:
            self.seen.add(kind)
            check_event(_as_sent(event))
        if self._committed is not None:
            assert kind == "conversation.item.added", f"{kind} between committed and its item"
        if kind.startswith("response."):
            assert self._kind == "realtime", f"{kind} in a transcription"
            self._response_event(kind, event)
        elif kind.startswith(_TRANSCRIPTION):
            self._transcription_event(kind.removeprefix(_TRANSCRIPTION), event)
        elif kind.startswith("conversation.item."):
            self._item_event(kind.removeprefix("conversation.item."), event)
        elif kind == "mcp_list_tools.failed":
            self._undone.discard(event["item_id"])
        elif kind.startswith("input_audio_buffer."):
            self._buffer_event(kind.removeprefix("input_audio_buffer."), event)

    def close(self) -> None:
        """Hold the session to what is true when nothing is under way any more."""
        assert not self.responses, f"never done: {list(self.responses)}"
        assert not self._undone, f"items never done: {self._undone}"

    # -- responses -----------------------------------------------------------------------------------------------------

    def _response_event(self, kind: str, event: Event) -> None:
        if kind == "response.created":
            self._create(event["response"])
        elif kind == "response.done":
            self._finish(event["response"])
        elif kind.startswith("response.mcp_call."):
            assert any(
                output.item_id == event["item_id"] for each in self.responses.values() for output in each.outputs
            )
        else:
            response = self.responses.get(event["response_id"])
            assert response is not None, f"{kind} of a response that is not under way"
            if kind == "response.output_item.added":
                self._begin_output(response, event)
            else:
                output = response.outputs[event["output_index"]]
                assert event.get("item_id", output.item_id) == output.item_id, f"{kind}: another item"
                assert output.done is None, f"{kind} after its item was done"
                self._output_event(kind, output, event)

    def _create(self, response: Event) -> None:
        response_id = response["id"]
        assert response_id not in self._created, "a response created twice"
        assert (response["status"], response["output"]) == ("in_progress", [])
        in_conversation = response["conversation_id"] is not None
        if in_conversation:
            assert not any(other.in_conversation for other in self.responses.values()), "two default responses at once"
        self._created.add(response_id)
        self._known.responses.append(response_id)
        self.responses[response_id] = _Response(response_id, in_conversation)

    def _begin_output(self, response: _Response, event: Event) -> None:
        item = event["item"]
        assert event["output_index"] == len(response.outputs), "output_index"
        assert item["id"] not in self._items | {each.item_id for each in response.outputs}
        response.outputs.append(_Output(item["id"], item["type"]))
        if item["type"] == "message":
            assert (item["status"], item["content"]) == ("in_progress", [])
        elif item["type"] == "function_call":
            assert (item["status"], item["arguments"]) == ("in_progress", "")
            self._known.calls.append(item["call_id"])
        elif item["type"] == "mcp_approval_request":
            self._known.approvals.append(item["id"])

    def _output_event(self, kind: str, output: _Output, event: Event) -> None:
        if kind == "response.content_part.added":
            assert (output.kind, output.part, event["content_index"]) == ("message", None, 0)
            output.part = event["part"]["type"]
            assert not (event["part"].get("text") or event["part"].get("transcript"))
        elif kind == "response.content_part.done":
            assert output.part is not None, "a part done that was not added"
            assert not output.part_done, "a part done twice"
            assert output.texts_done == (2 if output.part == "audio" else 1), "a part done before what it holds"
            assert event["part"]["transcript" if output.part == "audio" else "text"] == output.text
            output.part_done = True
        elif kind in _PARTS:
            part, name = _PARTS[kind]
            assert output.part == part, f"{kind} in a part of {output.part}"
            assert not output.part_done
            if kind.endswith(".done"):
                output.texts_done += 1
                assert name is None or event[name] == output.text, "the whole is not what was told piece by piece"
            elif name is not None:
                output.text += event[name]
            else:
                assert event["delta"], "no sound"
        elif kind.endswith("_arguments.delta"):
            output.text += event["delta"]
        elif kind.endswith("_arguments.done"):
            assert event["arguments"] == output.text
            assert output.texts_done == 0
            output.texts_done = 1
        elif kind == "response.output_item.done":
            assert event["item"]["id"] == output.item_id
            assert output.part is None or output.part_done, "an item done before its part"
            if output.kind == "function_call":
                assert event["item"]["arguments"] == output.text
                assert output.texts_done == 1 or event["item"]["status"] == "incomplete"
            output.done = event["item"]
        else:
            raise AssertionError(f"unheard-of {kind}")

    def _finish(self, response: Event) -> None:
        known = self.responses.pop(response["id"], None)
        assert known is not None, "a response done that is not under way"
        assert response["status"] in ("completed", "cancelled", "failed", "incomplete")
        assert (response["status_details"] is None) == (response["status"] == "completed")
        open_items = [output.item_id for output in known.outputs if output.done is None]
        assert not open_items, f"done with open items {open_items}"
        outputs = [output.item_id for output in known.outputs if output.item_id not in self._deleted]
        assert [item["id"] for item in response["output"] if item["id"] not in self._deleted] == outputs

    # -- items ---------------------------------------------------------------------------------------------------------

    def _item_event(self, kind: str, event: Event) -> None:
        if kind in ("retrieved", "truncated", "deleted"):
            item_id = event["item"]["id"] if kind == "retrieved" else event["item_id"]
            assert item_id in self._items, f"{kind}: never added"
            if kind == "deleted":
                self._deleted.add(item_id)
                self._items.discard(item_id)
                self._undone.discard(item_id)
            return
        item_id, previous = event["item"]["id"], event["previous_item_id"]
        assert previous is None or previous in self._items, "behind an item that is not there"
        aside = [each for each in self.responses.values() if not each.in_conversation]
        assert item_id not in {output.item_id for each in aside for output in each.outputs}, "a trace of an aside"
        if kind == "added":
            assert item_id not in self._items, "an item added twice"
            self._items.add(item_id)
            self._undone.add(item_id)
            self._known.items.append(item_id)
            if self._committed is not None:
                assert item_id == self._committed, "another item than was committed"
                assert event["item"]["content"] == [{"type": "input_audio", "transcript": None}]
                self._committed = None
        else:
            assert kind == "done"
            assert item_id in self._undone, "done twice, or never added"
            self._undone.discard(item_id)

    def _transcription_event(self, kind: str, event: Event) -> None:
        item_id = event["item_id"]
        assert item_id in self._items, "a transcript of no item"
        assert item_id not in self._transcribed, f"{kind} after the transcript was whole"
        if kind == "delta":
            self._said[item_id] = self._said.get(item_id, "") + event["delta"]
        else:
            self._transcribed.add(item_id)
            if kind == "completed":
                told = self._said.get(item_id)
                assert told is None or told.strip() == event["transcript"], f"{told!r} is not {event['transcript']!r}"

    # -- the input -----------------------------------------------------------------------------------------------------

    def _buffer_event(self, kind: str, event: Event) -> None:
        if kind == "speech_started":
            assert self._turn is None, "speech begins twice"
            self._turn = event["item_id"]
            self._advance(event["audio_start_ms"])
        elif kind == "speech_stopped":
            assert self._turn == event["item_id"], "another id than that of the beginning"
            self._advance(event["audio_end_ms"])
        elif kind == "committed":
            assert self._turn in (None, event["item_id"]), "another id than that of the speech"
            self._turn = None
            assert event["item_id"] not in self._items
            self._committed = event["item_id"]
        elif kind == "cleared":
            self._turn = None
        elif kind == "timeout_triggered":
            assert event["audio_start_ms"] <= event["audio_end_ms"]

    def _advance(self, moment_ms: int) -> None:
        assert moment_ms >= self._clock_ms, "the input's clock goes back"
        self._clock_ms = moment_ms

    def tune(self, detection: Event | None) -> None:
        """Turn detection has changed: without it, speech that has begun is not told to end."""
        if detection is None:
            self._turn = None


def _as_sent(event: Event) -> Event:
    delta = event.get("delta")
    told = {**event, "delta": base64.b64encode(delta).decode()} if isinstance(delta, bytes) else event
    sent: Event = orjson.loads(orjson.dumps(told))
    return sent
