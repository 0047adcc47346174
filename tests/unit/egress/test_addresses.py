"""Which addresses are public, in every spelling."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.egress.addresses import is_public, lies_in, parse_address

pytestmark = pytest.mark.unit

PUBLIC = ["1.1.1.1", "93.184.216.34", "168.63.129.15", "2606:4700:4700::1111", "2a00:1450:4001:82b::200e"]
PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::93.184.216.34",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::",
    "2002:5db8:d822::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_what_everybody_reaches_is_public(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert is_public(address)


@pytest.mark.parametrize("text", PRIVATE)
def test_what_only_some_reach_is_not(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
@pytest.mark.parametrize("text", [text for text in PUBLIC + PRIVATE if "." in text and ":" not in text])
def test_an_address_inside_another_counts_as_itself(prefix: str, text: str) -> None:
    assert parse_address(prefix + text) == parse_address(text)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_tunnel_to_a_private_address_is_public(inner: IPv4Address) -> None:
    if is_public(inner):
        return
    high, low = f"{int(inner) >> 16:x}", f"{int(inner) & 0xFFFF:x}"
    inverted = int(inner) ^ 0xFFFFFFFF
    for outer in (
        f"::ffff:{inner}",
        f"::{inner}",
        f"64:ff9b::{inner}",
        f"2002:{high}:{low}::1",
        f"2001:0:5db8:d822::{inverted >> 16:x}:{inverted & 0xFFFF:x}",
    ):
        address = parse_address(outer)
        assert address is None or not is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "1.2.3.4.", "[::1]"])
def test_only_the_full_spelling_is_an_address(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize("text", ["fe80::1%eth0", "2606:4700:4700::1111%1"])
def test_an_address_with_a_zone_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_an_address_lies_in_networks_of_its_own_kind() -> None:
    networks = (ip_network("fe80::/10"), ip_network("10.0.0.0/8"))
    for text, inside in [("fe80::1", True), ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("::10.1.2.3", False)]:
        address = parse_address(text)
        assert address is not None
        assert lies_in(address, networks) == inside
