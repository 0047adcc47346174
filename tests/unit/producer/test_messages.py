"""Messages outlive the program that wrote them: old ones are read for ever, and old readers read new ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from antiphon.bus.wire import open_envelope
from antiphon.documents import examples
from antiphon.documents.schemas import PUBLIC, schema_of
from antiphon.schemas import (
    JOB,
    AudioPart,
    ErrorInfo,
    Message,
    RatedToken,
    Reply,
    ReplyDelta,
    ReplyFormat,
    ReplyOptions,
    ReplyUsage,
    RespondJob,
    Schema,
    Speech,
    SynthesizeJob,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    TranscribeJob,
    Transcript,
    TranslateJob,
    WebhookTarget,
    WrittenToken,
)

pytestmark = pytest.mark.unit

FIRST = Path(__file__).parents[2] / "contract" / "messages" / "v1"
"""As the first version wrote them, with the rules by which it read them. Nothing here is ever changed."""

MESSAGES = sorted(FIRST.glob("*.json"))
ENTRIES = sorted(FIRST.glob("*.txt"))
SCHEMAS: dict[str, type[Schema]] = {schema.__name__: schema for schema in PUBLIC}

TODAY: list[Schema] = [
    *(job for kind, job in examples.JOBS.items() if kind not in ("webhook", "realtime")),
    TranscribeJob(
        audio={"uri": "https://example.com/a.wav"},
        model="whisper-1",
        parent="batch-1",
        tracked=True,
        announce=False,
        discard_audio=True,
        webhook=WebhookTarget(url="https://example.com/hook", secret="s", events=("job.progress",)),
    ),
    TranslateJob(audio={"uri": "redis:a"}, model="whisper-1", discard_audio=True),
    SynthesizeJob(text="Hello.", model="tts-1", voice="alloy", stream=False),
    examples.COMPLETED,
    examples.ANSWERED,
    examples.FAILED,
    ErrorInfo(message="No.", param="audio", http_status=400),
    Transcript(task="transcribe", language="en", duration=1.9, text="Good morning."),
    Speech(
        media_type="audio/mpeg",
        sample_rate=24_000,
        duration=1.0,
        size=9,
        input_tokens=1,
        output_tokens=2,
        audio={"uri": "redis:a", "size": 9},
    ),
    RespondJob(
        model="gpt-audio",
        messages=(
            Message(role="user", content=(AudioPart(audio={"uri": "redis:a"}, transcript="Hello."),)),
            Message(role="assistant", tool_calls=(ToolCall(id="call_1", name="look", arguments="{}"),)),
            Message(role="tool", tool_call_id="call_1", content=(TextPart(text="Nothing."),)),
        ),
        tools=(Tool(name="look", parameters={"type": "object"}, strict=True),),
        options=ReplyOptions(
            temperature=0.5,
            stop=("\n",),
            tool_choice=ToolChoice(mode="required", names=("look",)),
            format=ReplyFormat(type="json_object"),
        ),
        voice="alloy",
    ),
    Reply(
        text="Hi.",
        tool_calls=(ToolCall(id="call_1", name="look", arguments="{}"),),
        usage=ReplyUsage(prompt_tokens=9, completion_tokens=2),
        logprobs=(WrittenToken(token="Hi", logprob=-0.1, top_logprobs=(RatedToken(token="Hi", logprob=-0.1),)),),
        fingerprint="fp_1",
        spoken=True,
    ),
    examples.DELTA,
    ReplyDelta(text="Hi", tool_calls=(ToolCallDelta(index=0, id="call_1", name="look", arguments="{"),)),
    examples.PROGRESS,
]


def fields_of(path: Path) -> dict[bytes, bytes]:
    lines = path.read_bytes().splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=True))


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_what_the_first_version_wrote_is_read(path: Path) -> None:
    written: dict[str, Any] = json.loads(path.read_text())
    schema = SCHEMAS[path.stem.partition(".")[0]]
    read = json.loads(schema.model_validate(written).model_dump_json())
    assert {name: read[name] for name in written} == written, "every field still says the same"
    jsonschema.validate(written, schema_of(schema))


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_entries_of_the_first_version_are_read(path: Path) -> None:
    fields = fields_of(path)
    envelope = open_envelope(fields)
    job = JOB.validate_python({"kind": "transcribe", **json.loads(envelope.data)})
    assert job.kind == "transcribe"
    assert envelope.reply == fields[b"reply"].decode()
    if path.stem == "entry":
        assert (envelope.attempt, envelope.deadline_ms, envelope.tracestate) == (2, 1_760_000_060_000, "vendor=1")
    else:
        assert (envelope.id, "id" in job.model_fields_set) == ("memo-18", False)


@pytest.mark.parametrize("message", TODAY, ids=lambda message: type(message).__name__)
def test_what_is_written_today_is_read_by_the_first_version(message: Schema) -> None:
    rules = json.loads((FIRST / "schemas" / f"{type(message).__name__}.json").read_text())
    assert rules.get("additionalProperties", True), "it ignored what it did not know"
    jsonschema.validate(json.loads(message.model_dump_json()), rules)


def test_every_message_of_the_first_version_is_at_hand() -> None:
    assert len(MESSAGES) >= 12
    assert len(ENTRIES) >= 2
    assert {path.stem for path in (FIRST / "schemas").glob("*.json")} == {type(each).__name__ for each in TODAY}
