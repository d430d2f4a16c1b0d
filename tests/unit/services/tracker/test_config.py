"""Where records are kept: what is refused says how it must be, and tells nothing of the password."""

from __future__ import annotations

import pytest

from morpheus_kit.config import ConfigError
from services.tracker.config import Config

SECRETS = {"MORPHEUS_ADDRESS_SECRET": "0123456789abcdef", "MORPHEUS_TOKEN_SECRET": "0123456789abcdef"}


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cret/more@host:9200",
        "https://user:s3cret#more@host:9200",
        "https://user:s3cret?more@host:9200",
        "https://user:s3cret@host:s3cret",
        "https://user:s3cret\N{ACCOUNT OF}more@host:9200",
        "https://user:s3cret@[host:9200",
        "https://user:s3cret@host:0",
        "https://user:s3cret@host:9200/index",
        "elastic://user:s3cret@host:9200",
    ],
)
def test_address_of_records_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load({**SECRETS, "MORPHEUS_RECORDS_URL": url})
    assert "MORPHEUS_RECORDS_URL: " in str(caught.value)
    assert "https://<user>:<password>@<host>:<port>" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_escaped_password_is_taken() -> None:
    config = Config.load({**SECRETS, "MORPHEUS_RECORDS_URL": "https://user:s3cret%2Fmore@host:9200"})
    assert "s3cret" not in repr(config)


def test_authority_without_https_is_refused() -> None:
    with pytest.raises(ConfigError, match="MORPHEUS_RECORDS_AUTHORITY needs an https:// address"):
        Config.load({**SECRETS, "MORPHEUS_RECORDS_URL": "http://host:9200", "MORPHEUS_RECORDS_AUTHORITY": "ca.pem"})
