"""`antiphon dead`: jobs that were given up, and what to do with them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from antiphon.cli.bus import on_bus
from antiphon.cli.failure import fail
from antiphon.cli.options import AsJson, Lane, LaneName, Yes, kinds_of
from antiphon.cli.tables import console, make_table, print_json, print_pairs, say_seconds
from antiphon.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from antiphon.bus import Bus, DeadLetter
    from antiphon.schemas import Kind

    Found = tuple[Kind, DeadLetter]

AT_ONCE = 100
"""Letters that are put back in one round trip."""

app = typer.Typer(
    help="Look at jobs that were given up; put them back or forget them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id, or that of the letter's entry.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of jobs or of letters' entries.")]
Every = Annotated[bool, typer.Option("--all", help="All of the lane, or of all lanes.")]


@app.command("list")
def list_letters(
    lane: Lane = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="As many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, lane by lane, the oldest first."""

    async def find(bus: Bus) -> tuple[list[Found], int, int]:
        lanes = await bus.lanes()
        found: list[Found] = []
        for kind in kinds_of(lane):
            async for letter in bus.dead_letters(kind).list():
                if len(found) == limit:
                    break
                found.append((kind, letter))
        return found, sum(lanes[kind].dead for kind in kinds_of(lane)), bus.now_ms()

    found, total, now_ms = on_bus(find)
    if as_json:
        print_json({"letters": [describe_letter(*each) for each in found], "total": total})
        return
    if not found:
        print("no dead letters")
        return
    rows = [
        (kind, letter.entry, letter.job_id, say_seconds(_age_s(letter, now_ms)), str(letter.attempts), letter.error)
        for kind, letter in found
    ]
    heads = ("Lane", "Entry", "Job", "Age", "Attempts", "Error")
    console().print(make_table(heads, rows, numbers=("Age", "Attempts"), elastic="Error"))
    if total > len(found):
        print(f"{len(found)} of {total} are shown; --limit shows more", file=sys.stderr)


@app.command("show")
def show_letter(letter_id: Id, lane: Lane = None, as_json: AsJson = False) -> None:
    """Show a dead letter with the job as it came. Exit code 1 when there is none of this id."""
    found = on_bus(lambda bus: find_letter(bus, letter_id, kinds_of(lane)))
    if found is None:
        fail(f"there is no dead letter {letter_id}")
    described = describe_letter(*found) | {"fields": _readable(found[1])}
    if as_json:
        print_json(described)
    else:
        print_pairs({name: value for name, value in described.items() if name not in {"fields", "died_ms"}})
        print_pairs({f"field {name}": value for name, value in described["fields"].items()})


