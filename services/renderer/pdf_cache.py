"""PDFs that were made already, one file each in shared memory: what one worker made, all have.

A PDF is found by the SHA-256 of its HTML, and is good as long as all that it shows is as it was. Files are written
beside and renamed; the oldest are unlinked when there are too many bytes. Nobody counts references: who has a file open
keeps it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec


class MadePdf(msgspec.Struct, frozen=True):
    """`shown`: SHA-256 of each file of the store that it shows, by path."""

    content: bytes
    shown: dict[str, str] = {}


class SharedPdfs:
    """The folder, seen from one worker."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """`folder` is made when it is missing."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes

    @staticmethod
    def key(html: str) -> str:
        """What `html` is found by."""
        return hashlib.sha256(html.encode(errors="surrogatepass")).hexdigest()

    def get(self, key: str) -> MadePdf | None:
        """The PDF, if it is there. One that is asked for stays longer."""
        path = self._folder / key
        try:
            packed = path.read_bytes()
            path.touch()
        except FileNotFoundError:
            return None
        return msgspec.msgpack.decode(packed, type=MadePdf)

    def put(self, key: str, made: MadePdf) -> None:
        """Keeps it, when there is room."""
        packed = msgspec.msgpack.encode(made)
        if len(packed) > self._most_bytes:
            return
        beside = self._folder / f".{key}"  # who writes it holds the lock
        try:
            beside.write_bytes(packed)
        except OSError:  # shared memory is full: the PDF is good all the same
            beside.unlink(missing_ok=True)
            return
        beside.rename(self._folder / key)
        self._make_room()

    @contextlib.contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Nobody else makes this PDF meanwhile; a worker that dies lets go."""
        path = self._folder / f"{key}.lock"
        with _locked(path):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.suffix == ".lock":
                    self._remove_abandoned(path)
                elif "." not in path.name:
                    status = path.stat()
                    found.append((status.st_mtime_ns, status.st_size, path))
        size = sum(each for _, each, _ in found)
        for _, each, path in sorted(found):
            if size <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            size -= each

    def _remove_abandoned(self, lock: Path) -> None:
        """What a worker has left that was killed while it made a PDF."""
        with lock.open("rb") as opened, contextlib.suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self._folder / f".{lock.stem}").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock on the file that `path` names: who had it before may have removed the one that was opened."""
    while True:
        with path.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:
                yield
                return
