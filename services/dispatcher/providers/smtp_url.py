"""`MORPHEUS_SMTP_URL`, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpUrl:
    """A relay. `start_tls`: True demanded, False never, None when offered; `tls`: from the first byte."""

    host: str
    port: int
    tls: bool
    start_tls: bool | None
    username: str
    password: str


def parse_smtp_url(text: str) -> SmtpUrl:
    """ValueError, with what to change, when it is none."""
    url = urlsplit(text)
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError("must be smtp://host or smtps://host, with user:pass@ and :port as needed")
    if url.path not in {"", "/"} or url.fragment:
        raise ValueError("has a path or a fragment, which mean nothing")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    start_tls = _start_tls(options.pop("starttls", None))
    if options:
        raise ValueError(f"does not know the option {next(iter(options))}")
    tls = url.scheme == "smtps"
    if tls and start_tls:
        raise ValueError("smtps has TLS from the first byte, starttls=1 means nothing")
    username, password = unquote(url.username or ""), unquote(url.password or "")
    if bool(username) != bool(password):
        raise ValueError("needs both user and password, or none")
    if username and not tls:
        if start_tls is False and not _is_loopback(url.hostname):
            raise ValueError("would send the password in clear; leave starttls=0 out")
        start_tls = True if start_tls is None and not _is_loopback(url.hostname) else start_tls
    return SmtpUrl(url.hostname, url.port or _PORTS[url.scheme], tls, False if tls else start_tls, username, password)


def _start_tls(value: str | None) -> bool | None:
    if value is None:
        return None
    if value not in {"0", "1"}:
        raise ValueError("starttls is 0 or 1")
    return value == "1"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
