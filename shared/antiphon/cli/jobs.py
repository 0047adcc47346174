"""`antiphon jobs`: what is on the lanes now, and what became of a job."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.bus import Bus, JobView
from antiphon.cli.bus import on_bus
from antiphon.cli.dead import describe_letter, find_letter
from antiphon.cli.failure import fail
from antiphon.cli.options import AsJson, Lane, kinds_of
from antiphon.cli.tables import console, make_table, print_json, print_pairs, say_seconds

if TYPE_CHECKING:
    from antiphon.cli.dead import Found
    from antiphon.schemas import Kind, Outcome

SCANNED = 1_000_000
"""Jobs of a lane that are looked through for the ones that are asked for."""

app = typer.Typer(
    help="Look at the jobs that wait or run, and stop them.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class JobState(StrEnum):
    """What a job on a lane can be."""

    QUEUED = "queued"
    RUNNING = "running"
    DELAYED = "delayed"


JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]


@app.callback(invoke_without_command=True)
def list_by_default(context: typer.Context) -> None:
    """Look at the jobs that wait or run, and stop them. Without a command: list them."""
    if context.invoked_subcommand is None:
        list_jobs()


@app.command("list")
def list_jobs(
    lane: Lane = None,
    state: Annotated[JobState | None, typer.Option("--state", "-s", help="Only these.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant's.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="As many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the jobs that wait, run or are put aside for another attempt, lane by lane."""

    async def find(bus: Bus) -> list[JobView]:
        found: list[JobView] = []
        for kind in kinds_of(lane):
            async for job in bus.jobs(kind, limit=SCANNED):
                if (state is None or job.state == state) and tenant in {None, job.tenant}:
                    found.append(job)
                    if len(found) == limit:
                        return found
        return found

    found = on_bus(find)
    if as_json:
        print_json({"jobs": [describe_job(job) for job in found]})
        return
    if not found:
        print("no jobs")
        return
    heads = ("Lane", "Job", "State", "Priority", "Age", "Attempts", "Tenant", "Worker")
    rows = [
        (
            job.kind,
            job.job_id,
            job.state,
            job.priority,
            _say_age(job.age_s),
            str(job.attempts),
            job.tenant,
            job.worker or "",
        )
        for job in found
    ]
    console().print(make_table(heads, rows, numbers=("Age", "Attempts"), elastic="Worker"))


@app.command("show")
def show_job(job_id: JobId, lane: Lane = None, as_json: AsJson = False) -> None:
    """Show where a job is and how it ended. Exit code 1 when nothing is known of it."""
    known = on_bus(lambda bus: _look_up(bus, job_id, kinds_of(lane)))
    if known is None:
        fail(f"there is no job {job_id}: it was never here, or what is kept of it has run out")
    if as_json:
        print_json(known)
    else:
        _print_known(known)


@app.command("cancel")
def cancel_job(job_id: JobId, lane: Lane = None, as_json: AsJson = False) -> None:
    """Ask for a job to be stopped. Exit code 1 when it is on no lane."""

    async def cancel(bus: Bus) -> Kind | None:
        job = await _find_on_lane(bus, job_id, kinds_of(lane))
        if job is None:
            return None
        async with bus.caller() as caller:
            return job.kind if await caller.cancel(job.kind, job_id) else None

    kind = on_bus(cancel)
    if kind is None:
        fail(f"there is no job {job_id} that waits or runs")
    if as_json:
        print_json({"id": job_id, "lane": kind, "cancelled": True})
    else:
        print(f"{job_id}: its worker is told to stop it")


def describe_job(job: JobView) -> dict[str, Any]:
    """Return what `--json` prints of a job on a lane: how old it is, or when the next attempt is due."""
    delayed = job.state == "delayed"
    return {
        "id": job.job_id,
        "lane": job.kind,
        "state": job.state,
        "priority": job.priority,
        "tenant": job.tenant,
        "age_s": None if delayed else round(job.age_s, 3),
        "due_in_s": round(-job.age_s, 3) if delayed else None,
        "attempts": job.attempts,
        "worker": job.worker,
    }


async def _look_up(bus: Bus, job_id: str, kinds: tuple[Kind, ...]) -> dict[str, Any] | None:
    """Return all that is known: `id`, `lane`, `state`, and as far as there are any `job`, `outcome`, `dead`."""
    for kind in kinds:
        outcome = await bus.records.outcome(kind, job_id)
        found = await find_letter(bus, job_id, (kind,))
        if outcome is not None or found is not None:
            return {"id": job_id, "lane": kind, **_ended(outcome, found)}
    job = await _find_on_lane(bus, job_id, kinds)
    return None if job is None else describe_job(job)


async def _find_on_lane(bus: Bus, job_id: str, kinds: tuple[Kind, ...]) -> JobView | None:
    for kind in kinds:
        async for job in bus.jobs(kind, limit=SCANNED):
            if job.job_id == job_id:
                return job
    return None


def _ended(outcome: Outcome | None, found: Found | None) -> dict[str, Any]:
    ended: dict[str, Any] = {"state": outcome.status if outcome is not None else "failed"}
    if outcome is not None:
        ended["outcome"] = outcome.model_dump(mode="json", exclude={"id"})
    if found is not None:
        ended["dead"] = describe_letter(*found)
    return ended


def _print_known(known: dict[str, Any]) -> None:
    outcome = known.get("outcome") or {}
    error = outcome.get("error")
    print_pairs(
        {
            "job": known["id"],
            "lane": known["lane"],
            "state": known["state"],
            "priority": known.get("priority"),
            "tenant": known.get("tenant"),
            "age": say_seconds(known.get("age_s")),
            "due in": say_seconds(known.get("due_in_s")),
            "attempts": known.get("attempts", outcome.get("attempts")),
            "worker": known.get("worker") or outcome.get("worker"),
            "error": f"{error['message']} ({error['code']})" if error else None,
            # What was said is its owner's: not on the screen unless it is asked for.
            "result": "--json shows it" if outcome.get("result") else None,
            "dead letter": known["dead"]["entry"] if "dead" in known else None,
        }
    )


def _say_age(age_s: float) -> str:
    return say_seconds(age_s) if age_s >= 0 else f"due in {say_seconds(-age_s)}"
