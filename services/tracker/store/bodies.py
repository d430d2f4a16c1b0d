"""Bodies as the SQLite store keeps them: compressed against what the messages of their group have in common.

Bodies of one template differ in a few words. A group's first batch gives a dictionary of the pieces that
several of its messages share, so that nothing that is one person's own gets into it; each body is then
five times smaller and cheaper to write.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import zstandard

from morpheus_kit.addresses import normalise_address
from morpheus_kit.queue.schema import unpack_message
from services.tracker.documents import Body

_LEVEL, _DICTIONARY_LEVEL = 1, -1
_SAMPLES, _LOOKED_AT = 6, 50
_LARGEST = 32 * 1024
_CACHED = 64
_PIECE = re.compile(r"[^>\s]*[>\s]?")

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Body)

SELECT = "SELECT b.data, d.data FROM bodies b LEFT JOIN dictionaries d ON d.n = b.dictionary WHERE b.n = ?"


class _Packer(NamedTuple):
    dictionary_n: int | None
    compressor: zstandard.ZstdCompressor


class BodyWriter:
    """Packs bodies; belongs to the writer's connection and thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` has the schema."""
        self._db = connection
        self._plain = _Packer(None, zstandard.ZstdCompressor(level=_LEVEL))
        self._packers: dict[int, _Packer] = {}

    def write(self, bodies: Sequence[tuple[int, int, Body]]) -> None:
        """Rows of message, group and body. Part of the caller's transaction."""
        by_group: dict[int, list[tuple[int, Body]]] = {}
        for n, group_n, body in bodies:
            by_group.setdefault(group_n, []).append((n, body))
        for group_n, items in by_group.items():
            dictionary_n, compressor = self._packer(group_n, items)
            rows = [(n, dictionary_n, compressor.compress(_encoder.encode(body))) for n, body in items]
            self._db.executemany("INSERT OR REPLACE INTO bodies VALUES (?, ?, ?)", rows)

    def read(self, n: int) -> Body:
        """A body as it stands now, the caller's changes included."""
        return unpack_body(*self._db.execute(SELECT, (n,)).fetchone())

    def forget(self) -> None:
        """The transaction was rolled back: dictionaries of it are not there."""
        self._packers.clear()

    def _packer(self, group_n: int, items: Sequence[tuple[int, Body]]) -> _Packer:
        packer = self._packers.get(group_n)
        if packer is None:
            found = self._db.execute("SELECT n, data FROM dictionaries WHERE group_n = ?", (group_n,)).fetchone()
            n, data = found or self._make(group_n, [body for _, body in items])
            if n is None:
                return self._plain
            if len(self._packers) >= _CACHED:
                self._packers.clear()
            dictionary = zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
            dictionary.precompute_compress(level=_DICTIONARY_LEVEL)
            compressor = zstandard.ZstdCompressor(level=_DICTIONARY_LEVEL, dict_data=dictionary)
            packer = self._packers[group_n] = _Packer(n, compressor)
        return packer

    def _make(self, group_n: int, bodies: Sequence[Body]) -> tuple[int | None, bytes]:
        samples = _samples(bodies)
        data = shared_pieces(samples) if len(samples) == _SAMPLES else b""
        if not data:
            return None, b""
        cursor = self._db.execute("INSERT INTO dictionaries (group_n, data) VALUES (?, ?)", (group_n, data))
        return cursor.lastrowid, data


def _samples(bodies: Sequence[Body]) -> list[str]:
    """Texts to as many people as are needed: what only one of them is told must not be in all."""
    found: dict[str, str] = {}
    for number, body in enumerate(bodies[:_LOOKED_AT]):
        if len(found) < _SAMPLES and (body.html or body.text):
            found.setdefault(_recipient(body) or str(number), _compared(body))
    return list(found.values())


def _recipient(body: Body) -> str:
    try:
        return normalise_address(unpack_message(body.blob).address)
    except ValueError:
        return ""


def unpack_body(data: bytes, dictionary: bytes | None) -> Body:
    """The inverse of what `BodyWriter` does."""
    if dictionary is None:
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(data))
    content = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return _decoder.decode(zstandard.ZstdDecompressor(dict_data=content).decompress(data))


def _compared(body: Body) -> str:
    versions = [word for pair in body.template_versions.items() for word in pair]
    return " ".join([body.html + body.text, *versions])


def shared_pieces(texts: Sequence[str]) -> bytes:
    """What of the first text stands in all others too, in order, word by word and tag by tag."""
    first, *others = texts
    seen: Iterable[set[str]] = [set(_PIECE.findall(text)) for text in others]
    common = set.intersection(*seen)
    return "".join([piece for piece in _PIECE.findall(first) if piece in common]).encode()[-_LARGEST:]
