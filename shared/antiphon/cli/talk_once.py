"""One spoken question in a live session, and its spoken answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.cli.failure import CommandFailed
from antiphon.cli.talk_exchange import Answered, Heard, Notice, Said, Waits
from antiphon.cli.talk_line import LineOptions, open_line
from antiphon.cli.talk_player import into_file
from antiphon.cli.talk_recording import read_recordings
from antiphon.cli.talk_speaking import Talk, following
from antiphon.errors import Unavailable

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@dataclass(frozen=True)
class Answer:
    """What was understood, what was answered, and how long that took."""

    heard: str
    said: str
    waits: Waits


async def ask_live(client: AsyncOpenAI, question: Path, *, options: LineOptions, answer: Path) -> Answer:
    """Speak a recording into a session at its own pace, and write the answer's sound into `answer`, a WAV.

    Raises `Unavailable` when no whole answer comes, `OSError`.
    """
    notices: list[Notice] = []
    try:
        recording, *_ = await read_recordings([question])
        with into_file(answer) as file:
            async with open_line(client, options) as line:
                talk = Talk(line, player=file, show=notices.append)
                async with following(talk):
                    await talk.ask(recording)
    except CommandFailed as error:
        raise Unavailable(f"no conversation can be held: {error}") from None
    ends = [notice for notice in notices if isinstance(notice, Answered) and not notice.was_interrupted]
    if not ends or ends[-1].waits is None or ends[-1].problem is not None:
        raise Unavailable(f"a spoken question got no whole answer: {ends[-1].problem if ends else 'nothing came'}")
    return Answer(
        heard=" ".join(notice.text for notice in notices if isinstance(notice, Heard) and notice.text),
        said="".join(notice.text for notice in notices if isinstance(notice, Said)).strip(),
        waits=ends[-1].waits,
    )
