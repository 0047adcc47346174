"""`antiphon keys`: who may use the platform, and how much of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

from antiphon.bus import Bus, Limits
from antiphon.cli.bus import on_bus
from antiphon.cli.options import AsJson, Yes
from antiphon.cli.tables import console, make_table, print_json, print_pairs, say_seconds
from antiphon.keys import Changes, KeyRecord, Keys
from antiphon.schemas import Priority

T = TypeVar("T")

app = typer.Typer(
    help="Make API keys with limits; list, change, rotate and revoke them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Ceiling(StrEnum):
    """The highest priority that a key gets."""

    HI = "hi"
    STD = "std"
    BULK = "bulk"


_CEILINGS: dict[Ceiling, Priority] = {Ceiling.HI: "hi", Ceiling.STD: "std", Ceiling.BULK: "bulk"}
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9})([smhd]?)")


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter("expected a length of time such as 45s, 30m, 24h or 90d")
    return timedelta(seconds=int(found[1]) * _UNITS_S[found[2] or "s"])


def _limit(text: str) -> int | None:
    """Return a limit; None stands for none."""
    if text == "none":
        return None
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter("expected a whole number from 1, or none")
    return int(text)


Key = Annotated[str, typer.Argument(metavar="KEY", help="Its id, key_..., or its name if no other has it.")]
Rpm = Annotated[str | None, typer.Option("--rpm", metavar="N", help="Requests per minute.")]
Audio = Annotated[str | None, typer.Option("--audio-seconds", metavar="N", help="Seconds of audio per minute.")]
Concurrency = Annotated[
    str | None, typer.Option("--concurrency", metavar="N", help="Requests and live sessions at the same time.")
]
Priorities = Annotated[Ceiling | None, typer.Option("--priority", help="The highest priority that it gets.")]
Models = Annotated[
    str | None, typer.Option("--models", metavar="NAMES", help="Models it may use: names or patterns, by commas.")
]


@app.command("create")
def create_key(  # noqa: PLR0917 - the command line's own order
    name: Annotated[str, typer.Option("--name", "-n", help="What people call it.")],
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="Whose jobs it sees; keys may share one. Else its own.")
    ] = None,
    rpm: Rpm = None,
    audio_seconds: Audio = None,
    concurrency: Concurrency = None,
    priority: Priorities = None,
    models: Models = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="IN", help="Such as 90d; else never.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its digest is kept."""
    lifetime = None if expires is None else _duration(expires)
    limits = _limits(Limits(), rpm, audio_seconds, concurrency)

    async def create(bus: Bus) -> tuple[KeyRecord, str]:
        return await Keys(bus).create(
            name=name,
            tenant=tenant,
            limits=limits,
            priority=_CEILINGS[priority or Ceiling.HI],
            models=_names(models) or (),
            expires_at=None if lifetime is None else bus.now_ms() // 1000 + int(lifetime.total_seconds()),
        )

    _print_key(*on_bus(create), as_json=as_json)


