"""The exact progress of groups that are still in the queue: the ledger of the group hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError

from morpheus_kit import ids, logs
from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.keys import Keys, group_name
from morpheus_kit.queue.schema import SharedInfo, unpack_shared
from morpheus_kit.queue.withholding import kept_shared

log = logs.get_logger(__name__)

_pins = msgspec.msgpack.Decoder(dict[str, str])


class Ledger(msgspec.Struct, frozen=True):
    """One group as Redis knows it."""

    shared: SharedInfo
    control: str
    reason: tuple[str, str]
    total: int
    waiting: int
    sending: int
    uncertain: int
    ended: int
    parts: int
    """Announced; 0 = not."""
    parts_in: int
    accepted_ms: int
    pins: dict[str, str]


class Ledgers:
    """Reads ledgers from the partitions that hold them."""

    def __init__(self, redis: Any, partitions: int) -> None:
        """`redis` answers bytes."""
        self._redis = redis
        self._partitions = partitions

    async def read(self, company: str, group_id: str) -> Ledger | None:
        """One ledger, or None when Redis has none any more. UnavailableError when Redis does not answer."""
        return (await self.read_many([(company, group_id)]))[0]

    async def read_many(self, groups: Sequence[tuple[str, str]]) -> list[Ledger | None]:
        """Several ledgers in one round trip."""
        if not groups:
            return []
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for company, group_id in groups:
                    keys = Keys(ids.partition_of(company, self._partitions))
                    pipe.hgetall(keys.group(group_name(company, group_id)))
                answers = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc
        return [_ledger(fields) for fields in answers]


def _ledger(fields: dict[bytes, bytes]) -> Ledger | None:
    if b"shared" not in fields:
        return None

    def number(name: bytes) -> int:
        return int(fields.get(name) or 0)

    def text(name: bytes) -> str:
        return (fields.get(name) or b"").decode(errors="replace")

    return Ledger(
        kept_shared(unpack_shared(fields[b"shared"])),
        text(b"control") or "running",
        (text(b"reason_code"), text(b"reason_text")) if fields.get(b"reason_code") else _ending(fields),
        number(b"total"),
        number(b"waiting"),
        number(b"sending"),
        number(b"uncertain"),
        number(b"ended"),
        number(b"parts"),
        number(b"parts_in"),
        number(b"accepted_ms"),
        _pins.decode(fields[b"pins"]) if fields.get(b"pins") else {},
    )


def _ending(fields: dict[bytes, bytes]) -> tuple[str, str]:
    """Why a part failed as a whole: a packed code and text."""
    for name, packed in fields.items():
        if name.startswith(b"ending:"):
            try:
                code, text, *_ = msgspec.msgpack.decode(packed)
            except (ValueError, TypeError):
                log.warning("ending_not_readable", field=name.decode())
                continue
            return str(code), str(text)
    return "", ""
