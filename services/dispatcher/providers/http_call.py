"""One HTTP request that sends a message: never repeated, and it knows whether the provider may have read it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import aiohttp

from services.dispatcher.providers.base import Outgoing
from services.dispatcher.verdicts import Answer, Verdict

_MAX_ANSWER = 1024 * 1024
_REPLAY_HEADER = "Idempotency-Replay"
# Shorter than servers keep theirs: a request on a connection that they are closing would be lost in doubt.
_KEEPALIVE_SECONDS = 10.0
_written: ContextVar[bool] = ContextVar("written")
"""Of the call of this task: whether bytes may have left."""


class HttpAnswer(NamedTuple):
    """Status, body, `Retry-After`, and whether it is the answer to an earlier request with the same key."""

    status: int
    body: bytes
    retry_after: str
    replayed: bool = False


class HttpCalls:
    """A session of one provider."""

    def __init__(self, headers: Mapping[str, str], *, connections: int, timeout: float) -> None:
        """`headers`: of every call; `timeout`: seconds for one whole call, the wait for a connection included."""
        self._headers = headers
        self._connections = connections
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Opens no connection yet."""
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=self._connections, keepalive_timeout=_KEEPALIVE_SECONDS),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> HttpAnswer | Verdict:
        """The answer; a verdict where there is none. `headers`: of this call alone."""
        assert self._session is not None, "not started"  # noqa: S101  a part is started before it is used
        _written.set(False)
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await response.content.read(_MAX_ANSWER)
                while not response.content.at_eof():
                    answer += await response.content.read(_MAX_ANSWER - len(answer) or 1)
                    if len(answer) > _MAX_ANSWER:
                        break
                replayed = response.headers.get(_REPLAY_HEADER, "").lower() == "true"
                return HttpAnswer(response.status, answer, response.headers.get("Retry-After", ""), replayed)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            words = "no answer in time" if isinstance(exc, TimeoutError) else str(exc) or type(exc).__name__
            return Verdict(Answer.UNCLEAR if _written.get() else Answer.RETRY, words)


class _Connector(aiohttp.TCPConnector):
    """Notes when a request has its connection: what fails before has certainly not been read.

    The library's tracing tells the same, but costs each call more CPU.
    """

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        """A connection, new or kept."""
        connection = await super().connect(*args, **kwargs)
        _written.set(True)
        return connection


class HttpProvider(ABC):
    """The life of a provider that takes one message a call: the calls of a batch go at the same time."""

    takes_key = False

    def __init__(self, headers: Mapping[str, str], *, connections: int, timeout: float) -> None:
        """`headers`: of every call; `timeout`: seconds for one whole call."""
        self.concurrency = connections
        self._calls = HttpCalls(headers, connections=connections, timeout=timeout)

    async def start(self) -> None:
        """Opens no connection yet."""
        await self._calls.start()

    async def stop(self) -> None:
        """Closes all connections."""
        await self._calls.stop()

    async def send(self, batch: Sequence[Outgoing]) -> list[Verdict]:
        """One message a call, so that each has an answer of its own."""
        calls = [asyncio.create_task(self._send(message)) for message in batch]
        try:
            # Costs less than to gather them: most have ended when their turn comes.
            return [await call for call in calls]
        finally:
            for call in calls:
                call.cancel()

    @abstractmethod
    async def _send(self, message: Outgoing) -> Verdict:
        """What became of one message."""
