"""How ledger and records become one answer."""

from __future__ import annotations

from typing import Any

import pytest

from morpheus_kit.queue.schema import SharedInfo
from services.tracker.groups import GroupView, is_over, view_group
from services.tracker.ledger import Ledger
from services.tracker.store.base import GroupRow, Operation

NOW = 1_780_000_100_000
STARTED = NOW - 100_000


def shared(parts: int = 0) -> SharedInfo:
    return SharedInfo(1, "acme", "june", "test", "test", "a.html", parts=parts)


def ledger(**more: Any) -> Ledger:
    fields: dict[str, Any] = {
        "shared": shared(),
        "control": "running",
        "reason": ("", ""),
        "total": 10,
        "waiting": 4,
        "sending": 1,
        "uncertain": 1,
        "ended": 4,
        "parts": 0,
        "parts_in": 1,
        "accepted_ms": STARTED,
        "pins": {},
    }
    return Ledger(**{**fields, **more})


def row(**more: Any) -> GroupRow:
    fields: dict[str, Any] = {"shared": shared(), "accepted_ms": STARTED, "total": 10, "parts_in": 1}
    return GroupRow(**{**fields, **more})


def view(row: GroupRow | None, ledger: Ledger | None) -> GroupView:
    found = view_group(row, ledger, NOW, NOW)
    assert found is not None
    return found


def test_nobody_knows_it() -> None:
    assert view_group(None, None, NOW, NOW) is None


def test_group_that_only_the_queue_knows() -> None:
    found = view(None, ledger())
    assert (found.control, found.total, found.counts, found.accepted_ms) == ("running", 10, {"queued": 10}, STARTED)


def test_what_is_not_recorded_counts_as_queued() -> None:
    found = view(row(counts={"delivered": 3, "queued": 1}), ledger())
    assert found.counts == {"delivered": 3, "queued": 7}
    assert (found.percent, found.progress.sending) == (40.0, 1)


def test_rate_and_eta() -> None:
    found = view(row(ended_lately=120), ledger())
    assert (found.rate, found.eta_ms) == (2.0, NOW + 3000)
    assert view(row(ended_lately=120), ledger(control="paused")).eta_ms == 0


@pytest.mark.parametrize(
    ("group", "queued", "finished"),
    [
        pytest.param(row(settled=10), ledger(), True, id="all settled"),
        pytest.param(row(settled=9), ledger(), False, id="one open"),
        pytest.param(row(settled=10), None, True, id="left the queue"),
        pytest.param(row(shared=shared(2), settled=10), ledger(shared=shared(2), parts=2), False, id="a part to come"),
        pytest.param(
            row(shared=shared(2), settled=10),
            ledger(shared=shared(2), parts=2, control="cancelled"),
            True,
            id="no part comes to a cancelled group",
        ),
    ],
)
def test_finished_when_all_parts_are_in_and_all_is_settled(
    group: GroupRow, queued: Ledger | None, finished: bool
) -> None:
    found = view(group, queued)
    assert (found.control == "finished") is finished
    if queued is None:
        assert is_over(group)


def test_control_of_a_group_that_left_the_queue_comes_from_its_operations() -> None:
    paused = Operation("paused", "ops", NOW, "provider_refused", "no such domain")
    found = view(row(settled=9, operations=(paused,)), None)
    assert (found.control, found.reason) == ("paused", ("provider_refused", "no such domain"))
    resumed = Operation("resumed", "ops", NOW)
    assert view(row(settled=9, operations=(paused, resumed)), None).control == "running"
