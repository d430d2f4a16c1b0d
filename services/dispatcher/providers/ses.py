"""Method `ses`: SESv2 `SendEmail` with the email as composed. Credentials come from where the AWS library looks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore import exceptions

from services.dispatcher.providers.base import Form, Outgoing
from services.dispatcher.providers.ses_verdicts import verdict_of
from services.dispatcher.verdicts import Answer, Verdict

# Shorter than servers keep theirs: a request on a connection that they are closing would be lost in doubt.
_KEEPALIVE_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
)
_written: ContextVar[bool] = ContextVar("written", default=False)
"""Of the call of this task: bytes may have left."""


class _RedirectError(Exception):
    """The endpoint sends us elsewhere; it has not taken the message."""


class _Session(AIOHTTPSession):  # type: ignore[misc]  # no types published
    """The library's own follows redirects, sending anew, and does not tell whether it was connected."""

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession | None = self._sessions.get(proxy_url)
        if session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_note_written)
            trace.on_connection_reuseconn.append(_note_written)
            trace.on_request_redirect.append(_refuse_redirect)
            session = aiohttp.ClientSession(
                connector=self._create_connector(proxy_url),
                timeout=self._timeout,
                skip_auto_headers={"Content-Type"},
                auto_decompress=False,
                trace_configs=[trace],
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self._sessions[proxy_url] = await self._exit_stack.enter_async_context(session)
        return session


async def _note_written(_session: aiohttp.ClientSession, _context: object, _params: object) -> None:
    _written.set(True)


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    raise _RedirectError(f"HTTP {params.response.status}")


class SesProvider:
    """The provider of method `ses`."""

    name = "ses"
    form: Form = "mime"
    takes_key = False

    def __init__(
        self, *, region: str, endpoint_url: str, configuration_set: str, connections: int, timeout: float
    ) -> None:
        """`endpoint_url`: empty for the region's own; `timeout`: seconds for one whole call."""
        self.concurrency = connections
        self._region = region
        self._endpoint_url = endpoint_url
        self._configuration_set = configuration_set
        self._timeout = timeout
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def start(self) -> None:
        """Makes the client; opens no connection yet."""
        config = AioConfig(
            # The first try is the only one: the library cannot know whether the message was taken.
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=min(_CONNECT_SECONDS, self._timeout / 2),
            read_timeout=self._timeout,
            max_pool_connections=self.concurrency,
            connector_args={"keepalive_timeout": _KEEPALIVE_SECONDS},
            http_session_cls=_Session,
        )
        client = aioboto3.Session().client(
            "sesv2", region_name=self._region or None, endpoint_url=self._endpoint_url or None, config=config
        )
        self._client = await self._stack.enter_async_context(client)

    async def stop(self) -> None:
        """Closes all connections."""
        await self._stack.aclose()

    async def send(self, batch: Sequence[Outgoing]) -> list[Verdict]:
        """All at the same time, one message a call."""
        return list(await asyncio.gather(*[self._send(message) for message in batch]))

    async def _send(self, message: Outgoing) -> Verdict:
        _written.set(False)
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._client.send_email(
                    FromEmailAddress=message.sender,
                    Destination={"ToAddresses": [message.address]},
                    Content={"Raw": {"Data": message.payload}},
                    EmailTags=[{"Name": "reference", "Value": message.reference}],
                    ConfigurationSetName=self._configuration_set,
                )
        except exceptions.ClientError as exc:
            error = exc.response.get("Error", {})
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return verdict_of(str(error.get("Code", "")), str(error.get("Message", "")), status)
        except (exceptions.BotoCoreError, OSError, TimeoutError) as exc:
            return _of_failure(exc, written=_written.get())
        external_id = found.get("MessageId", "")
        if not external_id:
            return Verdict(Answer.UNCLEAR, "ses: an answer that cannot be understood")
        return Verdict(Answer.ACCEPTED, "", external_id=external_id)


def _of_failure(exc: Exception, *, written: bool) -> Verdict:
    """No answer, or none that the library could read."""
    text = "ses: no answer in time" if isinstance(exc, TimeoutError) else f"ses: {exc}"
    if isinstance(exc, exceptions.ParamValidationError):
        return Verdict(Answer.REFUSED, text)
    if isinstance(exc, _NO_CREDENTIALS):
        return Verdict(Answer.PAUSED, text)
    if not written or isinstance(getattr(exc, "kwargs", {}).get("error"), _RedirectError):
        return Verdict(Answer.RETRY, text)
    return Verdict(Answer.UNCLEAR, text)
