"""What record stores keep and do for privacy: suppressed addresses, and erasing what is kept of a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

SUPPRESSING: dict[str, str] = {"hard_bounced": "bounce", "complained": "complaint", "unsubscribed": "unsubscribe"}
"""Events after which an address must not be written to again, and why."""
SUPPRESSED_STATES = ("bounced", "complained", "unsubscribed")
"""The states to which those events lead."""


class Suppression(NamedTuple):
    """One address of one company that must not be written to."""

    company: str
    stream: str
    """Empty: none at all."""
    recipient: bytes
    """The address's keyed hash."""
    reason: str
    time_ms: int
    address: str | None
    """None once the person was erased."""


class SuppressionKey(NamedTuple):
    """What tells suppressions apart, in the order in which all of them are read."""

    company: str
    stream: str
    recipient: bytes


class SuppressionPlace(NamedTuple):
    """The last item of a page; newest first."""

    time_ms: int
    stream: str
    recipient: bytes


class Unwanted(NamedTuple):
    """A message after which its recipient must not be written to again."""

    company: str
    stream: str
    address: str
    kinds: tuple[str, ...]
    """Of `SUPPRESSING`."""


class Erasure(NamedTuple):
    """A person of a company who was erased: nothing that was accepted before is kept of them."""

    company: str
    recipient: bytes
    """The address's keyed hash."""
    time_ms: int


class PrivacyStore(Protocol):
    """Every method raises StoreDownError when the store cannot do it now; each may be called again."""

    async def unwanted(self, references: Sequence[str]) -> list[Unwanted]:
        """Those of these messages that have a record and an event of `SUPPRESSING`, as they are now."""
        ...

    async def add_suppressions(self, rows: Sequence[Suppression]) -> list[bool]:
        """Which are new; one that is there stays as it is."""
        ...

    async def remove_suppressions(self, company: str, recipient: bytes, stream: str) -> list[str]:
        """The streams from whose lists it was taken; `stream` empty: from all."""
        ...

    async def suppressions(
        self, company: str, recipient: bytes | None, after: SuppressionPlace | None, limit: int
    ) -> list[Suppression]:
        """One page, newest first; `recipient` restricts to one address."""
        ...

    async def all_suppressions(self, after: SuppressionKey | None, limit: int) -> list[Suppression]:
        """Some of everybody's, in the order of their keys."""
        ...

    async def known_suppressions(self, company: str, stream: str, recipients: Sequence[bytes]) -> set[bytes]:
        """Those that are on the list."""
        ...

    async def add_erasure(self, erasure: Erasure) -> None:
        """Of several of one person the last counts."""
        ...

    async def erasures(self, after: Erasure | None, limit: int) -> list[Erasure]:
        """Some of everybody's, by company and recipient; of `after` the time does not matter."""
        ...

    async def drop_erasures(self, before_ms: int, limit: int) -> list[Erasure]:
        """Forgets some of those before a time; which."""
        ...

    async def messages_to(self, company: str, spellings: Sequence[str], limit: int) -> list[str]:
        """References of some messages to an address (`addresses.spellings`); their partition may be wrong."""
        ...

    async def erase(self, company: str, references: Sequence[str]) -> int:
        """Makes messages what `documents.erased_head` says; how many were not yet."""
        ...

    async def erased(self, references: Sequence[str]) -> set[str]:
        """The ids of those of these messages that are erased."""
        ...

    async def forget_address(self, company: str, recipient: bytes) -> int:
        """Takes the address out of its suppressions, of which the hash stays; of how many."""
        ...

    async def tidy(self) -> None:
        """Makes that what was erased is not in the files any more either, as far as the store can; it may take long."""
        ...
