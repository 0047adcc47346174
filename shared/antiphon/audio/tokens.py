"""Sound counted as the API's models count it: a token is a tenth of a second heard, or a twentieth spoken."""

from __future__ import annotations

import math

HEARD_PER_S = 10
SPOKEN_PER_S = 20


def heard_tokens(seconds: float) -> int:
    """Return the tokens of sound that was listened to."""
    return math.ceil(seconds * HEARD_PER_S)


def spoken_tokens(seconds: float) -> int:
    """Return the tokens of sound that was made."""
    return math.ceil(seconds * SPOKEN_PER_S)
