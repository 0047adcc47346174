"""The commands and their options. What they do is in the module of the same name.

That module is imported when the command runs, so that the help answers at once.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="antiphon",
    help="A self-hosted audio platform that OpenAI and Azure OpenAI clients use unchanged.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it answers twice as soon, and reads the same when piped
    context_settings={"help_option_names": ["-h", "--help"]},
)
WORKERS = ("transcriber", "translator", "synthesizer", "responder", "realtime", "webhooks")
# Handed on whole rather than mounted: their own commands and options are read only when somebody asks for them.
HANDED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class TextFormat(StrEnum):
    """What a transcript can be written as."""

    TEXT = "text"
    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"


class SoundFormat(StrEnum):
    """What speech can be encoded as."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"


@app.command()
def up(
    workers: Annotated[
        list[str] | None,
        typer.Option("--workers", "-w", metavar="NAME=N", help="Processes of a worker, e.g. transcriber=2."),
    ] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Show what the services log, on stderr.")] = False,
) -> None:
    """Serve on ANTIPHON_HOST and ANTIPHON_PORT (127.0.0.1:8000) until Ctrl-C."""
    from antiphon.cli.up import serve  # noqa: PLC0415

    serve(workers=_parse_workers(workers or []), show_logs=logs)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the speech.")] = Path("out"),
) -> None:
    """Start everything, speak, transcribe, translate, converse and talk live, show the result, and stop."""
    from antiphon.cli.demo import run  # noqa: PLC0415

    run(output=output)


@app.command()
def transcribe(  # noqa: PLR0917 - the command line's own order
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audio or video files.")],
    format: Annotated[TextFormat, typer.Option("--format", "-f", help="What to write.")] = TextFormat.TEXT,
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", help="The language spoken, e.g. en; else it is found out."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Any name that the platform lists.")] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Write English, whatever is spoken.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for one file of text each.")] = None,
    parallel: Annotated[int, typer.Option("--parallel", "-p", min=1, max=64, help="Files at a time.")] = 2,
) -> None:
    """Write down what is said in FILE..., on stdout or into a folder."""
    from antiphon.cli.transcribe import TranscribeOptions, transcribe  # noqa: PLC0415

    options = TranscribeOptions(
        response_format=format.value,
        model=model,
        language=language,
        translate=translate,
        output=output,
        parallel=parallel,
    )
    transcribe(files, options)


@app.command()
def speak(  # noqa: PLR0917 - the command line's own order
    text: Annotated[str, typer.Argument(help="What to say; - reads it from stdin.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The audio file; its suffix is its format. - writes to stdout.")
    ],
    voice: Annotated[str, typer.Option("--voice", "-v", help="Who says it.")] = "alloy",
    model: Annotated[str, typer.Option("--model", "-m", help="Any name that the platform lists.")] = "tts-1",
    speed: Annotated[float, typer.Option("--speed", "-s", min=0.25, max=4.0, help="1 is the voice's own.")] = 1.0,
    format: Annotated[
        SoundFormat | None, typer.Option("--format", "-f", help="Instead of what the suffix says.")
    ] = None,
) -> None:
    """Say TEXT into an audio file."""
    from antiphon.cli.speak import SpeakOptions, speak  # noqa: PLC0415

    options = SpeakOptions(
        output=output, voice=voice, model=model, speed=speed, response_format=format.value if format else None
    )
    speak(text, options)


@app.command()
def chat(  # noqa: PLR0917 - the command line's own order
    text: Annotated[str | None, typer.Argument(help="What to ask; - reads it from stdin.")] = None,
    audio: Annotated[Path | None, typer.Option("--audio", "-a", help="A recording of what is asked.")] = None,
    speak: Annotated[
        Path | None, typer.Option("--speak", "-o", help="Have the answer spoken, too, into this file.")
    ] = None,
    voice: Annotated[str, typer.Option("--voice", "-v", help="Who speaks it.")] = "alloy",
    model: Annotated[str, typer.Option("--model", "-m", help="Any name that the platform lists.")] = "gpt-audio",
    system: Annotated[str | None, typer.Option("--system", "-s", help="How it is to be answered.")] = None,
) -> None:
    """Ask a language model, in writing or aloud, and print its answer."""
    from antiphon.cli.chat import ChatOptions, chat  # noqa: PLC0415

    chat(text, ChatOptions(audio=audio, speak=speak, voice=voice, model=model, system=system))


@app.command()
def talk(  # noqa: PLR0917 - the command line's own order
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE", help="A recording to say, instead of the microphone; repeat it."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .wav that the answers go into, instead of aloud.")
    ] = None,
    voice: Annotated[str, typer.Option("--voice", "-v", help="Who answers.")] = "marin",
    model: Annotated[str, typer.Option("--model", "-m", help="Any name that the platform lists.")] = "gpt-realtime",
    instructions: Annotated[str | None, typer.Option("--instructions", "-i", help="How it is to be answered.")] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Another platform than ANTIPHON_BASE_URL or the one here.")
    ] = None,
) -> None:
    """Converse aloud with a language model, by microphone or with recordings."""
    from antiphon.cli.failure import fail  # noqa: PLC0415

    try:
        from antiphon.cli.talk import TalkOptions, talk  # noqa: PLC0415
        from antiphon.cli.talk_line import LineOptions  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"the package {error.name} is missing: pip install 'antiphon[talk]'")

    line = LineOptions(model=model, voice=voice, instructions=instructions)
    talk(TalkOptions(line=line, files=tuple(files or ()), output=output, base_url=base_url))


