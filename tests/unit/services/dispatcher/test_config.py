"""The environment of the dispatcher."""

from __future__ import annotations

import pytest

from morpheus_kit.config import KNOWN_NAMES, ConfigError
from services.dispatcher.config import Config

SECRET = {"MORPHEUS_ADDRESS_SECRET": "a secret of sixteen"}


def test_defaults_are_those_of_the_documentation() -> None:
    config = Config.load(SECRET)
    assert list(config.retry_delays) == [5, 10, 60, 600, 1800, 3600, 43200]
    assert (config.uncertain_after, config.uncertain_email, config.uncertain_sms) == (900, "resend", "give_up")
    assert (config.lease, config.grace, config.provider_timeout, config.test_time_scale) == (30, 25, 15, 0.001)
    assert (config.senders, config.slice) == (4, 100)


def test_every_name_is_known() -> None:
    assert {name.upper() for name in Config.model_fields} <= KNOWN_NAMES


def test_lists_have_commas() -> None:
    assert Config.load(SECRET | {"MORPHEUS_RETRY_DELAYS": "1, 2.5,3"}).retry_delays == (1, 2.5, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RETRY_DELAYS", "1,x"),
        ("RETRY_DELAYS", "-1"),
        ("UNCERTAIN_EMAIL", "maybe"),
        ("SLICE", "501"),
        ("TEST_TIME_SCALE", "0"),
        ("SMTP_URL", "http://relay"),
        ("SMS_ROUTE", "pigeon"),
        ("TWILIO_URL", "https://api.twilio.com/2010"),
        ("PRICES_FILE", "/nowhere/prices.toml"),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("ADDRESS_SECRET", "short"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"MORPHEUS_{name}"):
        Config.load(SECRET | {f"MORPHEUS_{name}": value})
