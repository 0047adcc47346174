"""Tokens of an identity provider, at a door that listens, with an issuer that serves its keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from antiphon.errors import Unavailable
from antiphon.keys import Keys
from services.ingest.access.provider_keys import ProviderKeys
from services.ingest.access.settings import AccessSettings
from services.ingest.access.tokens import account_of
from tests.integration.ingest.conftest import Door, OpenDoor
from tests.integration.ingest.issuer import AUDIENCE, Issuer, issuing
from tests.integration.ingest.key_holders import client_of, holding
from tests.integration.ingest.realtime_client import dial, receive
from tests.integration.ingest.realtime_host import working

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as opened:
        yield opened


@pytest_asyncio.fixture
async def door(open_door: OpenDoor, issuer: Issuer) -> AsyncIterator[Door]:
    async with open_door(access=AccessSettings(oidc_issuer=issuer.url, oidc_audience=(AUDIENCE,))) as opened:
        yield opened


async def answer_to(door: Door, token: str) -> httpx.Response:
    async with client_of(door, token) as client:
        return await client.get("/v1/models")


async def test_tokens_are_let_in_by_the_keys_that_the_issuer_publishes(door: Door, issuer: Issuer) -> None:
    for token in (issuer.token("k1"), issuer.token("k1", algorithm="PS256"), issuer.token("k2")):
        assert (await answer_to(door, token)).status_code == 200
    assert issuer.asked == ["discovery", "keys"]
    # Keys still are keys.
    assert (await door.client.get("/v1/models")).status_code == 200
    async with holding(door) as holder:
        assert (await holder.client.get("/v1/models")).status_code == 200


async def test_official_clients_come_with_tokens(door: Door, issuer: Issuer) -> None:
    root = str(door.client.base_url).rstrip("/")
    given = [issuer.token("k1"), issuer.token("k2")]
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=root,
        azure_ad_token_provider=lambda: given.pop(0),
        api_version="2024-10-21",
        max_retries=0,
    ) as azure:
        for _ in range(2):
            assert [model.id async for model in azure.models.list()]
    assert not given, "each request asked for a token"
    async with openai.AsyncOpenAI(base_url=f"{root}/v1", api_key=issuer.token(), max_retries=0) as client:
        assert [model.id async for model in client.models.list()]
    expired = issuer.token(exp=int(time.time()) - 3600)
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=root, azure_ad_token=expired, api_version="2024-10-21", max_retries=0
    ) as azure:
        with pytest.raises(openai.AuthenticationError, match="expired"):
            await azure.models.list()


async def test_a_socket_opens_with_a_token(door: Door, issuer: Issuer) -> None:
    async with working(door.bus) as worker:
        async with dial(door, headers={"authorization": f"Bearer {issuer.token()}"}) as socket:
            assert (await receive(socket))["type"] == "session.created"
        assert (await worker.one()).job.tenant == "oidc-tenant-1"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "'exp'"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"aud": "api://another"}, "another audience"),
        ({"iss": "https://another.example"}, "another issuer"),
        ({"tid": None, "sub": None}, "'sub'"),
    ],
)
async def test_a_token_that_is_not_good_is_refused_with_the_reason(
    door: Door, issuer: Issuer, claims: dict[str, Any], said: str
) -> None:
    answer = await answer_to(door, issuer.token(**claims))
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (401, "invalid_request_error", "invalid_token")
    assert said in error["message"]


async def test_clocks_may_differ_a_little(door: Door, issuer: Issuer) -> None:
    assert (await answer_to(door, issuer.token(exp=int(time.time()) - 30))).status_code == 200


async def test_forged_tokens_are_refused(door: Door, issuer: Issuer) -> None:
    head, body, signature = issuer.token().split(".")

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")

    claims = orjson.loads(base64.urlsafe_b64decode(body + "=="))
    raised = part({**claims, "tid": "victim"})
    # The public key, taken for a secret that both sides know.
    public = issuer.keys["k1"].public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    symmetric = part({"alg": "HS256", "kid": "k1", "typ": "JWT"})
    mac = hmac.new(secret, f"{symmetric}.{raised}".encode(), hashlib.sha256).digest()
    issuer.add_key("stolen", publish=False)
    for forged in (
        f"{head}.{raised}.{signature}",
        f"{part({'alg': 'none', 'kid': 'k1'})}.{raised}.AA",
        f"{symmetric}.{raised}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
        f"{part({'alg': 'RS256', 'kid': 'k2'})}.{raised}.{signature}",
        f"{part({'alg': 'RS256', 'kid': ['k1']})}.{raised}.{signature}",
        issuer.token("stolen"),
        "eyJhbGciOiJSUzI1NiJ9.e30.AA",
    ):
        answer = await answer_to(door, forged)
        assert answer.status_code == 401, forged
        assert answer.json()["error"]["code"] == "invalid_token"


async def test_tenants_of_tokens_are_apart_from_each_other_and_from_those_of_keys(door: Door, issuer: Issuer) -> None:
    job = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}
    async with (
        client_of(door, issuer.token(tid="acme")) as acme,
        client_of(door, issuer.token(tid="acme", sub="another")) as colleague,
        client_of(door, issuer.token(tid="other")) as other,
        holding(door, tenant="acme") as holder,
    ):
        made = (await acme.post("/v1/jobs", json=job)).json()
        statuses = [
            (await client.get(f"/v1/jobs/{made['id']}")).status_code for client in (colleague, other, holder.client)
        ]
        assert statuses == [200, 404, 404]


async def test_a_scope_or_role_may_be_required(open_door: OpenDoor, issuer: Issuer) -> None:
    access = AccessSettings(oidc_issuer=issuer.url, oidc_audience=(AUDIENCE,), oidc_require=("Audio.Use", "admin"))
    async with open_door(access=access) as door:
        for claims in ({"scp": "openid Audio.Use"}, {"roles": ["admin"]}, {"scope": "admin"}):
            assert (await answer_to(door, issuer.token(**claims))).status_code == 200
        answer = await answer_to(door, issuer.token(scp="openid"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_permissions")
        assert "Audio.Use" in answer.json()["error"]["message"]


async def test_limits_of_a_key_hold_for_each_tenant_of_tokens(open_door: OpenDoor, issuer: Issuer) -> None:
    async with open_door() as first, holding(first, rpm=2, models=("whisper-1",), name="tokens") as profile:
        access = AccessSettings(oidc_issuer=issuer.url, oidc_audience=(AUDIENCE,), oidc_limits_key=profile.record.id)
        async with open_door(access=access) as door:
            statuses = [(await answer_to(door, issuer.token(sub=f"u{n}"))).status_code for n in range(3)]
            assert statuses == [200, 200, 429]
            answer = await answer_to(door, issuer.token(tid="tenant-2"))
            assert (answer.status_code, answer.headers["x-ratelimit-remaining-requests"]) == (200, "1")
            assert [model["id"] for model in answer.json()["data"]] == ["whisper-1"]
            account = account_of(profile.record.id, "oidc-tenant-2")
            standing = await door.bus.allowances.look(account, profile.record.limits)
            assert standing.requests is not None
            assert standing.requests.remaining < 2
            await Keys(door.bus).revoke(profile.record.id)
        async with open_door(access=access) as door:
            assert (await answer_to(door, issuer.token(tid="tenant-3"))).status_code == 403


async def test_new_keys_are_fetched_old_ones_serve_while_the_issuer_is_away_and_made_up_ones_fetch_nothing(
    issuer: Issuer,
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        keys = ProviderKeys(client, issuer=issuer.url, url=None, ttl_s=0.2, pause_s=0.1)
        found = await asyncio.gather(*(keys.find("k1") for _ in range(20)))
        assert all(found)
        assert issuer.asked == ["discovery", "keys"], "one fetch, however many ask"
        for number in range(50):
            assert await keys.find(f"made-up-{number}") is None
        assert len(issuer.asked) <= 4
        issuer.add_key("k3")
        issuer.published.remove("k1")
        await asyncio.sleep(0.1)
        assert await keys.find("k3") is not None
        await asyncio.sleep(0.2)
        assert await keys.find("k1") is None, "what is published no longer is no longer good"
        issuer.away = True
        await asyncio.sleep(0.3)
        assert await keys.find("k3") is not None


async def test_nobody_is_called_a_stranger_because_the_issuer_is_away(door: Door, issuer: Issuer) -> None:
    issuer.away = True
    answer = await answer_to(door, issuer.token())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert answer.headers["retry-after"]
    assert (await door.client.get("/v1/models")).status_code == 200


async def test_a_discovery_document_of_somebody_else_is_not_believed(issuer: Issuer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        keys = ProviderKeys(client, issuer=f"{issuer.url}/", url=None, ttl_s=60)
        with pytest.raises(Unavailable, match="cannot be reached"):
            await keys.find("k1")
        assert issuer.asked == ["discovery"]


def test_settings_that_let_too_many_in_are_refused() -> None:
    with pytest.raises(ValueError, match="AUDIENCE"):
        AccessSettings(oidc_issuer="https://login.example")
    with pytest.raises(ValueError, match="https"):
        AccessSettings(oidc_issuer="http://login.example", oidc_audience=("a",))