@app.command("replay")
def replay_letters(
    ids: Ids = None, lane: Lane = None, every: Every = False, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Put jobs back on their lane under their own ids, with all their attempts before them.

    Exit code 1 when one that was named is not there.
    """
    _require_choice(ids, every=every)
    if every:
        _confirm("put back", lane, yes=yes)
    replayed, ended, missing = on_bus(lambda bus: _replay(bus, ids, kinds_of(lane)))
    if as_json:
        print_json({"replayed": replayed, "ended": ended, "missing": missing})
    else:
        print(f"{len(replayed)} put back" + (f", {len(ended)} had ended well meanwhile" if ended else ""))
    _leave_if_missing(missing)


@app.command("purge")
def purge_letters(
    ids: Ids = None, lane: Lane = None, every: Every = False, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Forget dead letters for good. Exit code 1 when one that was named is not there."""
    _require_choice(ids, every=every)
    _confirm("forget", lane, yes=yes, named=ids)
    purged, missing = on_bus(lambda bus: _purge(bus, ids, kinds_of(lane)))
    if as_json:
        print_json({"purged": purged, "missing": missing})
    else:
        print(f"{purged} forgotten")
    _leave_if_missing(missing)


def describe_letter(kind: Kind, letter: DeadLetter) -> dict[str, Any]:
    """Return what `--json` prints of a letter, without the job itself."""
    return {
        "id": letter.job_id,
        "lane": kind,
        "entry": letter.entry,
        "priority": letter.priority,
        "attempts": letter.attempts,
        "error": letter.error,
        "died_ms": _died_ms(letter),
    }


async def find_letter(bus: Bus, letter_id: str, kinds: tuple[Kind, ...]) -> Found | None:
    """Return the letter of this entry or job on one of the lanes."""
    for kind in kinds:
        with suppress(NotFound):
            return kind, await bus.dead_letters(kind).find(letter_id)
    return None


async def _replay(bus: Bus, ids: list[str] | None, kinds: tuple[Kind, ...]) -> tuple[list[str], list[str], list[str]]:
    """Put letters back; return the ids of jobs that are on their lane, that had completed, and that were not found."""
    replayed: list[str] = []
    ended: list[str] = []
    missing: list[str] = []

    async def replay(kind: Kind, letter: DeadLetter) -> None:
        try:
            on_lane = await bus.dead_letters(kind).replay(letter)
        except NotFound:  # somebody else was faster
            missing.append(letter.job_id)
        else:
            (replayed if on_lane else ended).append(letter.job_id)

    batch: list[Found] = []
    async for found in _chosen(bus, ids, kinds, missing):
        batch.append(found)
        if len(batch) == AT_ONCE:
            await asyncio.gather(*(replay(*each) for each in batch))
            batch.clear()
    await asyncio.gather(*(replay(*each) for each in batch))
    return replayed, ended, missing


async def _purge(bus: Bus, ids: list[str] | None, kinds: tuple[Kind, ...]) -> tuple[int, list[str]]:
    if not ids:
        return sum([await bus.dead_letters(kind).purge() for kind in kinds]), []
    missing: list[str] = []
    purged = 0
    async for kind, letter in _chosen(bus, ids, kinds, missing):
        await bus.dead_letters(kind).drop(letter)
        purged += 1
    return purged, missing


async def _chosen(bus: Bus, ids: list[str] | None, kinds: tuple[Kind, ...], missing: list[str]) -> AsyncIterator[Found]:
    """Yield the letters that are named, or all that there are now; add to `missing` what cannot be found."""
    if ids:
        for letter_id in ids:
            found = await find_letter(bus, letter_id, kinds)
            if found is None:
                missing.append(letter_id)
            else:
                yield found
        return
    lanes = await bus.lanes()
    for kind in kinds:
        # A job that fails again at once comes back as a new letter: those are not meant.
        left = lanes[kind].dead
        async for letter in bus.dead_letters(kind).list():
            if left == 0:
                break
            left -= 1
            yield kind, letter


def _readable(letter: DeadLetter) -> dict[str, Any]:
    """Return the fields of the job as text, and its data as JSON if it is, without what is secret."""
    fields: dict[str, Any] = {name.decode(errors="replace"): _text(value) for name, value in letter.fields.items()}
    with suppress(KeyError, ValueError):
        fields["data"] = _without_secrets(orjson.loads(letter.fields[b"data"]))
    return fields


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "hidden" if name == "secret" and part is not None else _without_secrets(part)
            for name, part in value.items()
        }
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _died_ms(letter: DeadLetter) -> int:
    return int(letter.entry.partition("-")[0])


def _age_s(letter: DeadLetter, now_ms: int) -> float:
    return max(now_ms - _died_ms(letter), 0) / 1000


def _require_choice(ids: list[str] | None, *, every: bool) -> None:
    if bool(ids) == every:
        raise typer.BadParameter("name the letters, or say --all")


def _confirm(verb: str, lane: LaneName | None, *, yes: bool, named: list[str] | None = None) -> None:
    """Ask before something is done to many or for good. Exit code 2 where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is nobody to ask: say --yes")
    what = ", ".join(named) if named else f"all dead letters of {lane.value if lane else 'all lanes'}"
    if not typer.confirm(f"{verb} {what}?", err=True):
        raise typer.Exit(1)


def _leave_if_missing(missing: list[str]) -> None:
    if missing:
        fail(f"there is no dead letter {', '.join(missing)}")
