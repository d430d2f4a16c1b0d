"""Steps of jobs, timer and receipts, and the control words of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, cast

from redis.exceptions import RedisError

from morpheus_kit.errors import ConflictError, NotFoundError, UnavailableError
from morpheus_kit.queue.elements import Element, unpack_element
from morpheus_kit.queue.keys import SENDERS, TRACKERS
from morpheus_kit.queue.runner import Arg, Runner, check_count

Word = Literal["running", "paused", "cancelled"]
Control = Word | Literal["finished"]
RECEIPTS_LIMIT = 1_000_000


class Receipt(NamedTuple):
    """Something a provider says. `event` is packed; `sent_event` is our own packed `sent`, written when the
    receipt settles an uncertain message; empty: the script makes one, with the attempt that it finds.
    """

    reference: str
    message_id: str
    event: bytes
    sent_event: bytes = b""


class TimerResult(NamedTuple):
    """How many were due, and when the next one is: milliseconds since the epoch, None when there is none."""

    moved: int
    next_due_ms: int | None


class InDoubt(NamedTuple):
    """An uncertain message that its provider is to be asked for; at `due_ms` its policy decides."""

    reference: str
    element: Element
    due_ms: int


class Job(NamedTuple):
    """An accepted part that waits to be started."""

    entry_id: str
    part: str


class Controlled(NamedTuple):
    """The control word now in force, `finished` where none has an effect; `stopped` messages waited at that instant."""

    control: Control
    stopped: int


class ControlSteps(Runner):
    """What moves a group as a whole."""

    async def prepare(self) -> None:
        """Makes the consumer groups of the partition; call it once before reading jobs or outcomes."""
        await self.run("prepare")

    async def read_jobs(self, consumer: str, count: int, block_ms: int) -> list[Job]:
        """New jobs; waits up to `block_ms` (0: not at all; less than the socket's time-out)."""
        try:
            answer = await self.redis.xreadgroup(
                SENDERS, consumer, {self.keys.groups: ">"}, count=count, block=block_ms or None
            )
        except RedisError as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc
        streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or []]
        return [_job(entry) for entries in streams for entry in _flat(entries)]

    async def claim_jobs(self, consumer: str, min_idle_ms: int, count: int) -> list[Job]:
        """Takes over jobs whose reader went silent."""
        rows = await self.run("claim_jobs", consumer, min_idle_ms, count)
        return [Job(entry.decode(), part.decode()) for entry, part in rows]

    async def start_part(self, part: str, entry_id: str, pins: bytes) -> str:
        """Sets the group's pins if it has none, lets the part enter the ring, acknowledges the job.

        `started`, `repeated` (it was started before) or `gone` (its group is).
        """
        return cast("bytes", await self.run("start_part", part, entry_id, pins)).decode()

    async def fail_part(self, part: str, entry_id: str, reason_code: str, reason_text: str) -> str:
        """Like start_part, but every message of the part ends as rejected with this reason."""
        return cast("bytes", await self.run("fail_part", part, entry_id, reason_code, reason_text)).decode()

    async def receipt(self, items: Sequence[Receipt], outcomes_limit: int = RECEIPTS_LIMIT) -> int:
        """Appends provider events, durably, and settles what they speak of; how many were settled.

        UnavailableError when not durable, or when `outcomes` is longer than `outcomes_limit`.
        """
        check_count(items)
        if not items:
            return 0
        args: list[Arg] = [arg for item in items for arg in item]
        settled = int(await self.run_durably("receipt", outcomes_limit, *args))
        if settled < 0:
            raise UnavailableError("Too many outcomes wait to be recorded.", retry_after=10)
        return settled

    async def timer(self, count: int) -> TimerResult:
        """Moves up to `count` due retries, uncertain messages and parts."""
        moved, next_due = await self.run("timer", count)
        return TimerResult(moved, next_due if next_due >= 0 else None)

    async def look_up(self, provider: str, lease_ms: int) -> InDoubt | None:
        """One that this provider is to be asked for now; given to nobody else until the lease is over."""
        found = await self.run("look_up", provider, lease_ms)
        return InDoubt(found[0].decode(), unpack_element(found[1]), found[2]) if found else None

    async def looked_up(self, provider: str, message_id: str, next_ms: int) -> None:
        """It was asked in vain, and is to be asked again at `next_ms`; 0: no more."""
        await self.run("looked_up", provider, message_id, next_ms)

    async def pause(self, group: str, key_id: str, reason_code: str = "", reason_text: str = "") -> Controlled:
        """Hands out nothing of the group until it is resumed. NotFoundError."""
        return await self._control(group, "paused", key_id, reason_code, reason_text)

    async def resume(self, group: str, key_id: str) -> Controlled:
        """Lets a paused group go on. NotFoundError; ConflictError when it is cancelled."""
        return await self._control(group, "running", key_id)

    async def cancel(self, group: str, key_id: str) -> Controlled:
        """Ends the group: none of `stopped` ever reaches a provider. NotFoundError."""
        return await self._control(group, "cancelled", key_id)

    async def _control(
        self, group: str, word: Word, key_id: str, reason_code: str = "", reason_text: str = ""
    ) -> Controlled:
        status, control, stopped = await self.run("control", group, word, key_id, reason_code, reason_text)
        if status == b"missing":
            raise NotFoundError("There is no such group in the queue.")
        if status == b"conflict":
            raise ConflictError("The group is cancelled.")
        return Controlled(cast("Control", control.decode()), stopped)

    async def group_state(self, group: str) -> dict[str, bytes] | None:
        """All fields of the group hash, or None when there is none."""
        fields = await self.read("HGETALL", self.keys.group(group))
        return {name.decode(): value for name, value in fields.items()} or None

    async def pins(self, part: str) -> bytes | None:
        """The template versions that the group of `part` was started with, or None."""
        value = await self.read("HGET", self.keys.group(part.rsplit("/", 1)[0]), "pins")
        return cast("bytes | None", value)

    async def ack_outcomes(self, entry_ids: Sequence[str | bytes]) -> int:
        """Acknowledges and deletes recorded entries of `outcomes`; how many were there."""
        check_count(entry_ids)
        return int(await self.run("ack_outcomes", TRACKERS, *entry_ids)) if entry_ids else 0

    async def bury_outcomes(self, entry_ids: Sequence[str | bytes], letters: Sequence[Mapping[bytes, bytes]]) -> int:
        """Keeps in `dead` what of these entries cannot be recorded, and acknowledges and deletes them.

        How many letters were added: none when the first entry is gone, since then it was done before.
        """
        check_count(entry_ids)
        check_count(letters)
        args: list[Arg] = [len(entry_ids), *entry_ids]
        for letter in letters:
            args += [len(letter), *(word for field in letter.items() for word in field)]
        return int(await self.run("bury_outcomes", TRACKERS, *args)) if entry_ids else 0


def _flat(entries: list[object]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """RESP3 answers nest the entries of a stream once more."""
    nested = entries[0] if entries and isinstance(entries[0], list) else entries
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", nested)


def _job(entry: tuple[bytes, dict[bytes, bytes]]) -> Job:
    return Job(entry[0].decode(), entry[1][b"part"].decode())
