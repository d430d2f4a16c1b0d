"""What a fake does wrong, chosen by the recipient's address or ordered over the API."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

ANSWERS = frozenset({"error", "hang", "reset"})
"""Faults of a whole call, with each HTTP status of 400 to 599."""

OUTCOMES: dict[str, tuple[str, ...]] = {
    "delivered": ("sent", "delivered"),
    "opened": ("sent", "delivered", "opened"),
    "clicked": ("sent", "delivered", "opened", "clicked"),
    "bounced": ("sent", "bounced"),
    "soft-bounced": ("sent", "soft_bounced"),
    "late-bounced": ("sent", "delivered", "bounced"),
    "complained": ("sent", "delivered", "complained"),
    "unsubscribed": ("sent", "delivered", "unsubscribed"),
    "deferred": ("sent", "deferred", "delivered"),
    "refused": ("sent", "refused"),
    "sent-only": ("sent",),
    "silent": (),
}
"""What happens to a message that was taken, as steps; each fake has its own words for a step."""

RECIPIENTS = frozenset({"rejected", "invalid", "queued"})
"""Answers for one recipient of a call whose others are taken."""

RECEIPTS = frozenset({"early", "duplicate"})

_TOKEN = re.compile(
    r"(?P<name>[a-z]+(?:-[a-z]+)?|[45]\d\d(?:-taken)?)(?:\.(?P<value>[\w.-]+?))?(?:x(?P<times>\d+))?", re.IGNORECASE
)
_ADDRESS = re.compile(r"fault\+(?P<tokens>[^@]+)@", re.IGNORECASE)
_NUMBER = re.compile(r"\+447700900(?P<code>\d{3})")

NUMBERS: dict[str, str] = {
    "101": "sent-only",
    "102": "silent",
    "103": "bounced",
    "104": "soft-bounced",
    "105": "unsubscribed",
    "106": "refused",
    "107": "early",
    "108": "duplicate",
    "109": "latency.2000",
    "110": "hang",
    "111": "hang-taken",
    "112": "reset",
    "113": "reset-taken",
    "114": "503x1",
    "115": "429x1",
    "116": "502-taken",
    "117": "504-taken",
}
"""The last three digits of +44 7700 900xxx, numbers that belong to nobody; 400 to 599 are HTTP statuses."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong. `taken`: the message is recorded all the same."""

    name: str
    value: str = ""
    times: int | None = None
    """After so many calls it is over; None is never."""
    taken: bool = False

    @property
    def status(self) -> int | None:
        """The HTTP status that it answers with."""
        return int(self.name) if self.name.isdigit() else None

    @property
    def is_answer(self) -> bool:
        """It decides over the whole call."""
        return self.name.isdigit() or self.name in ANSWERS

    def __str__(self) -> str:
        value = f".{self.value}" if self.value else ""
        return f"{self.name}{'-taken' if self.taken else ''}{value}"


def parse_fault(text: str) -> Fault | None:
    """`429.30`, `error.MessageRejected`, `hang-taken`, `503x2`, …; None for what is no fault."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    name, value = found["name"].lower(), found["value"] or ""
    times = int(found["times"]) if found["times"] else None
    taken = name.endswith("-taken")
    name = name.removesuffix("-taken")
    fault = Fault(name, value, times, taken)
    if taken:
        return fault if name.isdigit() or name in {"hang", "reset"} else None
    known = fault.is_answer or name == "latency" or name in OUTCOMES or name in RECIPIENTS or name in RECEIPTS
    return fault if known else None


def faults_of(address: str) -> list[Fault]:
    """The faults that an address asks for by its form."""
    number = _NUMBER.fullmatch(address)
    if number is not None:
        code = number["code"]
        text = NUMBERS.get(code, code if code[0] in "45" else "")
        fault = parse_fault(text)
        return [fault] if fault else []
    found = _ADDRESS.match(address)
    if found is None:
        return []
    return [fault for token in found["tokens"].split("+") if (fault := parse_fault(token)) is not None]


@dataclass(slots=True)
class Order:
    """A fault ordered over the API for the addresses that `match`, a pattern with * and ?."""

    id: int
    match: str
    fault: Fault
    left: int | None

    def as_json(self) -> dict[str, object]:
        """What the API tells of it."""
        return {"id": self.id, "match": self.match, "fault": str(self.fault), "left": self.left}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that goes wrong in one call."""

    latency_s: float = 0.0
    answer: Fault | None = None
    recipients: dict[str, Fault] = field(default_factory=dict)
    """Of `RECIPIENTS`, by address."""
    outcomes: dict[str, str] = field(default_factory=dict)
    early: frozenset[str] = frozenset()
    duplicate: frozenset[str] = frozenset()

    def steps(self, address: str) -> tuple[str, ...]:
        """What happens to the message of an address after it was taken."""
        return OUTCOMES[self.outcomes.get(address, "delivered")]


class FaultBook:
    """The orders in force, and how often each limited fault has been used."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self._used: dict[tuple[str, Fault], int] = {}
        self._next = 1

    def order(self, match: str, fault: str, times: int | None = None) -> Order:
        """Do this wrong for these addresses from now on. Raises ValueError for what is no fault."""
        parsed = parse_fault(fault)
        if parsed is None:
            raise ValueError(f"{fault!r} is no fault")
        order = Order(self._next, match.lower(), parsed, times if times is not None else parsed.times)
        self._next += 1
        self.orders.append(order)
        return order

    def clear(self) -> None:
        """No orders, and limited faults of addresses begin again."""
        self.orders.clear()
        self._used.clear()

    def plan(self, addresses: Iterable[str]) -> Plan:
        """What goes wrong in a call for these addresses; limited faults are used up by it."""
        latency_ms, answer = 0.0, None
        recipients: dict[str, Fault] = {}
        outcomes: dict[str, str] = {}
        early: set[str] = set()
        duplicate: set[str] = set()
        for address in addresses:
            for fault in self._faults(address):
                if fault.name == "latency":
                    latency_ms += float(fault.value or 1000)
                elif fault.is_answer:
                    answer = answer or fault
                elif fault.name in RECIPIENTS:
                    recipients.setdefault(address, fault)
                elif fault.name in OUTCOMES:
                    outcomes.setdefault(address, fault.name)
                else:
                    (early if fault.name == "early" else duplicate).add(address)
        return Plan(latency_ms / 1000, answer, recipients, outcomes, frozenset(early), frozenset(duplicate))

    def _faults(self, address: str) -> list[Fault]:
        lowered = address.lower()
        faults = []
        for order in self.orders:
            if order.left != 0 and fnmatch.fnmatchcase(lowered, order.match):
                if order.left is not None:
                    order.left -= 1
                faults.append(order.fault)
        for fault in faults_of(address):
            if fault.times is not None:
                used = self._used.get((lowered, fault), 0)
                if used >= fault.times:
                    continue
                self._used[lowered, fault] = used + 1
            faults.append(fault)
        return faults