@app.command("list")
def list_keys(
    every: Annotated[bool, typer.Option("--all", help="Those that were revoked or have expired, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List keys, the oldest first, and when they were last used."""

    async def find(bus: Bus) -> tuple[list[KeyRecord], dict[str, int], float]:
        keys = Keys(bus)
        return await keys.list(), await keys.uses(), bus.now_ms() / 1000

    records, uses, now_s = on_bus(find)
    shown = [record for record in records if every or record.state(now_s) == "active"]
    if as_json:
        print_json({"keys": [describe(record, used_at=uses.get(record.id), now_s=now_s) for record in shown]})
        return
    if not shown:
        print("no keys" if not records else "no keys that let anybody in; --all shows the others")
        return
    rows = [_row(record, used_at=uses.get(record.id), now_s=now_s) for record in shown]
    heads = ("Id", "Name", "Key", "Tenant", "RPM", "Audio s/min", "At once", "Priority", "Models", "State", "Used")
    console().print(make_table(heads, rows, numbers=("RPM", "Audio s/min", "At once"), elastic="Models"))


@app.command("show")
def show_key(key: Key, as_json: AsJson = False) -> None:
    """Show a key and how much of its limits is left. Exit code 1 when there is none."""

    async def find(bus: Bus) -> dict[str, Any]:
        keys = Keys(bus)
        record = await keys.get(key)
        described = describe(record, used_at=(await keys.uses()).get(record.id), now_s=bus.now_ms() / 1000)
        standing = await bus.allowances.look(record.id, record.limits)
        left: dict[str, Any] = {"running": standing.running if standing.concurrency else None}
        for name, level in (("requests", standing.requests), ("audio_seconds", standing.audio)):
            left[name] = None if level is None else round(level.remaining, 1)
        return described | {"left": left}

    described = on_bus(find)
    if as_json:
        print_json(described)
        return
    limits, left = described.pop("limits"), described.pop("left")
    pairs = described | {f"limit {name}": value for name, value in limits.items()}
    pairs |= {f"left {name}": value for name, value in left.items()}
    print_pairs(
        {name: ", ".join(value) if isinstance(value, list) else _said(name, value) for name, value in pairs.items()}
    )


@app.command("update")
def update_key(  # noqa: PLR0917 - the command line's own order
    key: Key,
    name: Annotated[str | None, typer.Option("--name", "-n", help="What people call it.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Whose jobs it sees.")] = None,
    rpm: Rpm = None,
    audio_seconds: Audio = None,
    concurrency: Concurrency = None,
    priority: Priorities = None,
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Change what a key may do, within seconds. `none` takes a limit away, `*` allows all models."""

    async def update(keys: Keys) -> KeyRecord:
        record = await keys.get(key)
        limits = _limits(record.limits, rpm, audio_seconds, concurrency)
        changes = Changes(
            name=name,
            tenant=tenant,
            limits=limits if limits != record.limits else None,
            priority=None if priority is None else _CEILINGS[priority],
            models=_names(models),
        )
        return await keys.update(record.id, changes)

    _print_record(_on_keys(update), as_json=as_json)


@app.command("rotate")
def rotate_key(
    key: Key,
    grace: Annotated[
        str, typer.Option("--grace", metavar="FOR", help="How long the old key still opens; 0 for not at all.")
    ] = "24h",
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one under the same id, and print that, this once."""
    kept = _duration(grace)

    async def rotate(keys: Keys) -> tuple[KeyRecord, str]:
        return await keys.rotate((await keys.get(key)).id, grace=kept)

    _print_key(*_on_keys(rotate), as_json=as_json)


@app.command("revoke")
def revoke_key(key: Key, yes: Yes = False, as_json: AsJson = False) -> None:
    """Let a key open no more, within seconds and for good."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is nobody to ask: say --yes")
        if not typer.confirm(f"revoke {key}?", err=True):
            raise typer.Exit(1)

    async def revoke(keys: Keys) -> KeyRecord:
        return await keys.revoke((await keys.get(key)).id)

    _print_record(_on_keys(revoke), as_json=as_json)


def describe(record: KeyRecord, *, used_at: int | None, now_s: float) -> dict[str, Any]:
    """Return what `--json` prints of a key: moments in epoch seconds, None where there is none."""
    limits = record.limits
    return {
        "id": record.id,
        "name": record.name,
        "key": _hint(record),
        "tenant": record.tenant,
        "state": record.state(now_s),
        "limits": {
            "requests_per_minute": limits.requests_per_minute,
            "audio_seconds_per_minute": limits.audio_seconds_per_minute,
            "concurrency": limits.concurrency,
        },
        "priority": record.priority,
        "models": list(record.models),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "previous_until": record.previous.until if record.previous and record.previous.until > now_s else None,
        "used_at": used_at,
    }


def _on_keys(work: Callable[[Keys], Awaitable[T]]) -> T:
    return on_bus(lambda bus: work(Keys(bus)))


def _limits(given: Limits, rpm: str | None, audio_seconds: str | None, concurrency: str | None) -> Limits:
    return Limits(
        requests_per_minute=given.requests_per_minute if rpm is None else _limit(rpm),
        audio_seconds_per_minute=given.audio_seconds_per_minute if audio_seconds is None else _limit(audio_seconds),
        concurrency=given.concurrency if concurrency is None else _limit(concurrency),
    )


def _names(models: str | None) -> tuple[str, ...] | None:
    if models is None:
        return None
    names = tuple(name.strip() for name in models.split(",") if name.strip())
    return () if "*" in names else names


def _print_key(record: KeyRecord, key: str, *, as_json: bool) -> None:
    described = describe(record, used_at=None, now_s=record.created_at)
    if as_json:
        print_json(described | {"key": key})
        return
    print(key)
    print(f"{record.id} ({record.name}) of tenant {record.tenant}: the key is shown this once", file=sys.stderr)


def _print_record(record: KeyRecord, *, as_json: bool) -> None:
    described = describe(record, used_at=None, now_s=datetime.now(UTC).timestamp())
    if as_json:
        print_json(described)
    else:
        print(f"{record.id} ({record.name}): {described['state']}")


def _row(record: KeyRecord, *, used_at: int | None, now_s: float) -> tuple[str, ...]:
    limits = record.limits
    figures = (limits.requests_per_minute, limits.audio_seconds_per_minute, limits.concurrency)
    return (
        record.id,
        record.name,
        _hint(record),
        record.tenant,
        *("" if figure is None else str(figure) for figure in figures),
        record.priority,
        ",".join(record.models) or "all",
        record.state(now_s),
        "never" if used_at is None else f"{say_seconds(max(0.0, now_s - used_at))} ago",
    )


def _hint(record: KeyRecord) -> str:
    return f"sk-...{record.hint}"


def _said(name: str, value: object) -> object:
    if name.endswith(("_at", "_until")) and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return value
