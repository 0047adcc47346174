"""The rule that calls of tools are answered at once, each one time. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.errors import InvalidValue
from antiphon.given import shortened
from services.ingest.chat.request import SaidMessage


def check_answers(messages: Iterable[SaidMessage]) -> None:
    """Raise `InvalidValue` unless tool messages, and nothing else, follow calls: one for each of them."""
    called: dict[str, bool] = {}
    """Whether each call of the last message that was not a tool's has been answered."""
    for message in messages:
        if message.role == "tool":
            _answer(message, called)
        else:
            _check_all_answered(called, message.param)
            called = {call.id: False for call in message.tool_calls}
    _check_all_answered(called, "messages")


def _answer(message: SaidMessage, called: dict[str, bool]) -> None:
    id_ = message.tool_call_id or ""
    if not called:
        raise InvalidValue(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
            "with 'tool_calls'.",
            param=f"{message.param}.role",
        )
    if id_ not in called:
        raise InvalidValue(
            f"Invalid parameter: 'tool_call_id' of '{shortened(id_)}' not found in 'tool_calls' of previous message.",
            param=f"{message.param}.tool_call_id",
        )
    if called[id_]:
        raise InvalidValue(
            f"Invalid parameter: Duplicate value for 'tool_call_id' of '{shortened(id_)}'.",
            param=f"{message.param}.tool_call_id",
        )
    called[id_] = True


def _check_all_answered(called: dict[str, bool], param: str) -> None:
    waiting = [shortened(id_) for id_, answered in called.items() if not answered]
    if waiting:
        raise InvalidValue(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=param,
        )
