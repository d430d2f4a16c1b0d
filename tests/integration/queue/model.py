"""The queue as a pure Python model: where every message is, who holds it, and what each script must answer.

It is written from the rules, one method a step; the simulator holds the scripts against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

SLICE, BATCH = 50, 500


@dataclass
class Message:
    """One message. `place` is pending, held, retry, uncertain or ended."""

    id: str
    part: Part
    attempt: int = 1
    place: str = "pending"
    entry: str = ""
    owner: str = ""
    mark: tuple[str, int] | None = None
    doubt: tuple[str, int] | None = None  # "1" unclear, "R" proven by a receipt; the attempt
    policy: str = ""
    end: str = ""

    @property
    def column(self) -> str:
        """Of the ledger."""
        if self.place == "held":
            return "sending" if self.mark else "waiting"
        return {"pending": "waiting", "retry": "waiting"}.get(self.place, self.place)

    def is_held_by(self, consumer: str, entry: str) -> bool:
        """Whether this very entry is pending for the consumer."""
        return self.place == "held" and (self.owner, self.entry) == (consumer, entry)

    def finish(self, kind: str) -> None:
        """Over; a receipt says how, where one came."""
        self.end = "sent" if self.doubt and self.doubt[0] == "R" else kind
        self.place, self.mark, self.doubt = "ended", None, None


@dataclass
class Part:
    """One part; `state` is due, job, ring or out."""

    name: str
    group: Group
    state: str
    failed: bool = False
    pending: list[Message] = field(default_factory=list)


@dataclass
class Group:
    """One group."""

    name: str
    priority: str
    control: str = "running"
    expired: bool = False
    parts: list[Part] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @property
    def company(self) -> str:
        """What its names begin with."""
        return self.name.split("/")[0]

    @property
    def stream(self) -> str:
        """One group is a newsletter."""
        return "newsletter" if self.name == "acme/two" else "transactional"

    def ledger(self) -> tuple[int, ...]:
        """Waiting, sending, uncertain, ended."""
        columns = [m.column for m in self.messages]
        return tuple(columns.count(name) for name in ("waiting", "sending", "uncertain", "ended"))


class Model:
    """A partition with one method."""

    def __init__(self) -> None:
        """Empty."""
        self.groups: dict[str, Group] = {}
        self.parts: dict[str, Part] = {}
        self.messages: dict[str, Message] = {}
        self.rings: dict[str, list[str]] = {"high": [], "normal": []}
        self.company_rings: dict[tuple[str, str], list[Part]] = {}
        self.memos: dict[str, tuple[str, list[Message]]] = {}
        self.suppressed: set[tuple[str, str, str]] = set()
        """Company, stream (empty: every one) and message id, whose address is its own here."""

    def suppress(self, entry: tuple[str, str, str], *, on: bool) -> None:
        """Company, stream and message whose address goes on the list or off it."""
        (self.suppressed.add if on else self.suppressed.discard)(entry)

    # Groups -------------------------------------------------------------------------------

    def commit_part(self, group_name: str, number: int, ids: list[str], priority: str, *, due: bool) -> None:
        """A part is in."""
        group = self.groups.setdefault(group_name, Group(group_name, priority))
        part = Part(f"{group_name}/{number}", group, "due" if due else "job")
        part.pending = [Message(name, part) for name in ids]
        group.parts.append(part)
        group.messages += part.pending
        self.parts[part.name] = part
        self.messages |= {m.id: m for m in part.pending}

    def start(self, name: str, *, failed: bool) -> str:
        """Its job is done: templates are pinned, or missing."""
        part = self.parts[name]
        if part.state != "job":
            return "repeated"
        part.state, part.failed = "out", failed
        self._enter(part)
        return "started"

    def control(self, name: str, word: str) -> tuple[str, int]:
        """Pause, resume, cancel; word in force and number stopped."""
        group = self.groups[name]
        over = all(m.place == "ended" for m in group.messages)
        if group.control != "cancelled" and over:
            return "finished", 0
        if group.control in {word, "cancelled"}:
            return group.control, 0
        group.control = word
        for part in group.parts:
            if word == "paused" and part.state == "ring":
                self._leave(part)
            elif word == "running" and part.state == "out":
                self._enter(part)
            elif word == "cancelled" and part.state != "ring":
                part.state = "out"
                self._enter(part)
        return word, 0 if word == "running" else group.ledger()[0]

    def _enter(self, part: Part) -> None:
        if part.state != "out" or part.group.control == "paused" or not part.pending:
            return
        ring = self.rings[part.group.priority]
        mine = self.company_rings.setdefault((part.group.priority, part.group.company), [])
        mine.append(part)
        if len(mine) == 1:
            ring.append(part.group.company)
        part.state = "ring"

    def _leave(self, part: Part) -> None:
        mine = self.company_rings[part.group.priority, part.group.company]
        mine.remove(part)
        if not mine:
            self.rings[part.group.priority].remove(part.group.company)
        part.state = "out"

    @staticmethod
    def _ending(part: Part) -> str:
        if part.group.control == "cancelled":
            return "cancelled"
        if part.group.expired:
            return "expired"
        return "rejected" if part.failed else ""

    # Senders ------------------------------------------------------------------------------

    def take(self, consumer: str, nonce: str, count: int) -> tuple[str, list[Message], int]:
        """Status, messages in order, number ended. The caller fills in the entries."""
        memo = self.memos.get(consumer)
        if memo and memo[0] == nonce:
            return "ok", [m for m in memo[1] if m.is_held_by(consumer, m.entry)], 0
        taken: list[Message] = []
        ended = 0
        for priority in ("high", "normal"):
            ring = self.rings[priority]
            fair = max(SLICE, ceil(count / max(1, len(ring))))
            while ring and len(taken) < count and ended + len(taken) < BATCH:
                part = self._turn(ring, priority)
                kind = self._ending(part)
                room = BATCH - ended - len(taken) if kind else min(count - len(taken), fair)
                slice_, part.pending = part.pending[:room], part.pending[room:]
                if not part.pending:
                    self._leave(part)
                if kind:
                    ended += len(slice_)
                    for message in slice_:
                        message.finish(kind)
                else:
                    taken += slice_
        for message in taken:
            message.place, message.owner = "held", consumer
        if taken:
            self.memos[consumer] = (nonce, taken)
        return "ok" if taken or ended else "idle", taken, ended

    def _turn(self, ring: list[str], priority: str) -> Part:
        company = ring.pop(0)
        ring.append(company)
        mine = self.company_rings[priority, company]
        part = mine.pop(0)
        mine.append(part)
        return part

    def gate(self, consumer: str, items: list[tuple[str, str, int]]) -> list[str]:
        """`items` are entry, id, attempt."""
        backs: list[Message] = []
        answers = [self._judge(consumer, *item, backs) for item in items]
        self._put_back(backs)
        return answers

    def _judge(self, consumer: str, entry: str, name: str, attempt: int, backs: list[Message]) -> str:
        message = self.messages[name]
        if not message.is_held_by(consumer, entry):
            return "lost"
        if message.mark:
            return "go" if message.mark == (consumer, attempt) else "lost"
        kind = self._ending(message.part)
        if kind or (message.doubt and message.doubt[0] == "R"):
            message.finish(kind)
            return "done"
        if message.part.group.control == "paused":
            message.place = "pending"
            backs.append(message)
            return "back"
        company = message.part.group.company
        if {(company, stream, name) for stream in ("", message.part.group.stream)} & self.suppressed:
            message.finish("rejected")
            return "done"
        message.mark = (consumer, attempt)
        return "go"

    def _put_back(self, messages: list[Message]) -> None:
        for message in reversed(messages):
            message.part.pending.insert(0, message)
        for message in messages:
            self._enter(message.part)

    def commit(self, consumer: str, entry: str, name: str, attempt: int, result: str, policy: str) -> bool:
        """What became of one send."""
        message = self.messages[name]
        if message.mark:
            mine = message.mark == (consumer, attempt)
        elif result == "rejected":
            mine = message.is_held_by(consumer, entry)
        else:
            mine = (message.place, message.attempt) == ("uncertain", attempt) and result != "uncertain"
        if not mine:
            if result == "sent" and message.doubt:
                message.doubt = ("R", attempt)
            return False
        self._decide(message, result, attempt, policy)
        return True

    @staticmethod
    def _decide(message: Message, result: str, attempt: int, policy: str) -> None:
        message.mark = None
        proven = bool(message.doubt and message.doubt[0] == "R")
        if result in {"sent", "failed", "rejected"} or proven:
            message.finish(result)
        elif result == "uncertain" and message.doubt:
            message.finish("failed")
        elif result == "uncertain":
            message.place, message.policy = "uncertain", policy
        elif message.part.group.control == "cancelled":
            message.finish("cancelled")
        else:
            message.place, message.attempt = "retry", attempt + 1

    def claim(self, consumer: str) -> list[Message]:
        """Everything that others hold."""
        claimed = [m for m in self.messages.values() if m.place == "held" and m.owner != consumer]
        for message in claimed:
            message.owner = consumer
        return claimed

    def recover(self, consumer: str, entry: str, name: str, attempt: int, policy: str) -> bool:
        """A marked message of a lost owner."""
        message = self.messages[name]
        if not message.is_held_by(consumer, entry) or not message.mark or message.mark[1] != attempt:
            return False
        self._decide(message, "uncertain", attempt, policy)
        return True

    def hand_back(self, consumer: str, items: list[tuple[str, str]]) -> int:
        """`items` are entry, id."""
        backs = []
        for entry, name in items:
            message = self.messages[name]
            if message.is_held_by(consumer, entry) and not message.mark:
                message.place = "pending"
                backs.append(message)
        self._put_back(backs)
        return len(backs)

    # Others -------------------------------------------------------------------------------

    def receipt(self, name: str) -> int:
        """Whether it settled an uncertain message."""
        message = self.messages[name]
        if message.place == "uncertain":
            message.finish("sent")
            return 1
        if message.doubt:
            message.doubt = ("R", message.doubt[1])
        elif message.mark:
            message.doubt = ("R", message.mark[1])
        return 0

    def timer(self, count: int) -> int:
        """All waits are over in the simulation: parts first, then messages by id."""
        parts = sorted((p for p in self.parts.values() if p.state == "due"), key=lambda p: p.name)[:count]
        for part in parts:
            part.state = "job"
        waiting = [m for m in self.messages.values() if m.place in {"retry", "uncertain"}]

        def by_id(message: Message) -> str:
            return message.id

        due = sorted(waiting, key=by_id)[: count - len(parts)]
        for message in due:
            self._wake(message)
        return len(parts) + len(due)

    def _wake(self, message: Message) -> None:
        if message.doubt and message.doubt[0] == "R":
            message.finish("sent")
            return
        if message.place == "uncertain":
            if message.part.group.control == "cancelled" or message.policy != "resend":
                message.finish("failed")
                return
            message.doubt = ("1", message.attempt)
            message.attempt += 1
        message.place = "pending"
        message.part.pending.append(message)
        self._enter(message.part)
