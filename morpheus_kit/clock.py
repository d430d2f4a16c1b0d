"""Time, through the constructor: tests advance it instead of sleeping."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a service gets its time from."""

    def now(self) -> datetime:
        """The present, UTC."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until `advance` is called."""

    def __init__(self, start_ms: int = 1_780_000_000_000) -> None:
        """`start_ms` is milliseconds since the epoch."""
        self._ms = start_ms

    def advance(self, seconds: float) -> None:
        """Moves on by `seconds`."""
        self._ms += round(seconds * 1000)

    def now(self) -> datetime:
        """The present, UTC."""
        return datetime.fromtimestamp(self._ms / 1000, UTC)

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._ms

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._ms / 1000
