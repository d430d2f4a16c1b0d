"""The pace of one provider account, shared by all dispatchers: tokens, throttling, a circuit breaker, a pause.

It lies in a slot of its own and is not durable: when it is lost, the account starts as if nothing had happened.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from morpheus_kit.errors import UnavailableError

_MAX_WORDS = 500


class Tokens(NamedTuple):
    """How many messages may start now; if none, the milliseconds until it is worth asking again.

    `watched`: what becomes of them is to be told even when all goes well, for the account has had failures.
    """

    given: int
    wait_ms: int
    watched: bool


class Told(NamedTuple):
    """What became of messages: `taken` by the provider, or not to be had (`failed`); how long it wants to be left
    alone (`throttled_ms`), or has to be (`rest_ms`, after which one message tries).
    """

    taken: int = 0
    failed: int = 0
    throttled_ms: int = 0
    rest_ms: int = 0
    words: str = ""


_NOTHING = Told()


class Pace:
    """One account of one provider."""

    def __init__(self, redis: Redis, provider: str, account: str, *, rate: float = 0.0) -> None:
        """`account` tells apart those of one provider and is no secret; `rate`: messages a second, 0: any."""
        # redis-py's own types speak of str where `decode_responses=False` answers bytes.
        self._redis: Any = redis
        self.key = f"morpheus:{{{provider}/{account}}}"
        self._rate = rate

    async def ask(self, asker: str, wanted: int) -> Tokens:
        """Tokens for up to `wanted` messages. `asker` is the same when it tells. UnavailableError."""
        return await self._run(asker, wanted, _NOTHING)

    async def tell(self, asker: str, told: Told) -> None:
        """What became of messages. UnavailableError."""
        await self._run(asker, 0, told)

    async def pause(self, words: str) -> None:
        """Nobody gets a token until `resume`. UnavailableError."""
        await self._call("HSET", self.key, "paused", "1", "reason", words[:_MAX_WORDS])
        await self._call("PERSIST", self.key)

    async def resume(self) -> None:
        """Forgets pause, breaker and throttling. UnavailableError."""
        await self._call("DEL", self.key)

    async def _run(self, asker: str, wanted: int, told: Told) -> Tokens:
        text, digest = _source()
        # A second's worth at once, and at least one.
        burst = max(1, round(self._rate))
        args = (asker, wanted, self._rate, burst, *told[:4], told.words[:_MAX_WORDS])
        try:
            given, wait, watched = await self._redis.evalsha(digest, 1, self.key, *args)
        except NoScriptError:
            given, wait, watched = await self._call("EVAL", text, 1, self.key, *args)
        except RedisError as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc
        return Tokens(int(given), int(wait), bool(watched))

    async def _call(self, command: str, *args: object) -> Any:
        try:
            return await self._redis.execute_command(command, *args)
        except RedisError as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc


@cache
def _source() -> tuple[str, str]:
    text = (resources.files("morpheus_kit.queue") / "scripts" / "pace.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()
