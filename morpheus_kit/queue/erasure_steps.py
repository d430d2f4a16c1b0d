"""Steps of erasing a person: who was erased when (the record store is the truth), and what of them waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple

from redis.exceptions import RedisError

from morpheus_kit.queue.elements import Element, unpack_element
from morpheus_kit.queue.runner import Arg, Runner, check_count

_WINDOW: Final = 500
_LETTERS: Final = 100


class Waiting(NamedTuple):
    """A message that waits, and what takes it out."""

    part: str
    element: Element
    packed: bytes
    """As it stands in its part; empty: it is in `later`."""


class Letter(NamedTuple):
    """A dead letter."""

    entry_id: bytes
    fields: dict[bytes, bytes]


class ErasureSteps(Runner):
    """What the tracker does to the queue for an erased person. Every method raises UnavailableError."""

    async def mark_erased(self, company: str, marks: Sequence[tuple[bytes, int]]) -> None:
        """Keyed hashes of addresses, each with when it was erased: the gate ends what was accepted before. Durable."""
        check_count(marks)
        if marks:
            args: list[Arg] = [arg for mark in marks for arg in mark]
            await self.run_durably("mark_erased", company, *args)

    async def forget_erased(self, company: str, recipients: Sequence[bytes]) -> None:
        """The contrary, when nothing from before the erasure can be left."""
        check_count(recipients)
        if recipients:
            await self.run("forget_erased", company, *recipients)

    async def has_erased(self, company: str) -> bool:
        """Whether anybody of this company was erased."""
        return bool(await self.read("EXISTS", self.keys.erased(company)))

    async def erased(self, company: str, recipients: Sequence[bytes]) -> dict[bytes, int]:
        """When each of these was erased, of those that were."""
        key = self.keys.erased(company)
        found: dict[bytes, int] = {}
        for start in range(0, len(recipients), _WINDOW):
            window = recipients[start : start + _WINDOW]
            times = await self.read("HMGET", key, *window)
            found |= {each: int(time) for each, time in zip(window, times, strict=True) if time is not None}
        return found

    async def erase_waiting(self, found: Sequence[Waiting]) -> int:
        """Ends messages as cancelled; how many still waited. One whose fate is unclear is given up."""
        check_count(found)
        if not found:
            return 0
        args: list[Arg] = [arg for each in found for arg in (each.part, each.element.message_id, each.packed)]
        return int(await self.run("erase", *args))

    async def waiting(self, company: str) -> AsyncIterator[list[Waiting]]:
        """All of a company that waits in its parts, some at a time.

        From the tail: what is taken from the head meanwhile shifts nothing that has not been seen yet.
        """
        pattern, cursor = self.keys.pending(f"{company}/*"), 0
        while True:
            cursor, keys = await self.read("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            for key in keys:
                part, last = key.decode().removeprefix(self.keys.pending("")), -1
                while window := await self.read("LRANGE", key, last - _WINDOW + 1, last):
                    yield [Waiting(part, unpack_element(packed), packed) for packed in window]
                    last -= _WINDOW
            if not cursor:
                return

    async def put_off(self, company: str) -> AsyncIterator[list[Waiting]]:
        """All of a company that is in `later`, some at a time."""
        owner, cursor = f"{company}/", 0
        while True:
            cursor, found = await self.read("HSCAN", self.keys.later_blobs, cursor, "COUNT", _WINDOW)
            fields = [value.split(b" ", 3) for value in found.values()]
            yield [
                Waiting(part.decode(), unpack_element(packed), b"")
                for _, _, part, packed in fields
                if part.decode().startswith(owner)
            ]
            if not cursor:
                return

    async def rewrite_file(self) -> bool:
        """Asks Redis to write its append-only file anew, without what has left the queue; False: it does not let us."""
        try:
            await self.redis.execute_command("BGREWRITEAOF")
        except (RedisError, OSError, TimeoutError):
            return False
        return True

    async def letters(self) -> AsyncIterator[list[Letter]]:
        """All dead letters, of every company, some at a time."""
        start = "-"
        while found := await self.read("XRANGE", self.keys.dead, start, "+", "COUNT", _LETTERS):
            yield [Letter(entry_id, fields) for entry_id, fields in found]
            start = f"({found[-1][0].decode()}"

    async def replace_letter(self, letter: Letter, rest: Mapping[bytes, bytes]) -> int:
        """Takes a dead letter out; what of it is somebody else's stays, as a new one. 0: it was gone already."""
        args: list[Arg] = [arg for pair in rest.items() for arg in pair]
        return int(await self.run("replace_letter", letter.entry_id, *args))
