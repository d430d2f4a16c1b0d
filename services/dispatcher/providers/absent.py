"""Stands in for a provider that is not configured any more, for messages that only it may get."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from services.dispatcher.providers.base import Form, Outgoing
from services.dispatcher.verdicts import Answer, Verdict


class AbsentProvider:
    """Every call is a retry, so the message shows why it waits, goes when the provider is back, and ends in time."""

    form: Form = "mime"
    takes_key = False
    concurrency = sys.maxsize

    def __init__(self, name: str) -> None:
        """`name` of the provider that is gone."""
        self.name = name

    async def start(self) -> None:
        """There is nothing."""

    async def stop(self) -> None:
        """There is nothing."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Verdict]:
        """Nothing was called."""
        words = f"{self.name}: it may have the message, so no other provider gets it, and it is not configured any more"
        return [Verdict(Answer.RETRY, words)] * len(batch)
