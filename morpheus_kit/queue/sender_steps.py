"""Steps of a sender: take, gate, commit, and keeping or losing what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.elements import Element, unpack_element
from morpheus_kit.queue.runner import GATE_MEMORY, Arg, Runner, check_count

TakeStatus = Literal["ok", "idle", "full"]
GateAnswer = Literal["go", "lost", "done", "back"]
SendResult = Literal["sent", "failed", "rejected", "retry", "throttled", "uncertain"]


class TakenItem(NamedTuple):
    """A message that this sender now holds."""

    method: str
    priority: str
    entry_id: str
    part: str
    element: Element
    deliveries: int = 1


class Taken(NamedTuple):
    """`ended` messages were ended on the way: their group is cancelled, expired or failed.

    `idle`: nothing waits; `full`: `outcomes` is longer than its limit, nothing may be sent.
    """

    status: TakeStatus
    items: list[TakenItem]
    ended: int


class GateItem(NamedTuple):
    """One message before its provider."""

    entry_id: str
    message_id: str
    attempt: int
    part: str
    recipient: bytes = b""
    """The keyed hash of its address."""


class CommitItem(NamedTuple):
    """What became of one message. `event` is a packed Event, written when the commit takes effect;
    `event_given_up` instead of it where `uncertain` comes for the second time.

    `element`: of retry and throttled the next one, of uncertain that of this attempt; `due_ms` when it is due;
    `policy` of uncertain: resend or give_up; `ask_ms` when its provider is to be asked for it, 0: never.
    """

    entry_id: str
    message_id: str
    attempt: int
    result: SendResult
    event: bytes
    due_ms: int = 0
    policy: str = "-"
    element: bytes = b""
    event_given_up: bytes = b""
    ask_ms: int = 0


class Claimed(NamedTuple):
    """An entry whose owner went silent. `mark` is its owner's token, None when it passed no gate."""

    entry_id: str
    part: str
    element: Element
    deliveries: int
    mark: str | None


class RecoverItem(NamedTuple):
    """A marked entry of a lost owner, to become uncertain; fields as in CommitItem."""

    entry_id: str
    message_id: str
    attempt: int
    due_ms: int
    policy: str
    element: bytes
    event: bytes
    event_given_up: bytes = b""
    ask_ms: int = 0


class HandBackItem(NamedTuple):
    """An unmarked entry to return."""

    entry_id: str
    message_id: str
    part: str


class SenderSteps(Runner):
    """What a sender does to the queue."""

    async def take(self, consumer: str, nonce: str, methods: Sequence[str], count: int, outcomes_limit: int) -> Taken:
        """Up to `count` messages in fair order, high priority first; the same `nonce` gets the same ones again."""
        status, ended, rows = await self.run("take", consumer, nonce, count, outcomes_limit, *methods)
        items = [
            TakenItem(method.decode(), priority.decode(), entry.decode(), part.decode(), unpack_element(element))
            for method, priority, entry, part, element in rows
        ]
        return Taken(cast("TakeStatus", status.decode()), items, ended)

    async def gate(self, method: str, priority: str, consumer: str, items: Sequence[GateItem]) -> list[GateAnswer]:
        """The only way to a provider; durable. Only `go` may be sent; with all others the caller has nothing to do.

        UnavailableError: send nothing; ask again while the entries are held. That is also the answer while
        this Redis does not have the lists of suppressed addresses, which the tracker brings.
        """
        check_count(items)
        if not items:
            return []
        await self.check_memory(GATE_MEMORY)
        args: list[Arg] = [arg for item in items for arg in item]
        answers = await self.run_durably("gate", method, priority, consumer, *args)
        if not answers:
            raise UnavailableError("The queue does not have the suppressed addresses yet.", retry_after=1)
        return [cast("GateAnswer", answer.decode()) for answer in answers]

    async def commit_sends(
        self, method: str, priority: str, consumer: str, items: Sequence[CommitItem], records: bytes
    ) -> list[bool]:
        """Records a batch; which items took effect (False: another owner was faster, or a repeated call)."""
        check_count(items)
        if not items:
            return []
        args: list[Arg] = [arg for item in items for arg in item]
        return [bool(x) for x in await self.run("commit_sends", method, priority, consumer, records, *args)]

    async def renew(self, method: str, priority: str, consumer: str, entry_ids: Sequence[str]) -> list[str]:
        """Keeps the lease on those entries that are still this consumer's, and returns them."""
        check_count(entry_ids)
        if not entry_ids:
            return []
        return [entry.decode() for entry in await self.run("renew", method, priority, consumer, *entry_ids)]

    async def claim(self, method: str, priority: str, consumer: str, min_idle_ms: int, count: int) -> list[Claimed]:
        """Takes over entries of others whose lease ran out.

        An entry may come back to a sender that still has it in hand, after a stall: leave that one out, for
        the gate lets both copies of one consumer pass.
        """
        rows = await self.run("claim", method, priority, consumer, min_idle_ms, count)
        return [
            Claimed(entry.decode(), part.decode(), unpack_element(element), deliveries, mark.decode() or None)
            for entry, part, element, deliveries, mark in rows
        ]

    async def recover(
        self, method: str, priority: str, consumer: str, items: Sequence[RecoverItem], records: bytes
    ) -> list[bool]:
        """Makes marked entries of lost owners uncertain; which took effect."""
        check_count(items)
        if not items:
            return []
        args: list[Arg] = [arg for item in items for arg in item]
        return [bool(x) for x in await self.run("recover", method, priority, consumer, records, *args)]

    async def hand_back(
        self, method: str, priority: str, consumer: str, entries: Sequence[HandBackItem | tuple[str, str, str]]
    ) -> int:
        """Returns unmarked entries, in the order given, to the head of their parts; how many."""
        check_count(entries)
        if not entries:
            return 0
        args: list[Arg] = [arg for entry in entries for arg in entry]
        return int(await self.run("hand_back", method, priority, consumer, *args))

    async def leave(self, consumer: str, methods: Sequence[str]) -> int:
        """Takes this consumer out of the groups in which it holds nothing; in how many it stays."""
        return int(await self.run("leave", consumer, *methods))

    async def dead(  # noqa: PLR0913, PLR0917  one flat record, like the entries of the others
        self,
        method: str,
        priority: str,
        consumer: str,
        entry_id: str,
        message_id: str,
        reason: str,
        event: bytes,
        records: bytes = b"",
    ) -> bool:
        """Ends a message that cannot be handled as failed, and keeps its entry in `dead`. False: not held."""
        args = (method, priority, consumer, entry_id, message_id, reason, event, records)
        return bool(await self.run("dead", *args))
