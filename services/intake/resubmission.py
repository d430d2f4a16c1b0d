"""Messages sent again as a new group: what they were made of comes from the records, all else is as in a post."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping

import msgspec
from morpheus.intake.v1.intake_pb2 import (
    ResubmitHeader,
    ResubmitInputs,
    ResubmitMessagesRequest,
    ResubmitMessagesResponse,
)
from redis.exceptions import RedisError

from morpheus_kit import ids
from morpheus_kit.errors import (
    ConflictError,
    InvalidInputError,
    MalformedError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from morpheus_kit.keyring import Key
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.keys import group_name, part_name
from morpheus_kit.queue.outcomes import array_header, pack_records
from morpheus_kit.queue.runner import INTAKE_MEMORY
from morpheus_kit.queue.schema import GroupEvent, GroupRecord, SharedInfo, pack, unpack_message, unpack_shared
from morpheus_kit.queue.scripts import CommitPart
from services.intake.staging import Staging
from services.intake.submission import Intake

_BEARER = "Bearer "
_DIGEST_BYTES = 32
_OPERATIONS = ("resent", "retried")
_reply = msgspec.msgpack.Decoder(tuple[int, int, int])


async def resubmit(
    intake: Intake, requests: AsyncIterator[ResubmitMessagesRequest], metadata: Mapping[str, str]
) -> ResubmitMessagesResponse:
    """Reads one upload to its end and answers it. Raises one of our errors; then nothing is queued."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("payload") != "header":
        raise MalformedError("The first message must be the header.")
    header = first.header
    key = _authorise(intake, header, metadata.get("authorization", ""))
    if len(header.request_sha256) != _DIGEST_BYTES or header.operation not in _OPERATIONS:
        raise MalformedError("The header is not a whole one.")
    return await Resubmission(intake, header, key).run(requests)


def _authorise(intake: Intake, header: ResubmitHeader, authorization: str) -> Key:
    if not authorization.startswith(_BEARER):
        raise UnauthenticatedError("Authorization: a bearer token is required.")
    key = intake.keyring.by_token(authorization.removeprefix(_BEARER))
    key.require_scope("operate")
    key.require_company(header.company_code)
    return key


class Resubmission:
    """The upload under way."""

    def __init__(self, intake: Intake, header: ResubmitHeader, key: Key) -> None:
        """`key` may do it."""
        self._intake = intake
        self._header = header
        self._key = key
        self._queue = intake.queues[ids.partition_of(header.company_code, len(intake.queues))]
        self._part = part_name(header.company_code, header.group_id, 0)
        self._now_ms = intake.clock.now_ms()
        self._shared: SharedInfo | None = None

    async def run(self, requests: AsyncIterator[ResubmitMessagesRequest]) -> ResubmitMessagesResponse:
        """To the answer. A request that was answered before is answered again without its inputs."""
        try:
            known = await self._queue.read_idem(self._part)
        except RedisError as exc:
            raise UnavailableError("The queue does not answer.", retry_after=1) from exc
        staging = Staging(self._queue, self._part, secrets.token_hex(8))
        if known is None:
            await self._queue.check_memory(INTAKE_MEMORY)
            await self._stage(requests, staging)
        return await self._commit(staging, replayed=known is not None)

    async def _stage(self, requests: AsyncIterator[ResubmitMessagesRequest], staging: Staging) -> None:
        announced = 0
        async for request in requests:
            if request.WhichOneof("payload") == "inputs":
                await staging.add(self._elements(request.inputs, staging))
            else:
                announced = request.total
        if not staging.total:
            raise NotFoundError("There is nothing to send again.")
        # A caller that is cancelled looks like one that has ended.
        if staging.total != announced:
            raise UnavailableError("The inputs did not come to their end.", retry_after=1)
        await staging.flush()

    def _elements(self, inputs: ResubmitInputs, staging: Staging) -> list[bytes]:
        header, first = self._header, staging.total
        shared = unpack_shared(inputs.shared)
        if shared.company_code != header.company_code:
            raise InvalidInputError.of("shared", "belongs to another company")
        if shared.method not in self._intake.config.methods:
            raise InvalidInputError.of("method", f"{shared.method} is not configured here")
        self._shared = shared
        elements = []
        for index, blob in enumerate(inputs.messages, first):
            old = unpack_message(blob)
            new = msgspec.structs.replace(
                old,
                id=ids.message_id(header.company_code, header.group_id, 0, index),
                index=index,
                part=0,
                accepted_at_ms=self._now_ms,
                resend_of=old.id,
            )
            elements.append(pack_element(new.id, pack(new)))
        return elements

    async def _commit(self, staging: Staging, *, replayed: bool) -> ResubmitMessagesResponse:
        result = await self._queue.commit_part(self._commit_part(staging, replayed=replayed))
        if result.kind == "conflict":
            raise ConflictError("The Idempotency-Key was used before with another body.")
        if result.kind == "aborted":
            raise UnavailableError("The request was overtaken; send it again.", retry_after=1)
        total, _, _ = _reply.decode(result.reply)
        return ResubmitMessagesResponse(group_id=self._header.group_id, total=total, replayed=result.kind == "replayed")

    def _commit_part(self, staging: Staging, *, replayed: bool) -> CommitPart:
        header = self._header
        company, group_id = header.company_code, header.group_id
        month = self._intake.clock.now().strftime("%Y%m")
        prefix = ids.reference_prefix(month, self._queue.keys.partition, company, group_id)
        old = self._shared or SharedInfo(1, company, group_id, "", "", "")
        # It is sent now; what must not go out after a time must not go out again after it either.
        shared = msgspec.structs.replace(old, group_id=group_id, reference_prefix=prefix, send_at_ms=0, parts=1)
        operation = GroupEvent(company, old.group_id, header.operation, self._now_ms, self._key.id)
        record = GroupRecord(shared, 0, staging.count, self._now_ms, self._key.id)
        return CommitPart(
            part=self._part,
            group=group_name(company, group_id),
            request_id=staging.request_id,
            count=2**53 if replayed else staging.count,
            body_digest=header.request_sha256.hex(),
            shared_digest=header.request_sha256.hex(),
            shared_blob=pack(shared),
            method=shared.provider_method,
            priority=shared.priority,
            send_ms=0,
            expires_ms=shared.expires_at_ms,
            parts=1,
            total=staging.count,
            rejected=0,
            reply=msgspec.msgpack.encode((staging.count, staging.count, 0)),
            idem_ttl_s=self._intake.seconds_kept(company, month),
            ref=prefix,
            month=month,
            records=pack_records(groups=[record]),
            group_events=array_header(1) + pack(operation),
            stream=shared.stream,
        )
