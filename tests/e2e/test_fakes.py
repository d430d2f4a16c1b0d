"""The two-minute start of the fakes: their command, the stack with the settings that it prints, one group each way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from benchmarks import sample
from benchmarks.provider_fakes import running_fakes, taken
from benchmarks.stack import Stack


@pytest.fixture
def fakes() -> Iterator[dict[str, Any]]:
    """What the command printed, while it runs."""
    with running_fakes("mandrill", "ses", "smtp") as found:
        yield found


@pytest.fixture
def stack(tmp_path: Path, fakes: dict[str, Any]) -> Iterator[Stack]:
    environment = {name: value for fake in fakes.values() for name, value in fake["environment"].items()}
    with Stack(tmp_path, environment | {"MORPHEUS_RETRY_DELAYS": "0.1,0.1"}) as running:
        yield running


@pytest.mark.timeout(180)
@pytest.mark.parametrize("method", ["mandrill", "ses", "smtp"])
def test_group_goes_through_a_fake_and_its_faults_end_as_they_should(
    stack: Stack, fakes: dict[str, Any], method: str
) -> None:
    addresses = {
        "person@example.org": "sent",
        f"fault+{'451' if method == 'smtp' else '503'}x1@example.org": "sent",
        "fault+rejected.550@example.org": "failed",
    }
    recipients = [{**sample.recipient(n), "address": address} for n, address in enumerate(addresses)]
    status, reply, _ = stack.post(msgpack.packb({**sample.group("g", 0, method), "recipients": recipients}))
    assert status == 202, reply

    stack.wait_finished("g", 60)

    items = stack.get("/v1/messages", group_id="g")["items"]
    assert {item["address"]: item["state"] for item in items} == addresses
    mails = taken(fakes[method])
    assert sorted(mail["address"] for mail in mails) == sorted(a for a, state in addresses.items() if state == "sent")
    assert {mail["sender"] for mail in mails} == {"bench@example.org"}
