"""What has to be fetched from SNS: certificates, kept, and the confirmation of a subscription."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from cryptography import x509

from morpheus_kit.errors import UnauthenticatedError, UnavailableError

_SECONDS: Final = 5.0
_MAX_BYTES: Final = 64 * 1024
_KEPT: Final = 16


class Amazon:
    """A part of the unit. Whoever calls has checked that the address is at a pinned host."""

    def __init__(self) -> None:
        """Opens no connection."""
        self._session: aiohttp.ClientSession | None = None
        self._kept: dict[str, x509.Certificate] = {}
        self._fetching = asyncio.Lock()

    async def start(self) -> None:
        """Ready to fetch."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def stop(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def certificate(self, url: str) -> x509.Certificate:
        """Fetched once. One at a time: who is not yet verified must not make us fetch much."""
        if (kept := self._kept.get(url)) is not None:
            return kept
        async with self._fetching:
            if (kept := self._kept.get(url)) is not None:
                return kept
            try:
                certificate = x509.load_pem_x509_certificate(await self._get(url))
            except ValueError as exc:
                raise UnauthenticatedError("SigningCertURL: there is no certificate.") from exc
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[url] = certificate
            return certificate

    async def confirm(self, url: str) -> None:
        """Opens the address that confirms a subscription. UnauthenticatedError, UnavailableError."""
        await self._get(url)

    async def _get(self, url: str) -> bytes:
        assert self._session is not None, "not started"  # noqa: S101  a part is started before it is used
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                body = await response.content.read(_MAX_BYTES)
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise UnavailableError("SNS does not answer.", retry_after=5) from exc
        if status >= 500 or status == 429:
            raise UnavailableError(f"SNS answers {status}.", retry_after=5)
        if status != 200:
            raise UnauthenticatedError(f"SNS answers {status}.")
        return body
