"""One upload from its first message to its answer: verify, recognise, admit, validate, stage, commit."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import msgspec
from morpheus.intake.v1.intake_pb2 import GroupHeader, SubmitGroupRequest, SubmitGroupResponse
from redis.exceptions import RedisError

from morpheus_kit import ids
from morpheus_kit.clock import Clock
from morpheus_kit.errors import ConflictError, MalformedError, UnavailableError
from morpheus_kit.keyring import Keyring, RateLimiter
from morpheus_kit.queue.keys import group_name, part_name
from morpheus_kit.queue.outcomes import pack_records
from morpheus_kit.queue.runner import INTAKE_MEMORY
from morpheus_kit.queue.schema import GroupRecord, pack
from morpheus_kit.queue.scripts import CommitPart, GroupReference, Queue
from morpheus_kit.queue.withholding import kept_shared
from morpheus_kit.retention import LEAST_S
from services.intake.access import Access, authorise
from services.intake.config import Config
from services.intake.header import Resolved, check_header, check_identity
from services.intake.recipients import Part
from services.intake.shared import context_of, shared_digest, shared_info
from services.intake.staging import Staging
from services.intake.upload import Upload
from services.intake.violations import Violations

_reply_encoder = msgspec.msgpack.Encoder()
_reply_decoder = msgspec.msgpack.Decoder(tuple[int, int, int])
_CONFLICTS = {
    "body": "This part was posted before with another body.",
    "shared": "The shared information differs from that of the group's other parts.",
    "cancelled": "The group is cancelled.",
    "finished": "The group was finished long ago.",
}


@dataclass(frozen=True, slots=True)
class Intake:
    """What every upload works with."""

    config: Config
    keyring: Keyring
    limiter: RateLimiter
    queues: list[Queue]
    clock: Clock

    def seconds_kept(self, company: str, month: str) -> int:
        """How long records of this month will be kept, and so whatever tells that a group has been posted."""
        left_ms = self.config.kept.over_ms(company, month) - self.clock.now_ms()
        return max(LEAST_S, -(-left_ms // 1000))

    async def submit(
        self, requests: AsyncIterator[SubmitGroupRequest], metadata: Mapping[str, str]
    ) -> SubmitGroupResponse:
        """Reads one upload to its end and answers it. Raises one of our errors; then nothing is queued."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("payload") != "header":
            raise MalformedError("The first message must be the header.")
        header = first.header
        access = authorise(header, metadata, self.keyring, self.clock)
        violations = Violations()
        check_identity(header, violations)
        violations.raise_if_any()
        queue = self.queues[ids.partition_of(header.company_code, len(self.queues))]
        return await Submission(self, queue, header, access, violations).run(requests)


