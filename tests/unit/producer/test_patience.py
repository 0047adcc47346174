"""How long a producer goes on trying."""

from __future__ import annotations

import time

import pytest

from antiphon.errors import InvalidValue, Overloaded, Unavailable
from antiphon.producer.patience import Patience

pytestmark = pytest.mark.unit


class Refused:
    """Fails some times, then gives 7."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times = times
        self.error = error
        self.tried = 0

    async def __call__(self) -> int:
        self.tried += 1
        if self.tried <= self.times:
            raise self.error
        return 7


async def test_what_is_refused_for_a_while_is_tried_again() -> None:
    attempt = Refused(3, Unavailable("away"))
    assert await Patience(5).insist(attempt) == 7
    assert attempt.tried == 4


async def test_a_place_that_is_promised_is_not_asked_for_before() -> None:
    begun = time.monotonic()
    assert await Patience(5).insist(Refused(1, Overloaded("full", retry_after_s=0.2))) == 7
    assert time.monotonic() - begun >= 0.2


async def test_a_place_that_comes_too_late_is_refused_at_once() -> None:
    attempt = Refused(1, Overloaded("full", retry_after_s=60))
    with pytest.raises(Overloaded):
        await Patience(5).insist(attempt)
    assert attempt.tried == 1


async def test_patience_ends() -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await Patience(0.2).insist(Refused(10_000, Unavailable("away")))
    assert time.monotonic() - begun < 0.5


async def test_no_patience_means_one_attempt() -> None:
    attempt = Refused(1, Unavailable("away"))
    with pytest.raises(Unavailable):
        await Patience(0).insist(attempt)
    assert attempt.tried == 1


async def test_a_mistake_is_not_repeated() -> None:
    attempt = Refused(1, InvalidValue("no"))
    with pytest.raises(InvalidValue):
        await Patience(5).insist(attempt)
    assert attempt.tried == 1
