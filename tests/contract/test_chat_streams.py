"""Streamed answers: speech begins early, nobody works for who has left, and a slow reader is waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.contract.chat_models import LOCAL
from tests.contract.chat_replicas import Replica
from tests.contract.chat_server import PlatformServer
from tests.contract.chat_talk import Streamed, events_of, says, seconds_of, voiced
from tests.contract.chat_upstream import ScriptedUpstream
from tests.contract.conftest import Served

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120), pytest.mark.usefixtures("upstream")]

AT_ONCE_S = 2.0
WORDS = 3000
"""Of a long answer, whose sound is 9 MB."""
DOOR_BYTES = 4 * 2**20
"""What a door may need more while nobody reads such an answer."""
LANES = ("respond", "synthesize", "transcribe")


@pytest.fixture
def server(platform: Served) -> PlatformServer:
    assert platform.state is not None
    return PlatformServer(platform.state)


def await_idle(server: PlatformServer, *, within_s: float) -> None:
    """Wait until no job of a conversation is worked on or waits."""
    deadline = time.monotonic() + within_s
    while busy := {lane: count for lane in LANES if (count := server.pending(lane))}:
        assert time.monotonic() < deadline, busy
        time.sleep(0.02)


def test_speech_begins_before_the_text_ends(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    text = "Yes. And then there is more to be said at the end."
    started = time.monotonic()
    texts_s, sounds_s, chunks = [], [], []
    body = {"model": "up-slower", "messages": [says(text)], "stream": True, **voiced("pcm16")}
    with http.stream("POST", "/v1/chat/completions", json=body) as reply:
        for event in events_of(reply.iter_lines()):
            if event == "[DONE]":
                break
            chunks.append(orjson.loads(event))
            (delta,) = Streamed(chunks[-1:]).deltas
            now_s = time.monotonic() - started
            if (delta.get("audio") or {}).get("transcript"):
                texts_s.append(now_s)
            if (delta.get("audio") or {}).get("data"):
                sounds_s.append(now_s)
    assert Streamed(chunks).transcript == f"You said: {text}"
    assert seconds_of(Streamed(chunks).pcm, "pcm16") > 2
    with capsys.disabled():
        print(f"\nfirst text {texts_s[0]:.2f} s, first audio {sounds_s[0]:.2f} s, last text {texts_s[-1]:.2f} s")
    assert sounds_s[0] < texts_s[-1]
    assert len(sounds_s) > 2


@pytest.mark.parametrize("sound", [{}, voiced("pcm16")], ids=["written", "spoken"])
def test_a_client_that_leaves_is_left_by_the_server_behind_the_model(
    client: openai.OpenAI, upstream: ScriptedUpstream, server: PlatformServer, sound: dict[str, Any]
) -> None:
    marker = f"An endless answer, {'spoken' if sound else 'written'}."
    body: Any = {"model": "up-endless", "messages": [says(marker)], "stream": True, **sound}
    stream = client.chat.completions.create(**body)
    for _, _chunk in zip(range(8), stream, strict=False):
        pass
    stream.close()
    upstream.await_hung_up(marker, within_s=AT_ONCE_S)
    await_idle(server, within_s=AT_ONCE_S)


def test_a_client_that_leaves_before_the_answer_is_whole_is_left_too(
    platform: Served, upstream: ScriptedUpstream, server: PlatformServer
) -> None:
    marker = "An endless answer in one piece."
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{platform.base_url}/chat/completions",
            json={"model": "up-endless", "messages": [says(marker)]},
            headers={"authorization": f"Bearer {platform.api_key}"},
            timeout=httpx.Timeout(10, read=1.0),
            trust_env=False,
        )
    upstream.await_hung_up(marker, within_s=AT_ONCE_S)
    await_idle(server, within_s=AT_ONCE_S)


def test_the_local_model_stops_writing_for_who_has_left(client: openai.OpenAI, server: PlatformServer) -> None:
    stream = client.chat.completions.create(
        model=LOCAL,
        messages=[{"role": "user", "content": "Count aloud from one to five hundred, without leaving any number out."}],
        stream=True,
        max_completion_tokens=2000,
    )
    for _, _chunk in zip(range(5), stream, strict=False):
        pass
    stream.close()
    await_idle(server, within_s=AT_ONCE_S)
    started = time.monotonic()
    answer = client.chat.completions.create(
        model=LOCAL, messages=[{"role": "user", "content": "Say hi."}], max_completion_tokens=3
    )
    assert answer.choices[0].message.content
    assert time.monotonic() - started < 5


def test_a_slow_reader_gets_everything_and_costs_the_door_no_memory(
    second_door: Replica, platform: Served, upstream: ScriptedUpstream
) -> None:
    def written() -> bool:
        return any(each["answered"] for each in upstream.asked("Speak at length."))

    upstream.forget()
    _read_late(second_door, platform, {"model": "up-echo", "messages": [says("Hi.")]}, until=lambda: True)
    before = most = second_door.rss_bytes()

    def watched() -> bool:
        nonlocal most
        most = max(most, second_door.rss_bytes())
        return written()

    body = {"model": "up-vocal-long", "messages": [says("Speak at length.")], **voiced("pcm16")}
    answer = _read_late(second_door, platform, body, until=watched)
    assert answer.transcript.split() == ["word"] * WORDS
    assert len(answer.pcm) == WORDS * 0.06 * 24_000 * 2
    assert most - before < DOOR_BYTES, f"{(most - before) / 2**20:.1f} MiB more"


def _read_late(door: Replica, platform: Served, body: dict[str, Any], *, until: Callable[[], bool]) -> Streamed:
    """Take the beginning of a stream, wait for `until`, and read the rest."""
    content = orjson.dumps({**body, "stream": True})
    head = (
        f"POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer {platform.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        line.settimeout(60)
        line.connect(("127.0.0.1", door.port))
        line.sendall(head.encode() + content)
        received = bytearray(line.recv(4096))
        deadline = time.monotonic() + 60
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        while data := line.recv(2**20):
            received += data
    _, _, stream = bytes(received).partition(b"\r\n\r\n")
    events = list(events_of(stream.decode().split("\n")))
    assert events[-1] == "[DONE]", events[-1][-300:]
    return Streamed([orjson.loads(event) for event in events[:-1]])
