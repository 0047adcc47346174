from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from antiphon.errors import InvalidValue, ModelNotFound, Overloaded
from services.ingest.access.presented import is_guarded
from services.ingest.errors import error_response
from services.ingest.errors_speech import LinkRefused, NotServed, error_object
from services.ingest.speech.links import Signer, read_lifetime_s
from services.ingest.surface import surface_of

pytestmark = pytest.mark.unit

PATH = "/speechtotext/content/key-1/b/0"


def test_a_link_opens_its_path_until_it_expires() -> None:
    signer = Signer(b"secret")
    query = QueryParams(signer.sign(PATH, expires_s=1000))
    signer.check(PATH, query, now_s=999.9)
    with pytest.raises(LinkRefused, match="expired"):
        signer.check(PATH, query, now_s=1000)


def test_nothing_about_a_link_can_be_changed() -> None:
    signer = Signer(b"secret")
    query = dict(QueryParams(signer.sign(PATH, expires_s=1000)))
    for path, changed in (
        (PATH.replace("key-1", "key-2"), query),
        (f"{PATH}1", query),
        (PATH, query | {"se": "2000"}),
        (PATH, query | {"se": "soon"}),
        (PATH, query | {"sig": "é"}),
        (PATH, {"se": "1000"}),
        (PATH, {}),
    ):
        with pytest.raises(LinkRefused):
            signer.check(path, QueryParams(changed), now_s=0)
    with pytest.raises(LinkRefused):
        Signer(b"other").check(PATH, QueryParams(query), now_s=0)


def test_a_lifetime_is_in_minutes_or_in_seconds() -> None:
    assert read_lifetime_s(QueryParams(""), legacy=False) == 12 * 3600
    assert read_lifetime_s(QueryParams("sasLifetimeMinutes=5"), legacy=False) == 300
    assert read_lifetime_s(QueryParams("sasValidityInSeconds=5"), legacy=True) == 5
    for query in ("sasLifetimeMinutes=0", "sasLifetimeMinutes=x", "sasLifetimeMinutes=44641", "sasLifetimeMinutes=²"):
        with pytest.raises(InvalidValue):
            read_lifetime_s(QueryParams(query), legacy=False)


def test_only_links_open_without_a_key() -> None:
    assert is_guarded("/speechtotext/transcriptions")
    assert is_guarded("/speechtotext")
    assert is_guarded("/speechtotext/contents/x")
    assert is_guarded("/speechtotext/content")
    assert not is_guarded(PATH)


def test_errors_are_not_wrapped() -> None:
    assert surface_of("/speechtotext/transcriptions") == "speech"
    assert error_object(InvalidValue("No.", param="top").info()) == {
        "code": "InvalidRequest",
        "message": "No.",
        "target": "top",
        "innerError": {"code": "InvalidParameterValue", "message": "No."},
    }
    assert error_object(NotServed("No.").info())["innerError"]["code"] == "NotSupported"
    assert error_object(ModelNotFound("No.").info())["code"] == "NotFound"
    full = error_response(Overloaded("Full.", retry_after_s=1.5), "speech")
    assert (full.status_code, full.headers["retry-after"]) == (429, "2")
