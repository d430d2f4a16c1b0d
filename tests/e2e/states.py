"""Waiting for what webhooks change: it comes after the group has ended."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.stack import Stack


def wait_until_recorded(stack: Stack, group_id: str, states: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The group's items by address, once they are in these states."""
    deadline = time.monotonic() + 20
    while True:
        items = {item["address"]: item for item in stack.get("/v1/messages", group_id=group_id)["items"]}
        found = {address: item["state"] for address, item in items.items()}
        if found == states or time.monotonic() > deadline:
            assert found == states
            return items
        time.sleep(0.1)
