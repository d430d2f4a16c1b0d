"""Changes as stores keep them: compressed blocks of one write and company, written once and dropped whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec
import zstandard

from services.tracker.fold import Step
from services.tracker.store.reports import FeedItem

BLOCK_ITEMS: Final = 1_000
_LEVEL: Final = 1


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One item of the feed without its company and place."""

    message_id: bytes
    group_id: str
    type: str
    state: str
    time_ms: int
    reason_code: str

    def item(self, cursor: str, company: str) -> FeedItem:
        """As it is read."""
        id_ = str(UUID(bytes=self.message_id))
        return FeedItem(cursor, id_, self.group_id, company, self.type, self.state, self.time_ms, self.reason_code)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def entries_of(group_id: str, message_id: str, steps: Sequence[Step]) -> list[Entry]:
    """What the feed tells of one message."""
    raw = bytes.fromhex(message_id.replace("-", ""))
    return [Entry(raw, group_id, *step) for step in steps]


def blocks_of(entries: Sequence[Entry]) -> Iterator[tuple[int, bytes]]:
    """Each block's number of items and its packed form."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    for start in range(0, len(entries), BLOCK_ITEMS):
        block = entries[start : start + BLOCK_ITEMS]
        yield len(block), compressor.compress(_encoder.encode(block))


def unpack_block(packed: bytes) -> list[Entry]:
    """The inverse of `blocks_of`."""
    return _decoder.decode(zstandard.ZstdDecompressor().decompress(packed))