@app.command(add_help_option=False, context_settings=HANDED_ON)
def models(context: typer.Context) -> None:
    """List models; pull, verify and find their weights."""
    from antiphon.cli.models import app as models_app  # noqa: PLC0415

    models_app(context.args, prog_name="antiphon models")


@app.command()
def lanes(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.1, help="How often with --watch.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, with --watch one a line.")] = False,
) -> None:
    """Show how late each lane is, who works on it, and how long that will take."""
    from antiphon.cli.lanes import show_lanes  # noqa: PLC0415

    show_lanes(as_json=as_json, watch_s=every if watch else None)


@app.command()
def plan(  # noqa: PLR0917 - the command line's own order
    file: Annotated[Path | None, typer.Argument(metavar="[LOAD.toml]", help="The load; options override it.")] = None,
    measured: Annotated[
        Path | None, typer.Option("--measured", "-m", help="A report.json of `make load`; else a reference machine's.")
    ] = None,
    files_per_hour: Annotated[float | None, typer.Option(min=0, help="Recordings whose callers wait.")] = None,
    jobs_per_hour: Annotated[float | None, typer.Option(min=0, help="Recordings whose callers do not wait.")] = None,
    mean_seconds: Annotated[float | None, typer.Option(min=0.1, help="Mean length of both; 30 if absent.")] = None,
    speech_per_minute: Annotated[float | None, typer.Option(min=0, help="Texts that are spoken.")] = None,
    chat_per_minute: Annotated[float | None, typer.Option(min=0, help="Questions asked aloud, answered aloud.")] = None,
    sessions: Annotated[float | None, typer.Option(min=0, help="Live sessions that are held at a time.")] = None,
    p95: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=SECONDS", help="What 95 % of files, jobs, speech, chat, sessions shall see."),
    ] = None,
    peak: Annotated[float | None, typer.Option(min=1, help="The greatest load, as a multiple of this one.")] = None,
    busy: Annotated[float | None, typer.Option(min=0.05, max=1, help="How busy workers may be; 0.8 if absent.")] = None,
    replicas: Annotated[
        list[str] | None,
        typer.Option("--replicas", "-r", metavar="NAME=N,...", help="Foretell what becomes of the load on these."),
    ] = None,
    processors: Annotated[
        float | None, typer.Option(min=0.5, help="With --replicas: all of them share a machine of so many.")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of a processor-hour, in any currency.")] = None,
    price_gib: Annotated[float | None, typer.Option(min=0, help="Of a GiB-hour of memory.")] = None,
    recordings_in_redis: Annotated[
        bool | None, typer.Option("--recordings-in-redis/--recordings-elsewhere", help="Where uploads lie.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say how many replicas, processors, memory and how much Redis a load needs."""
    from antiphon.cli.plan import PlanOptions  # noqa: PLC0415
    from antiphon.cli.plan import plan as run_plan  # noqa: PLC0415

    given = [part for item in replicas or [] for part in item.split(",")]
    run_plan(
        PlanOptions(
            file=file,
            measured=measured,
            files_per_hour=files_per_hour,
            jobs_per_hour=jobs_per_hour,
            mean_seconds=mean_seconds,
            speech_per_minute=speech_per_minute,
            chat_per_minute=chat_per_minute,
            sessions=sessions,
            p95=tuple(p95 or ()),
            peak=peak,
            busy=busy,
            replicas=_parse_workers(given) if replicas else None,
            processors=processors,
            price=price,
            price_gib=price_gib,
            recordings_in_redis=recordings_in_redis,
            seed=seed,
            as_json=as_json,
        )
    )


@app.command(add_help_option=False, context_settings=HANDED_ON)
def jobs(context: typer.Context) -> None:
    """List the jobs that wait or run; show one, stop one."""
    from antiphon.cli.jobs import app as jobs_app  # noqa: PLC0415

    jobs_app(context.args, prog_name="antiphon jobs")


@app.command(add_help_option=False, context_settings=HANDED_ON)
def dead(context: typer.Context) -> None:
    """List jobs that were given up; show, replay and purge them."""
    from antiphon.cli.dead import app as dead_app  # noqa: PLC0415

    dead_app(context.args, prog_name="antiphon dead")


@app.command(add_help_option=False, context_settings=HANDED_ON)
def keys(context: typer.Context) -> None:
    """Make API keys with limits; list, change, rotate and revoke them."""
    from antiphon.cli.keys import app as keys_app  # noqa: PLC0415

    keys_app(context.args, prog_name="antiphon keys")


@app.command(add_help_option=False, context_settings=HANDED_ON)
def webhooks(context: typer.Context) -> None:
    """Register receivers of webhooks, test them, and look at what was delivered."""
    from antiphon.cli.webhooks import app as webhooks_app  # noqa: PLC0415

    webhooks_app(context.args, prog_name="antiphon webhooks")


def _parse_workers(given: list[str]) -> dict[str, int]:
    workers: dict[str, int] = {}
    for item in given:
        name, _, count = item.partition("=")
        if name not in WORKERS or not count.isdigit():
            *others, last = (f"{worker}=N" for worker in WORKERS)
            raise typer.BadParameter(f"{item!r} is not {', '.join(others)} or {last}")
        workers[name] = int(count)
    return workers
