"""One request to a receiver as others see it: a span whose context goes along, and figures."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from opentelemetry import trace

from antiphon.egress import Egress, Reply
from antiphon.errors import InvalidRequest, Unavailable
from antiphon.telemetry import current_trace
from antiphon.telemetry.instruments import WEBHOOK_SECONDS, WEBHOOKS
from antiphon.telemetry.spans import current_span
from antiphon.webhooks.log import LOGGED_RESPONSE_BYTES
from services.webhooks.requests import Request

_TRACER = trace.get_tracer("antiphon.webhooks")
# Each is there from the beginning: a counter whose first count is its first sign of life has no increase.
_OUTCOMES = {name: WEBHOOKS.labels(name) for name in ("delivered", "refused", "unreachable", "forbidden")}


async def post(egress: Egress, request: Request, *, timeout_s: float, accepted: Callable[[Reply], bool]) -> Reply:
    """Post once; `accepted` says whether the answer means that the event has arrived.

    Raises `Unavailable` when there is no answer, `InvalidRequest` for a place that it may not go to.
    """
    target = urlsplit(request.url)
    # Not the rest of the URL: receivers put tokens into paths and queries.
    attributes: dict[str, str | int] = {"http.request.method": "POST", "server.address": target.hostname or ""}
    if target.port is not None:
        attributes["server.port"] = target.port
    with current_span(_TRACER, "POST", kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
        try:
            reply = await egress.post(
                request.url,
                headers=request.headers | current_trace(),
                content=request.body,
                timeout_s=timeout_s,
                max_response_bytes=LOGGED_RESPONSE_BYTES,
            )
        except Unavailable:
            _OUTCOMES["unreachable"].inc()
            raise
        except InvalidRequest:
            _OUTCOMES["forbidden"].inc()
            raise
        span.set_attribute("http.response.status_code", reply.status_code)
        if reply.status_code >= 400:
            span.set_attribute("error.type", str(reply.status_code))
            span.set_status(trace.StatusCode.ERROR)
        _OUTCOMES["delivered" if accepted(reply) else "refused"].inc()
        WEBHOOK_SECONDS.observe(reply.duration_ms / 1000)
        return reply
