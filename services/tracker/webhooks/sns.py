"""SNS: whose post it is. Its signature covers fields of a JSON envelope, by a certificate that the envelope names."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from morpheus_kit.errors import UnauthenticatedError
from services.tracker.webhooks.base import Inbound
from services.tracker.webhooks.hosts import is_pinned

RAW_HEADER = "x-amz-sns-rawdelivery"

_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final[dict[str, tuple[str, ...]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
"""What is signed of each type, in this order; a field that is not there is left out."""
# Version 1 of the service's signatures is SHA-1; every topic has it until its owner sets version 2.
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
_CERTIFICATE_PATH = re.compile(r"/[A-Za-z0-9_-]{1,100}\.pem")


class Certificates(Protocol):
    """Where certificates come from."""

    async def certificate(self, url: str) -> x509.Certificate:
        """That of an address whose host is pinned. UnauthenticatedError, UnavailableError."""
        ...


def envelope_of(inbound: Inbound, topics: Collection[str]) -> dict[str, str]:
    """The fields of a post for one of our topics, not yet verified. UnauthenticatedError."""
    if inbound.headers.get(RAW_HEADER, "").lower() == "true":
        raise UnauthenticatedError("Raw message delivery has no signature; switch it off for this subscription.")
    try:
        envelope = msgspec.json.decode(inbound.body, type=dict[str, object])
    except ValueError as exc:
        raise UnauthenticatedError("The body is not the JSON that SNS signs.") from exc
    fields = {name: value for name, value in envelope.items() if isinstance(value, str)}
    if fields.get("Type") not in _SIGNED:
        raise UnauthenticatedError("Type: not one that SNS signs.")
    if fields.get("TopicArn") not in topics:
        raise UnauthenticatedError("TopicArn: not one of MORPHEUS_SES_TOPIC_ARNS.")
    return fields


async def verify(fields: Mapping[str, str], certificates: Certificates, hosts: Collection[str], now: datetime) -> None:
    """Returns when the certificate of a pinned host proves the signature. UnauthenticatedError, UnavailableError."""
    algorithm = _HASHES.get(fields.get("SignatureVersion", ""))
    if algorithm is None:
        raise UnauthenticatedError("SignatureVersion: 1 or 2 is required.")
    url = fields.get("SigningCertURL", "")
    if not is_pinned(url, hosts) or not _CERTIFICATE_PATH.fullmatch(urlsplit(url).path):
        raise UnauthenticatedError("SigningCertURL: not at a host of MORPHEUS_SNS_CERT_HOSTS.")
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise UnauthenticatedError("Signature: not base64.") from exc
    certificate = await certificates.certificate(url)
    key = certificate.public_key()
    if (
        not isinstance(key, rsa.RSAPublicKey)
        or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    ):
        raise UnauthenticatedError("SigningCertURL: the certificate is not valid now.")
    try:
        key.verify(signature, _signed_text(fields).encode(), padding.PKCS1v15(), algorithm)
    except InvalidSignature as exc:
        raise UnauthenticatedError("Signature: not valid for this post.") from exc


def _signed_text(fields: Mapping[str, str]) -> str:
    return "".join([f"{name}\n{fields[name]}\n" for name in _SIGNED[fields["Type"]] if name in fields])
