from __future__ import annotations

import hashlib

import pytest
from starlette.datastructures import Headers

from services.ingest.access.keyring import Keyring
from services.ingest.access.presented import masked, presented_keys

pytestmark = pytest.mark.unit


def test_a_key_is_known_in_clear_and_by_its_digest() -> None:
    digest = hashlib.sha256(b"sk-two").hexdigest()
    keyring = Keyring.parse(f" sk-one , sha256:{digest} ,")
    one, two = keyring.find("sk-one"), keyring.find("sk-two")
    assert one is not None
    assert two is not None
    assert one.tenant != two.tenant
    assert keyring.find("sk-three") is None
    assert keyring.find("") is None
    assert keyring.find(f"sha256:{digest}") is None


def test_a_tenant_does_not_give_its_key_away() -> None:
    principal = Keyring.parse("sk-secret").find("sk-secret")
    assert principal is not None
    assert "secret" not in principal.tenant


@pytest.mark.parametrize("keys", ["", " , "])
def test_a_keyring_may_be_empty_and_then_knows_nobody(keys: str) -> None:
    assert not Keyring.parse(keys)
    assert Keyring.parse(keys).find("") is None


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", "Bearer k"),
        ("authorization", "bearer  k"),
        ("api-key", "k"),
        ("Ocp-Apim-Subscription-Key", "k"),
    ],
)
def test_a_key_is_found_in_any_of_its_headers(header: str, value: str) -> None:
    assert presented_keys(Headers({header: value})) == ["k"]


def test_other_schemes_carry_no_key() -> None:
    assert presented_keys(Headers({"authorization": "Basic a2V5"})) == []


def test_a_wrong_key_is_never_shown_whole() -> None:
    assert masked("sk-0123456789abcdef") == "sk-********cdef"
    assert masked("short") == "********"
