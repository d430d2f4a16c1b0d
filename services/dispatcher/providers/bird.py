"""SMS through Bird (`POST /v1/sms/messages`). It takes an idempotency key, so doubt is settled by asking again at once.

The key is the message's id. Bird keeps a key with its answer, good or bad, for about three hours. So a refusal that is
no longer true (the sender has been registered meanwhile, the wallet filled) would be told again: a replayed answer of
that kind proves that nothing was taken under the key, and one call with a key of this attempt asks anew.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import msgspec

from services.dispatcher.providers.base import Form, Outgoing
from services.dispatcher.providers.bird_verdicts import verdict_of
from services.dispatcher.providers.http_call import HttpProvider
from services.dispatcher.verdicts import Answer, Verdict

_REGION = re.compile(r"b[km]_([a-z]{2}[0-9]+)_.+")
_DEFAULT_URL = "https://api.bird.com"
_CATEGORY = "transactional"
# What settles a doubt. A rate limit or a bad key is told before the idempotency key is looked at.
_SETTLES = frozenset([Answer.ACCEPTED, Answer.REFUSED, Answer.CONFIGURATION])
# What may have changed since it was told.
_PASSES = frozenset([Answer.THROTTLED, Answer.PAUSED, Answer.CONFIGURATION])
_REPEAT_AFTER_SECONDS = (0.0, 2.0)


def default_url(key: str) -> str:
    """A key names its region, and each region has a host of its own."""
    found = _REGION.fullmatch(key)
    return f"https://{found[1]}.platform.bird.com" if found else _DEFAULT_URL


class BirdProvider(HttpProvider):
    """One workspace."""

    name = "bird"
    form: Form = "mime"
    takes_key = True

    def __init__(
        self,
        key: str,
        *,
        url: str = "",
        connections: int,
        timeout: float,
        repeat_after: Sequence[float] = _REPEAT_AFTER_SECONDS,
    ) -> None:
        """`url`: host only, else that of the key's region; `timeout`, `repeat_after`: seconds."""
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "Morpheus",
        }
        super().__init__(headers, connections=connections, timeout=timeout)
        self._url = (url or default_url(key)).rstrip("/") + "/v1/sms/messages"
        self._repeat_after = repeat_after

    async def _send(self, message: Outgoing) -> Verdict:
        body = msgspec.json.encode(
            {
                "to": message.address,
                "from": message.sender,
                "text": message.payload.decode(),
                "category": _CATEGORY,
                "metadata": {"reference": message.reference},
            }
        )
        verdict, replayed = await self._settled(body, message.message_id)
        if replayed and verdict.answer in _PASSES:
            verdict, _ = await self._settled(body, f"{message.message_id}/{message.attempt}")
        return verdict

    async def _settled(self, body: bytes, key: str) -> tuple[Verdict, bool]:
        """One call; in doubt the same again with the same key, which can send nothing twice."""
        verdict, replayed = await self._call(body, key)
        if verdict.answer is not Answer.UNCLEAR:
            return verdict, replayed
        for seconds in self._repeat_after:
            await asyncio.sleep(seconds)
            again, replayed = await self._call(body, key)
            if again.answer in _SETTLES:
                return again, replayed
        return verdict, False

    async def _call(self, body: bytes, key: str) -> tuple[Verdict, bool]:
        answer = await self._calls.post(self._url, body, {"Idempotency-Key": key})
        if isinstance(answer, Verdict):
            return answer, False
        return verdict_of(answer.status, answer.body, answer.retry_after), answer.replayed
