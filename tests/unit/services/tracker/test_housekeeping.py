"""Chores: what fails is done the next time, and what is not kept goes in bounded steps."""

from __future__ import annotations

from typing import cast

from services.tracker.housekeeping import Housekeeping, Keeping
from services.tracker.store.base import RecordStore, StoreDownError


class Store:
    """Has so many steps left to do."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.calls: list[str] = []

    async def drop_over(self, limit: int) -> int:
        assert limit > 0
        self.calls.append("drop")
        self.left -= 1
        return int(self.left >= 0)

    async def tidy(self) -> None:
        self.calls.append("tidy")


def keeping(store: Store) -> Keeping:
    return Keeping(cast("RecordStore", store))


async def test_the_files_are_cleaned_after_the_last_step_and_only_then() -> None:
    store = Store(150)
    chore = keeping(store)
    await chore.step()
    assert "tidy" not in store.calls
    await chore.step()
    assert store.calls == ["drop"] * 151 + ["tidy"]
    await chore.step()
    assert store.calls[-1] == "drop"


async def test_a_chore_that_fails_does_not_keep_others_from_theirs() -> None:
    store = Store(0)

    async def fail() -> None:
        raise StoreDownError("away")

    await Housekeeping({"fail": fail, "keep": keeping(store).step}).step()
    assert store.calls == ["drop"]
