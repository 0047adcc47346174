"""A conversation as the model reads it: a list of messages of three roles, each with one text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from antiphon.errors import InvalidValue
from antiphon.schemas import AudioPart, ImagePart, Message, ReplyFormat, TextPart, Tool

Line = dict[str, str]
"""A message: `role` is system, user or assistant, `content` its text."""

_WHO = "You are a helpful voice assistant."
_TOOLS = """You can call these functions:
{functions}

Reply with ONE JSON object. If, and only if, the user's request needs one of the functions, reply \
{{"function": <name>, "arguments": {{...}}}}{several}. Otherwise (small talk, general questions, jokes, or when a \
function result is already available) reply {{"answer": {answer}}}."""
_SEVERAL = ", and one more such object on the next line for each further call that it needs"
_SPOKEN = '"<your spoken reply>"'
_VALUE = "<JSON>"
_SCHEMA = "{what} JSON that satisfies this schema: {schema}"
# Without the first, a small model looks for a function for every question it is asked.
_EXAMPLES = (
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted it."),
    ("Hi there!", "Hello! How can I help?"),
)


# What chat templates part turns with. Said by somebody, it must not end their turn and begin another's.
_MARKS = re.compile(r"<(?=\|[\w-]+\|>|/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")
_APART = "\N{ZERO WIDTH SPACE}"


@dataclass(frozen=True)
class Unit:
    """Lines that stay together: a call and its results, or a message."""

    lines: tuple[Line, ...]
    opens: bool
    """Whether the user begins here."""


@dataclass(frozen=True)
class Conversation:
    """What is always told, and what may be forgotten, oldest first."""

    lead: tuple[Line, ...]
    units: tuple[Unit, ...]

    def lines(self, first: int = 0) -> list[Line]:
        """Return all lines, those of the units from `first` on."""
        return [*self.lead, *(line for unit in self.units[first:] for line in unit.lines)]


def render(
    messages: Sequence[Message], *, tools: Sequence[Tool], parallel: bool, format: ReplyFormat, system: str | None
) -> Conversation:
    """Return what the model reads. `system` is told when the messages bring nothing of the kind.

    Raises `InvalidValue` for what it cannot read.
    """
    told = [_text(message, index) for index, message in enumerate(messages) if message.role == "system"]
    formed = bool(tools)
    if formed:
        told = [*(told or [system or _WHO]), _about_tools(tools, parallel=parallel, format=format)]
    elif format.json_schema is not None:
        told = [*told, _SCHEMA.format(what="Reply with", schema=_compact(format.json_schema))]
    elif not told and system:
        told = [system]
    lead = [_line("system", "\n\n".join(told))] if told else []
    if formed:
        for question, answer in _EXAMPLES:
            lead += [_line("user", question), _line("assistant", _answer(answer))]
    return Conversation(tuple(lead), tuple(_units(messages, formed=formed)))


def _about_tools(tools: Sequence[Tool], *, parallel: bool, format: ReplyFormat) -> str:
    functions = "\n".join(
        _compact({"name": tool.name, "description": tool.description or "", "parameters": tool.parameters})
        for tool in tools
    )
    spoken = format.type == "text"
    several = _SEVERAL if parallel else ""
    text = _TOOLS.format(functions=functions, answer=_SPOKEN if spoken else _VALUE, several=several)
    if format.json_schema is not None:
        text += " " + _SCHEMA.format(what="The answer is", schema=_compact(format.json_schema))
    return text


def _units(messages: Sequence[Message], *, formed: bool) -> Iterable[Unit]:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    lines: list[Line] = []
    results: list[str] = []
    opens = False
    for index, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "tool":
            name = names.get(message.tool_call_id or "", message.name or "the function")
            results.append(f"[function result of {name}] {_text(message, index)}")
            continue
        if lines or results:
            yield _unit(lines, results, opens=opens)
        lines, results = [_said(message, index, formed=formed)], []
        opens = message.role == "user"
    if lines or results:
        yield _unit(lines, results, opens=opens)


def _unit(lines: list[Line], results: list[str], *, opens: bool) -> Unit:
    told = [_line("user", "\n".join([*results, "Now answer the user."]))] if results else []
    return Unit((*lines, *told), opens)


def _said(message: Message, index: int, *, formed: bool) -> Line:
    text = _text(message, index)
    if message.role == "user":
        return _line("user", text)
    calls = [
        f'{{"function": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}' for call in message.tool_calls
    ]
    if calls:
        return _line("assistant", "\n".join(calls))
    return _line("assistant", _answer(text) if formed else text)


def _text(message: Message, index: int) -> str:
    words = []
    for place, part in enumerate(message.content):
        where = f"messages[{index}].content[{place}]"
        if isinstance(part, TextPart):
            words.append(part.text)
        elif isinstance(part, AudioPart):
            if part.transcript is None:
                raise InvalidValue("This model reads speech, and needs its transcript.", param=where)
            words.append(part.transcript)
        elif isinstance(part, ImagePart):
            raise InvalidValue("This model does not see images.", param=where)
    return "\n".join(words)


def _line(role: str, text: str) -> Line:
    sent = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return {"role": role, "content": _MARKS.sub(lambda mark: mark.group() + _APART, sent)}


def _answer(text: str) -> str:
    """Return an answer as the model writes it: what it reads again is then what it remembers."""
    return f'{{"answer": {json.dumps(text, ensure_ascii=False)}}}'


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
