"""What the messages of a group share, read once per group; the pins are read per slice, for resuming changes them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

import msgspec
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.contents import group_content
from morpheus_kit.queue.schema import QueuedMessage, SharedInfo, unpack_shared
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.unsubscribe import UnsubscribeLinks
from services.dispatcher.fields import FieldsComposer
from services.dispatcher.headers import AddressError
from services.dispatcher.mime import Composer

_MAX_GROUPS = 256
# Of shared information as the queue keeps it: a group's context may be many megabytes.
_MAX_BYTES = 64 * 1024 * 1024
_NO_URL = "MORPHEUS_PUBLIC_URL is not set, so there is nowhere to unsubscribe"
_versions = msgspec.msgpack.Decoder(dict[str, str])


def pack_pins(versions: dict[str, str]) -> bytes:
    """Path to version, as the group hash keeps it."""
    return msgspec.msgpack.encode(versions)


@dataclass(frozen=True, slots=True)
class Group:
    """One group. Its composers are None where no email of it can be written; `why_not` says why.

    `pins` are the template versions as the queue keeps them, empty before the group has started; `versions` the same.
    """

    name: str
    shared: SharedInfo
    composer: Composer | None
    fields: FieldsComposer | None
    why_not: str
    content: renderer_pb2.GroupContent
    pins: bytes = b""
    versions: dict[str, str] = field(default_factory=dict)
    links: UnsubscribeLinks | None = None

    @property
    def paths(self) -> list[str]:
        """The templates that the group names."""
        return [path for path in (self.shared.outer_template, self.shared.inner_template) if path]

    def reference(self, message_id: str) -> str:
        """What every provider echoes."""
        return f"{self.shared.reference_prefix}-{message_id}"

    def unsubscribe_url(self, message: QueuedMessage) -> str:
        """Where the recipient unsubscribes; empty where the group's messages have no such link."""
        if self.links is None or not self.shared.unsubscribe:
            return ""
        shared = self.shared
        return self.links.url(shared.company_code, shared.stream, self.reference(message.id), message.address)

    def pinned(self, pins: bytes) -> Group:
        """The same group with these versions."""
        content = renderer_pb2.GroupContent()
        content.CopyFrom(self.content)
        content.versions.clear()
        versions = _versions.decode(pins) if pins else {}
        content.versions.update(versions)
        return replace(self, content=content, pins=pins, versions=versions)


class Groups:
    """The groups used last, of all partitions."""

    def __init__(self, links: UnsubscribeLinks | None = None) -> None:
        """`links`: None where nobody knows the public URL."""
        self._links = links
        self._groups: OrderedDict[tuple[int, str], Group] = OrderedDict()
        self._sizes: dict[tuple[int, str], int] = {}
        self._bytes = 0

    async def get(self, queue: Queue, part: str) -> Group | None:
        """The group of `part` with its present pins; None when the queue has none.

        UnavailableError; NewerVersionError when a newer release wrote it.
        """
        name = part.rpartition("/")[0]
        key = (queue.keys.partition, name)
        group, whole = self._groups.get(key), True
        if group is None:
            state = await queue.group_state(name)
            if state is None or state.get("shared", b"") == b"":
                return None
            group, size = make_group(name, unpack_shared(state["shared"]), self._links), len(state["shared"])
            pins = state.get("pins", b"")
            # Of a drained group only what may be recorded is left: its next part brings the rest again.
            whole = group.shared.withheld is None or "shared_kept" in state
        else:
            size = self._sizes[key]
            pins = await queue.pins(part) or b""
        if pins != group.pins:
            group = group.pinned(pins)
        if whole:
            self._keep(key, group, size)
        return group

    def _keep(self, key: tuple[int, str], group: Group, size: int) -> None:
        self._bytes += size - self._sizes.get(key, 0)
        self._groups[key], self._sizes[key] = group, size
        self._groups.move_to_end(key)
        while len(self._groups) > _MAX_GROUPS or (self._bytes > _MAX_BYTES and len(self._groups) > 1):
            oldest, _ = self._groups.popitem(last=False)
            self._bytes -= self._sizes.pop(oldest)


def make_group(name: str, shared: SharedInfo, links: UnsubscribeLinks | None = None) -> Group:
    """A group without pins."""
    composer, fields, why_not = None, None, ""
    try:
        if shared.outer_template or shared.subject_template:
            composer, fields = Composer(shared), FieldsComposer(shared)
    except (AddressError, ValueError) as exc:
        composer, why_not = None, str(exc)
    if shared.unsubscribe and links is None:
        composer, why_not = None, _NO_URL
    return Group(name, shared, composer, fields, why_not, group_content(shared), links=links)
