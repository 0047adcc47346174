"""Ids that every holder of a session makes alike."""

from __future__ import annotations

import re

import pytest

from antiphon.realtime.ids import Ids

pytestmark = pytest.mark.unit


def test_a_successor_goes_on_where_the_ids_were() -> None:
    first = Ids("sess_a")
    made = [first.next("item") for _ in range(5)]
    successor = Ids("sess_a", first.made - 2)
    assert [successor.next("item"), successor.next("item")] == made[3:]


def test_ids_are_opaque_and_never_the_same() -> None:
    ids = Ids("sess_a").many(["item"] * 1000) + Ids("sess_b").many(["resp"] * 1000)
    assert len({made.partition("_")[2] for made in ids}) == 2000
    assert all(re.fullmatch(r"(item|resp)_[0-9A-Za-z]{21}", made) for made in ids)
