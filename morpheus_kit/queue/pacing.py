"""The pace of one provider account, shared by all dispatchers: tokens, throttling, a circuit breaker, a pause.

It lies in a slot of its own and is not durable: when it is lost, the account starts as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from morpheus_kit.errors import UnavailableError

_MAX_WORDS = 500
_KEPT_SECONDS = 604_800
_HELD_BACK = ("paused", "reason", "cause", "until", "fails", "opens", "open", "probe", "probe_end")
# As in the script: milliseconds of a bucket of the rate, and how many make a minute.
_BUCKET_MS, _BUCKETS = 5000, 12


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


class PaceState(NamedTuple):
    """An account as an operator sees it.

    `state`: `paused` by hand or because it refuses our credentials, `open` after a row of failures; both until a
    message has gone through, which one tries after each rest. `by_hand` tells the two pauses apart; `words` says why.
    `rate`: messages a second that it took in the last minute.
    """

    state: Literal["running", "paused", "open"]
    by_hand: bool
    words: str
    rate: float


_NOTHING = Told()


class Pace:
    """One account of one provider."""

    def __init__(self, redis: Redis, provider: str, account: str, *, rate: float = 0.0) -> None:
        """`account` tells apart those of one provider and is no secret; `rate`: messages a second, 0: any."""
        # redis-py's own types speak of str where `decode_responses=False` answers bytes.
        self._redis: Any = redis
        self.key = f"morpheus:{{{provider}/{account}}}"
        self._rate = rate

    def beside(self, what: str, *, rate: float) -> Pace:
        """A pace of its own for something else that is asked of the same account."""
        other = copy(self)
        other.key = f"{self.key}:{what}"
        other._rate = rate  # noqa: SLF001  its own class
        return other

    async def ask(self, asker: str, wanted: int) -> Tokens:
        """Tokens for up to `wanted` messages. `asker` is the same when it tells. UnavailableError."""
        return await self._run(asker, wanted, _NOTHING)

    async def tell(self, asker: str, told: Told) -> None:
        """What became of messages. UnavailableError."""
        await self._run(asker, 0, told)

    async def count(self, sent: int) -> None:
        """So many were taken since the last call; the rate is made of it. UnavailableError."""
        await self._run("", 0, _NOTHING, sent)

    async def pause(self, words: str) -> None:
        """Nobody gets a token until `resume`; the words of the first one stay. UnavailableError."""
        await self._call("HSETNX", self.key, "paused", words[:_MAX_WORDS])
        await self._call("PERSIST", self.key)

    async def resume(self) -> None:
        """Forgets pause, breaker and throttling. UnavailableError."""
        await self._call("HDEL", self.key, *_HELD_BACK)
        await self._call("EXPIRE", self.key, _KEPT_SECONDS)

    async def read(self) -> PaceState:
        """How it stands now. UnavailableError."""
        seconds, micros = await self._call("TIME")
        found = await self._call("HGETALL", self.key)
        fields = {name.decode(): value.decode() for name, value in found.items()}
        return state_of(fields, int(seconds) * 1000 + int(micros) // 1000)

    async def _run(self, asker: str, wanted: int, told: Told, sent: int = 0) -> Tokens:
        text, digest = _source()
        # A second's worth at once, and at least one.
        burst = max(1, round(self._rate))
        args = (asker, wanted, self._rate, burst, *told[:4], told.words[:_MAX_WORDS], sent)
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


def state_of(fields: Mapping[str, str], now_ms: int) -> PaceState:
    """What the fields of the hash say at `now_ms` of Redis' clock."""
    rate = rate_of(fields, now_ms)
    if words := fields.get("paused"):
        return PaceState("paused", by_hand=True, words=words, rate=rate)
    if float(fields.get("open") or 0) > 0:
        state: Literal["paused", "open"] = "paused" if fields.get("cause") == "account" else "open"
        return PaceState(state, by_hand=False, words=fields.get("reason", ""), rate=rate)
    return PaceState("running", by_hand=False, words="", rate=rate)


def rate_of(fields: Mapping[str, str], now_ms: int) -> float:
    """Messages a second over the last minute; of the bucket that it begins in, the part that lies inside."""
    newest, into = divmod(now_ms, _BUCKET_MS)
    total = 0.0
    for name, value in fields.items():
        if name.startswith("sent:"):
            age = newest - int(value.split()[0])
            share = 1.0 if age < _BUCKETS else 1 - into / _BUCKET_MS if age == _BUCKETS else 0.0
            total += share * int(value.split()[1])
    return total * 1000 / (_BUCKET_MS * _BUCKETS)


@cache
def _source() -> tuple[str, str]:
    text = (resources.files("morpheus_kit.queue") / "scripts" / "pace.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()
