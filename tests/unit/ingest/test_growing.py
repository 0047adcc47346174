from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas import Delta, TokenLogprob, Transcript
from services.ingest.formats.growing import GrowingText, TranscriptDiverged

pytestmark = pytest.mark.unit

texts = st.text(st.sampled_from("ab é\n"), max_size=30)


def transcript(text: str) -> Transcript:
    return Transcript(task="transcribe", language="en", duration=1.0, text=text)


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [*pieces, text[at:]]


@given(texts, st.lists(st.tuples(st.lists(st.integers(1, 5), max_size=8), st.integers(0, 8)), max_size=4))
def test_whatever_is_lost_and_repeated_the_deltas_add_up_to_the_text(
    text: str, attempts: list[tuple[list[int], int]]
) -> None:
    growing, said = GrowingText(), ""
    for sizes, survived in attempts:
        growing.restart()
        for piece in cut(text, sizes)[:survived]:
            addition = growing.add(Delta(delta=piece))
            said += addition.text if addition else ""
    last = growing.finish(transcript(text))
    said += last.text if last else ""
    assert said == growing.sent == text.strip()


def test_an_attempt_that_heard_something_else_is_not_mixed_in() -> None:
    growing = GrowingText()
    growing.add(Delta(delta="Hello there"))
    growing.restart()
    with pytest.raises(TranscriptDiverged):
        growing.add(Delta(delta="Yellow bear"))


def test_tokens_go_with_the_text_they_are_made_of_once() -> None:
    def token(text: str) -> TokenLogprob:
        return TokenLogprob(token=text, logprob=-0.1, bytes=tuple(text.encode()))

    def delta(*words: str) -> Delta:
        return Delta(delta="".join(words), logprobs=tuple(map(token, words)))

    growing = GrowingText()
    first = growing.add(delta(" The", " old"))
    growing.restart()
    repeated = growing.add(delta(" The"))
    second = growing.add(delta(" old", " man"))
    assert first is not None
    assert [each.token for each in first.logprobs or ()] == [" The", " old"]
    assert repeated is None
    assert second is not None
    assert second.text == " man"
    assert [each.token for each in second.logprobs or ()] == [" man"]
