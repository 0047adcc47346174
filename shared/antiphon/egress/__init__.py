"""HTTP to hosts that strangers name: only to addresses that are public, or that the operator has allowed.

addresses  which addresses are public: pure
rules      which URLs may be asked, and which addresses they may lead to: pure
network    resolves once, vets every address, dials what was vetted
replies    what comes back
egress     Egress: post an event, fetch a file, read an answer as it comes
"""

from antiphon.egress.egress import Egress, open_egress
from antiphon.egress.network import Resolve
from antiphon.egress.replies import Fetched, Reply, Streamed
from antiphon.egress.rules import EgressBlocked, EgressRules
from antiphon.settings import EgressSettings

__all__ = [
    "Egress",
    "EgressBlocked",
    "EgressRules",
    "EgressSettings",
    "Fetched",
    "Reply",
    "Resolve",
    "Streamed",
    "open_egress",
]
