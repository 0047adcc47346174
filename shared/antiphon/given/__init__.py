"""Values of the JSON that clients send, read in the words that the API has for what is wrong.

values   Given: a value that is there; null is a value like any other
maybe    MaybeGiven: a value that may be absent, which null is as well
wording  how refusals are phrased
bounds   what text and what objects are taken at all
"""

from antiphon.given.bounds import is_writable
from antiphon.given.maybe import MaybeGiven
from antiphon.given.values import Given
from antiphon.given.wording import listed, missing, not_one_of, shortened, unknown, wrong_length

__all__ = [
    "Given",
    "MaybeGiven",
    "is_writable",
    "listed",
    "missing",
    "not_one_of",
    "shortened",
    "unknown",
    "wrong_length",
]
