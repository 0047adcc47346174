"""Which URLs may be asked, and which addresses their hosts may have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self

import httpx

from antiphon.egress.addresses import Network, is_public, lies_in, parse_address
from antiphon.errors import InvalidValue
from antiphon.settings import EgressSettings

PORTS = (443, 8443)
"""Ports of hosts that nobody has allowed."""
MAX_URL_LENGTH = 8192

_NAME = re.compile(r"(?=.{1,253}\.?$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")
"""A host whose last label is a number: some resolvers read any of its spellings as an IPv4 address."""


class EgressBlocked(InvalidValue):
    """The host of a URL has an address that is not allowed. Never says which: that is for the operator's log."""

    def __init__(self, *, param: str | None = None) -> None:
        super().__init__("The address of this URL is not allowed.", param=param)


@dataclass(frozen=True)
class EgressRules:
    """Public addresses by https on the usual ports; by http and on any port, too, in the networks of `allow`."""

    allow: tuple[Network, ...] = ()

    @classmethod
    def of(cls, settings: EgressSettings) -> Self:
        """Return the rules that the operator has set."""
        return cls(tuple(ip_network(network) for network in settings.egress_allow))

    def check_url(self, url: str, *, param: str | None = None) -> httpx.URL:
        """Return `url`, parsed, if its form does not already forbid it; no name is resolved.

        Raises `InvalidValue`, and `EgressBlocked` for an address that is spelled out. `param` names the parameter.
        """
        parsed = _parse(url, param)
        host = parsed.raw_host.decode("ascii")
        address = parse_address(host)
        if address is None and (not _NAME.fullmatch(host) or _NUMBER.fullmatch(host)):
            raise InvalidValue("The URL names no host.", param=param)
        allowed = bool(self.allow) if address is None else lies_in(address, self.allow)
        if parsed.scheme != "https" and not allowed:
            raise InvalidValue("The URL must begin with https://.", param=param)
        if parsed.port not in (None, *PORTS) and not allowed:
            raise InvalidValue(f"The port of the URL must be one of {_listed(PORTS)}.", param=param)
        if address is not None and not allowed and not is_public(address):
            raise EgressBlocked(param=param)
        return parsed

    def permits(self, addresses: Sequence[str], *, scheme: str, port: int) -> bool:
        """Tell whether a host with these addresses may be dialled. One that is forbidden forbids them all."""
        parsed = [parse_address(address) for address in addresses]
        usual = scheme == "https" and port in PORTS
        return bool(parsed) and all(
            address is not None and (lies_in(address, self.allow) or (usual and is_public(address)))
            for address in parsed
        )


def _parse(url: str, param: str | None) -> httpx.URL:
    try:
        # Whoever sends a URL may send half a surrogate pair, too, which no library expects.
        url.encode()
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise InvalidValue("The URL is malformed.", param=param) from None
    if len(url) > MAX_URL_LENGTH:
        raise InvalidValue(f"The URL is longer than {MAX_URL_LENGTH} characters.", param=param)
    if parsed.scheme not in {"http", "https"}:
        raise InvalidValue("The URL must begin with https://.", param=param)
    if parsed.userinfo:
        raise InvalidValue("The URL must not contain a user name or password.", param=param)
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise InvalidValue("The URL has no valid port.", param=param)
    return parsed


def _listed(ports: Sequence[int]) -> str:
    return " and ".join(str(port) for port in ports)
