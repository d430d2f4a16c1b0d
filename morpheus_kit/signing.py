"""The signature of a post: the public Standard Webhooks scheme over a text payload.

    payload   = "POST /v1/groups " + lowercase hex SHA-256 of the body bytes
    signature = "v1," + base64(HMAC-SHA256(secret, id + "." + timestamp + "." + payload))

A secret is `whsec_` and base64 of 24-64 random bytes; the HMAC key is the decoded bytes. The
payload binds method, path and digest, so a signature of one request says nothing about another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from morpheus_kit.errors import UnauthenticatedError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
KEY_HEADER = "morpheus-key"
PAYLOAD_METADATA = "morpheus-payload"
"""gRPC metadata: the payload that an HTTP caller signed, given on by the gateway."""

HTTP_POST = "POST /v1/groups"
RPC_POST = "/morpheus.intake.v1.IntakeService/SubmitGroup"
HTTP_PREVIEW = "POST /v1/preview"
RPC_PREVIEW = "/morpheus.intake.v1.IntakeService/PreviewGroup"
DEFAULT_KEY = "default"
TOLERANCE_SECONDS = 300

_SECRET_PREFIX = "whsec_"  # noqa: S105  a prefix that everybody knows
_VERSION = "v1,"
_MAX_ID_CHARS = 128
_MAX_TIMESTAMP_CHARS = 12
_MAX_SIGNATURE_CHARS = 4096


@dataclass(frozen=True, slots=True)
class SignatureHeaders:
    """The four headers of a signed request, as they came; empty where one was missing."""

    webhook_id: str
    timestamp: str
    signature: str
    key_id: str = DEFAULT_KEY

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> SignatureHeaders:
        """From headers or gRPC metadata with lowercase names."""
        return cls(
            headers.get(ID_HEADER, ""),
            headers.get(TIMESTAMP_HEADER, ""),
            headers.get(SIGNATURE_HEADER, ""),
            headers.get(KEY_HEADER, DEFAULT_KEY),
        )

    def as_dict(self) -> dict[str, str]:
        """As headers or metadata again."""
        return {
            ID_HEADER: self.webhook_id,
            TIMESTAMP_HEADER: self.timestamp,
            SIGNATURE_HEADER: self.signature,
            KEY_HEADER: self.key_id,
        }


def decode_secret(secret: str) -> bytes:
    """The HMAC key of a secret. ValueError when it is not `whsec_` and base64 of 24-64 bytes."""
    if not secret.startswith(_SECRET_PREFIX):
        msg = f"a secret begins with {_SECRET_PREFIX}"
        raise ValueError(msg)
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error as exc:
        msg = f"a secret is {_SECRET_PREFIX} and base64"
        raise ValueError(msg) from exc
    if not 24 <= len(key) <= 64:
        msg = "a secret holds 24 to 64 bytes"
        raise ValueError(msg)
    return key


def payload_of(target: str, digest: bytes) -> str:
    """The text that is signed: `target` is HTTP_POST, RPC_POST or another method and path."""
    return f"{target} {digest.hex()}"


def sign(key: bytes, webhook_id: str, timestamp: int | str, payload: str) -> str:
    """One signature, `v1,` included; `key` is a decoded secret."""
    mac = hmac.digest(key, f"{webhook_id}.{timestamp}.{payload}".encode(), "sha256")
    return _VERSION + base64.b64encode(mac).decode()


def signed_headers(
    secret: str,
    body: bytes,
    *,
    now_s: float,
    key_id: str = DEFAULT_KEY,
    webhook_id: str = "",
    target: str = HTTP_POST,
) -> dict[str, str]:
    """The four headers for `body`: what a client sends with it."""
    webhook_id = webhook_id or f"msg_{secrets.token_hex(16)}"
    timestamp = str(int(now_s))
    payload = payload_of(target, hashlib.sha256(body).digest())
    signature = sign(decode_secret(secret), webhook_id, timestamp, payload)
    return SignatureHeaders(webhook_id, timestamp, signature, key_id).as_dict()


def check_freshness(headers: SignatureHeaders, now_s: float) -> None:
    """Everything that can be judged without secret and payload. UnauthenticatedError says what."""
    webhook_id = headers.webhook_id
    if not 1 <= len(webhook_id) <= _MAX_ID_CHARS or not (webhook_id.isascii() and webhook_id.isprintable()):
        raise UnauthenticatedError(f"{ID_HEADER}: 1 to {_MAX_ID_CHARS} printable ASCII characters are required.")
    timestamp = headers.timestamp
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_TIMESTAMP_CHARS):
        raise UnauthenticatedError(f"{TIMESTAMP_HEADER}: Unix seconds are required.")
    if abs(now_s - int(timestamp)) > TOLERANCE_SECONDS:
        raise UnauthenticatedError(
            f"{TIMESTAMP_HEADER}: more than {TOLERANCE_SECONDS} seconds away from this server's time."
        )
    if not headers.signature:
        raise UnauthenticatedError(f"{SIGNATURE_HEADER}: a signature is required.")
    if len(headers.signature) > _MAX_SIGNATURE_CHARS:
        raise UnauthenticatedError(f"{SIGNATURE_HEADER}: at most {_MAX_SIGNATURE_CHARS} characters.")


def verify(headers: SignatureHeaders, payload: str, keys: Iterable[bytes], now_s: float) -> None:
    """Returns when one of the signatures was made with one of `keys`. UnauthenticatedError else.

    Every signature is compared with every key's, in constant time.
    """
    check_freshness(headers, now_s)
    expected = [sign(key, headers.webhook_id, headers.timestamp, payload).encode() for key in keys]
    given = [item.encode() for item in headers.signature.split(" ") if item.startswith(_VERSION)]
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
    if not any(matches):
        raise UnauthenticatedError(f"{SIGNATURE_HEADER}: no signature is valid for this key, id, timestamp and body.")
