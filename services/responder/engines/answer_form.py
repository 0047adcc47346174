"""The form of an answer: what the model may write, given to it as a grammar, and how that is read.

With tools at hand a model writes one JSON object: `{"answer": …}`, or `{"function": …, "arguments": …}` and more of
these on lines of their own. The grammar leaves no choice in spaces, so that the beginning of an object tells what it
is, and nothing can go on without end but a string or a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.errors import InvalidValue
from antiphon.schemas import ReplyFormat, Tool, ToolChoice
from services.responder.engines.byte_grammar import BadGrammar, ByteMatcher, Grammars
from services.responder.engines.json_schemas import prepare

ANSWER = '{"answer": '
MOST_CALLS = 16
"""In one answer."""

_STRING = {"type": "string"}
_OBJECT = {"type": "object"}
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True)
class AnswerForm:
    """A form that answers have.

    `heads` maps how an object begins to the function it calls; None is the answer. Without heads the whole text is the
    answer. `text` says whether the answer is a string, and not some JSON value. No grammar means that anything goes;
    else `matcher` is at its beginning.
    """

    grammar: str | None = None
    matcher: ByteMatcher | None = None
    heads: tuple[tuple[str, str | None], ...] = ()
    text: bool = True


def answer_form(
    tools: Sequence[Tool], *, choice: ToolChoice, parallel: bool, format: ReplyFormat, grammars: Grammars
) -> AnswerForm:
    """Return the form of an answer to a request.

    Raises `InvalidValue` for a schema that cannot be kept to, and for tools and choices that make no sense. It may
    take a tenth of a second of CPU.
    """
    value = _value_schema(format)
    if not tools:
        if value is None:
            return AnswerForm()
        grammar = f"start: {_json(value)}\n"
        return AnswerForm(grammar, _compile(grammar, {"response_format": value}, grammars), text=False)
    schemas = _tool_schemas(tools)
    heads: list[tuple[str, str | None]] = []
    rules: list[str] = []
    starts: list[str] = []
    parts = {} if value is None else {"response_format": value}
    if choice.mode != "required":
        starts.append("answer")
        heads.append((ANSWER, None))
        rules.append(f'answer: {_literal(ANSWER)} said "}}"\nsaid: {_json(_STRING if value is None else value)}')
    chosen = _chosen(tools, choice)
    for index in chosen:
        head = f'{{"function": {json.dumps(tools[index].name)}, "arguments": '
        heads.append((head, tools[index].name))
        rules.append(f'call{index}: {_literal(head)} arguments{index} "}}"\narguments{index}: {_json(schemas[index])}')
    if chosen:
        starts.append("call" + (f' ("\\n" call){{0,{MOST_CALLS - 1}}}' if parallel else ""))
        rules.append("call: " + " | ".join(f"call{index}" for index in chosen))
    grammar = "\n".join([f"start: {' | '.join(starts)}", *rules, ""])
    parts |= {f"tools[{index}].function.parameters": schema for index, schema in enumerate(schemas)}
    return AnswerForm(grammar, _compile(grammar, parts, grammars), tuple(heads), text=value is None)


def _compile(grammar: str, parts: Mapping[str, dict[str, Any]], grammars: Grammars) -> ByteMatcher:
    """Return the matcher of a grammar that is made of schemas. Raises `InvalidValue` that names the one at fault."""
    try:
        return grammars.compile(grammar)
    except BadGrammar as whole:
        for param, schema in parts.items():
            try:
                grammars.compile(f"start: {_json(schema)}\n")
            except BadGrammar as error:
                raise InvalidValue(f"This schema cannot be held to: {error}.", param=param) from None
        raise InvalidValue(f"These schemas cannot be held to together: {whole}.", param=next(iter(parts))) from None


def _value_schema(format: ReplyFormat) -> dict[str, Any] | None:
    if format.type == "text":
        return None
    if format.type == "json_object":
        return _OBJECT
    return prepare(format.json_schema or {}, param="response_format")


def _tool_schemas(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    seen: set[str] = set()
    schemas = []
    for index, tool in enumerate(tools):
        if tool.name in seen:
            raise InvalidValue(f"There are two tools of the name {tool.name!r}.", param=f"tools[{index}].function.name")
        seen.add(tool.name)
        # No parameters at all means that the function takes none.
        parameters = tool.parameters or {"type": "object", "properties": {}}
        schema = prepare(parameters, param=f"tools[{index}].function.parameters")
        if schema.get("type", "object") != "object":
            raise InvalidValue(
                "The parameters of a function are an object.", param=f"tools[{index}].function.parameters"
            )
        schemas.append({"type": "object", **schema})
    return schemas


def _chosen(tools: Sequence[Tool], choice: ToolChoice) -> list[int]:
    """Return which tools may be called. Raises `InvalidValue`."""
    if choice.mode == "none":
        return []
    names = [tool.name for tool in tools]
    for name in choice.names:
        if name not in names:
            raise InvalidValue(f"There is no tool {name!r}.", param="tool_choice")
    return [index for index, name in enumerate(names) if not choice.names or name in choice.names]


def _json(schema: dict[str, Any]) -> str:
    return "%json " + json.dumps({**schema, "x-guidance": _SPACING})


def _literal(text: str) -> str:
    return json.dumps(text)
