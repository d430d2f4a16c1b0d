"""What of a message statistics count: its state, the milestones that it has reached, and the currency of its cost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from services.tracker.fold import Folded
from services.tracker.states import MILESTONES

_BITS: Final = {name: 1 << number for number, name in enumerate(MILESTONES)}


class Tally(NamedTuple):
    """Messages with the same one are counted together."""

    state: str
    reached: int
    """One bit a milestone, in the order of `MILESTONES`."""
    currency: str
    """Empty where the cost is not known."""

    def __str__(self) -> str:
        """One word; `read_tally` is the inverse."""
        return f"{self.state}/{self.reached}/{self.currency}"


def tally_of(folded: Folded) -> Tally:
    """Where a message with these events is counted."""
    return Tally(folded.state, _reached(folded.first), folded.value("cost_currency") or "")


@lru_cache(maxsize=1_000)
def read_tally(word: str) -> Tally:
    """The inverse of `str`; there are few of them."""
    state, reached, currency = word.split("/", 2)
    return Tally(state, int(reached), currency)


@lru_cache(maxsize=1_000)
def reached_names(bits: int) -> tuple[str, ...]:
    """The milestones of these bits."""
    return tuple(name for name, bit in _BITS.items() if bits & bit)


def _reached(first: Iterable[str]) -> int:
    return sum([_BITS[name] for name in first])
