"""Completions that are stored: the official client reads, lists, labels and deletes them."""

from __future__ import annotations

import base64

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.contract.chat_models import ECHO
from tests.contract.chat_talk import says, streamed, voiced

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120), pytest.mark.usefixtures("upstream")]


def store(client: openai.OpenAI, text: str, **metadata: str) -> ChatCompletion:
    return client.chat.completions.create(
        model=ECHO, messages=[{"role": "user", "content": text}], store=True, metadata=metadata
    )


def test_a_stored_completion_lives_until_it_is_deleted(client: openai.OpenAI) -> None:
    one, two = store(client, "One.", about="numbers"), store(client, "Two.", about="numbers")
    unstored = client.chat.completions.create(model=ECHO, messages=[{"role": "user", "content": "Three."}])
    kept = client.chat.completions
    assert kept.retrieve(one.id).choices[0].message.content == "You said: One."
    assert [each.id for each in kept.list(metadata={"about": "numbers"}, order="desc", limit=1)] == [two.id, one.id]
    (message,) = kept.messages.list(one.id).data
    assert (message.role, message.content) == ("user", "One.")
    assert kept.update(one.id, metadata={"about": "ones"}).metadata == {"about": "ones"}
    assert [each.id for each in kept.list(metadata={"about": "numbers"})] == [two.id]
    assert kept.delete(one.id).deleted
    for missing in (one.id, unstored.id):
        with pytest.raises(openai.NotFoundError):
            kept.retrieve(missing)
    kept.delete(two.id)


def test_it_belongs_to_its_tenant(client: openai.OpenAI, other_client: openai.OpenAI) -> None:
    stored = store(client, "Mine.")
    with pytest.raises(openai.NotFoundError):
        other_client.chat.completions.retrieve(stored.id)
    with pytest.raises(openai.NotFoundError):
        other_client.chat.completions.delete(stored.id)
    assert stored.id not in [each.id for each in other_client.chat.completions.list()]
    assert client.chat.completions.delete(stored.id).deleted


def test_a_stored_streamed_spoken_answer_has_its_sound(http: httpx.Client, client: openai.OpenAI) -> None:
    answer = streamed(http, {"model": ECHO, "messages": [says("Yes.")], "store": True, **voiced("pcm16")})
    kept = client.chat.completions.retrieve(answer.chunks[0]["id"])
    audio = kept.choices[0].message.audio
    assert audio is not None
    assert (audio.id, audio.transcript) == (answer.audio_id, "You said: Yes.")
    assert base64.b64decode(audio.data) == answer.pcm
    client.chat.completions.delete(kept.id)
