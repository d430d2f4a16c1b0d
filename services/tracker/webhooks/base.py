"""What the providers' webhooks share: a request in, verified, and the events that it tells of out."""

from __future__ import annotations

import base64
import hmac
import re
from binascii import a2b_qp
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

from morpheus_kit.errors import MalformedError, UnauthenticatedError
from morpheus_kit.queue.schema import Event
from services.tracker.webhooks.replies import Word

Detail: TypeAlias = dict[str, str | int | float | bool | None]

_MAX_FIELDS = 200
_MAX_WORDS = 500
_MAX_RAW = 2_000
_MAX_MS = 253_402_300_799_999  # the end of the year 9999
_REFERENCE = re.compile(r"[0-9]{6}-([0-9]{3})-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"[^\s<>@\"'(),:;]+@[^\s<>@\"'(),:;]+|\+?[0-9][0-9 ()-]{6,}[0-9]")
_NOT_A_WORD = re.compile(r"[^A-Za-z0-9._-]+")


class Inbound(NamedTuple):
    """A request as it came. `target` is the raw path and query; names of headers in lower case."""

    target: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """A person's text to one of our senders that stops what we send, or lets it go on."""

    word: Word
    number: str
    sender: str
    provider: str
    time_ms: int
    undated: bool
    discriminator: str


@dataclass(slots=True)
class Batch:
    """What a verified request tells. `reference` of an event is empty where the provider echoed none."""

    events: list[Event] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    unreadable: int = 0
    """Events of it that nobody could understand; the others count."""


class Webhook(Protocol):
    """One provider's webhook."""

    name: str

    async def read(self, inbound: Inbound) -> Batch:
        """Verifies, then reads. UnauthenticatedError when it is forged, MalformedError when it cannot be read."""
        ...


def partition_of(reference: str) -> int | None:
    """The partition that a message reference names; None when it is no reference of ours."""
    found = _REFERENCE.fullmatch(reference)
    return int(found[1]) if found else None


def decoded_form(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form, in their order. UnauthenticatedError: what cannot be read cannot be genuine."""
    pieces = body.split(b"&", _MAX_FIELDS)
    try:
        if len(pieces) > _MAX_FIELDS or not body.isascii():
            raise ValueError("no form")
        fields = [piece.partition(b"=") for piece in pieces if piece]
        return [(_unquoted(name).decode(), _unquoted(value).decode()) for name, _, value in fields]
    except ValueError as exc:
        raise UnauthenticatedError("The body is not the form that the provider signs.") from exc


def _unquoted(text: bytes) -> bytes:
    """A name or value without its escapes. Quoted-printable is the same code with another sign, and read in C.

    What is not well-formed takes the slow way. (In a batch of Mandrill every third character is an escape.)
    """
    spaced = text.replace(b"+", b" ")
    if b"=" not in text and b"\n" not in text and b"\r" not in text:
        found = a2b_qp(spaced.replace(b"%", b"="))
        if len(found) == len(text) - 2 * text.count(b"%"):
            return found
    return unquote_to_bytes(spaced)


def check_signature(given: str, texts: Iterable[str], keys: Iterable[bytes], digest: str, header: str) -> None:
    """Returns when `given` is the base64 HMAC of one of `texts` by one of `keys`. UnauthenticatedError else."""
    signed = given.encode()
    encoded = [text.encode() for text in texts]
    expected = [base64.b64encode(hmac.digest(key, text, digest)) for key in keys for text in encoded]
    matches = [hmac.compare_digest(signed, each) for each in expected]
    if not any(matches):
        raise UnauthenticatedError(f"{header}: the signature is not valid for this address and body.")


def known_type(provider: str, word: str, table: Mapping[str, str]) -> str:
    """Our event type of a provider's word; a word that is not in the table is kept as it is, behind its provider."""
    return table.get(word) or f"{provider}.{_NOT_A_WORD.sub('_', word)[:64]}"


def words_of(*parts: object) -> str:
    """What a provider says about a failure, in one line, with the addresses in it masked."""
    text = " · ".join([" ".join(str(part).split()) for part in parts if part])
    return masked(text)[:_MAX_WORDS]


def masked(text: str) -> str:
    """Free text of others: mail addresses and numbers become an ellipsis."""
    return _ADDRESS.sub("…", text)


def raw_detail(raw: bytes) -> Detail:
    """What is kept of an event that has no meaning here."""
    return {"raw": masked(raw.decode(errors="replace"))[:_MAX_RAW]}


def millis_of(seconds: object) -> int:
    """Unix seconds as milliseconds. ValueError."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError("not a time")  # noqa: TRY004  to a caller it is one of many values that are wrong
    return _bounded(int(seconds * 1000)) if abs(seconds) < _MAX_MS else _bounded(0)


def millis_of_text(text: object) -> int:
    """An ISO 8601 time as milliseconds. ValueError."""
    moment = datetime.fromisoformat(str(text))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _bounded(round(moment.timestamp() * 1000))


def _bounded(milliseconds: int) -> int:
    if not 0 < milliseconds <= _MAX_MS:
        raise ValueError("not a time")
    return milliseconds


def malformed(what: str) -> MalformedError:
    """A request that is genuine, and yet is nothing that we know."""
    return MalformedError(f"The webhook is signed, but {what}.")
