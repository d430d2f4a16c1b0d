"""Steps of intake: stage an upload, commit it as one part, answer it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

from morpheus_kit.queue.outcomes import array_header
from morpheus_kit.queue.runner import INTAKE_MEMORY, Runner, check_count

CommitKind = Literal["committed", "replayed", "conflict", "aborted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPart:
    """All that a commit writes. `count` messages were staged under `request_id`; `total` counts the
    rejected ones too. `parts` 0 = not announced; times 0 = none. `reply` is given back to a repeated post.
    """

    part: str
    group: str
    request_id: str
    count: int
    body_digest: str
    shared_digest: str
    shared_blob: bytes
    method: str
    priority: str
    send_ms: int
    expires_ms: int
    parts: int
    total: int
    rejected: int
    reply: bytes
    idem_ttl_s: int
    ref: str
    month: str
    records: bytes = b""
    events: Sequence[bytes] = field(default=())
    group_events: bytes = b""
    """A packed array of `GroupEvent`."""
    stream: str = "transactional"
    shared_kept: bytes = b""
    """What takes the place of `shared_blob` when nothing of the group is under way any more; empty: it stays."""


class CommitResult(NamedTuple):
    """`reply` of the first commit where `replayed`; `detail` of a conflict: body, shared, cancelled, finished."""

    kind: CommitKind
    reply: bytes
    detail: str


class GroupReference(NamedTuple):
    """What the first part of a group fixed."""

    digest: str
    ref: str
    month: str
    control: str


class IntakeSteps(Runner):
    """What intake does to the queue."""

    async def stage(self, part: str, request_id: str, elements: Sequence[bytes], offset: int) -> int:
        """Appends pending elements at `offset`; a repeated call appends nothing. The length after it.

        UnavailableError when memory is short.
        """
        check_count(elements)
        await self.check_memory(INTAKE_MEMORY)
        return int(await self.run("stage", part, request_id, offset, *elements))

    async def commit_part(self, commit: CommitPart) -> CommitResult:
        """All of a part or none of it; durable. UnavailableError when that is not confirmed."""
        c = commit
        kind, reply, detail = await self.run_durably(
            "commit_part",
            c.part,
            c.request_id,
            c.count,
            c.body_digest,
            c.shared_digest,
            c.shared_blob,
            c.method,
            c.priority,
            c.send_ms,
            c.expires_ms,
            c.parts,
            c.total,
            c.rejected,
            c.reply,
            c.idem_ttl_s,
            c.ref,
            c.month,
            c.records,
            array_header(len(c.events)) + b"".join(c.events) if c.events else b"",
            c.group_events,
            c.stream,
            c.shared_kept,
        )
        return CommitResult(cast("CommitKind", kind.decode()), reply, detail.decode())

    async def read_idem(self, part: str) -> tuple[str, bytes] | None:
        """Body digest and reply of an accepted part, or None."""
        value = await self.read("GET", self.keys.idem(part))
        if value is None:
            return None
        digest, reply = value.split(b" ", 1)
        return digest.decode(), reply

    async def group_reference(self, group: str) -> GroupReference | None:
        """What further parts of a group must agree with, or None when there is no such group."""
        values = await self.read("HMGET", self.keys.group(group), "digest", "ref", "month", "control")
        if values[0] is None:
            return None
        return GroupReference(*(value.decode() if value else "" for value in values))
