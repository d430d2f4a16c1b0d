"""What the front holds for its callers: requests that wait and answers that nobody has read. Bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from morpheus_kit.errors import ThrottledError

DEFAULT_BYTES = 256 * 1024**2
SHARE = 4
"""One owner may hold a quarter: a reader that does not read leaves room for the others."""
_RETRY_SECONDS = 1.0


class Backlog:
    """Counts bytes by owner; refuses what would come on top of too much."""

    def __init__(self, most: int = DEFAULT_BYTES) -> None:
        """`most`: bytes of all owners together."""
        self._most = most
        self._by_owner: Counter[str] = Counter()
        self.bytes = 0

    @contextmanager
    def hold(self, owner: str, size: int) -> Iterator[Holding]:
        """Counts `size` bytes of a request until the block ends.

        ThrottledError when the owner, or all together, hold too much to begin with more.
        """
        if self._by_owner[owner] + size > self._most // SHARE or self.bytes + size > self._most:
            raise ThrottledError("Too much is waiting to be rendered or read.", retry_after=_RETRY_SECONDS)
        holding = Holding(self, owner)
        holding.add(size)
        try:
            yield holding
        finally:
            holding.add(-holding.bytes)

    def _count(self, owner: str, size: int) -> None:
        self.bytes += size
        self._by_owner[owner] += size
        if not self._by_owner[owner]:
            del self._by_owner[owner]


class Holding:
    """What is held for one call. Answers are added as they are made: they are never refused, but weigh for the next."""

    def __init__(self, backlog: Backlog, owner: str) -> None:
        self._backlog = backlog
        self._owner = owner
        self.bytes = 0

    def add(self, size: int) -> None:
        """More of it, or less."""
        self.bytes += size
        self._backlog._count(self._owner, size)  # noqa: SLF001  one thing in two classes
