"""A folder for relative paths, S3 for paths that name a bucket."""

from __future__ import annotations

from morpheus_kit.blobs import addresses
from morpheus_kit.blobs.base import Blob, TemplateStore


class StorePair:
    """Two stores as one."""

    def __init__(self, relative: TemplateStore, s3: TemplateStore) -> None:
        self._relative = relative
        self._s3 = s3

    async def start(self) -> None:
        """Starts both."""
        await self._relative.start()
        await self._s3.start()

    async def stop(self) -> None:
        """Stops both."""
        await self._s3.stop()
        await self._relative.stop()

    async def check(self) -> None:
        """Raises UnavailableError when one cannot be used at all."""
        await self._relative.check()
        await self._s3.check()

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:
        """From the store that `path` means."""
        return await self._store(path).read(path, limit, pinned)

    async def list(self, prefix: str, limit: int) -> list[str]:
        """From the store that `prefix` means."""
        return await self._store(prefix).list(prefix, limit)

    def _store(self, path: str) -> TemplateStore:
        return self._s3 if path.startswith(addresses.SCHEME) else self._relative
