"""Connections to Redis, and what a Redis must be to hold messages."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, NamedTuple, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from morpheus_kit.config import ConfigError
from morpheus_kit.queue.keys import LAYOUT

SOCKET_TIMEOUT: Final = 5.0
_OLDEST: Final = {"valkey": (8, 0), "redis": (7, 2)}


class Durability(NamedTuple):
    """How this Redis writes; `aof_always`: each write is on its disk before it answers."""

    aof_always: bool
    can_wait: bool


@cache
def _fast(base: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same connection, which packs commands in C: redis-py does so only in its blocking client."""

    class FastConnection(base):  # type: ignore[valid-type,misc]
        def pack_command(self, *args: Any) -> list[bytes]:
            # redis-py writes names of two words as one argument.
            name = args[0] if isinstance(args[0], bytes) else args[0].encode()
            return [hiredis.pack_command((*name.split(), *args[1:]))]

    return FastConnection


def open_redis(url: str, *, socket_timeout: float = SOCKET_TIMEOUT) -> Redis:
    """A client that answers bytes, gives up after `socket_timeout` seconds and never repeats by itself."""
    options: dict[str, Any] = {
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": socket_timeout,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "protocol": 3,
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    redis = Redis.from_url(url, **options)
    pool = redis.connection_pool
    pool.connection_class = _fast(cast("Any", pool.connection_class))
    return redis


async def connect(
    url: str, *, partitions: int, replicas: int = 0, socket_timeout: float = SOCKET_TIMEOUT
) -> tuple[Redis, Durability]:
    """A checked client. ConfigError, with what to change, when this Redis may lose messages."""
    redis = open_redis(url, socket_timeout=socket_timeout)
    try:
        return redis, await check(redis, partitions=partitions, replicas=replicas)
    except BaseException:
        await redis.aclose()
        raise


async def check(redis: Redis, *, partitions: int, replicas: int) -> Durability:
    """Holds a Redis against the rules of `docs/guarantees.md`. ConfigError."""
    settings = await _settings(redis)
    if settings["maxmemory-policy"] != "noeviction":
        raise ConfigError("Redis: maxmemory-policy must be noeviction, it would throw messages away.")
    if settings["maxmemory"] == "0":
        raise ConfigError("Redis: maxmemory must be set, or the kernel would kill it under load.")
    if settings["appendonly"] != "yes":
        raise ConfigError("Redis: appendonly must be yes, accepted messages would not survive a restart.")
    durability = Durability(settings["appendfsync"] == "always", await _can_wait(redis))
    if not durability.can_wait and (replicas or not durability.aof_always):
        raise ConfigError(
            "Redis: needs Redis 7.2 or Valkey 8; an older one only with appendfsync always and "
            "MORPHEUS_REDIS_REPLICAS=0."
        )
    await _check_layout(redis, partitions)
    return durability


async def _settings(redis: Redis) -> dict[str, str]:
    names = ("maxmemory-policy", "maxmemory", "appendonly", "appendfsync")
    found: dict[str, str] = {}
    for name in names:
        for key, value in (await redis.config_get(name)).items():
            found[_text(key)] = _text(value)
    return found


async def _can_wait(redis: Redis) -> bool:
    info = await redis.info("server")
    name = "valkey" if "valkey_version" in info else "redis"
    version = tuple(int(number) for number in re.findall(r"\d+", str(info[f"{name}_version"]))[:2])
    return version >= _OLDEST[name]


async def _check_layout(redis: Redis, partitions: int) -> None:
    found = await redis.get(LAYOUT)
    if found is None:  # where the memory is full nothing can be set, but what empties it must be able to start
        await redis.set(LAYOUT, str(partitions), nx=True)
        found = await redis.get(LAYOUT)
    stored = int(_text(found))
    if stored != partitions:
        raise ConfigError(
            f"MORPHEUS_PARTITIONS is {partitions}, but this Redis was laid out for {stored}; "
            "the number cannot be changed while messages are queued."
        )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
