"""A dispatcher that dies in the middle: nothing lost, nothing sent twice that was not uncertain."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.stack import Stack

MESSAGES = 3_000


@pytest.mark.timeout(240)
def test_killed_dispatcher_loses_nothing_and_doubles_only_what_was_uncertain(stack: Stack, tmp_path: Path) -> None:
    status, reply, _ = stack.send("kill", MESSAGES)
    assert (status, reply["accepted"]) == (202, MESSAGES)
    _wait_until_ended(stack, MESSAGES // 5)
    dispatcher = stack.processes()["dispatcher"][0]
    os.kill(dispatcher.pid, signal.SIGKILL)

    group = stack.wait_finished("kill", 120)

    assert stack.processes()["dispatcher"][0].pid != dispatcher.pid
    assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": MESSAGES}
    assert sum(group["counts"].values()) == MESSAGES
    assert group["counts"]["sent"] + group["counts"]["delivered"] == MESSAGES
    outbox = tmp_path / "outbox"
    assert len(list(outbox.rglob("*.eml"))) == MESSAGES
    calls = Counter(json.loads(line)["id"] for line in (outbox / "calls.jsonl").read_text().splitlines())
    assert len(calls) == MESSAGES
    for message_id in (each for each, count in calls.items() if count > 1):
        events = stack.message(message_id)["events"]
        assert "uncertain" in {event["type"] for event in events}, f"{message_id} was sent twice"


def _wait_until_ended(stack: Stack, count: int) -> None:
    deadline = time.monotonic() + 60
    while stack.group("kill")["progress"]["ended"] < count:
        assert time.monotonic() < deadline, "nothing is sent"
