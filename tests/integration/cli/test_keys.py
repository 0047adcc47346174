"""`antiphon keys` on a real server."""

from __future__ import annotations

import pytest

from antiphon.bus import Limits
from antiphon.keys import KeyRecord, Keys, digest_of, is_key
from tests.integration.cli.conftest import Shop

pytestmark = pytest.mark.integration


async def found(shop: Shop, key: str) -> KeyRecord | None:
    return await Keys(shop.bus).find(digest_of(key))


async def test_a_key_is_made_with_its_terms_and_shown_once(shop: Shop) -> None:
    said = await shop.command(
        "keys", "create", "--name", "ci", "--tenant", "acme", "--rpm", "60", "--audio-seconds", "600",
        "--concurrency", "8", "--priority", "std", "--models", "whisper-1, gpt-4o-*", "--expires", "90d",
    )  # fmt: skip
    assert said.code == 0, said.stderr
    key = said.stdout.strip()
    assert is_key(key)
    assert "shown this once" in said.stderr
    record = await found(shop, key)
    assert record is not None
    assert (record.name, record.tenant, record.priority) == ("ci", "acme", "std")
    assert record.limits == Limits(requests_per_minute=60, audio_seconds_per_minute=600, concurrency=8)
    assert record.models == ("whisper-1", "gpt-4o-*")
    assert record.expires_at == record.created_at + 90 * 86_400
    listed = await shop.command("keys", "list")
    assert all(word in listed.stdout for word in (record.id, "acme", "60", "600", "std", "whisper-1,gpt-4o-*", "never"))
    shown = (await shop.command("keys", "show", "ci", "--json")).json
    assert shown["left"] == {"requests": 60, "audio_seconds": 600, "running": 0}
    assert key not in listed.stdout + str(shown)
    as_text = (await shop.command("keys", "show", record.id)).stdout
    assert "limit requests_per_minute" in as_text
    assert "UTC" in as_text


async def test_a_key_without_terms_is_a_tenant_of_its_own_without_limits(shop: Shop) -> None:
    made = (await shop.command("keys", "create", "--name", "free", "--json")).json
    record = await found(shop, made["key"])
    assert record is not None
    assert (record.tenant, record.limits, record.models, record.priority) == (record.id, Limits(), (), "hi")


async def test_a_key_is_changed_rotated_and_revoked(shop: Shop) -> None:
    first = (await shop.command("keys", "create", "--name", "ci", "--rpm", "60", "--concurrency", "2")).stdout.strip()
    changed = await shop.command("keys", "update", "ci", "--rpm", "none", "--audio-seconds", "30", "--models", "tts-1")
    assert changed.code == 0, changed.stderr
    record = await found(shop, first)
    assert record is not None
    assert record.limits == Limits(audio_seconds_per_minute=30, concurrency=2)
    assert record.models == ("tts-1",)
    assert (await shop.command("keys", "update", "ci", "--models", "*")).code == 0

    second = (await shop.command("keys", "rotate", "ci", "--grace", "1h")).stdout.strip()
    now_s = shop.bus.now_ms() / 1000
    record = await found(shop, second)
    assert record is not None
    assert record.models == ()
    assert record.opens(digest_of(first), now_s)
    assert not record.opens(digest_of(first), now_s + 3700)
    third = (await shop.command("keys", "rotate", "ci", "--grace", "0")).stdout.strip()
    assert await found(shop, first) is None
    assert await found(shop, second) is None

    asked = await shop.command("keys", "revoke", "ci")
    assert asked.code == 2
    assert "--yes" in asked.stderr
    assert (await shop.command("keys", "revoke", "ci", "--yes")).code == 0
    assert await found(shop, third) is None
    assert record.id not in (await shop.command("keys", "list")).stdout
    (left,) = (await shop.command("keys", "list", "--all", "--json")).json["keys"]
    assert (left["id"], left["state"]) == (record.id, "revoked")
    assert (await shop.command("keys", "rotate", record.id)).code == 1


async def test_what_cannot_be_is_said_in_one_line(shop: Shop) -> None:
    for words in (
        ("create", "--name", "a", "--rpm", "0"),
        ("create", "--name", "a", "--rpm", "many"),
        ("create", "--name", "a", "--expires", "soon"),
        ("create", "--name", "a", "--tenant", "a{b}"),
        ("create", "--name", " "),
        ("create",),
        ("show", "nobody"),
        ("rotate", "nobody"),
    ):
        said = await shop.command("keys", *words)
        assert said.code in (1, 2), words
        assert "Traceback" not in said.stderr
    await shop.command("keys", "create", "--name", "twin")
    await shop.command("keys", "create", "--name", "twin")
    assert "2 keys" in (await shop.command("keys", "show", "twin")).stderr
