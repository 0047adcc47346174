"""Webhooks: who wants to be told of what, what they are told, how it is signed, what became of it.

signing     Standard Webhooks signatures, and those of Azure AI Speech: pure
messages    what is sent: pure
endpoints   the registry of receivers
deliveries  queue, test, send again
log         what became of them
circuits    receivers that keep failing are left alone for a while
"""

from antiphon.webhooks.circuits import Breaker, Circuit, Circuits
from antiphon.webhooks.deliveries import Deliveries
from antiphon.webhooks.endpoints import AZURE_EVENTS, EVENT_TYPES, MAX_ENDPOINTS, Dialect, Endpoint, Endpoints
from antiphon.webhooks.log import DeliveryAttempt, DeliveryLog
from antiphon.webhooks.messages import Message

__all__ = [
    "AZURE_EVENTS",
    "EVENT_TYPES",
    "MAX_ENDPOINTS",
    "Breaker",
    "Circuit",
    "Circuits",
    "Deliveries",
    "DeliveryAttempt",
    "DeliveryLog",
    "Dialect",
    "Endpoint",
    "Endpoints",
    "Message",
]
