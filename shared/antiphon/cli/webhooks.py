"""`antiphon webhooks`: who is told how jobs end, and what became of each delivery."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import typer

from antiphon.cli.connection import describe_failure, describe_refusal, find_connection
from antiphon.cli.failure import CommandFailed, fail
from antiphon.cli.options import AsJson
from antiphon.cli.tables import console, print_json

PAGE = 100
ROOT = "webhook_endpoints"

app = typer.Typer(
    help="Register receivers of webhooks, test them, and look at what was delivered.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, whe_...")]

Object = dict[str, Any]
T = TypeVar("T")


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """List the receivers that this key has registered, newest first."""
    endpoints = _run(lambda client: _pages(client, ROOT))
    if as_json:
        print_json({"endpoints": endpoints})
        return
    rows = [
        [
            one["id"],
            one["name"],
            one["url"],
            " ".join(one["event_types"]),
            _state(one),
            one.get("signing_secret_hint") or "",
        ]
        for one in endpoints
    ]
    if rows:
        _print_table(
            ("Id", "Name", "URL", "Events", "State", "Secret"), rows, folded=("Name", "URL", "Events", "State")
        )
    else:
        print("no receivers")


@app.command("create")
def create_endpoint(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send events: https.")],
    name: Annotated[str | None, typer.Option("--name", "-n", help="For people; its host unless given.")] = None,
    events: Annotated[
        list[str] | None,
        typer.Option("--event", "-e", metavar="TYPE", help="An event to send, again for each; else how jobs end."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a receiver and print its secret, this once."""
    body = {
        "url": url,
        "name": name or _host_of(url),
        "event_types": events or ["job.completed", "job.failed", "job.cancelled"],
    }
    _print_secret(_run(lambda client: _call(client, "POST", ROOT, body)), as_json=as_json)


@app.command("rotate")
def rotate_secret(
    endpoint: Endpoint,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Stop signing with the old secret now, not in 24 hours.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give a receiver a new secret and print it, this once. For a day, events are signed with the old one too."""
    body = {"keep_old_secret_active_for_24_hours": not at_once}
    rotated = _run(lambda client: _call(client, "POST", _path(endpoint, "rotate_secret"), body))
    _print_secret(rotated, as_json=as_json)


@app.command("test")
def test_endpoint(
    endpoint: Endpoint,
    event: Annotated[str, typer.Option("--event", "-e", metavar="TYPE", help="What to send.")] = "job.completed",
    as_json: AsJson = False,
) -> None:
    """Send a sample event and say what the receiver answered."""
    tested = _run(lambda client: _call(client, "POST", _path(endpoint, "test"), {"event_type": event}))
    if as_json:
        print_json(tested)
    else:
        print(f"{tested['event_type']}: the receiver answered {tested['status_code']}")


@app.command("enable")
def enable_endpoint(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """Send events to a receiver again."""
    _switch(endpoint, "enable", as_json=as_json)


@app.command("disable")
def disable_endpoint(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """Send a receiver nothing until it is enabled."""
    _switch(endpoint, "disable", as_json=as_json)


@app.command("deliveries")
def list_deliveries(
    endpoint: Endpoint,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the attempts to deliver to a receiver, newest first."""
    attempts = _run(lambda client: _pages(client, _path(endpoint, "deliveries"), limit=limit))
    if as_json:
        print_json({"deliveries": attempts})
        return
    rows = [
        [
            _clock(one["created_at"]),
            one["event_id"],
            one["event_type"],
            str(one["attempt"]),
            f"{one['duration_ms']} ms",
            _outcome(one),
        ]
        for one in attempts
    ]
    if rows:
        _print_table(("Time", "Event", "Type", "Attempt", "Took", "Outcome"), rows, folded=("Outcome",))
    else:
        print("no deliveries")


@app.command("redeliver")
def redeliver_event(
    endpoint: Endpoint,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Its id, evt_...")],
    as_json: AsJson = False,
) -> None:
    """Send an event of the last days again, under the id it had."""
    queued = _run(lambda client: _call(client, "POST", _path(endpoint, "deliveries", event, "redeliver")))
    if as_json:
        print_json(queued)
    else:
        print(f"{event}: on its way again")


@app.command("delete")
def delete_endpoint(endpoint: Endpoint, as_json: AsJson = False) -> None:
    """Forget a receiver. What is on its way to it is dropped."""
    deleted = _run(lambda client: _call(client, "DELETE", _path(endpoint)))
    if as_json:
        print_json(deleted)
    else:
        print(f"{endpoint}: deleted")


def _switch(endpoint: str, verb: str, *, as_json: bool) -> None:
    changed = _run(lambda client: _call(client, "POST", _path(endpoint, verb)))
    if as_json:
        print_json(changed)
    else:
        print(f"{endpoint}: {_state(changed)}")


def _run(work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]]) -> T:
    """Do `work` with a client of the platform. Leaves with exit code 1 and one line when that fails."""
    try:
        connection = find_connection(os.environ)
    except CommandFailed as error:
        fail(str(error))

    async def connected() -> T:
        async with connection.client() as client:
            return await work(client)

    try:
        return asyncio.run(connected())
    except CommandFailed as error:
        fail(str(error))
    except httpx.HTTPError as error:
        fail(describe_failure(error, connection.base_url))


async def _call(client: httpx.AsyncClient, method: str, path: str, body: Object | None = None) -> Object:
    response = await client.request(method, path, json=body)
    if response.status_code != httpx.codes.OK:
        raise CommandFailed(describe_refusal(response.status_code, response.content))
    answered: Object = response.json()
    return answered


async def _pages(client: httpx.AsyncClient, path: str, *, limit: int | None = None) -> list[Object]:
    found: list[Object] = []
    query = f"limit={PAGE if limit is None else min(limit, PAGE)}"
    after = ""
    while True:
        page = await _call(client, "GET", f"{path}?{query}{after}")
        found += page["data"]
        if not page["has_more"] or (limit is not None and len(found) >= limit):
            return found[:limit]
        after = f"&after={quote(page['last_id'], safe='')}"


def _path(*parts: str) -> str:
    return "/".join((ROOT, *(quote(part, safe="") for part in parts)))


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or url


def _state(endpoint: Object) -> str:
    reason = endpoint.get("disabled_reason")
    return f"{endpoint['status']}: {reason}" if reason else str(endpoint["status"])


def _outcome(attempt: Object) -> str:
    known = [str(one) for one in (attempt["status_code"], attempt["error"]) if one]
    return ": ".join([attempt["status"], *known])


def _clock(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print_secret(endpoint: Object, *, as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    print(f"{endpoint['id']}  {endpoint['url']}", file=sys.stderr)
    print(endpoint["signing_secret"])
    print("Keep the secret where the receiver finds it: it is not shown again.", file=sys.stderr)


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, folded: Sequence[str]) -> None:
    """Print a table. Ids and URLs are there to be copied: a narrow terminal folds columns, none is cut."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head not in folded)
    for row in rows:
        # What others wrote is no markup.
        table.add_row(*(Text(" ".join(cell.split())) for cell in row))
    console().print(table)
