"""A template store that is a folder of this machine. The version of a file is the SHA-256 of its content."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from morpheus_kit.blobs.addresses import is_plain
from morpheus_kit.blobs.base import Blob
from morpheus_kit.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})


class FolderStore:
    """Files under one root; nothing outside it can be read, by no spelling and through no link."""

    def __init__(self, root: Path) -> None:
        """`root` may come to exist later; it is looked up at each read."""
        self._root = root

    @classmethod
    def from_url(cls, url: str) -> FolderStore:
        """The store of `file:///folder`. ValueError when the address is not one of a local folder."""
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            msg = f"{url}: a template folder is written file:///folder"
            raise ValueError(msg)
        return cls(Path(unquote(parts.path)))

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def stop(self) -> None:
        """Nothing is open."""

    async def check(self) -> None:
        """Raises UnavailableError when the root is not a readable folder."""
        if not (self._root.is_dir() and os.access(self._root, os.R_OK | os.X_OK)):
            raise UnavailableError(f"The template folder {self._root} cannot be read.")

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:  # noqa: ARG002  a folder has one version
        """The present content of `path`; see `TemplateStore.read` for what is raised."""
        try:
            content = _read(self._locate(path), limit)
        except OSError as exc:
            if exc.errno in _ABSENT:
                raise NotFoundError(f"{path} is not in the template store.") from exc
            raise UnavailableError(f"{path} cannot be read: {exc.strerror}.") from exc
        if content is None:
            raise NotFoundError(f"{path} is not a file of the template store.")
        if len(content) > limit:
            raise TooLargeError(f"{path} is larger than {limit} bytes.")
        return Blob(content, hashlib.sha256(content).hexdigest())

    async def list(self, prefix: str, limit: int) -> list[str]:
        """See `TemplateStore.list`."""
        folder, _, start = prefix.rpartition("/")
        try:
            place = self._locate(folder) if folder else self._root
            found = sorted(
                entry.name for entry in os.scandir(place) if entry.name.startswith(start) and entry.is_file()
            )
        except NotFoundError:
            return []
        except OSError as exc:
            if exc.errno in _ABSENT:
                return []
            raise UnavailableError(f"{prefix} cannot be looked for: {exc.strerror}.") from exc
        if len(found) > limit:
            raise TooLargeError(f"{prefix}: more than {limit} files begin so.")
        return [f"{folder}/{name}" if folder else name for name in found]

    def _locate(self, path: str) -> Path:
        if not is_plain(path):
            raise InvalidInputError.of("path", f"{path!r} is not a path inside the template store")
        root = self._root.resolve()
        try:
            found = (root / path).resolve(strict=True)
        except RuntimeError as exc:  # what a loop of links was before Python 3.13
            raise NotFoundError(f"{path} is not in the template store.") from exc
        if not found.is_relative_to(root):
            raise InvalidInputError.of("path", f"{path!r} leads out of the template store")
        return found


def _read(path: Path, limit: int) -> bytes | None:
    """At most `limit` + 1 bytes; None when it is no regular file. Never waits for a pipe's other end."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return file.read(limit + 1)
