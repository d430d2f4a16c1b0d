"""What a template store is: read a path, get its bytes and the version that they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored file: its bytes, and a version of `A-Za-z0-9._-` that changes when they change."""

    content: bytes
    version: str


class TemplateStore(Protocol):
    """Read access to one store. Paths are relative, with `/` between their parts."""

    async def read(self, path: str, limit: int) -> Blob:
        """The present content of `path`.

        Raises:
            InvalidInputError: the path is absolute, has an empty, `.` or `..` part, or leads out of the store.
            NotFoundError: there is no such file.
            TooLargeError: the file has more than `limit` bytes.
            UnavailableError: the store cannot be read now.
        """
        ...

    async def check(self) -> None:
        """Raises UnavailableError when the store cannot be used at all."""
        ...
