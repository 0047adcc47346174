"""What a session remembers. All of it can be written down and read again, so that a successor goes on from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.audio.speech_gate import GateState

Part = Literal["audio", "text"]


@dataclass(slots=True)
class Passage:
    """Text that was spoken in one go, and where in the sound of its item: in milliseconds."""

    text: str
    start_ms: int
    stop_ms: int
    marks: list[tuple[int, int]] = field(default_factory=list)
    """Characters of the text that lie before a moment, `(ms, characters)`, in order."""


@dataclass(slots=True)
class Item:
    """An item of the conversation."""

    wire: dict[str, Any]
    """As clients are told of it, in the GA shape, without sound."""
    start: int = 0
    stop: int = 0
    """Which positions of the input its audio is; the same where it has none of the input's."""
    hearing: int = 0
    """Number of the latest try to recognise it."""
    heard: Literal["no", "asked", "yes", "failed"] = "no"
    transcript: str = ""
    shown: bool = False
    """Whether the client is told of its transcript."""
    told: str = ""
    """What the client was told of its transcript so far."""
    spoken_ms: int = 0
    cut: bool = False
    """Whether its end was not heard and is forgotten."""
    script: list[Passage] = field(default_factory=list)
    server: str | None = None
    """Label of the MCP server that it is about."""


@dataclass(slots=True)
class Turn:
    """Speech that the turn detection follows."""

    item_id: str
    start: int
    """Where it began, padding included."""
    hearing: int = 0
    """Tries to recognise it so far."""
    heard_to: int | None = None
    """Where the try ends that is under way, if one is."""
    paused_at: int | None = None
    """Where the silence began after which the speaker may be through."""
    asked: int = 0
    """How often it was asked whether the speaker is through."""
    ends_at: int | None = None
    """Position at which the turn ends if the silence lasts."""


@dataclass(slots=True)
class Buffer:
    """The input that is not committed."""

    start: int = 0
    stop: int = 0
    gate: GateState = field(default_factory=GateState)
    gate_base: int = 0
    """Position of the gate's first frame."""
    deaf: bool = False
    """Nobody asks for turn detection."""
    turn: Turn | None = None
    kept_from: int = 0
    """First position that a successor may need although it is committed."""
    kept_until: int = 0
    """Position of the input's end up to which that holds."""
    idle_from: int | None = None
    """Where the input was when the idle time began."""


@dataclass(slots=True)
class Output:
    """An item that a response makes."""

    item_id: str
    kind: Literal["message", "function_call", "mcp_call", "mcp_approval_request"]
    index: int = -1
    """Its place among the outputs that the client has been told of."""
    closed: bool = False
    tool: str = ""
    """The name by which the model calls the tool."""
    call: int | None = None
    """Which of the model's calls of this round it is."""
    round: int = 0
    text: str = ""
    """What is said, or the arguments."""
    taken: int = 0
    """Sentences of it that were given to be spoken."""
    whole: bool = False
    """Nothing more will be written."""
    running: bool = False
    """The tool is being called."""
    pcm_bytes: int = 0
    """Sound of it so far, as PCM at 24 kHz."""

    @property
    def begun(self) -> bool:
        """Whether the client has been told of it."""
        return self.index >= 0


@dataclass(slots=True)
class Saying:
    """Text that is spoken in one go."""

    item_id: str
    text: str
    start: int
    """Where in the sound of its item it begins, in bytes of PCM at 24 kHz, the pause before it left out."""
    length: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)
    """`(bytes, characters)`"""
    done: bool = False


@dataclass(slots=True)
class Tally:
    """What a response took."""

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    cached: int = 0
    text_out: int = 0


@dataclass(slots=True)
class Response:
    """A response that is under way."""

    id: str
    settings: dict[str, Any]
    """The effective options of `response.create`."""
    created_ms: int
    automatic: bool = False
    """Turn detection began it: where nothing was said, nothing is answered."""
    context: list[str] = field(default_factory=list)
    """Items that it answers, in order."""
    given: list[Item] = field(default_factory=list)
    """Items that came with it and are not in the conversation."""
    awaited: list[str] = field(default_factory=list)
    """Items whose transcripts it waits for."""
    round: int = 0
    job: dict[str, Any] | None = None
    seq: int = 0
    """Pieces of the job's output that were had."""
    answered: bool = False
    finish: str = "stop"
    outputs: list[Output] = field(default_factory=list)
    made: dict[str, Item] = field(default_factory=dict)
    """Items of a response outside the conversation."""
    sayings: list[Saying] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def in_conversation(self) -> bool:
        """Whether its items become items of the conversation."""
        return bool(self.settings["conversation"] != "none")

    @property
    def part(self) -> Part:
        """What its messages are made of."""
        return "audio" if self.settings["output_modalities"] == ["audio"] else "text"


@dataclass(slots=True)
class Window:
    """What was used in the current minute."""

    since_ms: int = 0
    requests: int = 0
    tokens: int = 0


@dataclass(slots=True)
class Core:
    """All but the items."""

    session: dict[str, Any]
    conversation_id: str
    ids: int = 0
    """Ids that were given out."""
    began_ms: int = 0
    order: list[str] = field(default_factory=list)
    cut: int = 0
    """Items at the beginning that are no longer given to the model."""
    buffer: Buffer = field(default_factory=Buffer)
    responses: dict[str, Response] = field(default_factory=dict)
    queued: bool = False
    """A turn has ended whose response waits for the one before it."""
    approved: list[str] = field(default_factory=list)
    """Approval requests whose calls wait for the response before them."""
    has_spoken: bool = False
    played_ms: int = 0
    """When the sound that was sent will have been played."""
    idle_at_ms: int | None = None
    window: Window = field(default_factory=Window)
    listing: list[str] = field(default_factory=list)
    """`mcp_list_tools` items whose servers were asked."""
    responses_done: int = 0
    heard_ms: int = 0
    spoken_ms: int = 0
    ended: bool = False
