"""Runs the Lua scripts of one partition: load once, EVALSHA, durable writes, memory limits.

A script is `prelude.lua` and its own file behind one `#!lua` line. Each declares one key of its
partition and derives all further names from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.keys import Keys
from morpheus_kit.reasons import TEXTS, ReasonCode

MAX_ITEMS: Final = 500
INTAKE_MEMORY: Final = 0.70
GATE_MEMORY: Final = 0.85
# What providers tell has room of its own, above that of sending.
RECEIPT_MEMORY: Final = 0.95

# Record what happened already, so they may pass `maxmemory`.
_ALLOW_OOM: Final = frozenset(
    [
        "ack_outcomes",
        "bury_outcomes",
        "commit_sends",
        "control",
        "dead",
        "erase",
        "forget_erased",
        "hand_back",
        "mark_erased",
        "prepare",
        "receipt",
        "recover",
        "renew",
        "replace_letter",
        "suppress",
        "timer",
    ]
)
_TOLD_BY_SCRIPTS: Final = (
    ReasonCode.GROUP_CANCELLED,
    ReasonCode.EXPIRED,
    ReasonCode.UNCERTAIN_GIVEN_UP,
    ReasonCode.SUPPRESSED_BOUNCE,
    ReasonCode.SUPPRESSED_COMPLAINT,
    ReasonCode.SUPPRESSED_UNSUBSCRIBE,
    ReasonCode.SUPPRESSED_MANUAL,
    ReasonCode.RECIPIENT_ERASED,
)
_RETRY_PAUSES: Final = (0.05, 0.2)
_WAITAOF_MS: Final = 2000
_MEMORY_AGE: Final = 1.0
# Refusals that pass by themselves: a failover, a replica too few, a full disk, another's long script.
_PASSING: Final = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
)
_PASSING_CODES: Final = ("NOREPLICAS ", "MISCONF ", "BUSY ")

Arg: TypeAlias = str | bytes | int


@cache
def source(name: str) -> str:
    """The whole text of script `name`, as Redis gets it."""
    folder = resources.files("morpheus_kit.queue") / "scripts"
    shebang = "#!lua flags=allow-oom" if name in _ALLOW_OOM else "#!lua"
    texts = ", ".join(f'{code} = "{TEXTS[code]}"' for code in _TOLD_BY_SCRIPTS)
    prelude, steps = ((folder / f"{part}.lua").read_text() for part in ("prelude", name))
    return f"{shebang}\nlocal TEXTS = {{{texts}}}\n{prelude}\n{steps}"


@cache
def _digest(name: str) -> str:
    return sha1(source(name).encode(), usedforsecurity=False).hexdigest()


class Runner:
    """What all steps share: one partition of one Redis."""

    def __init__(self, redis: Redis, partition: int, *, replicas: int = 0, aof_always: bool = False) -> None:
        """`replicas` must confirm durable writes; with `aof_always` and none Redis itself waits for the disk."""
        # redis-py's own types speak of str where `decode_responses=False` answers bytes.
        self.redis: Any = redis
        self.keys = Keys(partition)
        self._replicas = replicas
        self._wait = replicas > 0 or not aof_always
        self._memory_share = 0.0
        self._memory_read_at = float("-inf")

    async def run(self, name: str, *args: Arg) -> Any:
        """Runs a script; its effects are one transaction. UnavailableError when Redis does not answer."""
        return await self._repeat(lambda: self._evaluate(name, args, durable=False))

    async def run_durably(self, name: str, *args: Arg) -> Any:
        """Like `run`, and returns only when the write is on the disks. Else UnavailableError."""
        return await self._repeat(lambda: self._evaluate(name, args, durable=self._wait))

    async def read(self, command: str, *args: Arg) -> Any:
        """A command that changes nothing. UnavailableError when Redis does not answer."""
        return await self._repeat(lambda: self.redis.execute_command(command, *args))

    async def _repeat(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Every script may run twice with one effect, so a lost answer is asked for again."""
        for pause in (*_RETRY_PAUSES, None):
            try:
                return await call()
            except OutOfMemoryError as exc:
                raise UnavailableError("The queue's memory is full.", retry_after=5) from exc
            except RedisError as exc:
                if not _passes(exc):
                    raise
                if isinstance(exc, ReadOnlyError):
                    # Open connections lead to what is a replica now; new ones to its successor.
                    await self.redis.connection_pool.disconnect(inuse_connections=False)
                if pause is None:
                    raise UnavailableError("The queue does not answer.", retry_after=1) from exc
                await asyncio.sleep(pause)
        raise AssertionError

    async def _evaluate(self, name: str, args: Sequence[Arg], *, durable: bool) -> Any:
        call = (_digest(name), 1, self.keys.outcomes, *args)
        try:
            return await (self._and_wait(call) if durable else self.redis.execute_command("EVALSHA", *call))
        except NoScriptError:
            await self.redis.execute_command("SCRIPT", "LOAD", source(name))
            return await (self._and_wait(call) if durable else self.redis.execute_command("EVALSHA", *call))

    async def _and_wait(self, call: Sequence[Arg]) -> Any:
        # WAITAOF speaks of this connection's writes only: one pipeline is one connection.
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.execute_command("EVALSHA", *call)
            pipe.execute_command("WAITAOF", 1, self._replicas, _WAITAOF_MS)
            answer, confirmed = await pipe.execute(raise_on_error=False)
        for result in (answer, confirmed):
            if isinstance(result, Exception):
                raise result
        if confirmed[0] < 1 or confirmed[1] < self._replicas:
            raise UnavailableError("The write was not confirmed as durable.", retry_after=1)
        return answer

    async def check_memory(self, limit: float) -> None:
        """UnavailableError above this share of `maxmemory`. The figure is at most one second old."""
        now = time.monotonic()
        if now - self._memory_read_at > _MEMORY_AGE:
            try:
                info = await self.redis.info("memory")
            except RedisError as exc:
                raise UnavailableError("The queue does not answer.", retry_after=1) from exc
            self._memory_share = info["used_memory"] / info["maxmemory"] if info["maxmemory"] else 0.0
            self._memory_read_at = now
        if self._memory_share > limit:
            raise UnavailableError("The queue's memory is nearly full.", retry_after=10)


def _passes(error: RedisError) -> bool:
    return isinstance(error, _PASSING) or (isinstance(error, ResponseError) and str(error).startswith(_PASSING_CODES))


def check_count(items: Sequence[object]) -> None:
    """No script takes more than `MAX_ITEMS`: Redis serves nobody else while one runs."""
    if len(items) > MAX_ITEMS:
        raise ValueError(f"{len(items)} items; a script takes at most {MAX_ITEMS}")
