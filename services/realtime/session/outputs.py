"""What a response is made of: messages and calls, told while they are written and closed in order."""

from __future__ import annotations

from functools import partial
from typing import Any

from antiphon.schemas import ToolCallDelta
from services.realtime.session.conversation_items import ConversationItems
from services.realtime.session.sayings import Sayings
from services.realtime.session.stage import Stage
from services.realtime.session.state import Item, Output, Response
from services.realtime.session.toolbox import Toolbox
from services.realtime.session.wire import (
    message_content,
    message_part,
    new_function_call,
    new_message,
    new_tool_use,
)


class Outputs:
    """Writes the outputs of responses."""

    def __init__(self, stage: Stage, items: ConversationItems, toolbox: Toolbox) -> None:
        self._stage = stage
        self._items = items
        self._toolbox = toolbox
        self.sayings = Sayings(stage)

    # -- messages ------------------------------------------------------------------------------------------------------

    def write(self, response: Response, text: str) -> None:
        """Go on with the message."""
        output = self._message(response)
        output.text += text
        kind = "output_audio_transcript" if response.part == "audio" else "output_text"
        self._emit(response, output, f"response.{kind}.delta", content_index=0, delta=text)
        if response.part == "audio" and not self._stage.facts.speaks:
            self.sayings.written(response, output, text)

    def sound(self, response: Response, pcm: bytes) -> None:
        """Go on with the sound of a model that speaks itself."""
        self.sayings.sound(response, self._message(response), pcm)

    def end_message(self, response: Response) -> None:
        """Nothing more is written in this round; what is to be said is said to its end."""
        for output in response.outputs:
            if output.kind == "message" and not output.whole:
                output.whole = True
                if response.part == "audio" and not self._stage.facts.speaks:
                    self.sayings.written(response, output, "")
        self.close_spoken(response)

    def close_spoken(self, response: Response) -> None:
        """Close messages that are written and said."""
        for output in response.outputs:
            if (
                output.kind == "message"
                and output.whole
                and not output.closed
                and not self._is_spoken_on(response, output)
            ):
                self._close_message(response, output, "completed")

    # -- calls ---------------------------------------------------------------------------------------------------------

    def call(self, response: Response, delta: ToolCallDelta) -> None:
        """Go on with a call."""
        output = next(
            (made for made in response.outputs if made.round == response.round and made.call == delta.index), None
        )
        if output is None:
            output = self._begin_call(response, delta)
        output.text += delta.arguments
        if not delta.arguments:
            return
        if output.kind == "function_call":
            call_id = self._stage.made(response, output.item_id).wire["call_id"]
            self._emit(
                response, output, "response.function_call_arguments.delta", call_id=call_id, delta=delta.arguments
            )
        elif output.kind == "mcp_call":
            self._emit(response, output, "response.mcp_call_arguments.delta", delta=delta.arguments, obfuscation="")

    def end_calls(self, response: Response) -> None:
        """All calls of this round are written: the client is asked for its own, servers are asked for theirs."""
        for output in response.outputs:
            if output.closed or output.call is None or output.round != response.round or output.running:
                continue
            if output.kind == "mcp_approval_request":
                self._ask(response, output)
                continue
            item = self._stage.made(response, output.item_id)
            item.wire["arguments"] = output.text
            if output.kind == "function_call":
                self._end_function_call(response, output, item)
            else:
                self._emit(response, output, "response.mcp_call_arguments.done", arguments=output.text)
                self._run(response, output, item)

    def use_approved(self, response: Response, request: Item) -> None:
        """Call a tool that the client has allowed."""
        wire = request.wire
        output = Output(self._stage.new_id("mcp"), "mcp_call", text=wire["arguments"])
        item = new_tool_use(
            output.item_id,
            kind="mcp_call",
            server=wire["server_label"],
            name=wire["name"],
            arguments=wire["arguments"],
        )
        item.wire["approval_request_id"] = wire["id"]
        response.outputs.append(output)
        self._begin(response, output, item)
        self._run(response, output, item)

    def used(self, response: Response, output: Output, result: str | None, error: dict[str, Any] | None) -> None:
        """A tool has answered."""
        item = self._stage.made(response, output.item_id)
        output.running = False
        if error is None:
            item.wire["output"] = result or ""
        else:
            item.wire["error"] = error
        outcome = "completed" if error is None else "failed"
        self._stage.emit(f"response.mcp_call.{outcome}", output_index=output.index, item_id=output.item_id)
        self._end(response, output, item)

    def resume(self, response: Response) -> None:
        """Order again what was under way."""
        for output in response.outputs:
            if output.running:
                item = self._stage.made(response, output.item_id)
                self._toolbox.call(item)
        self.sayings.resume(response)

    # -- broken off ----------------------------------------------------------------------------------------------------

    def break_off(self, response: Response) -> None:
        """Close all that is open, as far as it has come."""
        for output in response.outputs:
            if output.closed or not output.begun:
                output.closed = True
                continue
            item = self._stage.made(response, output.item_id)
            if output.kind == "message":
                self.sayings.break_off(response, output, item)
                self._close_message(response, output, "incomplete")
            elif output.kind == "function_call":
                item.wire["arguments"] = output.text
                item.wire["status"] = "incomplete"
                self._end(response, output, item)
            else:
                item.wire["arguments"] = output.text
                item.wire["error"] = {"type": "protocol_error", "code": 0, "message": "The call was broken off."}
                output.running = False
                self._end(response, output, item)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _message(self, response: Response) -> Output:
        for output in response.outputs:
            if output.kind == "message" and output.round == response.round:
                return output
        output = Output(self._stage.new_id("item"), "message", round=response.round)
        response.outputs.append(output)
        item = new_message(output.item_id)
        self._begin(response, output, item)
        item.wire["content"] = [message_content(response.part, "")]
        self._emit(
            response, output, "response.content_part.added", content_index=0, part=message_part(response.part, "")
        )
        return output

    def _begin_call(self, response: Response, delta: ToolCallDelta) -> Output:
        name = delta.name or ""
        tool = self._toolbox.find(name)
        begin = partial(Output, call=delta.index, round=response.round, tool=name)
        if tool is None:
            output = begin(self._stage.new_id("item"), "function_call")
            call_id = delta.id or self._stage.new_id("call")
            item = new_function_call(output.item_id, call_id=call_id, name=name)
        elif tool.needs_approval:
            # It is told when its arguments are whole: there are no events for their pieces.
            output = begin(self._stage.new_id("mcpr"), "mcp_approval_request")
            response.outputs.append(output)
            return output
        else:
            output = begin(self._stage.new_id("mcp"), "mcp_call")
            item = new_tool_use(output.item_id, kind="mcp_call", server=tool.server, name=tool.name)
        response.outputs.append(output)
        self._begin(response, output, item)
        return output

    def _ask(self, response: Response, output: Output) -> None:
        """Ask the client whether a tool may be called."""
        tool = self._toolbox.find(output.tool)
        server, name = (tool.server, tool.name) if tool else ("", output.tool)
        item = new_tool_use(output.item_id, kind=output.kind, server=server, name=name, arguments=output.text)
        self._begin(response, output, item)
        self._end(response, output, item)

    def _end_function_call(self, response: Response, output: Output, item: Item) -> None:
        item.wire["status"] = "completed"
        self._emit(
            response,
            output,
            "response.function_call_arguments.done",
            call_id=item.wire["call_id"],
            name=item.wire["name"],
            arguments=output.text,
        )
        self._end(response, output, item)

    def _run(self, response: Response, output: Output, item: Item) -> None:
        output.running = True
        self._stage.emit("response.mcp_call.in_progress", output_index=output.index, item_id=output.item_id)
        self._toolbox.call(item)

    def _is_spoken_on(self, response: Response, output: Output) -> bool:
        return response.part == "audio" and self.sayings.is_busy(response, output)

    def _close_message(self, response: Response, output: Output, status: str) -> None:
        item = self._stage.made(response, output.item_id)
        output.whole = True
        if response.part == "audio":
            self._emit(response, output, "response.output_audio.done", content_index=0)
            self._emit(
                response, output, "response.output_audio_transcript.done", content_index=0, transcript=output.text
            )
        else:
            self._emit(response, output, "response.output_text.done", content_index=0, text=output.text)
        part = message_part(response.part, output.text)
        self._emit(response, output, "response.content_part.done", content_index=0, part=part)
        if not item.cut:
            item.wire["content"] = [message_content(response.part, output.text)]
        item.wire["status"] = status
        self._end(response, output, item)

    def _begin(self, response: Response, output: Output, item: Item) -> None:
        output.index = sum(made.begun for made in response.outputs)
        self._stage.emit(
            "response.output_item.added",
            response_id=response.id,
            output_index=output.index,
            item=dict(item.wire),
        )
        if response.in_conversation:
            self._items.add(item)
        else:
            response.made[output.item_id] = item

    def _end(self, response: Response, output: Output, item: Item) -> None:
        output.closed = True
        self._stage.emit(
            "response.output_item.done",
            response_id=response.id,
            output_index=output.index,
            item=dict(item.wire),
        )
        if response.in_conversation and output.item_id in self._stage.core.order:
            self._items.tell_done(output.item_id, self._items.before(output.item_id))

    def _emit(self, response: Response, output: Output, kind: str, **fields: Any) -> None:
        self._stage.emit(
            kind,
            response_id=response.id,
            item_id=output.item_id,
            output_index=output.index,
            **fields,
        )
