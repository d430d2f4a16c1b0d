"""What a template store is: read a path, get its bytes and the version that they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored file: its bytes, a version of `A-Za-z0-9._-` that changes when they change, and its type if known."""

    content: bytes
    version: str
    content_type: str = ""


class TemplateStore(Protocol):
    """Read access to one store. Paths are relative, with `/` between their parts, or `s3://bucket/key`."""

    async def start(self) -> None:
        """Gets ready to be read; a store that is away now is no error."""
        ...

    async def stop(self) -> None:
        """Closes what is open."""
        ...

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:
        """The content of `path`: that of the version `pinned` where it can still be had, else the present one.

        Raises:
            InvalidInputError: the path is absolute, has an empty, `.` or `..` part, leads out of the store, or names a
                bucket that is not configured.
            NotFoundError: there is no such file.
            TooLargeError: the file has more than `limit` bytes.
            UnavailableError: the store cannot be read now.
        """
        ...

    async def list(self, prefix: str, limit: int) -> list[str]:
        """Paths of the files that begin with `prefix`, in order; only those of its own folder.

        Raises:
            InvalidInputError: as for `read`.
            TooLargeError: there are more than `limit`.
            UnavailableError: the store cannot be read now.
        """
        ...

    async def check(self) -> None:
        """Raises UnavailableError when the store cannot be used at all."""
        ...
