"""A whole stack while its record store is out of order: what must hold until it is well again, and after that."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from redis import Redis

from benchmarks import sample
from benchmarks.stack import Stack
from fakes import mandrill
from local.redis import socket_path
from morpheus_kit import ids

Step = Callable[[], object]

MESSAGES = 2_000
_LIMIT = 3
_KEY = "a key of Mandrill's webhooks"
_OUTCOMES, _DEAD = "morpheus:{0}:outcomes", "morpheus:{0}:dead"
SETTINGS = {
    "MORPHEUS_SLICE": "50",
    "MORPHEUS_OUTCOMES_LIMIT": str(_LIMIT),
    "MORPHEUS_MANDRILL_WEBHOOK_KEYS": _KEY,
}


def live_through(
    stack: Stack, begin: Callable[[], None], *changes: Callable[[], None], end: Callable[[], None]
) -> None:
    """`begin` breaks the store while a group flows, each of `changes` breaks it otherwise, `end` mends it.

    Sending stops, posts and receipts are taken as long as Redis has room for each, nothing is lost, and the books
    balance afterwards.
    """
    with Redis(unix_socket_path=str(socket_path(stack.home)), decode_responses=True) as redis:
        assert stack.send("before", 20)[0] == HTTPStatus.ACCEPTED
        stack.wait_finished("before", 30)
        assert stack.send("during", MESSAGES)[0] == HTTPStatus.ACCEPTED
        _wait(lambda: _calls(stack) > MESSAGES // 20)
        begin()
        stopped = _stopped(stack, redis)
        assert stopped < MESSAGES + 20, "sending did not stop"
        assert stack.send("accepted", 20)[0] == HTTPStatus.ACCEPTED
        _receipts_have_room_where_posts_have_none(stack, redis)
        for change in changes:
            change()
            assert _stopped(stack, redis) == stopped
        end()
        _wait(lambda: stack.send("refused", 20)[0] == HTTPStatus.ACCEPTED)
        totals = {"before": 20, "during": MESSAGES, "accepted": 20, "refused": 20}
        for group_id, total in totals.items():
            _balanced(stack, group_id, total)
        _wait(lambda: redis.xlen(_OUTCOMES) == 0)
        assert redis.xlen(_DEAD) == 0
    calls = [json.loads(line)["id"] for line in (stack.home / "outbox" / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == len(set(calls)) == sum(totals.values())
    _wait(lambda: stack.message(_first_of("before"))["state"] == "opened")


def _receipts_have_room_where_posts_have_none(stack: Stack, redis: Redis) -> None:
    known = redis.xlen(_OUTCOMES)
    assert _receipt(stack) == HTTPStatus.OK
    assert redis.xlen(_OUTCOMES) > known
    usual = str(redis.config_get("maxmemory")["maxmemory"])
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 0.75))
    time.sleep(1.1)  # services look at Redis's memory once a second
    status, reply, _ = stack.send("refused", 20)
    assert (status, reply["code"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")
    assert _receipt(stack) == HTTPStatus.OK
    redis.config_set("maxmemory", usual)


def _receipt(stack: Stack) -> int:
    """Somebody opened the first message of `before`; told by Mandrill's webhook, each time at another second."""
    prefix = ids.reference_prefix(f"{datetime.now(UTC):%Y%m}", 0, sample.COMPANY, "before")
    metadata = {"reference": f"{prefix}-{_first_of('before')}"}
    message = {"_id": "m1", "email": "person0@example.org", "metadata": metadata}
    fields = {"mandrill_events": json.dumps([{"event": "open", "_id": "m1", "ts": int(time.time()), "msg": message}])}
    url = f"http://127.0.0.1:{stack.port}/webhooks/mandrill"
    headers = {"x-mandrill-signature": mandrill.sign(_KEY, url, fields)}
    try:
        with urlopen(Request(url, urlencode(fields).encode(), headers), timeout=20) as answer:
            return int(answer.status)
    except HTTPError as exc:
        return exc.code


def _balanced(stack: Stack, group_id: str, total: int) -> None:
    group = stack.wait_finished(group_id, 60)
    assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": total}
    assert sum(group["counts"].values()) == group["total"] == total
    assert group["counts"]["sent"] + group["counts"]["delivered"] + group["counts"]["opened"] == total


def _stopped(stack: Stack, redis: Redis) -> int:
    """How many were sent when no more is: more outcomes wait than may, and a while brings nothing new."""
    _wait(lambda: redis.xlen(_OUTCOMES) > _LIMIT)
    last = -1
    while last != (last := _calls(stack)):
        time.sleep(0.5)
    assert redis.xlen(_OUTCOMES) > _LIMIT
    return last


def _calls(stack: Stack) -> int:
    path = stack.home / "outbox" / "calls.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _first_of(group_id: str) -> str:
    return ids.message_id(sample.COMPANY, group_id, 0, 0)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
