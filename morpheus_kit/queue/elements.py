"""An element of a `pending` list: a short text header that scripts read, then the opaque blob.

`<attempt> <tries> <message id> <blob>`: `attempt` is the number of its next pass of the gate,
from 1; `tries` how many steps of the retry delays it has used, with `@<provider>` behind it once
a provider may have the message: another one must not get it.
"""

from __future__ import annotations

from typing import NamedTuple


class Element(NamedTuple):
    """A waiting message."""

    attempt: int
    tries: int
    message_id: str
    blob: bytes
    provider: str = ""
    """The only one that it may go to; empty: any."""


def pack_element(message_id: str, blob: bytes, *, attempt: int = 1, tries: int = 0, provider: str = "") -> bytes:
    """Puts the header before a packed `QueuedMessage`."""
    bound = f"@{provider}" if provider else ""
    return f"{attempt} {tries}{bound} {message_id} ".encode() + blob


def unpack_element(element: bytes) -> Element:
    """Splits header and blob. ValueError when it is no element."""
    attempt, tries, message_id, blob = element.split(b" ", 3)
    number, _, provider = tries.decode().partition("@")
    return Element(int(attempt), int(number), message_id.decode(), blob, provider)
