"""`antiphon dead` on a real server."""

from __future__ import annotations

import pytest

from antiphon.schemas import WebhookTarget
from tests.eventually import eventually
from tests.integration.cli.conftest import Shop

pytestmark = pytest.mark.integration

OF_A_LETTER = {"id", "lane", "entry", "priority", "attempts", "error", "died_ms"}


async def bury(shop: Shop, *job_ids: str) -> None:
    async with shop.work():
        await shop.put(*job_ids)
        await eventually(lambda: shop.server.do("XLEN", "jobs:{transcribe}:dead") == len(job_ids))


async def test_a_dead_letter_is_listed_and_shown_with_its_job(shop: Shop) -> None:
    await bury(shop, "bad-1", "bad-2")
    listed = (await shop.command("dead", "list", "--json")).json
    assert listed["total"] == 2
    assert all(set(letter) == OF_A_LETTER for letter in listed["letters"])
    assert {letter["id"] for letter in listed["letters"]} == {"bad-1", "bad-2"}
    by_entry = await shop.command("dead", "show", listed["letters"][0]["entry"], "--json")
    shown = (await shop.command("dead", "show", listed["letters"][0]["id"], "--json")).json
    assert by_entry.json == shown
    assert shown["attempts"] == 2
    assert shown["fields"]["data"]["tenant"] == "acme"
    table = (await shop.command("dead", "list", COLUMNS="60")).stdout
    assert "the [model] of bad-1 is away" in table
    assert "the [model] of bad-1 is away" in (await shop.command("dead", "show", "bad-1")).stdout


async def test_a_secret_is_not_on_the_screen(shop: Shop) -> None:
    async with shop.work():
        await shop.put("bad-1", webhook=WebhookTarget(url="https://receiver.example/", secret="whsec_aHVzaA=="))
        await eventually(lambda: shop.server.do("XLEN", "jobs:{transcribe}:dead") == 1)
    for words in (["bad-1"], ["bad-1", "--json"]):
        shown = await shop.command("dead", "show", *words)
        assert shown.code == 0
        assert "receiver.example" in shown.stdout
        assert "whsec_" not in shown.stdout


async def test_a_letter_that_is_not_there_is_an_exit_code(shop: Shop) -> None:
    assert (await shop.command("dead", "list")).stdout == "no dead letters\n"
    shown = await shop.command("dead", "show", "nobody")
    assert (shown.code, shown.stderr) == (1, "antiphon: there is no dead letter nobody\n")


async def test_a_replayed_job_is_done_under_its_own_id(shop: Shop) -> None:
    await bury(shop, "bad-1", "bad-2")
    replayed = await shop.command("dead", "replay", "bad-1", "nobody", "--json")
    assert replayed.json == {"replayed": ["bad-1"], "ended": [], "missing": ["nobody"]}
    assert replayed.code == 1
    shop.mended = True
    async with shop.work():
        await eventually(lambda: b'"completed"' in (shop.server.do("GET", "result:{transcribe}:bad-1") or b""))
    left = (await shop.command("dead", "list", "--json")).json
    assert [letter["id"] for letter in left["letters"]] == ["bad-2"]


async def test_all_letters_of_a_lane_are_replayed_once_each(shop: Shop) -> None:
    names = [f"bad-{number}" for number in range(150)]
    await bury(shop, *names)
    assert (await shop.command("dead", "replay", "--all", "--lane", "translate", "--yes")).stdout == "0 put back\n"
    # The worker is there already, and the reason for the failures has not gone away.
    async with shop.work():
        replayed = await shop.command("dead", "replay", "--all", "--yes", "--json")
        assert sorted(replayed.json["replayed"]) == sorted(names)
        await eventually(lambda: shop.server.do("XLEN", "jobs:{transcribe}:dead") == len(names))


async def test_nothing_is_forgotten_without_a_word(shop: Shop) -> None:
    await bury(shop, "bad-1", "bad-2", "bad-3")
    for words in (["purge"], ["purge", "--all"], ["purge", "bad-1"], ["replay", "--all"], ["replay", "bad-1", "--all"]):
        assert (await shop.command("dead", *words)).code == 2
    assert (await shop.command("dead", "list", "--json")).json["total"] == 3

    one = await shop.command("dead", "purge", "bad-1", "nobody", "--yes", "--json")
    assert (one.code, one.json) == (1, {"purged": 1, "missing": ["nobody"]})
    assert (await shop.command("dead", "purge", "--all", "--yes")).stdout == "2 forgotten\n"
    assert (await shop.command("dead", "list", "--json")).json == {"letters": [], "total": 0}
