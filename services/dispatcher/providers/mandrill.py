"""Method `mandrill`: `messages/send`, one call for each message, none repeated."""

from __future__ import annotations

import msgspec

from services.dispatcher.providers.base import Form, Outgoing
from services.dispatcher.providers.http_call import HttpProvider
from services.dispatcher.providers.mandrill_verdicts import STATUSES, verdict_of
from services.dispatcher.verdicts import Answer, Verdict

DEFAULT_URL = "https://mandrillapp.com"
_HEADERS = {"Content-Type": "application/json", "User-Agent": "Morpheus"}
_HIT_LIMIT = 100


class MandrillProvider(HttpProvider):
    """The provider of method `mandrill`; payloads are the `message` of `services.dispatcher.fields`."""

    name = "mandrill"
    form: Form = "fields"

    def __init__(self, url: str, key: str, *, connections: int, timeout: float) -> None:
        """`url`: host only; `timeout`: seconds for one whole call."""
        super().__init__(_HEADERS, connections=connections, timeout=timeout)
        self._url = url.rstrip("/") + "/api/1.0/messages/"
        self._key = msgspec.json.encode(key)

    async def _send(self, message: Outgoing) -> Verdict:
        body = b'{"key":%s,"async":false,"message":%s}' % (self._key, message.payload)
        answer = await self._calls.post(self._url + "send.json", body)
        return answer if isinstance(answer, Verdict) else verdict_of(answer.status, answer.body, answer.retry_after)

    async def look_up(self, message: Outgoing) -> Verdict | None:
        """Whether an uncertain message was taken. None: nothing is known, which is no proof that it was not.

        The search lags behind sending, and finds our metadata only in its hits: it asks for the address.
        """
        query = {"query": f'full_email:"{message.address}"', "limit": _HIT_LIMIT}
        body = b'{"key":%s,%s' % (self._key, msgspec.json.encode(query)[1:])
        answer = await self._calls.post(self._url + "search.json", body)
        if isinstance(answer, Verdict) or answer.status != 200:
            return None
        try:
            hits = msgspec.json.decode(answer.body, type=list[_Hit])
        except ValueError:
            return None
        for hit in hits:
            if hit.metadata.get("reference") == message.reference:
                return _found(hit)
        return None


class _Hit(msgspec.Struct):
    id: str = msgspec.field(name="_id", default="")
    state: str = ""
    metadata: dict[str, object] = {}


def _found(hit: _Hit) -> Verdict:
    answer = STATUSES.get(hit.state, Answer.ACCEPTED)
    return Verdict(answer, f"mandrill: found as {hit.state}", external_id=hit.id)
