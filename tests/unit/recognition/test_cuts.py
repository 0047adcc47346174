"""Tokens to segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.recognition.cuts import cut

pytestmark = pytest.mark.unit

ZERO = 1000


def stamp(seconds: float) -> int:
    return ZERO + round(seconds * 50)


def test_pairs_of_timestamps_part_segments_and_the_unfinished_rest_is_heard_again() -> None:
    tokens = [stamp(0), 1, 2, stamp(2.5), stamp(3), 3, stamp(5), stamp(5), 4, 5]
    cuts, seek = cut(tokens, zero=ZERO, seek=100, frames=3000)
    assert [(c.start_s, c.end_s) for c in cuts] == [(1.0, 3.5), (4.0, 6.0)]
    assert cuts[1].tokens == (stamp(3), 3, stamp(5))
    assert seek == 100 + 500


def test_a_single_timestamp_at_the_end_means_that_nobody_speaks_after_it() -> None:
    cuts, seek = cut([stamp(0), 1, stamp(2), stamp(2), 2, stamp(4)], zero=ZERO, seek=0, frames=3000)
    assert [(c.start_s, c.end_s) for c in cuts] == [(0.0, 2.0), (2.0, 4.0)]
    assert seek == 3000


def test_text_without_timestamps_fills_the_window() -> None:
    cuts, seek = cut([1, 2, 3], zero=ZERO, seek=200, frames=450)
    assert [(c.start_s, c.end_s, c.tokens) for c in cuts] == [(2.0, 6.5, (1, 2, 3))]
    assert seek == 650


def test_text_with_one_segment_ends_at_its_timestamp() -> None:
    cuts, seek = cut([stamp(0), 1, stamp(2.2)], zero=ZERO, seek=0, frames=450)
    assert [(c.start_s, c.end_s) for c in cuts] == [(0.0, 2.2)]
    assert seek == 450


@given(st.lists(st.integers(0, ZERO + 1500)), st.integers(0, 10_000), st.integers(1, 3000))
def test_every_window_leads_on(tokens: list[int], seek: int, frames: int) -> None:
    cuts, after = cut(tokens, zero=ZERO, seek=seek, frames=frames)
    assert after > seek
    kept = [token for c in cuts for token in c.tokens]
    assert kept == tokens[: len(kept)]


def test_text_without_an_end_is_kept_when_nothing_follows() -> None:
    tokens = [stamp(0), 1, stamp(2), stamp(2), 2]
    assert cut(tokens, zero=ZERO, seek=0, frames=450)[1] == 200
    cuts, seek = cut(tokens, zero=ZERO, seek=0, frames=450, complete=True)
    assert [(c.start_s, c.end_s) for c in cuts] == [(0.0, 2.0), (2.0, 4.5)]
    assert seek == 450


def test_no_segment_ends_after_its_window() -> None:
    cuts, seek = cut([stamp(0), 1, stamp(3), stamp(3), 2, stamp(9), stamp(9)], zero=ZERO, seek=100, frames=500)
    assert [(c.start_s, c.end_s) for c in cuts] == [(1.0, 4.0), (4.0, 6.0)]
    assert seek == 600
