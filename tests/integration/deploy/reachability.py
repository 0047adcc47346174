"""Who may reach whom, by what network policies say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal

from tests.integration.deploy.manifests import LABEL, Manifest, labels_match

Direction = Literal["ingress", "egress"]


@dataclass(frozen=True)
class Pod:
    """A pod of some namespace."""

    labels: dict[str, str] = field(hash=False)
    namespace: str = "antiphon"


@dataclass(frozen=True)
class Host:
    """An address outside of the cluster."""

    address: str


Peer = Pod | Host


def service(name: str) -> Pod:
    """Return a pod of a service of the platform."""
    return Pod({f"{LABEL}name": "antiphon", f"{LABEL}component": name})


def reaches(policies: Iterable[Manifest], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a connection is let out of where it comes from, and in where it goes."""
    policies = tuple(policies)
    out = not isinstance(source, Pod) or _lets(policies, "egress", source, target, port, protocol)
    return out and (not isinstance(target, Pod) or _lets(policies, "ingress", target, source, port, protocol))


def _lets(policies: Iterable[Manifest], direction: Direction, own: Pod, other: Peer, port: int, protocol: str) -> bool:
    """A pod that no policy speaks of may do anything; one that any does, what one of them allows."""
    if own.namespace != "antiphon":
        return True
    speaking = [
        policy["spec"]
        for policy in policies
        if direction.capitalize() in policy["spec"]["policyTypes"]
        and labels_match(policy["spec"]["podSelector"], own.labels)
    ]
    side = "from" if direction == "ingress" else "to"
    return not speaking or any(
        _is_among(rule.get(side), other) and _has_port(rule.get("ports"), port, protocol)
        for spec in speaking
        for rule in spec.get(direction, ())
    )


def _is_among(peers: list[Manifest] | None, other: Peer) -> bool:
    return peers is None or any(_is(peer, other) for peer in peers)


def _is(peer: Manifest, other: Peer) -> bool:
    if "ipBlock" in peer:
        if isinstance(other, Pod):
            return False
        address, block = ip_address(other.address), peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(part) for part in block.get("except", ())
        )
    if isinstance(other, Host):
        return False
    if "namespaceSelector" in peer:
        named = {"kubernetes.io/metadata.name": other.namespace}
        if not labels_match(peer["namespaceSelector"], named):
            return False
    elif other.namespace != "antiphon":
        return False
    return labels_match(peer.get("podSelector", {}), other.labels)


def _has_port(ports: list[Manifest] | None, port: int, protocol: str) -> bool:
    return ports is None or any(each["port"] == port and each.get("protocol", "TCP") == protocol for each in ports)
