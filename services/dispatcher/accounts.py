"""Which accounts the providers send by, and how fast each may go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from redis.asyncio import Redis

from morpheus_kit.queue.pacing import Pace
from services.dispatcher.config import Config


def make_paces(config: Config, redis: Redis) -> Mapping[str, Pace]:
    """By name of the provider. An account's name is in a key of the queue, so a secret is in it only as a digest."""
    accounts = {
        "ses": (os.environ.get("AWS_REGION", "default"), config.ses_rate),
        "mandrill": (sha256(config.mandrill_key.encode()).hexdigest()[:8], config.mandrill_rate),
        "twilio": (config.twilio_account_sid, config.twilio_rate),
        "bird": (sha256(config.bird_key.encode()).hexdigest()[:8], config.bird_rate),
        "smtp": (urlsplit(config.smtp_url).hostname or "", config.smtp_rate),
    }
    return {name: Pace(redis, name, account, rate=rate) for name, (account, rate) in accounts.items()}
