"""Every process of the stack is killed once while one group goes out: nothing lost, nothing doubled unseen."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path

import msgpack
import psutil
import pytest
from redis import Redis

from benchmarks import sample
from benchmarks.stack import Stack
from local.redis import socket_path

MESSAGES = 3_000
UPLOAD = 10_000
# Who is killed when so many messages have been given to their provider.
DEATHS = {400: "redis", 800: "renderer", 1_200: "tracker", 1_500: "intake", 1_800: "gateway", 2_200: "dispatcher"}


@pytest.mark.timeout(180)
def test_each_process_is_killed_once_in_the_middle_of_a_group(stack: Stack, tmp_path: Path) -> None:
    calls = tmp_path / "outbox" / "calls.jsonl"
    status, reply, _ = stack.send("restarts", MESSAGES)
    assert (status, reply["accepted"]) == (202, MESSAGES)

    for count, name in DEATHS.items():
        _wait_for_calls(calls, count)
        _kill(stack, name)

    _post_until_taken(stack, msgpack.packb(sample.group("second", 100)))
    _wait_until_ready(stack)
    for group_id, total in (("restarts", MESSAGES), ("second", 100)):
        group = stack.wait_finished(group_id, 60)
        assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": total}
        assert sum(group["counts"].values()) == total
        assert group["counts"]["sent"] + group["counts"]["delivered"] == total
    _assert_sent(stack, MESSAGES + 100)


@pytest.mark.timeout(180)
def test_a_group_goes_on_after_the_machine_lost_its_power(tmp_path: Path) -> None:
    lease = {"MORPHEUS_LEASE": "3"}
    with Stack(tmp_path, lease) as stack:
        assert stack.send("power", MESSAGES)[0] == HTTPStatus.ACCEPTED
        _wait_for_calls(tmp_path / "outbox" / "calls.jsonl", MESSAGES // 3)
        stack.kill()

    with Stack(tmp_path, lease) as stack:
        group = stack.wait_finished("power", 60)

        assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": MESSAGES}
        assert sum(group["counts"].values()) == MESSAGES
        _assert_sent(stack, MESSAGES)


@pytest.mark.timeout(120)
def test_an_upload_that_dies_with_intake_leaves_nothing_and_can_be_sent_again(stack: Stack) -> None:
    later = {"send_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))}
    body = msgpack.packb({**sample.group("upload", UPLOAD), **later})
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(stack.post(body)[0]))
    client.start()
    _wait_for_staging(stack)
    _kill(stack, "intake")
    client.join(60)

    # The commit may have been done just before; then its answer is what a repeated post gets.
    assert answers in ([HTTPStatus.SERVICE_UNAVAILABLE], [HTTPStatus.ACCEPTED])
    _post_until_taken(stack, body)

    group = stack.group("upload")
    assert group["total"] == UPLOAD
    assert group["progress"] == {"waiting": UPLOAD, "sending": 0, "uncertain": 0, "ended": 0}
    assert stack.operate("upload", "cancel") == (200, {"control": "cancelled", "stopped": UPLOAD})
    assert stack.wait_finished("upload", 60)["counts"]["cancelled"] == UPLOAD


def _assert_sent(stack: Stack, total: int) -> None:
    """Every message is in the outbox; one that was given to its provider twice was uncertain in between."""
    outbox = stack.home / "outbox"
    assert len(list(outbox.glob("*.eml"))) == total
    called = Counter(json.loads(line)["id"] for line in (outbox / "calls.jsonl").read_text().splitlines())
    assert len(called) == total
    for message_id in (each for each, number in called.items() if number > 1):
        events = stack.message(message_id)["events"]
        assert "uncertain" in {event["type"] for event in events}, f"{message_id} was sent twice"


def _kill(stack: Stack, name: str) -> None:
    process = _leader(stack, name)
    assert process is not None, f"{name} does not run"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def _leader(stack: Stack, name: str) -> psutil.Process | None:
    for found, members in stack.processes().items():
        if found == name or (name == "redis" and "valkey" in found):
            return members[0]
    return None


def _wait_for_calls(calls: Path, count: int) -> None:
    deadline = time.monotonic() + 40
    while not calls.exists() or calls.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, f"fewer than {count} messages are sent"
        time.sleep(0.01)


def _wait_for_staging(stack: Stack) -> None:
    with Redis(unix_socket_path=str(socket_path(stack.home))) as redis:
        deadline = time.monotonic() + 20
        while not redis.keys("*:staging:*"):
            assert time.monotonic() < deadline, "nothing is uploaded"


def _post_until_taken(stack: Stack, body: bytes) -> None:
    """As a client does: the same bytes again, until they are accepted or were before."""
    deadline = time.monotonic() + 40
    while True:
        try:
            status, reply, _ = stack.post(body)
        except OSError:
            status, reply = 0, {}
        if status in {HTTPStatus.ACCEPTED, HTTPStatus.OK}:
            return
        assert status in {0, HTTPStatus.SERVICE_UNAVAILABLE}, reply
        assert time.monotonic() < deadline, reply
        time.sleep(0.1)


def _wait_until_ready(stack: Stack) -> None:
    """Reads are answered again too."""
    deadline = time.monotonic() + 40
    while True:
        try:
            stack.group("restarts")
        except (OSError, RuntimeError):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
