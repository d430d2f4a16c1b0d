"""The webhooks that a configuration has keys for."""

from __future__ import annotations

from morpheus_kit.clock import Clock
from services.tracker.config import Config
from services.tracker.webhooks.amazon import Amazon
from services.tracker.webhooks.base import Webhook
from services.tracker.webhooks.bird import BirdWebhook
from services.tracker.webhooks.hosts import hosts_of
from services.tracker.webhooks.mandrill import MandrillWebhook
from services.tracker.webhooks.ses import SesWebhook
from services.tracker.webhooks.twilio import TwilioWebhook


def configured_webhooks(config: Config, amazon: Amazon, clock: Clock) -> list[Webhook]:
    """One for each provider that has a key; the others are not there."""
    found: list[Webhook] = []
    url = config.public_url.rstrip("/")
    if config.mandrill_webhook_keys:
        found.append(MandrillWebhook(url, [key.get_secret_value() for key in config.mandrill_webhook_keys]))
    if config.ses_topic_arns:
        hosts = config.sns_cert_hosts or hosts_of(config.ses_topic_arns)
        found.append(SesWebhook(amazon, config.ses_topic_arns, hosts, clock))
    tokens = [key.get_secret_value() for key in (config.twilio_auth_token, *config.twilio_webhook_keys)]
    if url and any(tokens):
        found.append(TwilioWebhook(url, [token for token in tokens if token], clock))
    if config.bird_webhook_secret:
        found.append(BirdWebhook([secret.get_secret_value() for secret in config.bird_webhook_secret], clock))
    return found
