"""One folder in shared memory: the compiled code of each template version in a file of its own, for all workers.

The front alone writes: beside, then renamed, so that a worker maps a whole file or finds none. The least used files
are unlinked to make room; a worker that has one mapped goes on with it. The folder belongs to one running renderer;
what renderers that are gone have left is removed at the next start.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import marshal
import mmap
import os
import shutil
import struct
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import IO

from morpheus_kit.errors import UnavailableError

PREFIX = "morpheus-renderer-"
UNNAMED_SECONDS = 60.0
_DIGEST_BYTES = 16
_SIZES = struct.Struct(">II")


class LostTemplatesError(Exception):
    """Files of these templates (path to version) are gone, cut or damaged; the front makes them again."""

    def __init__(self, versions: Mapping[str, str]) -> None:
        self.versions = dict(versions)
        super().__init__(", ".join(versions))


class CompiledTemplate:
    """One mapped file: the code of a template as HTML and as text, each loaded when it is first wanted."""

    def __init__(self, file: Path) -> None:
        """OSError when it is not there, ValueError when it is not what was written."""
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        content = memoryview(self._map)
        if len(content) < _DIGEST_BYTES + _SIZES.size or content[:_DIGEST_BYTES] != _digest(content[_DIGEST_BYTES:]):
            msg = "the file is cut or damaged"
            raise ValueError(msg)
        html, _ = _SIZES.unpack_from(content, _DIGEST_BYTES)
        code = content[_DIGEST_BYTES + _SIZES.size :]
        self._packed = {True: code[:html], False: code[html:]}
        self._loaded: dict[bool, CodeType] = {}

    @staticmethod
    def pack(html: CodeType, text: CodeType) -> bytes:
        """What the file of a template holds."""
        variants = [marshal.dumps(html), marshal.dumps(text)]
        content = _SIZES.pack(*map(len, variants)) + b"".join(variants)
        return _digest(content) + content

    def code(self, *, html: bool) -> CodeType:
        """Of the variant that escapes what it prints, or of the one that does not."""
        found = self._loaded.get(html)
        if found is None:
            found = self._loaded[html] = marshal.loads(self._packed[html])  # noqa: S302  the front's own, and checked
        return found


class SharedCache:
    """What workers see of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, path: str, version: str) -> CompiledTemplate | None:
        """None when its file is gone or not what was written."""
        try:
            return CompiledTemplate(self._file(path, version))
        except (OSError, ValueError):
            return None

    def _file(self, path: str, version: str) -> Path:
        return self.folder / "templates" / _name(path, version)


class OwnedCache(SharedCache):
    """What the front does with the folder."""

    def __init__(self, folder: Path, lock: IO[bytes], most_bytes: int) -> None:
        super().__init__(folder)
        self._lock = lock
        self._most_bytes = most_bytes
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._bytes = 0

    @classmethod
    def create(cls, parent: Path | None, most_bytes: int = 256 * 1024 * 1024) -> OwnedCache:
        """A fresh folder under `parent` (default: shared memory where there is some), after cleaning up there."""
        base = parent or default_parent()
        base.mkdir(parents=True, exist_ok=True)
        remove_abandoned(base)
        beside = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=base))
        lock = (beside / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (beside / "templates").mkdir(mode=0o700)
        # Only a locked folder ever has a name that another renderer's cleaning up removes at once.
        folder = beside.with_name(beside.name.removeprefix("."))
        return cls(beside.rename(folder), lock, most_bytes)

    def has(self, path: str, version: str) -> bool:
        """Whether there is a file; one that is asked for stays longer."""
        file = self._file(path, version)
        if file not in self._sizes:
            return False
        self._sizes.move_to_end(file)
        return True

    def put(self, path: str, version: str, content: bytes) -> None:
        """Publishes the file of a template. UnavailableError when the folder has no room for it, whatever goes."""
        self.drop(path, version)
        file = self._file(path, version)
        beside = file.with_name(f".{file.name}")
        while not _written(beside, content):
            if not self._sizes:
                raise UnavailableError("There is no room for one compiled template in the shared folder.")
            self._unlink(next(iter(self._sizes)))
        beside.rename(file)
        self._sizes[file] = len(content)
        self._bytes += len(content)
        while self._bytes > self._most_bytes and len(self._sizes) > 1:
            self._unlink(next(iter(self._sizes)))

    def drop(self, path: str, version: str) -> None:
        """Forgets a file."""
        file = self._file(path, version)
        if file in self._sizes:
            self._unlink(file)

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _unlink(self, file: Path) -> None:
        self._bytes -= self._sizes.pop(file)
        file.unlink(missing_ok=True)


def default_parent() -> Path:
    shared = Path("/dev/shm")  # noqa: S108  a fresh private folder is made in it
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def remove_abandoned(parent: Path) -> None:
    """Removes our folders under `parent` that no living renderer holds, and such as were never finished."""
    for folder in [*parent.glob(f"{PREFIX}*"), *parent.glob(f".{PREFIX}*")]:
        try:
            status = folder.lstat()
            if status.st_uid != os.getuid() or folder.is_symlink():
                continue
            if folder.name.startswith(".") and time.time() - status.st_mtime < UNNAMED_SECONDS:
                continue
            with (folder / "lock").open("ab" if folder.name.startswith(".") else "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # held, or just made or removed by another
            continue


def _written(beside: Path, content: bytes) -> bool:
    """Whether there was room."""
    try:
        beside.write_bytes(content)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        if exc.errno != errno.ENOSPC:
            raise
        return False
    return True


def _name(path: str, version: str) -> str:
    return hashlib.sha256(f"{version}\0{path}".encode()).hexdigest()


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
