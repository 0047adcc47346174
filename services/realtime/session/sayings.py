"""The sound of a response: its text is spoken sentence by sentence, one saying after the other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from antiphon.dialogue.speaking import BYTES_PER_S, MOST_CHARACTERS, PAUSE_S
from antiphon.speech import SentenceStream, is_speakable
from services.realtime.session.commands import Say
from services.realtime.session.heard_words import whole_words
from services.realtime.session.stage import Stage
from services.realtime.session.state import Item, Output, Passage, Response, Saying

_BYTES_PER_MS = BYTES_PER_S // 1000
_CHARACTERS_PER_S = 15
"""How fast people speak, where it is not known better."""


@dataclass(slots=True)
class _Script:
    """The sentences of a message that wait to be said."""

    stream: SentenceStream = field(default_factory=SentenceStream)
    waiting: deque[str] = field(default_factory=deque)
    whole: bool = False


class Sayings:
    """Has messages spoken."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._scripts: dict[str, _Script] = {}

    def written(self, response: Response, output: Output, text: str) -> None:
        """Take up text that was just added to a message, or its end."""
        script = self._scripts.get(output.item_id)
        if script is None:
            script = self._rebuilt(output)
        elif text:
            script.waiting += script.stream.feed(text)
        if output.whole and not script.whole:
            script.whole = True
            script.waiting += script.stream.finish()
        self._say_next(response, output)

    def sounded(self, response: Response, number: int, start: int, pcm: bytes) -> None:
        """Send sound of a saying that was not sent before."""
        saying, output = self._at(response, number)
        if saying is None or output is None or saying.done:
            return
        new = pcm[max(0, saying.length - start) :]
        if not new:
            return
        if not saying.length:
            pause = self._pause(response, output)
            saying.start = output.pcm_bytes + len(pause)
            saying.length += len(new)
            self.sound(response, output, pause + new)
        else:
            saying.length += len(new)
            self.sound(response, output, new)

    def sound(self, response: Response, output: Output, pcm: bytes) -> None:
        """Send sound of a message."""
        core = self._stage.core
        before_ms = output.pcm_bytes // _BYTES_PER_MS
        output.pcm_bytes += len(pcm)
        length_ms = output.pcm_bytes // _BYTES_PER_MS - before_ms
        self._stage.made(response, output.item_id).spoken_ms += length_ms
        core.has_spoken = True
        core.spoken_ms += length_ms
        core.played_ms = max(core.played_ms, self._stage.now_ms) + length_ms
        self._stage.emit(
            "response.output_audio.delta",
            response_id=response.id,
            item_id=output.item_id,
            output_index=output.index,
            content_index=0,
            delta=pcm,
        )

    def said_up_to(self, response: Response, number: int, characters: int) -> None:
        """Note how far the text has come at this moment of the sound."""
        saying, _ = self._at(response, number)
        if saying is not None and not saying.done and (not saying.marks or saying.marks[-1][1] < characters):
            saying.marks.append((saying.length, characters))

    def said(self, response: Response, number: int) -> None:
        """A saying is at its end."""
        saying, output = self._at(response, number)
        if saying is None or output is None or saying.done:
            return
        saying.done = True
        item = self._stage.made(response, output.item_id)
        item.script.append(_passage(saying, saying.text))
        self._say_next(response, output)

    def is_busy(self, response: Response, output: Output) -> bool:
        """Tell whether a message is not said to its end."""
        script = self._scripts.get(output.item_id)
        return any(saying.item_id == output.item_id and not saying.done for saying in response.sayings) or (
            script is not None and bool(script.waiting)
        )

    def break_off(self, response: Response, output: Output, item: Item) -> None:
        """Nothing more is said of a message; note what was."""
        self._scripts.pop(output.item_id, None)
        for saying in response.sayings:
            if saying.item_id == output.item_id and not saying.done:
                saying.done = True
                if saying.length:
                    item.script.append(_passage(saying, _said_so_far(saying)))

    def forget(self, response: Response) -> None:
        """A response is over."""
        for output in response.outputs:
            self._scripts.pop(output.item_id, None)

    def resume(self, response: Response) -> None:
        """Order again what was under way."""
        if self._stage.facts.speaks:
            return
        for number, saying in enumerate(response.sayings):
            if not saying.done:
                self._order(response, number, saying)
        for output in response.outputs:
            if output.kind == "message" and not output.closed and response.part == "audio":
                self.written(response, output, "")

    def _rebuilt(self, output: Output) -> _Script:
        """Return the sentences of what was written, less those that were taken: they are the same every time."""
        script = self._scripts[output.item_id] = _Script()
        script.waiting += script.stream.feed(output.text)
        if output.whole:
            script.whole = True
            script.waiting += script.stream.finish()
        for _ in range(min(output.taken, len(script.waiting))):
            script.waiting.popleft()
        return script

    def _say_next(self, response: Response, output: Output) -> None:
        if any(not saying.done for saying in response.sayings):
            return
        script = self._scripts[output.item_id]
        text = ""
        while script.waiting and (not text or len(text) + len(script.waiting[0]) < MOST_CHARACTERS):
            sentence = script.waiting.popleft()
            output.taken += 1
            if is_speakable(sentence):
                text = f"{text} {sentence}" if text else sentence
        if text:
            saying = Saying(output.item_id, text, output.pcm_bytes)
            response.sayings.append(saying)
            self._order(response, len(response.sayings) - 1, saying)

    def _order(self, response: Response, number: int, saying: Saying) -> None:
        sound = response.settings["audio"]["output"]
        voice = sound["voice"]
        self._stage.order(
            Say(
                response.id,
                number,
                saying.text,
                model=self._stage.facts.speech_model,
                voice=voice["id"] if isinstance(voice, dict) else voice,
                speed=sound.get("speed") or 1.0,
                after=saying.length,
            )
        )

    def _pause(self, response: Response, output: Output) -> bytes:
        if not output.pcm_bytes:
            return b""
        speed = response.settings["audio"]["output"].get("speed") or 1.0
        return bytes(2 * int(PAUSE_S / speed * BYTES_PER_S / 2))

    def _at(self, response: Response, number: int) -> tuple[Saying | None, Output | None]:
        if number >= len(response.sayings):
            return None, None
        saying = response.sayings[number]
        return saying, next((made for made in response.outputs if made.item_id == saying.item_id), None)


def _passage(saying: Saying, text: str) -> Passage:
    return Passage(
        text,
        saying.start // _BYTES_PER_MS,
        (saying.start + saying.length) // _BYTES_PER_MS,
        [((saying.start + at) // _BYTES_PER_MS, characters) for at, characters in saying.marks],
    )


def _said_so_far(saying: Saying) -> str:
    """Return the words that the sound of a saying has come to."""
    at, characters = saying.marks[-1] if saying.marks else (0, 0)
    return whole_words(saying.text, characters + (saying.length - at) / BYTES_PER_S * _CHARACTERS_PER_S)