class Submission:
    """The upload under way."""

    def __init__(
        self, intake: Intake, queue: Queue, header: GroupHeader, access: Access, violations: Violations
    ) -> None:
        """`header` is authorised and names a group."""
        self._intake = intake
        self._queue = queue
        self._header = header
        self._access = access
        self._violations = violations
        self._now_ms = intake.clock.now_ms()
        self._context = context_of(header)
        self._shared_digest = shared_digest(header, self._context)
        self._part_name = part_name(header.company_code, header.group_id, header.part)
        self._group_name = group_name(header.company_code, header.group_id)
        self._upload = Upload(header, access)

    @property
    def _body_digest(self) -> str:
        """What a repeated post must have in common: the body, or of a direct call header and recipients."""
        content = self._header.content_sha256
        if self._access.is_http:
            return content.hex()
        return hashlib.sha256(content + self._shared_digest.encode()).hexdigest()

    async def run(self, requests: AsyncIterator[SubmitGroupRequest]) -> SubmitGroupResponse:
        """To the answer."""
        try:
            known = await self._queue.read_idem(self._part_name)
            if known is not None:
                return await self._replay(known[0], requests)
            reference = await self._queue.group_reference(self._group_name)
        except RedisError as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc
        self._check_group(reference)
        await self._queue.check_memory(INTAKE_MEMORY)
        self._intake.limiter.take(self._access.key)
        resolved = check_header(self._header, self._intake.config, self._now_ms, self._violations)
        self._violations.raise_if_unsupported()
        part = self._part(resolved)
        staging = Staging(self._queue, self._part_name, secrets.token_hex(8))
        async for recipients in self._upload.recipients(part, requests):
            elements = part.add(recipients)
            if not self._violations:
                await staging.add(elements)
            elif self._violations.full:
                break
        self._violations.raise_if_any()
        self._upload.check(part)
        await staging.flush()
        return await self._commit(part, resolved, reference, staging)

    def _part(self, resolved: Resolved) -> Part:
        buckets = self._intake.config.buckets
        return Part(
            self._header, resolved.email_only, self._now_ms, self._violations, buckets, sms_only=resolved.sms_only
        )

    async def _replay(self, digest: str, requests: AsyncIterator[SubmitGroupRequest]) -> SubmitGroupResponse:
        """The same post again: its rejected recipients are found again, nothing else is done or judged."""
        if digest != self._body_digest:
            raise ConflictError(_CONFLICTS["body"])
        method = self._header.method
        part = self._part(Resolved("", email_only=method not in {"sms", "test"}, sms_only=method == "sms"))
        async for recipients in self._upload.recipients(part, requests):
            part.add(recipients)
        self._upload.check(part)
        return await self._commit(part, Resolved("", email_only=True), None, None)

    def _check_group(self, reference: GroupReference | None) -> None:
        """Early, so that a part which cannot belong is not staged first; the commit judges again."""
        if reference is None:
            return
        if reference.control == "cancelled":
            raise ConflictError(_CONFLICTS["cancelled"])
        if reference.digest != self._shared_digest:
            raise ConflictError(_CONFLICTS["shared"])

    async def _commit(
        self, part: Part, resolved: Resolved, reference: GroupReference | None, staging: Staging | None
    ) -> SubmitGroupResponse:
        """`staging` is None for a replay: the commit recognises it, and waits until the first one is durable."""
        commit = self._commit_part(part, resolved, reference, staging)
        result = await self._queue.commit_part(commit)
        if result.kind == "conflict":
            raise ConflictError(_CONFLICTS.get(result.detail, ""))
        if result.kind == "aborted":
            raise UnavailableError("The upload was overtaken; send it again.", retry_after=1)
        total, accepted, duplicates = _reply_decoder.decode(result.reply)
        return SubmitGroupResponse(
            group_id=self._header.group_id,
            part=self._header.part,
            total=total,
            accepted=accepted,
            duplicates=duplicates,
            rejected=part.rejected,
            replayed=result.kind == "replayed",
        )

    def _commit_part(
        self, part: Part, resolved: Resolved, reference: GroupReference | None, staging: Staging | None
    ) -> CommitPart:
        header = self._header
        month = reference.month if reference else self._intake.clock.now().strftime("%Y%m")
        prefix = (
            reference.ref
            if reference
            else ids.reference_prefix(month, self._queue.keys.partition, header.company_code, header.group_id)
        )
        shared = shared_info(header, self._context, resolved.provider_method, prefix)
        records, events = part.rejected_records(prefix) if staging else ([], [])
        kept = kept_shared(shared)
        group = GroupRecord(kept, header.part, part.total, self._now_ms, self._access.key.id)
        return CommitPart(
            part=self._part_name,
            group=self._group_name,
            request_id=staging.request_id if staging else "replay",
            # What was never staged cannot be counted: a replay whose answer has gone meanwhile is refused.
            count=staging.count if staging else 2**53,
            body_digest=self._body_digest,
            shared_digest=self._shared_digest,
            shared_blob=pack(shared),
            method=resolved.provider_method,
            priority=shared.priority,
            send_ms=shared.send_at_ms,
            expires_ms=shared.expires_at_ms,
            parts=shared.parts,
            total=part.total,
            rejected=len(part.rejected),
            reply=_reply_encoder.encode((part.total, part.accepted, part.duplicates)),
            idem_ttl_s=self._intake.seconds_kept(header.company_code, month),
            ref=prefix,
            month=month,
            records=pack_records(messages=records, groups=[group]),
            events=events,
            stream=shared.stream,
            shared_kept=pack(kept) if kept is not shared else b"",
        )
