"""Unsubscribe links, `<public URL>/u/<token>`: who is unsubscribed from what, signed, so that only we can make one.

A token holds company, stream, message reference and the keyed hash of the address. So it works for years, also when
nothing else of the message is kept any more; and it holds no address.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from morpheus_kit import ids
from morpheus_kit.addresses import HASH_BYTES, AddressHasher, is_simulated

NOBODY: Final = bytes(HASH_BYTES)
"""In the place of the hash: an address that is never suppressed."""

_VERSION: Final = 1
_MAC_BYTES: Final = 16
_LONGEST: Final = 512
_MONTH: Final = 1000
_fields: Final = Struct(f">BI4s16s{HASH_BYTES}s")
"""Version, month and partition as one number, group key, message id, hash of the address; the names follow."""


class UnsubscribeLink(NamedTuple):
    """What a token says."""

    company: str
    stream: str
    reference: str
    """Of the message that the link was in."""
    recipient: bytes
    """The address's keyed hash, or `NOBODY`."""


class UnsubscribeLinks:
    """Makes and reads links with one secret."""

    def __init__(self, secret: str, public_url: str = "") -> None:
        """`secret` is `MORPHEUS_ADDRESS_SECRET`, which never changes; `public_url` is where the gateway is."""
        self._key = hmac.digest(secret.encode(), b"unsubscribe link", "sha256")
        self._hasher = AddressHasher(secret)
        self._base = _base(public_url)

    def url(self, company: str, stream: str, reference: str, address: str) -> str:
        """The link of one message, the same each time; about 100 characters after the public URL."""
        recipient = NOBODY if is_simulated(address) else self._hasher.hash(company, address)
        return self._base + self._token(UnsubscribeLink(company, stream, reference, recipient))

    def read(self, token: str) -> UnsubscribeLink:
        """What a token says. ValueError when it is not ours."""
        if len(token) > _LONGEST:
            raise ValueError("too long for a token")
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (binascii.Error, UnicodeEncodeError) as exc:
            raise ValueError("not base64") from exc
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)) or _encode(raw) != token:
            raise ValueError("not signed by us")
        if body[0] != _VERSION:
            raise ValueError("of another release")
        _, when, key, message, recipient = _fields.unpack_from(body)
        company, stream = body[_fields.size :].decode().split("/")
        reference = f"{when // _MONTH}-{when % _MONTH:03d}-{key.hex()}-{UUID(bytes=message)}"
        return UnsubscribeLink(company, stream, reference, recipient)

    def _token(self, link: UnsubscribeLink) -> str:
        month, partition, key, message = ids.parse_reference(link.reference)
        fields = (_VERSION, int(month) * _MONTH + partition, bytes.fromhex(key), UUID(message).bytes, link.recipient)
        body = _fields.pack(*fields) + f"{link.company}/{link.stream}".encode()
        return _encode(self._mac(body) + body)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]


def sample_url(public_url: str, company: str, stream: str) -> str:
    """A link that leads nowhere, as long as those of this company and stream."""
    return _base(public_url) + _encode(bytes(_MAC_BYTES + _fields.size + len(f"{company}/{stream}")))


def _base(public_url: str) -> str:
    return f"{public_url.rstrip('/')}/u/"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
