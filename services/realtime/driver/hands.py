"""Carries out what a session's machine orders."""

from __future__ import annotations

import asyncio
import io
import logging
import wave
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from opentelemetry import trace

from antiphon.audio.g711 import Law, decode
from antiphon.audio.samples import Samples
from antiphon.errors import AntiphonError, Failure, NotFound
from antiphon.telemetry.spans import current_span
from services.realtime.driver.ear import Ear
from services.realtime.driver.jobs import Jobs
from services.realtime.driver.kept_audio import KeptAudio
from services.realtime.driver.orders import Answer, Recognition, Speech
from services.realtime.session.commands import (
    CallTool,
    Command,
    CutAudio,
    FindAudio,
    ForgetAudio,
    GiveAudio,
    JudgeTurn,
    KeepAudio,
    Listen,
    ListTools,
    Respond,
    Say,
    StopResponding,
    StopTranscribing,
    Transcribe,
)
from services.realtime.session.happenings import (
    POSITIONS_PER_MS,
    AudioFound,
    Happening,
    Judged,
    NotHeard,
    ToolAnswered,
    ToolsListed,
    ToolsNotListed,
)
from services.realtime.tools.failures import ToolFailed

logger = logging.getLogger(__name__)

_TRACER = trace.get_tracer("antiphon.realtime")
_JUDGED_MS = 8_000
"""How much of a turn its end is judged by."""
_PCM_RATE, _TELEPHONE_RATE = 24_000, 8_000
_LAWS: dict[str, Law] = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}


class Judge(Protocol):
    """The part of the ears that is needed here."""

    async def judge(self, samples: Samples) -> float:
        """Return how likely the speaker is through."""
        ...


