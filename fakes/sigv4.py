"""AWS Signature Version 4, checked as the service checks it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def access_key(authorization: str, service: str) -> str | None:
    """The access key that a request is signed with; None when it is not signed for this service."""
    found = _AUTHORIZATION.fullmatch(authorization)
    return found["key"] if found is not None and found["service"] == service else None


def is_signed(secret: str, method: str, raw_path: str, headers: Mapping[str, str], body: bytes) -> bool:
    """The signature of the request is the one that this secret makes; `headers` finds names in any case."""
    found = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    stamp = headers.get("X-Amz-Date", "")
    if found is None or not stamp.startswith(found["date"]):
        return False
    path, _, query = raw_path.partition("?")
    names = found["headers"].split(";")
    canonical = [
        method,
        quote(unquote(path), safe="/-_.~"),
        "&".join(sorted(query.split("&"))) if query else "",
        *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in names),
        "",
        found["headers"],
        hashlib.sha256(body).hexdigest(),
    ]
    scope = f"{found['date']}/{found['region']}/{found['service']}/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hexdigest()
    return hmac.compare_digest(signature, found["signature"])
