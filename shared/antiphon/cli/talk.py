"""`antiphon talk`: a conversation aloud, by microphone or with recordings."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import openai

from antiphon.cli.connection import Connection, find_connection
from antiphon.cli.failure import CommandFailed, fail
from antiphon.cli.talk_devices import Microphone, open_loudspeaker, open_microphone
from antiphon.cli.talk_line import LineOptions, open_line
from antiphon.cli.talk_player import Nowhere, Player, into_file
from antiphon.cli.talk_recording import read_recordings
from antiphon.cli.talk_screen import Screen
from antiphon.cli.talk_speaking import Talk, following


@dataclass(frozen=True)
class TalkOptions:
    """What the user asked for: `files` are the turns to say, `output` the file that the answers go into."""

    line: LineOptions = field(default_factory=LineOptions)
    files: tuple[Path, ...] = ()
    output: Path | None = None
    base_url: str | None = None

    def check(self) -> None:
        """Raise `CommandFailed` for an `output` that is no WAV."""
        if self.output is not None and self.output.suffix.lower() != ".wav":
            raise CommandFailed(f"{self.output}: answers are written as .wav")


def talk(options: TalkOptions) -> None:
    """Converse until the recordings are through or Ctrl-C. Leaves with exit code 1 and one line when that fails."""
    screen = Screen()
    environ = os.environ | ({"ANTIPHON_BASE_URL": options.base_url} if options.base_url else {})
    try:
        options.check()
        # Ctrl-C is how a conversation ends.
        with suppress(KeyboardInterrupt):
            asyncio.run(_converse(options, find_connection(environ), screen))
    except CommandFailed as error:
        screen.close()
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    screen.close()
    if screen.has_failed:
        raise SystemExit(1)


async def _converse(options: TalkOptions, connection: Connection, screen: Screen) -> None:
    recordings = await read_recordings(options.files)
    with ExitStack() as devices:
        microphone = None if options.files else _microphone(devices)
        player = _player(options, devices)
        async with (
            openai.AsyncOpenAI(base_url=connection.base_url, api_key=connection.api_key, max_retries=0) as client,
            open_line(client, options.line) as line,
        ):
            talk = Talk(line, player=player, show=screen.show)
            async with following(talk):
                if microphone is not None:
                    print("speak; Ctrl-C ends it", file=sys.stderr)
                    await talk.say(microphone.frames())
                for recording, name in zip(recordings, options.files, strict=True):
                    try:
                        await talk.ask(recording)
                    except CommandFailed as error:
                        raise CommandFailed(f"{name}: {error}") from None


def _microphone(devices: ExitStack) -> Microphone:
    try:
        return devices.enter_context(open_microphone())
    except CommandFailed as error:
        raise CommandFailed(f"{error}; --file takes recordings instead") from None


def _player(options: TalkOptions, devices: ExitStack) -> Player:
    """Return where the answers go: into the file that is named, else aloud, else, for recordings alone, nowhere."""
    if options.output is not None:
        return devices.enter_context(into_file(options.output))
    try:
        return devices.enter_context(open_loudspeaker())
    except CommandFailed as error:
        if not options.files:
            raise
        print(f"antiphon: {error}; --output FILE.wav keeps the answers", file=sys.stderr)
        return Nowhere()
