"""`antiphon transcribe`: files in, text out, several at once, with a bar for each."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from antiphon.cli.connection import Connection, describe_failure, describe_refusal, find_connection
from antiphon.cli.events import read_events
from antiphon.cli.failure import CommandFailed, fail

SUFFIXES = {"json": ".json", "verbose_json": ".json", "text": ".txt", "srt": ".srt", "vtt": ".vtt"}
STREAMED = ("json", "text")  # the formats whose words arrive while the audio is still being heard
STREAMING_MODEL = "gpt-4o-transcribe"
WHOLE_MODEL = "whisper-1"
LIVE_CHARACTERS = 40


@dataclass(frozen=True)
class TranscribeOptions:
    """What the user asked for, the same for every file."""

    response_format: str = "text"
    model: str | None = None
    language: str | None = None
    translate: bool = False
    output: Path | None = None
    parallel: int = 2

    @property
    def streams(self) -> bool:
        """Whether to ask for the words as they are heard."""
        return self.response_format in STREAMED and not self.translate

    def form(self) -> dict[str, str]:
        """Return the fields of the request besides the file."""
        default = STREAMING_MODEL if self.streams else WHOLE_MODEL
        fields = {"model": self.model or default, "response_format": self.response_format}
        if self.streams:
            fields |= {"stream": "true", "response_format": "json"}
        if self.language and not self.translate:
            fields["language"] = self.language
        return fields


def transcribe(files: Sequence[Path], options: TranscribeOptions) -> None:
    """Transcribe `files`. Leaves with exit code 1 when one of them failed."""
    try:
        connection = find_connection(os.environ)
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
        failed = asyncio.run(_transcribe_all(files, options, connection))
    except CommandFailed as error:
        fail(str(error))
    except OSError as error:
        fail(f"{options.output}: {error.strerror}")
    if failed:
        raise SystemExit(1)


async def _transcribe_all(files: Sequence[Path], options: TranscribeOptions, connection: Connection) -> int:
    targets = name_outputs(files, folder=options.output, suffix=SUFFIXES[options.response_format])
    places = asyncio.Semaphore(options.parallel)
    failed = 0
    texts: dict[int, str] = {}
    with _bars() as bars:

        async def one(number: int, client: httpx.AsyncClient) -> None:
            nonlocal failed
            path = files[number]
            async with places:
                bar = _Bar(bars, path.name)
                try:
                    text = await _transcribe_one(path, options, client, bar)
                    if (target := targets[number]) is not None:
                        target.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
                        bar.end(f"→ {target}")
                    else:
                        texts[number] = text
                        bar.end("done")
                    return
                except CommandFailed as error:
                    reason = str(error)
                except httpx.HTTPError as error:
                    reason = describe_failure(error, connection.base_url)
                except OSError as error:
                    reason = error.strerror or str(error)
                failed += 1
                bar.end("failed")
                bars.console.print(f"{path}: {reason}", markup=False, highlight=False, soft_wrap=True)

        async with connection.client() as client, asyncio.TaskGroup() as tasks:
            for number in range(len(files)):
                tasks.create_task(one(number, client))
    for number, text in sorted(texts.items()):
        if len(files) > 1:
            print(f"# {files[number]}")
        print(text.rstrip("\n"))
    return failed


async def _transcribe_one(path: Path, options: TranscribeOptions, client: httpx.AsyncClient, bar: _Bar) -> str:
    with path.open("rb") as file:
        upload = _CountedFile(file, size=os.fstat(file.fileno()).st_size, on_read=bar.uploaded)
        async with client.stream(
            "POST",
            "audio/translations" if options.translate else "audio/transcriptions",
            data=options.form(),
            files={"file": (path.name, cast(IO[bytes], upload))},
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise CommandFailed(describe_refusal(response.status_code, await response.aread()))
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                body = (await response.aread()).decode("utf-8")
                return _text_of(body) if options.streams and options.response_format == "text" else body
            heard = final = ""
            async for event in read_events(response):
                if event.get("type") == "transcript.text.delta":
                    heard += event["delta"]
                    bar.heard(heard)
                elif event.get("type") == "transcript.text.done":
                    final = event["text"] if options.response_format == "text" else _plain_json(event)
            if not final and heard:
                raise CommandFailed("the transcript broke off before its end")
            return final


def name_outputs(files: Sequence[Path], *, folder: Path | None, suffix: str) -> list[Path | None]:
    """Return the file to write for each input: its name with `suffix`; inputs that would share one keep their own too.

    All None without a folder.
    """
    if folder is None:
        return [None] * len(files)
    stems = [path.stem for path in files]
    names = [path.name if stems.count(stem) > 1 else stem for path, stem in zip(files, stems, strict=True)]
    taken: set[str] = set()
    targets: list[Path | None] = []
    for name in names:
        free = next(candidate for candidate in _numbered(name) if candidate not in taken)
        taken.add(free)
        targets.append(folder / f"{free}{suffix}")
    return targets


def _numbered(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _text_of(body: str) -> str:
    return str(json.loads(body)["text"])


def _plain_json(event: dict[str, object]) -> str:
    return json.dumps({key: value for key, value in event.items() if key != "type"}, ensure_ascii=False) + "\n"


class _CountedFile:
    """A file that tells how much of it has been sent."""

    def __init__(self, file: BinaryIO, *, size: int, on_read: Callable[[int, int], None]) -> None:
        self._file = file
        self._size = size
        self._on_read = on_read

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_read(self._file.tell(), self._size)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()


class _Bar:
    """The line of one file. It fills while the file is sent, then moves without a promise: nobody knows the rest."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._task: TaskID = bars.add_task("", total=1.0, name=name, state="sending")

    def uploaded(self, done_bytes: int, size_bytes: int) -> None:
        if done_bytes < size_bytes:
            self._bars.update(self._task, completed=done_bytes / size_bytes)
        else:
            # `update` takes None for "as before"; only the task itself can be told that its length is unknown.
            next(task for task in self._bars.tasks if task.id == self._task).total = None
            self._bars.update(self._task, state="listening")

    def heard(self, text: str) -> None:
        self._bars.update(self._task, state="…" + " ".join(text.split())[-LIVE_CHARACTERS:])

    def end(self, state: str) -> None:
        self._bars.update(self._task, total=1.0, completed=1.0, state=state)


def _bars() -> Progress:
    # On stderr: the text on stdout can be piped. Not drawn at all where nobody watches.
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=console,
        disable=not sys.stderr.isatty(),
    )
