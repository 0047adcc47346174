"""Start the webhook service: `python -m services.webhooks`."""

from __future__ import annotations

from antiphon.runtime import run
from services.webhooks.app import build
from services.webhooks.settings import WebhookSettings

run(build(WebhookSettings.from_environment()))
