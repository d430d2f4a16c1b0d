"""The address of a relay."""

from __future__ import annotations

import pytest

from services.dispatcher.providers.smtp_url import SmtpUrl, parse_smtp_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("smtp://relay.example", SmtpUrl("relay.example", 587, False, None, "", "")),
        ("smtp://relay.example:25?starttls=0", SmtpUrl("relay.example", 25, False, False, "", "")),
        ("smtp://relay.example:2525/?starttls=1", SmtpUrl("relay.example", 2525, False, True, "", "")),
        ("smtps://relay.example", SmtpUrl("relay.example", 465, True, False, "", "")),
        ("smtp://u:p%40s%2F@relay.example", SmtpUrl("relay.example", 587, False, True, "u", "p@s/")),
        ("smtp://u:p@127.0.0.1:25?starttls=0", SmtpUrl("127.0.0.1", 25, False, False, "u", "p")),
        ("smtp://u:p@localhost", SmtpUrl("localhost", 587, False, None, "u", "p")),
        ("smtp://[::1]:25", SmtpUrl("::1", 25, False, None, "", "")),
    ],
)
def test_urls(text: str, url: SmtpUrl) -> None:
    assert parse_smtp_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay.example:25",
        "http://relay.example",
        "smtp://",
        "smtp://relay.example/path",
        "smtp://relay.example?startls=1",
        "smtp://relay.example?starttls=yes",
        "smtps://relay.example?starttls=1",
        "smtp://user@relay.example",
        "smtp://u:p@relay.example?starttls=0",
        "smtp://relay.example:port",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_smtp_url(text)
