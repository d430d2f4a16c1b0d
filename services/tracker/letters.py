"""Dead letters of an erased person: what is theirs goes, what is another's in the same letter stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from morpheus_kit.addresses import AddressHasher
from morpheus_kit.queue.elements import unpack_element
from morpheus_kit.queue.outcomes import Outcome, pack_outcome, unpack_outcome
from morpheus_kit.queue.schema import MessageRecord, unpack_message
from morpheus_kit.queue.scripts import Letter, Queue
from services.tracker.store.privacy import PrivacyStore

_RECORDS: Final = frozenset([b"records", b"blobs", b"events", b"group_events"])
_record = msgspec.msgpack.Decoder(MessageRecord)


class Letters:
    """The stream `dead` of each partition."""

    def __init__(self, store: PrivacyStore, hasher: AddressHasher) -> None:
        """`store` knows which messages are erased."""
        self._store = store
        self._hasher = hasher

    async def erase(self, queue: Queue, company: str, erased_ms: Mapping[bytes, int]) -> int:
        """Takes out what these persons (keyed hash to when) were to get; of how many letters."""
        erased = 0
        async for page in queue.letters():
            for letter in page:
                rest = await self._rest(letter, company, erased_ms)
                if rest is not None:
                    erased += await queue.replace_letter(letter, rest)
        return erased

    async def _rest(self, letter: Letter, company: str, erased_ms: Mapping[bytes, int]) -> dict[bytes, bytes] | None:
        """What stays of a letter; None when nothing of it is theirs. What cannot be read at all is left."""
        fields, kind = letter.fields, letter.fields.get(b"kind")
        try:
            if kind == b"message":
                owner, blob = fields[b"part"].split(b"/")[0].decode(), unpack_element(fields[b"element"]).blob
                return {} if owner == company and self._is_theirs(company, blob, erased_ms) else None
            if kind == b"record":
                record = _record.decode(fields[b"record"])
                theirs = record.company_code == company and self._is_theirs(company, record.blob, erased_ms)
                return {} if theirs else None
            outcome = unpack_outcome(fields)
        except (ValueError, KeyError):
            return None
        return await self._rest_of(outcome, fields, company, erased_ms)

    async def _rest_of(
        self, outcome: Outcome, fields: Mapping[bytes, bytes], company: str, erased_ms: Mapping[bytes, int]
    ) -> dict[bytes, bytes] | None:
        records = [
            record.reference
            for record in outcome.messages
            if record.company_code == company and self._is_theirs(company, record.blob, erased_ms)
        ]
        told = {event.reference for event in outcome.events}
        gone = {reference[-36:] for reference in records} | await self._store.erased(sorted(told))
        left = replace(
            outcome,
            messages=[each for each in outcome.messages if each.reference[-36:] not in gone],
            events=[each for each in outcome.events if each.reference[-36:] not in gone],
        )
        if (left.messages, left.events) == (outcome.messages, outcome.events):
            return None
        if not (left.messages or left.events or left.groups or left.group_events):
            return {}
        return {name: value for name, value in fields.items() if name not in _RECORDS} | pack_outcome(left)

    def _is_theirs(self, company: str, blob: bytes, erased_ms: Mapping[bytes, int]) -> bool:
        message = unpack_message(blob)
        return message.accepted_at_ms <= erased_ms.get(self._hasher.hash(company, message.address), -1)
