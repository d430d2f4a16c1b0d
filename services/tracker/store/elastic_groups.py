"""Documents of groups: parts and operations as sets, and the adoption of messages that came before their group."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from morpheus_kit import ids
from morpheus_kit.queue.schema import GroupEvent, GroupRecord, SharedInfo
from services.tracker.store.base import STARTED, Operation, StoreDownError
from services.tracker.store.elastic_bulk import Action, Address, Stored, read, write
from services.tracker.store.elastic_client import Cluster, answering
from services.tracker.store.elastic_documents import GroupDocument, group_fields, group_of_source, shared_fields
from services.tracker.store.elastic_mappings import index_of
from services.tracker.store.months import month_of

ROUNDS: Final = 20
_CACHED: Final = 2_000
_ADOPTED: Final = 1_000


class GroupChange:
    """All that a batch says about one group."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.records: list[GroupRecord] = []
        self.events: list[GroupEvent] = []
        self.has_orphans = False

    def apply(self, old: GroupDocument) -> GroupDocument:
        """The document after it; equal to `old` when nothing is new."""
        parts = {part[0]: part for part in old.parts}
        shared = old.shared
        for record in self.records:
            parts.setdefault(record.part, (record.part, record.total, record.accepted_at_ms, record.key_id))
            shared = shared or record.shared
        operations = set(old.operations)
        versions, versions_ms = dict(old.template_versions), old.versions_ms
        for event in self.events:
            if event.type != STARTED:
                operation = (event.type, event.key_id, event.time_ms, event.reason_code, event.reason_text)
                operations.add(Operation(*operation))
            elif (event.time_ms, event.template_versions) != (versions_ms, versions) and event.time_ms >= versions_ms:
                versions, versions_ms = dict(event.template_versions), event.time_ms
        return GroupDocument(
            shared,
            min((part[2] for part in parts.values()), default=0),
            tuple(sorted(parts.values())),
            tuple(sorted(operations, key=lambda each: (each.time_ms, each.type, each.key_id))),
            versions,
            versions_ms,
            old.has_orphans or (self.has_orphans and shared is None),
        )


class Groups:
    """Writes groups, and knows what their messages share."""

    def __init__(self, cluster: Cluster) -> None:
        """`cluster` is prepared before each call."""
        self._cluster = cluster
        self._shared: OrderedDict[str, SharedInfo] = OrderedDict()

    async def write(self, records: Iterable[GroupRecord], events: Iterable[GroupEvent]) -> None:
        """Records and operations, any number of times with the same result. StoreDownError."""
        changes: dict[str, GroupChange] = {}
        for record in records:
            shared = record.shared
            month = shared.reference_prefix[:6] or month_of(record.accepted_at_ms)
            change = await self._change(changes, shared.company_code, shared.group_id, month)
            change.records.append(record)
        for event in events:
            month = event.reference_prefix[:6] or month_of(event.time_ms)
            change = await self._change(changes, event.company_code, event.group_id, month)
            change.events.append(event)
        await self._write(changes)

    async def shared_of(self, wanted: Mapping[str, Address]) -> dict[str, SharedInfo]:
        """What the messages of groups share, by the group's id; those whose record has not come are left out."""
        missing = [address for uuid, address in wanted.items() if uuid not in self._shared]
        for uuid, stored in (await read(self._cluster, missing, ["shared"])).items():
            if (shared := group_of_source(stored.source).shared) is not None:
                self.remember(uuid, shared)
        return {uuid: self._shared[uuid] for uuid in wanted if uuid in self._shared}

    def index_of(self, uuid: str) -> str | None:
        """The index of a group that was met lately."""
        shared = self._shared.get(uuid)
        return (
            index_of(self._cluster.prefix, shared.reference_prefix[:6]) if shared and shared.reference_prefix else None
        )

    def remember(self, uuid: str, shared: SharedInfo) -> None:
        """It was met."""
        self._shared[uuid] = shared
        if len(self._shared) > _CACHED:
            self._shared.popitem(last=False)

    async def expect(self, wanted: Mapping[str, Address]) -> None:
        """Notes in groups whose record has not come that messages of them are about to be written."""
        changes = {uuid: GroupChange(address) for uuid, address in wanted.items()}
        for change in changes.values():
            change.has_orphans = True
        await self._write(changes)

    async def adopt(self, address: Address, shared: SharedInfo) -> None:
        """Makes messages visible that were written before their group. StoreDownError."""
        client = self._cluster.client
        orphans = {
            "bool": {
                "filter": {"parent_id": {"type": "message", "id": address.id}},
                "must_not": {"exists": {"field": "company_code"}},
            }
        }
        for _ in range(ROUNDS * 10):
            with answering():
                await client.indices.refresh(index=address.month_index)
                answer = await client.search(
                    index=address.month_index,
                    routing=address.routing,
                    query=orphans,
                    source={"includes": ["recipient_tags"]},
                    size=_ADOPTED,
                    seq_no_primary_term=True,
                )
            hits = answer["hits"]["hits"]
            if not hits:
                return
            await write(
                self._cluster,
                [
                    Action(
                        Address(address.month_index, hit["_id"], address.routing),
                        shared_fields(shared, hit["_source"].get("recipient_tags") or ()),
                        Stored(hit["_seq_no"], hit["_primary_term"], {}),
                    )
                    for hit in hits
                ],
            )
        raise StoreDownError("messages of a group change faster than they can be completed")

    async def _change(self, changes: dict[str, GroupChange], company: str, group_id: str, month: str) -> GroupChange:
        uuid = ids.group_uuid(company, group_id)
        if uuid not in changes:
            changes[uuid] = GroupChange(Address(await self._cluster.index(month), uuid, uuid[:8]))
        return changes[uuid]

    async def _write(self, changes: dict[str, GroupChange]) -> None:
        for _ in range(ROUNDS):
            stored = await read(self._cluster, [change.address for change in changes.values()], None)
            actions: list[Action] = []
            orphans: list[tuple[Address, SharedInfo]] = []
            for uuid, change in changes.items():
                before = stored.get(uuid)
                old = group_of_source(before.source) if before else GroupDocument(None)
                new = change.apply(old)
                if new.shared is not None:
                    self.remember(uuid, new.shared)
                    if new.has_orphans:
                        orphans.append((change.address, new.shared))
                if before is None or new != old:
                    actions.append(Action(change.address, group_fields(uuid, new), before))
            results = await write(self._cluster, actions)
            if results.refused:
                raise ValueError(next(iter(results.refused.values())))
            for address, shared in orphans:
                if address.id not in results.conflicts:
                    await self._complete(address, shared)
            changes = {uuid: change for uuid, change in changes.items() if uuid in results.conflicts}
            if not changes:
                return
        raise StoreDownError("groups change faster than they can be written")

    async def _complete(self, address: Address, shared: SharedInfo) -> None:
        """Whoever fails before the mark is gone does it again when the entry comes again."""
        await self.adopt(address, shared)
        now = (await read(self._cluster, [address], ["has_orphans"])).get(address.id)
        if now is not None:
            await write(self._cluster, [Action(address, {"has_orphans": False}, now)])
