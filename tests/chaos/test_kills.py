"""Random kills over all five services while a group flows into a provider that fails: the books still balance.

The long form runs with `make test-chaos` alone. A run that failed prints its seed, which chooses victims and pauses;
the machine decides the rest.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest

from benchmarks import sample
from benchmarks.provider_fakes import running_fakes, taken
from benchmarks.stack import Stack
from morpheus_kit import ids

SERVICES = ("gateway", "intake", "renderer", "dispatcher", "tracker")
FAULTS = ("503x1", "502-taken", "reset-takenx1", "rejected.hard-bounce") * 4 + ("429.1x1",)
"""One recipient in twenty has one of these. A 429 is rarer: the whole account rests for a second after each."""

SETTINGS = {
    "MORPHEUS_LEASE": "3",
    "MORPHEUS_RETRY_DELAYS": ",".join(["1"] * 30),
    "MORPHEUS_UNCERTAIN_AFTER": "4",
    "MORPHEUS_MANDRILL_RATE": "400",
}


def _recipient(index: int) -> dict[str, Any]:
    recipient = sample.recipient(index)
    if index % 20 == 0:
        recipient["address"] = f"fault+{FAULTS[index // 20 % len(FAULTS)]}+n{index}@example.com"
    return recipient


def _kill_one(stack: Stack, chance: random.Random) -> str | None:
    """One of those that live: who died often comes back late."""
    living = {name: members for name, members in stack.processes().items() if name in SERVICES}
    if not living:
        return None
    victim = chance.choice(sorted(living))
    living[victim][0].kill()
    return victim


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kills", "messages", "pause"), [(20, 4_000, 1.6), pytest.param(50, 10_000, 3.2, marks=pytest.mark.long)]
)
def test_books_balance_after_kills(tmp_path: Path, kills: int, messages: int, pause: float) -> None:
    """`pause`: seconds between two kills, at most; a service is up again after half a second to ten."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    with running_fakes("mandrill") as fakes, Stack(tmp_path, fakes["mandrill"]["environment"] | SETTINGS) as stack:
        fake = fakes["mandrill"]
        post = {**sample.group("chaos", 0, "mandrill"), "recipients": [_recipient(n) for n in range(messages)]}
        status, reply, _ = stack.post(msgpack.packb(post))
        assert (status, reply["accepted"]) == (202, messages)
        killed: Counter[str] = Counter()
        while killed.total() < kills:
            time.sleep(chance.uniform(0.3, pause))
            try:
                if victim := _kill_one(stack, chance):
                    killed[victim] += 1
            except psutil.Error:
                continue  # it died before we came
        print("killed", dict(killed), "progress", _whenever_it_answers(stack)["progress"])

        group = _wait_finished(stack)

        assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": messages}
        assert sum(group["counts"].values()) == messages
        assert group["counts"]["queued"] == 0
        calls = Counter(item["metadata"]["reference"][-36:] for item in taken(fake))
        expected = {ids.message_id(sample.COMPANY, "chaos", 0, index) for index in range(messages)}
        assert set(calls) <= expected
        assert group["counts"]["sent"] <= len(calls)
        twice = [each for each, count in calls.items() if count > 1]
        print("taken", len(calls), "twice", len(twice), "counts", {k: v for k, v in group["counts"].items() if v})
        for message_id in twice:
            events = {event["type"] for event in stack.message(message_id)["events"]}
            assert "uncertain" in events, f"{message_id} was taken twice"
        said, counted = _sent(stack)
        assert (len(said), len(set(said))) == (counted, counted)
        for message_id in said:
            assert calls[message_id] >= 1, f"{message_id} is said to be sent and was not"


def _sent(stack: Stack) -> tuple[list[str], int]:
    """What the list and the counts say while neither moves: a late answer may turn `failed` into `sent`."""
    deadline = time.monotonic() + 60
    while True:
        before = stack.group("chaos")["counts"]["sent"]
        said = list(_ids(stack, "sent"))
        if stack.group("chaos")["counts"]["sent"] == before:
            return said, before
        assert time.monotonic() < deadline, "the counts do not come to rest"


def _ids(stack: Stack, state: str) -> Iterator[str]:
    """Of all messages in this state, page by page."""
    token = ""
    while True:
        page = stack.get("/v1/messages", group_id="chaos", state=state, page_size="200", page_token=token)
        yield from (item["id"] for item in page["items"])
        token = page["next_page_token"]
        if not token:
            return


def _wait_finished(stack: Stack) -> dict[str, Any]:
    return _until_answered(lambda: stack.wait_finished("chaos", 240))


def _whenever_it_answers(stack: Stack) -> dict[str, Any]:
    return _until_answered(lambda: stack.group("chaos"))


def _until_answered(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The gateway may be the one that was killed: asks until it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except TimeoutError:
            raise  # answered all the time, and not finished
        except (OSError, RuntimeError):
            assert time.monotonic() < deadline, "the stack does not come back"
            time.sleep(0.2)
