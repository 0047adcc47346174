from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from antiphon.errors import AntiphonError
from antiphon.given import Given, MaybeGiven
from antiphon.given.bounds import DEEPEST, LARGEST_JSON

pytestmark = pytest.mark.unit

WRONG_TYPE = "invalid_type"
INVALID = "invalid_value"

Read = Callable[[Any], object]
READERS: dict[str, Read] = {
    "object": lambda given: given.object(),
    "items": lambda given: given.items(most=2),
    "text": lambda given: given.text(longest=2),
    "flag": lambda given: given.flag(),
    "number": lambda given: given.number(minimum=0, maximum=2),
    "integer": lambda given: given.integer(minimum=0, maximum=2),
    "json_object": lambda given: given.json_object(),
}
VALUES: tuple[Any, ...] = (True, 1, 3, -1, 1.5, 10**30, float("nan"), "a", "abc", "\ud800", [], [1, 2, 3], {}, {"a": 1})


def answer(read: Read, given: Given | MaybeGiven) -> object:
    """Return what is read, or the facts of the refusal."""
    try:
        value = read(given)
    except AntiphonError as refused:
        return refused.info()
    return [item.value for item in value] if isinstance(value, list | tuple) else value


def refusal(read: Callable[[], object]) -> AntiphonError:
    with pytest.raises(AntiphonError) as refused:
        read()
    return refused.value


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_is_there_is_read_alike_whether_it_had_to_be_or_not(read: Read) -> None:
    for value in VALUES:
        assert answer(read, MaybeGiven(value, "a.b")) == answer(read, Given(value, "a.b"))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_null_is_a_value_of_another_type_and_absent_where_there_may_be_none(read: Read) -> None:
    refused = refusal(lambda: read(Given(None, "a.b")))
    assert (refused.code, refused.param) == (WRONG_TYPE, "a.b")
    assert refused.message.endswith("but got null instead.")
    try:
        assert not read(MaybeGiven(None, "a.b"))
    except AntiphonError as missing:
        assert (missing.code, missing.param) == ("missing_required_parameter", "a.b")


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ({"x": "y" * LARGEST_JSON}, INVALID, "object too large"),
        ({"x": "\ud800"}, INVALID, "JSON"),
        ([], WRONG_TYPE, "expected an object, but got an array instead."),
    ],
)
def test_an_object_that_may_say_anything_has_bounds(value: Any, code: str, message: str) -> None:
    for given in (Given(value, "schema"), MaybeGiven(value, "schema")):
        refused = refusal(given.json_object)
        assert (refused.code, refused.param) == (code, "schema")
        assert message in refused.message


@pytest.mark.parametrize(("levels", "accepted"), [(DEEPEST, True), (DEEPEST + 1, False), (1000, False)])
def test_an_object_is_not_nested_without_end(levels: int, accepted: bool) -> None:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"x": value}
    for given in (Given(value, "schema"), MaybeGiven(value, "schema")):
        if accepted:
            assert given.json_object() == value
        else:
            assert "nested too deeply" in refusal(given.json_object).message


def test_an_unknown_member_is_named_by_where_it_is() -> None:
    given = Given({"known": 1, "other": None}, "session.audio")
    refused = refusal(lambda: given.members(("known",)))
    assert (refused.code, refused.param) == ("unknown_parameter", "session.audio.other")
    assert given.members(("known",), tolerated=("other",)) == {"known": Given(1, "session.audio.known")}
    assert given.filled(("known", "other")) == {"known": Given(1, "session.audio.known")}
