"""One folder in shared memory: a copy of each template by version and its compiled code, for all workers.

Files are written beside and renamed, so that a reader sees a whole one or none. The folder belongs to one running
renderer; what renderers that are gone have left is removed at the next start.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import IO

PREFIX = "morpheus-renderer-"
MOST_BYTES = 256 * 1024 * 1024
_VERSION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class SharedCache:
    """What workers see of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, version: str) -> bytes:
        """FileNotFoundError when there is no copy."""
        return (self.folder / "templates" / version).read_bytes()

    def bytecode_folder(self, kind: str) -> Path:
        """Where compiled code of `kind` (`html` or `text`) is."""
        return self.folder / f"code-{kind}"


class OwnedCache(SharedCache):
    """What the front does with the folder. It alone writes templates; the least used copies make room."""

    def __init__(self, folder: Path, lock: IO[bytes]) -> None:
        super().__init__(folder)
        self._lock = lock
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0

    @classmethod
    def create(cls, parent: Path | None) -> OwnedCache:
        """A fresh folder under `parent` (default: shared memory where there is some), after cleaning up there."""
        base = parent or default_parent()
        base.mkdir(parents=True, exist_ok=True)
        remove_abandoned(base)
        beside = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=base))
        lock = (beside / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in ("templates", "code-html", "code-text"):
            (beside / name).mkdir(mode=0o700)
        # Only a locked folder ever has a name that another renderer's cleaning up looks for.
        folder = beside.with_name(beside.name.removeprefix("."))
        return cls(beside.rename(folder), lock)

    def has(self, version: str) -> bool:
        """Whether there is a copy; one that is asked for stays longer."""
        if version not in self._sizes:
            return False
        self._sizes.move_to_end(version)
        return True

    def put(self, version: str, content: bytes) -> None:
        """Keeps a copy."""
        if self.has(version) or not _VERSION.fullmatch(version):
            return
        target = self.folder / "templates" / version
        beside = target.with_name(f".{version}")
        beside.write_bytes(content)
        beside.rename(target)
        self._sizes[version] = len(content)
        self._bytes += len(content)
        while self._bytes > MOST_BYTES and len(self._sizes) > 1:
            oldest, size = self._sizes.popitem(last=False)
            self._bytes -= size
            (self.folder / "templates" / oldest).unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def default_parent() -> Path:
    shared = Path("/dev/shm")  # noqa: S108  a fresh private folder is made in it
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def remove_abandoned(parent: Path) -> None:
    """Removes our folders under `parent` that no living renderer holds."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            status = folder.lstat()
            if status.st_uid != os.getuid() or folder.is_symlink():
                continue
            with (folder / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # held, or just made or removed by another
            continue
