"""Loading, durable writes and lost answers; and what a Redis must be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from morpheus_kit.config import ConfigError
from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue import connection, runner
from morpheus_kit.queue.scripts import Queue
from tests.integration.queue.rig import Rig


async def test_a_script_that_redis_forgot_is_loaded_again(rig: Rig) -> None:
    await rig.post()
    await rig.redis.script_flush()
    assert (await rig.post(number=1)).kind == "committed"


async def test_a_durable_step_is_loaded_again_too(rig: Rig, redis: Redis) -> None:
    await redis.script_flush()
    await Rig(Queue(redis, 0, replicas=0, aof_always=False), redis).post_and_start()
    assert len((await rig.take()).items) == 3


async def test_durable_steps_wait_for_the_disk(redis: Redis) -> None:
    rig = Rig(Queue(redis, 0, replicas=0, aof_always=False), redis)
    await rig.queue.prepare()
    await rig.queue.suppressions_known()
    await rig.post_and_start()
    assert await rig.gate((await rig.take()).items) == ["go"] * 3


async def test_a_write_that_no_replica_confirms_is_not_acted_on(
    rig: Rig, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_WAITAOF_MS", 20)
    strict = Rig(Queue(redis, 0, replicas=1, aof_always=True), redis)
    with pytest.raises(UnavailableError):
        await strict.post()
    assert (await rig.post()).kind == "replayed"
    await rig.start()
    items = (await rig.take()).items
    with pytest.raises(UnavailableError):
        await strict.gate(items)
    assert await rig.gate(items) == ["go"] * 3
    assert await rig.ledger() == (0, 3, 0, 0)


class Lossy:
    """A client that loses its first answers."""

    def __init__(self, redis: Any, losses: int) -> None:
        self.redis, self.losses = redis, losses

    async def execute_command(self, *args: Any) -> Any:
        answer = await self.redis.execute_command(*args)
        if args[0] == "EVALSHA" and self.losses:
            self.losses -= 1
            raise RedisConnectionError
        return answer


async def test_a_lost_answer_is_asked_for_again(rig: Rig, redis: Redis) -> None:
    await rig.post_and_start()
    rig.queue.redis = Lossy(redis, 2)
    assert len((await rig.take(2)).items) == 2
    rig.queue.redis = Lossy(redis, 3)
    with pytest.raises(UnavailableError):
        await rig.take(1)


async def test_too_many_items_are_refused_before_redis(rig: Rig) -> None:
    with pytest.raises(ValueError, match="501"):
        await rig.queue.stage("acme/g/0", "r", [b"1 0 a x"] * 501, 0)


@pytest.fixture
async def settings(redis: Redis) -> AsyncIterator[Redis]:
    """Puts the server's settings back."""
    names = ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "min-replicas-to-write")
    client: Any = redis
    before = [(await client.config_get(name)) for name in names]
    yield redis
    for pair in before:
        for name, value in pair.items():
            await redis.config_set(name, value)


async def test_a_full_memory_stops_sending_and_not_recording(rig: Rig, settings: Redis) -> None:
    await rig.post_and_start(count=4)
    items = (await rig.take(2)).items
    await rig.gate(items)
    await settings.config_set("maxmemory", "1")
    with pytest.raises(UnavailableError):
        await rig.take()
    assert await rig.commit_sends(items, "sent") == [True, True]
    assert (await rig.queue.cancel("acme/g", "k")).stopped == 2


async def test_a_refusal_that_passes_is_no_error_of_ours(rig: Rig, settings: Redis) -> None:
    await rig.post_and_start()
    await settings.config_set("min-replicas-to-write", "1")
    with pytest.raises(UnavailableError):
        await rig.take()
    await settings.config_set("min-replicas-to-write", "0")
    assert len((await rig.take()).items) == 3


async def test_reads_of_a_redis_that_is_away_say_so(tmp_path: Path) -> None:
    away = connection.open_redis(f"unix://{tmp_path / 'nobody'}")
    queue = Queue(away, 0, replicas=0, aof_always=True)
    for read in (queue.pins("acme/g/0"), queue.group_state("acme/g"), queue.read_idem("acme/g/0")):
        with pytest.raises(UnavailableError):
            await read
    with pytest.raises(UnavailableError):
        await queue.group_reference("acme/g")
    await away.aclose()


async def test_a_sound_redis_is_accepted(redis_url: str, redis: Redis) -> None:
    client, durability = await connection.connect(redis_url, partitions=4)
    assert durability == (True, True)
    await client.aclose()


@pytest.mark.parametrize(
    ("name", "value"), [("maxmemory-policy", "allkeys-lru"), ("maxmemory", "0"), ("appendonly", "no")]
)
async def test_a_redis_that_may_lose_messages_is_refused(
    redis_url: str, settings: Redis, name: str, value: str
) -> None:
    await settings.config_set(name, value)
    with pytest.raises(ConfigError, match=name):
        await connection.connect(redis_url, partitions=1)


async def test_another_number_of_partitions_is_refused(redis_url: str, redis: Redis) -> None:
    await connection.check(redis, partitions=1, replicas=0)
    with pytest.raises(ConfigError, match="MORPHEUS_PARTITIONS"):
        await connection.connect(redis_url, partitions=2)
