"""An archive of messages as the queue tells of them: what dispatchers write into `outcomes`, entry by entry.

Groups of three companies over the last three months. Bodies are the sample's, rendered once; what is one person's own
is put in for each message.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

import msgpack
import msgspec
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from resiliparse.extract.html2text import extract_plain_text

from benchmarks import sample
from morpheus_kit import ids
from morpheus_kit.queue.outcomes import array_header, pack_records
from morpheus_kit.queue.schema import Event, GroupEvent, GroupRecord, MessageRecord, QueuedMessage, SharedInfo, pack

COMPANIES: Final = ("northern", "southern", "western")
KINDS: Final = ("invoice", "reminder", "newsletter")
METHODS: Final = ("mandrill", "ses")
PEOPLE: Final = 50_000
SLICE: Final = 100
"""Messages of an entry: a slice, as dispatchers commit them."""
_DAYS, _DAY_MS = 90, 86_400_000
_FIRST: Final = ("Alice", "Bram", "Chloé", "Dmitri", "Elif", "Håkon", "Inês", "José", "Katya", "Liam", "Noor", "Priya")
_LAST: Final = (
    "Andersen",
    "Baker",
    "Çelik",
    "Dupont",
    "Eriksen",
    "García",
    "Hansen",
    "Jensen",
    "López",
    "Müller",
    "Nguyen",
)
_COST: Final[dict[str, str | int | float | None]] = {
    "cost_micros": 150,
    "cost_currency": "GBP",
    "response": "250 queued",
}


@dataclass(frozen=True, slots=True)
class Group:
    """One posted group."""

    number: int
    messages: int
    newest_ms: int
    """When the last of all groups was accepted."""
    groups: int

    @property
    def company(self) -> str:
        """Whose it is."""
        return COMPANIES[self.number % len(COMPANIES)]

    @property
    def group_id(self) -> str:
        """Its id."""
        return f"{KINDS[self.number % 7 % 3]}-{self.number}"

    @property
    def accepted_ms(self) -> int:
        """All groups are spread evenly over the days."""
        return self.newest_ms - (self.groups - 1 - self.number) * _DAYS * _DAY_MS // self.groups

    @property
    def shared(self) -> SharedInfo:
        """What its messages share."""
        kind, method = KINDS[self.number % 7 % 3], METHODS[self.number % 5 % 2]
        month = datetime.fromtimestamp(self.accepted_ms / 1000, UTC).strftime("%Y%m")
        return SharedInfo(
            1,
            self.company,
            self.group_id,
            method,
            method,
            "bench/inner.html",
            "bench/outer.html",
            sample.SUBJECT,
            context=msgspec.Raw(msgpack.packb(sample.SHARED_CONTEXT)),
            from_address="Bench <bench@example.org>",
            tags=[kind, f"campaign-{self.number // 10}"],
            reference_prefix=ids.reference_prefix(month, 0, self.company, self.group_id),
        )

    def entries(self) -> Iterator[dict[bytes, bytes]]:
        """Its record and start, then its messages, each sent and nearly all delivered."""
        shared = self.shared
        record = GroupRecord(shared, 0, self.messages, self.accepted_ms, "default")
        started = GroupEvent(
            *(self.company, self.group_id, "started", self.accepted_ms + 500),
            reference_prefix=shared.reference_prefix,
            template_versions={"bench/inner.html": "sha256:1f", "bench/outer.html": "sha256:2e"},
        )
        yield {b"records": pack_records((), [record]), b"group_events": array_header(1) + pack(started)}
        for start in range(0, self.messages, SLICE):
            yield self._slice(shared, range(start, min(start + SLICE, self.messages)))

    def _slice(self, shared: SharedInfo, indexes: Sequence[int]) -> dict[bytes, bytes]:
        records, events = [], list[Event]()
        for index in indexes:
            record = self._record(shared, index)
            records.append(record)
            events += self._events(record.reference, index, shared.method)
        packed = array_header(len(events)) + b"".join(map(pack, events))
        return {b"records": pack_records(records), b"events": packed}

    def _record(self, shared: SharedInfo, index: int) -> MessageRecord:
        chance = random.Random(f"{self.number}/{index}")  # noqa: S311  no secret
        person = chance.randrange(PEOPLE)
        first, last = _FIRST[person % len(_FIRST)], _LAST[person % len(_LAST)]
        context = sample.recipient(index)["context"] | {"number": f"INV-{self.number:03}{index:05}"}
        message_id = ids.message_id(self.company, self.group_id, 0, index)
        blob = pack(
            QueuedMessage(
                *(1, message_id, index, 0, self.accepted_ms, f"person{person}@example.org", first, last),
                user_link=f"https://app.example.org/people/{person}",
                tags=[f"client-{person}"],
                context=msgspec.Raw(msgpack.packb(context)),
            )
        )
        own = {"FIRST": first, "NUMBER": context["number"], "TUTOR": context["tutor"], "TOTAL": context["total"]}
        subject, html, text = (_fill(each, own) for each in _bodies())
        return MessageRecord(
            *(f"{shared.reference_prefix}-{message_id}", self.company, self.group_id, blob, True),
            subject=subject,
            html=html,
            text=text,
        )

    def _events(self, reference: str, index: int, method: str) -> list[Event]:
        external_id = reference[-36:].replace("-", "")
        at = self.accepted_ms + 2_000 + index
        sent = Event(reference, "sent", 1, at, provider=method, external_id=external_id, detail=dict(_COST))
        last = "hard_bounced" if index % 100 == 7 else "delivered"
        return [sent, Event(reference, last, 0, at + 1_000, method, provider=method)]


def groups(messages: int, each: int, newest_ms: int) -> list[Group]:
    """As many groups of `each` as `messages` need."""
    number = max(1, messages // each)
    return [Group(n, each, newest_ms, number) for n in range(number)]


@cache
def _bodies() -> tuple[str, str, str]:
    """Subject, HTML and text of the sample, with marks where a person's own stands."""
    environment = Environment(loader=FileSystemLoader(sample.TEMPLATES), autoescape=True)
    one = sample.recipient(0)
    own = {"number": "@NUMBER@", "tutor": "@TUTOR@", "total": "@TOTAL@"}
    names = {"first_name": "@FIRST@", "full_name": "@FIRST@ Of Many"}
    variables = sample.SHARED_CONTEXT | one | one["context"] | own | names
    subject = environment.from_string(sample.SUBJECT).render(variables)
    content = Markup(environment.get_template("inner.html").render(variables))  # noqa: S704  rendered with autoescape
    html = environment.get_template("outer.html").render(variables | {"subject": subject, "content": content})
    text = extract_plain_text(html, preserve_formatting=True, list_bullets=True, alt_texts=True, links=True)
    return subject, html, str(text)


def _fill(text: str, own: dict[str, str]) -> str:
    for name, value in own.items():
        text = text.replace(f"@{name}@", value)
    return text