class Tools(Protocol):
    """MCP servers."""

    async def list_tools(self, server: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return what tools a server has. Raises `ToolFailed`."""
        ...

    async def call_tool(self, server: Mapping[str, Any], name: str, arguments: str) -> str:
        """Return what a tool answers. Raises `ToolFailed`."""
        ...


class Hands:
    """The hands of one session. What takes time is a task of `group`, and tells what came of it."""

    def __init__(
        self,
        *,
        session_id: str,
        tenant: str,
        ear: Ear,
        kept: KeptAudio,
        jobs: Jobs,
        judge: Judge,
        tools: Tools,
        group: asyncio.TaskGroup,
        tell: Callable[[Happening], Awaitable[None]],
    ) -> None:
        self._session_id = session_id
        self._tenant = tenant
        self._ear = ear
        self._kept = kept
        self._jobs = jobs
        self._judge = judge
        self._tools = tools
        self._group = group
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def heed(self, command: Command, *, entry: str) -> None:
        """Do at once what concerns the rest of what has piled up, or what is to be committed."""
        match command:
            case Listen():
                self._ear.expect(command, entry=entry)
            case CutAudio(item_id, index, end_ms):
                self._kept.cut(item_id, index, end_ms)
            case ForgetAudio(item_id):
                self._kept.forget(item_id)
            case StopTranscribing() | StopResponding():
                self._drop(command)

    async def prepare(self, commands: Iterable[Command]) -> None:
        """Do before the commit what a successor could not do after it: keep audio."""
        for command in commands:
            try:
                match command:
                    case KeepAudio(item_id, start, stop):
                        raw = await self._ear.raw(start, stop)
                        await self._kept.keep(item_id, 0, raw, format=self._ear.format)
                    case GiveAudio(item_id, index, audio):
                        await self._kept.keep(item_id, index, audio, format=self._ear.format)
            except AntiphonError as error:
                logger.warning("audio of an item is not kept", extra={"cause": error.message})

    async def carry_out(self, command: Command) -> None:
        """Do what may be done once the step is committed. Never raises for what a job or a store may do."""
        match command:
            case Listen():
                self._ear.tune(command)
            case StopTranscribing() | StopResponding():
                # Once more, for what was begun only now.
                self._drop(command)
            case JudgeTurn():
                start = max(command.start, command.stop - _JUDGED_MS * POSITIONS_PER_MS)
                self._start(self._judge_turn(command.turn, self._ear.samples(start, command.stop)))
            case Transcribe():
                await self._transcribe(command)
            case Respond():
                self._jobs.begin(Answer(command, tenant=self._tenant))
            case Say():
                self._jobs.begin(Speech(command, tenant=self._tenant))
            case FindAudio(item_id, event_id):
                self._start(self._find_audio(item_id, event_id))
            case ListTools(item_id, server):
                self._start(self._list_tools(item_id, server))
            case CallTool():
                self._start(self._call_tool(command))

    def rest(self) -> None:
        """Stop what is under way beside the jobs."""
        for task in self._tasks:
            task.cancel()

    def _drop(self, command: StopTranscribing | StopResponding) -> None:
        if isinstance(command, StopResponding):
            self._jobs.drop_owned(command.response_id)
        else:
            self._jobs.drop(Recognition.id_of(self._session_id, command.item_id, command.hearing))

    async def _transcribe(self, command: Transcribe) -> None:
        try:
            audio = await self._audio_for(command)
        except AntiphonError as error:
            self._start(self._tell_of(NotHeard(command.item_id, command.hearing, error.info())))
            return
        order = Recognition(command, session_id=self._session_id, tenant=self._tenant, audio=audio)
        self._jobs.begin(order)

    async def _audio_for(self, command: Transcribe) -> bytes:
        if not command.kept:
            return await self._ear.wav(command.start, command.stop)
        kept = await self._kept.whole(command.item_id)
        if kept is None:
            raise NotFound("The audio of this item is no longer there.")
        return await asyncio.to_thread(_wav, *kept)

    async def _judge_turn(self, turn: int, samples: Samples) -> None:
        try:
            probability = await self._judge.judge(samples)
        except Exception:
            # A turn that cannot be judged is over: silence has ended it already.
            logger.exception("a turn cannot be judged")
            probability = 1.0
        await self._tell(Judged(turn, probability))

    async def _find_audio(self, item_id: str, event_id: str | None) -> None:
        try:
            parts = await self._kept.find(item_id)
        except AntiphonError as error:
            logger.warning("audio of an item is not found", extra={"cause": error.message})
            parts = {}
        await self._tell(AudioFound(item_id, event_id, parts))

    async def _list_tools(self, item_id: str, server: Mapping[str, Any]) -> None:
        try:
            with current_span(_TRACER, "tools/list", attributes={"mcp.method.name": "tools/list"}):
                tools = await self._tools.list_tools(server)
        except Exception as error:
            await self._tell(ToolsNotListed(item_id, _known(error).info()))
        else:
            await self._tell(ToolsListed(item_id, tuple(tools)))

    async def _call_tool(self, command: CallTool) -> None:
        about = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": command.name,
            "gen_ai.tool.type": "extension",
            "gen_ai.tool.call.id": command.item_id,
        }
        try:
            with current_span(_TRACER, f"execute_tool {command.name}", attributes=about):
                output = await self._tools.call_tool(command.server, command.name, command.arguments)
        except Exception as error:
            failed = error if isinstance(error, ToolFailed) else ToolFailed.of("http_error", _known(error).message, 500)
            await self._tell(ToolAnswered(command.item_id, None, failed.told))
        else:
            await self._tell(ToolAnswered(command.item_id, output))

    async def _tell_of(self, happening: Happening) -> None:
        await self._tell(happening)

    def _start(self, work: Any) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _known(error: Exception) -> AntiphonError:
    if isinstance(error, AntiphonError):
        return error
    logger.error("an MCP server cannot be asked", exc_info=error)
    return Failure("The MCP server could not be asked.")


def _wav(raw: bytes, format: str) -> bytes:
    """Return raw samples of a session's format as a WAV file."""
    is_pcm = format == "audio/pcm"
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(_PCM_RATE if is_pcm else _TELEPHONE_RATE)
        wav.writeframes(raw if is_pcm else decode(raw, _LAWS[format]).tobytes())
    return file.getvalue()
