"""The hosts that an SNS post may name: those of our topics' regions, or of the configuration."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def is_pinned(url: str, hosts: Collection[str]) -> bool:
    """Whether `url` is at one of `hosts` (`host` or `host:port`): by https, or by http on this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = (parts.hostname or "").lower()
    if parts.username is not None or parts.password is not None or not _is_safe(parts, host):
        return False
    default = 443 if parts.scheme == "https" else 80
    names = {f"{host}:{port or default}"} | ({host} if port in {None, default} else set())
    return not names.isdisjoint(hosts)


def _is_safe(parts: SplitResult, host: str) -> bool:
    if parts.scheme == "https":
        return True
    try:
        return parts.scheme == "http" and ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_of(topics: Collection[str]) -> frozenset[str]:
    """The hosts of the regions of these topics: `arn:aws:sns:<region>:<account>:<name>`. ValueError."""
    found = set()
    for topic in topics:
        parts = topic.split(":")
        if len(parts) != 6 or parts[0] != "arn" or parts[2] != "sns" or not parts[3]:
            raise ValueError(f"not the ARN of an SNS topic: {topic}")
        suffix = ".cn" if parts[1] == "aws-cn" else ""
        found.add(f"sns.{parts[3]}.amazonaws.com{suffix}")
    return frozenset(found)
