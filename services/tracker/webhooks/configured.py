"""The webhooks that a configuration has keys for."""

from __future__ import annotations

from services.tracker.config import Config
from services.tracker.webhooks.base import Webhook
from services.tracker.webhooks.mandrill import MandrillWebhook


def configured_webhooks(config: Config) -> list[Webhook]:
    """One for each provider that has a key; the others are not there."""
    found: list[Webhook] = []
    url = config.public_url.rstrip("/")
    if config.mandrill_webhook_keys:
        found.append(MandrillWebhook(url, [key.get_secret_value() for key in config.mandrill_webhook_keys]))
    return found
