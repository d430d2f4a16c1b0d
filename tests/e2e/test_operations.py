"""Pausing, resuming, cancelling, `send_at` and `expires_at`, over HTTP and with every service real."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack
from morpheus_kit import ids

MESSAGES = 3_000

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests of this file; each has a group of its own."""
    with Stack(tmp_path_factory.mktemp("operations"), {"MORPHEUS_LEASE": "3"}) as running:
        yield running


def test_a_paused_group_stands_still_and_resumed_it_finishes(stack: Stack) -> None:
    _send(stack, "paused", MESSAGES)
    _wait_until_ended(stack, "paused", MESSAGES // 5)

    status, reply = stack.operate("paused", "pause")

    assert (status, reply["control"]) == (200, "paused")
    assert 0 < reply["stopped"] < MESSAGES
    _wait_until_still(stack, "paused")
    still = stack.group("paused")
    assert still["control"] == "paused"
    assert still["progress"]["waiting"] == reply["stopped"]
    taken = len(_mails(stack, "paused", MESSAGES))
    assert taken == MESSAGES - reply["stopped"]
    time.sleep(1.5)
    assert stack.group("paused")["progress"] == still["progress"]
    assert len(_mails(stack, "paused", MESSAGES)) == taken
    assert stack.operate("paused", "pause") == (200, {"control": "paused", "stopped": 0})

    assert stack.operate("paused", "resume") == (200, {"control": "running", "stopped": 0})
    assert stack.operate("paused", "resume") == (200, {"control": "running", "stopped": 0})

    group = stack.wait_finished("paused", 60)
    _assert_sums(group, MESSAGES)
    assert group["counts"]["sent"] + group["counts"]["delivered"] == MESSAGES
    assert [each["type"] for each in group["operations"]] == ["paused", "resumed"]
    assert all(each["key_id"] and each["time"] for each in group["operations"])
    assert set(_calls(stack, "paused", MESSAGES).values()) == {1}
    assert len(_mails(stack, "paused", MESSAGES)) == MESSAGES


def test_a_cancelled_group_sends_nothing_more_and_records_who_got_nothing(stack: Stack) -> None:
    _send(stack, "cancelled", MESSAGES)
    _wait_until_ended(stack, "cancelled", MESSAGES // 5)

    status, reply = stack.operate("cancelled", "cancel")

    stopped = reply["stopped"]
    assert (status, reply["control"]) == (200, "cancelled")
    assert 0 < stopped < MESSAGES
    group = stack.wait_finished("cancelled", 60)
    _assert_sums(group, MESSAGES)
    assert group["counts"]["cancelled"] == stopped
    assert group["counts"]["sent"] + group["counts"]["delivered"] == MESSAGES - stopped
    cancelled = _items(stack, "cancelled", state="cancelled")
    assert len(cancelled) == stopped
    assert {item["reason"]["code"] for item in cancelled} == {"group_cancelled"}
    assert all(item["address"].removeprefix("person").split("@")[0].isdigit() for item in cancelled)
    assert all(item["first_name"].startswith("Person") and item["last_name"] == "Of Many" for item in cancelled)
    none = {item["id"] for item in cancelled}
    assert none.isdisjoint(_mails(stack, "cancelled", MESSAGES))
    assert none.isdisjoint(_calls(stack, "cancelled", MESSAGES))
    assert len(_mails(stack, "cancelled", MESSAGES)) == MESSAGES - stopped
    assert stack.operate("cancelled", "cancel") == (200, {"control": "cancelled", "stopped": 0})
    status, refusal = stack.operate("cancelled", "resume")
    assert (status, refusal["code"]) == (409, "conflict")


def test_a_paused_group_can_be_cancelled(stack: Stack) -> None:
    _send(stack, "both", 200, send_at=_in(60))
    assert stack.operate("both", "pause") == (200, {"control": "paused", "stopped": 200})

    assert stack.operate("both", "cancel") == (200, {"control": "cancelled", "stopped": 200})

    group = stack.wait_finished("both", 30)
    _assert_sums(group, 200)
    assert group["counts"]["cancelled"] == 200
    assert not _mails(stack, "both", 200)


def test_nothing_goes_before_send_at(stack: Stack) -> None:
    moment = _in(3)
    _send(stack, "timed", 50, send_at=moment)

    time.sleep(1)
    waiting = stack.group("timed")
    assert waiting["progress"] == {"waiting": 50, "sending": 0, "uncertain": 0, "ended": 0}
    assert waiting["counts"]["queued"] == 50
    assert not _mails(stack, "timed", 50)

    group = stack.wait_finished("timed", 30)
    _assert_sums(group, 50)
    assert len(_mails(stack, "timed", 50)) == 50
    first = min(datetime.fromisoformat(item["sent_at"]) for item in _items(stack, "timed"))
    assert first >= datetime.fromisoformat(moment)


def test_nothing_goes_after_expires_at(stack: Stack) -> None:
    _send(stack, "over", 50, expires_at=_in(-1))
    _send(stack, "overtaken", 50, send_at=_in(1), expires_at=_in(2))
    assert stack.operate("overtaken", "pause") == (200, {"control": "paused", "stopped": 50})
    assert stack.wait_finished("over", 30)["counts"]["expired"] == 50
    time.sleep(2)
    assert stack.group("overtaken")["progress"]["waiting"] == 50
    assert stack.operate("overtaken", "resume")[0] == 200

    group = stack.wait_finished("overtaken", 30)

    _assert_sums(group, 50)
    for group_id in ("over", "overtaken"):
        assert not _mails(stack, group_id, 50)
        items = _items(stack, group_id)
        assert len(items) == 50
        assert {(item["state"], item["reason"]["code"]) for item in items} == {("expired", "expired")}


def test_a_group_that_nobody_knows_is_not_found(stack: Stack) -> None:
    for word in ("pause", "resume", "cancel"):
        status, reply = stack.operate("nobody", word)
        assert (status, reply["code"]) == (404, "not_found")


def test_a_suppressed_address_is_rejected_and_no_provider_is_called(stack: Stack) -> None:
    address = "nobody@example.org"  # of no other group of this stack
    recipients = [{**sample.recipient(index), **({"address": address} if index == 1 else {})} for index in range(3)]
    assert [stack.suppress(address.upper())[0] for _ in range(2)] == [201, 200]
    status, _, _ = stack.post(msgpack.packb({**sample.group("suppressed", 0), "recipients": recipients}))
    assert status == 202
    group = stack.wait_finished("suppressed", 60)
    assert (group["counts"]["rejected"], group["counts"]["sent"] + group["counts"]["delivered"]) == (1, 2)
    (item,) = _items(stack, "suppressed", state="rejected")
    assert (item["address"], item["reason"]["code"]) == (address, "suppressed_manual")
    assert len(_calls(stack, "suppressed", 3)) == 2
    assert len(_mails(stack, "suppressed", 3)) == 2


def _send(stack: Stack, group_id: str, recipients: int, **shared: Any) -> None:
    status, reply, _ = stack.post(msgpack.packb({**sample.group(group_id, recipients), **shared}))
    assert (status, reply["accepted"]) == (202, recipients)


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _wait_until_ended(stack: Stack, group_id: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while stack.group(group_id)["progress"]["ended"] < count:
        assert time.monotonic() < deadline, "nothing is sent"


def _wait_until_still(stack: Stack, group_id: str) -> None:
    """What was with its provider comes back; simulated receipts settle what is uncertain."""
    deadline = time.monotonic() + 30
    while (progress := stack.group(group_id)["progress"])["sending"] + progress["uncertain"]:
        assert time.monotonic() < deadline, progress


def _assert_sums(group: dict[str, Any], total: int) -> None:
    assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": total}
    assert sum(group["counts"].values()) == group["total"] == total


def _own(group_id: str, count: int) -> set[str]:
    return {ids.message_id(sample.COMPANY, group_id, 0, index) for index in range(count)}


def _outbox(stack: Stack) -> Path:
    return stack.home / "outbox"


def _mails(stack: Stack, group_id: str, count: int) -> set[str]:
    """Which messages of the group are in the outbox."""
    return {path.stem for path in _outbox(stack).glob("*.eml")} & _own(group_id, count)


def _calls(stack: Stack, group_id: str, count: int) -> Counter[str]:
    """How often each message of the group was given to its provider."""
    own = _own(group_id, count)
    lines = (_outbox(stack) / "calls.jsonl").read_text().splitlines()
    return Counter(each for line in lines if (each := json.loads(line)["id"]) in own)


def _items(stack: Stack, group_id: str, **filters: str) -> list[dict[str, Any]]:
    """All pages of `GET /v1/messages`."""
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        page = stack.get("/v1/messages", group_id=group_id, page_size="200", page_token=token, **filters)
        items += page["items"]
        token = page["next_page_token"]
        if not token:
            return items


def test_what_failed_is_sent_again_as_a_group_of_its_own(stack: Stack) -> None:
    document = sample.group("again", 3)
    document["recipients"][0]["address"] = "refused@simulator.example.com"
    status, _, _ = stack.post(msgpack.packb(document))
    assert status == 202
    stack.wait_finished("again", 30)

    status, reply = stack.operate("again", "retry")
    assert (status, reply["total"]) == (202, 1)
    retried = stack.wait_finished(reply["group_id"], 30)
    assert (retried["total"], retried["counts"]["failed"], retried["tags"]) == (1, 1, document["tags"])
    assert [each["type"] for each in stack.group("again")["operations"]] == ["retried"]
