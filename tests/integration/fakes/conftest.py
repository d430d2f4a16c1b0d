"""A receiver of webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.fakes.receiver import Receiver, receive_webhooks


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Answers every webhook with 200."""
    async with receive_webhooks() as receiver:
        yield receiver
