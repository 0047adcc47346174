"""Where the events of one job go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.errors import InvalidValue
from antiphon.schemas import JOB_EVENTS, TERMINAL_EVENTS, JobEventType, WebhookTarget
from antiphon.webhooks.signing import key_of
from services.ingest.parameters.fields import Parameters, no_longer_than, one_of

ENDPOINT_PREFIX = "whe_"

_MAX_URL_CHARACTERS = 2048
_MAX_SECRET_CHARACTERS = 256
_MAX_ENDPOINT_CHARACTERS = 64


def read_target(parameters: Parameters, check_url: Callable[..., object]) -> WebhookTarget | None:
    """Return the receiver that a job names: a URL, the id of an endpoint, or an object. Raises `InvalidValue`."""
    value = parameters.members("webhook")
    if value is None or value == "":
        return None
    if isinstance(value, str):
        known = value.startswith(ENDPOINT_PREFIX)
        return _target(url=None if known else value, endpoint=value if known else None, check_url=check_url)
    return _target(
        url=_text(value, "url", _MAX_URL_CHARACTERS),
        endpoint=_text(value, "endpoint", _MAX_ENDPOINT_CHARACTERS),
        secret=_text(value, "secret", _MAX_SECRET_CHARACTERS),
        events=_events(value.get("events")),
        check_url=check_url,
    )


def _target(
    *,
    url: str | None,
    endpoint: str | None,
    check_url: Callable[..., object],
    secret: str | None = None,
    events: tuple[JobEventType, ...] = TERMINAL_EVENTS,
) -> WebhookTarget:
    if (url is None) == (endpoint is None):
        raise InvalidValue("Invalid 'webhook': expected either 'url' or 'endpoint'.", param="webhook")
    if url is not None:
        check_url(no_longer_than("webhook.url", url, _MAX_URL_CHARACTERS), param="webhook.url")
    elif secret is not None:
        raise InvalidValue("Invalid 'webhook': an endpoint has a secret of its own.", param="webhook.secret")
    if secret is not None:
        _check_secret(secret)
    return WebhookTarget(url=url, endpoint=endpoint, secret=secret, events=events)


def _text(value: dict[str, Any], name: str, maximum: int) -> str | None:
    text, where = value.get(name), f"webhook.{name}"
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise InvalidValue(f"Invalid type for '{where}': expected a string.", param=where)
    return no_longer_than(where, text, maximum)


def _events(value: object) -> tuple[JobEventType, ...]:
    where = "webhook.events"
    if value is None:
        return TERMINAL_EVENTS
    # A form has no lists within objects.
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidValue(f"Invalid type for '{where}': expected an array of strings.", param=where)
    return tuple(dict.fromkeys(one_of(where, name, JOB_EVENTS) for name in names))


def _check_secret(secret: str) -> None:
    try:
        key_of(secret)
    except InvalidValue as error:
        raise InvalidValue(error.message, param="webhook.secret") from None
