"""Azure AI Speech batch transcription: recordings at URLs, results behind signed links, signed webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.contract.conftest import Served

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

API = "/speechtotext"
V = {"api-version": "2025-10-15"}
SECRET = "s3cret"


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def listening(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port; give the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def recordings(clips: Path) -> Iterator[str]:
    """Where the recordings can be fetched."""
    with listening(partial(QuietFiles, directory=str(clips))) as url:
        yield url


@dataclass
class Hooks:
    """What a receiver of Azure's webhooks got; it answers challenges as it is told."""

    url: str = ""
    token: str | None = None
    received: list[tuple[str, str | None, bytes]] = field(default_factory=list)

    def events(self) -> list[str]:
        return [event for event, _, _ in self.received]


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    hooks = Hooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            event = self.headers["x-microsoftspeechservices-event"]
            hooks.received.append((event, self.headers["x-microsoftspeechservices-signature"], body))
            (token,) = parse_qs(urlsplit(self.path).query).get("validationToken", [""])
            hooks.token = token or hooks.token
            self.send_response(200)
            self.send_header("content-length", str(len(token)))
            self.end_headers()
            self.wfile.write(token.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with listening(Handler) as url:
        hooks.url = f"{url}/hook?mine=1"
        yield hooks


@pytest.fixture
def speech(platform: Served) -> Iterator[httpx.Client]:
    headers = {"ocp-apim-subscription-key": platform.api_key}
    with httpx.Client(base_url=platform.root_url, headers=headers, trust_env=False, timeout=100) as opened:
        yield opened


def until(look: Callable[[], Any], *, within_s: float = 120.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"this did not come within {within_s:.0f} s"
        time.sleep(0.1)
    return found


def submit(speech: httpx.Client, urls: list[str], **properties: Any) -> dict[str, Any]:
    body = {
        "displayName": "Greetings",
        "locale": "en-US",
        "contentUrls": urls,
        "properties": {"timeToLiveHours": 6} | properties,
    }
    reply = speech.post(f"{API}/transcriptions:submit", params=V, json=body)
    assert reply.status_code == 201, reply.text
    submitted: dict[str, Any] = reply.json()
    return submitted


def ended(speech: httpx.Client, url: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        body: dict[str, Any] = speech.get(url).raise_for_status().json()
        return body if body["status"] in {"Succeeded", "Failed"} else None

    found: dict[str, Any] = until(look)
    return found


def test_recordings_become_files_behind_signed_links(speech: httpx.Client, recordings: str) -> None:
    urls = [f"{recordings}/en/hello_world.wav", f"{recordings}/es/hola_mundo.wav", f"{recordings}/nothing.wav"]
    identification = {"candidateLocales": ["en-US", "es-MX"]}
    submitted = submit(
        speech,
        urls,
        languageIdentification=identification,
        wordLevelTimestampsEnabled=True,
        displayFormWordLevelTimestampsEnabled=True,
    )
    assert submitted["status"] in {"NotStarted", "Running"}
    done = ended(speech, submitted["self"])
    assert done["status"] == "Succeeded"
    assert done["properties"]["durationMilliseconds"] > 1000
    values = speech.get(done["links"]["files"]).raise_for_status().json()["values"]
    assert [file["name"] for file in values] == ["contenturl_0.json", "contenturl_1.json", "report.json"]
    english, spanish, report = (
        httpx.get(file["links"]["contentUrl"], trust_env=False).raise_for_status() for file in values
    )
    assert len(english.content) == values[0]["properties"]["size"]
    heard = english.json()
    assert heard["source"] == urls[0]
    assert heard["durationInTicks"] == pytest.approx(heard["durationMilliseconds"] * 10_000, abs=5_000)
    assert "world" in heard["combinedRecognizedPhrases"][0]["lexical"]
    phrase = heard["recognizedPhrases"][0]
    best = phrase["nBest"][0]
    assert phrase["locale"] == "en-US"
    assert 0 < best["confidence"] <= 1
    assert " ".join(word["displayText"] for word in best["displayWords"]) == best["display"]
    assert " ".join(word["word"] for word in best["words"]) == best["lexical"]
    assert all(0 < word["confidence"] <= 1 for word in best["words"])
    starts = [word["offsetInTicks"] for word in best["words"]]
    assert starts == sorted(starts)
    assert spanish.json()["recognizedPhrases"][0]["locale"] == "es-MX"
    told = report.json()
    assert (told["successfulTranscriptionsCount"], told["failedTranscriptionsCount"]) == (2, 1)
    assert told["details"][2]["status"] == "Failed"
    assert told["details"][2]["errorMessage"]
    assert speech.delete(done["self"]).status_code == 204
    assert httpx.get(values[0]["links"]["contentUrl"], trust_env=False).status_code == 404


def test_webhooks_are_challenged_then_told_of_every_step(speech: httpx.Client, recordings: str, hooks: Hooks) -> None:
    events = ["transcriptionCreation", "transcriptionProcessing", "transcriptionCompletion", "transcriptionDeletion"]
    body = {
        "displayName": "Mine",
        "webUrl": hooks.url,
        "events": dict.fromkeys(events, True),
        "properties": {"secret": SECRET},
    }
    reply = speech.post(f"{API}/webhooks", params=V, json=body)
    assert reply.status_code == 201, reply.text
    hook = reply.json()
    try:
        until(lambda: speech.get(hook["self"]).json()["status"] == "Succeeded")
        assert hooks.token
        assert hooks.events()[0].lower() == "challenge"
        assert speech.post(hook["links"]["ping"]).status_code == 202
        until(lambda: any(event.lower() == "ping" for event in hooks.events()))
        submitted = submit(speech, [f"{recordings}/en/hello_world.wav"])
        until(lambda: any(event.lower() == "transcriptioncompletion" for event in hooks.events()))
        assert speech.delete(submitted["self"]).status_code == 204
        until(lambda: {event.lower() for event in hooks.events()} >= {event.lower() for event in events})
    finally:
        assert speech.delete(hook["self"]).status_code == 204
    for event, signature, content in hooks.received:
        digest = hmac.digest(SECRET.encode(), content, hashlib.sha256)
        assert signature == base64.b64encode(digest).decode(), event
        if event.lower().startswith("transcription"):
            assert json.loads(content)["self"] == submitted["self"]
    (completed,) = (content for event, _, content in hooks.received if event.lower() == "transcriptioncompletion")
    assert json.loads(completed)["status"] == "Succeeded"


def test_a_key_of_another_tenant_opens_nothing(speech: httpx.Client, other_http: httpx.Client) -> None:
    submitted = submit(speech, ["http://127.0.0.1:9/nobody.wav"])
    assert other_http.get(submitted["self"]).status_code == 404
    assert other_http.get(f"{API}/transcriptions", params=V).json()["values"] == []
    assert speech.delete(submitted["self"]).status_code == 204
