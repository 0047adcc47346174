"""`antiphon lanes` and `antiphon jobs` on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from antiphon.supervisor.state import Address, StateFolder
from tests.eventually import eventually
from tests.integration.cli.conftest import Shop

pytestmark = pytest.mark.integration

OF_A_LANE = {
    "lane",
    "workers",
    "slots",
    "busy",
    "rate",
    "backlog",
    "pending",
    "delayed",
    "dead",
    "oldest_s",
    "estimate_s",
}
OF_A_JOB = {"id", "lane", "state", "priority", "tenant", "age_s", "due_in_s", "attempts", "worker"}


async def states(shop: Shop, *words: str) -> dict[str, str]:
    listed = await shop.command("jobs", "list", "--json", *words)
    assert listed.code == 0, listed.stderr
    return {job["id"]: job["state"] for job in listed.json["jobs"]}


async def hold(shop: Shop) -> None:
    """Put jobs in every state on the lane: two slots hold, three jobs wait behind them, one is put off."""
    await shop.put("later-1")
    await eventually(lambda: shop.server.do("ZCARD", "jobs:{transcribe}:delayed") == 1)
    await shop.put("hold-1", "hold-2")
    await shop.put("hold-3", "hold-4", tenant="other")
    await shop.put("hold-5")
    await eventually(lambda: shop.server.describe("XINFO", "GROUPS", "jobs:{transcribe}:std")[0]["lag"] == 3)


async def test_a_lane_says_how_late_it_is_and_who_works_on_it(shop: Shop) -> None:
    async with shop.work():
        await hold(shop)
        said = await shop.command("lanes", "--json")
        assert said.code == 0
        assert all(set(lane) == OF_A_LANE for lane in said.json["lanes"])
        lane = next(lane for lane in said.json["lanes"] if lane["lane"] == "transcribe")
        assert (lane["workers"], lane["slots"]) == (1, 2)
        assert lane["backlog"] == {"hi": 0, "std": 3, "bulk": 0}
        assert (lane["pending"], lane["delayed"], lane["dead"]) == (2, 1, 0)
        assert lane["oldest_s"] >= 0
        table = (await shop.command("lanes")).stdout.splitlines()
        assert table[0].split()[:3] == ["Lane", "Workers", "Busy"]
        shown = ["transcribe", "translate", "synthesize", "respond", "realtime", "webhook"]
        assert [line.split()[0] for line in table[1:]] == shown
        shop.release.set()


async def test_a_lane_that_nobody_works_on_says_so(shop: Shop) -> None:
    await shop.put("one")
    transcribe = (await shop.command("lanes")).stdout.splitlines()[1]
    assert transcribe.endswith("no worker")


async def test_watching_goes_on_until_it_is_stopped(shop: Shop) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "antiphon.cli", "lanes", "--watch", "--every", "0.1", "--json"),
        env=os.environ | {"REDIS_URL": shop.server.url},
        stdout=asyncio.subprocess.PIPE,
        # Who runs the tests in the background ignores it, and so would this process.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        for _ in range(3):
            assert json.loads(await process.stdout.readline())["lanes"]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_jobs_are_listed_by_state_tenant_and_lane(shop: Shop) -> None:
    async with shop.work():
        await hold(shop)
        everything = await states(shop)
        assert everything == {
            "hold-1": "running",
            "hold-2": "running",
            "hold-3": "queued",
            "hold-4": "queued",
            "hold-5": "queued",
            "later-1": "delayed",
        }
        assert set(await states(shop, "--state", "queued")) == {"hold-3", "hold-4", "hold-5"}
        assert set(await states(shop, "--tenant", "other")) == {"hold-3", "hold-4"}
        assert list(await states(shop, "--state", "queued", "--limit", "1")) == ["hold-3"]
        assert await states(shop, "--lane", "synthesize") == {}
        shop.release.set()


async def test_without_a_word_jobs_are_listed(shop: Shop) -> None:
    assert (await shop.command("jobs")).stdout == "no jobs\n"
    await shop.put("one")
    assert (await shop.command("jobs")).stdout.splitlines()[1].split()[:3] == ["transcribe", "one", "queued"]


async def test_a_job_is_found_wherever_it_is(shop: Shop) -> None:
    async with shop.work():
        await shop.put("good-1", "bad-1")
        await eventually(lambda: shop.server.do("EXISTS", "result:{transcribe}:bad-1"))
        await hold(shop)
        for job_id, state in {"hold-1": "running", "hold-3": "queued", "later-1": "delayed"}.items():
            known = (await shop.command("jobs", "show", job_id, "--json")).json
            assert set(known) == OF_A_JOB
            assert known["state"] == state
        good = (await shop.command("jobs", "show", "good-1", "--json")).json
        assert (good["state"], good["outcome"]["result"]) == ("completed", {"text": "done"})
        bad = (await shop.command("jobs", "show", "bad-1", "--json")).json
        assert (bad["state"], bad["outcome"]["attempts"], bad["dead"]["attempts"]) == ("failed", 2, 2)
        nothing = await shop.command("jobs", "show", "nobody")
        assert (nothing.code, nothing.stdout) == (1, "")
        assert nothing.stderr == (
            "antiphon: there is no job nobody: it was never here, or what is kept of it has run out\n"
        )
        shop.release.set()


async def test_what_was_said_is_not_on_the_screen_unless_it_is_asked_for(shop: Shop) -> None:
    async with shop.work():
        await shop.put("good-1")
        await eventually(lambda: shop.server.do("EXISTS", "result:{transcribe}:good-1"))
    shown = (await shop.command("jobs", "show", "good-1")).stdout
    assert "completed" in shown
    assert "done" not in shown


async def test_a_job_is_cancelled(shop: Shop) -> None:
    async with shop.work():
        await hold(shop)
        cancelled = await shop.command("jobs", "cancel", "hold-4", "--json")
        assert cancelled.json == {"id": "hold-4", "lane": "transcribe", "cancelled": True}
        shop.release.set()
        ended = await eventually(lambda: shop.server.do("GET", "result:{transcribe}:hold-4"))
        assert json.loads(ended)["status"] == "cancelled"
        again = await shop.command("jobs", "cancel", "hold-4")
        assert (again.code, again.stderr) == (1, "antiphon: there is no job hold-4 that waits or runs\n")


async def test_long_names_are_whole_in_a_pipe(shop: Shop) -> None:
    name = "x" * 128
    await shop.put(name)
    assert name in (await shop.command("jobs", "list", COLUMNS="80")).stdout


async def test_the_bus_of_the_running_platform_is_found_without_a_setting(shop: Shop, tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_address(Address("http://127.0.0.1:1/v1", os.getpid(), shop.server.url))
    said = await shop.command("lanes", REDIS_URL="", ANTIPHON_STATE_DIR=str(tmp_path))
    assert said.code == 0, said.stderr


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "no platform is running here: start one with `antiphon up`, or set REDIS_URL"),
        ("unix:///nowhere/s", "no server answers at unix:///nowhere/s: start the platform with `antiphon up`, or "),
        ("redis://:hush@127.0.0.1:1/0", "no server answers at redis://127.0.0.1:1/0: start the platform with "),
        (
            "nonsense",
            "REDIS_URL: nonsense is not a URL of redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://",
        ),
    ],
)
async def test_without_a_bus_a_command_says_so_in_one_line(shop: Shop, url: str, told: str) -> None:
    said = await shop.command("lanes", REDIS_URL=url)
    assert (said.code, said.stdout) == (1, "")
    assert said.stderr.startswith(f"antiphon: {told}")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["jobs", "list", "--lane", "dreams"], ["jobs", "list", "--limit", "0"], ["jobs", "show"], ["jobs", "sell"]],
)
async def test_a_command_that_makes_no_sense_is_a_usage_error(shop: Shop, words: list[str]) -> None:
    assert (await shop.command(*words)).code == 2
