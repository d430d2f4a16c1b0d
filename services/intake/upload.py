"""What follows the header of an upload: recipients in chunks, as they were signed, all of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from morpheus.intake.v1.intake_pb2 import GroupHeader, PreviewGroupRequest, SubmitGroupRequest

from morpheus_kit import wire
from morpheus_kit.errors import InvalidInputError, MalformedError
from services.intake.access import Access
from services.intake.recipients import Part

Requests = AsyncIterator[SubmitGroupRequest] | AsyncIterator[PreviewGroupRequest]


class Upload:
    """Recipients on their way in, and what must be true of them at their end."""

    def __init__(self, header: GroupHeader, access: Access) -> None:
        """`access` is that of `header`."""
        self._header = header
        self._is_http = access.is_http
        self._digest = hashlib.sha256()
        self._announced: int | None = None

    async def recipients(self, part: Part, requests: Requests) -> AsyncIterator[list[wire.Recipient]]:
        """Chunk by chunk; `part` counts them."""
        async for request in requests:
            kind = request.WhichOneof("payload")
            if self._announced is not None or kind not in {"chunk", "total"}:
                raise MalformedError("After the first message come chunks of recipients, and last their total.")
            if kind == "total":
                self._announced = request.total
                continue
            chunk = request.chunk.recipients
            self._digest.update(chunk)
            recipients = wire.decode_recipients(chunk, part.total)
            _check_size(chunk, len(recipients), part.total)
            yield recipients

    def check(self, part: Part) -> None:
        """All that was sent is here: the requests of a caller that went away end like those of one that is done."""
        if self._announced != part.total and (self._is_http or self._announced is not None):
            raise MalformedError("The upload ended before all of its recipients came.")
        if not part.total:
            raise InvalidInputError.of("recipients", "at least one is required")
        if not self._is_http and self._digest.digest() != self._header.content_sha256:
            raise InvalidInputError.of("content_sha256", "is not the digest of the recipients")


def _check_size(chunk: bytes, count: int, first: int) -> None:
    """The gateway keeps to these limits; a direct caller must too."""
    if count > wire.MAX_CHUNK_RECIPIENTS or (count > 1 and len(chunk) > wire.MAX_CHUNK_BYTES + 16):
        raise InvalidInputError.of("recipients", "a chunk holds at most 500 recipients and 1 MiB, or one larger one")
    if count == 1 and len(chunk) > wire.MAX_RECIPIENT_BYTES + 16:
        raise wire.too_large(f"recipients[{first}]")
