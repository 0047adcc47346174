"""What every engine offers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.schemas import FinishReason, Message, ReplyOptions, ReplyUsage, Tool, WrittenToken


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A conversation that is to be continued.

    `recordings` holds the bytes of each audio part by the `uri` of its blob, for an engine that hears; one that does
    not reads the part's transcript. `voice` is for an engine that speaks; None asks it for text alone. `tenant`
    tells callers apart: what one has said may be kept at hand for its next turn, but never shown to another.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    options: ReplyOptions = field(default_factory=ReplyOptions)
    voice: str | None = None
    recordings: Mapping[str, bytes] = field(default_factory=dict)
    tenant: str = "default"


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text that follows; what is said, when the engine speaks."""

    text: str
    logprobs: tuple[WrittenToken, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusalPiece:
    """Text of a refusal that follows."""

    text: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """What is new of tool call number `index`; `id` and `name` come with its first piece."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SoundPiece:
    """Sound that follows: PCM, 16 bit, little-endian, mono, 24 kHz."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The last piece."""

    finish_reason: FinishReason
    usage: ReplyUsage
    fingerprint: str | None = None


Piece = TextPiece | RefusalPiece | CallPiece | SoundPiece | End


class LanguageModel(Protocol):
    """Continues conversations, several at a time."""

    @property
    def hears(self) -> bool:
        """Whether it takes recordings itself."""
        ...

    @property
    def speaks(self) -> bool:
        """Whether it gives sound itself when a voice is asked for."""
        ...

    @property
    def sees(self) -> bool:
        """Whether it takes images."""
        ...

    def respond(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it is written, `End` last. Closing the generator stops the work at the next token.

        Raises `InvalidValue` for what the model cannot do, `ContextTooLong`, `Unavailable`, `UpstreamFailed`,
        `Overloaded`, `DeadlineExceeded`. Nothing of it blocks the event loop.
        """
        ...

    async def aclose(self) -> None:
        """Free what it holds."""
        ...
