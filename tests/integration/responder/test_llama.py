"""The embedded model: what it writes, what it remembers, and how it is stopped."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from antiphon.errors import ContextTooLong
from antiphon.schemas import ReplyFormat, ReplyOptions
from services.responder.engines import End, Prompt, TextPiece
from services.responder.engines.llama import Llama
from tests.eventually import eventually
from tests.integration.responder.conversations import hear, said

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

STORY = said("user", "Write a very long story about a fox who goes to sea.")


async def free(engine: Llama) -> bool:
    return await engine.busy() == 0


async def test_an_answer_comes_piece_by_piece_and_says_what_it_cost(small: Llama) -> None:
    heard = await hear(small, Prompt(messages=(STORY,), options=ReplyOptions(max_tokens=12)))
    assert heard.text
    assert heard.pieces > 8
    assert heard.ended.finish_reason == "length"
    assert heard.ended.usage.completion_tokens == 12
    assert heard.ended.usage.prompt_tokens > 12
    assert (heard.ended.fingerprint or "").startswith("fp_")


async def test_a_closed_answer_frees_its_slot(small: Llama) -> None:
    async with aclosing(small.respond(Prompt(messages=(STORY,)))) as pieces:
        async for _ in pieces:
            assert await small.busy() == 1
            break
    await eventually(lambda: free(small), within_s=2)


async def test_an_answer_that_was_not_begun_is_closed_too(small: Llama) -> None:
    long = said("user", "Count the words. " + "fox bear moon " * 100)
    task = asyncio.create_task(hear(small, Prompt(messages=(long,))))
    await eventually(lambda: _is_busy(small))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # It is looked for once a second whether anybody still listens, and what is being computed is computed.
    await eventually(lambda: free(small), within_s=20)


async def _is_busy(engine: Llama) -> bool:
    return await engine.busy() > 0


async def test_nobody_reading_stops_nobody_else(small: Llama) -> None:
    async with aclosing(small.respond(Prompt(messages=(STORY,), options=ReplyOptions(max_tokens=200)))) as unread:
        await anext(unread)
        heard = await hear(small, Prompt(messages=(said("user", "Say hello."),), options=ReplyOptions(max_tokens=5)))
        assert heard.text
    await eventually(lambda: free(small), within_s=2)


async def test_who_finds_no_place_waits_or_goes_away(narrow: Llama) -> None:
    brief = Prompt(messages=(said("user", "Say hello."),), options=ReplyOptions(max_tokens=4))
    async with aclosing(narrow.respond(Prompt(messages=(STORY,)))) as first:
        await anext(first)
        leaving = asyncio.create_task(hear(narrow, brief))
        staying = asyncio.create_task(hear(narrow, brief))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert not staying.done()
    assert (await staying).text


async def test_the_second_turn_reads_only_what_is_new(small: Llama) -> None:
    system = said("system", "You are a friendly assistant in a shop for garden tools, open from nine to six.")
    first = (system, said("user", "Do you sell rakes and shovels?"))
    once = await hear(small, Prompt(messages=first, options=ReplyOptions(max_tokens=12, temperature=0)))
    assert once.ended.usage.cached_tokens < 10
    second = (*first, said("assistant", once.text), said("user", "And hoses?"))
    again = await hear(small, Prompt(messages=second, options=ReplyOptions(max_tokens=4)))
    read = again.ended.usage.prompt_tokens - again.ended.usage.cached_tokens
    assert again.ended.usage.cached_tokens >= once.ended.usage.prompt_tokens
    assert read < 24


async def test_what_one_tenant_said_is_not_counted_for_another(small: Llama) -> None:
    messages = (said("system", "The password of the castle is swordfish, and nobody knows."), said("user", "Hello!"))
    brief = ReplyOptions(max_tokens=2)
    for _ in range(2):
        mine = await hear(small, Prompt(messages=messages, options=brief, tenant="mine"))
    assert mine.ended.usage.cached_tokens > 20
    for expected in (False, True):
        theirs = await hear(small, Prompt(messages=messages, options=brief, tenant="theirs"))
        assert (theirs.ended.usage.cached_tokens > 0) is expected


async def test_same_seed_same_words(small: Llama) -> None:
    def prompt(seed: int) -> Prompt:
        options = ReplyOptions(max_tokens=24, temperature=1.2, top_p=1.0, seed=seed)
        return Prompt(messages=(said("user", "Invent a name for a boat, and say why."),), options=options)

    await hear(small, prompt(0))
    texts = [(await hear(small, prompt(seed))).text for seed in (7, 8, 7)]
    assert texts[0] == texts[2] != texts[1]


async def test_stop_strings_never_come_out(small: Llama) -> None:
    def prompt(*stops: str) -> Prompt:
        options = ReplyOptions(max_tokens=32, temperature=0, stop=stops)
        return Prompt(messages=(said("user", "Name the months of the year."),), options=options)

    whole = (await hear(small, prompt())).text
    stop = whole[len(whole) // 2 - 4 : len(whole) // 2 + 4]  # wherever tokens begin and end
    heard = await hear(small, prompt("does not occur", stop))
    assert heard.text == whole[: whole.index(stop)]
    assert heard.ended.finish_reason == "stop"
    assert 0 < heard.ended.usage.completion_tokens < 32
    await eventually(lambda: free(small), within_s=2)


async def test_a_character_of_several_tokens_comes_whole(small: Llama) -> None:
    asking = said("user", "Repeat exactly, and nothing else: 🦊🐻🌙🦉🦔 𓀀𓁈")
    heard = await hear(small, Prompt(messages=(asking,), options=ReplyOptions(max_tokens=40, temperature=0)))
    assert any(ord(char) > 0xFFFF for char in heard.text)
    assert "\ufffd" not in heard.text


async def test_log_probabilities_are_those_of_the_tokens_written(small: Llama) -> None:
    options = ReplyOptions(max_tokens=6, temperature=0, logprobs=True, top_logprobs=3)
    heard = await hear(small, Prompt(messages=(said("user", "Say hello."),), options=options))
    assert "".join(token.token for token in heard.tokens) == heard.text
    for token in heard.tokens:
        assert bytes(token.bytes or ()).decode() == token.token
        assert len(token.top_logprobs) == 3
        # The likeliest is written at temperature 0, but for the penalty on what was said before.
        assert token.logprob <= token.top_logprobs[0].logprob <= 0
    bare = await hear(small, Prompt(messages=(said("user", "Say hello."),), options=ReplyOptions(max_tokens=2)))
    assert bare.tokens == []


async def test_what_does_not_fit_is_told(narrow: Llama) -> None:
    with pytest.raises(ContextTooLong) as caught:
        await hear(narrow, Prompt(messages=(said("user", "fox " * 3000),)))
    assert caught.value.param == "messages"
    assert "512" in caught.value.message


async def test_old_turns_are_forgotten_and_an_answer_ends_where_the_context_does(narrow: Llama) -> None:
    turns = [said(role, "A fox and a bear. " * 12) for _ in range(20) for role in ("user", "assistant")]
    newest = said("user", "Go on like this for ever: " + "fox bear moon " * 115)
    messages = (said("system", "Do what you are told."), *turns, newest)
    endless = ReplyFormat(type="json_schema", json_schema={"type": "string", "minLength": 9000})
    heard = await hear(narrow, Prompt(messages=messages, options=ReplyOptions(format=endless)))
    usage = heard.ended.usage
    assert 350 < usage.prompt_tokens < 500
    assert heard.ended.finish_reason == "length"
    assert 512 - 2 <= usage.prompt_tokens + usage.completion_tokens <= 512 + 1


async def test_two_conversations_are_continued_at_once(small: Llama) -> None:
    options = ReplyOptions(max_tokens=30)
    order: list[str] = []

    async def follow(name: str) -> None:
        async for piece in small.respond(Prompt(messages=(STORY,), options=options)):
            if isinstance(piece, (TextPiece, End)):
                order.append(name)

    await asyncio.gather(follow("a"), follow("b"))
    assert order.index("b") < len(order) - order[::-1].index("a") - 1
    assert order.index("a") < len(order) - order[::-1].index("b") - 1
