"""Which decoding is kept."""

from __future__ import annotations

import pytest

from antiphon.recognition.ladder import LADDER, Attempt, choose, compression_ratio, temperatures

pytestmark = pytest.mark.unit


def attempt(*, logprob: float = -0.3, ratio: float = 1.2, no_speech: float = 0.0, temperature: float = 0.0) -> Attempt:
    return Attempt(
        tokens=(1,),
        avg_logprob=logprob,
        compression_ratio=ratio,
        no_speech_prob=no_speech,
        temperature=temperature,
    )


def test_zero_stands_for_the_ladder_and_anything_else_for_itself() -> None:
    assert temperatures(0.0) == LADDER
    assert temperatures(0.7) == (0.7,)


def test_likely_text_is_accepted() -> None:
    assert attempt().accepted


def test_text_that_repeats_itself_is_not_accepted() -> None:
    assert not attempt(ratio=2.5).accepted


def test_unlikely_text_is_not_accepted_unless_it_is_silence() -> None:
    assert not attempt(logprob=-1.1).accepted
    assert attempt(logprob=-1.1, no_speech=0.7).accepted
    assert attempt(logprob=-1.1, no_speech=0.7).silent


def test_likely_text_is_no_silence() -> None:
    assert not attempt(logprob=-0.5, no_speech=0.9).silent


def test_when_all_fail_the_likeliest_that_does_not_repeat_itself_is_kept() -> None:
    looping = attempt(logprob=-0.1, ratio=9.0)
    better = attempt(logprob=-1.2, temperature=0.2)
    worse = attempt(logprob=-1.9, temperature=0.4)
    kept = choose([looping, better, worse])
    assert kept.avg_logprob == -1.2
    assert kept.temperature == 0.4


def test_when_all_repeat_themselves_the_likeliest_is_kept() -> None:
    assert choose([attempt(ratio=3.0, logprob=-0.9), attempt(ratio=4.0, logprob=-0.2)]).avg_logprob == -0.2


def test_text_that_repeats_itself_compresses_well() -> None:
    assert compression_ratio("and so on " * 30) > 2.4 > compression_ratio("And so, my fellow Americans, ask not.")
    assert compression_ratio("") == 0.0
