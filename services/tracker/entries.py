"""Entries of the `outcomes` stream: how they are read, gathered into batches, and put together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from morpheus_kit.queue.outcomes import Outcome, unpack_outcome

Fields: TypeAlias = dict[bytes, bytes]
Entry: TypeAlias = tuple[bytes, Fields]

_BATCH_BYTES: Final = 2 * 1024 * 1024


class Decoded(NamedTuple):
    """An entry that could be read."""

    entry_id: bytes
    fields: Fields
    outcome: Outcome


def time_ms(entry_id: bytes) -> int:
    """When Redis took it; Unix milliseconds."""
    return int(entry_id.split(b"-")[0])


def batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Bounds the memory of one write: compressed bytes say how much will come out."""
    batches: list[list[Entry]] = []
    size = _BATCH_BYTES
    for entry in entries:
        weight = sum(map(len, entry[1].values()))
        if size + weight > _BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += weight
    return batches


def decode(entries: Sequence[Entry]) -> list[Decoded | tuple[bytes, Fields, Exception]]:
    """What was in them; of those that cannot be read, why. CPU work; call it in a thread."""
    decoded: list[Decoded | tuple[bytes, Fields, Exception]] = []
    for entry_id, fields in entries:
        try:
            decoded.append(Decoded(entry_id, fields, unpack_outcome(fields)))
        except Exception as exc:  # noqa: BLE001  whatever is wrong with it, the others go on
            decoded.append((entry_id, fields, exc))
    return decoded


def merge(items: Sequence[Decoded]) -> Outcome:
    """All that they say, in their order."""
    if len(items) == 1:
        return items[0].outcome
    merged = Outcome()
    for item in items:
        merged.groups += item.outcome.groups
        merged.messages += item.outcome.messages
        merged.events += item.outcome.events
        merged.group_events += item.outcome.group_events
    return merged


def entries_of(answer: Any) -> list[Entry]:
    """Both protocols of Redis: a map of streams, whose entries are nested once more, or a list of pairs."""
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
    found: list[Entry] = []
    for entries in streams:
        nested = entries[0] if entries and isinstance(entries[0], list) else entries
        found += nested
    return found
