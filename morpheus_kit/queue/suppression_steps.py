"""Steps of the lists of suppressed addresses: what the gate looks into. The record store is their truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from redis.exceptions import RedisError

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.runner import Arg, Runner, check_count

Kind = Literal["bounce", "complaint", "unsubscribe", "manual"]
"""Why; a message to it ends with the reason `suppressed_<kind>`."""


class SuppressItem(NamedTuple):
    """One address on one list of its company: its keyed hash; `stream` empty: on that for every stream.

    `kind` empty: it is taken off.
    """

    stream: str
    recipient: bytes
    kind: Kind | Literal[""]


class SuppressionSteps(Runner):
    """What the tracker does to the lists."""

    async def suppress(self, company: str, items: Sequence[SuppressItem]) -> None:
        """Puts on or takes off; durable. UnavailableError."""
        check_count(items)
        if items:
            args: list[Arg] = [arg for item in items for arg in item]
            await self.run_durably("suppress", company, *args)

    async def suppressions_known(self) -> None:
        """Every address that is suppressed stands on its list: the gate may let messages go."""
        await self.run_durably("suppressed_known")

    async def knows_suppressions(self) -> bool:
        """False after Redis has lost its lists. UnavailableError."""
        return bool(await self.read("SISMEMBER", self.keys.suppressed, ""))

    async def suppression_lists(self) -> list[tuple[str, str]]:
        """Company and stream of each list. UnavailableError."""
        names = [name.decode() for name in await self.read("SMEMBERS", self.keys.suppressed) if name]
        return [(company, stream) for company, _, stream in (name.partition("/") for name in names)]

    async def suppressed(self, company: str, stream: str, cursor: int) -> tuple[int, list[bytes]]:
        """Some hundred hashes of a list and where to go on; 0 at the beginning and at the end. UnavailableError."""
        key = self.keys.suppressed_list(f"{company}/{stream}")
        try:
            found: tuple[int, dict[bytes, Any]] = await self.redis.hscan(key, cursor, count=400)
        except RedisError as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc
        return found[0], list(found[1])
