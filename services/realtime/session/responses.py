"""Responses: begun by a client or by the end of a turn, answered, spoken, ended. Each that is begun is ended once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.audio.tokens import spoken_tokens
from antiphon.errors import ContextTooLong, Failure, Overloaded, UnsupportedValue
from antiphon.realtime.refusals import RealtimeRefusal
from antiphon.realtime.response_object import merge_response
from antiphon.schemas import ErrorInfo, Reply, ReplyOptions, RespondJob, ToolChoice
from services.realtime.session.commands import Respond, StopResponding
from services.realtime.session.context import Measure, first_given, measure, messages_of, text_tokens
from services.realtime.session.conversation_items import ConversationItems
from services.realtime.session.happenings import Answered, NotAnswered, Spoke, Wrote
from services.realtime.session.hearing import Hearing
from services.realtime.session.outputs import Outputs
from services.realtime.session.stage import Stage
from services.realtime.session.state import Item, Response, Window
from services.realtime.session.toolbox import Toolbox
from services.realtime.session.wire import response_wire, usage_wire

MOST_AT_ONCE = 8
"""Responses outside the conversation that are under way at a time."""
MOST_ROUNDS = 10
"""Times that a model may go on after a server's tool has answered."""
_WINDOW_MS = 60_000


class Responses:
    """The responses of a session."""

    def __init__(self, stage: Stage, items: ConversationItems, hearing: Hearing, toolbox: Toolbox) -> None:
        self._stage = stage
        self._items = items
        self._hearing = hearing
        self._toolbox = toolbox
        self.outputs = Outputs(stage, items, toolbox)

    # -- begun ---------------------------------------------------------------------------------------------------------

    def create(self, event: Mapping[str, Any]) -> None:
        """Begin the response that a client asks for. Raises `AntiphonError`."""
        stage = self._stage
        settings = merge_response(
            stage.core.session, event.get("response"), known=stage.facts.known, has_spoken=stage.core.has_spoken
        )
        others = [response for response in stage.core.responses.values() if not response.in_conversation]
        if settings["conversation"] != "none":
            self._require_none_active()
        elif len(others) >= MOST_AT_ONCE:
            raise RealtimeRefusal(
                f"No more than {MOST_AT_ONCE} responses outside the conversation can be in progress.",
                code="too_many_responses",
            )
        given, context = self._given(settings.get("input"))
        self._admit()
        self._start(settings, given=given, context=context)

    def create_automatic(self, *, silent: bool = False) -> None:
        """Begin the response to a turn that has ended; it waits for one that is under way."""
        if self._stage.active is not None:
            self._stage.core.queued = True
            return
        settings = merge_response(self._stage.core.session, None, known=self._stage.facts.known)
        try:
            self._admit()
        except Overloaded as error:
            self._stage.complain(error.info())
            return
        self._start(settings, automatic=not silent)

    def go_on_after_approval(self, request_id: str) -> None:
        """Call the tool that a client has allowed, and answer with what it gives."""
        stage = self._stage
        if stage.active is not None:
            stage.core.approved.append(request_id)
            return
        request = stage.items.get(request_id)
        if request is None:
            return
        settings = merge_response(stage.core.session, None, known=stage.facts.known)
        response = self._begin(settings)
        response.answered = True
        self.outputs.use_approved(response, request)

    def _require_none_active(self) -> None:
        active = self._stage.active
        if active is not None:
            raise RealtimeRefusal(
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one.",
                code="conversation_already_has_active_response",
            )

    def _admit(self) -> None:
        window, now_ms, facts = self._window(), self._stage.now_ms, self._stage.facts
        if window.requests >= facts.requests_per_minute or window.tokens >= facts.tokens_per_minute:
            wait_s = max(0.0, (window.since_ms + _WINDOW_MS - now_ms) / 1000)
            raise Overloaded(f"Rate limit reached. Please try again in {wait_s:.1f}s.", retry_after_s=wait_s)
        window.requests += 1

    def _given(self, wanted: list[dict[str, Any]] | None) -> tuple[list[Item], list[str] | None]:
        """Return the items that came with a response, and all that it answers, if it names them."""
        if wanted is None:
            return [], None
        given: list[Item] = []
        context: list[str] = []
        for number, wire in enumerate(wanted):
            if wire["type"] == "item_reference":
                if wire["id"] not in self._stage.items:
                    raise RealtimeRefusal(
                        f"Item with item_id '{wire['id']}' not found.",
                        code="item_not_found",
                        param=f"response.input[{number}].id",
                    )
                context.append(wire["id"])
                continue
            if wire["type"] != "function_call_output":
                # The call that an output belongs to may have come with the response as well.
                self._items.check(wire)
            item, sounds = self._items.take(wire)
            if sounds:
                raise UnsupportedValue(
                    "Audio can be given to a response only by a reference to an item of the conversation.",
                    param=f"response.input[{number}]",
                )
            given.append(item)
            context.append(item.wire["id"])
        return given, context

    def _begin(self, settings: dict[str, Any], *, automatic: bool = False) -> Response:
        stage = self._stage
        response = Response(stage.new_id("resp"), settings, stage.now_ms, automatic=automatic)
        stage.core.responses[response.id] = response
        stage.core.idle_at_ms = None
        stage.emit("response.created", response=self._wire(response))
        return response

    def _start(
        self,
        settings: dict[str, Any],
        *,
        automatic: bool = False,
        given: list[Item] | None = None,
        context: list[str] | None = None,
    ) -> None:
        response = self._begin(settings, automatic=automatic)
        response.given = given or []
        if context is not None:
            response.context = context
        elif not self._choose_context(response):
            self.fail(response, _too_long().info())
            return
        response.awaited = [item.wire["id"] for item in self._context(response) if self._hearing.need(item)]
        if not response.awaited:
            self._ask(response)

    def _choose_context(self, response: Response) -> bool:
        """Take as much of the conversation as the model may be given; tell whether that can be done."""
        stage, core = self._stage, self._stage.core
        fixed = text_tokens(response.settings.get("instructions") or "")
        fixed += sum(text_tokens(str(tool)) for tool in response.settings["tools"])
        items = [stage.items[item_id] for item_id in core.order]
        truncation = core.session.get("truncation", "auto")
        cut = first_given(items, core.cut, limit=stage.facts.context_tokens - fixed, truncation=truncation)
        if cut is None:
            return False
        core.cut = cut
        response.context = core.order[cut:]
        return True

    # -- answered ------------------------------------------------------------------------------------------------------

    def known(self, item_id: str, error: ErrorInfo | None) -> None:
        """The words of an item are known, or cannot be had."""
        for response in list(self._stage.core.responses.values()):
            if item_id in response.awaited:
                response.awaited.remove(item_id)
                if error is not None:
                    self.fail(response, error)
                elif not response.awaited:
                    self._ask(response)

    def recheck(self) -> None:
        """Ask where what was awaited has been deleted."""
        for response in list(self._stage.core.responses.values()):
            if not response.awaited and response.job is None and not response.answered:
                self._ask(response)

    def step(self, happening: Wrote | Spoke | Answered | NotAnswered) -> None:
        """Take what the language model says."""
        response = self._stage.core.responses.get(happening.response_id)
        if response is None:
            return
        match happening:
            case Wrote(seq=seq, delta=delta) if seq >= response.seq:
                response.seq = seq + 1
                if text := delta.text or delta.refusal:
                    self.outputs.write(response, text)
                for call in delta.tool_calls:
                    self.outputs.call(response, call)
            case Spoke(seq=seq, pcm=pcm) if seq >= response.seq:
                response.seq = seq + 1
                self.outputs.sound(response, pcm)
            case Answered(reply=reply):
                self._answered(response, reply)
            case NotAnswered(error=error):
                self.fail(response, error)

    def sounded(self, response_id: str, saying: int, start: int, pcm: bytes) -> None:
        """Take sound."""
        if (response := self._stage.core.responses.get(response_id)) is not None:
            self.outputs.sayings.sounded(response, saying, start, pcm)

    def said_up_to(self, response_id: str, saying: int, characters: int) -> None:
        """Take how far the text has come."""
        if (response := self._stage.core.responses.get(response_id)) is not None:
            self.outputs.sayings.said_up_to(response, saying, characters)

    def said(self, response_id: str, saying: int) -> None:
        """A saying is at its end."""
        if (response := self._stage.core.responses.get(response_id)) is not None:
            self.outputs.sayings.said(response, saying)
            self.outputs.close_spoken(response)
            self._finish_if_done(response)

    def not_said(self, response_id: str, error: ErrorInfo) -> None:
        """A saying cannot be spoken."""
        if (response := self._stage.core.responses.get(response_id)) is not None:
            self.fail(response, error)

    def tool_answered(self, item_id: str, result: str | None, error: Mapping[str, Any] | None) -> None:
        """A server's tool has answered."""
        for response in list(self._stage.core.responses.values()):
            for output in response.outputs:
                if output.item_id == item_id and output.running:
                    self.outputs.used(response, output, result, dict(error) if error is not None else None)
                    self._finish_if_done(response)
                    return

    def resume(self) -> None:
        """Order again what was under way."""
        for response in self._stage.core.responses.values():
            if response.job is not None and not response.answered:
                job = RespondJob.model_validate(response.job)
                self._stage.order(Respond(response.id, job, after=response.seq))
            self.outputs.resume(response)
        self.recheck()

    def _ask(self, response: Response) -> None:
        context = self._context(response)
        if response.automatic and _is_silent(context):
            # What was taken for speech had no words in it: there is nothing to answer.
            self._finish(response, "completed")
            return
        settings = response.settings
        most = settings["max_output_tokens"]
        job = RespondJob(
            id=response.id if not response.round else f"{response.id}.round{response.round}",
            created_ms=self._stage.now_ms,
            model=self._stage.facts.model,
            tenant=self._stage.facts.tenant,
            messages=messages_of(settings.get("instructions") or "", context) or messages_of(" ", ()),
            tools=self._toolbox.offered(settings),
            options=ReplyOptions(
                max_tokens=self._stage.facts.turn_tokens if most == "inf" else most,
                # A call that was required has been made once there is a second round.
                tool_choice=ToolChoice() if response.round else self._toolbox.choice(settings),
                parallel_tool_calls=settings.get("parallel_tool_calls", True) is not False,
            ),
            voice=_voice(settings) if self._stage.facts.speaks and response.part == "audio" else None,
            restart=False,
            announce=False,
            keep_s=600,
        )
        response.job = job.model_dump(mode="json")
        response.seq = 0
        response.answered = False
        self._measure(response, context)
        self._stage.order(Respond(response.id, job))

    def _answered(self, response: Response, reply: Reply) -> None:
        response.answered = True
        response.finish = reply.finish_reason
        tally = response.tally
        if reply.usage.prompt_tokens:
            tally.text_in = max(0, reply.usage.prompt_tokens - reply.usage.prompt_audio_tokens)
        tally.cached += min(reply.usage.cached_tokens, tally.text_in)
        tally.text_out += reply.usage.completion_tokens or text_tokens(reply.text)
        if not response.outputs and not reply.tool_calls:
            # Somebody waits for a message, though there is nothing in it.
            self.outputs.write(response, "")
        self.outputs.end_message(response)
        self.outputs.end_calls(response)
        self._finish_if_done(response)

    def _measure(self, response: Response, context: list[Item]) -> None:
        total = sum((measure(item) for item in context), Measure())
        tally = response.tally
        tally.text_in = total.text + text_tokens(response.settings.get("instructions") or "")
        tally.audio_in, tally.image_in = total.audio, total.image

    # -- ended ---------------------------------------------------------------------------------------------------------

    def cancel(self, event: Mapping[str, Any]) -> None:
        """End a response at the client's wish. Raises `InvalidRequest` when there is none."""
        wanted = event.get("response_id")
        response = self._stage.active if wanted is None else self._stage.core.responses.get(str(wanted))
        if response is None:
            raise RealtimeRefusal("Cancellation failed: no active response found", code="response_cancel_not_active")
        self._cancel(response, "client_cancelled")

    def interrupt(self) -> None:
        """Somebody speaks: end the response to the conversation, if one is under way."""
        self._stage.core.queued = False
        if (response := self._stage.active) is not None:
            self._cancel(response, "turn_detected")

    def fail(self, response: Response, error: ErrorInfo) -> None:
        """End a response that cannot be given, or not to its end."""
        self.outputs.break_off(response)
        told = {"type": error.type, "code": error.code or "server_error", "message": error.message}
        self._finish(response, "failed", {"type": "failed", "error": told})

    def time_out(self) -> None:
        """End what takes too long."""
        limit_ms = self._stage.facts.longest_response_ms
        for response in list(self._stage.core.responses.values()):
            if self._stage.now_ms - response.created_ms >= limit_ms:
                self.fail(response, Failure("The response was not finished in time.").info())

    @property
    def wake_at_ms(self) -> int | None:
        """When a response will have taken too long."""
        starts = [response.created_ms for response in self._stage.core.responses.values()]
        return min(starts) + self._stage.facts.longest_response_ms if starts else None

    def _cancel(self, response: Response, reason: str) -> None:
        self.outputs.break_off(response)
        self._finish(response, "cancelled", {"type": "cancelled", "reason": reason})

    def _finish_if_done(self, response: Response) -> None:
        if not response.answered or any(not output.closed for output in response.outputs):
            return
        used = any(output.kind == "mcp_call" and output.round == response.round for output in response.outputs)
        own = any(output.kind in ("function_call", "mcp_approval_request") for output in response.outputs)
        if used and not own and response.round < MOST_ROUNDS:
            # The model has not seen yet what the tool gave.
            response.round += 1
            made = [output.item_id for output in response.outputs]
            response.context += [item_id for item_id in made if item_id not in response.context]
            response.automatic = False
            self._ask(response)
        elif response.finish == "length":
            self._finish(response, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        elif response.finish == "content_filter":
            self._finish(response, "incomplete", {"type": "incomplete", "reason": "content_filter"})
        else:
            self._finish(response, "completed")

    def _finish(self, response: Response, status: str, details: dict[str, Any] | None = None) -> None:
        stage, core = self._stage, self._stage.core
        del core.responses[response.id]
        self.outputs.sayings.forget(response)
        stage.order(StopResponding(response.id))
        spoken_ms = sum(item.spoken_ms for item in stage.response_items(response))
        usage = None
        if response.job is not None:
            usage = usage_wire(response.tally, audio_out=spoken_tokens(spoken_ms / 1000))
            self._window().tokens += usage["total_tokens"]
        core.responses_done += 1
        stage.emit("response.done", response=self._wire(response, status=status, details=details, usage=usage))
        self._tell_limits()
        if not response.in_conversation:
            return
        self._await_next()

    def _await_next(self) -> None:
        core = self._stage.core
        if core.approved:
            self.go_on_after_approval(core.approved.pop(0))
            return
        if core.queued:
            core.queued = False
            self.create_automatic()
            return
        detection = core.session["audio"]["input"].get("turn_detection") or {}
        idle_ms = detection.get("idle_timeout_ms")
        if idle_ms is not None and core.buffer.turn is None:
            core.idle_at_ms = max(self._stage.now_ms, core.played_ms) + idle_ms

    def _tell_limits(self) -> None:
        window, facts = self._window(), self._stage.facts
        reset_s = max(0.0, (window.since_ms + _WINDOW_MS - self._stage.now_ms) / 1000)
        limits = (
            ("requests", facts.requests_per_minute, window.requests),
            ("tokens", facts.tokens_per_minute, window.tokens),
        )
        self._stage.emit(
            "rate_limits.updated",
            rate_limits=[
                {"name": name, "limit": limit, "remaining": max(0, limit - used), "reset_seconds": reset_s}
                for name, limit, used in limits
            ],
        )

    # -- inside --------------------------------------------------------------------------------------------------------

    def _window(self) -> Window:
        window = self._stage.core.window
        if self._stage.now_ms - window.since_ms >= _WINDOW_MS:
            window.since_ms, window.requests, window.tokens = self._stage.now_ms, 0, 0
        return window

    def _context(self, response: Response) -> list[Item]:
        own = {item.wire["id"]: item for item in response.given} | response.made
        found = (own.get(item_id) or self._stage.items.get(item_id) for item_id in response.context)
        return [item for item in found if item is not None]

    def _wire(self, response: Response, **more: Any) -> dict[str, Any]:
        output = [dict(item.wire) for item in self._stage.response_items(response)]
        return response_wire(response, conversation_id=self._stage.core.conversation_id, output=output, **more)


def _is_silent(context: list[Item]) -> bool:
    """Tell whether the client has said nothing since the last answer but audio without words."""
    recent = []
    for item in reversed(context):
        if item.wire["type"] != "message" or item.wire["role"] != "user":
            break
        recent.append(item)
    return bool(recent) and all(
        part["type"] == "input_audio" and not item.transcript for item in recent for part in item.wire["content"]
    )


def _voice(settings: Mapping[str, Any]) -> str:
    voice = settings["audio"]["output"]["voice"]
    return str(voice["id"] if isinstance(voice, dict) else voice)


def _too_long() -> ContextTooLong:
    return ContextTooLong("The conversation does not fit into the context of the model, and truncation is disabled.")
