"""Which URLs may be asked, and which addresses their hosts may have."""

from __future__ import annotations

import pytest

from antiphon.egress import EgressBlocked, EgressRules, EgressSettings
from antiphon.errors import InvalidValue

pytestmark = pytest.mark.unit

STRICT = EgressRules()
LENIENT = EgressRules.of(EgressSettings(egress_allow=("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")))

ACCEPTED = [
    "https://example.org",
    "https://example.org/a/b.wav?sig=a%2Fb%2B%3D&x=1#part",
    "https://example.org:443/",
    "HTTPS://EXAMPLE.ORG:8443/",
    "https://example.org./",
    "https://bücher.example/ä.wav",
    "https://some_host.example.org/",
    "https://93.184.216.34/",
    "https://[2606:4700:4700::1111]:8443/",
    "https://[::ffff:93.184.216.34]/",
]

REFUSED = [
    "",
    "example.org",
    "//example.org/x",
    "https:",
    "https:///x",
    "https:example.org",
    "http://example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "data:audio/wav;base64,QUJD",
    "unix:///run/docker.sock",
    "https://example.org:80/",
    "https://example.org:6379/",
    "https://example.org:0/",
    "https://example.org:99999/",
    "https://example.org:-1/",
    "https://user:secret@example.org/",
    "https://user@example.org/",
    "https://example.org\\@10.0.0.1/",
    "https://example.org@10.0.0.1/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://example.1/",
    "https://1.2.3.4.5/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[2606:4700:4700::1111%251]/",
    "https://[::1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://\u24db\u24de\u24d2al\u24d7ost/",
    "https://a..b/",
    "https://.example.org/",
    "https://exa mple.org/",
    "https://example%2eorg/",
    "https://example.org%00.evil.example/",
    "https://example.org\r\nX-Header:1/",
    "https://example.org/\x00",
    "https://" + "a" * 64 + ".org/",
    "https://" + "a." * 130 + "org/",
    "https://example.org/" + "x" * 9000,
    "https://example.org/\ud800",
]


@pytest.mark.parametrize("url", ACCEPTED)
def test_a_public_https_url_is_accepted(url: str) -> None:
    assert STRICT.check_url(url).scheme == "https"


@pytest.mark.parametrize("url", REFUSED)
def test_anything_else_is_refused_with_the_name_of_its_parameter(url: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        STRICT.check_url(url, param="audio")
    assert caught.value.param == "audio"
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3:9000/x", "https://10.1.2.3:1/x", "http://[fd00::1]/", "http://minio.internal:9000/bucket"]
)
def test_an_allowed_network_may_be_asked_by_http_and_on_any_port(url: str) -> None:
    assert LENIENT.check_url(url).host


@pytest.mark.parametrize(
    "url", ["http://192.168.0.1/", "http://93.184.216.34/", "https://93.184.216.34:9000/", "https://127.0.0.2/"]
)
def test_addresses_beside_the_allowed_networks_stay_as_they_were(url: str) -> None:
    with pytest.raises(InvalidValue):
        LENIENT.check_url(url)


@pytest.mark.parametrize("rules", [STRICT, LENIENT])
def test_a_public_host_may_be_dialled_by_https_alone(rules: EgressRules) -> None:
    public = ["93.184.216.34", "2606:4700:4700::1111"]
    assert rules.permits(public, scheme="https", port=443)
    assert rules.permits(public, scheme="https", port=8443)
    assert not rules.permits(public, scheme="https", port=9000)
    assert not rules.permits(public, scheme="http", port=80)
    assert not rules.permits(public, scheme="http", port=443)


@pytest.mark.parametrize("forbidden", ["127.0.0.1", "::ffff:10.0.0.1", "fe80::1%2", "nonsense", "169.254.169.254"])
def test_one_forbidden_address_forbids_the_host(forbidden: str) -> None:
    assert not STRICT.permits([forbidden], scheme="https", port=443)
    assert not STRICT.permits(["93.184.216.34", forbidden], scheme="https", port=443)
    assert not STRICT.permits([forbidden, "93.184.216.34"], scheme="https", port=443)


def test_a_host_without_an_address_is_forbidden() -> None:
    assert not STRICT.permits([], scheme="https", port=443)


def test_a_host_must_lie_wholly_in_the_allowed_networks_to_be_asked_by_http() -> None:
    assert LENIENT.permits(["10.0.0.1", "::ffff:10.0.0.2", "fd00::1"], scheme="http", port=9000)
    assert not LENIENT.permits(["10.0.0.1", "93.184.216.34"], scheme="http", port=9000)
    assert not LENIENT.permits(["10.0.0.1", "192.168.0.1"], scheme="https", port=443)
    assert LENIENT.permits(["10.0.0.1", "93.184.216.34"], scheme="https", port=443)


def test_a_refusal_names_no_address() -> None:
    assert EgressBlocked(param="audio").message == "The address of this URL is not allowed."
