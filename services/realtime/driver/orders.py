"""Jobs that a session orders, and how what they write becomes happenings. Values in, values out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Protocol

from antiphon.bus import OutputEvent
from antiphon.calling import result_of
from antiphon.errors import Failure
from antiphon.schemas import (
    BlobRef,
    Delta,
    ErrorInfo,
    Job,
    Kind,
    Outcome,
    Progress,
    Reply,
    ReplyDelta,
    SynthesizeJob,
    TranscribeJob,
    Transcript,
    TranslateJob,
)
from services.realtime.session.commands import Respond, Say, Transcribe
from services.realtime.session.happenings import (
    Answered,
    Happening,
    Heard,
    HeardMore,
    NotAnswered,
    NotHeard,
    NotSaid,
    Said,
    SaidUpTo,
    Sounded,
    Spoke,
    Wrote,
)

_KEEP_S = 600
"""How long a result stays for a successor of the worker that ordered it."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Order(Protocol):
    """One job of a session, read from its first output event to its outcome."""

    kind: Kind
    job_id: str
    owner: str
    """The item or the response that it is for."""
    audio: bytes | None
    """A WAV that the job is about; it has to be put where the job can find it."""

    def job(self, audio: BlobRef | None) -> Job:
        """Return the job."""
        ...

    def read(self, event: OutputEvent) -> Iterator[Happening]:
        """Yield what an output event means to the session. Raises the job's error."""
        ...

    def failed(self, error: ErrorInfo) -> Happening:
        """Return what it means that nothing more will come."""
        ...


class Recognition:
    """A `Transcribe` command."""

    def __init__(self, command: Transcribe, *, session_id: str, tenant: str, audio: bytes) -> None:
        self.kind: Kind = "translate" if command.translate else "transcribe"
        self.job_id = self.id_of(session_id, command.item_id, command.hearing)
        self.owner = command.item_id
        self.audio: bytes | None = audio
        self.hearing = command.hearing
        self._command = command
        self._tenant = tenant
        self._told = ""
        self._text = ""

    @staticmethod
    def id_of(session_id: str, item_id: str, hearing: int) -> str:
        """Return the id of the job: clients may choose the ids of items, and two sessions the same."""
        return f"{session_id}.{_plain(item_id)}.{hearing}"

    def job(self, audio: BlobRef | None) -> Job:
        """Return the job."""
        if audio is None:
            raise ValueError("nothing is recognised without audio")
        schema = TranslateJob if self._command.translate else TranscribeJob
        return schema(
            id=self.job_id,
            tenant=self._tenant,
            audio=audio,
            model=self._command.model,
            options=self._command.options,
            discard_audio=True,
            stream=True,
            announce=False,
            keep_s=_KEEP_S,
        )

    def read(self, event: OutputEvent) -> Iterator[Happening]:
        """Yield what is heard."""
        item_id, hearing = self._command.item_id, self.hearing
        match event:
            case OutputEvent(kind="reset"):
                self._text = ""
            case OutputEvent(kind="delta", data=data):
                self._text += Delta.model_validate_json(data).delta
                # Another attempt repeats what was told; where it hears something else, only the whole can put it right.
                if len(self._text) > len(self._told) and self._text.startswith(self._told):
                    more, self._told = self._text[len(self._told) :], self._text
                    yield HeardMore(item_id, hearing, more)
            case OutputEvent(kind="outcome", data=data):
                yield Heard(item_id, hearing, Transcript.model_validate(result_of(Outcome.model_validate_json(data))))

    def failed(self, error: ErrorInfo) -> Happening:
        """Return `NotHeard`."""
        return NotHeard(self._command.item_id, self.hearing, error)


class Answer:
    """A `Respond` command."""

    kind: Kind = "respond"
    audio: bytes | None = None

    def __init__(self, command: Respond, *, tenant: str) -> None:
        self.owner = command.response_id
        self.job_id = command.job.id
        self._command = command
        self._tenant = tenant
        self._begun = command.after > 0

    def job(self, audio: BlobRef | None) -> Job:
        """Return the job."""
        changed = {
            "id": self.job_id,
            "tenant": self._tenant,
            "stream": True,
            "announce": False,
            "keep_s": _KEEP_S,
        }
        return self._command.job.model_copy(update=changed)

    def read(self, event: OutputEvent) -> Iterator[Happening]:
        """Yield what is written and spoken. Raises `Failure` when one begins anew that may not."""
        response_id = self.owner
        if event.kind == "outcome":
            yield Answered(response_id, Reply.model_validate(result_of(Outcome.model_validate_json(event.data))))
            return
        if event.seq < self._command.after:
            return
        match event:
            case OutputEvent(kind="reset") if self._begun and not self._command.job.restart:
                raise Failure("The answer was broken off and cannot be continued. Please try again.")
            case OutputEvent(kind="delta", data=data, seq=seq):
                self._begun = True
                yield Wrote(response_id, seq, ReplyDelta.model_validate_json(data))
            case OutputEvent(kind="audio", data=data, seq=seq):
                self._begun = True
                yield Spoke(response_id, seq, data)

    def failed(self, error: ErrorInfo) -> Happening:
        """Return `NotAnswered`."""
        return NotAnswered(self.owner, error)


class Speech:
    """A `Say` command."""

    kind: Kind = "synthesize"
    audio: bytes | None = None

    def __init__(self, command: Say, *, tenant: str) -> None:
        self.job_id = f"{command.response_id}.{command.saying}"
        self.owner = command.response_id
        self._command = command
        self._tenant = tenant
        self._at = 0
        self._had = command.after

    def job(self, audio: BlobRef | None) -> Job:
        """Return the job."""
        return SynthesizeJob(
            id=self.job_id,
            tenant=self._tenant,
            text=self._command.text,
            model=self._command.model,
            voice=self._command.voice,
            speed=self._command.speed,
            format="pcm",
            stream=True,
            announce=False,
            keep_s=_KEEP_S,
        )

    def read(self, event: OutputEvent) -> Iterator[Happening]:
        """Yield the sound that was not had before, and how far the text has come."""
        response_id, saying = self.owner, self._command.saying
        match event:
            case OutputEvent(kind="reset"):
                # Another attempt says the same again.
                self._at = 0
            case OutputEvent(kind="audio", data=data):
                start = max(self._at, self._had)
                new = data[start - self._at :]
                self._at += len(data)
                if new:
                    self._had = self._at
                    yield Sounded(response_id, saying, start, new)
            case OutputEvent(kind="progress", data=data) if self._at >= self._had:
                yield SaidUpTo(response_id, saying, int(Progress.model_validate_json(data).done))
            case OutputEvent(kind="outcome", data=data):
                result_of(Outcome.model_validate_json(data))
                yield Said(response_id, saying)

    def failed(self, error: ErrorInfo) -> Happening:
        """Return `NotSaid`."""
        return NotSaid(self.owner, self._command.saying, error)


def _plain(item_id: str) -> str:
    """Return an item's id as a part of a job's."""
    if _PLAIN.fullmatch(item_id):
        return item_id
    return f"x-{hashlib.blake2b(item_id.encode(), digest_size=16).hexdigest()}"
