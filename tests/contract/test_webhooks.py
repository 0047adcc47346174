"""`/webhook_endpoints` through the official client, and what arrives at a receiver."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import openai
import pytest
from typer.testing import CliRunner, Result

from antiphon.cli.webhooks import app
from tests.contract.conftest import Served
from tests.contract.receiver import Received, Receiver, receiving

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120)]

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"
JOB_EVENTS = ["job.completed", "job.failed", "job.cancelled", "job.progress"]
PUBLIC = "https://example.com/hook"
OTHER_SECRET = "whsec_" + "A" * 43 + "="
BROKEN = b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\0" * 64


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_endpoint_outlives_its_test(http: httpx.Client, other_http: httpx.Client) -> Iterator[None]:
    yield
    for client in (http, other_http):
        for endpoint in client.get("/v1/webhook_endpoints?limit=100").raise_for_status().json()["data"]:
            client.delete(f"/v1/webhook_endpoints/{endpoint['id']}").raise_for_status()


def create(client: openai.OpenAI, url: str, *event_types: str) -> Any:
    # The client's types name the hosted service's events alone.
    wanted = cast("Any", list(event_types) or ["job.completed", "job.failed"])
    return client.webhooks.create(name="mine", url=url, event_types=wanted)


def verify(received: Received, secret: str) -> Any:
    with openai.OpenAI(api_key="unused", webhook_secret=secret) as client:
        return client.webhooks.unwrap(received.body, received.headers)


def transcribe(http: httpx.Client, audio: bytes) -> str:
    """Post a job and return its id."""
    fields = {"kind": "transcribe", "model": "whisper-1", "language": "en"}
    reply = http.post("/v1/jobs", data=fields, files={"file": ("a.wav", audio)})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def test_an_endpoint_is_what_the_client_expects(client: openai.OpenAI) -> None:
    created = create(client, PUBLIC, "job.completed", "job.failed")
    assert re.fullmatch(r"whe_[0-9a-f]{32}", created.id)
    assert (created.object, created.name, created.url) == ("webhook_endpoint", "mine", PUBLIC)
    assert created.event_types == ["job.completed", "job.failed"]
    assert created.signing_secret.startswith("whsec_")
    assert created.signing_secret_hint == "********" + created.signing_secret[-4:]
    assert created.created_at == created.updated_at
    found = client.webhooks.retrieve(created.id)
    assert found.model_dump() == {
        name: value for name, value in created.model_dump().items() if name != "signing_secret"
    }
    assert (found.model_extra or {}) == {"status": "enabled", "disabled_reason": None}
    changed = client.webhooks.update(created.id, name="yours", event_types=cast("Any", ["job.cancelled"]))
    assert (changed.name, changed.url, changed.event_types) == ("yours", PUBLIC, ["job.cancelled"])
    deleted = client.webhooks.delete(created.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (created.id, "webhook_endpoint.deleted", True)
    with pytest.raises(openai.NotFoundError):
        client.webhooks.retrieve(created.id)
    assert sorted(client.webhooks.event_types.list().data) == sorted(JOB_EVENTS)


def test_lists_are_paged_newest_first(client: openai.OpenAI, http: httpx.Client) -> None:
    created = {create(client, PUBLIC).id for _ in range(5)}
    listed = [endpoint.id for endpoint in client.webhooks.list(limit=2)]
    assert len(listed) == 5
    assert set(listed) == created
    page = http.get("/v1/webhook_endpoints?limit=2").json()
    assert [one["id"] for one in page.pop("data")] == listed[:2]
    assert page == {"object": "list", "first_id": listed[0], "last_id": listed[1], "has_more": True}
    rest = http.get(f"/v1/webhook_endpoints?limit=4&after={listed[0]}").json()
    assert [one["id"] for one in rest["data"]] == listed[1:]
    assert rest["has_more"] is False


def test_azure_knows_the_same_endpoints_by_another_name(client: openai.OpenAI, http: httpx.Client) -> None:
    created = create(client, PUBLIC)
    for base, name in (("/openai/v1", "webhook_endpoint"), ("/openai/v1/dashboard", "webhook.endpoint")):
        found = http.get(f"{base}/webhook_endpoints/{created.id}").json()
        assert (found["id"], found["object"]) == (created.id, name)
        assert http.get(f"{base}/webhook_event_types").json() == {"object": "list", "data": JOB_EVENTS}
    deleted = http.delete(f"/openai/v1/dashboard/webhook_endpoints/{created.id}").json()
    assert deleted == {"id": created.id, "object": "webhook.endpoint.deleted", "deleted": True}


def test_an_endpoint_is_its_tenants_alone(
    client: openai.OpenAI, other_client: openai.OpenAI, other_http: httpx.Client
) -> None:
    created = create(client, PUBLIC)
    assert list(other_client.webhooks.list()) == []
    path = f"/v1/webhook_endpoints/{created.id}"
    for method, at in (
        ("GET", path),
        ("POST", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate_secret"),
        ("POST", f"{path}/test"),
        ("POST", f"{path}/enable"),
        ("POST", f"{path}/disable"),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/evt_{'0' * 32}/redeliver"),
    ):
        reply = other_http.request(method, at, json={} if method == "POST" else None)
        assert reply.status_code == 404, (method, at, reply.text)
        assert reply.json()["error"]["type"] == "invalid_request_error"
    assert client.webhooks.retrieve(created.id).url == PUBLIC


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"name": "n", "url": PUBLIC}, "missing_required_parameter", "event_types"),
        ({"name": "n", "event_types": JOB_EVENTS}, "missing_required_parameter", "url"),
        ({"url": PUBLIC, "event_types": JOB_EVENTS}, "missing_required_parameter", "name"),
        ({"name": "n", "url": PUBLIC, "event_types": ["video.completed"]}, "invalid_value", "event_types[0]"),
        ({"name": "n", "url": PUBLIC, "event_types": []}, "invalid_value", "event_types"),
        ({"name": "n", "url": PUBLIC, "event_types": JOB_EVENTS, "secret": "s"}, "unknown_parameter", "secret"),
        ({"name": "n", "url": "ftp://example.com", "event_types": JOB_EVENTS}, "invalid_value", "url"),
        ({"name": "n", "url": "https://169.254.169.254/", "event_types": JOB_EVENTS}, "invalid_value", "url"),
        ({"name": "n", "url": "https://me:pw@example.com/", "event_types": JOB_EVENTS}, "invalid_value", "url"),
    ],
)
def test_a_wrong_endpoint_is_refused_in_the_apis_words(
    http: httpx.Client, body: dict[str, Any], code: str, param: str
) -> None:
    reply = http.post("/v1/webhook_endpoints", json=body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert http.get("/v1/webhook_endpoints").json()["data"] == []


def test_a_wrong_request_about_an_endpoint_is_refused_in_the_apis_words(
    client: openai.OpenAI, http: httpx.Client
) -> None:
    path = f"/v1/webhook_endpoints/{create(client, PUBLIC).id}"
    for method, at, content, status, param in (
        ("POST", f"{path}/test", b"{}", 400, "event_type"),
        ("POST", f"{path}/test", b'{"event_type": "job.begun"}', 400, "event_type"),
        ("POST", f"{path}/rotate_secret", b'{"keep": true}', 400, "keep"),
        ("POST", path, b'{"url": "https://10.0.0.1/"}', 400, "url"),
        ("POST", path, b"{", 400, None),
        ("POST", path, b"[]", 400, None),
        ("GET", f"{path}/deliveries?after=x", None, 400, "after"),
        ("GET", f"{path}/deliveries?limit=0", None, 400, "limit"),
        ("GET", "/v1/webhook_endpoints?after=whe_0", None, 400, "after"),
        ("POST", f"{path}/deliveries/evt_0/redeliver", None, 404, "event_id"),
        ("PUT", path, b"{}", 405, None),
    ):
        reply = http.request(method, at, content=content, headers={"content-type": "application/json"})
        assert reply.status_code == status, (method, at, content, reply.text)
        assert reply.json()["error"]["param"] == param
    typed = http.post(path, content=b"name=x", headers={"content-type": "application/x-www-form-urlencoded"})
    assert typed.status_code == 415


def test_a_test_tells_what_the_receiver_answered(client: openai.OpenAI, receiver: Receiver) -> None:
    created = create(client, receiver.url, "job.completed")
    for event_type, status in (("job.completed", 200), ("job.failed", 204), ("job.progress", 503)):
        receiver.status = status
        result = client.webhooks.test(created.id, event_type=cast("Any", event_type))
        assert (result.object, result.webhook_endpoint_id) == ("webhook_endpoint.test", created.id)
        assert (result.event_type, result.status_code, result.success) == (event_type, status, True)
    # One attempt each, whatever the answer.
    sent = receiver.requests
    assert [received.event["type"] for received in sent] == ["job.completed", "job.failed", "job.progress"]
    assert verify(sent[0], created.signing_secret).id == sent[0].event_id
    assert sent[0].event["data"]["metadata"] == {"test": "true"}


def test_a_test_of_a_receiver_that_is_not_there_says_so(client: openai.OpenAI) -> None:
    with receiving() as gone:
        url = gone.url
    created = create(client, url)
    with pytest.raises(openai.BadRequestError) as raised:
        client.webhooks.test(created.id, event_type=cast("Any", "job.completed"))
    assert raised.value.param == "url"


def test_the_end_of_a_job_is_told_and_signed(
    client: openai.OpenAI, http: httpx.Client, receiver: Receiver, clips: Path
) -> None:
    created = create(client, receiver.url)
    job_id = transcribe(http, (clips / "en/quick_brown_fox.wav").read_bytes())
    (received,) = receiver.wait()
    event = verify(received, created.signing_secret)
    assert (event.object, event.type) == ("event", "job.completed")
    assert event.id == received.event_id
    data = received.event["data"]
    assert (data["id"], data["status"], data["kind"]) == (job_id, "completed", "transcribe")
    assert "fox" in data["result"]["text"]
    assert received.headers["content-type"] == "application/json"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        verify(received, OTHER_SECRET)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        verify(Received(received.headers, received.body.replace(b"completed", b"cancelled")), created.signing_secret)


def test_after_a_rotation_both_secrets_verify(client: openai.OpenAI, receiver: Receiver) -> None:
    created = create(client, receiver.url)
    rotated = client.webhooks.rotate_secret(created.id)
    assert rotated.signing_secret != created.signing_secret
    assert rotated.signing_secret_hint == "********" + rotated.signing_secret[-4:]
    client.webhooks.test(created.id, event_type=cast("Any", "job.completed"))
    for secret in (created.signing_secret, rotated.signing_secret):
        assert verify(receiver.requests[-1], secret)
    given_up = client.webhooks.rotate_secret(created.id, keep_old_secret_active_for_24_hours=False)
    client.webhooks.test(created.id, event_type=cast("Any", "job.completed"))
    assert verify(receiver.requests[-1], given_up.signing_secret)
    for secret in (created.signing_secret, rotated.signing_secret):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            verify(receiver.requests[-1], secret)


def test_an_event_is_sent_again_under_its_id(client: openai.OpenAI, http: httpx.Client, receiver: Receiver) -> None:
    path = f"/v1/webhook_endpoints/{create(client, receiver.url).id}/deliveries"
    job_id = transcribe(http, BROKEN)
    (first,) = receiver.wait()
    queued = http.post(f"{path}/{first.event_id}/redeliver").raise_for_status().json()
    assert (queued["object"], queued["event_id"]) == ("webhook_endpoint.redelivery", first.event_id)
    _, second = receiver.wait(2)
    assert (second.event_id, second.body) == (first.event_id, first.body)
    page = await_log(http, path, 2)
    assert [entry["event_id"] for entry in page["data"]] == [first.event_id] * 2
    newest = page["data"][0]
    assert (newest["status"], newest["status_code"], newest["attempt"]) == ("delivered", 200, 1)
    assert (newest["delivery_id"], newest["subject"]) == (queued["delivery_id"], job_id)
    assert newest["object"] == "webhook_endpoint.delivery"
    assert newest["body"] == first.body.decode()
    half = http.get(f"{path}?limit=1").json()
    assert (half["has_more"], half["data"]) == (True, page["data"][:1])
    rest = http.get(f"{path}?limit=1&after={half['last_id']}").json()
    assert (rest["has_more"], rest["data"]) == (False, page["data"][1:])


def test_a_disabled_endpoint_is_told_nothing(client: openai.OpenAI, http: httpx.Client, receiver: Receiver) -> None:
    with receiving() as witness:
        silent = create(client, receiver.url)
        create(client, witness.url)
        path = f"/v1/webhook_endpoints/{silent.id}"
        disabled = http.post(f"{path}/disable").raise_for_status().json()
        assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "disabled by its owner")
        transcribe(http, BROKEN)
        witness.wait()
        refused = http.post(f"{path}/deliveries/{witness.requests[0].event_id}/redeliver")
        assert refused.status_code == 400
        enabled = http.post(f"{path}/enable").raise_for_status().json()
        assert (enabled["status"], enabled["disabled_reason"]) == ("enabled", None)
        job_id = transcribe(http, BROKEN)
        (received,) = receiver.wait()
        assert received.event["data"]["id"] == job_id


def test_the_code_in_the_documentation_verifies(client: openai.OpenAI, receiver: Receiver) -> None:
    created = create(client, receiver.url)
    client.webhooks.test(created.id, event_type=cast("Any", "job.completed"))
    (received,) = receiver.requests
    (code,) = re.findall(r"```python\n(import base64[^`]*)```", DOCS.read_text(encoding="utf-8"))
    documented: dict[str, Any] = {}
    exec(code, documented)
    assert documented["verify"](received.body, received.headers, created.signing_secret)
    assert not documented["verify"](received.body, received.headers, OTHER_SECRET)
    assert not documented["verify"](received.body + b" ", received.headers, created.signing_secret)
    late = received.headers | {"webhook-timestamp": "1700000000"}
    assert not documented["verify"](received.body, late, created.signing_secret)


def test_the_command_does_the_same(platform: Served, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_BASE_URL", platform.base_url)
    monkeypatch.setenv("ANTIPHON_API_KEY", platform.api_key)
    created = answered("create", receiver.url, "--name", "from the shell")
    assert created["signing_secret"].startswith("whsec_")
    assert created["event_types"] == ["job.completed", "job.failed", "job.cancelled"]
    endpoint = created["id"]
    (listed,) = answered("list")["endpoints"]
    assert (listed["id"], listed["name"]) == (endpoint, "from the shell")
    assert answered("test", endpoint)["status_code"] == 200
    assert verify(receiver.requests[0], created["signing_secret"])
    (attempt,) = answered("deliveries", endpoint)["deliveries"]
    assert attempt["event_id"] == receiver.requests[0].event_id
    assert answered("redeliver", endpoint, attempt["event_id"])["event_id"] == attempt["event_id"]
    assert receiver.wait(2)[1].event_id == attempt["event_id"]
    assert answered("disable", endpoint)["status"] == "disabled"
    assert answered("enable", endpoint)["status"] == "enabled"
    rotated = command("rotate", endpoint)
    assert re.fullmatch(r"whsec_\S{44}\n", rotated.stdout)
    assert "not shown again" in rotated.stderr
    for shown in (command("list"), command("deliveries", endpoint)):
        assert rotated.stdout.strip() not in shown.output
        assert endpoint in shown.stdout or attempt["event_id"] in shown.stdout
    assert command("delete", endpoint).stdout == f"{endpoint}: deleted\n"
    assert command("list").stdout == "no receivers\n"
    refused = command("rotate", endpoint, exit_code=1)
    assert refused.stderr.startswith("antiphon: No webhook endpoint found")
    assert refused.stderr.count("\n") == 1


def await_log(http: httpx.Client, path: str, count: int) -> dict[str, Any]:
    """Return the log when it has that many entries: an attempt is noted after its answer has come."""
    deadline = time.monotonic() + 10
    while True:
        page: dict[str, Any] = http.get(path).raise_for_status().json()
        if len(page["data"]) >= count:
            return page
        assert time.monotonic() < deadline, page
        time.sleep(0.02)


def answered(*arguments: str) -> Any:
    """Return what a command prints as JSON."""
    return json.loads(command(*arguments, "--json").stdout)


def command(*arguments: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == exit_code, result.output
    return result
