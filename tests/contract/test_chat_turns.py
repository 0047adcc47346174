"""Conversations that go on: an earlier spoken answer is known by the id of its audio, at every door."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.contract.chat_models import ECHO
from tests.contract.chat_replicas import Replica, replica
from tests.contract.chat_talk import refers, says, streamed, voiced
from tests.contract.chat_upstream import ScriptedUpstream
from tests.contract.conftest import Served, free_ports

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120)]

EXPIRES_S = 1


def opened(door: Replica, platform: Served) -> httpx.Client:
    headers = {"authorization": f"Bearer {platform.api_key}"}
    return httpx.Client(base_url=door.root_url, headers=headers, trust_env=False, timeout=60)


@pytest.fixture
def second(second_door: Replica, platform: Served) -> Iterator[httpx.Client]:
    """A client of the second door."""
    with opened(second_door, platform) as client:
        yield client


def speak(http: httpx.Client, text: str) -> dict[str, Any]:
    """Return the audio of an answer to a text."""
    reply = http.post("/v1/chat/completions", json={"model": ECHO, "messages": [says(text)], **voiced("mp3")})
    assert reply.status_code == 200, reply.text
    audio: dict[str, Any] = reply.json()["choices"][0]["message"]["audio"]
    return audio


def go_on(http: httpx.Client, text: str, *audio_ids: str) -> httpx.Response:
    """Ask something after answers that are told by their ids."""
    earlier = [message for audio_id in audio_ids for message in (says("Say it."), refers(audio_id))]
    return http.post("/v1/chat/completions", json={"model": ECHO, "messages": [*earlier, says(text)]})


def told(upstream: ScriptedUpstream, marker: str) -> list[tuple[str, str]]:
    """Return who said what in the conversation that the model has got last."""
    messages = upstream.asked(marker)[-1]["body"]["messages"]
    return [(message["role"], message["content"]) for message in messages]


def test_what_one_door_has_said_another_one_knows(
    http: httpx.Client, second: httpx.Client, upstream: ScriptedUpstream
) -> None:
    whole = speak(http, "Amber.")
    stream = streamed(second, {"model": ECHO, "messages": [says("Basalt.")], **voiced("pcm16")})
    reply = go_on(second, "And the third?", whole["id"], stream.audio_id)
    assert reply.status_code == 200, reply.text
    assert told(upstream, "And the third?") == [
        ("user", "Say it."),
        ("assistant", "You said: Amber."),
        ("user", "Say it."),
        ("assistant", "You said: Basalt."),
        ("user", "And the third?"),
    ]
    assert go_on(http, "And the third?", stream.audio_id, whole["id"]).status_code == 200


def test_it_is_known_until_it_expires_and_after_the_door_was_killed(
    http: httpx.Client, platform: Served, upstream: ScriptedUpstream
) -> None:
    (port,) = free_ports(1)
    with replica(port, platform.door_environment()) as door, opened(door, platform) as client:
        lasting = speak(client, "Cobalt.")
        assert lasting["expires_at"] - time.time() == pytest.approx(24 * 3600, abs=60)
        door.kill()
        door.start(ANTIPHON_CHAT_AUDIO_TTL=str(EXPIRES_S))
        assert go_on(client, "After the kill.", lasting["id"]).status_code == 200
        assert ("assistant", "You said: Cobalt.") in told(upstream, "After the kill.")
        passing = speak(client, "Dust.")
    assert passing["expires_at"] - time.time() < 30
    while time.time() < passing["expires_at"] + 0.1:
        time.sleep(0.05)
    error = go_on(http, "Too late.", passing["id"])
    assert (error.status_code, error.json()["error"]["code"]) == (404, "audio_expired")
    assert error.json()["error"]["param"] == "messages[1].audio.id"


def test_it_is_known_to_its_tenant_alone(
    http: httpx.Client, other_http: httpx.Client, upstream: ScriptedUpstream
) -> None:
    audio = speak(http, "Ebony.")
    error = go_on(other_http, "Tell me.", audio["id"])
    assert (error.status_code, error.json()["error"]["code"]) == (404, "audio_not_found")
    assert upstream.asked("Tell me.") == []


def test_the_sdk_carries_an_answer_back_as_it_came(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    question: Any = {"role": "user", "content": "Fir."}
    first = client.chat.completions.create(
        model=ECHO, messages=[question], modalities=["text", "audio"], audio={"voice": "alloy", "format": "mp3"}
    )
    answer: Any = first.choices[0].message.to_dict()
    answer["audio"] = {"id": answer["audio"]["id"]}
    del answer["annotations"]
    client.chat.completions.create(model=ECHO, messages=[question, answer, {"role": "user", "content": "Go on, Fir."}])
    assert told(upstream, "Go on, Fir.")[1] == ("assistant", "You said: Fir.")
