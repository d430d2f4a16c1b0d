"""A message whose answer was lost, settled by the provider's own webhook, through the whole stack."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack
from tests.e2e.states import wait_until_recorded

DOUBT, PLAIN = "fault+reset-taken@example.com", "fault+n1@example.com"


@pytest.fixture
def mandrill() -> Iterator[dict[str, Any]]:
    """What the command of the fake printed, while it runs."""
    command = [sys.executable, "-m", "fakes", "--json", "--port-base", "0", "--only", "mandrill"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["mandrill"]
        process.terminate()


@pytest.mark.timeout(120)
def test_a_receipt_settles_a_message_in_doubt_and_it_is_never_sent_again(
    mandrill: dict[str, Any], tmp_path: Path
) -> None:
    # Neither the look-up nor the policy can be what settles it.
    settings = {"MORPHEUS_UNCERTAIN_AFTER": "3600"}
    api = mandrill["api"]
    with Stack(tmp_path, mandrill["environment"] | settings) as stack:
        post = sample.group("doubt", 2, "mandrill")
        for recipient, address in zip(post["recipients"], (DOUBT, PLAIN), strict=True):
            recipient["address"] = address
        assert stack.post(msgpack.packb(post))[0] == 202
        wait_until_recorded(stack, "doubt", {DOUBT: "uncertain", PLAIN: "sent"})
        taken = {message["address"]: message["id"] for message in ask(api, "messages")["items"]}
        ask(api, "webhook", "PUT", {"url": f"http://127.0.0.1:{stack.port}/webhooks/mandrill"})
        for address, event in ((DOUBT, "delivered"), (PLAIN, "opened"), (DOUBT, "delivered")):
            ask(api, "events", "POST", {"id": taken[address], "event": event})
        assert {each["status"] for each in ask(api, "webhooks?wait=10")["items"]} == {200}
        stack.wait_finished("doubt", 30)
        items = wait_until_recorded(stack, "doubt", {DOUBT: "delivered", PLAIN: "opened"})
        detail = stack.message(items[DOUBT]["id"])
        progress = stack.group("doubt")["progress"]
    # In the order of their times, and Mandrill tells whole seconds.
    assert sorted(event["type"] for event in detail["events"]) == ["delivered", "queued", "sent", "uncertain"]
    assert detail["external_id"] == taken[DOUBT]
    assert (progress["uncertain"], progress["ended"]) == (0, 2)
    assert sorted(message["address"] for message in ask(api, "messages")["items"]) == sorted([DOUBT, PLAIN])


def ask(api: str, path: str, method: str = "GET", body: object = None) -> dict[str, Any]:
    """The fake's own API."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{api}{path}", data=data, method=method), timeout=20) as answer:
        return dict(json.loads(answer.read() or b"{}"))
