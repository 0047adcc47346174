"""What of a conversation the model gets to see, when it cannot see all of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def first_kept(sizes: Sequence[int], *, budget: int, openings: Sequence[bool]) -> int:
    """Return the index of the first of `sizes` that is kept, the oldest being dropped first; the last always is.

    What is dropped is dropped in strides of half the budget. If every turn dropped just enough for itself, each would
    begin elsewhere than the one before, and the model would have to read everything anew; this way the beginning
    stays where it is for many turns. Where `openings` says that a turn begins soon after, nothing before it is kept.

    Raises:
        ValueError: when the last one alone is larger than `budget`.
    """
    if sizes[-1] > budget:
        raise ValueError(f"{sizes[-1]} do not fit into {budget}")
    surplus = sum(sizes) - budget
    if surplus <= 0:
        return 0
    stride = max(1, budget // 2)
    dropped = -(-surplus // stride) * stride
    before = accumulate(sizes, initial=0)
    first = min(next(i for i, size in enumerate(before) if size >= dropped), len(sizes) - 1)
    return next((i for i in range(first, len(sizes)) if openings[i]), first)
