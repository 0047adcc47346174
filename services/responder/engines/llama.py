"""A language model that runs on this machine, over llama.cpp."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from antiphon.errors import ContextTooLong, InvalidValue, Unavailable, WeightsMissing
from antiphon.telemetry.stages import observe_stage
from services.responder.engines.answer_form import AnswerForm, answer_form
from services.responder.engines.byte_grammar import Grammars
from services.responder.engines.context import first_kept
from services.responder.engines.form_reader import FormBroken
from services.responder.engines.known_prefixes import KnownPrefixes
from services.responder.engines.language_model import End, Piece, Prompt
from services.responder.engines.llama_answer import Answer
from services.responder.engines.llama_child import Child, ChildFailed, ChildSettings
from services.responder.engines.llama_options import LlamaOptions, read_options
from services.responder.engines.llama_request import completion_request
from services.responder.engines.llama_socket import Gone, LlamaSocket, Refused
from services.responder.engines.rendering import Conversation, Line, render
from services.responder.engines.token_counts import TokenCounts, most_tokens

_TEMPLATE_TOKENS = 48
"""What a chat template puts around a conversation, at most."""
_ANSWER_TOKENS = 512
"""Room that older turns leave to an answer of unknown length, in a context that has it."""
_SHORTEST_ANSWER = 16
_DYING_S = 1.0


@dataclass(frozen=True)
class _Reading:
    """What a model is about to read."""

    lines: list[Line]
    form: AnswerForm


class Llama:
    """One model in a process of its own, which continues `parallel` conversations at a time."""

    hears = False
    speaks = False
    sees = False

    def __init__(self, child: Child, settings: ChildSettings, options: LlamaOptions, *, fingerprint: str) -> None:
        self._child = child
        self._settings = settings
        self._options = options
        self._fingerprint = fingerprint
        self._socket = LlamaSocket(child.socket, child.key)
        self._places = asyncio.Semaphore(settings.parallel)
        self._starting = asyncio.Lock()
        self._closed = False
        self._prefixes = KnownPrefixes()
        self._grammars = Grammars()
        self._counts = TokenCounts()

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        threads: int,
        context_tokens: int,
        parallel: int,
        prompt_cache_mib: int,
        options: Mapping[str, Any],
    ) -> Llama:
        """Load the one `.gguf` file in `folder`. Blocking, for seconds.

        Args:
            folder: where the weights are.
            name: of the model in the catalogue.
            threads: for the model alone.
            context_tokens: what one conversation may have, unless `options` say otherwise.
            parallel: conversations at a time.
            prompt_cache_mib: memory for conversations that have no place at the moment.
            options: see `LlamaOptions`.

        Raises:
            WeightsMissing: when there is no such file, or it is not a model.
            InvalidValue: for options that do not exist.
        """
        chosen = read_options(options, model=name)
        found = sorted(folder.glob("*.gguf"))
        if len(found) != 1:
            raise WeightsMissing(f"The weights of {name} are one .gguf file; {folder} has {len(found)}.")
        settings = ChildSettings(
            weights=str(found[0]),
            threads=threads,
            parallel=parallel,
            context_tokens=chosen.context_tokens or context_tokens,
            prompt_cache_mib=prompt_cache_mib,
            kv_type=chosen.kv_type,
            batch_tokens=chosen.batch_tokens,
            repack=chosen.repack,
            thinks=chosen.thinks,
        )
        try:
            child = Child.start(settings)
        except ChildFailed as error:
            raise WeightsMissing(f"The weights of {name} cannot be loaded from {found[0]}. {error}".strip()) from None
        return cls(child, settings, chosen, fingerprint=_fingerprint(found[0]))

    async def respond(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it is written, `End` last; see `LanguageModel`.

        With a seed the same prompt has the same answer, as far as what else the model does at that moment allows:
        conversations that are computed together round differently from one that is computed alone.
        """
        form = await self._form(prompt)
        conversation = render(
            prompt.messages,
            tools=prompt.tools,
            parallel=prompt.options.parallel_tool_calls,
            format=prompt.options.format,
            system=self._options.system,
        )
        asked_s = time.monotonic()
        async with self._places:
            observe_stage("wait", time.monotonic() - asked_s, lane="respond")
            socket = await self._reach()
            try:
                lines = await self._fit(conversation, socket, answer_tokens=prompt.options.max_tokens)
                async with aclosing(self._answer(prompt, _Reading(lines, form), socket)) as pieces:
                    async for piece in pieces:
                        yield piece
            except Gone as error:
                # A process that dies closes its socket first. Who comes next must not take it for alive.
                await asyncio.to_thread(self._child.ends, within_s=_DYING_S)
                raise Unavailable(f"The model's process broke off: {self._child.last_words() or error}") from error
            except Refused as error:
                raise _told(error) from error
            except FormBroken as error:
                # The process goes on without a grammar when following it takes too much: the schema asks for that.
                raise InvalidValue(
                    f"The model could not be held to this schema: {error}.",
                    param="tools" if prompt.tools else "response_format",
                ) from error

    async def aclose(self) -> None:
        """End the model's process."""
        self._closed = True
        async with self._starting:
            await asyncio.to_thread(self._child.close)

    async def busy(self) -> int:
        """Return how many conversations the model is at work on, by its own account. Raises `Gone`."""
        slots = await self._socket.ask("/slots")
        return sum(slot["is_processing"] for slot in slots)

    async def _form(self, prompt: Prompt) -> AnswerForm:
        asked = prompt.options
        if not prompt.tools and asked.format.type == "text":
            return AnswerForm()
        return await asyncio.to_thread(
            answer_form,
            prompt.tools,
            choice=asked.tool_choice,
            parallel=asked.parallel_tool_calls,
            format=asked.format,
            grammars=self._grammars,
        )

    async def _reach(self) -> LlamaSocket:
        """Return the socket of a process that runs, a new one if the last has died."""
        if self._child.alive and not self._closed:
            return self._socket
        async with self._starting:
            if self._closed:
                raise Unavailable("The model is being closed.")
            if not self._child.alive:
                await asyncio.to_thread(self._child.close)
                try:
                    self._child = await asyncio.to_thread(Child.start, self._settings)
                except (ChildFailed, OSError) as error:
                    raise Unavailable(f"The model's process does not start: {error}") from error
                self._socket = LlamaSocket(self._child.socket, self._child.key)
            return self._socket

    async def _answer(self, prompt: Prompt, reading: _Reading, socket: LlamaSocket) -> AsyncGenerator[Piece, None]:
        known = self._prefixes.known(prompt.tenant, reading.lines)
        body = completion_request(reading.lines, prompt.options, self._options, form=reading.form)
        answer = Answer(reading.form, stops=prompt.options.stop, top_logprobs=prompt.options.top_logprobs or 0)
        try:
            async with aclosing(socket.stream("/v1/chat/completions", body)) as events:
                async for event in events:
                    for piece in answer.take(event):
                        yield piece
                    if answer.stopped:
                        break
        finally:  # what was read and written is in the cache, whoever broke off
            self._prefixes.add(prompt.tenant, [*reading.lines, {"role": "assistant", "content": answer.raw}])
        for piece in answer.finish():
            yield piece
        cached = await self._own_share(answer.usage.cached_tokens, reading.lines, known, socket)
        usage = answer.usage.model_copy(update={"cached_tokens": cached})
        yield End(answer.finish_reason, usage, self._fingerprint)

    async def _own_share(self, cached: int, lines: Sequence[Line], known: int, socket: LlamaSocket) -> int:
        """Return how many of the cached tokens are in the first `known` lines."""
        if cached == 0 or known == len(lines):
            return cached
        if known == 0:
            return 0
        answer = await socket.ask("/v1/chat/completions/input_tokens", {"messages": lines[:known]})
        return min(cached, int(answer["input_tokens"]))

    async def _fit(self, conversation: Conversation, socket: LlamaSocket, *, answer_tokens: int | None) -> list[Line]:
        """Return the lines that the model is to read. Raises `ContextTooLong`."""
        if not conversation.units:
            return conversation.lines()
        context = self._settings.context_tokens
        room = min(answer_tokens or _ANSWER_TOKENS, context // 4)
        if most_tokens(conversation.lines()) + _TEMPLATE_TOKENS <= context - room:
            return conversation.lines()
        lead = await self._counts.count(conversation.lead, socket) + _TEMPLATE_TOKENS
        sizes = [await self._counts.count(unit.lines, socket) for unit in conversation.units]
        budget = max(context - room - lead, sizes[-1])
        if lead + sizes[-1] > context - _SHORTEST_ANSWER:
            raise ContextTooLong(
                f"This model's maximum context length is {context} tokens. However, your messages resulted in "
                f"{lead + sizes[-1]} tokens, without those that could be left out. Please reduce their length.",
                param="messages",
            )
        openings = [unit.opens for unit in conversation.units]
        return conversation.lines(first_kept(sizes, budget=budget, openings=openings))


def _told(error: Refused) -> Exception:
    if error.error.get("type") == "exceed_context_size_error":
        return ContextTooLong(str(error), param="messages")
    if error.status in (400, 422):
        return InvalidValue(f"The model cannot be asked that: {error}")
    return Unavailable(f"The model cannot answer: {error}")


def _fingerprint(weights: Path) -> str:
    described = f"{weights.name} {weights.stat().st_size} {version('xllamacpp')}"
    return "fp_" + hashlib.sha256(described.encode()).hexdigest()[:10]
