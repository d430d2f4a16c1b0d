"""Page tokens: opaque, signed, and bound to the question that they go on with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from morpheus_kit.errors import InvalidInputError
from services.tracker.store.base import Position

_MAC_BYTES = 16
_DIGEST_BYTES = 12


class _Token(msgspec.Struct, array_like=True, frozen=True):
    question: bytes
    accepted_ms: int
    place: str


_decoder = msgspec.msgpack.Decoder(_Token)


class PageTokens:
    """Makes and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        """`secret` is `MORPHEUS_TOKEN_SECRET`, the same in every process that reads the tokens."""
        self._key = hmac.digest(secret.encode(), b"tracker page token", "sha256")

    def make(self, question: object, position: Position) -> str:
        """A token for the page after `position`. `question` is everything that the caller asked for."""
        body = msgspec.msgpack.encode(_Token(_digest(question), position.accepted_ms, position.place))
        return base64.urlsafe_b64encode(self._mac(body) + body).rstrip(b"=").decode()

    def read(self, question: object, token: str) -> Position | None:
        """Where to go on; None at the beginning. InvalidInputError when it is not ours or of another question."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as exc:
            raise _refused("this is no page token") from exc
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise _refused("this is no page token")
        content = _decoder.decode(body)
        if content.question != _digest(question):
            raise _refused("the page token belongs to a question with other filters; start from the first page")
        return Position(content.accepted_ms, content.place)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]


def _digest(question: object) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(question)).digest()[:_DIGEST_BYTES]


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError.of("page_token", reason)
