"""What passes through the pipes between the front and its workers: frames of length, kind and payload.

A RENDER order may end before its last messages: what the CHUNKs count is answered, the rest is to be ordered again.

Front to worker: RENDER (a serialized RenderMessagesRequest), COMPILE or DESCRIBE (a `Compile`), and CONTENT in answer
to FETCH. Worker to front: READY once, then per order any number of CHUNK and FETCH, and at its end DONE (with a
`Compiled` after COMPILE, a `Description` after DESCRIBE), REFUSED, when it is no order, or LOST, when the shared cache
lacks templates of the slice (path to version), before any CHUNK.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

LOADING = -2
"""The position of a worker that loads a library: slow once, and no message's fault."""

READY, RENDER, COMPILE, CHUNK, DONE, REFUSED, LOST, FETCH, CONTENT, DESCRIBE = range(10)

_HEADER = struct.Struct(">IBI")
_PROGRESS = struct.Struct("<iI")


class Frame(msgspec.Struct, frozen=True):
    """`count`: of a CHUNK, how many messages it answers."""

    kind: int
    payload: bytes = b""
    count: int = 0


class Compile(msgspec.Struct, frozen=True):
    """An order to compile one template and to say what it refers to."""

    path: str
    source: bytes


class Compiled(msgspec.Struct, frozen=True):
    """Each reference is the names of which one must exist; an optional one may miss altogether.

    `content` is the template's file of the shared cache; with a `code` there is none, and `text` says why, `line`
    where (0: as a whole). `died`: no worker has lived to say so, and another time one may.
    """

    required: list[list[str]] = []
    optional: list[str] = []
    code: str = ""
    text: str = ""
    content: bytes = b""
    line: int = 0
    died: bool = False


class Reference(msgspec.Struct, frozen=True):
    """One `extends`, `include` or `import`: names of which the first that is there is taken."""

    kind: str
    names: list[str]
    line: int
    optional: bool = False
    sees_context: bool = True


class Description(msgspec.Struct, frozen=True):
    """What one template reads that it does not set, what it sets, and what it refers to; a fault as in `Compiled`."""

    reads: list[str] = []
    sets: list[str] = []
    references: list[Reference] = []
    code: str = ""
    text: str = ""
    line: int = 0
    died: bool = False


class Content(msgspec.Struct, frozen=True):
    """The answer to FETCH: bytes, or why there are none. `content_type` is what the store says, if anything."""

    content: bytes = b""
    error: str = ""
    too_large: bool = False
    content_type: str = ""


def pack(frame: Frame) -> bytes:
    return _HEADER.pack(len(frame.payload), frame.kind, frame.count) + frame.payload


async def read_async(reader: asyncio.StreamReader) -> Frame:
    """EOFError (IncompleteReadError) when the other side is gone."""
    size, kind, count = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    return Frame(kind, await reader.readexactly(size) if size else b"", count)


def read(pipe: BinaryIO) -> Frame:
    """EOFError when the other side is gone."""
    size, kind, count = _HEADER.unpack(_exactly(pipe, _HEADER.size))
    return Frame(kind, _exactly(pipe, size) if size else b"", count)


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


class Progress:
    """Eight shared bytes in which a worker says what it is at, so that the front sees which message holds it up."""

    def __init__(self, path: Path) -> None:
        """`path` is an eight-byte file that both sides map; see `create`."""
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PROGRESS.size)

    @classmethod
    def create(cls, path: Path) -> Progress:
        path.write_bytes(bytes(_PROGRESS.size))
        return cls(path)

    def begin(self, position: int) -> None:
        """Work on message `position` of the order begins; −1 is none in particular, LOADING is a library."""
        beat = _PROGRESS.unpack_from(self._map)[1]
        _PROGRESS.pack_into(self._map, 0, position, (beat + 1) & 0xFFFFFFFF)

    def read(self) -> tuple[int, int]:
        """Position, and a number that changes with every `begin`."""
        position, beat = _PROGRESS.unpack_from(self._map)
        return position, beat
