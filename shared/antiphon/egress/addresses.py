"""Which IP addresses lie in the public internet.

The standard library's `is_global` is not enough: it says yes to multicast and to tunnels that end in a private
network, and its tables differ from one Python to the next.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PRIVATE_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by the customers of a provider, and metadata of one cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # the host beneath an Azure machine: a public address that never leaves it
        "169.254.0.0/16",  # link-local, and metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

_UNICAST_V6 = IPv6Network("2000::/3")
"""All that has ever been given out. What lies beside it is loopback, local, multicast or not in use."""
_PRIVATE_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # special purposes, among them Teredo, a tunnel to any IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, another one
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def parse_address(text: str) -> Address | None:
    """Return the address that `text` spells in full; an IPv4 address inside an IPv6 one as itself.

    None for anything else, and for an address with a zone, which means something on this machine alone.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def is_public(address: Address) -> bool:
    """Tell whether an address, as `parse_address` gives it, can be reached by everybody."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _PRIVATE_V4)
    return address in _UNICAST_V6 and not any(address in network for network in _PRIVATE_V6)


def lies_in(address: Address, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address lies in one of `networks`."""
    return any(address.version == network.version and address in network for network in networks)
