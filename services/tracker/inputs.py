"""What messages were made of, for sending them again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.errors import ConflictError, InvalidInputError, UnavailableError
from morpheus_kit.queue.schema import pack
from morpheus_kit.reasons import ReasonCode
from services.tracker.documents import Document
from services.tracker.filters import company_of
from services.tracker.queries import Queries
from services.tracker.states import STATES
from services.tracker.store.base import EVERYONE, MessageFilter, StoreDownError
from services.tracker.store.reports import Reports

_UNDER_WAY = ("queued", "sending", "deferred", "uncertain")
_ENDED = tuple(state for state in STATES if state not in _UNDER_WAY)
_IMPOSSIBLE = frozenset([ReasonCode.ADDRESS_INVALID, ReasonCode.SENDER_REFUSED])
_PAGE = 100


class Inputs:
    """Reads kept inputs; nothing here writes."""

    def __init__(self, queries: Queries, store: Reports) -> None:
        """`queries` finds the messages, `store` has their bodies."""
        self._queries = queries
        self._store = store

    def read(self, request: pb.ReadInputsRequest) -> AsyncIterator[tuple[bytes, list[bytes]]]:
        """Shared information and messages as they were queued. NotFoundError, ConflictError, InvalidInputError."""
        company = company_of(request.company_code)
        if company == EVERYONE:
            raise InvalidInputError.of("company_code", "one company is required here")
        if request.WhichOneof("source") == "message_id":
            return self._of_message(company, request.message_id)
        for state in request.states:
            if state not in _ENDED:
                raise InvalidInputError.of("states", f"must be of {', '.join(_ENDED)}")
        for reason in request.reasons:
            if reason not in ReasonCode.__members__.values():
                raise InvalidInputError.of("reasons", f"{reason[:64]} is no code of the table of reasons")
        return self._of_group(company, request.group_id, request.states or ["failed"], request.reasons)

    async def _of_message(self, company: str, message_id: str) -> AsyncIterator[tuple[bytes, list[bytes]]]:
        document = await self._queries.message(company, message_id)
        if document.head.folded.state in _UNDER_WAY:
            raise ConflictError("The message is still under way.")
        if document.head.folded.reason[0] in _IMPOSSIBLE:
            raise ConflictError("Nothing can be sent to this address.")
        kept = _kept([document])
        if not kept:
            raise ConflictError("What the message was made of is not kept.")
        yield pack(document.shared), kept

    async def _of_group(
        self, company: str, group_id: str, states: Sequence[str], reasons: Sequence[str]
    ) -> AsyncIterator[tuple[bytes, list[bytes]]]:
        """In one pass over the list, so that a message whose state changes meanwhile is there once at most."""
        shared = (await self._queries.group(company, group_id)).shared
        wanted = MessageFilter(group_id=group_id, state=states[0] if len(states) == 1 else "")
        chosen = found = 0
        async for page in self._queries.every_message(company, wanted):
            ids = [each.id for each in page if _is_wanted(each, states, reasons)]
            chosen += len(ids)
            for start in range(0, len(ids), _PAGE):
                try:
                    kept = _kept(await self._store.details(company, ids[start : start + _PAGE]))
                except StoreDownError as exc:
                    raise UnavailableError("The record store does not answer.", retry_after=1) from exc
                found += len(kept)
                if kept:
                    yield pack(shared), kept
        if not found:
            raise ConflictError("What they were made of is not kept." if chosen else "There is no such message in it.")


def _is_wanted(document: Document, states: Sequence[str], reasons: Sequence[str]) -> bool:
    reason = document.head.folded.reason[0]
    if document.head.folded.state not in states or reason in _IMPOSSIBLE:
        return False
    return not reasons or reason in reasons


def _kept(documents: Iterable[Document]) -> list[bytes]:
    """Of a message whose contents are withheld only a part is kept: nothing can be sent from that."""
    return [
        each.body.blob
        for each in documents
        if each.body is not None and each.body.blob and not each.head.error and not each.head.withheld
    ]
