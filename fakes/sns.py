"""SNS as far as SES needs it: a topic whose posts are signed with a certificate that the fake serves."""

from __future__ import annotations

import base64
import functools
import json
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""The fields that are signed, in this order, for each type of post."""


def stamp(seconds: float) -> str:
    """A time as AWS writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    """One key for the process: it takes long to make, and all certificates here may say the same."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Topic:
    """One topic with its key. `version` is the SignatureVersion: 1 is SHA-1, 2 is SHA-256."""

    def __init__(self, arn: str, *, version: int = 1) -> None:
        self.arn = arn
        self.version = version
        self.token = ""
        """Of a subscription that waits to be confirmed."""
        self._key = _key()
        self.certificate_path = f"/SimpleNotificationService-{secrets.token_hex(16)}.pem"
        self.certificate = self._certify()

    def notification(self, message: dict[str, Any], now: float, base_url: str) -> dict[str, str]:
        """A signed Notification."""
        envelope = {
            "Type": "Notification",
            "MessageId": str(uuid.uuid4()),
            "TopicArn": self.arn,
            "Subject": "Amazon SES Email Event Notification",
            "Message": json.dumps(message),
            "Timestamp": stamp(now),
        }
        unsubscribe = f"{base_url}/?Action=Unsubscribe&SubscriptionArn={self.arn}:{uuid.uuid4()}"
        return self._sign(envelope, base_url) | {"UnsubscribeURL": unsubscribe}

    def subscription(self, now: float, base_url: str) -> dict[str, str]:
        """A signed SubscriptionConfirmation; nothing else is posted until its SubscribeURL is opened."""
        self.token = secrets.token_hex(32)
        envelope = {
            "Type": "SubscriptionConfirmation",
            "MessageId": str(uuid.uuid4()),
            "Token": self.token,
            "TopicArn": self.arn,
            "Message": f"You have chosen to subscribe to the topic {self.arn}.",
            "SubscribeURL": f"{base_url}/?Action=ConfirmSubscription&TopicArn={self.arn}&Token={self.token}",
            "Timestamp": stamp(now),
        }
        return self._sign(envelope, base_url)

    def confirm(self, arn: str, token: str) -> bool:
        """The SubscribeURL was opened."""
        good = arn == self.arn and bool(token) and token == self.token
        if good:
            self.token = ""
        return good

    def _sign(self, envelope: dict[str, str], base_url: str) -> dict[str, str]:
        text = "".join(f"{name}\n{envelope[name]}\n" for name in SIGNED[envelope["Type"]] if name in envelope)
        # Version 1 of the service's signatures is SHA-1; a stand-in has to follow.
        digest = hashes.SHA1() if self.version == 1 else hashes.SHA256()  # noqa: S303  SNS signs so in version 1
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), digest)
        return envelope | {
            "SignatureVersion": str(self.version),
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": base_url + self.certificate_path,
        }

    def _certify(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)
